//! Integers, floats and decimals.

use std::str::FromStr;

/// Source: PostgreSQL, int.c, int2recv.
#[inline]
pub(super) fn small_int(cell: &[u8]) -> Option<[u8; 2]> {
    Some(i16::try_from(whole(cell)?).ok()?.to_be_bytes())
}

/// Source: PostgreSQL, int.c, int4recv.
#[inline]
pub(super) fn integer(cell: &[u8]) -> Option<[u8; 4]> {
    Some(i32::try_from(whole(cell)?).ok()?.to_be_bytes())
}

/// Source: PostgreSQL, int8.c, int8recv.
#[inline]
pub(super) fn big_int(cell: &[u8]) -> Option<[u8; 8]> {
    Some(whole(cell)?.to_be_bytes())
}

/// Source: PostgreSQL, float.c, float4recv; pqformat.c, pq_getmsgfloat4.
pub(super) fn real(cell: &[u8]) -> Option<[u8; 4]> {
    let value: f32 = float(cell)?;
    (value.is_finite() && (value != 0.0 || is_zero(cell))).then(|| value.to_be_bytes())
}

/// Source: PostgreSQL, float.c, float8recv; pqformat.c, pq_getmsgfloat8.
pub(super) fn double(cell: &[u8]) -> Option<[u8; 8]> {
    let value: f64 = float(cell)?;
    (value.is_finite() && (value != 0.0 || is_zero(cell))).then(|| value.to_be_bytes())
}

/// `-?[0-9]+`, in 64 bits.
#[inline]
fn whole(cell: &[u8]) -> Option<i64> {
    /// Digits of which any number fits.
    const SAFE_DIGITS: usize = 18;
    let (negative, digits) = match cell.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, cell),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_i64;
    if digits.len() <= SAFE_DIGITS {
        for byte in digits {
            number = number * 10 + i64::from(digit(*byte)?);
        }
        return Some(if negative { -number } else { number });
    }
    for byte in digits {
        // Downwards: the lowest number has no positive counterpart.
        number = number
            .checked_mul(10)?
            .checked_sub(i64::from(digit(*byte)?))?;
    }
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

/// A number, and no word for one.
fn float<T: FromStr>(cell: &[u8]) -> Option<T> {
    let first = cell.strip_prefix(b"-").unwrap_or(cell).first()?;
    digit(*first)?;
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// Whether a number is 0 and not only nearly so, which PostgreSQL refuses.
fn is_zero(cell: &[u8]) -> bool {
    cell.iter()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit)
}

/// The digits that PostgreSQL keeps at most behind the point.
/// Source: PostgreSQL, numeric.c, NUMERIC_DSCALE_MAX.
const MAX_SCALE: u16 = 0x3fff;

/// The largest exponent that is worth a look; a DOUBLE's are within 324.
const MAX_EXPONENT: u32 = 1000;

/// Parts of `-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?`.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i32,
}

/// Groups of four decimal digits: how many, the weight of the first, the sign, the digits
/// behind the point as they were written, the groups.
/// Source: PostgreSQL, numeric.c, numeric_recv; for the digits behind the point
/// set_var_from_str.
pub(super) fn numeric(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const NEGATIVE: u16 = 0x4000;
    let decimal = Decimal::of(cell)?;
    let scale = decimal.scale()?;
    let header = out.len();
    out.extend_from_slice(&[0; 8]);
    let (count, weight) = decimal.groups(out)?;
    // Zero has no sign.
    let sign = if decimal.negative && count > 0 {
        NEGATIVE
    } else {
        0
    };
    let fields = [count, weight.cast_unsigned(), sign, scale];
    let (places, _) = out.get_mut(header..)?.as_chunks_mut::<2>();
    for (place, field) in places.iter_mut().zip(fields) {
        *place = field.to_be_bytes();
    }
    Some(())
}

impl<'a> Decimal<'a> {
    #[inline]
    fn of(cell: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = match cell.strip_prefix(b"-") {
            Some(unsigned) => (true, unsigned),
            None => (false, cell),
        };
        let digits_of = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (whole, mut rest) = unsigned.split_at_checked(digits_of(unsigned))?;
        let mut fraction: &[u8] = &[];
        if let Some(behind) = rest.strip_prefix(b".") {
            (fraction, rest) = behind.split_at_checked(digits_of(behind))?;
            if fraction.is_empty() {
                return None;
            }
        }
        if whole.is_empty() {
            return None;
        }
        let exponent = match rest.split_first() {
            None => 0,
            Some((b'e' | b'E', exponent)) => Self::exponent(exponent)?,
            Some(_) => return None,
        };
        Some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn exponent(text: &[u8]) -> Option<i32> {
        let (negative, text) = match text.split_first()? {
            (b'-', digits) => (true, digits),
            (b'+', digits) => (false, digits),
            _ => (false, text),
        };
        let exponent = super::digits(text).filter(|exponent| *exponent <= MAX_EXPONENT)?;
        let exponent = i32::try_from(exponent).ok()?;
        (!text.is_empty()).then_some(if negative { -exponent } else { exponent })
    }

    /// Digits behind the point.
    fn scale(&self) -> Option<u16> {
        let written = i32::try_from(self.fraction.len()).ok()?;
        let scale = written.checked_sub(self.exponent)?.max(0);
        u16::try_from(scale)
            .ok()
            .filter(|scale| *scale <= MAX_SCALE)
    }

    /// Appends the groups from the first to the last that is not 0; how many they are, and
    /// the first one's weight.
    #[inline]
    fn groups(&self, out: &mut Vec<u8>) -> Option<(u16, i16)> {
        const POWERS: [u16; 4] = [1, 10, 100, 1000];
        let before_point = i32::try_from(self.whole.len()).ok()? + self.exponent;
        let start = out.len();
        let (mut first, mut last) = (0, 0);
        let mut group = 0_u16;
        // End of the last group that is not 0.
        let mut end = start;
        let mut power = before_point;
        for byte in self.whole.iter().chain(self.fraction) {
            power -= 1;
            let digit = u16::from(byte.wrapping_sub(b'0'));
            let (weight, place) = (power >> 2, power & 3);
            let none_yet = out.len() == start;
            if none_yet && digit == 0 {
                continue;
            }
            if none_yet || weight != last {
                if none_yet {
                    first = weight;
                }
                last = weight;
                group = 0;
                out.extend_from_slice(&[0; 2]);
            }
            if digit != 0 {
                group += digit * POWERS.get(usize::try_from(place).ok()?)?;
                let place = out.len().checked_sub(2)?;
                out.get_mut(place..)?.copy_from_slice(&group.to_be_bytes());
                end = out.len();
            }
        }
        out.truncate(end);
        let count = u16::try_from((end - start) / 2).ok()?;
        Some((count, i16::try_from(first).ok()?))
    }
}
