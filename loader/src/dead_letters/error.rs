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
    /// Staging does not hold what it should.
    #[error("staging is damaged: {what} cannot be read")]
    Malformed {
        /// Table and column.
        what: &'static str,
    },
    /// The event of a refused row is not staged.
    #[error("staging is damaged: event {event_seq}, which is being applied, is not in it")]
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
    /// The target knows of refused rows that staging does not hold any more.
    #[error(
        "{count} rows that the target refused were lost with the staging database, the first of {table} in the \
         transaction that ends at {position}: `binlog_loader dead-letters list` shows all; bring these rows to the \
         target by hand, then `binlog_loader dead-letters discard` them and start the loader again; or load \
         everything anew with `binlog_loader reset`"
    )]
    Lost {
        /// How many.
        count: usize,
        /// Source table of the first.
        table: TableName,
        /// End of the first one's transaction.
        position: String,
    },
}

impl DeadLetterError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Staging(error) | Self::Target(error) => error.class(),
            Self::Malformed { .. }
            | Self::NotStaged { .. }
            | Self::OtherKey { .. }
            | Self::Lost { .. } => ErrorClass::Operator,
        }
    }
}
