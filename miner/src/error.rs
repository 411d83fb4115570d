//! Why the miner stops, and what that means.

use std::fmt;

use common::checkpoint::CheckpointError;
use common::error::ErrorClass;
use common::metrics::MetricsError;
use common::pg::PgError;
use common::position::BinlogPosition;
use common::settings::SettingsError;
use common::staging::migrate::MigrateError;
use common::table::TableName;
use postgres::error::SqlState;

use crate::decode::DecodeError;
use crate::source::SourceError;

/// Why the miner stops.
#[derive(Debug, thiserror::Error)]
pub enum MinerError {
    /// Configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Figures cannot be shown as configured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Staging, in migration.
    #[error("staging")]
    Migrate(#[from] MigrateError),
    /// Staging.
    #[error("staging")]
    Staging(#[source] PgError),
    /// The target's checkpoint.
    #[error("target")]
    Checkpoint(#[from] CheckpointError),
    /// The target, asked for the checkpoint.
    #[error("target")]
    Target(#[source] PgError),
    /// An event cannot be carried exactly.
    #[error("stop before binlog position {place}{}", in_brackets(source.remedy()))]
    Decode {
        /// Which event.
        place: Box<Place>,
        /// Why.
        source: DecodeError,
    },
    /// An event that stands for changes that cannot be carried.
    #[error("stop before binlog position {place}: {reason}; {remedy}")]
    Refused {
        /// Which event.
        place: Box<Place>,
        /// Why.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Another miner serves this task.
    #[error(
        "another miner holds task {task}: {holder}; this one exits after waiting {waited_seconds} s"
    )]
    Held {
        /// The task.
        task: String,
        /// Who, as it said when it started.
        holder: String,
        /// How long this one has waited.
        waited_seconds: u64,
    },
    /// A later miner took over while this one was cut off or paused.
    #[error(
        "a later miner took over task {task} while this one ran: {holder}; this copy must not write any more: leave that one \
         running, or stop both and start one"
    )]
    Fenced {
        /// The task.
        task: String,
        /// Who, as it said when it started.
        holder: String,
    },
    /// The configured start is not the one that the task began with.
    #[error(
        "the configured start {configured} differs from {recorded}, with which task {task} began: put it back, or run \
         binlog_loader reset and start with an empty staging database"
    )]
    OtherStart {
        /// The task.
        task: String,
        /// What is configured.
        configured: String,
        /// What is recorded.
        recorded: String,
    },
    /// Staging is too large.
    #[error(
        "staging holds {bytes} bytes, its staging_hard_limit is {limit}: start binlog_loader, or raise the limit"
    )]
    StagingFull {
        /// Size of the staging database.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The loader needs what is no longer staged.
    #[error("the loader needs changes that are no longer staged")]
    AskedBack,
    /// The table list is to be read again.
    #[error("the table list is read again; starting over")]
    Relist,
    /// Staging is lost, and tables wait at positions that no longer can be told.
    #[error(
        "tables {} are behind the target's checkpoint at positions of another server's log, and staging no longer holds \
         what they wait for: start the miner on that server, if it still has its log; or take the tables out of the \
         list, start again, and load and list them anew",
        list(tables)
    )]
    Elsewhere {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// Rows of a newly listed table may lie in transactions that were mined without it.
    #[error(
        "tables {} are new in the list, and XA transactions that were prepared before are open, of which their rows \
         were not staged: commit or roll those back at the source (XA RECOVER), let the miner pass them with the old \
         list, and list the tables then",
        list(tables)
    )]
    PreparedBefore {
        /// The tables.
        tables: Vec<TableName>,
    },
    /// `--once` could not reach a server in time.
    #[error("gave up after {seconds} s: {reason}")]
    GaveUp {
        /// `connect_timeout`.
        seconds: u64,
        /// The last failure.
        reason: String,
    },
    /// A thread could not be started or ended by a panic.
    #[error("thread {name} failed: this is a bug, please report it with the log")]
    Thread {
        /// The thread.
        name: &'static str,
    },
    /// A stop was asked for while the log was read ahead.
    #[error("stopped while reading ahead for DDL statements")]
    Stopping,
    /// Standard output is gone.
    #[error("write the answer")]
    Output(#[source] std::io::Error),
    /// Signal handlers.
    #[error("install signal handlers")]
    Signals(#[source] std::io::Error),
}

fn in_brackets(remedy: Option<&str>) -> String {
    remedy.map_or_else(String::new, |remedy| format!(" ({remedy})"))
}

/// Which event an error is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// End of the event.
    pub position: BinlogPosition,
    /// The table, when the event has one.
    pub table: Option<TableName>,
}

impl Place {
    /// A place, boxed since errors travel through every result.
    pub fn new(position: &BinlogPosition, table: Option<&TableName>) -> Box<Self> {
        Box::new(Self {
            position: position.clone(),
            table: table.cloned(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.fmt(f)?;
        match &self.table {
            Some(table) => write!(f, ", table {table}"),
            None => Ok(()),
        }
    }
}

impl MinerError {
    /// Whether the staging server's disk is full: it answers, but nothing can be staged.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Staging(error) if error.sqlstate() == Some(&SqlState::DISK_FULL))
    }

    /// A file of the log is not the one that was read before.
    pub fn reset_log(position: &BinlogPosition) -> Self {
        Self::Refused {
            place: Place::new(position, None),
            reason: "the source's log was reset: the file of this name is not the one that was read before".into(),
            remedy: "load the tables anew, run binlog_loader reset and start with an empty staging database",
        }
    }

    /// The table that it is about, when it is one.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::Decode { place, .. } | Self::Refused { place, .. } => place.table.as_ref(),
            Self::Source(SourceError::Definition { table, .. }) => Some(table),
            Self::PreparedBefore { tables } | Self::Elsewhere { tables } => {
                tables.first().filter(|_| tables.len() == 1)
            }
            Self::Settings(_)
            | Self::Metrics(_)
            | Self::Source(_)
            | Self::Migrate(_)
            | Self::Staging(_)
            | Self::Checkpoint(_)
            | Self::Target(_)
            | Self::Held { .. }
            | Self::Fenced { .. }
            | Self::OtherStart { .. }
            | Self::StagingFull { .. }
            | Self::AskedBack
            | Self::Relist
            | Self::GaveUp { .. }
            | Self::Thread { .. }
            | Self::Stopping
            | Self::Output(_)
            | Self::Signals(_) => None,
        }
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Settings(_) => ErrorClass::Usage,
            Self::Metrics(error) => error.class(),
            Self::Source(error) => error.class(),
            Self::Migrate(error) => error.class(),
            Self::Staging(error) | Self::Target(error) => error.class(),
            Self::Checkpoint(error) => error.class(),
            Self::Decode { .. }
            | Self::Refused { .. }
            | Self::Fenced { .. }
            | Self::OtherStart { .. }
            | Self::Elsewhere { .. }
            | Self::PreparedBefore { .. }
            | Self::StagingFull { .. } => ErrorClass::Operator,
            Self::Held { .. }
            | Self::GaveUp { .. }
            | Self::Stopping
            | Self::AskedBack
            | Self::Relist
            | Self::Thread { .. }
            | Self::Output(_)
            | Self::Signals(_) => ErrorClass::Failed,
        }
    }
}

fn list(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    names.join(", ")
}
