//! Row images: from the bytes of a rows event to canonical COPY text.
//!
//! Wire: a bitmap of NULL columns, then the values that are not NULL, each as its type
//! has it, without separators. Both speak of the columns in the image only.

use common::staging::codec::NOT_LOGGED;
use common::table::{TableDefinition, TableName};

use super::binary::{push_geometry, push_inet4, push_inet6, push_uuid, push_vector};
use super::bytes::{bit, bitmap_bytes, take, take_prefixed};
use super::column_compression::decompress;
use super::copy_text::{CopyText, NULL, NulBytePolicy};
use super::decimal::DecimalLayout;
use super::error::{CellError, DecodeError};
use super::json::push_json;
use super::number::{integer_bytes, push_bits, push_double, push_float, push_integer, push_year};
use super::plan::{CellPlan, plan, type_name};
use super::rows::ColumnBitmap;
use super::table_map::TableMap;
use super::temporal::{fraction_bytes, push_date, push_datetime, push_time, push_timestamp};
use super::temporal_old::{push_old_datetime, push_old_time, push_old_timestamp};

/// Decoded row images in COPY text format. Meant to be reused: [`RowImage::clear`]
/// keeps the memory.
#[derive(Debug, Default)]
pub struct RowImage {
    text: CopyText,
    /// End of each cell in the text; the next one starts after a tab.
    ends: Vec<usize>,
}

impl RowImage {
    /// No cells.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the cells and the count of substitutions.
    pub fn clear(&mut self) {
        self.text.bytes.clear();
        self.text.nul_substitutions = 0;
        self.ends.clear();
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Cell `index`, escaped as in COPY text; NULL is `\N`.
    pub fn cell(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before)? + 1,
            None => 0,
        };
        self.text.bytes.get(start..end)
    }

    /// All cells in order.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.cell(index))
    }

    /// All cells, separated by tabs.
    pub fn text(&self) -> &[u8] {
        &self.text.bytes
    }

    /// How many 0x00 the policy has taken out or replaced since [`RowImage::clear`].
    pub fn nul_substitutions(&self) -> u64 {
        self.text.nul_substitutions
    }

    /// Takes back everything after `mark`.
    fn rewind(&mut self, mark: &Mark) {
        self.text.bytes.truncate(mark.bytes);
        self.text.nul_substitutions = mark.nul_substitutions;
        self.ends.truncate(mark.cells);
    }

    fn mark(&self) -> Mark {
        Mark {
            bytes: self.text.bytes.len(),
            nul_substitutions: self.text.nul_substitutions,
            cells: self.ends.len(),
        }
    }
}

/// A state of a [`RowImage`].
struct Mark {
    bytes: usize,
    nul_substitutions: u64,
    cells: usize,
}

/// Which cells of an image are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Key,
}

/// Decodes the row images of one table under one definition.
#[derive(Debug)]
pub struct RowDecoder {
    table: TableName,
    columns: Vec<PlannedColumn>,
}

/// A column's plan, and its names for errors.
#[derive(Debug)]
struct PlannedColumn {
    plan: CellPlan,
    name: String,
    type_name: &'static str,
    /// Left out of updates and deletes, hence never carried.
    unlogged: bool,
    in_key: bool,
}

impl RowDecoder {
    /// Plans the decoding. In key columns 0x00 is refused whatever the policy, since a
    /// substitute would no longer identify the row.
    ///
    /// # Errors
    /// As [`super::check_fit`].
    pub fn new(
        map: &TableMap,
        definition: &TableDefinition,
        policy: NulBytePolicy,
    ) -> Result<Self, DecodeError> {
        let columns = plan(map, definition, policy)?
            .into_iter()
            .zip(&definition.columns)
            .enumerate()
            .map(|(index, (plan, column))| PlannedColumn {
                plan,
                name: column.name.clone(),
                type_name: type_name(&column.column_type),
                unlogged: column.unlogged,
                in_key: definition.key_columns().contains(&index),
            })
            .collect();
        Ok(Self {
            table: map.name.clone(),
            columns,
        })
    }

    /// Number of columns of a full image.
    pub fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// Decodes one full row image from the front of `input` and appends its cells. Columns
    /// that are not logged may be absent, and get the same cell whether they are or not.
    ///
    /// # Errors
    /// A partial image, a cut one, or a value that is not exact in text. `image` is then
    /// as it was before; `input` is somewhere inside the row.
    pub fn decode(
        &self,
        input: &mut &[u8],
        present: ColumnBitmap<'_>,
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        self.decode_wanted(input, present, Wanted::All, image)
    }

    /// The same for the cells of the key: the others are passed over, and their cells stay empty.
    ///
    /// # Errors
    /// As [`RowDecoder::decode`]; what is passed over need not be exact in text.
    pub fn decode_key(
        &self,
        input: &mut &[u8],
        present: ColumnBitmap<'_>,
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        self.decode_wanted(input, present, Wanted::Key, image)
    }

    fn decode_wanted(
        &self,
        input: &mut &[u8],
        present: ColumnBitmap<'_>,
        wanted: Wanted,
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        if present.columns() != self.columns.len() || !self.suffices(present) {
            return Err(DecodeError::PartialRowImage {
                table: Box::new(self.table.clone()),
                present: present.count(),
                columns: self.columns.len(),
            });
        }
        let mark = image.mark();
        let decoded = self.decode_cells(input, present, wanted, image);
        if decoded.is_err() {
            image.rewind(&mark);
        }
        decoded
    }

    /// Whether the image lacks no column but those that are not logged.
    pub fn suffices(&self, present: ColumnBitmap<'_>) -> bool {
        present.is_full()
            || self
                .columns
                .iter()
                .enumerate()
                .all(|(index, column)| column.unlogged || present.contains(index))
    }

    fn decode_cells(
        &self,
        input: &mut &[u8],
        present: ColumnBitmap<'_>,
        wanted: Wanted,
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        let full = present.is_full();
        let count = if full {
            self.columns.len()
        } else {
            present.count()
        };
        let nulls = take(input, bitmap_bytes(count)).map_err(|_| DecodeError::CutRow {
            table: Box::new(self.table.clone()),
        })?;
        let mut place = 0;
        for (index, column) in self.columns.iter().enumerate() {
            if !image.ends.is_empty() {
                image.text.push_plain(b"\t");
            }
            if !full && !present.contains(index) {
                image.text.push_plain(NOT_LOGGED);
            } else {
                let is_null = bit(nulls, place);
                place += 1;
                if wanted == Wanted::All || column.in_key {
                    self.decode_cell(column, is_null, input, image)?;
                } else if !is_null {
                    self.pass_over(column, input, image)?;
                }
            }
            image.ends.push(image.text.bytes.len());
        }
        Ok(())
    }

    #[inline]
    fn decode_cell(
        &self,
        column: &PlannedColumn,
        is_null: bool,
        input: &mut &[u8],
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        let mark = column.unlogged.then(|| image.mark());
        if is_null {
            image.text.push_plain(NULL);
        } else {
            column
                .plan
                .decode(input, &mut image.text)
                .map_err(|source| self.cell_error(column, source))?;
        }
        if let Some(mark) = mark {
            image.rewind(&mark);
            image.text.push_plain(NOT_LOGGED);
        }
        Ok(())
    }

    #[inline]
    fn pass_over(
        &self,
        column: &PlannedColumn,
        input: &mut &[u8],
        image: &mut RowImage,
    ) -> Result<(), DecodeError> {
        column
            .plan
            .pass_over(input, image)
            .map_err(|source| self.cell_error(column, source))
    }

    #[cold]
    fn cell_error(&self, column: &PlannedColumn, source: CellError) -> DecodeError {
        DecodeError::Cell {
            table: Box::new(self.table.clone()),
            column: column.name.clone(),
            type_name: column.type_name,
            source,
        }
    }
}

impl CellPlan {
    /// Takes one value from `input` and appends its text.
    #[inline]
    fn decode(&self, input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
        match self {
            Self::Integer { width, sign } => push_integer(*width, *sign, input, out),
            Self::Decimal(layout) => DecimalLayout::push(layout, input, out),
            Self::Float => push_float(input, out),
            Self::Double => push_double(input, out),
            Self::Bit { bits } => push_bits(*bits, input, out),
            Self::Year => push_year(input, out),
            Self::Date => push_date(input, out),
            Self::DateTime { digits } => push_datetime(*digits, input, out),
            Self::Timestamp { digits } => push_timestamp(*digits, input, out),
            Self::Time { digits } => push_time(*digits, input, out),
            Self::OldDateTime { digits } => push_old_datetime(*digits, input, out),
            Self::OldTimestamp { digits } => push_old_timestamp(*digits, input, out),
            Self::OldTime { digits } => push_old_time(*digits, input, out),
            Self::Text {
                length_bytes,
                max_bytes,
                charset,
                nul,
            } => {
                let text = take_value(input, *length_bytes, *max_bytes)?;
                charset.push(text, *nul, out)
            }
            Self::Bytes {
                length_bytes,
                max_bytes,
            } => out.push_bytea(take_value(input, *length_bytes, *max_bytes)?),
            Self::Padded {
                length_bytes,
                width,
            } => out.push_padded_bytea(take_value(input, *length_bytes, *width)?, *width),
            Self::Json { length_bytes, nul } => {
                push_json(take_prefixed(input, *length_bytes)?, *nul, out)
            }
            Self::Geometry { length_bytes } => {
                push_geometry(take_prefixed(input, *length_bytes)?, out)
            }
            Self::Vector {
                length_bytes,
                max_bytes,
            } => push_vector(take_value(input, *length_bytes, *max_bytes)?, out),
            Self::Inet4 => push_inet4(take_prefixed(input, 1)?, out),
            Self::Inet6 => push_inet6(take_prefixed(input, 1)?, out),
            Self::Uuid => push_uuid(take_prefixed(input, 1)?, out),
            Self::Compressed { length_bytes, text } => {
                let mut plain = Vec::new();
                decompress(take_prefixed(input, *length_bytes)?, &mut plain)?;
                match text {
                    Some((charset, nul)) => charset.push(&plain, *nul, out),
                    None => out.push_bytea(&plain),
                }
            }
            Self::Enum(labels) => labels.push_enum(input, out),
            Self::Set(labels) => labels.push_set(input, out),
        }
    }
}

impl CellPlan {
    /// Takes one value from `input`, whatever it is.
    #[inline]
    fn pass_over(&self, input: &mut &[u8], image: &mut RowImage) -> Result<(), CellError> {
        let bytes = match self {
            Self::Integer { width, .. } => integer_bytes(*width),
            Self::Float => 4,
            Self::Double => 8,
            Self::Date => 3,
            Self::DateTime { digits } => 5 + fraction_bytes(*digits),
            Self::Timestamp { digits } => 4 + fraction_bytes(*digits),
            Self::Time { digits } => 3 + fraction_bytes(*digits),
            Self::Text {
                length_bytes,
                max_bytes,
                ..
            }
            | Self::Bytes {
                length_bytes,
                max_bytes,
            } => return take_value(input, *length_bytes, *max_bytes).map(|_| ()),
            Self::Json { length_bytes, .. } | Self::Geometry { length_bytes } => {
                return take_prefixed(input, *length_bytes).map(|_| ());
            }
            // Rare, or cheap to decode.
            Self::Decimal(_)
            | Self::Bit { .. }
            | Self::Year
            | Self::OldDateTime { .. }
            | Self::OldTimestamp { .. }
            | Self::OldTime { .. }
            | Self::Padded { .. }
            | Self::Enum(_)
            | Self::Set(_)
            | Self::Vector { .. }
            | Self::Inet4
            | Self::Inet6
            | Self::Uuid
            | Self::Compressed { .. } => {
                let mark = image.mark();
                self.decode(input, &mut image.text)?;
                image.rewind(&mark);
                return Ok(());
            }
        };
        take(input, bytes).map(|_| ())
    }
}

/// A value with its length in front, which must not exceed the column's.
#[inline]
fn take_value<'a>(
    input: &mut &'a [u8],
    length_bytes: u8,
    max_bytes: usize,
) -> Result<&'a [u8], CellError> {
    let value = take_prefixed(input, length_bytes)?;
    if value.len() > max_bytes {
        return Err(CellError::TooLong { bytes: value.len() });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use common::table::{Column, ColumnType, IntegerWidth, Key, Sign};

    use super::*;
    use crate::decode::table_map::{WireColumn, wire};

    /// `id int` (the key), `t varchar(10) latin1`, `u varchar(10) utf8mb4`.
    fn table() -> (TableMap, TableDefinition) {
        let column = |name: &str, column_type| Column {
            name: name.to_owned(),
            column_type,
            nullable: true,
            generated: false,
            unlogged: false,
        };
        let varchar = |charset: &str| ColumnType::Varchar {
            max_chars: 10,
            charset: charset.to_owned(),
        };
        let wire = |type_code, metadata| WireColumn {
            type_code,
            metadata,
            nullable: true,
        };
        let name = TableName::new("d", "t");
        let map = TableMap {
            table_id: 1,
            name: name.clone(),
            columns: vec![
                wire(wire::LONG, 0),
                wire(wire::VARCHAR, 10),
                wire(wire::VARCHAR, 40),
            ],
            metadata: None,
        };
        let integer = ColumnType::Integer {
            width: IntegerWidth::Int,
            sign: Sign::Signed,
        };
        let definition = TableDefinition {
            name,
            columns: vec![
                column("id", integer),
                column("t", varchar("latin1")),
                column("u", varchar("utf8mb4")),
            ],
            key: Key::Primary(vec![0, 2]),
        };
        (map, definition)
    }

    fn decoder(policy: NulBytePolicy) -> RowDecoder {
        let (map, definition) = table();
        RowDecoder::new(&map, &definition, policy).unwrap()
    }

    fn full() -> ColumnBitmap<'static> {
        ColumnBitmap::new(&[0x07], 3).unwrap()
    }

    const ROW: &[u8] = b"\0\x01\0\0\0\x03a\tb\x02\xc3\xa9";

    #[test]
    fn images_follow_one_another() {
        let decoder = decoder(NulBytePolicy::Error);
        let bytes = [ROW, b"\x06\xff\xff\xff\xff"].concat();
        let mut input = bytes.as_slice();
        let mut image = RowImage::new();
        decoder.decode(&mut input, full(), &mut image).unwrap();
        decoder.decode(&mut input, full(), &mut image).unwrap();
        assert!(input.is_empty());
        assert_eq!(image.text(), "1\ta\\tb\té\t-1\t\\N\t\\N".as_bytes());
        let cells: Vec<&[u8]> = image.cells().collect();
        assert_eq!(
            cells,
            [
                b"1".as_slice(),
                b"a\\tb",
                "é".as_bytes(),
                b"-1",
                b"\\N",
                b"\\N"
            ]
        );
        assert_eq!(image.cell(6), None);
        image.clear();
        assert!(image.is_empty() && image.text().is_empty());
    }

    #[test]
    fn a_row_cut_anywhere_leaves_the_image_as_it_was() {
        let decoder = decoder(NulBytePolicy::Error);
        let mut image = RowImage::new();
        decoder.decode(&mut &ROW[..], full(), &mut image).unwrap();
        let before = image.text().to_vec();
        for cut in 0..ROW.len() {
            let found = decoder.decode(&mut &ROW[..cut], full(), &mut image);
            assert!(found.is_err(), "cut at {cut}");
            assert_eq!((image.text(), image.len()), (before.as_slice(), 3));
        }
    }

    #[test]
    fn partial_images_are_refused_with_their_count() {
        let decoder = decoder(NulBytePolicy::Error);
        let partial = ColumnBitmap::new(&[0x05], 3).unwrap();
        let error = decoder
            .decode(&mut &ROW[..], partial, &mut RowImage::new())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "d.t: row image has 2 of 3 columns: set binlog_row_image = FULL"
        );
    }

    #[test]
    fn a_column_that_is_not_logged_may_be_absent_and_never_has_a_value() {
        let (map, mut definition) = table();
        definition.columns[1].unlogged = true;
        let decoder = RowDecoder::new(&map, &definition, NulBytePolicy::Error).unwrap();
        let mut image = RowImage::new();
        let without = ColumnBitmap::new(&[0x05], 3).unwrap();
        for (row, present) in [
            (ROW, full()),
            (b"\x02\x01\0\0\0\x02\xc3\xa9", full()),
            (b"\0\x01\0\0\0\x02\xc3\xa9", without),
        ] {
            let mut input = row;
            image.clear();
            decoder.decode(&mut input, present, &mut image).unwrap();
            assert!(input.is_empty());
            assert_eq!(image.text(), "1\t\\-\té".as_bytes());
        }
        // The bitmap of NULL values has a bit for each column that is there.
        image.clear();
        decoder
            .decode(&mut &b"\x02\x01\0\0\0"[..], without, &mut image)
            .unwrap();
        assert_eq!(image.text(), b"1\t\\-\t\\N");
        let without_key = ColumnBitmap::new(&[0x06], 3).unwrap();
        assert!(matches!(
            decoder.decode(&mut &ROW[..], without_key, &mut image),
            Err(DecodeError::PartialRowImage { .. })
        ));
    }

    #[test]
    fn nul_policy_holds_outside_the_key_only() {
        let decoder = decoder(NulBytePolicy::Strip);
        let mut image = RowImage::new();
        let outside = b"\0\x01\0\0\0\x03a\0b\x01k";
        decoder
            .decode(&mut &outside[..], full(), &mut image)
            .unwrap();
        assert_eq!(
            (image.text(), image.nul_substitutions()),
            (b"1\tab\tk".as_slice(), 1)
        );
        let inside = b"\0\x01\0\0\0\x01a\x02k\0";
        let error = decoder
            .decode(&mut &inside[..], full(), &mut image)
            .unwrap_err();
        assert!(
            matches!(&error, DecodeError::Cell { column, source: CellError::NulByte, .. }
                if column == "u"),
            "{error}"
        );
    }

    #[test]
    fn errors_name_table_and_column_but_no_value() {
        let decoder = decoder(NulBytePolicy::Error);
        let secret = b"\0\x01\0\0\0\x01a\x07secret\xff";
        let error = decoder
            .decode(&mut &secret[..], full(), &mut RowImage::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "d.t: column u (VARCHAR)");
        assert!(!format!("{error:?}").contains("secret"));
        let long = b"\0\x01\0\0\0\x0babcdefghijk\0";
        let error = decoder
            .decode(&mut &long[..], full(), &mut RowImage::new())
            .unwrap_err();
        assert!(matches!(
            error,
            DecodeError::Cell {
                source: CellError::TooLong { bytes: 11 },
                ..
            }
        ));
    }

    #[test]
    fn a_definition_that_does_not_fit_names_the_column() {
        let (map, definition) = table();
        let mut wider = map.clone();
        wider.columns.push(wider.columns[0]);
        let error = RowDecoder::new(&wider, &definition, NulBytePolicy::Error).unwrap_err();
        assert_eq!(
            error.to_string(),
            "d.t: definition does not fit the event: 3 columns expected, 4 found; the source logs columns that the \
             table does not show (a hidden primary key, or the hash of a unique index over long texts), or it was \
             altered without a log: give it a primary key of its own and shorter indexes, load it anew and start \
             behind this position, or take it out of the list"
        );
        let mut other = map.clone();
        other.columns[1].metadata = 20;
        let error = RowDecoder::new(&other, &definition, NulBytePolicy::Error).unwrap_err();
        assert_eq!(
            error.to_string(),
            "d.t: definition does not fit the event: column t: VARCHAR(10) latin1 expected, \
             VARCHAR or VARBINARY of 20 bytes found; load the table anew and start behind this position, or take \
             it out of the list"
        );
        let mut other = map;
        other.columns[0].type_code = wire::LONGLONG;
        let error = RowDecoder::new(&other, &definition, NulBytePolicy::Error).unwrap_err();
        assert_eq!(
            error.to_string(),
            "d.t: definition does not fit the event: column id: INT expected, BIGINT found; load the table anew and \
             start behind this position, or take it out of the list"
        );
    }

    #[test]
    fn an_unsupported_charset_is_refused_by_name() {
        let (map, mut definition) = table();
        definition.columns[1].column_type = ColumnType::Varchar {
            max_chars: 10,
            charset: "swe7".to_owned(),
        };
        let error = RowDecoder::new(&map, &definition, NulBytePolicy::Error).unwrap_err();
        assert_eq!(
            error.to_string(),
            "d.t: column t has character set swe7, which is not supported: take the table out of the list, or give \
             the column another type, load the table anew and start behind this position"
        );
    }
}
