//! Integers, floats, bits and years as text.

use common::table::{IntegerWidth, Sign};

use super::bytes::{big_endian, take, take_array};
use super::copy_text::CopyText;
use super::error::CellError;

/// Appends an integer of 1, 2, 3, 4 or 8 little-endian bytes.
#[inline]
pub(super) fn push_integer(
    width: IntegerWidth,
    sign: Sign,
    input: &mut &[u8],
    out: &mut CopyText,
) -> Result<(), CellError> {
    use IntegerWidth::{Big, Int, Medium, Small, Tiny};
    use Sign::{Signed, Unsigned};
    let value = match (width, sign) {
        (Tiny, Signed) => i8::from_le_bytes(take_array(input)?).into(),
        (Tiny, Unsigned) => u8::from_le_bytes(take_array(input)?).into(),
        (Small, Signed) => i16::from_le_bytes(take_array(input)?).into(),
        (Small, Unsigned) => u16::from_le_bytes(take_array(input)?).into(),
        (Medium, sign) => medium(take_array(input)?, sign).into(),
        (Int, Signed) => i32::from_le_bytes(take_array(input)?).into(),
        (Int, Unsigned) => u32::from_le_bytes(take_array(input)?).into(),
        (Big, Signed) => i64::from_le_bytes(take_array(input)?),
        (Big, Unsigned) => {
            push_display(u64::from_le_bytes(take_array(input)?), out);
            return Ok(());
        }
    };
    push_display(value, out);
    Ok(())
}

/// Bytes of an integer.
#[inline]
pub(super) fn integer_bytes(width: IntegerWidth) -> usize {
    match width {
        IntegerWidth::Tiny => 1,
        IntegerWidth::Small => 2,
        IntegerWidth::Medium => 3,
        IntegerWidth::Int => 4,
        IntegerWidth::Big => 8,
    }
}

/// Three bytes; the sign is the high bit of the third.
fn medium([a, b, c]: [u8; 3], sign: Sign) -> i32 {
    let high = match sign {
        Sign::Signed if c & 0x80 != 0 => 0xff,
        Sign::Signed | Sign::Unsigned => 0,
    };
    i32::from_le_bytes([a, b, c, high])
}

/// Appends any integer.
#[inline]
pub(super) fn push_display(value: impl itoa::Integer, out: &mut CopyText) {
    out.push_plain(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the shortest text that reads back to the same 32 bits.
pub(super) fn push_float(input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let value = f32::from_le_bytes(take_array(input)?);
    if !value.is_finite() {
        return Err(CellError::NotFinite);
    }
    push_shortest(zmij::Buffer::new().format_finite(value), out);
    Ok(())
}

/// Appends the shortest text that reads back to the same 64 bits.
pub(super) fn push_double(input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let value = f64::from_le_bytes(take_array(input)?);
    if !value.is_finite() {
        return Err(CellError::NotFinite);
    }
    push_shortest(zmij::Buffer::new().format_finite(value), out);
    Ok(())
}

/// Shortest digits, without the `.0` that marks a float in Rust.
fn push_shortest(text: &str, out: &mut CopyText) {
    out.push_plain(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// Appends BIT(bits) as that many binary digits; stored big-endian in whole bytes.
pub(super) fn push_bits(bits: u8, input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let value = big_endian(take(input, usize::from(bits).div_ceil(8))?);
    if bits < 64 && value >> bits != 0 {
        return Err(CellError::range("bit value"));
    }
    out.bytes.extend(
        (0..bits)
            .rev()
            .map(|bit| b'0' + u8::from(value >> bit & 1 == 1)),
    );
    Ok(())
}

/// Appends YEAR: one byte, 0 or years since 1900.
pub(super) fn push_year(input: &mut &[u8], out: &mut CopyText) -> Result<(), CellError> {
    let [stored] = take_array(input)?;
    let year = if stored == 0 {
        0
    } else {
        1900 + u16::from(stored)
    };
    push_display(year, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(
        mut bytes: &[u8],
        push: impl Fn(&mut &[u8], &mut CopyText) -> Result<(), CellError>,
    ) -> Result<String, CellError> {
        let mut out = CopyText::default();
        push(&mut bytes, &mut out)?;
        assert!(bytes.is_empty());
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn integers_at_both_ends() {
        use IntegerWidth::{Big, Int, Medium, Small, Tiny};
        let cases: [(IntegerWidth, &[u8], &str, &str); 9] = [
            (Tiny, &[0x80], "-128", "128"),
            (Tiny, &[0xff], "-1", "255"),
            (Small, &[0, 0x80], "-32768", "32768"),
            (Medium, &[0, 0, 0x80], "-8388608", "8388608"),
            (Medium, &[0xff; 3], "-1", "16777215"),
            (Medium, &[0xff, 0xff, 0x7f], "8388607", "8388607"),
            (Int, &[0, 0, 0, 0x80], "-2147483648", "2147483648"),
            (
                Big,
                &[0, 0, 0, 0, 0, 0, 0, 0x80],
                "-9223372036854775808",
                "9223372036854775808",
            ),
            (Big, &[0xff; 8], "-1", "18446744073709551615"),
        ];
        for (width, bytes, signed, unsigned) in cases {
            let both = [(Sign::Signed, signed), (Sign::Unsigned, unsigned)];
            for (sign, expected) in both {
                let found = text(bytes, |input, out| push_integer(width, sign, input, out));
                assert_eq!(found.as_deref(), Ok(expected));
            }
        }
    }

    #[test]
    fn floats_are_shortest_and_keep_the_sign_of_zero() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let found = text(&value.to_le_bytes(), push_double).unwrap();
            assert_eq!(found.parse::<f64>().unwrap().to_bits(), value.to_bits());
            assert_eq!(found.replace("e+", "e"), expected.replace("e+", "e"));
        }
        let found = text(&16_777_216.0_f32.to_le_bytes(), push_float);
        assert_eq!(found.as_deref(), Ok("16777216"));
        let found = text(&0.1_f32.to_le_bytes(), push_float);
        assert_eq!(found.as_deref(), Ok("0.1"));
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(
                text(&bad.to_le_bytes(), push_double),
                Err(CellError::NotFinite)
            );
        }
    }

    #[test]
    fn bits_have_all_their_digits() {
        let bits = |n, bytes| text(bytes, |input, out| push_bits(n, input, out));
        assert_eq!(bits(1, &[1]).as_deref(), Ok("1"));
        assert_eq!(bits(3, &[0b010]).as_deref(), Ok("010"));
        assert_eq!(bits(9, &[1, 0x80]).as_deref(), Ok("110000000"));
        assert_eq!(bits(64, &[0xff; 8]).as_deref(), Ok("1".repeat(64).as_str()));
        assert_eq!(bits(3, &[0b1000]), Err(CellError::range("bit value")));
        assert_eq!(bits(9, &[1]), Err(CellError::Cut));
    }

    #[test]
    fn year_zero_stays_zero() {
        assert_eq!(text(&[0], push_year).as_deref(), Ok("0"));
        assert_eq!(text(&[1], push_year).as_deref(), Ok("1901"));
        assert_eq!(text(&[255], push_year).as_deref(), Ok("2155"));
    }
}
