//! Why bytes were not decoded.
//!
//! Variants name the event, the table, the column and the type; they never carry row
//! values, so they may be logged as they are.

use common::gtid::GtidError;
use common::table::TableName;
use thiserror::Error;

/// Why an event, a definition or a row image was refused.
///
/// None of these goes away by trying again: the same bytes give the same answer.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The body ends inside a field.
    #[error("{event} event is cut in {field}")]
    CutEvent {
        /// Event name as the server prints it.
        event: &'static str,
        /// The field that is not all there.
        field: &'static str,
    },
    /// A field holds what the format does not allow.
    #[error("{event} event has an invalid {field}")]
    InvalidEvent {
        /// Event name as the server prints it.
        event: &'static str,
        /// The offending field.
        field: &'static str,
    },
    /// An event that would need what is not implemented.
    #[error("{event} event uses {feature}, which is not supported")]
    UnsupportedEvent {
        /// Event name as the server prints it.
        event: &'static str,
        /// What is not supported.
        feature: &'static str,
    },
    /// A GTID in an event is malformed.
    #[error("{event} event has an invalid GTID")]
    Gtid {
        /// Event name as the server prints it.
        event: &'static str,
        /// What is wrong with it.
        #[source]
        source: GtidError,
    },
    /// Compressed bytes do not decompress to what was announced.
    #[error("{event} event does not decompress")]
    Decompress {
        /// Event name as the server prints it.
        event: &'static str,
        /// The decompressor's reason.
        #[source]
        source: std::io::Error,
    },
    /// A compressed body announces more bytes than the caller allows.
    #[error("{event} event decompresses to {announced} bytes, more than the limit of {limit}")]
    DecompressedSize {
        /// Event name as the server prints it.
        event: &'static str,
        /// Announced size in bytes.
        announced: u64,
        /// Largest size allowed, in bytes.
        limit: u64,
    },
    /// A definition does not describe the rows that an event carries.
    #[error("{table}: definition does not fit the event: {misfit}; {}", misfit.remedy())]
    Misfit {
        /// The table.
        table: Box<TableName>,
        /// Where they differ.
        misfit: Box<Misfit>,
    },
    /// A column's type or charset cannot be decoded.
    #[error(
        "{table}: column {column} has {type_name}, which is not supported: take the table out of the list, or give \
         the column another type, load the table anew and start behind this position"
    )]
    UnsupportedColumn {
        /// The table.
        table: Box<TableName>,
        /// The column.
        column: String,
        /// Type or charset, as the source names it.
        type_name: String,
    },
    /// The catalog or the event's metadata contradicts itself or lacks something.
    #[error("{table}: cannot derive a definition: {reason}")]
    Definition {
        /// The table.
        table: Box<TableName>,
        /// What is missing or wrong.
        reason: Box<DefinitionFault>,
    },
    /// A row image without all columns (`binlog_row_image` is not FULL).
    #[error("{table}: row image has {present} of {columns} columns: set binlog_row_image = FULL")]
    PartialRowImage {
        /// The table.
        table: Box<TableName>,
        /// Columns that the image holds.
        present: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// A row image ends before its last column.
    #[error("{table}: row image is cut in its NULL bitmap")]
    CutRow {
        /// The table.
        table: Box<TableName>,
    },
    /// One value cannot be decoded.
    #[error("{table}: column {column} ({type_name})")]
    Cell {
        /// The table.
        table: Box<TableName>,
        /// The column.
        column: String,
        /// Its type.
        type_name: &'static str,
        /// What is wrong with the value.
        #[source]
        source: CellError,
    },
}

/// How a definition and an event differ.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// Another table altogether.
    #[error("it is of table {expected}")]
    Table {
        /// The definition's table.
        expected: TableName,
    },
    /// Different numbers of columns.
    #[error("{expected} columns expected, {found} found")]
    ColumnCount {
        /// Columns of the definition.
        expected: usize,
        /// Columns of the event.
        found: usize,
    },
    /// A table without columns has no rows to decode.
    #[error("it has no columns")]
    NoColumns,
    /// One column differs.
    #[error("column {column}: {expected} expected, {found} found")]
    Column {
        /// The definition's column.
        column: String,
        /// What the definition says.
        expected: String,
        /// What the event says.
        found: String,
    },
    /// The key names a column that does not exist.
    #[error("its key has no column number {index}")]
    KeyColumn {
        /// The index into the columns.
        index: usize,
    },
}

impl Misfit {
    /// What to do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::ColumnCount { expected, found } if found > expected => {
                "the source logs columns that the table does not show (a hidden primary key, or the hash of a unique \
                 index over long texts), or it was altered without a log: give it a primary key of its own and \
                 shorter indexes, load it anew and start behind this position, or take it out of the list"
            }
            Self::Table { .. }
            | Self::ColumnCount { .. }
            | Self::NoColumns
            | Self::Column { .. }
            | Self::KeyColumn { .. } => {
                "load the table anew and start behind this position, or take it out of the list"
            }
        }
    }
}

/// Why no definition could be derived.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DefinitionFault {
    /// The event has no column names: `binlog_row_metadata` is not FULL.
    #[error("the event carries no column names (binlog_row_metadata is not FULL)")]
    NoNames,
    /// The event's metadata lacks something that it must have for this type.
    #[error("column {column}: the event's metadata has no {missing}")]
    MissingMetadata {
        /// The column.
        column: String,
        /// What is missing.
        missing: &'static str,
    },
    /// A column that the table does not show.
    #[error(
        "column {column} is a hidden one of the source, the hash of a unique index over long texts: take the table \
         out of the list, or make the index one over shorter texts, load the table anew and start behind this position"
    )]
    HiddenColumn {
        /// The column.
        column: String,
    },
    /// A text that should be UTF-8, or in a known charset, is not.
    #[error("column {column}: a label or name is not valid in its charset")]
    MalformedText {
        /// The column, by name or by number.
        column: String,
    },
    /// The catalog's type text is not understood.
    #[error("column {column}: type text {column_type:?} is not understood")]
    ColumnType {
        /// The column.
        column: String,
        /// The text, `information_schema.columns.column_type`.
        column_type: String,
    },
    /// The catalog names no charset for a text column.
    #[error("column {column}: the catalog names no character set")]
    NoCharset {
        /// The column.
        column: String,
    },
    /// The catalog's columns are not numbered 1, 2, 3, …
    #[error("column {column}: the catalog numbers it {ordinal}, {expected} expected")]
    Ordinal {
        /// The column.
        column: String,
        /// Number in the catalog.
        ordinal: u32,
        /// Number that was due.
        expected: u32,
    },
    /// An index names a column that the table does not have.
    #[error("index {index} names the unknown column {column}")]
    IndexColumn {
        /// The index.
        index: String,
        /// The column.
        column: String,
    },
    /// A primary key names a column number that the table does not have.
    #[error("the primary key names column number {index}")]
    KeyColumn {
        /// The number, from 0.
        index: u64,
    },
}

/// What is wrong with one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CellError {
    /// The row image ends inside the value.
    #[error("value is cut")]
    Cut,
    /// A part is outside its range: a month 13, a decimal digit group over its size.
    #[error("{part} is out of range")]
    OutOfRange {
        /// The part.
        part: &'static str,
    },
    /// The value is longer than the column allows.
    #[error("value of {bytes} bytes is longer than the column allows")]
    TooLong {
        /// Length found.
        bytes: usize,
    },
    /// The text would exceed what a PostgreSQL field can hold.
    #[error("value of {bytes} bytes exceeds 1 GB as text")]
    Oversized {
        /// Length of the value, stored or as far as it was written as text.
        bytes: usize,
    },
    /// The bytes are not text in the column's charset.
    #[error("value is not valid {charset}")]
    MalformedText {
        /// The column's charset.
        charset: &'static str,
    },
    /// The text holds 0x00, which PostgreSQL cannot store, and the policy is `error`.
    #[error("value contains 0x00 (policy nul_byte is \"error\", or the column is in the key)")]
    NulByte,
    /// An ENUM index or SET bit without a label.
    #[error("value {index} has no label, the definition has {labels}")]
    NoLabel {
        /// Index or bit number, from 1.
        index: u64,
        /// Labels of the definition.
        labels: usize,
    },
    /// The catalog spells a label with `?`, which may stand for a character that it
    /// cannot hold (they are utf8mb3).
    #[error("a label with `?` may be misspelled by the catalog; binlog_row_metadata=FULL tells it")]
    UnspelledLabel,
    /// A float that SQL does not have: infinite or not a number.
    #[error("value is not a finite number")]
    NotFinite,
    /// Malformed binary JSON.
    #[error("malformed JSON: {part}")]
    Json {
        /// Where it is malformed.
        part: &'static str,
    },
    /// A value of a compressed column does not decompress.
    #[error("malformed compressed value")]
    Compressed,
}

impl CellError {
    /// Shorthand for [`CellError::OutOfRange`].
    pub(super) const fn range(part: &'static str) -> Self {
        Self::OutOfRange { part }
    }
}
