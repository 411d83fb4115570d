//! The charsets that encoding_rs decodes, with MySQL's exceptions.
//!
//! Compared over all byte sequences with `CONVERT(... USING utf8mb4)` on MySQL 9.7:
//! cp932 and euckr are the WHATWG encodings without C1 controls; sjis is JIS X 0208 only and maps
//! seven symbols its own way; gb18030 is the edition of 2005 with 19 pairs in the
//! private use area, some of which the edition of 2022 has moved.

use encoding_rs::{DecoderResult, Encoding, GB18030, SHIFT_JIS};

use super::super::error::CellError;
use super::Sink;
use super::double_byte::half_width_katakana;

/// Passes on all characters of an encoding without exceptions.
pub(super) fn transcode(
    encoding: &'static Encoding,
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut buffer = [0; 1024];
    let mut rest = text;
    loop {
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(rest, &mut buffer, true);
        let decoded = buffer.get(..written).unwrap_or_default();
        if has_c1_control(decoded) {
            return Err(malformed);
        }
        sink.utf8(decoded)?;
        match result {
            DecoderResult::InputEmpty => return Ok(()),
            DecoderResult::Malformed(..) => return Err(malformed),
            DecoderResult::OutputFull => rest = rest.get(read..).unwrap_or_default(),
        }
    }
}

/// Whether UTF-8 holds one of U+0080 to U+009F. WHATWG's Shift_JIS has one, the byte
/// 0x80; MySQL's has none.
fn has_c1_control(text: &[u8]) -> bool {
    text.windows(2)
        .any(|pair| matches!(pair, [0xc2, 0x80..=0x9f]))
}

/// One whole character.
fn decode_one(encoding: &'static Encoding, bytes: &[u8]) -> Option<char> {
    let mut units = [0; 4];
    let (result, _, written) = encoding
        .new_decoder_without_bom_handling()
        .decode_to_utf16_without_replacement(bytes, &mut units, true);
    if result != DecoderResult::InputEmpty {
        return None;
    }
    let mut chars = char::decode_utf16(units.get(..written)?.iter().copied());
    let c = chars.next()?.ok()?;
    chars.next().is_none().then_some(c)
}

/// Passes on all characters of MySQL's sjis.
pub(super) fn transcode_sjis(
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let mut rest = text;
    while !rest.is_empty() {
        let (c, tail) = match rest {
            [ascii @ ..0x80, tail @ ..] => (Some(char::from(*ascii)), tail),
            [kana @ 0xa1..=0xdf, tail @ ..] => (half_width_katakana(*kana), tail),
            [lead, trail, tail @ ..] => (sjis_pair(*lead, *trail), tail),
            [_] | [] => (None, rest),
        };
        sink.char(c.ok_or(malformed)?)?;
        rest = tail;
    }
    Ok(())
}

fn sjis_pair(lead: u8, trail: u8) -> Option<char> {
    match [lead, trail] {
        [0x81, 0x5f] => Some('\\'),
        [0x81, 0x60] => Some('\u{301c}'),
        [0x81, 0x61] => Some('\u{2016}'),
        [0x81, 0x7c] => Some('\u{2212}'),
        [0x81, 0x91] => Some('\u{a2}'),
        [0x81, 0x92] => Some('\u{a3}'),
        [0x81, 0xca] => Some('\u{ac}'),
        // Rows of JIS X 0208; the others are vendors' and users'.
        [0x81..=0x84 | 0x88..=0x9f | 0xe0..=0xea, _] => decode_one(SHIFT_JIS, &[lead, trail]),
        _ => None,
    }
}

/// Passes on all characters of MySQL's gb18030.
pub(super) fn transcode_gb18030(
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let mut rest = text;
    while let Some(first) = rest.first() {
        let len = match (first, rest.get(1)) {
            (..0x80, _) => 1,
            (_, Some(b'0'..=b'9')) => 4,
            (_, _) => 2,
        };
        let (bytes, tail) = rest.split_at_checked(len).ok_or(malformed)?;
        sink.char(gb18030_char(bytes).ok_or(malformed)?)?;
        rest = tail;
    }
    Ok(())
}

fn gb18030_char(bytes: &[u8]) -> Option<char> {
    Some(match bytes {
        [ascii @ ..0x80] => char::from(*ascii),
        [0xa3, 0xa0] => '\u{e5e5}',
        [0xa6, 0xd9] => '\u{e78d}',
        [0xa6, 0xda] => '\u{e78e}',
        [0xa6, 0xdb] => '\u{e78f}',
        [0xa6, 0xdc] => '\u{e790}',
        [0xa6, 0xdd] => '\u{e791}',
        [0xa6, 0xde] => '\u{e792}',
        [0xa6, 0xdf] => '\u{e793}',
        [0xa6, 0xec] => '\u{e794}',
        [0xa6, 0xed] => '\u{e795}',
        [0xa6, 0xf3] => '\u{e796}',
        [0xfe, 0x59] => '\u{e81e}',
        [0xfe, 0x61] => '\u{e826}',
        [0xfe, 0x66] => '\u{e82b}',
        [0xfe, 0x67] => '\u{e82c}',
        [0xfe, 0x6d] => '\u{e832}',
        [0xfe, 0x7e] => '\u{e843}',
        [0xfe, 0x90] => '\u{e854}',
        [0xfe, 0xa0] => '\u{e864}',
        _ => return decode_one(GB18030, bytes),
    })
}
