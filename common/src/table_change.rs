//! What an ALTER TABLE statement does, as far as a target can be seen to have it done already.
//!
//! The miner reads the statement, knowing the session's settings and the table's definition
//! before it; the loader compares with the target. Only changes that are listed here in full
//! are told: a statement with anything else in it has no list, and waits for a person.

use serde::{Deserialize, Serialize};

use crate::table::ColumnType;

/// One change of a table. Changes of indexes, defaults and comments touch neither rows nor
/// columns and are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableChange {
    /// A new column, NULL in every row that was there.
    AddNull {
        /// The column.
        column: String,
    },
    /// A column that is no part of the key is gone.
    Drop {
        /// The column.
        column: String,
    },
    /// A column has become wider; every value is what it was.
    Widen {
        /// The column.
        column: String,
        /// Its type now.
        to: ColumnType,
    },
}
