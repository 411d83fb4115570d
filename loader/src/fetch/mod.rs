//! Staged text in order, from the checkpoint on.
//!
//! The start of the loader's flow. Finds the applied position in staging, reads the chunks
//! behind it, segment by segment, and wakes up at the miner's notifications. Everything that
//! one query reads is of one snapshot, so a source transaction is never seen in part unless
//! the query's limit cuts it; the rest follows with the next.
//!
//! It does not look into the lines (that is `compact`) and writes nothing.

mod error;
mod locate;
mod rows;
pub mod wishes;

use std::time::{Duration, Instant};

use common::checkpoint::Checkpoint;
use common::pg::{self, Conninfo, Operation as _};
use common::position::{BinlogPosition, TimelineId};
use common::staging::{self, CHUNKS_PER_SEGMENT, migrate, segment_of, segment_table};
use common::table::{DefinitionId, TableDefinition, TableName};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use postgres::{Client, Row, Statement};

pub use error::FetchError;
pub use locate::Start;
pub use rows::{MinerRow, definitions, listed_definitions};

use crate::progress::{KnownFile, StagedPosition, StagedTimeline};
use crate::tenure::Tenure;
use rows::{miner_row, timelines};

const FETCH_CHUNKS: &str = include_str!("../../../sql/query/fetch_chunks.sql");

/// Chunks per query. The result is streamed, so this bounds a snapshot's age, not memory.
const CHUNKS_PER_QUERY: i64 = 1024;

/// Text that is handed on at a time, at least: a chunk is 8 KB, and each hand-over wakes a
/// thread.
const TEXT_BYTES: usize = 64 * 1024;

/// What is handed on.
#[derive(Debug)]
pub enum Fetched {
    /// A definition that lines behind it use.
    Definition(DefinitionId, Box<TableDefinition>),
    /// Whole lines.
    Text(Text),
    /// What follows is of another server's log.
    Timeline(Box<StagedTimeline>),
    /// Everything up to here was handed on, or filtered out by the miner.
    Mark(StagedPosition),
}

/// A run of whole lines.
#[derive(Debug)]
pub struct Text {
    /// Transaction that the first line belongs to.
    pub transaction_seq: u64,
    /// Number of the first event line.
    pub event_seq: u64,
    /// The lines.
    pub lines: Vec<u8>,
    /// Time that reading took.
    pub took: Duration,
}

/// Whether the receiver wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// The receiver is gone.
    Stop,
}

/// What a pass over staging came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// There is more to read.
    More,
    /// Everything staged is read; the miner's position.
    Drained,
    /// The receiver is gone.
    Stopped,
    /// An operator asks for something.
    Asked,
    /// The miner has taken up another table list.
    Relisted,
}

/// The staging incarnation and its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagingTask {
    /// Names the incarnation.
    pub staging_id: String,
    /// Start of mining as configured.
    pub start_position: Option<String>,
    /// Tables that are replicated.
    pub tables: Vec<ReplicatedTable>,
}

/// A table that is replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicatedTable {
    /// The source table.
    pub name: TableName,
    /// Key columns; none for a keyless table.
    pub key_columns: Vec<String>,
    /// Where the table came into the list when others were there: nothing up to this
    /// transaction is replicated.
    pub listed_behind: Option<u64>,
    /// Rows that the loader has put on the target and not taken away, as far as counted;
    /// `None` when a TRUNCATE or refused rows make the count meaningless or nothing is counted yet.
    pub counted_rows: Option<i64>,
}

/// Reads staging. See the module.
pub struct Fetcher {
    client: Client,
    segment: Option<(i64, Statement)>,
    miner_query: Statement,
    last_chunk: i64,
    last_definition: i32,
    /// Timeline of what was read last.
    timeline_id: Option<TimelineId>,
    known_file: KnownFile,
    /// Without one, nobody's reading is disturbed.
    tenure: Option<Tenure>,
    /// Whether an operator asks for something.
    is_asked: bool,
    /// The miner's table list that reading goes by; any without one.
    list_version: Option<i64>,
}

impl Fetcher {
    /// Connects, brings staging to this program's version, and listens.
    ///
    /// # Errors
    /// When staging is away, another task's or another version's.
    pub fn open(conninfo: &Conninfo, task: &str) -> Result<Self, FetchError> {
        let mut client = pg::connect(conninfo, "binlog_loader fetch")?;
        migrate::migrate(&mut client, task)?;
        // What is asked is locked until it is answered.
        pg::forbid_idle_transactions(&mut client)?;
        client
            .batch_execute(&format!(
                "set plan_cache_mode = force_generic_plan; \
                 set enable_seqscan = off; \
                 set max_parallel_workers_per_gather = 0; \
                 listen {}",
                staging::NOTIFY_CHANNEL
            ))
            .operation("prepare staging session")?;
        // Without chunks: the part behind "union all" needs a segment.
        let miner_only = FETCH_CHUNKS
            .split_once(" union all")
            .map_or(FETCH_CHUNKS, |(first, _)| first);
        let miner_query = client
            .prepare(miner_only)
            .operation("prepare the miner's position")?;
        Ok(Self {
            client,
            segment: None,
            miner_query,
            last_chunk: 0,
            last_definition: 0,
            timeline_id: None,
            known_file: KnownFile::default(),
            tenure: None,
            is_asked: false,
            list_version: None,
        })
    }

    /// The newest file of the log whose age was read; it follows what is read.
    pub fn known_file(&self) -> KnownFile {
        self.known_file.clone()
    }

    /// Begins to read for the loader that holds the task. From here on reading ends with an
    /// error where another one begins, or staging is made anew.
    ///
    /// # Errors
    /// When staging is away.
    pub fn begin_tenure(&mut self) -> Result<Tenure, FetchError> {
        let tenure = Tenure::begin(&mut self.client)?;
        self.tenure = Some(tenure.clone());
        Ok(tenure)
    }

    /// Which staging this is, and what it replicates.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn task(&mut self) -> Result<StagingTask, FetchError> {
        let row = self
            .client
            .query_one(
                "select staging_id::text, start_position from mysql2gp.task",
                &[],
            )
            .operation("read the task")?;
        let tables = self
            .client
            .query(
                "select r.database_name, r.table_name, r.key_columns, \
                        case when p.truncates = 0 and not exists ( \
                                 select 1 from mysql2gp.dead_letter e \
                                  where e.database_name = r.database_name and e.table_name = r.table_name) \
                             then p.inserts - p.deletes end as counted_rows, \
                        r.listed_behind \
                   from mysql2gp.replicated_table r \
                   left join mysql2gp.table_progress p using (database_name, table_name) \
                  order by r.database_name, r.table_name",
                &[],
            )
            .operation("read the replicated tables")?;
        Ok(StagingTask {
            staging_id: row.get(0),
            start_position: row.get(1),
            tables: tables
                .iter()
                .map(|row| ReplicatedTable {
                    name: TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)),
                    key_columns: row.get(2),
                    counted_rows: row.get(3),
                    listed_behind: row
                        .get::<_, Option<i64>>(4)
                        .and_then(|behind| u64::try_from(behind).ok()),
                })
                .collect(),
        })
    }

    /// Tells the miner from where on staging must reach; `None` takes that back, and from then
    /// on nothing that is staged goes away but by this loader.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn need_from(&mut self, applied: Option<&BinlogPosition>) -> Result<(), FetchError> {
        let text = applied.map(BinlogPosition::to_string);
        self.client
            .execute(
                "update mysql2gp.loader set needs_from = $1 where needs_from is distinct from $1",
                &[&text],
            )
            .operation("tell the miner what is needed")?;
        Ok(())
    }

    /// The miner's row; `None` while it has no position.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn miner(&mut self) -> Result<Option<MinerRow>, FetchError> {
        let row = self
            .client
            .query_one(&self.miner_query, &[])
            .operation("read the miner's position")?;
        check_tenure(self.tenure.as_ref(), &row)?;
        self.is_asked = row.get("wish");
        let miner = miner_row(&row)?;
        self.known_file
            .learn(miner.as_ref().and_then(|row| row.file.as_ref()));
        Ok(miner)
    }

    /// Whether an operator asks for something, as the miner's row was read last.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The oldest timeline of which staging holds anything, and where it begins to; the
    /// miner's and its position when staging holds nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn retained_from(
        &mut self,
        miner: &MinerRow,
    ) -> Result<(StagedTimeline, BinlogPosition), FetchError> {
        let (id, position) = locate::retained_from(&mut self.client)?.unwrap_or_else(|| {
            (
                miner.staged.timeline_id.clone(),
                miner.staged.position.clone(),
            )
        });
        Ok((self.timeline(&id)?, position))
    }

    /// Whether staging has everything since the task's first start.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_whole(&mut self) -> Result<bool, FetchError> {
        let row = self
            .client
            .query_one(
                "select not exists (select 1 from mysql2gp.timeline \
                  where dropped or resumed or (timeline_no = 1 and previous_id is not null))",
                &[],
            )
            .operation("read timelines")?;
        Ok(row.get(0))
    }

    /// Finds an applied position; in the same timeline the miner's must not be behind it.
    ///
    /// # Errors
    /// When staging begins behind it, or does not know its timeline.
    pub fn locate(&mut self, miner: &MinerRow, at: &Checkpoint) -> Result<Start, FetchError> {
        let timelines = timelines(&mut self.client)?;
        locate::locate(&mut self.client, &timelines, miner, at)
    }

    /// Reading ends where the miner has taken up another table list than this one.
    pub fn go_by_list(&mut self, version: i64) {
        self.list_version = Some(version);
    }

    /// Goes to what was located.
    pub fn seek(&mut self, start: &Start, timeline_id: &TimelineId) {
        self.last_chunk = start.behind_chunk;
        self.last_definition = 0;
        self.segment = None;
        self.timeline_id = Some(timeline_id.clone());
    }

    /// Tables of which staging may hold changes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn staged_tables(&mut self) -> Result<Vec<TableName>, FetchError> {
        let rows = self
            .client
            .query(
                "select database_name, table_name from mysql2gp.definition \
                  union \
                 select database_name, table_name from mysql2gp.replicated_table \
                  order by 1, 2",
                &[],
            )
            .operation("read the staged tables")?;
        Ok(rows
            .iter()
            .map(|row| TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
            .collect())
    }

    /// One query: hands on what is staged behind what was read.
    ///
    /// # Errors
    /// When staging is away or damaged.
    pub fn pass(&mut self, mut take: impl FnMut(Fetched) -> Flow) -> Result<Pass, FetchError> {
        let miner = match self.read_chunks(&mut take)? {
            ReadChunks::Stopped => return Ok(Pass::Stopped),
            ReadChunks::More => return Ok(Pass::More),
            ReadChunks::Asked => return Ok(Pass::Asked),
            ReadChunks::Relisted => return Ok(Pass::Relisted),
            ReadChunks::Definitions(last) => {
                return self.read_definitions(last, &mut take);
            }
            ReadChunks::Exhausted(miner) => miner,
        };
        let Some(miner) = miner else {
            return Ok(Pass::Drained);
        };
        // The miner's number may be the one before a segment's first chunk, which is not there
        // yet; a segment with a chunk is there with it.
        if miner.chunk_seq > self.last_chunk
            && let Some(timeline_id) = self.next_segment()?
        {
            return Ok(match self.enter(&timeline_id, &mut take)? {
                Flow::Continue => Pass::More,
                Flow::Stop => Pass::Stopped,
            });
        }
        if self.enter(&miner.staged.timeline_id, &mut take)? == Flow::Stop {
            return Ok(Pass::Stopped);
        }
        match take(Fetched::Mark(miner.staged)) {
            Flow::Continue => Ok(Pass::Drained),
            Flow::Stop => Ok(Pass::Stopped),
        }
    }

    /// Last chunk read.
    pub fn last_chunk(&self) -> i64 {
        self.last_chunk
    }

    /// Waits for the miner's notification, at most `time`.
    ///
    /// # Errors
    /// When staging is away.
    pub fn wait(&mut self, time: Duration) -> Result<Woken, FetchError> {
        let mut notifications = self.client.notifications();
        let first = notifications
            .timeout_iter(time)
            .next()
            .operation("wait for the miner")?;
        if first.is_none() {
            return Ok(Woken::Timeout);
        }
        // Those that came meanwhile are answered by the same pass.
        while notifications
            .iter()
            .next()
            .operation("wait for the miner")?
            .is_some()
        {}
        Ok(Woken::Notified)
    }

    fn read_chunks(
        &mut self,
        take: &mut impl FnMut(Fetched) -> Flow,
    ) -> Result<ReadChunks, FetchError> {
        let Some((_, statement)) = &self.segment else {
            let miner = self.miner()?;
            if self.is_asked {
                return Ok(ReadChunks::Asked);
            }
            return Ok(match &miner {
                Some(row)
                    if self
                        .list_version
                        .is_some_and(|known| known != row.list_version) =>
                {
                    ReadChunks::Relisted
                }
                Some(row) if row.last_definition > self.last_definition => {
                    ReadChunks::Definitions(row.last_definition)
                }
                Some(_) | None => ReadChunks::Exhausted(miner.map(Box::new)),
            });
        };
        let parameters: [&dyn ToSql; 2] = [&self.last_chunk, &CHUNKS_PER_QUERY];
        let mut started = Instant::now();
        let mut rows = self
            .client
            .query_raw(statement, parameters)
            .operation("read chunks")?;
        let first = rows.next().operation("read chunks")?;
        if let Some(row) = &first {
            check_tenure(self.tenure.as_ref(), row)?;
            if row.get("wish") {
                return Ok(ReadChunks::Asked);
            }
        }
        let miner = first.as_ref().map(miner_row).transpose()?.flatten();
        self.known_file
            .learn(miner.as_ref().and_then(|row| row.file.as_ref()));
        if let (Some(row), Some(known)) = (&miner, self.list_version)
            && row.list_version != known
        {
            return Ok(ReadChunks::Relisted);
        }
        if let Some(row) = &miner
            && row.last_definition > self.last_definition
        {
            return Ok(ReadChunks::Definitions(row.last_definition));
        }
        let mut text: Option<Text> = None;
        let mut count = 0;
        while let Some(row) = rows.next().operation("read chunks")? {
            count += 1;
            self.last_chunk = row.get(0);
            let lines: &str = row.get(3);
            let piece = text.get_or_insert_with(|| Text {
                transaction_seq: unsigned(&row, 1),
                event_seq: unsigned(&row, 2),
                lines: Vec::with_capacity(lines.len().max(TEXT_BYTES + TEXT_BYTES / 4)),
                took: Duration::ZERO,
            });
            piece.lines.extend_from_slice(lines.as_bytes());
            // Handing on may wait, and the row may be large.
            drop(row);
            if piece.lines.len() >= TEXT_BYTES
                && let Some(piece) = text.take()
            {
                if hand_on(piece, started, take) == Flow::Stop {
                    return Ok(ReadChunks::Stopped);
                }
                started = Instant::now();
            }
        }
        if let Some(piece) = text
            && hand_on(piece, started, take) == Flow::Stop
        {
            return Ok(ReadChunks::Stopped);
        }
        Ok(if count == CHUNKS_PER_QUERY {
            ReadChunks::More
        } else {
            ReadChunks::Exhausted(miner.map(Box::new))
        })
    }

    fn read_definitions(
        &mut self,
        last: i32,
        take: &mut impl FnMut(Fetched) -> Flow,
    ) -> Result<Pass, FetchError> {
        for (id, definition) in definitions(&mut self.client, self.last_definition)? {
            if take(Fetched::Definition(id, Box::new(definition))) == Flow::Stop {
                return Ok(Pass::Stopped);
            }
        }
        self.last_definition = last;
        Ok(Pass::More)
    }

    /// Says so when what follows is of another timeline.
    fn enter(
        &mut self,
        id: &TimelineId,
        take: &mut impl FnMut(Fetched) -> Flow,
    ) -> Result<Flow, FetchError> {
        if self.timeline_id.as_ref() == Some(id) {
            return Ok(Flow::Continue);
        }
        let timeline = self.timeline(id)?;
        self.timeline_id = Some(id.clone());
        Ok(take(Fetched::Timeline(Box::new(timeline))))
    }

    fn timeline(&mut self, id: &TimelineId) -> Result<StagedTimeline, FetchError> {
        timelines(&mut self.client)?
            .into_iter()
            .find(|timeline| timeline.id == *id)
            .ok_or(FetchError::Malformed {
                what: "mysql2gp.timeline",
            })
    }

    /// Goes on to the next segment, if there is one; its timeline.
    fn next_segment(&mut self) -> Result<Option<TimelineId>, FetchError> {
        // The chunk after the last one read may lie in a segment that is not opened yet.
        let current = match &self.segment {
            Some((number, _)) => number + 1,
            None => segment_of(self.last_chunk + 1),
        };
        let row = self
            .client
            .query_opt(
                "select segment_no, timeline_id::text from mysql2gp.segment where segment_no >= $1 \
                  order by segment_no limit 1",
                &[&current],
            )
            .operation("look for the next segment")?;
        let Some(row) = row else {
            return Ok(None);
        };
        let number: i64 = row.get(0);
        self.last_chunk = self.last_chunk.max(number * CHUNKS_PER_SEGMENT - 1);
        let statement = self
            .client
            .prepare(&FETCH_CHUNKS.replace("{segment}", &segment_table(number)))
            .operation("prepare a segment")?;
        self.segment = Some((number, statement));
        Ok(Some(TimelineId(row.get(1))))
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The miner has staged something.
    Notified,
    /// The time is over.
    Timeout,
}

enum ReadChunks {
    More,
    /// An operator asks for something.
    Asked,
    /// The miner has taken up another table list.
    Relisted,
    /// The segment has no more; the miner's row of the same snapshot.
    Exhausted(Option<Box<MinerRow>>),
    /// There are definitions that are not known yet, up to this one.
    Definitions(i32),
    Stopped,
}

fn check_tenure(tenure: Option<&Tenure>, row: &Row) -> Result<(), FetchError> {
    match tenure {
        Some(tenure) if !tenure.is(row.get("tenure")) => Err(FetchError::Taken),
        Some(_) | None => Ok(()),
    }
}

fn hand_on(mut text: Text, started: Instant, take: &mut impl FnMut(Fetched) -> Flow) -> Flow {
    text.took = started.elapsed();
    take(Fetched::Text(text))
}

fn unsigned(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}
