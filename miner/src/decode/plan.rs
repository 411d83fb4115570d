//! One decoding step per column, resolved once per table map and definition.
//!
//! [`check_fit`] and [`super::RowDecoder`] share this: a definition fits a table map
//! when every column's type matches its wire type and metadata, and whatever the event
//! says besides (names, signedness, charsets) agrees.

use common::table::{Column, ColumnType, IntegerWidth, Sign, TableDefinition};

use super::charset::Charset;
use super::collation;
use super::copy_text::NulBytePolicy;
use super::decimal::DecimalLayout;
use super::error::{CellError, DecodeError, Misfit};
use super::labels::{Labels, MAX_ENUM_LABELS, MAX_SET_LABELS, enum_bytes, set_bytes};
use super::metadata::ColumnMetadata;
use super::table_map::{TableMap, WireColumn, wire};
use super::temporal::MAX_DIGITS;

/// Collation id of binary strings.
const BINARY_COLLATION: u64 = 63;

/// A VARCHAR COMPRESSED has room for one more byte than it is declared with.
const COMPRESSION_HEAD: u64 = 1;

/// How to decode one column.
#[derive(Debug)]
pub(super) enum CellPlan {
    Integer {
        width: IntegerWidth,
        sign: Sign,
    },
    Decimal(DecimalLayout),
    Float,
    Double,
    Bit {
        bits: u8,
    },
    Year,
    Date,
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    Time {
        digits: u8,
    },
    OldDateTime {
        digits: u8,
    },
    OldTimestamp {
        digits: u8,
    },
    OldTime {
        digits: u8,
    },
    Text {
        length_bytes: u8,
        max_bytes: usize,
        charset: &'static Charset,
        nul: NulBytePolicy,
    },
    Bytes {
        length_bytes: u8,
        max_bytes: usize,
    },
    /// BINARY(width): stored without trailing 0x00.
    Padded {
        length_bytes: u8,
        width: usize,
    },
    Enum(Labels),
    Set(Labels),
    Json {
        length_bytes: u8,
        nul: NulBytePolicy,
    },
    Geometry {
        length_bytes: u8,
    },
    Vector {
        length_bytes: u8,
        max_bytes: usize,
    },
    Inet4,
    Inet6,
    Uuid,
    /// A COMPRESSED column; the text's charset, or none for bytes.
    Compressed {
        length_bytes: u8,
        text: Option<(&'static Charset, NulBytePolicy)>,
    },
}

/// Why a column has no plan.
pub(super) enum Fault {
    /// Type and wire type do not go together.
    Misfit,
    /// They do, but the type is not supported.
    Unsupported(String),
    /// A label cannot be stored in PostgreSQL.
    Label(CellError),
}

/// Checks that a definition describes the rows that a table map announces, by name and
/// number of columns, types, lengths, and whatever optional metadata the event has.
///
/// # Errors
/// [`DecodeError::Misfit`] names what was expected and found;
/// [`DecodeError::UnsupportedColumn`] a type that cannot be decoded.
pub fn check_fit(map: &TableMap, definition: &TableDefinition) -> Result<(), DecodeError> {
    plan(map, definition, NulBytePolicy::Error).map(|_| ())
}

/// Plans all columns.
pub(super) fn plan(
    map: &TableMap,
    definition: &TableDefinition,
    policy: NulBytePolicy,
) -> Result<Vec<CellPlan>, DecodeError> {
    let misfit = |misfit| DecodeError::Misfit {
        table: Box::new(map.name.clone()),
        misfit: Box::new(misfit),
    };
    check_table(map, definition).map_err(misfit)?;
    map.columns
        .iter()
        .zip(&definition.columns)
        .enumerate()
        .map(|(i, (wire, column))| {
            let metadata = map.metadata.as_ref().and_then(|all| all.columns.get(i));
            if let Some(metadata) = metadata {
                check_metadata(metadata, column, wire).map_err(misfit)?;
            }
            // A value that a policy changed would no longer find its row.
            let nul = if definition.key_columns().contains(&i) {
                NulBytePolicy::Error
            } else {
                policy
            };
            plan_column(wire, &column.column_type, nul).map_err(|fault| match fault {
                Fault::Misfit => misfit(Misfit::Column {
                    column: column.name.clone(),
                    expected: describe(&column.column_type),
                    found: describe_wire(wire),
                }),
                Fault::Unsupported(type_name) => DecodeError::UnsupportedColumn {
                    table: Box::new(map.name.clone()),
                    column: column.name.clone(),
                    type_name,
                },
                Fault::Label(source) => DecodeError::Cell {
                    table: Box::new(map.name.clone()),
                    column: column.name.clone(),
                    type_name: type_name(&column.column_type),
                    source,
                },
            })
        })
        .collect()
}

fn check_table(map: &TableMap, definition: &TableDefinition) -> Result<(), Misfit> {
    if map.name != definition.name {
        return Err(Misfit::Table {
            expected: definition.name.clone(),
        });
    }
    let (expected, found) = (definition.columns.len(), map.columns.len());
    if expected != found {
        return Err(Misfit::ColumnCount { expected, found });
    }
    if found == 0 {
        return Err(Misfit::NoColumns);
    }
    match definition.key_columns().iter().find(|i| **i >= expected) {
        Some(index) => Err(Misfit::KeyColumn { index: *index }),
        None => Ok(()),
    }
}

/// Compares a column with what the event says about it.
fn check_metadata(
    metadata: &ColumnMetadata,
    column: &Column,
    wire: &WireColumn,
) -> Result<(), Misfit> {
    let misfit = |expected: &str, found: &str| Misfit::Column {
        column: column.name.clone(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    if let Some(name) = &metadata.name
        && *name != column.name
    {
        return Err(misfit(&column.name, name));
    }
    if let (Some(found), ColumnType::Integer { sign, .. }) = (metadata.sign, &column.column_type)
        && found != *sign
    {
        return Err(misfit(sign_name(*sign), sign_name(found)));
    }
    if matches!(wire.type_code, wire::ENUM | wire::SET) {
        return check_labels(metadata, column);
    }
    let Some(collation) = metadata.collation else {
        return Ok(());
    };
    let found = if collation == BINARY_COLLATION {
        Some("binary")
    } else {
        collation::charset_of(collation)
    };
    let found = found.unwrap_or("an unknown charset");
    match charset_name(&column.column_type) {
        Some(expected) if Charset::by_name(expected).map(|c| c.name) != Some(found) => {
            Err(misfit(expected, found))
        }
        None if found != "binary" && !is_mariadb_text_like(&column.column_type) => {
            Err(misfit("binary", found))
        }
        Some(_) | None => Ok(()),
    }
}

/// MariaDB's address types may report the charset of their text.
fn is_mariadb_text_like(column_type: &ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::Inet4 | ColumnType::Inet6 | ColumnType::Uuid
    )
}

fn check_labels(metadata: &ColumnMetadata, column: &Column) -> Result<(), Misfit> {
    let (ColumnType::Enum { labels } | ColumnType::Set { labels }) = &column.column_type else {
        return Ok(());
    };
    match &metadata.labels {
        Some(found) if found.len() != labels.len() => Err(Misfit::Column {
            column: column.name.clone(),
            expected: format!("{} labels", labels.len()),
            found: format!("{} labels", found.len()),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Charset of a text type.
fn charset_name(column_type: &ColumnType) -> Option<&str> {
    match column_type {
        ColumnType::Char { charset, .. }
        | ColumnType::Varchar { charset, .. }
        | ColumnType::Text { charset } => Some(charset),
        ColumnType::Integer { .. }
        | ColumnType::Decimal { .. }
        | ColumnType::Float
        | ColumnType::Double
        | ColumnType::Bit { .. }
        | ColumnType::Year
        | ColumnType::Date
        | ColumnType::DateTime { .. }
        | ColumnType::Timestamp { .. }
        | ColumnType::Time { .. }
        | ColumnType::Binary { .. }
        | ColumnType::Varbinary { .. }
        | ColumnType::Blob
        | ColumnType::Enum { .. }
        | ColumnType::Set { .. }
        | ColumnType::Json
        | ColumnType::Geometry
        | ColumnType::Vector
        | ColumnType::Inet4
        | ColumnType::Inet6
        | ColumnType::Uuid => None,
    }
}

/// Matches a definition's type with a wire type.
fn plan_column(
    wire: &WireColumn,
    column_type: &ColumnType,
    nul: NulBytePolicy,
) -> Result<CellPlan, Fault> {
    let meta = wire.metadata;
    let fits = |fits: bool, plan: CellPlan| if fits { Ok(plan) } else { Err(Fault::Misfit) };
    let code = wire.type_code;
    match column_type {
        ColumnType::Integer { width, sign } => fits(
            code == integer_code(*width),
            CellPlan::Integer {
                width: *width,
                sign: *sign,
            },
        ),
        ColumnType::Decimal { precision, scale } => {
            let layout = DecimalLayout::new(*precision, *scale).ok_or(Fault::Misfit)?;
            let expected = u16::from(*precision) << 8 | u16::from(*scale);
            fits(
                code == wire::NEWDECIMAL && meta == expected,
                CellPlan::Decimal(layout),
            )
        }
        ColumnType::Float => fits(code == wire::FLOAT && meta == 4, CellPlan::Float),
        ColumnType::Double => fits(code == wire::DOUBLE && meta == 8, CellPlan::Double),
        ColumnType::Bit { bits } => fits(
            code == wire::BIT && meta == u16::from(*bits) && (1..=64).contains(bits),
            CellPlan::Bit { bits: *bits },
        ),
        ColumnType::Year => fits(code == wire::YEAR, CellPlan::Year),
        ColumnType::Date => fits(matches!(code, wire::DATE | wire::NEWDATE), CellPlan::Date),
        ColumnType::DateTime { digits }
        | ColumnType::Timestamp { digits }
        | ColumnType::Time { digits } => plan_time(wire, column_type, *digits),
        ColumnType::Char { max_chars, charset } => {
            let charset = supported_charset(charset)?;
            let max_bytes = u64::from(*max_chars) * u64::from(charset.max_bytes);
            fits(
                code == wire::STRING && max_bytes == u64::from(meta),
                plan_text(meta, charset, nul),
            )
        }
        ColumnType::Varchar { max_chars, charset } => {
            let charset = supported_charset(charset)?;
            let max_bytes = u64::from(*max_chars) * u64::from(charset.max_bytes);
            if code == wire::VARCHAR_COMPRESSED {
                return fits(
                    max_bytes + COMPRESSION_HEAD == u64::from(meta),
                    CellPlan::Compressed {
                        length_bytes: length_bytes(meta),
                        text: Some((charset, nul)),
                    },
                );
            }
            fits(
                code == wire::VARCHAR && max_bytes == u64::from(meta),
                plan_text(meta, charset, nul),
            )
        }
        ColumnType::Text { charset } => {
            let charset = supported_charset(charset)?;
            if code == wire::BLOB_COMPRESSED {
                return Ok(CellPlan::Compressed {
                    length_bytes: blob_length_bytes(wire, code)?,
                    text: Some((charset, nul)),
                });
            }
            Ok(CellPlan::Text {
                length_bytes: blob_length_bytes(wire, wire::BLOB)?,
                max_bytes: usize::MAX,
                charset,
                nul,
            })
        }
        ColumnType::Binary { bytes } => fits(
            code == wire::STRING && *bytes == u32::from(meta),
            CellPlan::Padded {
                length_bytes: length_bytes(meta),
                width: meta.into(),
            },
        ),
        ColumnType::Varbinary { max_bytes } => {
            if code == wire::VARCHAR_COMPRESSED {
                return fits(
                    u64::from(*max_bytes) + COMPRESSION_HEAD == u64::from(meta),
                    CellPlan::Compressed {
                        length_bytes: length_bytes(meta),
                        text: None,
                    },
                );
            }
            fits(
                code == wire::VARCHAR && *max_bytes == u32::from(meta),
                CellPlan::Bytes {
                    length_bytes: length_bytes(meta),
                    max_bytes: meta.into(),
                },
            )
        }
        ColumnType::Blob if code == wire::BLOB_COMPRESSED => Ok(CellPlan::Compressed {
            length_bytes: blob_length_bytes(wire, code)?,
            text: None,
        }),
        ColumnType::Blob => Ok(CellPlan::Bytes {
            length_bytes: blob_length_bytes(wire, wire::BLOB)?,
            max_bytes: usize::MAX,
        }),
        ColumnType::Enum { labels } => {
            let count = labels.len();
            let bytes = enum_bytes(count);
            if code != wire::ENUM || bytes != meta || count > MAX_ENUM_LABELS {
                return Err(Fault::Misfit);
            }
            let labels = Labels::new(labels, bytes, nul).map_err(Fault::Label)?;
            Ok(CellPlan::Enum(labels))
        }
        ColumnType::Set { labels } => {
            let count = labels.len();
            let bytes = set_bytes(count);
            if code != wire::SET || bytes != meta || count > MAX_SET_LABELS {
                return Err(Fault::Misfit);
            }
            let labels = Labels::new(labels, bytes, nul).map_err(Fault::Label)?;
            Ok(CellPlan::Set(labels))
        }
        ColumnType::Json => Ok(CellPlan::Json {
            length_bytes: blob_length_bytes(wire, wire::JSON)?,
            nul,
        }),
        ColumnType::Geometry => Ok(CellPlan::Geometry {
            length_bytes: blob_length_bytes(wire, wire::GEOMETRY)?,
        }),
        ColumnType::Vector if code == wire::VECTOR => Ok(CellPlan::Vector {
            length_bytes: blob_length_bytes(wire, wire::VECTOR)?,
            max_bytes: usize::MAX,
        }),
        // MariaDB's is a VARBINARY on the wire.
        ColumnType::Vector => fits(
            code == wire::VARCHAR && meta.is_multiple_of(4),
            CellPlan::Vector {
                length_bytes: length_bytes(meta),
                max_bytes: meta.into(),
            },
        ),
        ColumnType::Inet4 => fits(code == wire::STRING && meta == 4, CellPlan::Inet4),
        ColumnType::Inet6 => fits(code == wire::STRING && meta == 16, CellPlan::Inet6),
        ColumnType::Uuid => fits(code == wire::STRING && meta == 16, CellPlan::Uuid),
    }
}

fn integer_code(width: IntegerWidth) -> u8 {
    match width {
        IntegerWidth::Tiny => wire::TINY,
        IntegerWidth::Small => wire::SHORT,
        IntegerWidth::Medium => wire::INT24,
        IntegerWidth::Int => wire::LONG,
        IntegerWidth::Big => wire::LONGLONG,
    }
}

fn plan_time(wire: &WireColumn, column_type: &ColumnType, digits: u8) -> Result<CellPlan, Fault> {
    let new_format = wire.metadata == u16::from(digits) && digits <= MAX_DIGITS;
    let is_datetime = matches!(column_type, ColumnType::DateTime { .. });
    let is_timestamp = matches!(column_type, ColumnType::Timestamp { .. });
    let is_time = matches!(column_type, ColumnType::Time { .. });
    match wire.type_code {
        wire::DATETIME2 if is_datetime && new_format => Ok(CellPlan::DateTime { digits }),
        wire::TIMESTAMP2 if is_timestamp && new_format => Ok(CellPlan::Timestamp { digits }),
        wire::TIME2 if is_time && new_format => Ok(CellPlan::Time { digits }),
        // The old formats do not tell their digits, the definition does.
        wire::DATETIME if is_datetime && digits <= MAX_DIGITS => {
            Ok(CellPlan::OldDateTime { digits })
        }
        wire::TIMESTAMP if is_timestamp && digits <= MAX_DIGITS => {
            Ok(CellPlan::OldTimestamp { digits })
        }
        wire::TIME if is_time && digits <= MAX_DIGITS => Ok(CellPlan::OldTime { digits }),
        _ => Err(Fault::Misfit),
    }
}

pub(super) fn supported_charset(name: &str) -> Result<&'static Charset, Fault> {
    Charset::by_name(name)
        .filter(|charset| charset.is_supported())
        .ok_or_else(|| Fault::Unsupported(format!("character set {name}")))
}

fn plan_text(meta: u16, charset: &'static Charset, nul: NulBytePolicy) -> CellPlan {
    CellPlan::Text {
        length_bytes: length_bytes(meta),
        max_bytes: meta.into(),
        charset,
        nul,
    }
}

/// Length bytes of a string column with that maximum length.
fn length_bytes(max_bytes: u16) -> u8 {
    if max_bytes > 255 { 2 } else { 1 }
}

/// Length bytes of a column with the wire type `code`.
fn blob_length_bytes(wire: &WireColumn, code: u8) -> Result<u8, Fault> {
    match u8::try_from(wire.metadata) {
        Ok(bytes @ 1..=4) if wire.type_code == code => Ok(bytes),
        Ok(_) | Err(_) => Err(Fault::Misfit),
    }
}

fn sign_name(sign: Sign) -> &'static str {
    match sign {
        Sign::Signed => "signed",
        Sign::Unsigned => "unsigned",
    }
}

/// A type's name, for messages.
pub(super) fn type_name(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Integer { width, .. } => wire::name(integer_code(*width)),
        ColumnType::Decimal { .. } => "DECIMAL",
        ColumnType::Float => "FLOAT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Bit { .. } => "BIT",
        ColumnType::Year => "YEAR",
        ColumnType::Date => "DATE",
        ColumnType::DateTime { .. } => "DATETIME",
        ColumnType::Timestamp { .. } => "TIMESTAMP",
        ColumnType::Time { .. } => "TIME",
        ColumnType::Char { .. } => "CHAR",
        ColumnType::Varchar { .. } => "VARCHAR",
        ColumnType::Text { .. } => "TEXT",
        ColumnType::Binary { .. } => "BINARY",
        ColumnType::Varbinary { .. } => "VARBINARY",
        ColumnType::Blob => "BLOB",
        ColumnType::Enum { .. } => "ENUM",
        ColumnType::Set { .. } => "SET",
        ColumnType::Json => "JSON",
        ColumnType::Geometry => "GEOMETRY",
        ColumnType::Vector => "VECTOR",
        ColumnType::Inet4 => "INET4",
        ColumnType::Inet6 => "INET6",
        ColumnType::Uuid => "UUID",
    }
}

/// A type with its parameters, for messages.
fn describe(column_type: &ColumnType) -> String {
    let name = type_name(column_type);
    match column_type {
        ColumnType::Decimal { precision, scale } => format!("{name}({precision},{scale})"),
        ColumnType::Bit { bits } => format!("{name}({bits})"),
        ColumnType::DateTime { digits }
        | ColumnType::Timestamp { digits }
        | ColumnType::Time { digits } => format!("{name}({digits})"),
        ColumnType::Char { max_chars, charset } | ColumnType::Varchar { max_chars, charset } => {
            format!("{name}({max_chars}) {charset}")
        }
        ColumnType::Text { charset } => format!("{name} {charset}"),
        ColumnType::Binary { bytes } => format!("{name}({bytes})"),
        ColumnType::Varbinary { max_bytes } => format!("{name}({max_bytes})"),
        ColumnType::Enum { labels } | ColumnType::Set { labels } => {
            format!("{name} with {} labels", labels.len())
        }
        ColumnType::Integer { .. }
        | ColumnType::Float
        | ColumnType::Double
        | ColumnType::Year
        | ColumnType::Date
        | ColumnType::Blob
        | ColumnType::Json
        | ColumnType::Geometry
        | ColumnType::Vector
        | ColumnType::Inet4
        | ColumnType::Inet6
        | ColumnType::Uuid => name.to_owned(),
    }
}

/// A wire type with its metadata, for messages.
fn describe_wire(column: &WireColumn) -> String {
    let name = wire::name(column.type_code);
    let meta = column.metadata;
    match column.type_code {
        wire::NEWDECIMAL => format!("{name}({},{})", meta >> 8, meta & 0xff),
        wire::BIT | wire::TIMESTAMP2 | wire::DATETIME2 | wire::TIME2 => format!("{name}({meta})"),
        wire::STRING | wire::VARCHAR | wire::VARCHAR_COMPRESSED => {
            format!("{name} of {meta} bytes")
        }
        wire::ENUM | wire::SET | wire::BLOB | wire::BLOB_COMPRESSED => {
            format!("{name} with {meta} bytes of number or length")
        }
        _ => name.to_owned(),
    }
}
