//! DATETIME, TIMESTAMP and TIME in the formats before MySQL 5.6.4 and MariaDB 10.1.
//!
//! MariaDB still writes them into tables made with `mysql56_temporal_format=OFF`, MySQL
//! 5.7 into tables from before. Without fraction they are little-endian numbers
//! (`Field_timestamp0`, `Field_datetime0`, `Field_time0`); with one they are MariaDB's
//! own (`Field_..._hires` in `sql/field.cc`): big-endian numbers that count the smallest
//! unit. The table map tells neither the digits nor the length, so they come from the
//! definition alone.

use super::bytes::{big_endian, little_endian, take, take_array};
use super::copy_text::CopyText;
use super::error::CellError;
use super::temporal::{Calendar, Duration, fraction_bytes, push_fraction, push_instant};

/// Seconds that a stored TIME of zero stands at: one more than 838:59:59.
const TIME_ZERO_SECONDS: u64 = 838 * 3_600 + 59 * 60 + 60;

/// Units of a fraction in one second.
fn units(digits: u8) -> u64 {
    10_u64.pow(digits.into())
}

/// Bytes that DATETIME and TIME take more than without fraction (5 and 3): as many as
/// hold the largest value.
fn extra_bytes(digits: u8) -> usize {
    match digits {
        0 => 0,
        1 | 2 => 1,
        3..=5 => 2,
        _ => 3,
    }
}

fn small(value: u64, part: &'static str) -> Result<u32, CellError> {
    u32::try_from(value).map_err(|_| CellError::range(part))
}

/// Appends TIMESTAMP: seconds in 4 bytes, and the fraction.
pub(super) fn push_old_timestamp(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    if digits == 0 {
        push_instant(u32::from_le_bytes(take_array(input)?), 0, 0, out);
        return Ok(());
    }
    let seconds = u32::from_be_bytes(take_array(input)?);
    let fraction = big_endian(take(input, fraction_bytes(digits))?);
    if fraction >= units(digits) {
        return Err(CellError::range("fraction"));
    }
    push_instant(seconds, small(fraction, "fraction")?, digits, out);
    Ok(())
}

/// Appends DATETIME: the number YYYYMMDDhhmmss in 8 bytes; with a fraction the parts in
/// mixed radix (month 13, day 32, hour 24, minute and second 60) in 6 to 8 bytes.
pub(super) fn push_old_datetime(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    if digits == 0 {
        let stored = u64::from_le_bytes(take_array(input)?);
        let (date, time) = (stored / 1_000_000, stored % 1_000_000);
        let datetime = Calendar {
            year: small(date / 10_000, "year")?,
            month: small(date / 100 % 100, "month")?,
            day: small(date % 100, "day")?,
            hour: small(time / 10_000, "hour")?,
            minute: small(time / 100 % 100, "minute")?,
            second: small(time % 100, "second")?,
        };
        datetime.check()?.push(out);
        return Ok(());
    }
    let mut stored = big_endian(take(input, 5 + extra_bytes(digits))?);
    let mut next = |radix: u64, part: &'static str| {
        let digit = stored % radix;
        stored /= radix;
        small(digit, part)
    };
    let fraction = next(units(digits), "fraction")?;
    let datetime = Calendar {
        second: next(60, "second")?,
        minute: next(60, "minute")?,
        hour: next(24, "hour")?,
        day: next(32, "day")?,
        month: next(13, "month")?,
        year: next(u64::MAX, "year")?,
    };
    datetime.check()?.push(out);
    push_fraction(fraction, digits, out);
    Ok(())
}

/// Appends TIME: the signed number hhhmmss in 3 bytes; with a fraction the count of
/// units, above a zero point, in 4 to 6 bytes.
pub(super) fn push_old_time(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    if digits == 0 {
        let stored = little_endian(take(input, 3)?);
        let negative = stored & 0x80_0000 != 0;
        let magnitude = if negative {
            0x100_0000 - stored
        } else {
            stored
        };
        let time = Duration {
            negative,
            hour: small(magnitude / 10_000, "hour")?,
            minute: small(magnitude / 100 % 100, "minute")?,
            second: small(magnitude % 100, "second")?,
        };
        return time.push(0, 0, out);
    }
    let stored = big_endian(take(input, 3 + extra_bytes(digits))?);
    let zero = TIME_ZERO_SECONDS * units(digits);
    let magnitude = stored.abs_diff(zero);
    let seconds = magnitude / units(digits);
    let time = Duration {
        negative: stored < zero,
        hour: small(seconds / 3_600, "hour")?,
        minute: small(seconds / 60 % 60, "minute")?,
        second: small(seconds % 60, "second")?,
    };
    time.push(small(magnitude % units(digits), "fraction")?, digits, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Push = fn(u8, &mut &[u8], &mut CopyText) -> Result<(), CellError>;

    fn text(digits: u8, bytes: &[u8], push: Push) -> Result<String, CellError> {
        let mut input = bytes;
        let mut out = CopyText::default();
        push(digits, &mut input, &mut out)?;
        assert!(input.is_empty());
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn without_fraction_they_are_plain_numbers() {
        let bytes = 20_240_102_030_405_u64.to_le_bytes();
        assert_eq!(
            text(0, &bytes, push_old_datetime).as_deref(),
            Ok("2024-01-02 03:04:05")
        );
        let bytes = 1_700_000_000_u32.to_le_bytes();
        assert_eq!(
            text(0, &bytes, push_old_timestamp).as_deref(),
            Ok("2023-11-14 22:13:20+00")
        );
        let [a, b, c, _] = (-8_385_959_i32).to_le_bytes();
        assert_eq!(
            text(0, &[a, b, c], push_old_time).as_deref(),
            Ok("-838:59:59")
        );
        let [a, b, c, _] = 10_203_i32.to_le_bytes();
        assert_eq!(
            text(0, &[a, b, c], push_old_time).as_deref(),
            Ok("01:02:03")
        );
    }

    #[test]
    fn with_fraction_they_count_units() {
        assert_eq!(
            text(1, &[0x01, 0xcc, 0x4e, 0xee], push_old_time).as_deref(),
            Ok("-01:02:03.4")
        );
        assert_eq!(
            text(3, &[0, 0, 0, 0x02, 0x20], push_old_time).as_deref(),
            Ok("-838:59:59.456")
        );
        assert_eq!(
            text(3, &[0x65, 0x93, 0x7d, 0x25, 0x02, 0xa6], push_old_timestamp).as_deref(),
            Ok("2024-01-02 03:04:05.678+00")
        );
        assert_eq!(
            text(
                6,
                &[0x01, 0x02, 0x76, 0x12, 0x99, 0x5a, 0x6f, 0x35],
                push_old_datetime
            )
            .as_deref(),
            Ok("2024-01-02 03:04:05.678901")
        );
    }
}
