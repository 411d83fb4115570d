//! Why a batch cannot be applied.

use std::convert::Infallible;

use common::error::ErrorClass;
use common::pg::{Operation as _, PgError};
use common::position::BinlogPosition;
use common::table::TableName;
use postgres::error::SqlState;

use crate::dead_letters::{DeadLetterError, Refusal};
use crate::route::{CellError, RouteError, RowError};
use crate::target::SessionError;
use crate::target::session::is_of_a_row;

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
         them off; {remedy}",
        hazards.join(", ")
    )]
    Hazards {
        /// The source table.
        source_table: TableName,
        /// The target table.
        target_table: String,
        /// Triggers and foreign keys.
        hazards: Vec<String>,
        /// What to do.
        remedy: &'static str,
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
    /// The target refuses a row, and it is not known which.
    #[error(
        "target table {} refuses changes of {} {}: {refusal}; mysql2gp.events shows the rows; correct the target table \
         and start the loader again",
        place.target_table, place.source_table, place.transactions
    )]
    Refused {
        /// Where.
        place: Box<Place>,
        /// SQLSTATE, column and constraint; never the value.
        refusal: Refusal,
    },
    /// The target refuses a row, and the table's dead letters are full.
    #[error(transparent)]
    OverLimit(Box<OverLimit>),
    /// The dead letters cannot be kept.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
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
    /// Rows that a TRUNCATE takes away cannot be told from those of other tables.
    #[error(
        "TRUNCATE of {} {}: target table {} may hold rows of other source tables (disjoint_keys), and nothing tells \
         them apart; delete the rows of {} from it by hand, then `binlog_loader ack {end}`, and start the loader again",
        place.source_table, place.transactions, place.target_table, place.source_table
    )]
    SharedTruncate {
        /// Where.
        place: Box<Place>,
        /// End of the transaction.
        end: String,
    },
    /// An insert meets a row that may be another source table's.
    #[error(
        "target table {} holds a row of a key that {} inserts {}: it may be another source table's, though \
         disjoint_keys = true says that keys never meet, and is not overwritten; if it is none of another's, delete it and \
         start the loader again, else keep the tables apart by columns.add_to_key",
        place.target_table, place.source_table, place.transactions
    )]
    SharedKey {
        /// Where.
        place: Box<Place>,
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

/// A row that the target refuses and that is one too many for the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "target table {target_table} refuses a row of {source_table} ({key}): {refusal}; it is row {row_number} of the \
     transaction that ends at {position} (event_seq {event_seq} in mysql2gp.events), and nothing of its batch was \
     applied: the dead letters hold {held} rows of the table and may hold {limit}, the batch has at least {found} more; \
     correct the target table, or raise ignore_copy_error_count_each_table in [desc.pgsql], and start the loader again"
)]
pub struct OverLimit {
    /// The source table.
    pub source_table: TableName,
    /// The target table.
    pub target_table: String,
    /// Names of the key columns, for the message.
    pub key: String,
    /// Why.
    pub refusal: Refusal,
    /// End of the source transaction.
    pub position: String,
    /// Number of the event within it.
    pub row_number: u64,
    /// Number of the event in this staging.
    pub event_seq: u64,
    /// Dead letters of the table.
    pub held: u64,
    /// How many there may be.
    pub limit: u64,
    /// Refused rows of the batch, as far as they were looked for.
    pub found: u64,
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
            Self::DeadLetters(error) => error.class(),
            Self::Hazards { .. }
            | Self::Statement(_)
            | Self::Refused { .. }
            | Self::OverLimit(_)
            | Self::TooManyDeleted { .. }
            | Self::SharedTruncate { .. }
            | Self::SharedKey { .. }
            | Self::Row { .. } => ErrorClass::Operator,
        }
    }
}

impl ApplyError {
    /// Whether single rows may be the cause, so that it is worth to look for them.
    pub(super) fn may_be_rows(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Row { source, .. } => refused_cell(source).is_some(),
            Self::Pg(error) => error.sqlstate().is_some_and(|sqlstate| {
                // Two keys of the stream are one to the target.
                *sqlstate == SqlState::CARDINALITY_VIOLATION || is_of_a_row(sqlstate.code())
            }),
            Self::Session(_)
            | Self::Statement(_)
            | Self::Route(_)
            | Self::Hazards { .. }
            | Self::OverLimit(_)
            | Self::DeadLetters(_)
            | Self::SharedTruncate { .. }
            | Self::SharedKey { .. }
            | Self::TooManyDeleted { .. } => false,
        }
    }
}

/// The refusal in an error that a row has caused. The message and the context quote values; of
/// the context only the column's name and the line are taken.
pub(super) fn refusal(error: &postgres::Error) -> Option<Refusal> {
    let db = error.as_db_error()?;
    let code = db.code().code();
    if !is_of_a_row(code) {
        return None;
    }
    let mut reason = meaning(code).to_owned();
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
    Some(Refusal {
        sqlstate: code.to_owned(),
        reason,
        line: db.where_().and_then(line_of_context),
    })
}

/// What the server has said while it was written to.
pub(super) fn server_error(error: &std::io::Error) -> Option<&postgres::Error> {
    error.get_ref()?.downcast_ref()
}

/// Any other error of writing to it.
pub(super) fn lost(operation: &'static str, error: std::io::Error) -> ApplyError {
    let Err(error) = Err::<Infallible, _>(error).operation(operation);
    error.into()
}

/// The refusal in an error of ours; `None` when the staged text is damaged.
pub(super) fn refused_cell(error: &RowError) -> Option<Refusal> {
    match error {
        RowError::CellCount
        | RowError::NotBinary { .. }
        | RowError::Cell {
            error: CellError::Malformed,
            ..
        } => None,
        RowError::Cell { error: cell, .. } => Some(Refusal {
            sqlstate: cell.sqlstate().to_owned(),
            reason: error.to_string(),
            line: None,
        }),
    }
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
        "54000" => "too large for an index",
        "P0001" => "refused by a trigger",
        _ => "the row does not fit",
    }
}

/// The number in `COPY t, line 3, column c: "value"`.
fn line_of_context(context: &str) -> Option<usize> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let (_, rest) = line.split_once(", line ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
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
        assert_eq!(line_of_context(context), Some(3));
        assert_eq!(line_of_context("COPY orders, line 12"), Some(12));
        assert_eq!(line_of_context("SQL function f"), None);
        assert_eq!(column_of_context("COPY orders, line 3: \"secret\""), None);
        assert_eq!(
            column_of_context("COPY orders, line 1, column a: null input").unwrap(),
            "a"
        );
    }
}
