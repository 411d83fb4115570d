//! Which source type may go into which target type, and how.
//!
//! An explicit allow-list: what is not listed is refused by name. Nothing is listed that
//! could change a value silently (fewer digits, a shorter varchar, a narrower number).

use common::settings::{EmptyString, Settings, ZeroDate};
use common::table::{ColumnType, IntegerWidth, Sign};

use super::cell::{Adapter, text_adapter};
use crate::target::catalog::TargetColumn;
use crate::target::dialect::{Dates, Dialect, EmptyText, Lengths};

/// What the configuration says about values.
#[derive(Clone, Debug)]
pub struct ValuePolicy {
    /// Zero and partial dates.
    pub zero_date: ZeroDate,
    /// Empty strings.
    pub empty_string: EmptyString,
    /// Minutes east of UTC for TIMESTAMP in a column without time zone.
    pub time_zone_minutes: i32,
}

impl ValuePolicy {
    /// As configured.
    pub fn of(settings: &Settings) -> Self {
        Self {
            zero_date: settings.loader.zero_date.clone(),
            empty_string: settings.target.empty_string,
            time_zone_minutes: settings.source.time_zone_minutes,
        }
    }
}

/// How the source type's cells go into the target column; `None` when they may not.
pub fn adapter(
    source: &ColumnType,
    target: &TargetColumn,
    dialect: Dialect,
    policy: &ValuePolicy,
) -> Option<Adapter> {
    let to = Target {
        column: target,
        dialect,
    };
    let verbatim = |fits: bool| fits.then_some(Adapter::Verbatim);
    let text = |fits: bool| fits.then(|| text_adapter(policy.empty_string, dialect.empty_text()));
    // The target type refuses an empty string, or has it as a label; but where it is NULL the type
    // is not asked.
    let no_text = |fits: bool| match dialect.empty_text() {
        EmptyText::Kept => verbatim(fits),
        EmptyText::Null => text(fits),
    };
    match source {
        ColumnType::Integer { width, sign } => integer(to, *width, *sign),
        ColumnType::Decimal { precision, scale } => verbatim(
            to.numeric(*precision, *scale)
                || to.text_of(u32::from(*precision) + 3)
                || (*scale == 0 && to.integer(u32::from(*precision))),
        ),
        ColumnType::Float if to.is("float8") => Some(Adapter::WidenFloat),
        ColumnType::Float if to.is("float4") && dialect.misreads_real() => {
            Some(Adapter::WidenFloat)
        }
        ColumnType::Float => verbatim(to.is("float4") || to.any_numeric() || to.text_of(u32::MAX)),
        ColumnType::Double => verbatim(to.is("float8") || to.any_numeric() || to.text_of(u32::MAX)),
        ColumnType::Bit { bits } => bit(to, *bits),
        ColumnType::Year => verbatim(to.integer(4) || to.numeric(4, 0) || to.text_of(4)),
        ColumnType::Date if to.is_date() => Some(Adapter::Date(policy.zero_date.clone())),
        ColumnType::Date => verbatim(to.text_of(10)),
        ColumnType::DateTime { digits } if to.is("timestamp") && to.seconds(*digits) => {
            Some(Adapter::Date(policy.zero_date.clone()))
        }
        ColumnType::DateTime { .. } => verbatim(to.text_of(26)),
        ColumnType::Timestamp { digits } => timestamp(to, *digits, policy),
        ColumnType::Time { digits } if to.is("time") && to.seconds(*digits) => {
            Some(Adapter::TimeOfDay)
        }
        ColumnType::Time { digits } => {
            verbatim((to.is("interval") && to.interval_seconds(*digits)) || to.text_of(17))
        }
        ColumnType::Char { max_chars, charset } if to.is("bpchar") => {
            text(to.holds(*max_chars, || longest(*max_chars, charset)))
        }
        ColumnType::Char { max_chars, charset } | ColumnType::Varchar { max_chars, charset } => {
            text(to.text_of_at_most(*max_chars, || longest(*max_chars, charset)))
                .or_else(|| no_text(to.document() || to.is("uuid")))
        }
        ColumnType::Text { .. } => text(to.text_of(u32::MAX)).or_else(|| no_text(to.document())),
        ColumnType::Binary { bytes } | ColumnType::Varbinary { max_bytes: bytes } => {
            if to.is("uuid") {
                return (*bytes == 16).then_some(Adapter::BytesToUuid);
            }
            verbatim(to.is("bytea"))
        }
        ColumnType::Blob => verbatim(to.is("bytea")),
        ColumnType::Enum { labels } => {
            let longest = |length: fn(&str) -> u32| {
                let lengths = labels.iter().map(|label| length(label));
                lengths.max().unwrap_or(0)
            };
            text(to.text_of_at_most(longest(chars), || longest(bytes)))
                .or_else(|| no_text(target.is_enum))
        }
        ColumnType::Set { labels } => {
            if to.is("_text") {
                return Some(Adapter::SetToArray);
            }
            let all =
                |length: fn(&str) -> u32| labels.iter().map(|label| length(label) + 1).sum::<u32>();
            text(to.text_of_at_most(all(chars), || all(bytes)))
        }
        ColumnType::Json => verbatim(to.document() || to.text_of(u32::MAX)),
        ColumnType::Geometry if to.is("geometry") => Some(Adapter::BareHex),
        ColumnType::Geometry => verbatim(to.is("bytea")),
        ColumnType::Vector if to.is("_float4") => Some(if dialect.misreads_real() {
            Adapter::VectorToWideArray
        } else {
            Adapter::VectorToArray
        }),
        ColumnType::Vector if to.is("bytea") => Some(Adapter::VectorToBytes),
        ColumnType::Vector => verbatim(to.is("vector") || to.text_of(u32::MAX)),
        ColumnType::Inet4 | ColumnType::Inet6 => verbatim(to.is("inet") || to.text_of(45)),
        ColumnType::Uuid => verbatim(to.is("uuid") || to.text_of(36)),
    }
}

/// Whether values of the column are equal only where their texts are, so that they may tell
/// the rows of several sources apart.
pub fn tells_apart(target: &TargetColumn) -> bool {
    const TYPES: &[&str] = &["text", "varchar", "int2", "int4", "int8", "uuid"];
    target.is_enum || TYPES.contains(&target.type_name.as_str())
}

/// The type that a target column should have, for messages.
pub fn default_type(source: &ColumnType, dialect: Dialect) -> String {
    match source {
        ColumnType::Integer { width, sign } => match (width, sign) {
            (IntegerWidth::Tiny, _) | (IntegerWidth::Small, Sign::Signed) => "smallint".into(),
            (IntegerWidth::Small, Sign::Unsigned)
            | (IntegerWidth::Medium, _)
            | (IntegerWidth::Int, Sign::Signed) => "integer".into(),
            (IntegerWidth::Int, Sign::Unsigned) | (IntegerWidth::Big, Sign::Signed) => {
                "bigint".into()
            }
            (IntegerWidth::Big, Sign::Unsigned) => "numeric(20)".into(),
        },
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ColumnType::Float => "real".into(),
        ColumnType::Double => "double precision".into(),
        ColumnType::Bit { bits } => format!("bit({bits})"),
        ColumnType::Year => "smallint".into(),
        ColumnType::Date => "date".into(),
        ColumnType::DateTime { digits } => format!("timestamp({digits})"),
        ColumnType::Timestamp { digits } => format!("timestamptz({digits})"),
        ColumnType::Time { .. } => "interval".into(),
        ColumnType::Char { max_chars, charset } | ColumnType::Varchar { max_chars, charset } => {
            let length = match dialect.lengths() {
                Lengths::Characters => *max_chars,
                Lengths::Bytes => longest(*max_chars, charset),
            };
            // PostgreSQL has no varchar(0).
            format!("varchar({})", length.max(1))
        }
        ColumnType::Text { .. } | ColumnType::Enum { .. } | ColumnType::Set { .. } => "text".into(),
        ColumnType::Binary { .. }
        | ColumnType::Varbinary { .. }
        | ColumnType::Blob
        | ColumnType::Geometry => "bytea".into(),
        ColumnType::Json => "jsonb".into(),
        ColumnType::Vector => "real[]".into(),
        ColumnType::Inet4 | ColumnType::Inet6 => "inet".into(),
        ColumnType::Uuid => "uuid".into(),
    }
}

/// The source type as its server writes it, for messages.
pub fn source_type(source: &ColumnType) -> String {
    match source {
        ColumnType::Integer { width, sign } => {
            let name = match width {
                IntegerWidth::Tiny => "TINYINT",
                IntegerWidth::Small => "SMALLINT",
                IntegerWidth::Medium => "MEDIUMINT",
                IntegerWidth::Int => "INT",
                IntegerWidth::Big => "BIGINT",
            };
            match sign {
                Sign::Signed => name.into(),
                Sign::Unsigned => format!("{name} UNSIGNED"),
            }
        }
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ColumnType::Float => "FLOAT".into(),
        ColumnType::Double => "DOUBLE".into(),
        ColumnType::Bit { bits } => format!("BIT({bits})"),
        ColumnType::Year => "YEAR".into(),
        ColumnType::Date => "DATE".into(),
        ColumnType::DateTime { digits } => format!("DATETIME({digits})"),
        ColumnType::Timestamp { digits } => format!("TIMESTAMP({digits})"),
        ColumnType::Time { digits } => format!("TIME({digits})"),
        ColumnType::Char { max_chars, .. } => format!("CHAR({max_chars})"),
        ColumnType::Varchar { max_chars, .. } => format!("VARCHAR({max_chars})"),
        ColumnType::Text { .. } => "TEXT".into(),
        ColumnType::Binary { bytes } => format!("BINARY({bytes})"),
        ColumnType::Varbinary { max_bytes } => format!("VARBINARY({max_bytes})"),
        ColumnType::Blob => "BLOB".into(),
        ColumnType::Enum { .. } => "ENUM".into(),
        ColumnType::Set { .. } => "SET".into(),
        ColumnType::Json => "JSON".into(),
        ColumnType::Geometry => "GEOMETRY".into(),
        ColumnType::Vector => "VECTOR".into(),
        ColumnType::Inet4 => "INET4".into(),
        ColumnType::Inet6 => "INET6".into(),
        ColumnType::Uuid => "UUID".into(),
    }
}

fn integer(to: Target<'_>, width: IntegerWidth, sign: Sign) -> Option<Adapter> {
    if to.is("bool") && width == IntegerWidth::Tiny {
        return Some(Adapter::IntegerToBoolean);
    }
    let bits = match width {
        IntegerWidth::Tiny => 8,
        IntegerWidth::Small => 16,
        IntegerWidth::Medium => 24,
        IntegerWidth::Int => 32,
        IntegerWidth::Big => 64,
    };
    let value_bits = match sign {
        Sign::Signed => bits - 1,
        Sign::Unsigned => bits,
    };
    // Digits of the largest number of so many bits.
    let digits: u8 = match value_bits {
        0..=8 => 3,
        9..=16 => 5,
        17..=23 => 7,
        24 => 8,
        25..=32 => 10,
        33..=63 => 19,
        _ => 20,
    };
    let wide_enough = match to.column.type_name.as_str() {
        "int1" if to.dialect.has_unsigned_tinyint() => sign == Sign::Unsigned && value_bits <= 8,
        "int2" => value_bits <= 15,
        "int4" => value_bits <= 31,
        "int8" => value_bits <= 63,
        "float4" => value_bits <= 24,
        "float8" => value_bits <= 53,
        _ => to.numeric(digits, 0) || to.text_of(u32::from(digits) + 1),
    };
    wide_enough.then_some(Adapter::Verbatim)
}

fn bit(to: Target<'_>, bits: u8) -> Option<Adapter> {
    let modifier = to.column.type_modifier;
    match to.column.type_name.as_str() {
        "bit" if modifier == i32::from(bits) => Some(Adapter::Verbatim),
        "varbit" if modifier < 0 || modifier >= i32::from(bits) => Some(Adapter::Verbatim),
        "bool" if bits == 1 => Some(Adapter::IntegerToBoolean),
        "int2" if bits <= 15 => Some(Adapter::BitsToInteger),
        "int4" if bits <= 31 => Some(Adapter::BitsToInteger),
        "int8" if bits <= 63 => Some(Adapter::BitsToInteger),
        "numeric" if to.numeric(20, 0) => Some(Adapter::BitsToInteger),
        "bytea" => Some(Adapter::BitsToBytes),
        _ => to.text_of(u32::from(bits)).then_some(Adapter::Verbatim),
    }
}

fn timestamp(to: Target<'_>, digits: u8, policy: &ValuePolicy) -> Option<Adapter> {
    match to.column.type_name.as_str() {
        "timestamptz" if to.seconds(digits) => Some(Adapter::Date(policy.zero_date.clone())),
        "timestamp" if to.seconds(digits) => Some(Adapter::LocalTimestamp {
            minutes: policy.time_zone_minutes,
            zero_date: policy.zero_date.clone(),
        }),
        _ => to.text_of(29).then_some(Adapter::Verbatim),
    }
}

fn chars(label: &str) -> u32 {
    u32::try_from(label.chars().count()).unwrap_or(u32::MAX)
}

fn bytes(label: &str) -> u32 {
    u32::try_from(label.len()).unwrap_or(u32::MAX)
}

/// The most bytes that so many characters of a charset take in UTF-8. Only these charsets have
/// characters behind U+FFFF.
fn longest(max_chars: u32, charset: &str) -> u32 {
    let each = match charset {
        "ascii" => 1,
        "utf8mb4" | "utf16" | "utf16le" | "utf32" | "gb18030" => 4,
        _ => 3,
    };
    max_chars.saturating_mul(each)
}

/// Header that a varchar's, bpchar's or numeric's type modifier counts in.
const MODIFIER_HEADER: i32 = 4;

/// A target column, asked whether it is wide enough.
#[derive(Clone, Copy)]
struct Target<'a> {
    column: &'a TargetColumn,
    dialect: Dialect,
}

impl Target<'_> {
    fn is(self, type_name: &str) -> bool {
        self.column.type_name == type_name
    }

    fn characters(self, max_chars: u32) -> bool {
        let room = self.column.type_modifier - MODIFIER_HEADER;
        self.column.type_modifier < 0 || u32::try_from(room).is_ok_and(|room| room >= max_chars)
    }

    /// Whether so many characters fit, or bytes where those are what counts.
    fn holds(self, max_chars: u32, max_bytes: impl FnOnce() -> u32) -> bool {
        match self.dialect.lengths() {
            Lengths::Characters => self.characters(max_chars),
            Lengths::Bytes => self.characters(max_bytes()),
        }
    }

    fn text_of_at_most(self, max_chars: u32, max_bytes: impl FnOnce() -> u32) -> bool {
        self.is("text") || (self.is("varchar") && self.holds(max_chars, max_bytes))
    }

    /// A text of so many characters, all ASCII.
    fn text_of(self, max_chars: u32) -> bool {
        self.text_of_at_most(max_chars, || max_chars)
    }

    fn is_date(self) -> bool {
        self.is("date") || (self.is("timestamp") && self.dialect.dates() == Dates::Timestamp)
    }

    fn document(self) -> bool {
        self.is("json") || self.is("jsonb")
    }

    fn any_numeric(self) -> bool {
        self.is("numeric") && self.column.type_modifier < 0
    }

    /// Whether every number with so many digits in all and behind the point fits.
    fn numeric(self, precision: u8, scale: u8) -> bool {
        if !self.is("numeric") {
            return false;
        }
        let modifier = self.column.type_modifier;
        if modifier < 0 {
            return true;
        }
        // Source: PostgreSQL, numeric.c, make_numeric_typmod.
        let packed = modifier - MODIFIER_HEADER;
        let (own_precision, own_scale) = (packed >> 16 & 0xffff, packed & 0x7ff);
        let own_scale = (own_scale ^ 1024) - 1024;
        own_scale >= i32::from(scale)
            && own_precision - own_scale >= i32::from(precision) - i32::from(scale)
    }

    /// Whether an integer column takes every number of so many decimal digits.
    fn integer(self, digits: u32) -> bool {
        match self.column.type_name.as_str() {
            "int2" => digits <= 4,
            "int4" => digits <= 9,
            "int8" => digits <= 18,
            _ => false,
        }
    }

    /// Whether fractional seconds of so many digits fit.
    fn seconds(self, digits: u8) -> bool {
        self.column.type_modifier < 0 || self.column.type_modifier >= i32::from(digits)
    }

    /// The same for interval, whose modifier also holds a range of fields.
    /// Source: PostgreSQL, timestamp.h, INTERVAL_PRECISION and INTERVAL_FULL_RANGE.
    fn interval_seconds(self, digits: u8) -> bool {
        let modifier = self.column.type_modifier;
        let (range, precision) = (modifier >> 16 & 0x7fff, modifier & 0xffff);
        modifier < 0 || (range == 0x7fff && precision >= i32::from(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::dialect::Compatibility;

    fn column(type_name: &str, type_modifier: i32) -> TargetColumn {
        TargetColumn {
            name: "c".into(),
            type_name: type_name.into(),
            is_enum: false,
            type_modifier,
            type_text: type_name.into(),
            base_type_text: type_name.into(),
            not_null: false,
            fill: crate::target::catalog::Fill::Null,
            deterministic: true,
        }
    }

    fn policy() -> ValuePolicy {
        ValuePolicy {
            zero_date: ZeroDate::Null,
            empty_string: EmptyString::Keep,
            time_zone_minutes: 0,
        }
    }

    fn accepted_by(
        dialect: Dialect,
        source: &ColumnType,
        type_name: &str,
        type_modifier: i32,
    ) -> bool {
        let policy = policy();
        let column = column(type_name, type_modifier);
        adapter(source, &column, dialect, &policy).is_some()
    }

    fn accepts(source: &ColumnType, type_name: &str, type_modifier: i32) -> bool {
        accepted_by(Dialect::PostgreSql, source, type_name, type_modifier)
    }

    fn opengauss_a() -> Dialect {
        Dialect::OpenGauss(Compatibility {
            empty_text: EmptyText::Null,
            lengths: Lengths::Bytes,
            dates: Dates::Timestamp,
        })
    }

    #[test]
    fn lengths_that_count_bytes_hold_the_longest_text() {
        let varchar = |charset: &str| ColumnType::Varchar {
            max_chars: 20,
            charset: charset.into(),
        };
        for (charset, bytes) in [
            ("utf8mb4", 80),
            ("utf8mb3", 60),
            ("latin1", 60),
            ("ascii", 20),
        ] {
            let source = varchar(charset);
            assert!(
                accepted_by(opengauss_a(), &source, "varchar", 4 + bytes),
                "{charset}"
            );
            assert!(
                !accepted_by(opengauss_a(), &source, "varchar", 3 + bytes),
                "{charset}"
            );
            assert_eq!(
                default_type(&source, opengauss_a()),
                format!("varchar({bytes})")
            );
        }
        let source = ColumnType::Enum {
            labels: vec!["\u{e9}\u{e9}".into(), "abc".into()],
        };
        assert!(accepted_by(opengauss_a(), &source, "varchar", 4 + 4));
        assert!(!accepted_by(opengauss_a(), &source, "varchar", 4 + 3));
        assert!(accepts(&source, "varchar", 4 + 3));
    }

    #[test]
    fn what_opengauss_calls_date_and_tinyint_is_taken_for_what_it_is() {
        assert!(accepted_by(
            opengauss_a(),
            &ColumnType::Date,
            "timestamp",
            0
        ));
        assert!(!accepts(&ColumnType::Date, "timestamp", 0));
        let unsigned = int(IntegerWidth::Tiny, Sign::Unsigned);
        assert!(accepted_by(opengauss_a(), &unsigned, "int1", -1));
        assert!(!accepts(&unsigned, "int1", -1));
        let signed = int(IntegerWidth::Tiny, Sign::Signed);
        assert!(!accepted_by(opengauss_a(), &signed, "int1", -1));
    }

    #[test]
    fn floats_are_widened_for_servers_that_misread_them() {
        let policy = policy();
        for (dialect, expected) in [
            (Dialect::PostgreSql, Adapter::Verbatim),
            (Dialect::Greenplum6, Adapter::WidenFloat),
            (Dialect::Greenplum7, Adapter::Verbatim),
            (opengauss_a(), Adapter::WidenFloat),
        ] {
            let column = column("float4", -1);
            assert_eq!(
                adapter(&ColumnType::Float, &column, dialect, &policy),
                Some(expected)
            );
        }
    }

    #[test]
    fn empty_texts_do_not_become_null_unnoticed_in_columns_of_other_types() {
        let charset = || "utf8mb4".to_owned();
        let varchar = ColumnType::Varchar {
            max_chars: 36,
            charset: charset(),
        };
        let text = ColumnType::Text { charset: charset() };
        let labels = ColumnType::Enum {
            labels: vec!["a".into(), String::new()],
        };
        let mood = TargetColumn {
            is_enum: true,
            ..column("mood", -1)
        };
        for (source, target) in [
            (&varchar, column("uuid", -1)),
            (&varchar, column("json", -1)),
            (&text, column("jsonb", -1)),
            (&labels, mood),
        ] {
            for (dialect, empty_string, expected) in [
                (opengauss_a(), EmptyString::Keep, Adapter::NoEmpty),
                (opengauss_a(), EmptyString::Null, Adapter::EmptyToNull),
                // Refused by the type, or one of an enum's labels.
                (Dialect::PostgreSql, EmptyString::Keep, Adapter::Verbatim),
                (Dialect::PostgreSql, EmptyString::Null, Adapter::Verbatim),
            ] {
                let policy = ValuePolicy {
                    empty_string,
                    ..policy()
                };
                assert_eq!(
                    adapter(source, &target, dialect, &policy),
                    Some(expected),
                    "{source:?} into {}, {dialect:?}, {empty_string:?}",
                    target.type_name
                );
            }
        }
    }

    fn numeric(precision: i32, scale: i32) -> i32 {
        (precision << 16 | scale) + 4
    }

    fn int(width: IntegerWidth, sign: Sign) -> ColumnType {
        ColumnType::Integer { width, sign }
    }

    #[test]
    fn integers_go_where_all_of_their_range_fits() {
        use IntegerWidth::{Big, Int, Medium, Small, Tiny};
        use Sign::{Signed, Unsigned};
        for (source, type_name, modifier, expected) in [
            (int(Tiny, Unsigned), "int2", -1, true),
            (int(Small, Signed), "int2", -1, true),
            (int(Small, Unsigned), "int2", -1, false),
            (int(Small, Unsigned), "int4", -1, true),
            (int(Medium, Unsigned), "int4", -1, true),
            (int(Int, Signed), "int4", -1, true),
            (int(Int, Unsigned), "int4", -1, false),
            (int(Int, Unsigned), "int8", -1, true),
            (int(Big, Signed), "int8", -1, true),
            (int(Big, Unsigned), "int8", -1, false),
            (int(Big, Unsigned), "numeric", numeric(20, 0), true),
            (int(Big, Unsigned), "numeric", numeric(19, 0), false),
            (int(Big, Unsigned), "numeric", -1, true),
            (int(Int, Signed), "float8", -1, true),
            (int(Big, Signed), "float8", -1, false),
            (int(Int, Signed), "float4", -1, false),
            (int(Tiny, Signed), "bool", -1, true),
            (int(Int, Signed), "bool", -1, false),
            (int(Int, Signed), "text", -1, true),
            (int(Int, Signed), "varchar", 4 + 11, true),
            (int(Int, Signed), "varchar", 4 + 10, false),
        ] {
            assert_eq!(
                accepts(&source, type_name, modifier),
                expected,
                "{source:?} {type_name}"
            );
        }
    }

    #[test]
    fn decimals_are_never_rounded() {
        let source = ColumnType::Decimal {
            precision: 10,
            scale: 2,
        };
        assert!(accepts(&source, "numeric", numeric(10, 2)));
        assert!(accepts(&source, "numeric", numeric(12, 4)));
        assert!(accepts(&source, "numeric", -1));
        assert!(!accepts(&source, "numeric", numeric(10, 4)));
        assert!(!accepts(&source, "numeric", numeric(10, 1)));
        assert!(!accepts(&source, "float8", -1));
        assert!(!accepts(&source, "int8", -1));
    }

    #[test]
    fn floats_are_not_narrowed() {
        assert!(accepts(&ColumnType::Float, "float4", -1));
        assert!(accepts(&ColumnType::Float, "float8", -1));
        assert!(!accepts(&ColumnType::Double, "float4", -1));
        assert!(!accepts(&ColumnType::Double, "int4", -1));
        assert!(!accepts(&ColumnType::Double, "numeric", numeric(10, 2)));
    }

    #[test]
    fn texts_need_a_column_at_least_as_long() {
        let source = ColumnType::Varchar {
            max_chars: 20,
            charset: "utf8mb4".into(),
        };
        assert!(accepts(&source, "varchar", 24));
        assert!(accepts(&source, "varchar", -1));
        assert!(!accepts(&source, "varchar", 23));
        assert!(!accepts(&source, "bpchar", 24));
        let source = ColumnType::Char {
            max_chars: 20,
            charset: "utf8mb4".into(),
        };
        assert!(accepts(&source, "bpchar", 24));
        assert!(!accepts(&source, "bpchar", 23));
        let source = ColumnType::Text {
            charset: "utf8mb4".into(),
        };
        assert!(accepts(&source, "text", -1));
        assert!(!accepts(&source, "varchar", 70_000));
    }

    #[test]
    fn fractional_seconds_are_not_cut() {
        assert!(accepts(&ColumnType::DateTime { digits: 3 }, "timestamp", 3));
        assert!(accepts(
            &ColumnType::DateTime { digits: 3 },
            "timestamp",
            -1
        ));
        assert!(!accepts(
            &ColumnType::DateTime { digits: 6 },
            "timestamp",
            3
        ));
        assert!(!accepts(
            &ColumnType::DateTime { digits: 0 },
            "timestamptz",
            -1
        ));
        assert!(accepts(
            &ColumnType::Timestamp { digits: 0 },
            "timestamp",
            0
        ));
        assert!(accepts(&ColumnType::Time { digits: 6 }, "interval", -1));
        assert!(!accepts(
            &ColumnType::Time { digits: 6 },
            "interval",
            0x7fff_0003
        ));
    }

    #[test]
    fn bits_go_where_all_of_them_fit() {
        let source = ColumnType::Bit { bits: 8 };
        assert!(accepts(&source, "bit", 8));
        assert!(!accepts(&source, "bit", 9));
        assert!(accepts(&source, "varbit", 9));
        assert!(accepts(&source, "bytea", -1));
        assert!(!accepts(&source, "bool", -1));
        assert!(!accepts(&ColumnType::Bit { bits: 64 }, "int8", -1));
    }
}
