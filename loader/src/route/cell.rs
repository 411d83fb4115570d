//! Cells on their way from staged text to COPY text.
//!
//! Most cells are copied as staged; an [`Adapter`] says what is done to the others. Input and
//! output are COPY text, escaped.

use std::io::Write as _;

use common::settings::{EmptyString, ZeroDate};

use crate::calendar::{civil_from_days, days_from_civil};
use crate::target::dialect::EmptyText;

/// What is done to a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// Copied as staged.
    Verbatim,
    /// Left out: the target computes it.
    Skip,
    /// Text of which the empty string becomes NULL.
    EmptyToNull,
    /// Text of which the empty string is refused: a key that is NULL would name no row.
    NotEmpty,
    /// Text of which the empty string is refused: the target's database would take it for NULL.
    NoEmpty,
    /// A date or timestamp, by the policy for zero and partial dates.
    Date(ZeroDate),
    /// An instant, shown at this many minutes east of UTC, without offset.
    LocalTimestamp {
        /// Minutes east of UTC.
        minutes: i32,
        /// Zero and partial dates.
        zero_date: ZeroDate,
    },
    /// A time of day; durations outside a day are refused.
    TimeOfDay,
    /// Binary digits as a number.
    BitsToInteger,
    /// Binary digits as bytes, the first padded on the left.
    BitsToBytes,
    /// 0 and 1 as false and true; other numbers are refused.
    IntegerToBoolean,
    /// A 32-bit float's shortest text as that of the same number in 64 bits.
    WidenFloat,
    /// 16 bytes as a UUID.
    BytesToUuid,
    /// Bytes without the `\x` in front.
    BareHex,
    /// `a,b` as `{"a","b"}`.
    SetToArray,
    /// `[1,2]` as `{1,2}`.
    VectorToArray,
    /// The same, with each number as [`Adapter::WidenFloat`] writes it.
    VectorToWideArray,
    /// `[1,2]` as the bytes that the source stores: 32-bit floats, little-endian.
    VectorToBytes,
}

/// Why a cell is refused. The value is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellError {
    /// A zero or partial date, and the policy does not take it (here).
    ZeroDate,
    /// An empty string in a key column, which the target takes for NULL.
    EmptyKey,
    /// An empty string, which the target's database takes for NULL.
    Empty,
    /// A duration that is no time of day.
    TimeOfDay,
    /// A number that is neither 0 nor 1.
    Boolean,
    /// Not 16 bytes.
    Uuid,
    /// Not of the form that the column's type has.
    Malformed,
}

impl CellError {
    /// What is wrong, for messages.
    pub fn reason(self) -> &'static str {
        match self {
            Self::ZeroDate => {
                "a zero or partial date: set zero_date in [binlogloader], which does not apply to key columns, or make the \
                 target column text"
            }
            Self::EmptyKey => {
                "an empty string in a key column, which cannot become NULL: give the row another key, or set \
                 empty_string = \"keep\" in [desc.pgsql] where the target keeps empty strings"
            }
            Self::Empty => {
                "an empty string, which the target's database takes for NULL: set empty_string = \"null\" in [desc.pgsql] \
                 where it may become that, or use a database that keeps it (DBCOMPATIBILITY 'PG' or 'B')"
            }
            Self::TimeOfDay => {
                "a TIME outside 00:00:00 to 24:00:00: make the target column interval"
            }
            Self::Boolean => "a number that is neither 0 nor 1: make the target column smallint",
            Self::Uuid => "a binary value that has not 16 bytes: make the target column bytea",
            Self::Malformed => "a staged value that does not have its type's form",
        }
    }

    /// The SQLSTATE that fits.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::ZeroDate | Self::TimeOfDay => "22008",
            Self::EmptyKey => "23502",
            Self::Empty => "2200F",
            Self::Boolean => "22003",
            Self::Uuid | Self::Malformed => "22P02",
        }
    }
}

/// How an empty string of a text column goes to a target that makes of it what `empty_text` says.
pub fn text_adapter(empty_string: EmptyString, empty_text: EmptyText) -> Adapter {
    match (empty_string, empty_text) {
        (EmptyString::Keep, EmptyText::Kept) => Adapter::Verbatim,
        (EmptyString::Keep, EmptyText::Null) => Adapter::NoEmpty,
        (EmptyString::Null, EmptyText::Kept | EmptyText::Null) => Adapter::EmptyToNull,
    }
}

const NULL: &[u8] = common::staging::codec::NULL;

impl Adapter {
    /// The adapted cell: the cell itself, or one that is written into `scratch`.
    ///
    /// # Errors
    /// When the target column cannot take the value.
    pub fn adapt<'a>(
        &self,
        cell: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], CellError> {
        if let Self::Verbatim = self {
            return Ok(cell);
        }
        scratch.clear();
        self.write(cell, scratch)?;
        Ok(scratch)
    }

    /// Appends the adapted cell.
    ///
    /// # Errors
    /// When the target column cannot take the value.
    pub fn write(&self, cell: &[u8], out: &mut Vec<u8>) -> Result<(), CellError> {
        if cell == NULL {
            out.extend_from_slice(NULL);
            return Ok(());
        }
        match self {
            Self::Verbatim | Self::Skip => out.extend_from_slice(cell),
            Self::EmptyToNull => out.extend_from_slice(if cell.is_empty() { NULL } else { cell }),
            Self::NotEmpty if cell.is_empty() => return Err(CellError::EmptyKey),
            Self::NoEmpty if cell.is_empty() => return Err(CellError::Empty),
            Self::NotEmpty | Self::NoEmpty => out.extend_from_slice(cell),
            Self::Date(policy) => write_date(cell, policy, out)?,
            Self::LocalTimestamp { minutes, zero_date } => {
                if is_zero_date(cell) {
                    write_zero_date(cell, zero_date, out)?;
                } else {
                    write_local(cell, *minutes, out).ok_or(CellError::Malformed)?;
                }
            }
            Self::TimeOfDay => {
                if !is_time_of_day(cell) {
                    return Err(CellError::TimeOfDay);
                }
                out.extend_from_slice(cell);
            }
            Self::BitsToInteger => {
                let number = bits(cell).ok_or(CellError::Malformed)?;
                push_display(number, out);
            }
            Self::BitsToBytes => write_bits_as_bytes(cell, out).ok_or(CellError::Malformed)?,
            Self::IntegerToBoolean => out.push(match cell {
                b"0" => b'f',
                b"1" => b't',
                _ => return Err(CellError::Boolean),
            }),
            Self::WidenFloat => write_wide(cell, out).ok_or(CellError::Malformed)?,
            Self::BytesToUuid => match cell.strip_prefix(b"\\\\x") {
                Some(hex) if hex.len() == 32 => out.extend_from_slice(hex),
                _ => return Err(CellError::Uuid),
            },
            Self::BareHex => {
                out.extend_from_slice(cell.strip_prefix(b"\\\\x").unwrap_or(cell));
            }
            Self::SetToArray => write_set(cell, out),
            Self::VectorToArray => {
                let inner = cell
                    .strip_prefix(b"[")
                    .and_then(|cell| cell.strip_suffix(b"]"))
                    .ok_or(CellError::Malformed)?;
                out.push(b'{');
                out.extend_from_slice(inner);
                out.push(b'}');
            }
            Self::VectorToWideArray => {
                let inner = cell
                    .strip_prefix(b"[")
                    .and_then(|cell| cell.strip_suffix(b"]"))
                    .ok_or(CellError::Malformed)?;
                out.push(b'{');
                for (number, cell) in inner.split(|&byte| byte == b',').enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    write_wide(cell, out).ok_or(CellError::Malformed)?;
                }
                out.push(b'}');
            }
            Self::VectorToBytes => {
                write_vector_as_bytes(cell, out).ok_or(CellError::Malformed)?;
            }
        }
        Ok(())
    }

    /// The adapter for a key column: where a policy would substitute values, refuses them.
    pub fn for_key(&self) -> Self {
        if let Self::LocalTimestamp { minutes, .. } = *self {
            return Self::LocalTimestamp {
                minutes,
                zero_date: ZeroDate::Error,
            };
        }
        if let Self::Date(_) = self {
            return Self::Date(ZeroDate::Error);
        }
        if let Self::EmptyToNull | Self::NoEmpty = self {
            return Self::NotEmpty;
        }
        self.clone()
    }
}

/// Year, month or day 0: MySQL's zero and partial dates, and the year 0 that PostgreSQL lacks.
fn is_zero_date(cell: &[u8]) -> bool {
    cell.get(..4) == Some(b"0000")
        || cell.get(5..7) == Some(b"00")
        || cell.get(8..10) == Some(b"00")
}

fn write_date(cell: &[u8], policy: &ZeroDate, out: &mut Vec<u8>) -> Result<(), CellError> {
    if is_zero_date(cell) {
        write_zero_date(cell, policy, out)
    } else {
        out.extend_from_slice(cell);
        Ok(())
    }
}

fn write_zero_date(cell: &[u8], policy: &ZeroDate, out: &mut Vec<u8>) -> Result<(), CellError> {
    match policy {
        ZeroDate::Null => out.extend_from_slice(NULL),
        ZeroDate::Error => return Err(CellError::ZeroDate),
        ZeroDate::StandIn(date) => {
            out.extend_from_slice(date.as_bytes());
            if cell.len() > 10 {
                out.extend_from_slice(b" 00:00:00");
            }
        }
    }
    Ok(())
}

/// `HH:MM:SS…` from 00:00:00 to 24:00:00.
fn is_time_of_day(cell: &[u8]) -> bool {
    match (cell.get(..2), cell.get(2)) {
        (Some(hours), Some(b':')) => {
            hours < b"24".as_slice()
                || cell
                    .strip_prefix(b"24:00:00")
                    .is_some_and(|fraction| fraction.iter().all(|byte| matches!(byte, b'.' | b'0')))
        }
        _ => false,
    }
}

fn push_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

fn write_wide(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let number: f32 = std::str::from_utf8(cell).ok()?.parse().ok()?;
    push_display(f64::from(number), out);
    Some(())
}

fn bits(cell: &[u8]) -> Option<u64> {
    if cell.len() > 64 || cell.is_empty() {
        return None;
    }
    cell.iter().try_fold(0_u64, |number, byte| match byte {
        b'0' => Some(number << 1),
        b'1' => Some(number << 1 | 1),
        _ => None,
    })
}

fn write_bits_as_bytes(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let number = bits(cell)?;
    let bytes = number.to_be_bytes();
    let count = cell.len().div_ceil(8);
    out.extend_from_slice(b"\\\\x");
    for byte in bytes.get(bytes.len().checked_sub(count)?..)? {
        push_display(format_args!("{byte:02x}"), out);
    }
    Some(())
}

fn write_vector_as_bytes(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let inner = cell.strip_prefix(b"[")?.strip_suffix(b"]")?;
    out.extend_from_slice(b"\\\\x");
    for number in std::str::from_utf8(inner).ok()?.split(',') {
        let number: f32 = number.parse().ok()?;
        for byte in number.to_le_bytes() {
            push_display(format_args!("{byte:02x}"), out);
        }
    }
    Some(())
}

/// Labels of a SET hold no comma. Every label is quoted, so that one that reads `NULL` stays
/// a label.
fn write_set(cell: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    if !cell.is_empty() {
        for (number, label) in cell.split(|&byte| byte == b',').enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.push(b'"');
            let mut bytes = label.iter();
            while let Some(&byte) = bytes.next() {
                match byte {
                    // A quote or an escaped backslash takes a backslash of the array, which COPY
                    // doubles. Other escapes are COPY's own.
                    b'"' => out.extend_from_slice(b"\\\\\""),
                    b'\\' => match bytes.next() {
                        Some(b'\\') => out.extend_from_slice(b"\\\\\\\\"),
                        Some(&other) => out.extend_from_slice(&[b'\\', other]),
                        None => out.push(b'\\'),
                    },
                    byte => out.push(byte),
                }
            }
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// `YYYY-MM-DD HH:MM:SS[.f]+00` as the wall clock `minutes` east of UTC.
fn write_local(cell: &[u8], minutes: i32, out: &mut Vec<u8>) -> Option<()> {
    let (stamp, offset) = cell.split_at_checked(cell.len().checked_sub(3)?)?;
    if offset != b"+00" {
        return None;
    }
    if minutes == 0 {
        out.extend_from_slice(stamp);
        return Some(());
    }
    let number =
        |range| -> Option<i64> { std::str::from_utf8(stamp.get(range)?).ok()?.parse().ok() };
    let days = days_from_civil(number(0..4)?, number(5..7)?, number(8..10)?);
    let of_day = number(11..13)? * 60 + number(14..16)?;
    let total = days * 1440 + of_day + i64::from(minutes);
    let (year, month, day) = civil_from_days(total.div_euclid(1440));
    let of_day = total.rem_euclid(1440);
    push_display(
        format_args!(
            "{year:04}-{month:02}-{day:02} {:02}:{:02}",
            of_day / 60,
            of_day % 60
        ),
        out,
    );
    out.extend_from_slice(stamp.get(16..)?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapt(adapter: &Adapter, cell: &str) -> Result<String, CellError> {
        let mut out = Vec::new();
        adapter.write(cell.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn null_stays_null_whatever_the_adapter() {
        for adapter in [
            Adapter::Verbatim,
            Adapter::Date(ZeroDate::Error),
            Adapter::BitsToInteger,
            Adapter::SetToArray,
            Adapter::BytesToUuid,
        ] {
            assert_eq!(adapt(&adapter, "\\N").unwrap(), "\\N");
        }
    }

    #[test]
    fn zero_and_partial_dates_follow_the_policy() {
        for cell in ["0000-00-00", "2024-00-10", "2024-05-00", "0000-05-05"] {
            let stand_in = ZeroDate::StandIn("0001-01-01".into());
            assert_eq!(adapt(&Adapter::Date(ZeroDate::Null), cell).unwrap(), "\\N");
            assert_eq!(
                adapt(&Adapter::Date(ZeroDate::Error), cell),
                Err(CellError::ZeroDate)
            );
            assert_eq!(adapt(&Adapter::Date(stand_in), cell).unwrap(), "0001-01-01");
        }
        let stand_in = Adapter::Date(ZeroDate::StandIn("0001-01-01".into()));
        assert_eq!(
            adapt(&stand_in, "0000-00-00 00:00:00").unwrap(),
            "0001-01-01 00:00:00"
        );
        assert_eq!(adapt(&stand_in, "2024-05-10").unwrap(), "2024-05-10");
        assert_eq!(
            adapt(&Adapter::Date(ZeroDate::Null).for_key(), "0000-00-00"),
            Err(CellError::ZeroDate)
        );
    }

    #[test]
    fn an_empty_text_is_refused_where_it_would_become_null() {
        use EmptyString::{Keep, Null};
        use EmptyText::Kept;
        let adapter = text_adapter(Keep, EmptyText::Null);
        assert_eq!(adapt(&adapter, ""), Err(CellError::Empty));
        assert_eq!(adapt(&adapter, " ").unwrap(), " ");
        assert_eq!(adapt(&adapter, "\\N").unwrap(), "\\N");
        assert_eq!(adapt(&adapter.for_key(), ""), Err(CellError::EmptyKey));
        assert_eq!(adapt(&text_adapter(Keep, Kept), "").unwrap(), "");
        for empty_text in [Kept, EmptyText::Null] {
            assert_eq!(adapt(&text_adapter(Null, empty_text), "").unwrap(), "\\N");
        }
    }

    #[test]
    fn an_empty_key_never_becomes_null() {
        let key = Adapter::EmptyToNull.for_key();
        assert_eq!(adapt(&Adapter::EmptyToNull, "").unwrap(), "\\N");
        assert_eq!(adapt(&key, ""), Err(CellError::EmptyKey));
        assert_eq!(adapt(&key, "a").unwrap(), "a");
    }

    #[test]
    fn instants_are_shown_in_the_time_zone() {
        for (minutes, expected) in [
            (0, "2024-02-28 23:30:00.5"),
            (60, "2024-02-29 00:30:00.5"),
            (-24 * 60, "2024-02-27 23:30:00.5"),
            (330, "2024-02-29 05:00:00.5"),
        ] {
            let adapter = Adapter::LocalTimestamp {
                minutes,
                zero_date: ZeroDate::Null,
            };
            assert_eq!(
                adapt(&adapter, "2024-02-28 23:30:00.5+00").unwrap(),
                expected
            );
        }
        let adapter = Adapter::LocalTimestamp {
            minutes: 840,
            zero_date: ZeroDate::Null,
        };
        assert_eq!(
            adapt(&adapter, "2023-12-31 12:00:00+00").unwrap(),
            "2024-01-01 02:00:00"
        );
    }

    #[test]
    fn only_times_of_day_go_into_time() {
        for (cell, fits) in [
            ("00:00:00", true),
            ("23:59:59.999999", true),
            ("24:00:00", true),
            ("24:00:00.000", true),
            ("24:00:00.001", false),
            ("24:00:01", false),
            ("-00:00:01", false),
            ("838:59:59", false),
            ("100:00:00", false),
        ] {
            assert_eq!(adapt(&Adapter::TimeOfDay, cell).is_ok(), fits, "{cell}");
        }
    }

    #[test]
    fn bits_become_numbers_and_bytes() {
        assert_eq!(adapt(&Adapter::BitsToInteger, "101").unwrap(), "5");
        assert_eq!(
            adapt(&Adapter::BitsToBytes, "100000001").unwrap(),
            "\\\\x0101"
        );
        assert_eq!(adapt(&Adapter::IntegerToBoolean, "1").unwrap(), "t");
        assert_eq!(
            adapt(&Adapter::IntegerToBoolean, "2"),
            Err(CellError::Boolean)
        );
    }

    #[test]
    fn sets_become_arrays_of_quoted_labels() {
        assert_eq!(adapt(&Adapter::SetToArray, "").unwrap(), "{}");
        assert_eq!(
            adapt(&Adapter::SetToArray, "a,NULL").unwrap(),
            r#"{"a","NULL"}"#
        );
        assert_eq!(
            adapt(&Adapter::SetToArray, r#"q"x,b\\y,t\tz"#).unwrap(),
            r#"{"q\\"x","b\\\\y","t\tz"}"#
        );
    }

    #[test]
    fn a_float_keeps_its_number_when_widened() {
        assert_eq!(
            adapt(&Adapter::WidenFloat, "0.1").unwrap(),
            "0.10000000149011612"
        );
        assert_eq!(adapt(&Adapter::WidenFloat, "1e10").unwrap(), "10000000000");
        for text in ["7.038531e-26", "3.4028235e38", "1e-45", "-0", "16777216"] {
            let wide = adapt(&Adapter::WidenFloat, text).unwrap();
            let number: f64 = wide.parse().unwrap();
            assert_eq!(
                number.to_bits(),
                f64::from(text.parse::<f32>().unwrap()).to_bits(),
                "{text}"
            );
            assert_eq!(
                adapt(&Adapter::VectorToWideArray, &format!("[{text},{text}]")).unwrap(),
                format!("{{{wide},{wide}}}")
            );
        }
    }

    #[test]
    fn bytes_become_uuids_when_there_are_16() {
        let hex = "00112233445566778899aabbccddeeff";
        assert_eq!(
            adapt(&Adapter::BytesToUuid, &format!("\\\\x{hex}")).unwrap(),
            hex
        );
        assert_eq!(
            adapt(&Adapter::BytesToUuid, "\\\\x00"),
            Err(CellError::Uuid)
        );
    }

    #[test]
    fn vectors_become_arrays_and_bytes() {
        assert_eq!(
            adapt(&Adapter::VectorToBytes, "[1,-2.5]").unwrap(),
            "\\\\x0000803f000020c0"
        );
        assert_eq!(
            adapt(&Adapter::VectorToArray, "[1,2.5]").unwrap(),
            "{1,2.5}"
        );
    }
}
