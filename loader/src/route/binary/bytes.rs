//! Texts, bytes, bits, booleans and UUIDs.

/// What COPY writes `\x` as, before the digits of a bytea.
const HEX: &[u8] = b"\\\\x";

/// No hexadecimal digit.
const NO_DIGIT: u8 = 0xff;

/// Values of hexadecimal digits.
#[expect(
    clippy::indexing_slicing,
    reason = "a constant: an index out of bounds would not compile"
)]
const DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        let lower = b"0123456789abcdef"[digit as usize];
        table[lower as usize] = digit;
        table[lower.to_ascii_uppercase() as usize] = digit;
        digit += 1;
    }
    table
};

/// Source: PostgreSQL, bool.c, boolrecv.
#[inline]
pub(super) fn boolean(cell: &[u8]) -> Option<[u8; 1]> {
    match cell {
        b"t" => Some([1]),
        b"f" => Some([0]),
        _ => None,
    }
}

/// The text without COPY's escapes. Source: PostgreSQL, varlena.c, textrecv; varchar.c,
/// varcharrecv and bpcharrecv, which treat it as their input functions do; enum.c, enum_recv;
/// json.c, json_recv.
#[inline]
pub(super) fn text(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = cell;
    while let Some(place) = memchr::memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at_checked(place)?;
        out.extend_from_slice(plain);
        // What `common::staging::codec::escape` writes; COPY knows more.
        out.push(match escaped.get(1)? {
            b'\\' => b'\\',
            b't' => b'\t',
            b'n' => b'\n',
            b'r' => b'\r',
            _ => return None,
        });
        rest = escaped.get(2..)?;
    }
    out.extend_from_slice(rest);
    Some(())
}

/// The document's text behind a version. Source: PostgreSQL, jsonb.c, jsonb_recv.
#[inline]
pub(super) fn jsonb(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.push(1);
    text(cell, out)
}

/// Source: PostgreSQL, varlena.c, bytearecv.
#[inline]
pub(super) fn bytes(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, []) = cell.strip_prefix(HEX)?.as_chunks() else {
        return None;
    };
    out.reserve(pairs.len());
    for pair in pairs {
        out.push(byte(*pair)?);
    }
    Some(())
}

/// The number of bits, then the bits from the highest, the last byte filled up with zeros.
/// Source: PostgreSQL, varbit.c, bit_recv and varbit_recv.
pub(super) fn bits(cell: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let count = i32::try_from(cell.len()).ok()?;
    out.extend_from_slice(&count.to_be_bytes());
    for eight in cell.chunks(8) {
        let mut packed = 0;
        for (digit, place) in eight.iter().zip((0..8).rev()) {
            packed |= match digit {
                b'0' => 0,
                b'1' => 1 << place,
                _ => return None,
            };
        }
        out.push(packed);
    }
    Some(())
}

/// 32 digits, in groups of 8, 4, 4, 4 and 12 or in one. Source: PostgreSQL, uuid.c, uuid_recv.
pub(super) fn uuid(cell: &[u8]) -> Option<[u8; 16]> {
    let mut value = [0; 16];
    let grouped = cell.len() == 36;
    let mut rest = cell;
    for (number, place) in value.iter_mut().enumerate() {
        if grouped && matches!(number, 4 | 6 | 8 | 10) {
            rest = rest.strip_prefix(b"-")?;
        }
        let (pair, behind) = rest.split_first_chunk()?;
        *place = byte(*pair)?;
        rest = behind;
    }
    rest.is_empty().then_some(value)
}

#[inline]
fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let (high, low) = (digit(high)?, digit(low)?);
    Some(high << 4 | low)
}

#[inline]
fn digit(text: u8) -> Option<u8> {
    let digit = *DIGITS.get(usize::from(text))?;
    (digit != NO_DIGIT).then_some(digit)
}
