//! Why a table or a row cannot go to the target.

use common::error::ErrorClass;
use common::table::TableName;

use super::cell::CellError;

/// Why a table has no route.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouteError {
    /// The target table is missing.
    #[error(
        "source table {source_table} has no target: create table {schema}.{table}, or send it elsewhere with a [[rule]]"
    )]
    NoTable {
        /// The source table.
        source_table: TableName,
        /// Schema that was searched.
        schema: String,
        /// Name that was looked for.
        table: String,
    },
    /// Several target tables differ in letter case.
    #[error(
        "source table {source_table} matches several target tables: {}; name one with pg_table in a [[rule]]",
        candidates.join(", ")
    )]
    AmbiguousTable {
        /// The source table.
        source_table: TableName,
        /// The tables found.
        candidates: Vec<String>,
    },
    /// The target table does not fit.
    #[error(
        "target table {target_table} does not fit source table {source_table}: {}",
        problems.join("; ")
    )]
    Misfit {
        /// The source table.
        source_table: TableName,
        /// The target table.
        target_table: String,
        /// What does not fit, with what to do.
        problems: Vec<String>,
    },
}

impl RouteError {
    /// What to do about it: the message says.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// Why a row cannot be written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    /// A cell that the target column cannot take.
    #[error("column {column} holds {}", error.reason())]
    Cell {
        /// The column.
        column: String,
        /// Why.
        error: CellError,
    },
    /// A value that binary COPY is not for: the row may go as text.
    #[error("column {column} holds a value that has to go as text")]
    NotBinary {
        /// The column.
        column: String,
    },
    /// The row has not one cell per column.
    #[error("the staged row has not one cell per column")]
    CellCount,
}
