//! What the program does besides applying: `status`, `check`, `reset`, `ack`.

pub mod ack;

pub mod check;

pub mod reset;

pub mod status;

use std::io;

use common::error::ErrorClass;
use common::pg::PgError;
use common::position::BinlogPosition;

use crate::compact::CompactError;
use crate::fetch::FetchError;
use crate::target::SessionError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Staging cannot be read.
    #[error("staging: {0}")]
    Fetch(#[from] FetchError),
    /// Staging cannot be read.
    #[error("staging: {0}")]
    Staging(#[source] PgError),
    /// The target cannot be used.
    #[error("target: {0}")]
    Session(#[from] SessionError),
    /// The staged stream is damaged.
    #[error(transparent)]
    Compact(#[from] CompactError),
    /// Standard output or input is gone.
    #[error("write the answer")]
    Output(#[from] io::Error),
    /// Neither program has run.
    #[error("staging database {database} holds no task yet: start binlog_miner first")]
    NoTask {
        /// The database.
        database: String,
    },
    /// Not confirmed.
    #[error("nothing was changed: confirm with `yes`, or give --yes")]
    NotConfirmed,
    /// There is no checkpoint to work on.
    #[error("the target has no checkpoint of task {task}: nothing was applied yet")]
    NoCheckpoint {
        /// The task.
        task: String,
    },
    /// Rows come before the statement.
    #[error(
        "changes before {position} are not applied yet: run binlog_loader until it stops at the statement, then ack it"
    )]
    ChangesBefore {
        /// The position to acknowledge.
        position: BinlogPosition,
    },
    /// Another statement waits, or none.
    #[error("no statement waits at {position}; {}", waiting.as_ref().map_or_else(
        || "none is staged next".to_owned(),
        |position| format!("the next one is at {position}")
    ))]
    NoStatement {
        /// The position to acknowledge.
        position: BinlogPosition,
        /// Where one waits.
        waiting: Option<BinlogPosition>,
    },
}

impl CommandError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Fetch(error) => error.class(),
            Self::Staging(error) => error.class(),
            Self::Session(error) => error.class(),
            Self::Compact(error) => error.class(),
            Self::Output(_) | Self::NoTask { .. } => ErrorClass::Failed,
            Self::NotConfirmed
            | Self::NoCheckpoint { .. }
            | Self::ChangesBefore { .. }
            | Self::NoStatement { .. } => ErrorClass::Usage,
        }
    }
}
