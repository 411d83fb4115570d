//! What changes rows without telling the log all of it.

use common::table::TableName;

/// A sequence or a system-versioned table (MariaDB).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTable {
    /// The table.
    pub name: TableName,
    /// `SEQUENCE` or `SYSTEM VERSIONED`.
    pub kind: String,
}

/// A foreign key that changes rows of its table by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// The table whose rows change.
    pub child: TableName,
    /// The constraint.
    pub constraint: String,
    /// Its ON DELETE rule.
    pub on_delete: String,
    /// Its ON UPDATE rule.
    pub on_update: String,
}
