//! Rows events: which table, which operation, and the row images, still as bytes.
//!
//! Wire (`rows_event.h`): table id (6 bytes), flags u16, version 2 only: length of extra
//! data u16 (itself included) and extra data; number of columns (length-encoded), bitmap
//! of present columns, UPDATE only: a second bitmap for the after images; row images to
//! the end. In the MariaDB events 166 to 171 the row images are a compressed record.

use std::borrow::Cow;

use super::bytes::{Fields, bit, bitmap_bytes};
use super::compressed::decompress_record;
use super::error::DecodeError;
use super::event::{EventBytes, code, event_name};
use super::table_map::MAX_COLUMNS;

/// Flag: last rows event of the statement; table ids end here.
const STATEMENT_END: u16 = 0x0001;

/// Flag: `foreign_key_checks = 0` at the source.
const NO_FOREIGN_KEY_CHECKS: u16 = 0x0002;

/// A compressed rows event grows to no more than this; the server itself splits rows
/// events near `binlog_row_event_max_size` and a row is limited to 4 GB.
const MAX_ROWS_BYTES: u64 = 4 << 30;

/// What happened to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOperation {
    /// One image per row: after.
    Insert,
    /// Two images per row: before, after.
    Update,
    /// One image per row: before.
    Delete,
}

/// Whether the statement goes on in another rows event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementEnd {
    /// More rows events of the statement follow.
    No,
    /// This is its last one; table ids may be reused.
    Yes,
}

/// Which columns an image holds; bit `i` is column `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnBitmap<'a> {
    bits: &'a [u8],
    columns: usize,
}

impl<'a> ColumnBitmap<'a> {
    /// A bitmap over `columns` columns.
    pub fn new(bits: &'a [u8], columns: usize) -> Option<Self> {
        (bits.len() == bitmap_bytes(columns)).then_some(Self { bits, columns })
    }

    /// Number of columns that the bitmap speaks of.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether column `index` is in the image.
    pub fn contains(&self, index: usize) -> bool {
        index < self.columns && bit(self.bits, index)
    }

    /// Number of columns in the image.
    pub fn count(&self) -> usize {
        (0..self.columns).filter(|i| self.contains(*i)).count()
    }

    /// Whether all columns are in the image.
    pub fn is_full(&self) -> bool {
        let (whole, rest) = (self.columns / 8, self.columns % 8);
        let mask = (1_u8 << rest) - 1;
        self.bits.iter().take(whole).all(|byte| *byte == 0xff)
            && (rest == 0 || self.bits.get(whole).is_some_and(|b| b & mask == mask))
    }
}

/// Row changes of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsEvent<'a> {
    /// Refers to the table map that came before.
    pub table_id: u64,
    /// What happened.
    pub operation: RowOperation,
    /// Whether this is the statement's last rows event.
    pub statement_end: StatementEnd,
    /// Whether the source checked foreign keys.
    pub foreign_keys_checked: bool,
    /// Number of columns of the table.
    pub column_count: usize,
    /// Columns in the before images; `None` for an insert.
    pub before: Option<ColumnBitmap<'a>>,
    /// Columns in the after images; `None` for a delete.
    pub after: Option<ColumnBitmap<'a>>,
    /// The row images, one after another without separators.
    pub rows: EventBytes<'a>,
}

/// Layout of a rows event's head.
#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

/// How the images are written.
#[derive(Clone, Copy)]
enum Packing {
    Plain,
    Compressed,
}

/// What an event type says about its layout; `None` if it is not a rows event.
fn layout(event_type: u8) -> Option<(RowOperation, Version, Packing)> {
    use Packing::{Compressed, Plain};
    use RowOperation::{Delete, Insert, Update};
    use Version::{V1, V2};
    Some(match event_type {
        code::WRITE_ROWS_V1 => (Insert, V1, Plain),
        code::UPDATE_ROWS_V1 => (Update, V1, Plain),
        code::DELETE_ROWS_V1 => (Delete, V1, Plain),
        code::WRITE_ROWS => (Insert, V2, Plain),
        code::UPDATE_ROWS => (Update, V2, Plain),
        code::DELETE_ROWS => (Delete, V2, Plain),
        code::MARIADB_WRITE_ROWS_COMPRESSED_V1 => (Insert, V1, Compressed),
        code::MARIADB_UPDATE_ROWS_COMPRESSED_V1 => (Update, V1, Compressed),
        code::MARIADB_DELETE_ROWS_COMPRESSED_V1 => (Delete, V1, Compressed),
        code::MARIADB_WRITE_ROWS_COMPRESSED => (Insert, V2, Compressed),
        code::MARIADB_UPDATE_ROWS_COMPRESSED => (Update, V2, Compressed),
        code::MARIADB_DELETE_ROWS_COMPRESSED => (Delete, V2, Compressed),
        _ => return None,
    })
}

impl<'a> RowsEvent<'a> {
    /// Parses any of the twelve kinds; `Ok(None)` if it is none of them.
    pub(super) fn parse(
        event_type: u8,
        body: &'a [u8],
        id_bytes: usize,
    ) -> Result<Option<Self>, DecodeError> {
        let Some((operation, version, packing)) = layout(event_type) else {
            return Ok(None);
        };
        let event = event_name(event_type);
        let mut fields = Fields::new(event, body);
        let table_id = fields.uint(id_bytes, "table id")?;
        let flags = fields.u16("flags")?;
        if matches!(version, Version::V2) {
            let extra = fields.u16("extra data length")?;
            let extra = extra
                .checked_sub(2)
                .ok_or_else(|| fields.invalid("extra data length"))?;
            fields.take(extra.into(), "extra data")?;
        }
        let column_count = fields.lenenc_size("column count")?;
        if column_count > MAX_COLUMNS {
            return Err(fields.invalid("column count"));
        }
        let bitmap = |fields: &mut Fields<'a>, field| {
            fields
                .take(bitmap_bytes(column_count), field)
                .map(|bits| ColumnBitmap {
                    bits,
                    columns: column_count,
                })
        };
        let first = bitmap(&mut fields, "column bitmap")?;
        let (before, after) = match operation {
            RowOperation::Insert => (None, Some(first)),
            RowOperation::Delete => (Some(first), None),
            RowOperation::Update => (
                Some(first),
                Some(bitmap(&mut fields, "after column bitmap")?),
            ),
        };
        let rows = match packing {
            Packing::Plain => Cow::Borrowed(fields.rest()),
            Packing::Compressed => {
                Cow::Owned(decompress_record(event, fields.rest(), MAX_ROWS_BYTES)?)
            }
        };
        Ok(Some(Self {
            table_id,
            operation,
            statement_end: if flags & STATEMENT_END == 0 {
                StatementEnd::No
            } else {
                StatementEnd::Yes
            },
            foreign_keys_checked: flags & NO_FOREIGN_KEY_CHECKS == 0,
            column_count,
            before,
            after,
            rows,
        }))
    }

    /// Reads only the head of PARTIAL_UPDATE_ROWS.
    pub(super) fn parse_table_id(
        event_type: u8,
        body: &[u8],
        id_bytes: usize,
    ) -> Result<u64, DecodeError> {
        Fields::new(event_name(event_type), body).uint(id_bytes, "table id")
    }
}
