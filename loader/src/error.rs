//! Why the loader ends or pauses: the stages' errors, with the server they come from.

use common::error::ErrorClass;
use common::metrics::MetricsError;
use common::pg::PgError;
use common::position::BinlogPosition;
use common::table::TableName;
use postgres::error::SqlState;

use crate::apply::ApplyError;
use crate::compact::CompactError;
use crate::dead_letters::DeadLetterError;
use crate::fetch::FetchError;
use crate::route::RouteError;
use crate::standing::StandingError;
use crate::target::SessionError;

/// A server that the loader may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// `[local.pgsql]`.
    Staging,
    /// `[desc.pgsql]`.
    Target,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Staging => "staging",
            Self::Target => "target",
        })
    }
}

/// Why the loader ends or pauses.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// Staging cannot be read.
    #[error("staging: {0}")]
    Fetch(#[from] FetchError),
    /// The staged stream is damaged, or a person must act on it.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// The target's session cannot be had.
    #[error("target: {0}")]
    Session(#[from] SessionError),
    /// The target cannot be written.
    #[error("target: {0}")]
    Apply(#[source] ApplyError),
    /// The dead letters cannot be kept.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// The target cannot be read.
    #[error("target: {0}")]
    Target(#[source] PgError),
    /// Another start is configured than the one that the checkpoint records.
    #[error(
        "the configured start {configured} differs from {recorded}, from which the target was loaded; set binlogfile \
         back, or start afresh with `binlog_loader reset` and a new staging database"
    )]
    OtherStart {
        /// As configured.
        configured: String,
        /// As recorded on the target.
        recorded: String,
    },
    /// Staging has been read from before, and the target has no checkpoint.
    #[error(
        "staging begins at {retained}, and the target has no checkpoint of task {task}: earlier changes are no longer \
         staged; stop the miner, drop the staging database and create it again"
    )]
    StagingWithoutCheckpoint {
        /// The task.
        task: String,
        /// Oldest position that staging holds.
        retained: BinlogPosition,
    },
    /// Somebody emptied the target.
    #[error(
        "all replicated target tables are empty, though the stream was applied up to {applied}; to load afresh run \
         `binlog_loader reset`, then drop the staging database; otherwise restore the tables"
    )]
    TargetEmptied {
        /// The checkpoint.
        applied: BinlogPosition,
    },
    /// A table without a key cannot take changes twice.
    #[error(
        "target table {target} holds rows, and source table {table} has no key: changes that it already holds could \
         not be told from new ones; empty it, give the source table a key, or set skip_no_pk_table"
    )]
    KeylessOverlap {
        /// The source table.
        table: TableName,
        /// The target table.
        target: String,
    },
    /// A table is behind another one that its changes must stay in order with.
    #[error(
        "table {table} is paused, or has not caught up since, and shares target table {target} with {other}, where only \
         disjoint_keys keeps their rows apart: a row that moves from one to the other would be lost or come twice; take \
         {other} out of the list, run `binlog_loader resume {table}`, and list {other} again when {table} has caught up"
    )]
    BehindShared {
        /// The table that is behind.
        table: TableName,
        /// The other one.
        other: TableName,
        /// What they share.
        target: String,
    },
    /// The rules contradict each other.
    #[error(transparent)]
    Rules(RouteError),
    /// Figures cannot be shown as configured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A thread panicked.
    #[error("internal error: thread {thread} panicked; please report it with the log")]
    Panicked {
        /// The thread.
        thread: &'static str,
    },
    /// A thread cannot be started.
    #[error("start thread {thread}")]
    Thread {
        /// The thread.
        thread: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<StandingError> for LoaderError {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::Fetch(error) => Self::Fetch(error),
            StandingError::Session(error) => Self::Session(error),
        }
    }
}

impl From<ApplyError> for LoaderError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::DeadLetters(error) => Self::DeadLetters(error),
            error @ (ApplyError::Session(_)
            | ApplyError::Pg(_)
            | ApplyError::Route(_)
            | ApplyError::Hazards { .. }
            | ApplyError::Statement(_)
            | ApplyError::Refused { .. }
            | ApplyError::OverLimit(_)
            | ApplyError::TooManyDeleted { .. }
            | ApplyError::SharedTruncate { .. }
            | ApplyError::SharedKey { .. }
            | ApplyError::Row { .. }) => Self::Apply(error),
        }
    }
}

impl LoaderError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Fetch(error) => error.class(),
            Self::Compact(error) => error.class(),
            Self::Session(error) => error.class(),
            Self::Apply(error) => error.class(),
            Self::DeadLetters(error) => error.class(),
            Self::Target(error) => error.class(),
            Self::Rules(error) => error.class(),
            Self::Metrics(error) => error.class(),
            Self::OtherStart { .. }
            | Self::StagingWithoutCheckpoint { .. }
            | Self::TargetEmptied { .. }
            | Self::BehindShared { .. }
            | Self::KeylessOverlap { .. } => ErrorClass::Operator,
            Self::Panicked { .. } | Self::Thread { .. } => ErrorClass::Failed,
        }
    }

    /// The source table that it is about, when it is one.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::Compact(error) => of_compact(error),
            Self::Apply(error) => of_apply(error),
            Self::DeadLetters(error) => of_dead_letters(error),
            Self::Rules(error) => Some(error.table()),
            Self::KeylessOverlap { table, .. } | Self::BehindShared { table, .. } => Some(table),
            Self::Fetch(_)
            | Self::Session(_)
            | Self::Target(_)
            | Self::OtherStart { .. }
            | Self::StagingWithoutCheckpoint { .. }
            | Self::TargetEmptied { .. }
            | Self::Metrics(_)
            | Self::Panicked { .. }
            | Self::Thread { .. } => None,
        }
    }

    /// Whether another loader has the task.
    pub fn is_of_another_loader(&self) -> bool {
        matches!(
            self,
            Self::Session(SessionError::Held { .. } | SessionError::Fenced { .. })
                | Self::Apply(ApplyError::Session(
                    SessionError::Held { .. } | SessionError::Fenced { .. }
                ))
        )
    }

    /// Whether staging lacks what lies behind the checkpoint: the miner goes back for it.
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_gap())
            || matches!(self, Self::DeadLetters(DeadLetterError::Taken))
    }

    /// Whether a server's disk is full: it answers, but nothing can be written.
    pub fn is_disk_full(&self) -> bool {
        let (Self::Fetch(FetchError::Pg(error))
        | Self::Session(SessionError::Pg(error))
        | Self::Apply(ApplyError::Pg(error) | ApplyError::Session(SessionError::Pg(error)))
        | Self::Target(error)) = self
        else {
            return false;
        };
        error.sqlstate() == Some(&SqlState::DISK_FULL)
    }

    /// The server that is away, when that is the reason.
    pub fn unreachable(&self) -> Option<Server> {
        if self.class() != ErrorClass::Unreachable {
            return None;
        }
        let of_staging = matches!(
            self,
            Self::Fetch(_) | Self::DeadLetters(DeadLetterError::Staging(_))
        );
        Some(if of_staging {
            Server::Staging
        } else {
            Server::Target
        })
    }
}

fn of_compact(error: &CompactError) -> Option<&TableName> {
    match error {
        CompactError::Cells { table, .. }
        | CompactError::Contradiction { table, .. }
        | CompactError::Statement { table, .. } => Some(table),
        CompactError::Damaged { .. }
        | CompactError::Gap { .. }
        | CompactError::EventCount { .. }
        | CompactError::Backwards { .. }
        | CompactError::CutTransaction { .. }
        | CompactError::UnknownDefinition { .. } => None,
    }
}

fn of_apply(error: &ApplyError) -> Option<&TableName> {
    match error {
        ApplyError::Route(error) => Some(error.table()),
        ApplyError::Hazards { source_table, .. } => Some(source_table),
        ApplyError::Statement(statement) => Some(&statement.source_table),
        ApplyError::OverLimit(over) => Some(&over.source_table),
        ApplyError::Refused { place, .. }
        | ApplyError::TooManyDeleted { place, .. }
        | ApplyError::SharedTruncate { place, .. }
        | ApplyError::SharedKey { place }
        | ApplyError::Row { place, .. } => Some(&place.source_table),
        ApplyError::DeadLetters(error) => of_dead_letters(error),
        ApplyError::Session(_) | ApplyError::Pg(_) => None,
    }
}

fn of_dead_letters(error: &DeadLetterError) -> Option<&TableName> {
    match error {
        DeadLetterError::OtherKey { table, .. } => Some(table),
        DeadLetterError::Staging(_)
        | DeadLetterError::Target(_)
        | DeadLetterError::Malformed { .. }
        | DeadLetterError::Taken
        | DeadLetterError::NotStaged { .. } => None,
    }
}
