//! How values of one type are read on both sides and compared.
//!
//! A rule has three parts: the source's expression, the target's expression (which depends
//! on the target's type), and the common form of what they give. To compare a new type, add
//! it to [`CellRule::for_types`], with a rule of its own if no other fits.

use std::fmt::Write;
use std::net::IpAddr;

use super::json;
use crate::mysql_server::Flavor;

/// One way to compare the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellRule {
    /// Text as it is: strings, ENUM, SET, INET, UUID; also dates in a text column.
    Text,
    /// Numbers as decimal text: integers, YEAR, DECIMAL; the scale counts.
    Decimal,
    /// FLOAT, bit by bit: the source's from the binary protocol.
    Float,
    /// DOUBLE, bit by bit: the source's from the binary protocol.
    Double,
    /// `n` binary digits.
    Bit,
    /// Bytes as hex.
    Bytes,
    /// `YYYY-MM-DD`.
    Date,
    /// DATETIME, and TIMESTAMP in UTC, with six digits of the second.
    Timestamp,
    /// A signed duration in microseconds.
    Duration,
    /// Parsed JSON. Numbers compare as exact decimals, object keys unordered.
    Json,
    /// Well-known binary and SRID, as the source's functions give them; EWKB on the target.
    Geometry,
    /// The numbers of a vector, bit by bit.
    Vector,
    /// Network addresses, in whatever spelling.
    Address,
}

impl CellRule {
    /// The rule for a source type (`information_schema.columns.data_type`) that is copied
    /// to a target type (`format_type`); `None` where nobody has thought about it.
    pub fn for_types(source: &str, target: &str) -> Option<Self> {
        let into_text = matches!(target, "text" | "character varying" | "character");
        Some(match source {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "decimal" => {
                Self::Decimal
            }
            "float" => Self::Float,
            "double" => Self::Double,
            "bit" => Self::Bit,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "date" | "datetime" | "timestamp" if into_text => Self::Text,
            "date" => Self::Date,
            "datetime" | "timestamp" => Self::Timestamp,
            "time" => Self::Duration,
            "json" => Self::Json,
            // MariaDB's JSON is a LONGTEXT with a constraint.
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext"
                if matches!(target, "json" | "jsonb") =>
            {
                Self::Json
            }
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection"
                if target == "bytea" =>
            {
                Self::Geometry
            }
            "vector" => Self::Vector,
            "inet4" | "inet6" if target == "inet" => Self::Address,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum"
            | "set" | "inet4" | "inet6" | "uuid" => Self::Text,
            _ => return None,
        })
    }

    /// The source's expression for the quoted `column` of type `full_type`.
    pub(super) fn source(self, column: &str, full_type: &str, flavor: Flavor) -> String {
        match self {
            Self::Text | Self::Date | Self::Duration | Self::Json | Self::Address => {
                format!("convert(cast({column} as char) using utf8mb4)")
            }
            // + 0 undoes ZEROFILL and makes YEAR a number, but may cut a long DECIMAL.
            Self::Decimal if full_type.starts_with("decimal") && full_type.ends_with(')') => {
                format!("cast({column} as char)")
            }
            Self::Decimal => format!("cast({column} + 0 as char)"),
            // The binary protocol sends the bits.
            Self::Float | Self::Double => column.to_owned(),
            Self::Bit => format!("lpad(bin({column} + 0), {}, '0')", bit_count(full_type)),
            Self::Bytes => format!("hex({column})"),
            Self::Timestamp => format!("date_format({column}, '%Y-%m-%d %H:%i:%s.%f')"),
            Self::Geometry => {
                // MySQL 8 and later give geographic coordinates in the order of their system,
                // and store them as all others do.
                let options = match flavor {
                    Flavor::Mysql97 => ", 'axis-order=long-lat'",
                    Flavor::MariaDb1011 | Flavor::MariaDb118 | Flavor::Mysql57 => "",
                };
                format!("concat(st_srid({column}), ' ', hex(st_asbinary({column}{options})))")
            }
            Self::Vector => format!("concat('little ', hex({column}))"),
        }
    }

    /// The target's expression for the quoted `column`.
    pub(super) fn target(self, column: &str, target_type: &str, full_type: &str) -> String {
        match (self, target_type) {
            (Self::Text, "inet") => format!("host({column})"),
            (Self::Text, "text[]") => format!("array_to_string({column}, ',')"),
            (Self::Decimal, "boolean") => format!("{column}::int::text"),
            (Self::Decimal, "real" | "double precision") => format!("{column}::bigint::text"),
            (Self::Float | Self::Double, "real") => {
                format!("'bits ' || encode(float4send({column}), 'hex')")
            }
            (Self::Float | Self::Double, "double precision") => {
                format!("'bits ' || encode(float8send({column}), 'hex')")
            }
            (Self::Bit, "boolean") => format!("{column}::int::text"),
            (Self::Bit, "smallint" | "integer" | "bigint") => format!(
                "right({column}::bigint::bit(64)::text, {})",
                bit_count(full_type)
            ),
            (Self::Bit, "bytea") => format!(
                "right(('x' || lpad(encode({column}, 'hex'), 16, '0'))::bit(64)::text, {})",
                bit_count(full_type)
            ),
            (Self::Bytes, "bytea") => format!("upper(encode({column}, 'hex'))"),
            (Self::Bytes, "uuid") => format!("upper(replace({column}::text, '-', ''))"),
            (Self::Bytes, _) => format!("upper({column}::text)"),
            (Self::Date, _) => format!("to_char({column}, 'YYYY-MM-DD')"),
            (Self::Timestamp, "timestamp with time zone") => {
                format!("to_char({column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
            }
            (Self::Timestamp, _) => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
            (Self::Geometry, _) => format!("encode({column}, 'hex')"),
            (Self::Vector, "real[]") => format!(
                "case when {column} is not null then 'big ' || \
                 (select string_agg(encode(float4send(e), 'hex'), '' order by n) \
                    from unnest({column}) with ordinality u(e, n)) end"
            ),
            (Self::Vector, "bytea") => format!("'little ' || encode({column}, 'hex')"),
            (Self::Address, "inet") => format!("host({column})"),
            // Years to days do not occur in what a TIME becomes; seconds are exact here.
            (Self::Duration, "interval" | "time without time zone") => {
                format!("(extract(epoch from {column}) * 1000000)::bigint || ' us'")
            }
            (
                Self::Text
                | Self::Decimal
                | Self::Float
                | Self::Double
                | Self::Bit
                | Self::Duration
                | Self::Json
                | Self::Vector
                | Self::Address,
                _,
            ) => format!("{column}::text"),
        }
    }

    /// The common form of a value that either server gave.
    pub(super) fn normalise(self, text: &str) -> String {
        match self {
            Self::Text | Self::Decimal | Self::Bit | Self::Bytes | Self::Date | Self::Timestamp => {
                text.to_owned()
            }
            Self::Float => {
                let number = match bits(text) {
                    Some(Bits::Single(number)) => Some(number),
                    // Widened: the same number, or one that no FLOAT is.
                    Some(Bits::Double(number)) => narrowed(number),
                    None => text.parse().ok(),
                };
                number.map_or_else(
                    || format!("no FLOAT: {text}"),
                    |number| format!("{number:e}"),
                )
            }
            Self::Double => {
                let number = match bits(text) {
                    Some(Bits::Single(number)) => Some(f64::from(number)),
                    Some(Bits::Double(number)) => Some(number),
                    None => text.parse().ok(),
                };
                number.map_or_else(
                    || format!("no DOUBLE: {text}"),
                    |number| format!("{number:e}"),
                )
            }
            Self::Duration => match text.strip_suffix(" us") {
                Some(microseconds) => microseconds.to_owned(),
                None => microseconds(text)
                    .unwrap_or_else(|| panic!("not a duration: {text}"))
                    .to_string(),
            },
            Self::Json => json::canonical(text),
            Self::Geometry => geometry(text).unwrap_or_else(|| format!("no geometry: {text}")),
            Self::Vector => vector(text).unwrap_or_else(|| format!("no vector: {text}")),
            Self::Address => text.parse().map_or_else(
                |_| format!("no address: {text}"),
                |address: IpAddr| address.to_string(),
            ),
        }
    }
}

/// A floating point number from PostgreSQL's binary output.
enum Bits {
    Single(f32),
    Double(f64),
}

fn bits(text: &str) -> Option<Bits> {
    let hex = text.strip_prefix("bits ")?;
    match hex.len() {
        8 => Some(Bits::Single(f32::from_bits(
            u32::from_str_radix(hex, 16).ok()?,
        ))),
        16 => Some(Bits::Double(f64::from_bits(
            u64::from_str_radix(hex, 16).ok()?,
        ))),
        _ => None,
    }
}

/// The FLOAT that is exactly `number`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked: the result is widened again and compared"
)]
fn narrowed(number: f64) -> Option<f32> {
    let narrow = number as f32;
    (f64::from(narrow).to_bits() == number.to_bits()).then_some(narrow)
}

/// `SRID WKB` of what the source's functions give, or of EWKB.
fn geometry(text: &str) -> Option<String> {
    const HAS_SRID: u32 = 0x2000_0000;
    if let Some((srid, wkb)) = text.split_once(' ') {
        return Some(format!("{srid} {}", wkb.to_lowercase()));
    }
    // One byte of byte order, four of the type, four of the SRID if the type says so.
    let little = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::swap_bytes);
    let kind = little(text.get(2..10)?)?;
    if !text.starts_with("01") {
        return None;
    }
    if kind & HAS_SRID == 0 {
        return Some(format!("0 {text}"));
    }
    let srid = little(text.get(10..18)?)?;
    let kind = (kind & !HAS_SRID).swap_bytes();
    Some(format!("{srid} 01{kind:08x}{}", text.get(18..)?))
}

/// The bits of a vector's numbers, from their bytes or from `[1,2]`.
fn vector(text: &str) -> Option<String> {
    let mut out = String::new();
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        for number in list.split(',') {
            let number: f32 = number.parse().ok()?;
            let _ = write!(out, "{:08x} ", number.to_bits());
        }
        return Some(out);
    }
    let (order, hex) = text.split_once(' ')?;
    for start in (0..hex.len()).step_by(8) {
        let bits = u32::from_str_radix(hex.get(start..start + 8)?, 16).ok()?;
        let bits = match order {
            "little" => bits.swap_bytes(),
            _ => bits,
        };
        let _ = write!(out, "{bits:08x} ");
    }
    Some(out)
}

/// `n` of `bit(n)`.
fn bit_count(full_type: &str) -> u32 {
    full_type
        .split(['(', ')'])
        .nth(1)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(1)
}

/// The microseconds of `[-]H:MM:SS[.f]`.
fn microseconds(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (clock, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_both_servers_have_one_form() {
        let form = |text| CellRule::Duration.normalise(text);
        assert_eq!(form("-838:59:59.5"), "-3020399500000");
        assert_eq!(form("00:00:01"), form("1000000 us"));
    }

    #[test]
    fn floats_compare_by_their_bits() {
        let form = |text| CellRule::Double.normalise(text);
        assert_eq!(form("1e20"), form("100000000000000000000"));
        assert_eq!(form("-0"), form("bits 8000000000000000"));
        assert_ne!(form("-0"), form("0"));
        assert_ne!(form("0.1"), form("0.10000000149011612"));
        let form = |text| CellRule::Float.normalise(text);
        assert_eq!(form("0.1"), form("bits 3dcccccd"));
        assert_eq!(form("0.1"), form("bits 3fb99999a0000000"));
        assert_ne!(form("0.1"), form("bits 3fb999999999999a"));
    }

    #[test]
    fn geometries_compare_by_srid_and_well_known_binary() {
        let form = |text| CellRule::Geometry.normalise(text);
        assert_eq!(form("4326 0101000000AA"), form("0101000020e6100000aa"));
        assert_eq!(form("0 0101000000AA"), form("0101000000aa"));
        assert_ne!(form("1 0101000000AA"), form("0101000000aa"));
    }

    #[test]
    fn vectors_compare_by_the_bits_of_their_numbers() {
        let form = |text| CellRule::Vector.normalise(text);
        assert_eq!(form("little 0000803F000000C0"), form("[1,-2]"));
        assert_eq!(form("big 3f800000c0000000"), form("[1,-2]"));
        assert_ne!(form("[0]"), form("[-0]"));
    }

    #[test]
    fn a_type_that_nobody_thought_about_has_no_rule() {
        assert_eq!(CellRule::for_types("geometry", "text"), None);
    }
}
