//! The miner's session on staging: lock, epoch, state, and what is staged already.

use std::time::{Duration, Instant};

use common::crash::{self, Point};
use common::gtid::GtidSet;
use common::pg::{Operation as _, PgError, connect, set_keepalive};
use common::position::{BinlogPosition, LogId, TimelineId};
use common::retry::Backoff;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use common::staging::migrate::migrate;
use common::staging::segment_of;
use common::table::{DefinitionId, TableDefinition, TableName};
use log::warn;
use postgres::Client;

use super::chunk::Sequences;
use crate::error::MinerError;
use crate::filter::KnownDefinitions;
use crate::parked::{Parked, ParkedLines};

/// Advisory lock of the one miner of a staging database; "m2gm" as a number.
pub const LOCK: i64 = 0x6d32_676d;

/// A session that holds the miner's lock.
pub struct StagingSession {
    pub(super) client: Client,
    pub(super) epoch: i64,
    task: String,
}

/// What staging holds.
#[derive(Debug)]
pub struct Staged {
    /// Where to go on; `None` when nothing is staged yet.
    pub position: Option<BinlogPosition>,
    /// The log that the position belongs to.
    pub log_id: Option<LogId>,
    /// The timeline that the position belongs to.
    pub timeline_id: Option<TimelineId>,
    /// GTIDs up to the position, when known.
    pub gtid_set: Option<GtidSet>,
    /// Creation time of the position's file, seconds since 1970.
    pub file_created: Option<u32>,
    /// Where the numbers stand.
    pub sequences: Sequences,
    /// Definition versions.
    pub definitions: KnownDefinitions,
    /// Prepared transactions.
    pub parked: Parked,
}

impl StagingSession {
    /// Connects, migrates, takes the lock and raises the epoch. `before` is the epoch of the
    /// session that this one follows, when there was one.
    ///
    /// # Errors
    /// When staging is away, is not this task's, another miner keeps the lock, or one has
    /// had it since `before`.
    pub fn open(
        settings: &Settings,
        shutdown: &Shutdown,
        before: Option<i64>,
    ) -> Result<Self, MinerError> {
        let mut client = connect(&settings.staging, "binlog_miner").map_err(MinerError::Staging)?;
        set_keepalive(&mut client, settings.task.keepalive_timeout).map_err(MinerError::Staging)?;
        migrate(&mut client, &settings.task.name)?;
        let mut session = Self {
            client,
            epoch: 0,
            task: settings.task.name.clone(),
        };
        session.lock(settings.task.lock_timeout, shutdown, before)?;
        session.check_not_overtaken(before)?;
        crash::point(Point::MinerLocked);
        session.raise_epoch(settings)?;
        crash::point(Point::MinerEpochRaised);
        Ok(session)
    }

    /// Waits for the lock, saying at once who holds it.
    fn lock(
        &mut self,
        timeout: Duration,
        shutdown: &Shutdown,
        before: Option<i64>,
    ) -> Result<(), MinerError> {
        let started = Instant::now();
        let mut backoff = Backoff::new();
        let mut said = false;
        while !self.try_lock()? {
            self.check_not_overtaken(before)?;
            let holder = self.holder()?;
            if !said {
                said = true;
                warn!(
                    "wait for task={} which another miner holds: {holder}",
                    self.task
                );
            }
            if started.elapsed() >= timeout || backoff.wait(shutdown) == Waited::Stop {
                return Err(MinerError::Held {
                    task: self.task.clone(),
                    holder,
                    waited_seconds: started.elapsed().as_secs(),
                });
            }
        }
        Ok(())
    }

    /// A staging that crashed may have an older epoch than it had, but never a later one.
    fn check_not_overtaken(&mut self, before: Option<i64>) -> Result<(), MinerError> {
        let Some(before) = before else {
            return Ok(());
        };
        let epoch: i64 = self
            .client
            .query_one("select epoch from mysql2gp.miner", &[])
            .operation("read the epoch")
            .map_err(MinerError::Staging)?
            .get(0);
        if epoch > before {
            return Err(self.fenced());
        }
        Ok(())
    }

    /// This session's epoch.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    fn try_lock(&mut self) -> Result<bool, MinerError> {
        self.client
            .query_one("select pg_try_advisory_lock($1)", &[&LOCK])
            .operation("lock the task")
            .map(|row| row.get(0))
            .map_err(MinerError::Staging)
    }

    fn holder(&mut self) -> Result<String, MinerError> {
        self.client
            .query_one(
                "select coalesce(holder, 'unknown') from mysql2gp.miner",
                &[],
            )
            .operation("read the task's holder")
            .map(|row| row.get(0))
            .map_err(MinerError::Staging)
    }

    fn raise_epoch(&mut self, settings: &Settings) -> Result<(), MinerError> {
        let holder = holder_text();
        self.epoch = self
            .client
            .query_one(
                "update mysql2gp.miner \
                    set epoch = epoch + 1, \
                        holder = $1 || ', since ' || to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', \
                        state = 'starting', source = $2 \
                  returning epoch",
                &[&holder, &settings.source.address()],
            )
            .operation("take the task")
            .map_err(MinerError::Staging)?
            .get(0);
        // What another miner left open is gone with it.
        self.client
            .batch_execute(
                "select setval('mysql2gp.open_event_seq', event_seq) from mysql2gp.miner",
            )
            .operation("take the task")
            .map_err(MinerError::Staging)?;
        self.client
            .execute(
                "update mysql2gp.task set start_position = $1 where start_position is null",
                &[&settings.source.start.to_string()],
            )
            .operation("record the start")
            .map_err(MinerError::Staging)?;
        Ok(())
    }

    /// The start that the task began with.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn start_position(&mut self) -> Result<String, MinerError> {
        self.client
            .query_one(
                "select coalesce(start_position, '') from mysql2gp.task",
                &[],
            )
            .operation("read the start")
            .map(|row| row.get(0))
            .map_err(MinerError::Staging)
    }

    /// What is staged.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn staged(&mut self) -> Result<Staged, MinerError> {
        self.read_staged().map_err(MinerError::Staging)
    }

    fn read_staged(&mut self) -> Result<Staged, PgError> {
        let row = self
            .client
            .query_one(
                "select staged_file, staged_pos, log_id, staged_gtid_set, transaction_seq, event_seq, chunk_seq, \
                        file_created, timeline_id::text \
                   from mysql2gp.miner",
                &[],
            )
            .operation("read the staged position")?;
        let file = row
            .get::<_, Option<&str>>(0)
            .and_then(|file| file.parse().ok());
        let offset = row.get::<_, Option<i64>>(1).map(i64::cast_unsigned);
        Ok(Staged {
            position: file
                .zip(offset)
                .map(|(file, offset)| BinlogPosition::new(file, offset)),
            log_id: row.get::<_, Option<String>>(2).map(LogId),
            timeline_id: row.get::<_, Option<String>>(8).map(TimelineId),
            gtid_set: row
                .get::<_, Option<&str>>(3)
                .and_then(|text| text.parse().ok()),
            file_created: row
                .get::<_, Option<i64>>(7)
                .and_then(|created| u32::try_from(created).ok()),
            sequences: Sequences {
                transaction_seq: row.get::<_, i64>(4).cast_unsigned(),
                event_seq: row.get::<_, i64>(5).cast_unsigned(),
                chunk_seq: row.get(6),
            },
            definitions: self.read_definitions()?,
            parked: self.read_parked()?,
        })
    }

    fn read_parked(&mut self) -> Result<Parked, PgError> {
        let rows = self
            .client
            .query("select xid, lines from mysql2gp.prepared", &[])
            .operation("read prepared transactions")?;
        Ok(Parked::new(
            rows.iter()
                .map(|row| (row.get(0), ParkedLines { text: row.get(1) }))
                .collect(),
        ))
    }

    fn read_definitions(&mut self) -> Result<KnownDefinitions, PgError> {
        let mut known = KnownDefinitions::default();
        let rows = self
            .client
            .query(
                "select definition_id, definition::text, valid_until is null from mysql2gp.definition \
                  order by definition_id",
                &[],
            )
            .operation("read definitions")?;
        for row in rows {
            let id = row.get::<_, i32>(0).cast_unsigned();
            known.last_id = known.last_id.max(id);
            if !row.get::<_, bool>(2) {
                continue;
            }
            match serde_json::from_str::<TableDefinition>(row.get(1)) {
                Ok(definition) => {
                    known
                        .latest
                        .insert(definition.name.clone(), (DefinitionId(id), definition));
                }
                Err(error) => warn!("pass over definition version={id}: {error}"),
            }
        }
        Ok(known)
    }

    /// Writes the state and, with it, what went wrong.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn set_state(&mut self, state: &str, error: Option<&str>) -> Result<(), MinerError> {
        self.client
            .execute(
                "update mysql2gp.miner set state = $1, \
                        last_error = coalesce($2, last_error), \
                        last_error_at = case when $2::text is null then last_error_at else now() end \
                  where epoch = $3",
                &[&state, &error, &self.epoch],
            )
            .operation("write the miner's state")
            .map(|_| ())
            .map_err(MinerError::Staging)
    }

    /// Has the views show the table that the miner ends at, until it starts again.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn mark_failed(&mut self, table: &TableName, error: &str) -> Result<(), MinerError> {
        self.client
            .execute(
                "insert into mysql2gp.table_error (program, database_name, table_name, error) \
                 select 'miner', $1, $2, $3 from mysql2gp.miner where epoch = $4 \
                     on conflict (program, database_name, table_name) do update set error = excluded.error",
                &[&table.database, &table.table, &error, &self.epoch],
            )
            .operation("write the miner's state")
            .map(|_| ())
            .map_err(MinerError::Staging)
    }

    /// The first segment that has not been begun.
    pub fn next_segment(sequences: &Sequences) -> i64 {
        segment_of(sequences.chunk_seq) + 1
    }

    pub(super) fn fenced(&mut self) -> MinerError {
        let holder = self.holder().unwrap_or_else(|_| "unknown".into());
        MinerError::Fenced {
            task: self.task.clone(),
            holder,
        }
    }
}

/// Who this is, for another copy's message; staging adds the time.
fn holder_text() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("host {}, pid {}", host.trim(), std::process::id())
}
