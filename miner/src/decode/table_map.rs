//! TABLE_MAP: which table a table id stands for, and its columns' wire types.
//!
//! Wire (`rows_event.h`, `Table_map_event`): table id (6 bytes), flags u16, database and
//! table name (length u8, text, 0), number of columns (length-encoded), one type byte
//! per column, metadata block (length-encoded length), bitmap of nullable columns, then
//! optional metadata (see [`super::metadata`]). The metadata block has 0 to 2 bytes per
//! column, depending on its type, and they do not share a byte order.

use common::table::TableName;

use super::bytes::{Fields, bit, bitmap_bytes};
use super::error::DecodeError;
use super::event::{code, event_name};
use super::format::Flavor;
use super::metadata::FullMetadata;

/// Most columns a table can have (MySQL and MariaDB: 4096; hidden ones counted).
pub(super) const MAX_COLUMNS: usize = 4096;

/// Wire type codes of columns (`enum_field_types`; 140 and 141 are MariaDB's).
pub(super) mod wire {
    pub(in crate::decode) const DECIMAL: u8 = 0;
    pub(in crate::decode) const TINY: u8 = 1;
    pub(in crate::decode) const SHORT: u8 = 2;
    pub(in crate::decode) const LONG: u8 = 3;
    pub(in crate::decode) const FLOAT: u8 = 4;
    pub(in crate::decode) const DOUBLE: u8 = 5;
    pub(in crate::decode) const NULL: u8 = 6;
    pub(in crate::decode) const TIMESTAMP: u8 = 7;
    pub(in crate::decode) const LONGLONG: u8 = 8;
    pub(in crate::decode) const INT24: u8 = 9;
    pub(in crate::decode) const DATE: u8 = 10;
    pub(in crate::decode) const TIME: u8 = 11;
    pub(in crate::decode) const DATETIME: u8 = 12;
    pub(in crate::decode) const YEAR: u8 = 13;
    pub(in crate::decode) const NEWDATE: u8 = 14;
    pub(in crate::decode) const VARCHAR: u8 = 15;
    pub(in crate::decode) const BIT: u8 = 16;
    pub(in crate::decode) const TIMESTAMP2: u8 = 17;
    pub(in crate::decode) const DATETIME2: u8 = 18;
    pub(in crate::decode) const TIME2: u8 = 19;
    pub(in crate::decode) const TYPED_ARRAY: u8 = 20;
    pub(in crate::decode) const BLOB_COMPRESSED: u8 = 140;
    pub(in crate::decode) const VARCHAR_COMPRESSED: u8 = 141;
    pub(in crate::decode) const VECTOR: u8 = 242;
    pub(in crate::decode) const JSON: u8 = 245;
    pub(in crate::decode) const NEWDECIMAL: u8 = 246;
    pub(in crate::decode) const ENUM: u8 = 247;
    pub(in crate::decode) const SET: u8 = 248;
    pub(in crate::decode) const BLOB: u8 = 252;
    pub(in crate::decode) const VAR_STRING: u8 = 253;
    pub(in crate::decode) const STRING: u8 = 254;
    pub(in crate::decode) const GEOMETRY: u8 = 255;

    /// The server's name of a wire type.
    pub(in crate::decode) fn name(type_code: u8) -> &'static str {
        match type_code {
            DECIMAL => "DECIMAL (before 5.0)",
            TINY => "TINYINT",
            SHORT => "SMALLINT",
            LONG => "INT",
            FLOAT => "FLOAT",
            DOUBLE => "DOUBLE",
            NULL => "NULL",
            TIMESTAMP => "TIMESTAMP (old format)",
            LONGLONG => "BIGINT",
            INT24 => "MEDIUMINT",
            DATE | NEWDATE => "DATE",
            TIME => "TIME (old format)",
            DATETIME => "DATETIME (old format)",
            YEAR => "YEAR",
            VARCHAR => "VARCHAR or VARBINARY",
            BIT => "BIT",
            TIMESTAMP2 => "TIMESTAMP",
            DATETIME2 => "DATETIME",
            TIME2 => "TIME",
            TYPED_ARRAY => "a typed array",
            BLOB_COMPRESSED => "TEXT or BLOB COMPRESSED",
            VARCHAR_COMPRESSED => "VARCHAR or VARBINARY COMPRESSED",
            VECTOR => "VECTOR",
            JSON => "JSON",
            NEWDECIMAL => "DECIMAL",
            ENUM => "ENUM",
            SET => "SET",
            BLOB => "TEXT or BLOB",
            VAR_STRING => "VARCHAR (before 5.0)",
            STRING => "CHAR or BINARY",
            GEOMETRY => "GEOMETRY",
            _ => "an unknown type",
        }
    }
}

/// One column as the row images hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireColumn {
    /// Type code. ENUM and SET travel as STRING and are told apart here already.
    pub type_code: u8,
    /// What the type needs besides: maximum length in bytes for strings, length bytes
    /// for blobs, ENUM and SET, fractional digits for times, `precision << 8 | scale`
    /// for decimals, number of bits for BIT, storage bytes for floats.
    pub metadata: u16,
    /// Whether the column may hold NULL.
    pub nullable: bool,
}

/// A table as a TABLE_MAP event describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMap {
    /// Number by which rows events refer to it, until the end of the statement.
    pub table_id: u64,
    /// The table.
    pub name: TableName,
    /// Columns in row image order.
    pub columns: Vec<WireColumn>,
    /// Optional metadata (`binlog_row_metadata`); `None` if the event has none.
    pub metadata: Option<FullMetadata>,
}

impl TableMap {
    /// Parses a TABLE_MAP body with a table id of `id_bytes`.
    pub(super) fn parse(body: &[u8], id_bytes: usize, flavor: Flavor) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::TABLE_MAP), body);
        let table_id = fields.uint(id_bytes, "table id")?;
        fields.u16("flags")?;
        let database = parse_name(&mut fields, "database name")?;
        let table = parse_name(&mut fields, "table name")?;
        let count = fields.lenenc_size("column count")?;
        if count > MAX_COLUMNS {
            return Err(fields.invalid("column count"));
        }
        let types = fields.take(count, "column types")?;
        let block_len = fields.lenenc_size("column metadata length")?;
        let mut block = fields.sub(block_len, "column metadata")?;
        let nullable = fields.take(bitmap_bytes(count), "nullable columns")?;
        let columns = types
            .iter()
            .enumerate()
            .map(|(i, type_code)| parse_column(*type_code, bit(nullable, i), &mut block))
            .collect::<Result<Vec<_>, _>>()?;
        if !block.is_empty() {
            return Err(fields.invalid("column metadata length"));
        }
        let metadata = if fields.is_empty() {
            None
        } else {
            Some(FullMetadata::parse(&mut fields, &columns, flavor)?)
        };
        Ok(Self {
            table_id,
            name: TableName::new(database, table),
            columns,
            metadata,
        })
    }
}

/// A name: length, UTF-8 text, 0.
fn parse_name(fields: &mut Fields<'_>, field: &'static str) -> Result<String, DecodeError> {
    let name = fields.lenenc_bytes(field)?;
    let name = std::str::from_utf8(name).map_err(|_| fields.invalid(field))?;
    if fields.u8(field)? != 0 {
        return Err(fields.invalid(field));
    }
    Ok(name.to_owned())
}

/// One column's metadata (`Field::save_field_metadata`, `table_def::table_def`).
fn parse_column(
    type_code: u8,
    nullable: bool,
    block: &mut Fields<'_>,
) -> Result<WireColumn, DecodeError> {
    const FIELD: &str = "column metadata";
    let (type_code, metadata) = match type_code {
        wire::FLOAT
        | wire::DOUBLE
        | wire::BLOB
        | wire::BLOB_COMPRESSED
        | wire::JSON
        | wire::GEOMETRY
        | wire::VECTOR
        | wire::TIMESTAMP2
        | wire::DATETIME2
        | wire::TIME2 => (type_code, u16::from(block.u8(FIELD)?)),
        wire::VARCHAR | wire::VARCHAR_COMPRESSED | wire::VAR_STRING => {
            (type_code, block.u16(FIELD)?)
        }
        wire::NEWDECIMAL => (type_code, u16::from_be_bytes(block.array(FIELD)?)),
        wire::BIT => {
            let [bits, bytes] = block.array(FIELD)?;
            (type_code, u16::from(bytes) * 8 + u16::from(bits))
        }
        wire::STRING | wire::ENUM | wire::SET => parse_string_metadata(block.array(FIELD)?),
        wire::TYPED_ARRAY => {
            // Refused later by name; its metadata is of no known length.
            block.rest();
            (type_code, 0)
        }
        _ => (type_code, 0),
    };
    Ok(WireColumn {
        type_code,
        metadata,
        nullable,
    })
}

/// CHAR and BINARY up to 1023 bytes share two bytes with the real type: bits 8 and 9 of
/// the length are stored inverted in bits 4 and 5 of the type byte, which every type
/// that is possible here has set (MySQL bug 37426).
fn parse_string_metadata([real_type, length]: [u8; 2]) -> (u8, u16) {
    const SPARE_BITS: u8 = 0x30;
    let length = u16::from(length);
    if real_type & SPARE_BITS == SPARE_BITS {
        return (real_type, length);
    }
    let high = u16::from((real_type & SPARE_BITS) ^ SPARE_BITS) << 4;
    (real_type | SPARE_BITS, length | high)
}
