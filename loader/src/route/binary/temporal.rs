//! Dates, times and durations: since PostgreSQL 10 always integers, in days or microseconds
//! from the year 2000.

use super::digits;
use crate::calendar::days_from_civil;

/// Days from 1970-01-01 to 2000-01-01. Source: PostgreSQL, timestamp.h, POSTGRES_EPOCH_JDATE.
const EPOCH_DAYS: i64 = 10_957;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// Days. Source: PostgreSQL, date.c, date_recv.
#[inline]
pub(super) fn date(cell: &[u8]) -> Option<[u8; 4]> {
    Some(i32::try_from(days(cell)?).ok()?.to_be_bytes())
}

/// Microseconds of the day. Source: PostgreSQL, date.c, time_recv.
pub(super) fn time(cell: &[u8]) -> Option<[u8; 8]> {
    let (hours, rest) = cell.split_at_checked(2)?;
    let time = clock(digits(hours)?, rest)?;
    (time <= DAY_US).then(|| time.to_be_bytes())
}

/// Microseconds. Source: PostgreSQL, timestamp.c, timestamp_recv.
#[inline]
pub(super) fn timestamp(cell: &[u8]) -> Option<[u8; 8]> {
    Some(instant(cell)?.to_be_bytes())
}

/// Microseconds in UTC; a stand-in for a zero date has no offset.
/// Source: PostgreSQL, timestamp.c, timestamptz_recv.
#[inline]
pub(super) fn timestamp_tz(cell: &[u8]) -> Option<[u8; 8]> {
    timestamp(cell.strip_suffix(b"+00").unwrap_or(cell))
}

/// Microseconds, days and months, of which a duration has the first only.
/// Source: PostgreSQL, timestamp.c, interval_recv.
pub(super) fn interval(cell: &[u8]) -> Option<[u8; 16]> {
    let (negative, duration) = match cell.strip_prefix(b"-") {
        Some(duration) => (true, duration),
        None => (false, cell),
    };
    let place = memchr::memchr(b':', duration).filter(|place| (2..=3).contains(place))?;
    let (hours, rest) = duration.split_at_checked(place)?;
    let time = clock(digits(hours)?, rest)?;
    let mut value = [0; 16];
    let (microseconds, _) = value.split_first_chunk_mut()?;
    *microseconds = if negative { -time } else { time }.to_be_bytes();
    Some(value)
}

/// `YYYY-MM-DD HH:MM:SS` with up to six more digits.
#[inline]
fn instant(cell: &[u8]) -> Option<i64> {
    let (date, rest) = cell.split_at_checked(10)?;
    let (hours, rest) = rest.strip_prefix(b" ")?.split_at_checked(2)?;
    let time = clock(digits(hours)?, rest)?;
    (time < DAY_US).then_some(days(date)? * DAY_US + time)
}

/// `YYYY-MM-DD` of the years 1 to 9999.
#[inline]
fn days(date: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return None;
    };
    let year = digits(&[y1, y2, y3, y4])?;
    let (month, day) = (digits(&[m1, m2])?, digits(&[d1, d2])?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if year == 0 || day == 0 || day > last {
        return None;
    }
    Some(days_from_civil(year.into(), month.into(), day.into()) - EPOCH_DAYS)
}

/// Microseconds of so many hours and `:MM:SS` with up to six more digits.
#[inline]
fn clock(hours: u32, rest: &[u8]) -> Option<i64> {
    let (clock, fraction) = rest.split_first_chunk()?;
    let [b':', m1, m2, b':', s1, s2] = *clock else {
        return None;
    };
    let (minutes, seconds) = (digits(&[m1, m2])?, digits(&[s1, s2])?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    Some(seconds * SECOND_US + microseconds(fraction)?)
}

#[inline]
fn microseconds(fraction: &[u8]) -> Option<i64> {
    const SCALE: [u32; 6] = [100_000, 10_000, 1000, 100, 10, 1];
    if fraction.is_empty() {
        return Some(0);
    }
    let written = fraction.strip_prefix(b".")?;
    let scale = SCALE.get(written.len().checked_sub(1)?)?;
    Some(i64::from(digits(written)? * scale))
}
