//! The writer: COPY and position in one staging transaction.

use std::io::Write as _;
use std::time::{Duration, Instant};

use common::crash::{self, Point};
use common::pg::{Operation as _, PgError};
use common::position::{BinlogPosition, LogId};
use common::staging::{CHUNKS_PER_SEGMENT, NOTIFY_CHANNEL, segment_table};
use postgres::{SimpleQueryMessage, Statement};

use super::chunk::{COLUMNS, COPY_HEADER, COPY_TRAILER, Sequences};
use super::session::StagingSession;
use super::timeline::NewTimeline;
use crate::error::MinerError;
use crate::filter::DefinitionChanges;
use crate::parked::ParkedChanges;

/// What goes into staging together.
#[derive(Debug)]
pub struct Unit {
    /// Segment of the chunks.
    pub segment_no: i64,
    /// Chunks as binary COPY tuples.
    pub tuples: Vec<u8>,
    /// Versions that end, and versions that the chunks use and staging does not have.
    pub definitions: DefinitionChanges,
    /// Prepared transactions that begin or end to wait.
    pub parked: ParkedChanges,
    /// What comes behind.
    pub end: UnitEnd,
}

/// What comes behind a unit.
#[derive(Debug)]
pub enum UnitEnd {
    /// More of the same source transaction: do not commit yet. So far there is this event.
    Open {
        /// Number of the last event.
        event_seq: u64,
    },
    /// The end of a source transaction.
    Staged(Box<StagedEnd>),
}

/// The position behind a unit.
#[derive(Clone, Debug)]
pub struct StagedEnd {
    /// Everything before it is staged or was left out.
    pub position: BinlogPosition,
    /// Creation time of its file, seconds since 1970.
    pub file_created: Option<u32>,
    /// GTIDs up to it, as text, when known.
    pub gtid_set: Option<String>,
    /// Commit time of the last transaction, microseconds since 1970.
    pub committed_at_us: Option<i64>,
    /// Where the numbers stand.
    pub sequences: Sequences,
    /// Whether the source had nothing more.
    pub caught_up: CaughtUp,
}

/// Whether the source had nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaughtUp {
    /// A heartbeat said so.
    Yes,
    /// More may be there.
    Unknown,
}

/// What the assembling thread asks for.
#[derive(Debug)]
pub enum Message {
    /// Write this.
    Unit(Unit),
    /// Remove what the open source transaction wrote behind these numbers.
    Rewind(Sequences),
    /// Remove all that the open source transaction wrote.
    Abandon,
}

/// A segment ends when it holds this much, so that staging can be retired piece by piece.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Nothing is open any more, and the status says so.
const ROLL_BACK: &str =
    "rollback; select setval('mysql2gp.open_event_seq', event_seq) from mysql2gp.miner";

const INSERT_DEFINITION: &str = "\
insert into mysql2gp.definition (definition_id, database_name, table_name, valid_from, definition) \
values ($1, $2, $3, $4, $5::text::jsonb)";

/// How often the size of staging is looked at.
const SIZE_INTERVAL: Duration = Duration::from_secs(5);

/// Writes units.
pub struct Stager {
    session: StagingSession,
    log_id: LogId,
    /// The timeline to begin, until that is committed.
    new_timeline: Option<NewTimeline>,
    copy: Option<(i64, Statement)>,
    insert_definition: Option<Statement>,
    /// Whether a staging transaction is open.
    in_transaction: bool,
    /// What was written of definitions in the open transaction.
    uncommitted: DefinitionChanges,
    /// What was written of prepared transactions in it.
    uncommitted_parked: ParkedChanges,
    last_size_check: Option<Instant>,
}

impl Stager {
    /// A writer over a session that holds the lock; mining goes on in the log `log_id`, which
    /// is the staged position's unless a timeline begins.
    pub fn new(session: StagingSession, log_id: LogId, new_timeline: Option<NewTimeline>) -> Self {
        Self {
            session,
            log_id,
            new_timeline,
            copy: None,
            insert_definition: None,
            in_transaction: false,
            uncommitted: DefinitionChanges::default(),
            uncommitted_parked: ParkedChanges::default(),
            last_size_check: None,
        }
    }

    /// Bytes after which the next unit should begin another segment.
    pub fn segment_bytes() -> u64 {
        SEGMENT_BYTES
    }

    /// The session, between two units.
    pub fn session(&mut self) -> &mut StagingSession {
        &mut self.session
    }

    /// Whether a source transaction is staged in part.
    pub fn is_open(&self) -> bool {
        self.in_transaction
    }

    /// Ends an unfinished staging transaction and gives the session back.
    pub fn into_session(mut self) -> StagingSession {
        if self.in_transaction {
            // If this fails the connection is gone, and the next statement will say so.
            let _ = self.session.client.batch_execute(ROLL_BACK);
        }
        self.session
    }

    /// Does what the message says.
    ///
    /// # Errors
    /// When staging fails or a later miner has taken over; then nothing of an unfinished unit
    /// is staged.
    pub fn handle(&mut self, message: Message) -> Result<(), MinerError> {
        match message {
            Message::Unit(unit) => self.write(unit),
            Message::Rewind(sequences) => self.rewind(&sequences).map_err(MinerError::Staging),
            Message::Abandon => self.abandon().map_err(MinerError::Staging),
        }
    }

    fn write(&mut self, unit: Unit) -> Result<(), MinerError> {
        if !self.in_transaction {
            self.begin()?;
        }
        self.write_definitions(unit.definitions)
            .and_then(|()| self.write_parked(unit.parked))
            .map_err(MinerError::Staging)?;
        if !unit.tuples.is_empty() {
            self.copy(unit.segment_no, &unit.tuples)
                .map_err(MinerError::Staging)?;
        }
        match unit.end {
            UnitEnd::Open { event_seq } => {
                self.show_open(event_seq).map_err(MinerError::Staging)?;
                crash::point(Point::MinerOpenPart);
                Ok(())
            }
            UnitEnd::Staged(end) => {
                let durable = if unit.tuples.is_empty() {
                    Durable::Later
                } else {
                    Durable::Yes
                };
                self.commit(&end, durable).map_err(MinerError::Staging)
            }
        }
    }

    /// Shows in the status how far the open transaction is: a sequence moves at once, and what
    /// it says counts only above the staged position.
    fn show_open(&mut self, event_seq: u64) -> Result<(), PgError> {
        self.session
            .client
            .batch_execute(&format!(
                "select setval('mysql2gp.open_event_seq', {event_seq})"
            ))
            .operation("show progress")
    }

    /// Begins a staging transaction and makes sure of the epoch: the locked row keeps a later
    /// miner from raising it before this transaction has ended.
    fn begin(&mut self) -> Result<(), MinerError> {
        let epoch = self.session.epoch;
        let answers = self
            .session
            .client
            .simple_query(&format!(
                "begin; select epoch from mysql2gp.miner where epoch = {epoch} for no key update"
            ))
            .operation("begin staging transaction")
            .map_err(MinerError::Staging)?;
        let ours = answers
            .iter()
            .any(|answer| matches!(answer, SimpleQueryMessage::Row(_)));
        if !ours {
            return Err(self.session.fenced());
        }
        self.in_transaction = true;
        crash::point(Point::MinerBegun);
        if let Some(timeline) = &self.new_timeline {
            timeline
                .begin(&mut self.session.client)
                .map_err(MinerError::Staging)?;
            crash::point(Point::MinerTimeline);
        }
        Ok(())
    }

    fn write_definitions(&mut self, changes: DefinitionChanges) -> Result<(), PgError> {
        for ended in &changes.superseded {
            self.session
                .client
                .execute(
                    "update mysql2gp.definition set valid_until = $3 \
                      where database_name = $1 and table_name = $2 and valid_until is null",
                    &[
                        &ended.name.database,
                        &ended.name.table,
                        &ended.valid_until.to_string(),
                    ],
                )
                .operation("end definition")?;
        }
        for new in &changes.fresh {
            let insert = match &self.insert_definition {
                Some(statement) => statement,
                None => self.insert_definition.insert(
                    self.session
                        .client
                        .prepare(INSERT_DEFINITION)
                        .operation("prepare to stage definitions")?,
                ),
            };
            let id = new.id.0.cast_signed();
            let text = serde_json::to_string(&new.definition).unwrap_or_default();
            self.session
                .client
                .execute(
                    insert,
                    &[
                        &id,
                        &new.definition.name.database,
                        &new.definition.name.table,
                        &new.valid_from.to_string(),
                        &text,
                    ],
                )
                .operation("stage definition")?;
            crash::point(Point::MinerDefinition);
        }
        self.uncommitted.append(changes);
        Ok(())
    }

    fn write_parked(&mut self, changes: ParkedChanges) -> Result<(), PgError> {
        for (id, lines) in &changes.parked {
            self.session
                .client
                .execute(
                    "insert into mysql2gp.prepared (xid, lines) values ($1, $2)",
                    &[id, &lines.text],
                )
                .operation("park prepared transaction")?;
            crash::point(Point::MinerParked);
        }
        for id in &changes.ended {
            self.session
                .client
                .execute("delete from mysql2gp.prepared where xid = $1", &[id])
                .operation("end prepared transaction")?;
            crash::point(Point::MinerUnparked);
        }
        self.uncommitted_parked.append(changes);
        Ok(())
    }

    fn copy(&mut self, segment_no: i64, tuples: &[u8]) -> Result<(), PgError> {
        let statement = match &self.copy {
            Some((prepared, statement)) if *prepared == segment_no => statement.clone(),
            _ => self.prepare_segment(segment_no)?,
        };
        crash::point(Point::MinerBeforeCopy);
        let mut writer = self
            .session
            .client
            .copy_in(&statement)
            .operation("begin copy to staging")?;
        for part in [COPY_HEADER, tuples, COPY_TRAILER] {
            writer.write_all(part).operation("copy to staging")?;
            crash::point(Point::MinerInCopy);
        }
        writer.finish().operation("finish copy to staging")?;
        crash::point(Point::MinerAfterCopy);
        Ok(())
    }

    /// Makes the segment's partition if it is not there, and prepares the COPY into it.
    fn prepare_segment(&mut self, segment_no: i64) -> Result<Statement, PgError> {
        let table = segment_table(segment_no);
        let client = &mut self.session.client;
        let start = self.new_timeline.as_ref().map(|new| new.start.to_string());
        let begun = client
            .execute(
                "insert into mysql2gp.segment (segment_no, timeline_id, first_transaction_seq, first_position) \
                 select $1, timeline_id, transaction_seq + 1, coalesce($2, staged_file || ':' || staged_pos) \
                   from mysql2gp.miner \
                 on conflict do nothing",
                &[&segment_no, &start],
            )
            .operation("begin segment")?;
        if begun > 0 {
            crash::point(Point::MinerSegmentRecorded);
            let first = segment_no * CHUNKS_PER_SEGMENT;
            let end = first + CHUNKS_PER_SEGMENT;
            // Attaching an empty table locks out neither readers nor writers of the others.
            client
                .batch_execute(&format!(
                    "create table {table} (like mysql2gp.chunk including all); \
                     alter table mysql2gp.chunk attach partition {table} for values from ({first}) to ({end})"
                ))
                .operation("create segment")?;
            crash::point(Point::MinerSegmentMade);
        }
        let statement = client
            .prepare(&format!(
                "copy {table} ({COLUMNS}) from stdin (format binary)"
            ))
            .operation("prepare copy to staging")?;
        self.copy = Some((segment_no, statement.clone()));
        Ok(statement)
    }

    /// Position, notification and commit in one round trip.
    fn commit(&mut self, end: &StagedEnd, durable: Durable) -> Result<(), PgError> {
        let mut sql = String::new();
        if durable == Durable::Later {
            // Nothing but the position: losing it means reading on from the one before.
            sql.push_str("set local synchronous_commit = off; ");
        }
        sql.push_str(&position_sql(end, &self.log_id));
        if durable == Durable::Yes {
            sql.push_str("; notify ");
            sql.push_str(NOTIFY_CHANNEL);
        }
        sql.push_str("; commit");
        crash::point(Point::MinerBeforeCommit);
        self.session
            .client
            .batch_execute(&sql)
            .operation("commit staging transaction")?;
        crash::point(Point::MinerAfterCommit);
        self.in_transaction = false;
        self.new_timeline = None;
        self.uncommitted = DefinitionChanges::default();
        self.uncommitted_parked = ParkedChanges::default();
        Ok(())
    }

    fn rewind(&mut self, sequences: &Sequences) -> Result<(), PgError> {
        if self.in_transaction {
            self.session
                .client
                .execute(
                    "delete from mysql2gp.chunk where chunk_seq > $1",
                    &[&sequences.chunk_seq],
                )
                .operation("remove rolled back rows")?;
            self.show_open(sequences.event_seq)?;
            crash::point(Point::MinerRewound);
        }
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), PgError> {
        if !self.in_transaction {
            return Ok(());
        }
        self.session
            .client
            .batch_execute(ROLL_BACK)
            .operation("roll back staging transaction")?;
        crash::point(Point::MinerAbandoned);
        self.in_transaction = false;
        // The segment may be gone with the transaction; the versions are still needed.
        self.copy = None;
        let definitions = std::mem::take(&mut self.uncommitted);
        let parked = std::mem::take(&mut self.uncommitted_parked);
        self.session
            .client
            .batch_execute("begin")
            .operation("begin staging transaction")?;
        self.write_definitions(definitions)?;
        self.write_parked(parked)?;
        self.session
            .client
            .batch_execute("commit")
            .operation("commit staging transaction")?;
        self.uncommitted = DefinitionChanges::default();
        self.uncommitted_parked = ParkedChanges::default();
        Ok(())
    }

    /// Size of the staging database, looked at now and then.
    ///
    /// # Errors
    /// When the statement fails, and [`MinerError::AskedBack`] when the loader needs what is no
    /// longer staged.
    pub fn staging_bytes(&mut self) -> Result<Option<u64>, MinerError> {
        if self
            .last_size_check
            .is_some_and(|last| last.elapsed() < SIZE_INTERVAL)
            || self.in_transaction
        {
            return Ok(None);
        }
        self.last_size_check = Some(Instant::now());
        let row = self
            .session
            .client
            .query_one(
                "select pg_database_size(current_database()), needs_from is not null from mysql2gp.loader",
                &[],
            )
            .operation("measure staging")
            .map_err(MinerError::Staging)?;
        if row.get(1) {
            return Err(MinerError::AskedBack);
        }
        Ok(Some(row.get::<_, i64>(0).cast_unsigned()))
    }
}

/// Whether a commit must be on disk when it returns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    Later,
}

fn position_sql(end: &StagedEnd, log_id: &LogId) -> String {
    let log_id = quote_literal(&log_id.0);
    let file = quote_literal(end.position.file.name());
    let created = end.file_created.map_or_else(
        || format!("case when (log_id, staged_file) = ({log_id}, {file}) then file_created end"),
        |created| created.to_string(),
    );
    let gtid_set = end
        .gtid_set
        .as_deref()
        .map_or_else(|| "null".into(), quote_literal);
    let commit_time = end.committed_at_us.map_or_else(
        || "staged_commit_time".into(),
        |us| format!("'epoch'::timestamptz + {us} * interval '1 microsecond'"),
    );
    format!(
        "update mysql2gp.miner set log_id = {log_id}, staged_file = {file}, staged_pos = {}, staged_gtid_set = {gtid_set}, \
         file_created = {created}, staged_commit_time = {commit_time}, staged_at = clock_timestamp(), \
         caught_up = {}, transaction_seq = {}, event_seq = {}, chunk_seq = {}",
        end.position.offset,
        end.caught_up == CaughtUp::Yes,
        end.sequences.transaction_seq,
        end.sequences.event_seq,
        end.sequences.chunk_seq,
    )
}

/// A text as an SQL literal, under `standard_conforming_strings`.
fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
