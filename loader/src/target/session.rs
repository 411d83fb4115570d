//! The loader's one session on the target: lock, epoch, checkpoint.
//!
//! Invariants:
//! 1. Whoever writes holds the task's advisory lock, which the server frees with the session.
//!    A session that has the lock is the only one: the one before it has ended, and what it
//!    had not committed is gone.
//! 2. The epoch rises at each start of a loader. Every commit requires its own epoch, in the
//!    transaction of the rows; a session that lost its lock without knowing cannot commit.

use std::time::Duration;

use common::checkpoint::{self, Checkpoint, CheckpointError};
use common::error::ErrorClass;
use common::pg::{self, Conninfo, Operation as _, PgError};
use common::position::BinlogPosition;
use common::settings::TaskSettings;
use common::shutdown::Shutdown;
use postgres::error::SqlState;
use postgres::{Client, SimpleQueryMessage};

use super::behind::OwnPositions;
use super::catalog::Catalog;
use super::catch_up::CatchUp;
use super::dialect::{Commit, Dialect};
use super::lock::{self, holder};
use super::server::Server;
use crate::progress::Progress;

/// Commits after which dead versions of the checkpoint's row are taken away, where the server
/// does not do so by itself: some megabytes.
const COMMITS_TO_TIDY: u32 = 10_000;

/// Why the target's session cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A statement failed.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The target is none that is known to keep every value.
    #[error("the target is {name}: {least} is needed")]
    Server {
        /// Product and version.
        name: String,
        /// What is needed.
        least: &'static str,
    },
    /// Another loader holds the task.
    #[error(
        "task {task} is held by another loader ({holder}); waited {waited_seconds} s for it; stop it first"
    )]
    Held {
        /// The task.
        task: String,
        /// Who.
        holder: String,
        /// How long this one waited.
        waited_seconds: u64,
    },
    /// A constraint that is checked at the commit is violated.
    #[error(transparent)]
    CommitRefused(Box<CommitRefused>),
    /// Somebody else has taken over.
    #[error(
        "task {task} was taken over by another loader or reset (epoch {epoch} is no longer valid); this one has \
         written nothing since: leave the other one running, or stop both and start one"
    )]
    Fenced {
        /// The task.
        task: String,
        /// This loader's epoch.
        epoch: i64,
    },
    /// Stopped while waiting for the lock.
    #[error("stopped while waiting for the task's lock")]
    Stopped,
}

impl SessionError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Pg(error) => error.class(),
            Self::Checkpoint(error) => error.class(),
            Self::Held { .. } | Self::Stopped => ErrorClass::Failed,
            Self::CommitRefused(_) | Self::Fenced { .. } | Self::Server { .. } => {
                ErrorClass::Operator
            }
        }
    }
}

/// A constraint that is checked at the commit is violated, by no row that could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the target refuses the batch that ends at {position}, when it commits: SQLSTATE {sqlstate}, table {}, constraint \
     {}; what is checked at the commit (a deferred constraint, a constraint trigger) is not the fault of single rows \
     that could be told and left out, and nothing of the batch was applied: add to the target what the constraint asks \
     for, or drop the constraint, and start the loader again",
    told(table.as_ref()), told(constraint.as_ref())
)]
pub struct CommitRefused {
    /// End of the batch.
    pub position: BinlogPosition,
    /// What is violated.
    pub sqlstate: String,
    /// The target table, where the server names one.
    pub table: Option<String>,
    /// The constraint, where the server names one.
    pub constraint: Option<String>,
}

fn told(name: Option<&String>) -> &str {
    name.map_or("not told", String::as_str)
}

/// SQLSTATEs that a row's values cause: data exceptions, integrity constraints, an index entry
/// that is too large, and what a trigger raises.
pub(crate) fn is_of_a_row(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23") || code == "54000" || code == "P0001"
}

/// Whether the source's consequences (triggers, cascades) can be kept from firing twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaRole {
    /// `session_replication_role` is `replica`.
    Set,
    /// The user may not set it.
    NotPermitted,
}

/// The session. See the module.
pub struct TargetSession {
    /// The connection, for the apply stage's own statements.
    pub client: Client,
    /// Whether triggers and foreign keys are out of the way.
    pub replica_role: ReplicaRole,
    /// What the server says about tables.
    pub catalog: Catalog,
    /// How the server is spoken to.
    pub dialect: Dialect,
    pub(super) task: String,
    epoch: Option<i64>,
    commits: u32,
    pub(super) catch_up: Option<CatchUp>,
}

impl TargetSession {
    /// Connects and takes the task's lock, waiting up to `lock_timeout` for a holder.
    ///
    /// # Errors
    /// When the server is away, or somebody else holds the task.
    pub fn open(
        conninfo: &Conninfo,
        task: &str,
        lock_timeout: Duration,
        shutdown: &Shutdown,
    ) -> Result<Self, SessionError> {
        let mut session = Self::open_beside(conninfo, task)?;
        lock::take(&mut session, lock_timeout, shutdown, None)?;
        Ok(session)
    }

    /// The same for a loader that stays; `before` is the epoch of the session that this one
    /// follows, when there was one.
    ///
    /// # Errors
    /// When the server is away, somebody else holds the task, or has taken it over since
    /// `before`.
    pub fn open_to_stay(
        conninfo: &Conninfo,
        task: &TaskSettings,
        shutdown: &Shutdown,
        before: Option<i64>,
    ) -> Result<Self, SessionError> {
        let mut session = Self::open_beside(conninfo, &task.name)?;
        pg::set_keepalive(&mut session.client, task.keepalive_timeout)?;
        lock::take(&mut session, task.lock_timeout, shutdown, before)?;
        Ok(session)
    }

    /// Connects without the lock, beside a loader that may be running: for a row that is
    /// locked otherwise.
    ///
    /// # Errors
    /// When the server is away.
    pub fn open_beside(conninfo: &Conninfo, task: &str) -> Result<Self, SessionError> {
        let mut client = pg::connect_target(conninfo, "binlog_loader")?;
        let server = Server::ask(&mut client)?;
        client
            .batch_execute(&server.dialect.session().join("; "))
            .operation("prepare target session")?;
        let replica_role = set_replica_role(&mut client, server.dialect)?;
        Ok(Self::new(client, task, server.dialect, replica_role))
    }

    /// A session on a connection that is prepared.
    pub fn new(client: Client, task: &str, dialect: Dialect, replica_role: ReplicaRole) -> Self {
        Self {
            replica_role,
            catalog: Catalog::new(dialect),
            dialect,
            client,
            task: task.into(),
            epoch: None,
            // The first commit tidies up behind the sessions before.
            commits: COMMITS_TO_TIDY,
            catch_up: None,
        }
    }

    /// Creates the loader's tables where they are missing.
    ///
    /// # Errors
    /// When the user may not.
    pub fn create_tables(&mut self) -> Result<(), SessionError> {
        if self.has_table("checkpoint_dead_letters")? {
            return Ok(());
        }
        let mut transaction = self
            .client
            .transaction()
            .operation("create the checkpoint")?;
        // Tasks that start at the same time would collide.
        transaction
            .execute("select pg_advisory_xact_lock($1)", &[&CREATE_LOCK])
            .operation("create the checkpoint")?;
        let has_schema = transaction
            .query_opt(
                "select 1 from pg_catalog.pg_namespace where nspname = 'mysql2gp'",
                &[],
            )
            .operation("look for the checkpoint")?
            .is_some();
        if !has_schema {
            transaction
                .batch_execute("create schema mysql2gp")
                .operation("create the checkpoint")?;
        }
        transaction
            .batch_execute(&self.dialect.create_tables(checkpoint::CREATE))
            .operation("create the checkpoint")?;
        transaction.commit().operation("create the checkpoint")?;
        Ok(())
    }

    /// The task's checkpoint, if it has one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&mut self) -> Result<Option<Checkpoint>, SessionError> {
        Ok(checkpoint::read(&mut self.client, &self.task)?)
    }

    /// Writes the task's first checkpoint.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn insert_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), SessionError> {
        let epoch = 1_i64;
        let consistent_from = checkpoint
            .consistent_from
            .as_ref()
            .map(BinlogPosition::to_string);
        self.client
            .execute(
                "insert into mysql2gp.checkpoint (task, timeline_id, log_id, start_position, applied_file, applied_pos, \
                        applied_gtid_set, staging_id, transaction_seq, event_seq, consistent_from, epoch, holder, \
                        applied_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp())",
                &[
                    &self.task,
                    &checkpoint.timeline_id.0,
                    &checkpoint.log_id.0,
                    &checkpoint.start_position,
                    &checkpoint.applied.file.name(),
                    &signed(checkpoint.applied.offset),
                    &self.dialect.kept_text(checkpoint.applied_gtid_set.as_deref()),
                    &checkpoint.staging_id,
                    &signed(checkpoint.transaction_seq),
                    &signed(checkpoint.event_seq),
                    &consistent_from,
                    &epoch,
                    &holder(),
                ],
            )
            .operation("write the first checkpoint")?;
        self.epoch = Some(epoch);
        Ok(())
    }

    /// Takes the task over: raises the epoch, so that no earlier loader can commit.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn raise_epoch(&mut self) -> Result<(), SessionError> {
        let row = self
            .client
            .query_one(
                "update mysql2gp.checkpoint set epoch = epoch + 1, holder = $2 where task = $1 returning epoch",
                &[&self.task, &holder()],
            )
            .operation("raise the epoch")?;
        self.epoch = Some(row.get(0));
        Ok(())
    }

    /// After a lost connection: goes on with the epoch of before, if no later loader has raised it.
    ///
    /// # Errors
    /// [`SessionError::Fenced`] when it is not.
    pub fn resume_epoch(&mut self, epoch: i64) -> Result<(), SessionError> {
        let row = self
            .client
            .query_opt(
                "select epoch from mysql2gp.checkpoint where task = $1",
                &[&self.task],
            )
            .operation("read the epoch")?;
        match row.map(|row| row.get::<_, i64>(0)) {
            Some(found) if found == epoch => self.epoch = Some(epoch),
            Some(found) if found < epoch => self.rise_above(epoch)?,
            Some(_) | None => {
                return Err(SessionError::Fenced {
                    task: self.task.clone(),
                    epoch,
                });
            }
        }
        Ok(())
    }

    /// The target was restored from a copy older than this loader. Whoever has had an epoch
    /// since then must not commit.
    fn rise_above(&mut self, epoch: i64) -> Result<(), SessionError> {
        log::warn!("target was restored from an older copy: going on from its checkpoint");
        let row = self
            .client
            .query_one(
                "update mysql2gp.checkpoint set epoch = $2::bigint + 1, holder = $3 where task = $1 returning epoch",
                &[&self.task, &epoch, &holder()],
            )
            .operation("raise the epoch")?;
        self.epoch = Some(row.get(0));
        Ok(())
    }

    /// Whether a later loader holds the task.
    pub(super) fn check_not_overtaken(&mut self, epoch: i64) -> Result<(), SessionError> {
        let row = self
            .client
            .query_opt(
                "select epoch from mysql2gp.checkpoint where task = $1",
                &[&self.task],
            )
            .operation("read the epoch")?;
        if row.is_some_and(|row| row.get::<_, i64>(0) > epoch) {
            return Err(SessionError::Fenced {
                task: self.task.clone(),
                epoch,
            });
        }
        Ok(())
    }

    /// This loader's epoch, once it has one.
    pub fn epoch(&self) -> Option<i64> {
        self.epoch
    }

    /// Opens the target transaction.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn begin(&mut self) -> Result<(), SessionError> {
        Ok(self
            .client
            .batch_execute("begin")
            .operation("begin target transaction")?)
    }

    /// Rolls the target transaction back.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn rollback(&mut self) -> Result<(), SessionError> {
        Ok(self
            .client
            .batch_execute("rollback")
            .operation("roll back target transaction")?)
    }

    /// Writes the checkpoint and commits, in one round trip. `file_created` is the age of the
    /// position's file, when known.
    ///
    /// # Errors
    /// [`SessionError::Fenced`] when the epoch is no longer this loader's; nothing is
    /// committed then. [`SessionError::CommitRefused`] when a deferred constraint is violated;
    /// the transaction is still there then, and can go back to a savepoint.
    pub fn commit(
        &mut self,
        staging_id: &str,
        progress: &Progress,
        file_created: Option<i64>,
    ) -> Result<(), SessionError> {
        let epoch = self.epoch.unwrap_or_default();
        let (own, (update, written)) = match self.own_positions(progress, file_created) {
            OwnPositions::Besides(own) => {
                let task = (self.task.as_str(), epoch);
                let update =
                    checkpoint_update(task, staging_id, progress, file_created, self.dialect);
                (own, update)
            }
            OwnPositions::Instead(own) => (own, checkpoint_stays((&self.task, epoch))),
        };
        self.move_and_commit(
            &update,
            &written,
            &format!("{own}commit"),
            (progress, epoch),
        )?;
        self.tidy();
        Ok(())
    }

    /// Runs the checkpoint's update, and `commit` if it has changed a row.
    fn move_and_commit(
        &mut self,
        update: &str,
        written: &str,
        commit: &str,
        (progress, epoch): (&Progress, i64),
    ) -> Result<(), SessionError> {
        let fenced = || SessionError::Fenced {
            task: self.task.clone(),
            epoch,
        };
        let dialect = self.dialect;
        let check = dialect.check_deferred();
        let result = match dialect.commit() {
            // No row updated: the division fails, and with it the transaction.
            Commit::Guarded => self.client.batch_execute(&format!(
                "{check}; {}; {commit}",
                dialect.guarded(update, written)
            )),
            Commit::Counted => match count_updated(&mut self.client, check, update) {
                Ok(1) => self.client.batch_execute(commit),
                Ok(_) => return Err(fenced()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = &result
            && error.code() == Some(&SqlState::DIVISION_BY_ZERO)
            // That of a trigger says where.
            && error.as_db_error().is_some_and(|db| db.where_().is_none())
        {
            return Err(fenced());
        }
        if let Err(error) = &result
            && let Some(db) = error.as_db_error()
            && is_of_a_row(db.code().code())
        {
            return Err(SessionError::CommitRefused(Box::new(CommitRefused {
                position: progress.position.clone(),
                sqlstate: db.code().code().to_owned(),
                table: db.table().map(str::to_owned),
                constraint: db.constraint().map(str::to_owned),
            })));
        }
        result.operation("commit target transaction")?;
        self.note_committed(progress);
        Ok(())
    }

    /// Keeps the checkpoint small where the server does not. What comes of it does not matter:
    /// a connection that is lost is noticed by whoever uses it next.
    fn tidy(&mut self) {
        self.commits += 1;
        if self.commits < COMMITS_TO_TIDY {
            return;
        }
        self.commits = 0;
        for statement in self.dialect.tidy_checkpoint() {
            if let Err(error) = self
                .client
                .batch_execute(statement)
                .operation("tidy the checkpoint")
            {
                log::debug!("failed to {error}");
            }
        }
    }

    /// Removes the task's checkpoint.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn forget_task(&mut self) -> Result<u64, SessionError> {
        if !self.has_table("checkpoint_dead_letters")? {
            return Ok(0);
        }
        let mut transaction = self.client.transaction().operation("reset the task")?;
        let mut removed = 0;
        // In the order of the commits: on Greenplum each delete locks its table.
        for table in ["checkpoint_dead_letters", "checkpoint", "checkpoint_tables"] {
            let rows = transaction
                .execute(
                    &format!("delete from mysql2gp.{table} where task = $1"),
                    &[&self.task],
                )
                .operation("reset the task")?;
            if table == "checkpoint" {
                removed = rows;
            }
        }
        transaction.commit().operation("reset the task")?;
        Ok(removed)
    }

    pub(super) fn has_table(&mut self, table: &str) -> Result<bool, SessionError> {
        Ok(self
            .client
            .query_one(
                "select exists (select 1 from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname = 'mysql2gp' and c.relname = $1)",
                &[&table],
            )
            .operation("look for the checkpoint")?
            .get(0))
    }
}

/// Serializes the creation of the loader's tables; "m2gc" as a number.
const CREATE_LOCK: i64 = 0x6d32_6763;

/// The statement that moves the checkpoint, and what then finds its row.
pub(crate) fn checkpoint_update(
    (task, epoch): (&str, i64),
    staging_id: &str,
    progress: &Progress,
    file_created: Option<i64>,
    dialect: Dialect,
) -> (String, String) {
    let mine = format!("task = {} and epoch = {epoch}", quote_literal(task));
    // First the one expression that reads columns which this statement sets: a server that goes
    // from left to right, as MySQL does and openGauss's mode for it may, would compare new values.
    let update = format!(
        "update mysql2gp.checkpoint set \
                file_created = coalesce({file_created}, case when (timeline_id, applied_file) = ({timeline_id}, {file}) \
                                                             then file_created end), \
                timeline_id = {timeline_id}, log_id = {log_id}, \
                applied_file = {file}, applied_pos = {offset}, applied_gtid_set = {gtid_set}, \
                consistent_from = {consistent_from}, staging_id = {staging_id}, transaction_seq = {transaction_seq}, event_seq = {event_seq}, \
                commit_time = {commit_time}, applied_at = clock_timestamp() \
          where {mine}",
        timeline_id = quote_literal(&progress.timeline.id.0),
        log_id = quote_literal(&progress.timeline.log_id.0),
        consistent_from = optional_literal(progress.consistent_from().as_deref()),
        file = quote_literal(progress.position.file.name()),
        offset = progress.position.offset,
        file_created = file_created.map_or_else(|| "null".into(), |created| created.to_string()),
        gtid_set = optional_literal(dialect.kept_text(progress.gtid_set.as_deref())),
        staging_id = quote_literal(staging_id),
        transaction_seq = progress.transaction_seq,
        event_seq = progress.event_seq,
        commit_time = commit_time(progress.committed_at_us),
    );
    let written = format!(
        "{mine} and staging_id = {} and applied_pos = {} and event_seq = {}",
        quote_literal(staging_id),
        progress.position.offset,
        progress.event_seq
    );
    (update, written)
}

/// The same where the checkpoint stays.
pub(crate) fn checkpoint_stays((task, epoch): (&str, i64)) -> (String, String) {
    let mine = format!("task = {} and epoch = {epoch}", quote_literal(task));
    let update =
        format!("update mysql2gp.checkpoint set applied_at = clock_timestamp() where {mine}");
    (update, mine)
}

/// Runs the checkpoint's update; how many rows it has changed.
fn count_updated(client: &mut Client, check: &str, update: &str) -> Result<u64, postgres::Error> {
    client.batch_execute(check)?;
    let mut updated = 0;
    for message in client.simple_query(update)? {
        if let SimpleQueryMessage::CommandComplete(rows) = message {
            updated += rows;
        }
    }
    Ok(updated)
}

/// Keeps triggers and foreign keys out of the way of this session, if its user may. On Greenplum
/// foreign keys are not enforced, and triggers stay where they are.
///
/// # Errors
/// When the server is away.
pub fn set_replica_role(client: &mut Client, dialect: Dialect) -> Result<ReplicaRole, PgError> {
    if dialect.is_distributed() {
        return Ok(ReplicaRole::NotPermitted);
    }
    client
        .batch_execute(TRY_REPLICA_ROLE)
        .operation("set session_replication_role")?;
    let role: String = client
        .query_one("show session_replication_role", &[])
        .operation("read session_replication_role")?
        .get(0);
    Ok(if role == "replica" {
        ReplicaRole::Set
    } else {
        ReplicaRole::NotPermitted
    })
}

/// Caught on the server, so that its log has no error where the user may not.
const TRY_REPLICA_ROLE: &str = "\
do $$ begin
    perform set_config('session_replication_role', 'replica', false);
exception when insufficient_privilege then null;
end $$";

/// Sequences and offsets are far below 2^63.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A text as an SQL literal.
pub(crate) fn quote_literal(text: &str) -> String {
    // standard_conforming_strings is on in our sessions.
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn optional_literal(text: Option<&str>) -> String {
    text.map_or_else(|| "null".into(), quote_literal)
}

fn commit_time(committed_at_us: Option<i64>) -> String {
    match committed_at_us {
        Some(us) => format!("timestamptz 'epoch' + interval '1 microsecond' * {us}"),
        None => "null".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_quoted() {
        assert_eq!(quote_literal("a'b\\"), "'a''b\\'");
        assert_eq!(optional_literal(None), "null");
    }
}
