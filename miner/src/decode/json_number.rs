//! Doubles as MySQL prints them in JSON.
//!
//! MySQL's `my_gcvt` (`strings/dtoa.cc`) takes the shortest digits that read back to the
//! same number and writes them without exponent while the decimal point is within 15
//! places, else as `d.ddde-20`, without a plus sign. JSON adds `.0` to what would look
//! like an integer.

use super::copy_text::CopyText;
use super::error::CellError;

/// Most places the point may be away without an exponent (`MAX_DECPT_FOR_F_FORMAT`).
const MAX_PLACES: i32 = 15;

/// Most digits of a shortest double.
const MAX_DIGITS: usize = 17;

/// Appends a double.
pub(super) fn push_json_double(value: f64, out: &mut CopyText) -> Result<(), CellError> {
    if !value.is_finite() {
        return Err(CellError::NotFinite);
    }
    if value.is_sign_negative() {
        out.push_plain(b"-");
    }
    if value == 0.0 {
        out.push_plain(b"0.0");
        return Ok(());
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = Shortest::read(buffer.format_finite(value.abs()));
    shortest.push(out);
    Ok(())
}

/// Significant digits `d1 d2 d3 …` and where the point is: `0.d1d2d3 * 10^point`.
struct Shortest {
    digits: [u8; MAX_DIGITS],
    len: usize,
    point: i32,
}

impl Shortest {
    /// Reads `ddd.ddde±dd`.
    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut shortest = Self {
            digits: [b'0'; MAX_DIGITS],
            len: 0,
            point: exponent.trim_start_matches('+').parse().unwrap_or(0),
        };
        let mut before_point = true;
        let mut trailing_zeros = 0;
        for byte in mantissa.bytes() {
            if byte == b'.' {
                before_point = false;
                continue;
            }
            let leading_zero = shortest.len == 0 && trailing_zeros == 0 && byte == b'0';
            match (leading_zero, before_point) {
                (true, true) => continue,
                (true, false) => {
                    shortest.point -= 1;
                    continue;
                }
                (false, true) => shortest.point += 1,
                (false, false) => {}
            }
            if byte == b'0' {
                trailing_zeros += 1;
                continue;
            }
            shortest.len += trailing_zeros;
            trailing_zeros = 0;
            if let Some(slot) = shortest.digits.get_mut(shortest.len) {
                *slot = byte;
                shortest.len += 1;
            }
        }
        shortest
    }

    fn push(&self, out: &mut CopyText) {
        let digits = self.digits.get(..self.len).unwrap_or(&self.digits);
        let len = i32::try_from(digits.len()).unwrap_or(MAX_PLACES);
        if self.point <= -MAX_PLACES || self.point > MAX_PLACES {
            let (first, rest) = digits.split_at(digits.len().min(1));
            out.push_plain(first);
            if !rest.is_empty() {
                out.push_plain(b".");
                out.push_plain(rest);
            }
            out.push_plain(b"e");
            super::number::push_display(self.point - 1, out);
        } else if self.point <= 0 {
            out.push_plain(b"0.");
            push_zeros(-self.point, out);
            out.push_plain(digits);
        } else if self.point >= len {
            out.push_plain(digits);
            push_zeros(self.point - len, out);
            out.push_plain(b".0");
        } else {
            let point = usize::try_from(self.point).unwrap_or(0);
            let (integer, fraction) = digits.split_at_checked(point).unwrap_or((digits, &[]));
            out.push_plain(integer);
            out.push_plain(b".");
            out.push_plain(fraction);
        }
    }
}

fn push_zeros(count: i32, out: &mut CopyText) {
    let count = usize::try_from(count).unwrap_or(0);
    out.bytes.resize(out.bytes.len() + count, b'0');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = CopyText::default();
        push_json_double(value, &mut out).unwrap();
        String::from_utf8(out.bytes).unwrap()
    }

    #[test]
    fn doubles_print_as_mysql_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (120.0, "120.0"),
            (0.1, "0.1"),
            (0.000001, "0.000001"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1e100, "1e100"),
            (1.25e-300, "1.25e-300"),
            (123456789.125, "123456789.125"),
            (1.7976931348623157e308, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (1.2345678901234568e29, "1.2345678901234568e29"),
            (100200300.0, "100200300.0"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn text_reads_back_to_the_same_bits() {
        let mut state = 1_u64;
        for _ in 0..100_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            let value = f64::from_bits(state.rotate_left(17));
            if value.is_finite() {
                let found: f64 = text(value).parse().unwrap();
                assert_eq!(found.to_bits(), value.to_bits());
            }
        }
    }
}
