//! DATE, DATETIME, TIMESTAMP and TIME as text.
//!
//! The formats since MySQL 5.6.4 and MariaDB 10.1 (`my_datetime_packed_to_binary` and
//! its siblings) store big-endian integers, followed by a fraction in 0 to 3 bytes that
//! counts hundredths, ten-thousandths or millionths. Fractions have exactly the
//! column's digits here. Zero and partial dates are written as they are.

use super::bytes::{big_endian, take, take_array};
use super::copy_text::CopyText;
use super::error::CellError;

/// Most fractional digits.
pub(super) const MAX_DIGITS: u8 = 6;

/// A zero DATETIME or TIMESTAMP, without fraction.
const ZERO_DATETIME: Calendar = Calendar {
    year: 0,
    month: 0,
    day: 0,
    hour: 0,
    minute: 0,
    second: 0,
};

/// A wall clock reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    pub(super) year: u32,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
}

impl Calendar {
    pub(super) fn check(self) -> Result<Self, CellError> {
        check_date(self.year, self.month, self.day)?;
        check_clock(self.hour, 23, self.minute, self.second)?;
        Ok(self)
    }

    pub(super) fn push(&self, out: &mut CopyText) {
        push_date_parts(self.year, self.month, self.day, out);
        out.push_plain(b" ");
        push_clock(self.hour, self.minute, self.second, out);
    }
}

fn check_date(year: u32, month: u32, day: u32) -> Result<(), CellError> {
    if year > 9999 {
        return Err(CellError::range("year"));
    }
    if month > 12 {
        return Err(CellError::range("month"));
    }
    if day > 31 {
        return Err(CellError::range("day"));
    }
    Ok(())
}

fn check_clock(hour: u32, max_hour: u32, minute: u32, second: u32) -> Result<(), CellError> {
    if hour > max_hour {
        return Err(CellError::range("hour"));
    }
    if minute > 59 {
        return Err(CellError::range("minute"));
    }
    if second > 59 {
        return Err(CellError::range("second"));
    }
    Ok(())
}

fn two_digits(value: u32) -> [u8; 2] {
    let digit = |value: u32| b'0' + u8::try_from(value % 10).unwrap_or(0);
    [digit(value / 10), digit(value)]
}

fn push_date_parts(year: u32, month: u32, day: u32, out: &mut CopyText) {
    let [y1, y2] = two_digits(year / 100);
    let [y3, y4] = two_digits(year % 100);
    let [m1, m2] = two_digits(month);
    let [d1, d2] = two_digits(day);
    out.push_plain(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
}

fn push_clock(hour: u32, minute: u32, second: u32, out: &mut CopyText) {
    let [h1, h2] = two_digits(hour);
    let [m1, m2] = two_digits(minute);
    let [s1, s2] = two_digits(second);
    out.push_plain(&[h1, h2, b':', m1, m2, b':', s1, s2]);
}

/// Appends `.` and exactly `digits` digits of a fraction in units of 10^-digits.
pub(super) fn push_fraction(mut fraction: u32, digits: u8, out: &mut CopyText) {
    if digits == 0 {
        return;
    }
    let mut text = [b'0'; MAX_DIGITS as usize];
    let Some(text) = text.get_mut(..usize::from(digits)) else {
        return;
    };
    for slot in text.iter_mut().rev() {
        *slot = b'0' + u8::try_from(fraction % 10).unwrap_or(0);
        fraction /= 10;
    }
    out.push_plain(b".");
    out.push_plain(text);
}

/// Bytes of a stored fraction.
pub(super) fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits).div_ceil(2)
}

/// A stored fraction in units of 10^-digits: with an odd number of digits the unit on
/// the wire is ten times finer.
fn scale_fraction(stored: u64, digits: u8) -> Result<u32, CellError> {
    const OUT: CellError = CellError::range("fraction");
    let stored = u32::try_from(stored).map_err(|_| OUT)?;
    let limit = 100_u32.pow(u32::from(digits).div_ceil(2));
    if stored >= limit {
        return Err(OUT);
    }
    if digits.is_multiple_of(2) {
        return Ok(stored);
    }
    if !stored.is_multiple_of(10) {
        return Err(OUT);
    }
    Ok(stored / 10)
}

/// Appends DATE: 3 bytes little-endian, day in bits 0 to 4, month in 5 to 8, year above.
pub(super) fn push_date(input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let [a, b, c] = take_array(input)?;
    let packed = u32::from_le_bytes([a, b, c, 0]);
    let (year, month, day) = (packed >> 9, (packed >> 5) & 15, packed & 31);
    check_date(year, month, day)?;
    push_date_parts(year, month, day, out);
    Ok(())
}

/// Appends DATETIME(digits): 5 bytes big-endian with the top bit set (the sign), then
/// year * 13 + month in 17 bits, day 5, hour 5, minute 6, second 6; and the fraction.
pub(super) fn push_datetime(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    const SIGN: u64 = 1 << 39;
    let packed = big_endian(take(input, 5)?);
    let fraction = scale_fraction(big_endian(take(input, fraction_bytes(digits))?), digits)?;
    let packed = packed
        .checked_sub(SIGN)
        .ok_or(CellError::range("datetime sign"))?;
    let part = |shift: u32, bits: u32| u32::try_from((packed >> shift) & ((1 << bits) - 1));
    let out_of_range = |_| CellError::range("datetime");
    let year_month = part(22, 17).map_err(out_of_range)?;
    let datetime = Calendar {
        year: year_month / 13,
        month: year_month % 13,
        day: part(17, 5).map_err(out_of_range)?,
        hour: part(12, 5).map_err(out_of_range)?,
        minute: part(6, 6).map_err(out_of_range)?,
        second: part(0, 6).map_err(out_of_range)?,
    };
    datetime.check()?.push(out);
    push_fraction(fraction, digits, out);
    Ok(())
}

/// Appends TIMESTAMP(digits): seconds since 1970 in 4 bytes big-endian, unsigned
/// (MariaDB 11.5 goes to 2106), and the fraction. Zero stands for the zero date.
pub(super) fn push_timestamp(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    let seconds = u32::from_be_bytes(take_array(input)?);
    let fraction = scale_fraction(big_endian(take(input, fraction_bytes(digits))?), digits)?;
    push_instant(seconds, fraction, digits, out);
    Ok(())
}

/// An instant in UTC with offset; the zero date is not an instant and has none.
pub(super) fn push_instant(seconds: u32, fraction: u32, digits: u8, out: &mut CopyText) {
    if seconds == 0 && fraction == 0 {
        ZERO_DATETIME.push(out);
        push_fraction(0, digits, out);
        return;
    }
    utc(seconds).push(out);
    push_fraction(fraction, digits, out);
    out.push_plain(b"+00");
}

/// Seconds since 1970 as a calendar reading (proleptic Gregorian, by eras of 400 years
/// that start in March, so that the leap day is a year's last).
fn utc(seconds: u32) -> Calendar {
    const DAYS_FROM_0000_03_01: u32 = 719_468;
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let days = days + DAYS_FROM_0000_03_01;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    Calendar {
        year: era * 400 + year_of_era + u32::from(month <= 2),
        month,
        day,
        hour: time / 3_600,
        minute: time / 60 % 60,
        second: time % 60,
    }
}

/// Appends TIME(digits): 3 bytes and the fraction as one big-endian number with an
/// offset of half its range; the magnitude has hour 10 bits, minute 6, second 6 and the
/// fraction.
pub(super) fn push_time(
    digits: u8,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    let fraction_bytes = fraction_bytes(digits);
    let stored = big_endian(take(input, 3 + fraction_bytes)?);
    let fraction_bits = 8 * u32::try_from(fraction_bytes).unwrap_or(0);
    let zero = 1_u64 << (23 + fraction_bits);
    let magnitude = stored.abs_diff(zero);
    let fraction = scale_fraction(magnitude & ((1 << fraction_bits) - 1), digits)?;
    let clock = u32::try_from(magnitude >> fraction_bits).map_err(|_| CellError::range("time"))?;
    let time = Duration {
        negative: stored < zero,
        hour: clock >> 12,
        minute: (clock >> 6) & 63,
        second: clock & 63,
    };
    time.push(fraction, digits, out)
}

/// A signed clock reading.
pub(super) struct Duration {
    pub(super) negative: bool,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
}

impl Duration {
    /// Appends it with at least two digits of hours, as the server prints it.
    pub(super) fn push(
        &self,
        fraction: u32,
        digits: u8,
        out: &mut CopyText,
    ) -> Result<(), CellError> {
        check_clock(self.hour, 838, self.minute, self.second)?;
        if self.negative {
            out.push_plain(b"-");
        }
        if self.hour >= 100 {
            out.bytes
                .push(b'0' + u8::try_from(self.hour / 100).unwrap_or(0));
        }
        push_clock(self.hour % 100, self.minute, self.second, out);
        push_fraction(fraction, digits, out);
        Ok(())
    }
}

/// Fraction digits of a packed time inside JSON.
const PACKED_DIGITS: u8 = 6;

/// The calendar part of a packed DATETIME (`TIME_from_longlong_datetime_packed`): what
/// DATETIME stores, above 24 bits of microseconds.
fn packed_calendar(packed: i64) -> Result<(Calendar, u32), CellError> {
    let packed = u64::try_from(packed).map_err(|_| CellError::range("datetime sign"))?;
    let part = |shift: u32, bits: u32| {
        u32::try_from((packed >> shift) & ((1 << bits) - 1))
            .map_err(|_| CellError::range("datetime"))
    };
    let year_month = part(46, 17)?;
    let calendar = Calendar {
        year: year_month / 13,
        month: year_month % 13,
        day: part(41, 5)?,
        hour: part(36, 5)?,
        minute: part(30, 6)?,
        second: part(24, 6)?,
    };
    let micros = part(0, 24)?;
    if micros > 999_999 || packed >> 63 != 0 {
        return Err(CellError::range("fraction"));
    }
    Ok((calendar.check()?, micros))
}

/// Appends a packed DATE.
pub(super) fn push_packed_date(packed: i64, out: &mut CopyText) -> Result<(), CellError> {
    let (date, _) = packed_calendar(packed)?;
    push_date_parts(date.year, date.month, date.day, out);
    Ok(())
}

/// Appends a packed DATETIME with six digits.
pub(super) fn push_packed_datetime(packed: i64, out: &mut CopyText) -> Result<(), CellError> {
    let (datetime, micros) = packed_calendar(packed)?;
    datetime.push(out);
    push_fraction(micros, PACKED_DIGITS, out);
    Ok(())
}

/// Appends a packed TIME with six digits.
pub(super) fn push_packed_time(packed: i64, out: &mut CopyText) -> Result<(), CellError> {
    let magnitude = packed.unsigned_abs();
    let micros = u32::try_from(magnitude & 0xff_ffff).map_err(|_| CellError::range("fraction"))?;
    let clock = u32::try_from(magnitude >> 24).map_err(|_| CellError::range("time"))?;
    if micros > 999_999 {
        return Err(CellError::range("fraction"));
    }
    let time = Duration {
        negative: packed < 0,
        hour: clock >> 12,
        minute: (clock >> 6) & 63,
        second: clock & 63,
    };
    time.push(micros, PACKED_DIGITS, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(
        bytes: &[u8],
        push: impl Fn(&mut &[u8], &mut CopyText) -> Result<(), CellError>,
    ) -> Result<String, CellError> {
        let mut input = bytes;
        let mut out = CopyText::default();
        push(&mut input, &mut out)?;
        assert!(input.is_empty());
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    fn datetime_bytes(y: u64, m: u64, d: u64, h: u64, mi: u64, s: u64) -> [u8; 5] {
        let packed = (((y * 13 + m) << 5 | d) << 17 | h << 12 | mi << 6 | s) + (1 << 39);
        let [_, _, _, bytes @ ..] = packed.to_be_bytes();
        bytes
    }

    fn time_bytes(negative: bool, h: u64, m: u64, s: u64, fraction: u64, len: usize) -> Vec<u8> {
        let magnitude = (h << 12 | m << 6 | s) << (8 * len) | fraction;
        let zero = 1_u64 << (23 + 8 * len);
        let stored = if negative {
            zero - magnitude
        } else {
            zero + magnitude
        };
        stored.to_be_bytes()[5 - len..].to_vec()
    }

    #[test]
    fn dates_zero_and_partial_ones_too() {
        let date = |y: u32, m: u32, d: u32| {
            let [a, b, c, _] = (y << 9 | m << 5 | d).to_le_bytes();
            text(&[a, b, c], push_date)
        };
        assert_eq!(date(2024, 2, 29).as_deref(), Ok("2024-02-29"));
        assert_eq!(date(0, 0, 0).as_deref(), Ok("0000-00-00"));
        assert_eq!(date(2024, 0, 0).as_deref(), Ok("2024-00-00"));
        assert_eq!(date(9999, 12, 31).as_deref(), Ok("9999-12-31"));
        assert_eq!(date(2024, 13, 1), Err(CellError::range("month")));
        assert_eq!(date(10_000, 1, 1), Err(CellError::range("year")));
    }

    #[test]
    fn datetimes_have_exactly_their_digits() {
        let bytes = datetime_bytes(2024, 1, 2, 3, 4, 5);
        let decode = |digits, fraction: &[u8]| {
            let bytes = [&bytes[..], fraction].concat();
            text(&bytes, |input, out| push_datetime(digits, input, out))
        };
        assert_eq!(decode(0, &[]).as_deref(), Ok("2024-01-02 03:04:05"));
        assert_eq!(decode(1, &[90]).as_deref(), Ok("2024-01-02 03:04:05.9"));
        assert_eq!(decode(2, &[7]).as_deref(), Ok("2024-01-02 03:04:05.07"));
        assert_eq!(
            decode(3, &[0x04, 0xce]).as_deref(),
            Ok("2024-01-02 03:04:05.123")
        );
        assert_eq!(
            decode(6, &[0x01, 0xe2, 0x40]).as_deref(),
            Ok("2024-01-02 03:04:05.123456")
        );
        assert_eq!(decode(1, &[91]), Err(CellError::range("fraction")));
        assert_eq!(decode(2, &[100]), Err(CellError::range("fraction")));
        let zero = datetime_bytes(0, 0, 0, 0, 0, 0);
        assert_eq!(
            text(&zero, |input, out| push_datetime(0, input, out)).as_deref(),
            Ok("0000-00-00 00:00:00")
        );
    }

    #[test]
    fn timestamps_are_utc_to_2106() {
        let decode = |seconds: u32, digits: u8, fraction: &[u8]| {
            let bytes = [&seconds.to_be_bytes()[..], fraction].concat();
            text(&bytes, |input, out| push_timestamp(digits, input, out)).unwrap()
        };
        assert_eq!(decode(0, 0, &[]), "0000-00-00 00:00:00");
        assert_eq!(decode(0, 3, &[0, 0]), "0000-00-00 00:00:00.000");
        assert_eq!(decode(1, 0, &[]), "1970-01-01 00:00:01+00");
        assert_eq!(decode(951_782_400, 0, &[]), "2000-02-29 00:00:00+00");
        assert_eq!(decode(i32::MAX as u32, 0, &[]), "2038-01-19 03:14:07+00");
        assert_eq!(
            decode(u32::MAX, 6, &[0x0f, 0x42, 0x3f]),
            "2106-02-07 06:28:15.999999+00"
        );
    }

    #[test]
    fn utc_agrees_with_counting_days() {
        let mut expected = (1970, 1, 1);
        for day in 0..u32::MAX / 86_400 {
            let found = utc(day * 86_400);
            assert_eq!((found.year, found.month, found.day), expected);
            let (y, m, d) = expected;
            let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            let length = match m {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match (m, d == length) {
                (_, false) => (y, m, d + 1),
                (12, true) => (y + 1, 1, 1),
                (_, true) => (y, m + 1, 1),
            };
        }
    }

    #[test]
    fn negative_times_keep_their_fraction() {
        for (digits, len, scale) in [(0, 0, 1), (2, 1, 100), (4, 2, 10_000), (6, 3, 1_000_000)] {
            for fraction in [0, 1, scale - 1] {
                if fraction >= scale {
                    continue;
                }
                for (h, m, s) in [(0, 0, 1), (12, 34, 56), (838, 59, 58)] {
                    let suffix = if digits == 0 {
                        String::new()
                    } else {
                        format!(".{fraction:0>width$}", width = usize::from(digits))
                    };
                    let positive = format!("{h:02}:{m:02}:{s:02}{suffix}");
                    for (negative, expected) in
                        [(false, positive.clone()), (true, format!("-{positive}"))]
                    {
                        let bytes = time_bytes(negative, h, m, s, fraction, len);
                        let found = text(&bytes, |input, out| push_time(digits, input, out));
                        assert_eq!(found, Ok(expected));
                    }
                }
            }
        }
        let bytes = time_bytes(true, 0, 0, 0, 50, 1);
        let found = text(&bytes, |input, out| push_time(1, input, out));
        assert_eq!(found.as_deref(), Ok("-00:00:00.5"));
        let bytes = time_bytes(false, 839, 0, 0, 0, 0);
        let found = text(&bytes, |input, out| push_time(0, input, out));
        assert_eq!(found, Err(CellError::range("hour")));
    }
}
