//! Optional metadata of a TABLE_MAP: names, signedness, charsets, labels, key.
//!
//! Wire (WL#4618; `Table_map_event::Optional_metadata_field_type`): type u8, length
//! (length-encoded), value, repeated. MySQL writes 1, 2, 3, 7, 10, 11 and 12, 13 also
//! with `binlog_row_metadata=MINIMAL`; MariaDB writes nothing by default. Fields speak
//! of the columns of certain wire types only, in column order; a default charset field
//! names the common one and lists the exceptions. MariaDB counts GEOMETRY among the
//! character types, MySQL does not.

use common::table::Sign;

use super::bytes::Fields;
use super::error::DecodeError;
use super::format::Flavor;
use super::table_map::{WireColumn, wire};

/// Optional metadata, by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullMetadata {
    /// One entry per column of the table map.
    pub columns: Vec<ColumnMetadata>,
    /// Columns of the primary key in key order; empty if the event names none (no key,
    /// or MINIMAL metadata).
    pub primary_key: Vec<PrimaryKeyPart>,
}

/// What the event says about one column; `None` where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnMetadata {
    /// Name.
    pub name: Option<String>,
    /// Signedness of a numeric column.
    pub sign: Option<Sign>,
    /// Collation id of a character, ENUM or SET column; 63 is binary.
    pub collation: Option<u64>,
    /// Labels of an ENUM or SET column in the column's charset.
    pub labels: Option<Vec<Vec<u8>>>,
    /// Subtype of a GEOMETRY column, 0 for any (OGC numbering).
    pub geometry_type: Option<u64>,
    /// Whether `SELECT *` shows the column.
    pub visible: Option<bool>,
    /// Dimensions of a VECTOR column.
    pub dimensions: Option<u64>,
}

/// A column of the primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryKeyPart {
    /// Index of the column.
    pub column: usize,
    /// Characters of the column that are in the key; 0 is the whole column.
    pub prefix_chars: u64,
}

impl FullMetadata {
    /// Whether all columns have names (`binlog_row_metadata=FULL`).
    pub fn has_names(&self) -> bool {
        self.columns.iter().all(|column| column.name.is_some())
    }

    pub(super) fn parse(
        fields: &mut Fields<'_>,
        wire_columns: &[WireColumn],
        flavor: Flavor,
    ) -> Result<Self, DecodeError> {
        let mut metadata = Self {
            columns: vec![ColumnMetadata::default(); wire_columns.len()],
            primary_key: Vec::new(),
        };
        let character_types = match flavor {
            Flavor::MySql => is_character,
            Flavor::MariaDb => is_character_or_geometry,
        };
        while !fields.is_empty() {
            let kind = fields.u8("metadata type")?;
            let len = fields.lenenc_size("metadata length")?;
            let mut value = fields.sub(len, "metadata value")?;
            metadata.parse_field(kind, &mut value, wire_columns, character_types)?;
            // Left-over bytes mean that the columns were counted wrongly.
            if !value.is_empty() {
                return Err(fields.invalid("metadata length"));
            }
        }
        Ok(metadata)
    }

    fn parse_field(
        &mut self,
        kind: u8,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
        character_types: fn(u8) -> bool,
    ) -> Result<(), DecodeError> {
        match kind {
            1 => self.parse_signedness(value, wire_columns),
            2 => self.parse_default_charset(value, wire_columns, character_types),
            3 => self.parse_charsets(value, wire_columns, character_types),
            4 => self.parse_names(value),
            5 => self.parse_labels(value, wire_columns, wire::SET),
            6 => self.parse_labels(value, wire_columns, wire::ENUM),
            7 => self.parse_geometry_types(value, wire_columns),
            8 => self.parse_primary_key(value, |_| Ok(0)),
            9 => self.parse_primary_key(value, |value| value.lenenc("primary key prefix")),
            10 => self.parse_default_charset(value, wire_columns, is_enum_or_set),
            11 => self.parse_charsets(value, wire_columns, is_enum_or_set),
            12 => self.parse_visibility(value),
            13 => self.parse_dimensions(value, wire_columns),
            // A later addition; what it says is not needed to decode a row.
            _ => {
                value.rest();
                Ok(())
            }
        }
    }

    fn parse_geometry_types(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
    ) -> Result<(), DecodeError> {
        for column in self.of_type(wire_columns, |code| code == wire::GEOMETRY) {
            column.geometry_type = Some(value.lenenc("geometry type")?);
        }
        Ok(())
    }

    fn parse_dimensions(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
    ) -> Result<(), DecodeError> {
        for column in self.of_type(wire_columns, |code| code == wire::VECTOR) {
            column.dimensions = Some(value.lenenc("vector dimensions")?);
        }
        Ok(())
    }

    /// The columns whose wire type passes `filter`.
    fn of_type<'s>(
        &'s mut self,
        wire_columns: &'s [WireColumn],
        filter: impl Fn(u8) -> bool + 's,
    ) -> impl Iterator<Item = &'s mut ColumnMetadata> {
        self.columns
            .iter_mut()
            .zip(wire_columns)
            .filter(move |(_, wire)| filter(wire.type_code))
            .map(|(column, _)| column)
    }

    /// One bit per numeric column from the high bit of the first byte; set is unsigned.
    fn parse_signedness(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
    ) -> Result<(), DecodeError> {
        let mut bits = HighBits::default();
        for column in self.of_type(wire_columns, is_numeric) {
            column.sign = Some(if bits.next(value, "signedness")? {
                Sign::Unsigned
            } else {
                Sign::Signed
            });
        }
        Ok(())
    }

    fn parse_visibility(&mut self, value: &mut Fields<'_>) -> Result<(), DecodeError> {
        let mut bits = HighBits::default();
        for column in &mut self.columns {
            column.visible = Some(bits.next(value, "visibility")?);
        }
        Ok(())
    }

    /// The most frequent collation, then pairs of position (among the columns of this
    /// group) and collation for the others.
    fn parse_default_charset(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
        group: fn(u8) -> bool,
    ) -> Result<(), DecodeError> {
        let default = value.lenenc("default collation")?;
        let mut members: Vec<_> = self.of_type(wire_columns, group).collect();
        for column in &mut members {
            column.collation = Some(default);
        }
        while !value.is_empty() {
            let position = value.lenenc_size("collation position")?;
            let collation = value.lenenc("collation")?;
            members
                .get_mut(position)
                .ok_or_else(|| value.invalid("collation position"))?
                .collation = Some(collation);
        }
        Ok(())
    }

    fn parse_charsets(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
        group: fn(u8) -> bool,
    ) -> Result<(), DecodeError> {
        for column in self.of_type(wire_columns, group) {
            column.collation = Some(value.lenenc("collation")?);
        }
        Ok(())
    }

    fn parse_names(&mut self, value: &mut Fields<'_>) -> Result<(), DecodeError> {
        for column in &mut self.columns {
            let name = value.lenenc_bytes("column name")?;
            let name = std::str::from_utf8(name).map_err(|_| value.invalid("column name"))?;
            column.name = Some(name.to_owned());
        }
        Ok(())
    }

    fn parse_labels(
        &mut self,
        value: &mut Fields<'_>,
        wire_columns: &[WireColumn],
        type_code: u8,
    ) -> Result<(), DecodeError> {
        for column in self.of_type(wire_columns, |code| code == type_code) {
            let count = value.lenenc("label count")?;
            let mut labels = Vec::new();
            for _ in 0..count {
                labels.push(value.lenenc_bytes("label")?.to_vec());
            }
            column.labels = Some(labels);
        }
        Ok(())
    }

    fn parse_primary_key(
        &mut self,
        value: &mut Fields<'_>,
        prefix: impl Fn(&mut Fields<'_>) -> Result<u64, DecodeError>,
    ) -> Result<(), DecodeError> {
        while !value.is_empty() {
            let column = value.lenenc_size("primary key column")?;
            if column >= self.columns.len() {
                return Err(value.invalid("primary key column"));
            }
            let prefix_chars = prefix(value)?;
            self.primary_key.push(PrimaryKeyPart {
                column,
                prefix_chars,
            });
        }
        Ok(())
    }
}

/// Bits from the high end of each byte.
#[derive(Default)]
struct HighBits {
    byte: u8,
    left: u8,
}

impl HighBits {
    fn next(&mut self, value: &mut Fields<'_>, field: &'static str) -> Result<bool, DecodeError> {
        if self.left == 0 {
            self.byte = value.u8(field)?;
            self.left = 8;
        }
        let set = self.byte & 0x80 != 0;
        self.byte <<= 1;
        self.left -= 1;
        Ok(set)
    }
}

/// Types that the signedness bits speak of: YEAR is among them (always unsigned), BIT is
/// not.
fn is_numeric(type_code: u8) -> bool {
    matches!(
        type_code,
        wire::TINY
            | wire::SHORT
            | wire::INT24
            | wire::LONG
            | wire::LONGLONG
            | wire::NEWDECIMAL
            | wire::FLOAT
            | wire::DOUBLE
            | wire::YEAR
    )
}

/// Types that the charset fields speak of.
fn is_character(type_code: u8) -> bool {
    matches!(
        type_code,
        wire::STRING
            | wire::VAR_STRING
            | wire::VARCHAR
            | wire::BLOB
            | wire::VARCHAR_COMPRESSED
            | wire::BLOB_COMPRESSED
            | wire::VECTOR
    )
}

fn is_character_or_geometry(type_code: u8) -> bool {
    is_character(type_code) || type_code == wire::GEOMETRY
}

fn is_enum_or_set(type_code: u8) -> bool {
    matches!(type_code, wire::ENUM | wire::SET)
}
