//! DECIMAL: packed groups of digits to exact text.
//!
//! Storage (MySQL `strings/decimal.cc`, `decimal2bin`): integer and fraction digits are
//! packed apart, nine decimal digits to four bytes big-endian, a shorter group (leading
//! in the integer part, trailing in the fraction) to as few bytes as hold it. The first
//! bit is inverted; a negative number has all bits inverted besides.

use super::bytes::{big_endian, take};
use super::copy_text::CopyText;
use super::error::CellError;

/// Bytes of a group of 0 to 9 digits.
const GROUP_BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Digits in a full group.
const GROUP_DIGITS: u8 = 9;

/// Most digits (MySQL manual, "DECIMAL Data Type Characteristics").
const MAX_PRECISION: u8 = 65;

/// Room for a value's bytes: 65 digits need at most 8 groups' worth.
const MAX_BYTES: usize = 40;

/// Where a DECIMAL(precision, scale) has its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecimalLayout {
    integer_digits: u8,
    scale: u8,
    bytes: u8,
}

impl DecimalLayout {
    /// `None` if no such type exists.
    pub(super) fn new(precision: u8, scale: u8) -> Option<Self> {
        if precision == 0 || precision > MAX_PRECISION {
            return None;
        }
        let integer_digits = precision.checked_sub(scale)?;
        Some(Self {
            integer_digits,
            scale,
            bytes: part_bytes(integer_digits) + part_bytes(scale),
        })
    }

    /// Appends one value with exactly `scale` digits after the point.
    pub(super) fn push(&self, input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
        let stored = take(input, self.bytes.into())?;
        let mut buffer = [0_u8; MAX_BYTES];
        let plain = buffer
            .get_mut(..stored.len())
            .ok_or(CellError::range("decimal"))?;
        plain.copy_from_slice(stored);
        let first = plain.first_mut().ok_or(CellError::Cut)?;
        *first ^= 0x80;
        let negative = *first & 0x80 != 0;
        if negative {
            plain.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let mut digits = Digits::new(plain);
        digits.leading(self.integer_digits)?;
        digits.trailing(self.scale)?;
        self.push_digits(digits.as_slice(), negative, out);
        Ok(())
    }

    fn push_digits(&self, digits: &[u8], negative: bool, out: &mut CopyText) {
        if negative && digits.iter().any(|digit| *digit != b'0') {
            out.push_plain(b"-");
        }
        let (integer, fraction) = digits
            .split_at_checked(self.integer_digits.into())
            .unwrap_or((digits, &[]));
        match integer.iter().position(|digit| *digit != b'0') {
            Some(start) => out.push_plain(integer.get(start..).unwrap_or_default()),
            None => out.push_plain(b"0"),
        }
        if self.scale > 0 {
            out.push_plain(b".");
            out.push_plain(fraction);
        }
    }
}

/// Bytes that hold `digits` digits of one part.
fn part_bytes(digits: u8) -> u8 {
    let rest = usize::from(digits % GROUP_DIGITS);
    digits / GROUP_DIGITS * 4 + GROUP_BYTES.get(rest).copied().unwrap_or(0)
}

/// Digits read so far, as ASCII.
struct Digits<'a> {
    rest: &'a [u8],
    text: [u8; MAX_PRECISION as usize],
    len: usize,
}

impl<'a> Digits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            text: [b'0'; MAX_PRECISION as usize],
            len: 0,
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or(&self.text)
    }

    /// The integer part: the short group comes first.
    fn leading(&mut self, digits: u8) -> Result<(), CellError> {
        self.group(digits % GROUP_DIGITS)?;
        (0..digits / GROUP_DIGITS).try_for_each(|_| self.group(GROUP_DIGITS))
    }

    /// The fraction: the short group comes last.
    fn trailing(&mut self, digits: u8) -> Result<(), CellError> {
        (0..digits / GROUP_DIGITS).try_for_each(|_| self.group(GROUP_DIGITS))?;
        self.group(digits % GROUP_DIGITS)
    }

    /// One group; its number must fit its digits.
    fn group(&mut self, digits: u8) -> Result<(), CellError> {
        let bytes = GROUP_BYTES.get(usize::from(digits)).copied().unwrap_or(0);
        let mut value = big_endian(take(&mut self.rest, bytes.into())?);
        let end = self.len + usize::from(digits);
        let slots = self
            .text
            .get_mut(self.len..end)
            .ok_or(CellError::range("decimal digits"))?;
        for slot in slots.iter_mut().rev() {
            *slot = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
        if value != 0 {
            return Err(CellError::range("decimal digit group"));
        }
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(precision: u8, scale: u8, bytes: &[u8]) -> Result<String, CellError> {
        let mut input = bytes;
        let mut out = CopyText::default();
        let layout = DecimalLayout::new(precision, scale).unwrap();
        layout.push(&mut input, &mut out)?;
        assert!(input.is_empty());
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    /// Packs a number as the server does.
    fn encode(precision: u8, scale: u8, text: &str) -> Vec<u8> {
        let negative = text.starts_with('-');
        let (integer, fraction) = text
            .trim_start_matches('-')
            .split_once('.')
            .unwrap_or((text.trim_start_matches('-'), ""));
        let integer = format!("{integer:0>width$}", width = usize::from(precision - scale));
        let integer = &integer[integer.len() - usize::from(precision - scale)..];
        let fraction = format!("{fraction:0<width$}", width = usize::from(scale));
        let mut bytes = Vec::new();
        let mut group = |digits: &str| {
            let value: u64 = if digits.is_empty() {
                0
            } else {
                digits.parse().unwrap()
            };
            let len = usize::from(GROUP_BYTES[digits.len()]);
            bytes.extend_from_slice(&value.to_be_bytes()[8 - len..]);
        };
        let (short, full) = integer.split_at(integer.len() % 9);
        group(short);
        (0..full.len() / 9).for_each(|i| group(&full[i * 9..i * 9 + 9]));
        let (full, short) = fraction.split_at(fraction.len() / 9 * 9);
        (0..full.len() / 9).for_each(|i| group(&full[i * 9..i * 9 + 9]));
        group(short);
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        bytes[0] ^= 0x80;
        bytes
    }

    #[test]
    fn the_manuals_example_reads_back() {
        // decimal2bin's comment: 1234567890.1234 and its negative, DECIMAL(14,4).
        let bytes = [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2];
        assert_eq!(decode(14, 4, &bytes).as_deref(), Ok("1234567890.1234"));
        let bytes = [0x7E, 0xF2, 0x04, 0xC7, 0x2D, 0xFB, 0x2D];
        assert_eq!(decode(14, 4, &bytes).as_deref(), Ok("-1234567890.1234"));
    }

    #[test]
    fn every_precision_and_scale_round_trips() {
        for precision in 1..=65_u8 {
            for scale in 0..=precision.min(38) {
                let nines = |n: u8| "9".repeat(n.into());
                let integer = if precision == scale {
                    "0".to_owned()
                } else {
                    nines(precision - scale)
                };
                let point = if scale == 0 { "" } else { "." };
                let largest = format!("{integer}{point}{}", nines(scale));
                let zero = format!("0{point}{}", "0".repeat(scale.into()));
                let smallest = format!("{}1", &zero[..zero.len() - 1]);
                for text in [
                    largest.clone(),
                    format!("-{largest}"),
                    zero,
                    smallest.clone(),
                    format!("-{smallest}"),
                ] {
                    let bytes = encode(precision, scale, &text);
                    if precision == scale && text.ends_with("1") && scale == 0 {
                        continue;
                    }
                    assert_eq!(
                        decode(precision, scale, &bytes).as_deref(),
                        Ok(text.as_str()),
                        "({precision},{scale})"
                    );
                }
            }
        }
    }

    #[test]
    fn zero_has_no_sign() {
        let bytes = encode(5, 2, "-0.00");
        assert_eq!(decode(5, 2, &bytes).as_deref(), Ok("0.00"));
    }

    #[test]
    fn a_group_over_its_digits_is_refused() {
        // DECIMAL(2,0) in one byte: 100 does not fit two digits.
        let found = decode(2, 0, &[0x80 | 100]);
        assert_eq!(found, Err(CellError::range("decimal digit group")));
        assert_eq!(decode(10, 2, &[0x80, 0]), Err(CellError::Cut));
    }

    #[test]
    fn impossible_types_have_no_layout() {
        for (precision, scale) in [(0, 0), (66, 0), (3, 4)] {
            assert_eq!(DecimalLayout::new(precision, scale), None);
        }
    }
}
