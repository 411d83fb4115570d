//! What the program does besides applying: `status`, `check`, `reset`, `ack`,
//! `dead-letters`, `pause`, `resume`.

pub mod ack;

pub mod check;

pub mod dead_letters;

pub mod pause;

pub mod reset;

pub mod status;

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use common::error::ErrorClass;
use common::pg::PgError;
use common::position::BinlogPosition;
use common::table::TableName;

use crate::apply::ApplyError;
use crate::compact::CompactError;
use crate::dead_letters::DeadLetterError;
use crate::fetch::FetchError;
use crate::standing::StandingError;
use crate::target::SessionError;

/// Whether the operator has confirmed on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// `--yes`.
    Yes,
    /// To be asked.
    Ask,
}

/// Asks at the terminal; anything but `yes` is a no.
fn confirm(question: &str, out: &mut impl Write) -> Result<(), CommandError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::NotConfirmed);
    }
    write!(out, "{question} [yes/no] ")?;
    out.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(CommandError::NotConfirmed)
    }
}

impl From<StandingError> for CommandError {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::Fetch(error) => Self::Fetch(error),
            StandingError::Session(error) => Self::Session(error),
        }
    }
}

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
    /// The target cannot be written.
    #[error("target: {0}")]
    Apply(#[from] ApplyError),
    /// The dead letters cannot be read or written.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// There is no such dead letter.
    #[error("there is no dead letter {id}; `binlog_loader dead-letters list` shows them")]
    NoDeadLetter {
        /// Its number.
        id: i64,
    },
    /// The batch with the row is being applied.
    #[error(
        "dead letter {id}: its batch is not committed yet; try again once the loader has gone on"
    )]
    NotCommitted {
        /// Its number.
        id: i64,
    },
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
    /// No such table is replicated.
    #[error("no table {table} is replicated{}", near.as_ref().map_or_else(
        || "; `binlog_loader status` lists the tables".to_owned(),
        |near| format!("; did you mean {near}?")
    ))]
    NoTable {
        /// As asked for.
        table: TableName,
        /// One that is called much the same.
        near: Option<TableName>,
    },
    /// Its rows are not kept apart from those of another table.
    #[error(
        "table {table} cannot be held back alone: it shares target table {target} with {other}, and only \
         disjoint_keys keeps their rows apart; a row that moves from one to the other would be lost or come twice. \
         With columns.add_to_key in their rules each can be paused"
    )]
    Shared {
        /// The table.
        table: TableName,
        /// A table that it shares its target with.
        other: TableName,
        /// The target table.
        target: String,
    },
    /// The running loader does not answer.
    #[error(
        "the loader that holds the task ({holder}) has not taken it up within {waited_seconds} s, and nothing was \
         changed: it may be within a large batch or wait for a server, see `binlog_loader status`; try again, or with \
         a longer --timeout"
    )]
    NotTaken {
        /// Who.
        holder: String,
        /// How long this one waited.
        waited_seconds: u64,
    },
    /// Rows come before the statement.
    #[error(
        "changes before {position} are not applied yet: run binlog_loader until it stops at the statement, then ack it"
    )]
    ChangesBefore {
        /// The position to acknowledge.
        position: BinlogPosition,
    },
    /// The statement waits with its table.
    #[error(
        "the statement at {position} is of table {table}, which is paused, and waits with it: run `binlog_loader resume \
         {table}` while no loader runs, then this again, and start the loader; where it is said then that changes come \
         before the statement, start the loader first: it ends at the statement"
    )]
    OfPaused {
        /// The position to acknowledge.
        position: BinlogPosition,
        /// The table.
        table: TableName,
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
            Self::Apply(error) => error.class(),
            Self::DeadLetters(error) => error.class(),
            Self::Output(_)
            | Self::NoTask { .. }
            | Self::NotCommitted { .. }
            | Self::NotTaken { .. } => ErrorClass::Failed,
            Self::NotConfirmed
            | Self::NoDeadLetter { .. }
            | Self::NoTable { .. }
            | Self::Shared { .. }
            | Self::NoCheckpoint { .. }
            | Self::ChangesBefore { .. }
            | Self::OfPaused { .. }
            | Self::NoStatement { .. } => ErrorClass::Usage,
        }
    }
}
