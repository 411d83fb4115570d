//! What a replicated table looks like: names, columns, key.
//!
//! Both programs need it. The miner builds a [`TableDefinition`] for every table
//! whose rows it decodes and stores it in staging as JSON; the loader reads it back to
//! know which canonical cell belongs to which column. A definition is immutable: a
//! changed table is a new version with a new [`DefinitionId`].
//!
//! This module does no I/O and knows nothing of the wire format (that is the miner's
//! `decode`) or of target types (that is the loader's `route`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A table at the source: database and table name, exactly as the source spells them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// Database (schema) at the source.
    pub database: String,
    /// Table name within the database.
    pub table: String,
}

impl TableName {
    /// Names a table.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            table: table.into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// Number of one definition version in one staging database: 1, 2, 3, …
///
/// Every staged row event names the version it was decoded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DefinitionId(pub u32);

impl fmt::Display for DefinitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One version of a table's definition, columns in source order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// The table.
    pub name: TableName,
    /// Columns in the order of the row image; cell `i` of a staged row is column `i`.
    pub columns: Vec<Column>,
    /// What identifies a row.
    pub key: Key,
}

impl TableDefinition {
    /// Indices of the key columns in key order; empty for a table without a key.
    pub fn key_columns(&self) -> &[usize] {
        match &self.key {
            Key::Primary(columns) | Key::Unique(columns) => columns,
            Key::None => &[],
        }
    }
}

/// What identifies a row: the primary key, else the first unique index in definition
/// order whose columns are all NOT NULL, else nothing. Indices into
/// [`TableDefinition::columns`], in index order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The primary key.
    Primary(Vec<usize>),
    /// A unique index over NOT NULL columns.
    Unique(Vec<usize>),
    /// No key: the table is a multiset of rows.
    None,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name as the source spells it.
    pub name: String,
    /// Type as far as canonical text and target types depend on it.
    #[serde(flatten)]
    pub column_type: ColumnType,
    /// Whether the column may hold NULL.
    pub nullable: bool,
    /// Whether the source computes the value (virtual or stored).
    #[serde(default)]
    pub generated: bool,
    /// Whether the log leaves the column out of updates and deletes, as MariaDB 11 does with
    /// generated ones. No row of such a version has its value: the cell says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlogged: bool,
}

/// Whether an integer column holds negative numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Two's complement.
    Signed,
    /// `UNSIGNED` (also `ZEROFILL`).
    Unsigned,
}

/// Storage width of an integer column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegerWidth {
    /// TINYINT, 1 byte.
    Tiny,
    /// SMALLINT, 2 bytes.
    Small,
    /// MEDIUMINT, 3 bytes.
    Medium,
    /// INT, 4 bytes.
    Int,
    /// BIGINT, 8 bytes.
    Big,
}

/// A column's type at the source. Fractional `digits` are 0 to 6. Charset names are
/// MySQL's (`utf8mb4`, `latin1`, …).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnType {
    /// TINYINT to BIGINT.
    Integer {
        /// Storage width.
        width: IntegerWidth,
        /// Signed or unsigned.
        sign: Sign,
    },
    /// DECIMAL(precision, scale).
    Decimal {
        /// Total digits, 1 to 65.
        precision: u8,
        /// Digits after the point, 0 to 38.
        scale: u8,
    },
    /// FLOAT (32 bits).
    Float,
    /// DOUBLE (64 bits).
    Double,
    /// BIT(bits), 1 to 64.
    Bit {
        /// Number of bits.
        bits: u8,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// DATETIME(digits): wall clock, never shifted.
    DateTime {
        /// Fractional digits.
        digits: u8,
    },
    /// TIMESTAMP(digits): an instant, canonical in UTC.
    Timestamp {
        /// Fractional digits.
        digits: u8,
    },
    /// TIME(digits): signed duration to 838:59:59.
    Time {
        /// Fractional digits.
        digits: u8,
    },
    /// CHAR(max_chars).
    Char {
        /// Declared length in characters.
        max_chars: u32,
        /// Character set.
        charset: String,
    },
    /// VARCHAR(max_chars).
    Varchar {
        /// Declared length in characters.
        max_chars: u32,
        /// Character set.
        charset: String,
    },
    /// TINYTEXT to LONGTEXT.
    Text {
        /// Character set.
        charset: String,
    },
    /// BINARY(bytes).
    Binary {
        /// Declared length in bytes.
        bytes: u32,
    },
    /// VARBINARY(max_bytes).
    Varbinary {
        /// Declared length in bytes.
        max_bytes: u32,
    },
    /// TINYBLOB to LONGBLOB.
    Blob,
    /// ENUM; label `i` has index `i + 1`, index 0 is the empty string.
    Enum {
        /// Labels in definition order, in UTF-8.
        labels: Vec<String>,
    },
    /// SET; label `i` is bit `i`.
    Set {
        /// Labels in definition order, in UTF-8.
        labels: Vec<String>,
    },
    /// MySQL's binary JSON (MariaDB's JSON is a LONGTEXT).
    Json,
    /// GEOMETRY and its subtypes.
    Geometry,
    /// VECTOR.
    Vector,
    /// MariaDB INET4.
    Inet4,
    /// MariaDB INET6.
    Inet6,
    /// MariaDB UUID.
    Uuid,
}
