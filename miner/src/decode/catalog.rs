//! A table's definition from the source's catalog (`information_schema`).
//!
//! Needed where the event does not name its columns: MySQL 5.7, and MariaDB unless
//! `binlog_row_metadata=FULL`. The caller makes sure that the catalog speaks of the
//! moment of the event; [`super::check_fit`] notices most of the differences, but not
//! two columns of one type that swapped names.

use common::table::{Column, ColumnType, IntegerWidth, Key, Sign, TableDefinition, TableName};

use super::error::{DecodeError, DefinitionFault};
use super::labels::UNSPELLED;

/// One row of `information_schema.columns`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogColumn {
    /// `column_name`.
    pub name: String,
    /// `ordinal_position`, from 1.
    pub ordinal: u32,
    /// `data_type`, such as `int` or `varchar`.
    pub data_type: String,
    /// `column_type`, such as `int(10) unsigned` or `enum('a','b')`.
    pub column_type: String,
    /// `is_nullable = 'YES'`.
    pub nullable: bool,
    /// `character_set_name`; `None` for NULL.
    pub charset: Option<String>,
    /// `extra`, such as `STORED GENERATED`.
    pub extra: String,
}

/// One row of `information_schema.statistics`: one column of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogIndex {
    /// `index_name`; `PRIMARY` is the primary key.
    pub name: String,
    /// `non_unique = 0`.
    pub unique: bool,
    /// `seq_in_index`, from 1.
    pub sequence: u32,
    /// `column_name`; `None` for NULL (an expression).
    pub column: Option<String>,
}

/// Derives a definition from catalog rows. Columns come in ordinal order; index rows in
/// any order within an index, and indexes in definition order (that of SHOW INDEX).
///
/// A unique index on a prefix of a column makes whole values unique as well, so it may
/// serve as a key.
///
/// # Errors
/// Columns that are not numbered 1, 2, 3, … (the catalog hides one); a type text that is
/// not understood; an unsupported type.
pub fn from_catalog(
    name: TableName,
    columns: &[CatalogColumn],
    indexes: &[CatalogIndex],
) -> Result<TableDefinition, DecodeError> {
    let fault = |reason| DecodeError::Definition {
        table: Box::new(name.clone()),
        reason: Box::new(reason),
    };
    let columns = columns
        .iter()
        .zip(1_u32..)
        .map(|(row, expected)| {
            if row.ordinal != expected {
                return Err(fault(DefinitionFault::Ordinal {
                    column: row.name.clone(),
                    ordinal: row.ordinal,
                    expected,
                }));
            }
            column(row).map_err(|problem| match problem {
                Problem::Fault(reason) => fault(reason),
                Problem::Unsupported => DecodeError::UnsupportedColumn {
                    table: Box::new(name.clone()),
                    column: row.name.clone(),
                    type_name: format!("type {}", row.data_type),
                },
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let key = key(&columns, indexes).map_err(fault)?;
    Ok(TableDefinition { name, columns, key })
}

/// Why a catalog row gives no column.
enum Problem {
    Fault(DefinitionFault),
    Unsupported,
}

fn column(row: &CatalogColumn) -> Result<Column, Problem> {
    let text = TypeText { row };
    let extra = row.extra.to_ascii_uppercase();
    let generated = [
        "VIRTUAL GENERATED",
        "STORED GENERATED",
        "PERSISTENT GENERATED",
    ]
    .iter()
    .any(|word| extra.contains(word));
    Ok(Column {
        name: row.name.clone(),
        column_type: text.column_type()?,
        nullable: row.nullable,
        generated,
        unlogged: false,
    })
}

/// `column_type` of one row.
struct TypeText<'a> {
    row: &'a CatalogColumn,
}

impl TypeText<'_> {
    fn column_type(&self) -> Result<ColumnType, Problem> {
        let data_type = self.row.data_type.to_ascii_lowercase();
        Ok(match data_type.as_str() {
            "tinyint" => self.integer(IntegerWidth::Tiny),
            "smallint" => self.integer(IntegerWidth::Small),
            "mediumint" => self.integer(IntegerWidth::Medium),
            "int" => self.integer(IntegerWidth::Int),
            "bigint" => self.integer(IntegerWidth::Big),
            "decimal" => self.decimal()?,
            "float" => ColumnType::Float,
            "double" => ColumnType::Double,
            "bit" => ColumnType::Bit {
                bits: self.number(1)?,
            },
            "year" => ColumnType::Year,
            "date" => ColumnType::Date,
            "datetime" => ColumnType::DateTime {
                digits: self.number(0)?,
            },
            "timestamp" => ColumnType::Timestamp {
                digits: self.number(0)?,
            },
            "time" => ColumnType::Time {
                digits: self.number(0)?,
            },
            "char" => ColumnType::Char {
                max_chars: self.number(1)?,
                charset: self.charset()?,
            },
            "varchar" => ColumnType::Varchar {
                max_chars: self.length()?,
                charset: self.charset()?,
            },
            "tinytext" | "text" | "mediumtext" | "longtext" => ColumnType::Text {
                charset: self.charset()?,
            },
            "binary" => ColumnType::Binary {
                bytes: self.number(1)?,
            },
            "varbinary" => ColumnType::Varbinary {
                max_bytes: self.length()?,
            },
            "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Blob,
            "enum" => ColumnType::Enum {
                labels: self.labels()?,
            },
            "set" => ColumnType::Set {
                labels: self.labels()?,
            },
            "json" => ColumnType::Json,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => ColumnType::Geometry,
            "vector" => ColumnType::Vector,
            "inet4" => ColumnType::Inet4,
            "inet6" => ColumnType::Inet6,
            "uuid" => ColumnType::Uuid,
            _ => return Err(Problem::Unsupported),
        })
    }

    fn malformed(&self) -> Problem {
        Problem::Fault(DefinitionFault::ColumnType {
            column: self.row.name.clone(),
            column_type: self.row.column_type.clone(),
        })
    }

    /// ZEROFILL implies UNSIGNED and is always printed with it.
    fn integer(&self, width: IntegerWidth) -> ColumnType {
        let unsigned = self
            .row
            .column_type
            .split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case("unsigned"));
        let sign = if unsigned {
            Sign::Unsigned
        } else {
            Sign::Signed
        };
        ColumnType::Integer { width, sign }
    }

    /// What is between the first parenthesis and the next closing one.
    fn arguments(&self) -> Option<&str> {
        let (_, rest) = self.row.column_type.split_once('(')?;
        rest.split_once(')').map(|(arguments, _)| arguments)
    }

    /// The one number in parentheses, or the default of a type without.
    fn number<N: std::str::FromStr>(&self, default: N) -> Result<N, Problem> {
        match self.arguments() {
            Some(text) => text.trim().parse().map_err(|_| self.malformed()),
            None => Ok(default),
        }
    }

    /// The one number in parentheses.
    fn length(&self) -> Result<u32, Problem> {
        let text = self.arguments().ok_or_else(|| self.malformed())?;
        text.trim().parse().map_err(|_| self.malformed())
    }

    fn decimal(&self) -> Result<ColumnType, Problem> {
        let malformed = || self.malformed();
        let arguments = self.arguments().ok_or_else(malformed)?;
        let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
        Ok(ColumnType::Decimal {
            precision: precision.trim().parse().map_err(|_| malformed())?,
            scale: scale.trim().parse().map_err(|_| malformed())?,
        })
    }

    fn charset(&self) -> Result<String, Problem> {
        let charset = self.row.charset.as_deref().ok_or_else(|| {
            Problem::Fault(DefinitionFault::NoCharset {
                column: self.row.name.clone(),
            })
        })?;
        Ok(if charset == "utf8" {
            "utf8mb3".to_owned()
        } else {
            charset.to_owned()
        })
    }

    /// Labels. The catalog's texts are utf8mb3, so a character beyond the basic plane
    /// shows as `?`, which a label may as well contain; where the column's charset has
    /// such characters, a `?` becomes [`UNSPELLED`].
    fn labels(&self) -> Result<Vec<String>, Problem> {
        let (_, list) = self
            .row
            .column_type
            .split_once('(')
            .ok_or_else(|| self.malformed())?;
        let mut labels = parse_labels(list).ok_or_else(|| self.malformed())?;
        let supplementary = ["utf8mb4", "utf16", "utf16le", "utf32", "gb18030"];
        if supplementary.contains(&self.charset()?.as_str()) {
            for label in &mut labels {
                *label = label.replace('?', UNSPELLED.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(labels)
    }
}

/// Labels up to the closing parenthesis. The servers double quotes and put backslashes
/// before backslash, newline, carriage return and 0x00 (`append_unescaped`).
fn parse_labels(list: &str) -> Option<Vec<String>> {
    let mut labels = Vec::new();
    let mut rest = list.chars().peekable();
    loop {
        if rest.next()? != '\'' {
            return None;
        }
        let mut label = String::new();
        loop {
            match rest.next()? {
                '\'' => {
                    if rest.next_if_eq(&'\'').is_none() {
                        break;
                    }
                    label.push('\'');
                }
                '\\' => label.push(match rest.next()? {
                    '0' => '\0',
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                }),
                other => label.push(other),
            }
        }
        labels.push(label);
        match rest.next()? {
            ',' => {}
            ')' => return Some(labels),
            _ => return None,
        }
    }
}

/// The primary key, else the first unique index over NOT NULL columns.
fn key(columns: &[Column], indexes: &[CatalogIndex]) -> Result<Key, DefinitionFault> {
    if let Some(primary) = index_columns(columns, indexes, "PRIMARY")? {
        return Ok(Key::Primary(primary));
    }
    for index in indexes.iter().filter(|index| index.sequence == 1) {
        if !index.unique {
            continue;
        }
        if let Some(found) = index_columns(columns, indexes, &index.name)? {
            let not_null = |i: &usize| columns.get(*i).is_some_and(|column| !column.nullable);
            if found.iter().all(not_null) {
                return Ok(Key::Unique(found));
            }
        }
    }
    Ok(Key::None)
}

/// Columns of an index in index order; `None` if there is no such index or it indexes an
/// expression.
fn index_columns(
    columns: &[Column],
    indexes: &[CatalogIndex],
    name: &str,
) -> Result<Option<Vec<usize>>, DefinitionFault> {
    let mut parts: Vec<&CatalogIndex> = indexes.iter().filter(|index| index.name == name).collect();
    parts.sort_by_key(|part| part.sequence);
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        let Some(column) = &part.column else {
            return Ok(None);
        };
        let position = columns.iter().position(|c| c.name == *column);
        found.push(position.ok_or_else(|| DefinitionFault::IndexColumn {
            index: name.to_owned(),
            column: column.clone(),
        })?);
    }
    Ok((!found.is_empty()).then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ordinal: u32, name: &str, column_type: &str) -> CatalogColumn {
        let end = column_type
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(column_type.len());
        CatalogColumn {
            name: name.to_owned(),
            ordinal,
            data_type: column_type[..end].to_owned(),
            column_type: column_type.to_owned(),
            nullable: false,
            charset: None,
            extra: String::new(),
        }
    }

    fn with_charset(mut row: CatalogColumn, charset: &str) -> CatalogColumn {
        row.charset = Some(charset.to_owned());
        row
    }

    fn type_of(row: CatalogColumn) -> ColumnType {
        let name = TableName::new("d", "t");
        let definition = from_catalog(name, &[row], &[]).unwrap();
        definition.columns[0].column_type.clone()
    }

    fn part(name: &str, unique: bool, sequence: u32, column: Option<&str>) -> CatalogIndex {
        CatalogIndex {
            name: name.to_owned(),
            unique,
            sequence,
            column: column.map(str::to_owned),
        }
    }

    #[test]
    fn type_texts_of_all_servers_are_understood() {
        let integer = |width, sign| ColumnType::Integer { width, sign };
        for (text, expected) in [
            ("int", integer(IntegerWidth::Int, Sign::Signed)),
            ("tinyint(1)", integer(IntegerWidth::Tiny, Sign::Signed)),
            (
                "mediumint(8) unsigned zerofill",
                integer(IntegerWidth::Medium, Sign::Unsigned),
            ),
            (
                "bigint unsigned",
                integer(IntegerWidth::Big, Sign::Unsigned),
            ),
            (
                "decimal(65,30) unsigned",
                ColumnType::Decimal {
                    precision: 65,
                    scale: 30,
                },
            ),
            ("float(7,2)", ColumnType::Float),
            ("bit(64)", ColumnType::Bit { bits: 64 }),
            ("year(4)", ColumnType::Year),
            ("datetime", ColumnType::DateTime { digits: 0 }),
            ("timestamp(6)", ColumnType::Timestamp { digits: 6 }),
            ("time(3)", ColumnType::Time { digits: 3 }),
            (
                "timestamp /* 5.5 binary format */",
                ColumnType::Timestamp { digits: 0 },
            ),
            ("binary(16)", ColumnType::Binary { bytes: 16 }),
            ("varbinary(0)", ColumnType::Varbinary { max_bytes: 0 }),
            ("mediumblob", ColumnType::Blob),
            ("json", ColumnType::Json),
            ("geomcollection", ColumnType::Geometry),
            ("vector(3)", ColumnType::Vector),
            ("inet6", ColumnType::Inet6),
            ("uuid", ColumnType::Uuid),
        ] {
            assert_eq!(type_of(row(1, "c", text)), expected, "{text}");
        }
        assert_eq!(
            type_of(with_charset(row(1, "c", "varchar(20)"), "utf8")),
            ColumnType::Varchar {
                max_chars: 20,
                charset: "utf8mb3".to_owned()
            }
        );
    }

    #[test]
    fn labels_are_unquoted() {
        let text = r"enum('a','it''s','b\\c','n\nx','(,)','')";
        assert_eq!(
            type_of(with_charset(row(1, "c", text), "latin1")),
            ColumnType::Enum {
                labels: ["a", "it's", "b\\c", "n\nx", "(,)", ""]
                    .map(str::to_owned)
                    .to_vec()
            }
        );
    }

    #[test]
    fn labels_that_the_catalog_cannot_spell_are_marked() {
        for (charset, first) in [("utf8mb4", "a\u{fffd}"), ("utf8mb3", "a?")] {
            let labels = [first, "b"].map(str::to_owned).to_vec();
            let row = with_charset(row(1, "c", "set('a?','b')"), charset);
            assert_eq!(type_of(row), ColumnType::Set { labels });
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let name = TableName::new("d", "t");
        for text in ["enum('a'", "decimal(x,1)", "varchar", "bit(300)", "xmltype"] {
            let row = with_charset(row(1, "c", text), "utf8mb4");
            assert!(from_catalog(name.clone(), &[row], &[]).is_err(), "{text}");
        }
        assert!(from_catalog(name.clone(), &[row(1, "c", "char(3)")], &[]).is_err());
        assert!(from_catalog(name, &[row(2, "c", "int")], &[]).is_err());
    }

    #[test]
    fn generated_columns_are_marked() {
        let mut generated = row(1, "c", "int");
        for (extra, expected) in [
            ("VIRTUAL GENERATED", true),
            ("STORED GENERATED INVISIBLE", true),
            ("DEFAULT_GENERATED on update CURRENT_TIMESTAMP", false),
            ("auto_increment", false),
        ] {
            generated.extra = extra.to_owned();
            assert_eq!(column(&generated).ok().unwrap().generated, expected);
        }
    }

    #[test]
    fn the_key_is_primary_else_unique_and_not_null() {
        let mut b = row(2, "b", "int");
        b.nullable = true;
        let columns = [row(1, "a", "int"), b, row(3, "c", "int")];
        let key = |indexes: &[CatalogIndex]| {
            let name = TableName::new("d", "t");
            from_catalog(name, &columns, indexes).unwrap().key
        };
        let nullable = part("u1", true, 1, Some("b"));
        let plain = part("k", false, 1, Some("a"));
        let expression = part("u2", true, 1, None);
        let unique = [
            part("u3", true, 2, Some("a")),
            part("u3", true, 1, Some("c")),
        ];
        let mut indexes = vec![plain, nullable, expression];
        assert_eq!(key(&indexes), Key::None);
        indexes.extend(unique);
        assert_eq!(key(&indexes), Key::Unique(vec![2, 0]));
        indexes.push(part("PRIMARY", true, 1, Some("b")));
        assert_eq!(key(&indexes), Key::Primary(vec![1]));
    }
}
