//! A table's definition from the metadata in its TABLE_MAP event.

use common::table::{Column, ColumnType, IntegerWidth, Key, Sign, TableDefinition};

use super::charset::Charset;
use super::collation;
use super::error::{DecodeError, DefinitionFault};
use super::metadata::{ColumnMetadata, FullMetadata};
use super::plan::check_fit;
use super::table_map::{TableMap, WireColumn, wire};

/// Collation id of binary strings.
const BINARY_COLLATION: u64 = 63;

/// What MariaDB calls the hidden columns behind unique indexes over long texts.
/// Source: MariaDB `sql/sql_table.cc`, make_unique_invisible_field_name.
const HIDDEN_HASH: &str = "DB_ROW_HASH_";

/// Derives the definition in force at a table map from the event itself, which needs
/// `binlog_row_metadata=FULL` at the source.
///
/// Some things the event does not say: whether a column is generated, which unique
/// index could serve as a key when it names none, and, on MariaDB, whether a BINARY(4) or BINARY(16) is really an INET4, INET6 or UUID, and a VARBINARY a VECTOR; and
/// the fractional digits of times in MariaDB's old formats.
/// A definition from the catalog settles them, provided that it fits the event. Without
/// one, columns count as not generated, the table without a primary key as keyless, and
/// binary columns as binary, so on MariaDB a catalog definition is a must. Times in an
/// old format are then refused.
///
/// # Errors
/// No names in the event; an unsupported type or charset; a catalog definition that does
/// not fit the event ([`DecodeError::Misfit`]).
pub fn from_metadata(
    map: &TableMap,
    catalog: Option<&TableDefinition>,
) -> Result<TableDefinition, DecodeError> {
    let fault = |reason| DecodeError::Definition {
        table: Box::new(map.name.clone()),
        reason: Box::new(reason),
    };
    let metadata = map
        .metadata
        .as_ref()
        .filter(|metadata| metadata.has_names())
        .ok_or_else(|| fault(DefinitionFault::NoNames))?;
    if let Some(catalog) = catalog {
        check_fit(map, &with_own_labels(map, metadata, catalog)?)?;
    }
    let columns = map
        .columns
        .iter()
        .zip(&metadata.columns)
        .enumerate()
        .map(|(i, (wire, said))| {
            let hint = catalog.and_then(|catalog| catalog.columns.get(i));
            column(map, wire, said, hint)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(TableDefinition {
        name: map.name.clone(),
        key: key(metadata, catalog),
        columns,
    })
}

/// The catalog's definition with the event's labels, which are always spelled right.
fn with_own_labels(
    map: &TableMap,
    metadata: &FullMetadata,
    catalog: &TableDefinition,
) -> Result<TableDefinition, DecodeError> {
    let mut definition = catalog.clone();
    let said = map.columns.iter().zip(&metadata.columns);
    for (column, (wire, said)) in definition.columns.iter_mut().zip(said) {
        let source = ColumnSource {
            map,
            name: &column.name,
            wire,
            said,
        };
        if let ColumnType::Enum { labels } | ColumnType::Set { labels } = &mut column.column_type
            && said.labels.is_some()
        {
            *labels = source.labels()?;
        }
    }
    Ok(definition)
}

/// The key that the event names, else the catalog's unique index.
///
/// What the event calls the primary key may be a unique index over NOT NULL columns that
/// the server has put in its place; the catalog knows which.
fn key(metadata: &FullMetadata, catalog: Option<&TableDefinition>) -> Key {
    let named: Vec<usize> = metadata
        .primary_key
        .iter()
        .map(|part| part.column)
        .collect();
    match catalog.map(|catalog| &catalog.key) {
        Some(key @ Key::Unique(columns)) if named.is_empty() || named == *columns => key.clone(),
        // A primary key that only the catalog has came with a later DDL.
        Some(Key::Unique(_) | Key::Primary(_) | Key::None) | None if named.is_empty() => Key::None,
        Some(Key::Unique(_) | Key::Primary(_) | Key::None) | None => Key::Primary(named),
    }
}

fn column(
    map: &TableMap,
    wire: &WireColumn,
    said: &ColumnMetadata,
    hint: Option<&Column>,
) -> Result<Column, DecodeError> {
    let name = said.name.clone().unwrap_or_default();
    if name.starts_with(HIDDEN_HASH) {
        return Err(DecodeError::Definition {
            table: Box::new(map.name.clone()),
            reason: Box::new(DefinitionFault::HiddenColumn { column: name }),
        });
    }
    let source = ColumnSource {
        map,
        name: &name,
        wire,
        said,
    };
    let hinted = hint
        .map(|hint| &hint.column_type)
        .filter(|hint| hides_behind_binary(hint) || is_old_temporal(wire));
    let column_type = match hinted {
        Some(hinted) => hinted.clone(),
        None => source.column_type()?,
    };
    Ok(Column {
        column_type,
        nullable: wire.nullable,
        generated: hint.is_some_and(|hint| hint.generated),
        unlogged: false,
        name,
    })
}

/// MariaDB types whose wire type is that of a binary string.
fn hides_behind_binary(column_type: &ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::Inet4 | ColumnType::Inet6 | ColumnType::Uuid | ColumnType::Vector
    )
}

/// Whether the wire type leaves the number of fractional digits open.
fn is_old_temporal(wire: &WireColumn) -> bool {
    matches!(
        wire.type_code,
        wire::TIMESTAMP | wire::DATETIME | wire::TIME
    )
}

/// All that an event says about one column.
struct ColumnSource<'a> {
    map: &'a TableMap,
    name: &'a str,
    wire: &'a WireColumn,
    said: &'a ColumnMetadata,
}

impl ColumnSource<'_> {
    fn column_type(&self) -> Result<ColumnType, DecodeError> {
        let meta = self.wire.metadata;
        Ok(match self.wire.type_code {
            wire::TINY => self.integer(IntegerWidth::Tiny)?,
            wire::SHORT => self.integer(IntegerWidth::Small)?,
            wire::INT24 => self.integer(IntegerWidth::Medium)?,
            wire::LONG => self.integer(IntegerWidth::Int)?,
            wire::LONGLONG => self.integer(IntegerWidth::Big)?,
            wire::NEWDECIMAL => {
                let [precision, scale] = meta.to_be_bytes();
                ColumnType::Decimal { precision, scale }
            }
            wire::FLOAT => ColumnType::Float,
            wire::DOUBLE => ColumnType::Double,
            wire::BIT => ColumnType::Bit {
                bits: self.small(meta)?,
            },
            wire::YEAR => ColumnType::Year,
            wire::DATE | wire::NEWDATE => ColumnType::Date,
            wire::DATETIME2 => ColumnType::DateTime {
                digits: self.small(meta)?,
            },
            wire::TIMESTAMP2 => ColumnType::Timestamp {
                digits: self.small(meta)?,
            },
            wire::TIME2 => ColumnType::Time {
                digits: self.small(meta)?,
            },
            wire::STRING => self.string(
                meta,
                ColumnType::Binary { bytes: meta.into() },
                |max_chars, charset| ColumnType::Char { max_chars, charset },
            )?,
            wire::VARCHAR => self.varchar(meta)?,
            // One byte more than declared: the head of a compressed value.
            wire::VARCHAR_COMPRESSED => self.varchar(meta.saturating_sub(1))?,
            wire::BLOB | wire::BLOB_COMPRESSED => {
                self.string(0, ColumnType::Blob, |_, charset| ColumnType::Text {
                    charset,
                })?
            }
            wire::ENUM => ColumnType::Enum {
                labels: self.labels()?,
            },
            wire::SET => ColumnType::Set {
                labels: self.labels()?,
            },
            wire::JSON => ColumnType::Json,
            wire::GEOMETRY => ColumnType::Geometry,
            wire::VECTOR => ColumnType::Vector,
            other => return Err(self.unsupported(wire::name(other).to_owned())),
        })
    }

    fn integer(&self, width: IntegerWidth) -> Result<ColumnType, DecodeError> {
        let sign: Sign = self.said.sign.ok_or_else(|| self.missing("signedness"))?;
        Ok(ColumnType::Integer { width, sign })
    }

    fn small(&self, meta: u16) -> Result<u8, DecodeError> {
        u8::try_from(meta).map_err(|_| self.unsupported(wire::name(self.wire.type_code).to_owned()))
    }

    fn varchar(&self, max_bytes: u16) -> Result<ColumnType, DecodeError> {
        let binary = ColumnType::Varbinary {
            max_bytes: max_bytes.into(),
        };
        self.string(max_bytes, binary, |max_chars, charset| {
            ColumnType::Varchar { max_chars, charset }
        })
    }

    /// The binary type or the text type, as the collation has it.
    fn string(
        &self,
        max_bytes: u16,
        binary: ColumnType,
        text: impl FnOnce(u32, String) -> ColumnType,
    ) -> Result<ColumnType, DecodeError> {
        if self.collation()? == BINARY_COLLATION {
            return Ok(binary);
        }
        let charset = self.charset()?;
        let max_chars = u32::from(max_bytes) / charset.max_bytes;
        Ok(text(max_chars, charset.name.to_owned()))
    }

    fn collation(&self) -> Result<u64, DecodeError> {
        self.said
            .collation
            .ok_or_else(|| self.missing("character set"))
    }

    fn charset(&self) -> Result<&'static Charset, DecodeError> {
        let collation = self.collation()?;
        collation::charset_of(collation)
            .and_then(Charset::by_name)
            .ok_or_else(|| self.unsupported(format!("collation {collation}")))
    }

    /// Labels in UTF-8.
    fn labels(&self) -> Result<Vec<String>, DecodeError> {
        let labels = self
            .said
            .labels
            .as_ref()
            .ok_or_else(|| self.missing("labels"))?;
        labels.iter().map(|label| self.label(label)).collect()
    }

    fn label(&self, label: &[u8]) -> Result<String, DecodeError> {
        let malformed = || {
            self.fault(DefinitionFault::MalformedText {
                column: self.name.to_owned(),
            })
        };
        if self.collation()? == BINARY_COLLATION {
            return String::from_utf8(label.to_vec()).map_err(|_| malformed());
        }
        let charset = self.charset()?;
        if !charset.is_supported() {
            return Err(self.unsupported(format!("character set {}", charset.name)));
        }
        charset.decode(label).map_err(|_| malformed())
    }

    fn missing(&self, missing: &'static str) -> DecodeError {
        self.fault(DefinitionFault::MissingMetadata {
            column: self.name.to_owned(),
            missing,
        })
    }

    fn fault(&self, reason: DefinitionFault) -> DecodeError {
        DecodeError::Definition {
            table: Box::new(self.map.name.clone()),
            reason: Box::new(reason),
        }
    }

    fn unsupported(&self, type_name: String) -> DecodeError {
        DecodeError::UnsupportedColumn {
            table: Box::new(self.map.name.clone()),
            column: self.name.to_owned(),
            type_name,
        }
    }
}
