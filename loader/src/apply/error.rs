//! Why a batch cannot be applied.

use common::error::ErrorClass;
use common::pg::PgError;
use common::position::BinlogPosition;
use common::table::TableName;

use crate::route::{RouteError, RowError};
use crate::target::SessionError;

/// Why a batch cannot be applied. The target transaction is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The session is gone or fenced.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A statement failed.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// A table has no route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The target has what delete-then-insert would set off.
    #[error(
        "target table {target_table} of {source_table} has {}: rows that are deleted and inserted again would set \
         them off, and the loader's user may not set session_replication_role; grant it (superuser, or on \
         PostgreSQL 15 and later: grant set on parameter session_replication_role to it), or drop or disable them",
        hazards.join(", ")
    )]
    Hazards {
        /// The source table.
        source_table: TableName,
        /// The target table.
        target_table: String,
        /// Triggers and foreign keys.
        hazards: Vec<String>,
    },
    /// A statement whose changes the target does not show.
    #[error(
        "the statement at {position} on table {} changes it beyond its rows: {}; target table {} does not show that \
         the same is done there: {}; make the same change by hand and start the loader again, with `binlog_loader ack \
         {position}` before if what is missing is on purpose",
        .0.source_table, .0.statement, .0.target_table, .0.lacking.join("; "),
        position = .0.position
    )]
    Statement(Box<NotRepeated>),
    /// The target refuses a row.
    #[error(
        "target table {} refuses a row of {} {}: {reason}; mysql2gp.events shows the rows; correct the target table \
         and start the loader again",
        place.target_table, place.source_table, place.transactions
    )]
    Refused {
        /// Where.
        place: Box<Place>,
        /// SQLSTATE, column and constraint; never the value.
        reason: String,
    },
    /// More rows of a keyless table were deleted than the stream deletes.
    #[error(
        "target table {} of {} {}: {deleted} rows would be deleted where the stream deletes {expected}; nothing was applied: \
         this is a bug, please report it",
        place.target_table, place.source_table, place.transactions
    )]
    TooManyDeleted {
        /// Where.
        place: Box<Place>,
        /// Rows that the stream deletes.
        expected: u64,
        /// Rows that the statement deleted.
        deleted: u64,
    },
    /// A staged row that the target column cannot take.
    #[error(
        "a row of {} {} cannot go to target table {}",
        place.source_table, place.transactions, place.target_table
    )]
    Row {
        /// Where.
        place: Box<Place>,
        /// Why.
        #[source]
        source: RowError,
    },
}

/// A statement that was not repeated on the target, as far as can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRepeated {
    /// End of the statement's transaction.
    pub position: BinlogPosition,
    /// The source table.
    pub source_table: TableName,
    /// The target table.
    pub target_table: String,
    /// The statement, cut.
    pub statement: String,
    /// What the target would have to have.
    pub lacking: Vec<String>,
}

/// Where a row was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The source table.
    pub source_table: TableName,
    /// The target table.
    pub target_table: String,
    /// Which transactions the batch holds.
    pub transactions: String,
}

impl ApplyError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Session(error) => error.class(),
            Self::Pg(error) => error.class(),
            Self::Route(error) => error.class(),
            Self::Hazards { .. }
            | Self::Statement(_)
            | Self::Refused { .. }
            | Self::TooManyDeleted { .. }
            | Self::Row { .. } => ErrorClass::Operator,
        }
    }
}

/// SQLSTATE, column and constraint of an error that a row has caused. The message and the
/// context quote values; of the context only the column's name is taken.
pub(super) fn refusal(error: &postgres::Error) -> Option<String> {
    let db = error.as_db_error()?;
    let code = db.code().code();
    if !code.starts_with("22") && !code.starts_with("23") {
        return None;
    }
    let mut reason = format!("SQLSTATE {code} ({})", meaning(code));
    let column = db
        .column()
        .map(str::to_owned)
        .or_else(|| db.where_().and_then(column_of_context));
    if let Some(column) = column {
        reason.push_str(&format!(", column {column}"));
    }
    if let Some(constraint) = db.constraint() {
        reason.push_str(&format!(", constraint {constraint}"));
    }
    Some(reason)
}

/// What a SQLSTATE means. Source: PostgreSQL manual, appendix A.
fn meaning(code: &str) -> &'static str {
    match code {
        "22001" => "value too long",
        "22003" => "number out of range",
        "22007" | "22008" => "invalid date or time",
        "22021" => "character not in repertoire",
        "22P02" => "invalid text for the type",
        "22P04" => "row does not have the table's columns",
        "22P05" => "untranslatable character",
        "23502" => "null in a not-null column",
        "23503" => "foreign key violated",
        "23505" => "duplicate key",
        "23514" => "check constraint violated",
        "23P01" => "exclusion constraint violated",
        _ => "the row does not fit",
    }
}

/// The column in `COPY t, line 3, column c: "value"`.
fn column_of_context(context: &str) -> Option<String> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, rest) = line.split_once(", line ")?;
    let (_, rest) = rest.split_once(", column ")?;
    let end = rest.find(": ").unwrap_or(rest.len());
    rest.get(..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_column_is_taken_from_a_context() {
        let context = "COPY orders, line 3, column total: \"secret, column x: y\"";
        assert_eq!(column_of_context(context).unwrap(), "total");
        assert_eq!(column_of_context("COPY orders, line 3: \"secret\""), None);
        assert_eq!(
            column_of_context("COPY orders, line 1, column a: null input").unwrap(),
            "a"
        );
    }
}
