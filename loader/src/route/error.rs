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
    /// Several source tables go to one target table, and nothing keeps their rows apart.
    #[error(
        "source tables {} and {} both go to target table {target}: {reason}; keep their rows apart by a \
         column that columns.add_to_key adds in their [[rule]] with a value of its own for each, or, where no two of \
         them ever have a row of the same key, say disjoint_keys = true there",
        tables.0, tables.1
    )]
    NotKeptApart {
        /// Two of the source tables.
        tables: Box<(TableName, TableName)>,
        /// The target table.
        target: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The target does not take the value of an added column.
    #[error(
        "target table {target_table} does not take the value that a [[rule]] gives to column {column} in rows of \
         {source_table}, as it stands (SQLSTATE {sqlstate}): correct the value, or the column's type"
    )]
    Constant {
        /// The source table.
        source_table: Box<TableName>,
        /// The target table.
        target_table: String,
        /// The column.
        column: String,
        /// What the target says.
        sqlstate: String,
    },
}

impl RouteError {
    /// The source table that has none, or one of them.
    pub fn table(&self) -> &TableName {
        match self {
            Self::NoTable { source_table, .. }
            | Self::AmbiguousTable { source_table, .. }
            | Self::Misfit { source_table, .. } => source_table,
            Self::Constant { source_table, .. } => source_table,
            Self::NotKeptApart { tables, .. } => &tables.0,
        }
    }

    /// What to do about it: the message says.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotKeptApart { .. } => ErrorClass::Usage,
            Self::NoTable { .. }
            | Self::AmbiguousTable { .. }
            | Self::Misfit { .. }
            | Self::Constant { .. } => ErrorClass::Operator,
        }
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
