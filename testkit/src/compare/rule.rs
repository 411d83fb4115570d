//! How values of one type are read on both sides and compared.
//!
//! A rule has three parts: the source's expression, the target's expression (which depends
//! on the target's type), and the common form of what they give. To compare a new type, add
//! it to [`CellRule::for_types`], with a rule of its own if no other fits.

/// One way to compare the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellRule {
    /// Text as it is: strings, ENUM, SET, INET, UUID; also dates in a text column.
    Text,
    /// Numbers as decimal text: integers, YEAR, DECIMAL; the scale counts.
    Decimal,
    /// Floating point numbers, bit by bit; FLOAT is widened to double precision.
    Float,
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
    /// Parsed JSON. Numbers compare as 64-bit integers or doubles, object keys unordered.
    Json,
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
            "float" | "double" => Self::Float,
            "bit" => Self::Bit,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "date" | "datetime" | "timestamp" if into_text => Self::Text,
            "date" => Self::Date,
            "datetime" | "timestamp" => Self::Timestamp,
            "time" => Self::Duration,
            "json" => Self::Json,
            // MariaDB's JSON is a LONGTEXT with a constraint.
            "longtext" if matches!(target, "json" | "jsonb") => Self::Json,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum"
            | "set" | "inet4" | "inet6" | "uuid" => Self::Text,
            _ => return None,
        })
    }

    /// The source's expression for the quoted `column` of type `full_type`.
    pub(super) fn source(self, column: &str, full_type: &str) -> String {
        match self {
            Self::Text | Self::Date | Self::Duration | Self::Json => {
                format!("convert(cast({column} as char) using utf8mb4)")
            }
            // + 0 undoes ZEROFILL and makes YEAR a number.
            Self::Decimal => format!("cast({column} + 0 as char)"),
            // A product is no longer FLOAT(M,D), and keeps the sign of zero.
            Self::Float => format!("cast({column} * 1e0 as char)"),
            Self::Bit => format!("lpad(bin({column} + 0), {}, '0')", bit_count(full_type)),
            Self::Bytes => format!("hex({column})"),
            Self::Timestamp => format!("date_format({column}, '%Y-%m-%d %H:%i:%s.%f')"),
        }
    }

    /// The target's expression for the quoted `column`.
    pub(super) fn target(self, column: &str, target_type: &str, full_type: &str) -> String {
        match (self, target_type) {
            (Self::Text, "inet") => format!("host({column})"),
            (Self::Text, "text[]") => format!("array_to_string({column}, ',')"),
            (Self::Decimal, "boolean") => format!("{column}::int::text"),
            (Self::Float, "real") => format!("{column}::double precision::text"),
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
            // Years to days do not occur in what a TIME becomes; seconds are exact here.
            (Self::Duration, "interval" | "time without time zone") => {
                format!("(extract(epoch from {column}) * 1000000)::bigint || ' us'")
            }
            (
                Self::Text | Self::Decimal | Self::Float | Self::Bit | Self::Duration | Self::Json,
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
                let number: f64 = text
                    .parse()
                    .unwrap_or_else(|error| panic!("{text}: {error}"));
                format!("{number:e}")
            }
            Self::Duration => match text.strip_suffix(" us") {
                Some(microseconds) => microseconds.to_owned(),
                None => microseconds(text)
                    .unwrap_or_else(|| panic!("not a duration: {text}"))
                    .to_string(),
            },
            Self::Json => {
                let value: serde_json::Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}"));
                sorted(value).to_string()
            }
        }
    }
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

/// The same value with the keys of every object in order, whatever map serde_json uses.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
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
    fn floats_compare_by_value_and_keep_the_sign_of_zero() {
        let form = |text| CellRule::Float.normalise(text);
        assert_eq!(form("1e20"), form("100000000000000000000"));
        assert_ne!(form("-0"), form("0"));
        assert_ne!(form("0.1"), form("0.10000000149011612"));
    }

    #[test]
    fn json_compares_without_regard_to_spacing_and_key_order() {
        let form = |text| CellRule::Json.normalise(text);
        assert_eq!(
            form(r#"{"b": 1, "a": [1, 2]}"#),
            form(r#"{"a":[1,2],"b":1}"#)
        );
        assert_ne!(form("[1, 2]"), form("[2, 1]"));
    }

    #[test]
    fn a_type_that_nobody_thought_about_has_no_rule() {
        assert_eq!(CellRule::for_types("geometry", "bytea"), None);
    }
}
