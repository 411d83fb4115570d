//! Why the dead letters cannot be kept.

use common::error::ErrorClass;
use common::pg::PgError;
use common::table::TableName;

/// Why the dead letters cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// Staging cannot be read or written.
    #[error("staging: {0}")]
    Staging(#[source] PgError),
    /// The target cannot be read or written.
    #[error(transparent)]
    Target(PgError),
    /// Staging or target do not hold what they should.
    #[error("{what} is damaged: it cannot be read")]
    Malformed {
        /// Table and column.
        what: &'static str,
    },
    /// Staging is another one now, or another loader's.
    #[error("another loader has begun to read staging, or staging was made anew; starting over")]
    Taken,
    /// The event of a refused row is not staged.
    #[error(
        "staging is damaged: event {event_seq}, which is being applied, is not in it; drop the staging database, and \
         the miner stages again from the target's checkpoint"
    )]
    NotStaged {
        /// The event.
        event_seq: u64,
    },
    /// Later changes cannot be told to be of the same row.
    #[error(
        "the columns that identify a row of {table} have changed, and {count} rows of it are in the dead letters of \
         before: settle them with `binlog_loader dead-letters retry` or `discard`, then start the loader again"
    )]
    OtherKey {
        /// The source table.
        table: TableName,
        /// Unresolved dead letters.
        count: usize,
    },
}

impl DeadLetterError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Staging(error) | Self::Target(error) => error.class(),
            Self::Taken => ErrorClass::Failed,
            Self::Malformed { .. } | Self::NotStaged { .. } | Self::OtherKey { .. } => {
                ErrorClass::Operator
            }
        }
    }
}
