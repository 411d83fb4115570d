//! MySQL's character sets, and their text as UTF-8.
//!
//! Names and lengths are those of `information_schema.character_sets`. A charset without
//! a [`Coding`] is known by name, so that it is refused by name.

mod double_byte;
mod encoding;
mod single_byte;
mod unicode;

use self::double_byte::DoubleByte;
use self::single_byte::UpperHalf;
use self::unicode::ByteOrder;
use super::copy_text::{CopyText, MAX_TEXT_BYTES, NulBytePolicy};
use super::error::CellError;

/// A character set.
#[derive(Debug)]
pub(super) struct Charset {
    /// MySQL's name.
    pub(super) name: &'static str,
    /// Bytes of its longest character.
    pub(super) max_bytes: u32,
    coding: Coding,
}

/// How a charset's bytes become characters.
#[derive(Debug)]
enum Coding {
    Utf8,
    Ascii,
    /// cp1252, where the five unassigned bytes are the C1 controls of the same number.
    Latin1,
    SingleByte(&'static UpperHalf),
    DoubleByte(&'static DoubleByte),
    /// A WHATWG encoding without exceptions.
    Encoding(&'static encoding_rs::Encoding),
    Sjis,
    Gb18030,
    Utf16(ByteOrder),
    Ucs2,
    Utf32,
    Unsupported,
}

const fn charset(name: &'static str, max_bytes: u32, coding: Coding) -> Charset {
    Charset {
        name,
        max_bytes,
        coding,
    }
}

/// All charsets of MySQL 5.7 to 9.x and MariaDB, except `binary`, which has no text.
static CHARSETS: &[Charset] = &[
    charset("utf8mb4", 4, Coding::Utf8),
    charset("utf8mb3", 3, Coding::Utf8),
    charset("latin1", 1, Coding::Latin1),
    charset("ascii", 1, Coding::Ascii),
    charset("armscii8", 1, Coding::SingleByte(&single_byte::ARMSCII8)),
    charset("big5", 2, Coding::DoubleByte(&double_byte::BIG5)),
    charset("cp1250", 1, Coding::SingleByte(&single_byte::CP1250)),
    charset("cp1251", 1, Coding::SingleByte(&single_byte::CP1251)),
    charset("cp1256", 1, Coding::SingleByte(&single_byte::CP1256)),
    charset("cp1257", 1, Coding::SingleByte(&single_byte::CP1257)),
    charset("cp850", 1, Coding::SingleByte(&single_byte::CP850)),
    charset("cp852", 1, Coding::SingleByte(&single_byte::CP852)),
    charset("cp866", 1, Coding::SingleByte(&single_byte::CP866)),
    charset("cp932", 2, Coding::Encoding(encoding_rs::SHIFT_JIS)),
    charset("dec8", 1, Coding::SingleByte(&single_byte::DEC8)),
    charset("eucjpms", 3, Coding::DoubleByte(&double_byte::EUCJPMS)),
    charset("euckr", 2, Coding::Encoding(encoding_rs::EUC_KR)),
    charset("gb18030", 4, Coding::Gb18030),
    charset("gb2312", 2, Coding::DoubleByte(&double_byte::GB2312)),
    charset("gbk", 2, Coding::DoubleByte(&double_byte::GBK)),
    charset("geostd8", 1, Coding::SingleByte(&single_byte::GEOSTD8)),
    charset("greek", 1, Coding::SingleByte(&single_byte::GREEK)),
    charset("hebrew", 1, Coding::SingleByte(&single_byte::HEBREW)),
    charset("hp8", 1, Coding::SingleByte(&single_byte::HP8)),
    charset("keybcs2", 1, Coding::SingleByte(&single_byte::KEYBCS2)),
    charset("koi8r", 1, Coding::SingleByte(&single_byte::KOI8R)),
    charset("koi8u", 1, Coding::SingleByte(&single_byte::KOI8U)),
    charset("latin2", 1, Coding::SingleByte(&single_byte::LATIN2)),
    charset("latin5", 1, Coding::SingleByte(&single_byte::LATIN5)),
    charset("latin7", 1, Coding::SingleByte(&single_byte::LATIN7)),
    charset("macce", 1, Coding::SingleByte(&single_byte::MACCE)),
    charset("macroman", 1, Coding::SingleByte(&single_byte::MACROMAN)),
    charset("sjis", 2, Coding::Sjis),
    charset("swe7", 1, Coding::Unsupported),
    charset("tis620", 1, Coding::SingleByte(&single_byte::TIS620)),
    charset("ucs2", 2, Coding::Ucs2),
    charset("ujis", 3, Coding::DoubleByte(&double_byte::UJIS)),
    charset("utf16", 4, Coding::Utf16(ByteOrder::Big)),
    charset("utf16le", 4, Coding::Utf16(ByteOrder::Little)),
    charset("utf32", 4, Coding::Utf32),
];

/// Characters of the bytes 0x80 to 0x9f in cp1252.
const CP1252_HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl Charset {
    /// The charset of that name; `utf8` is utf8mb3, as in all servers' catalogs.
    pub(super) fn by_name(name: &str) -> Option<&'static Self> {
        let name = if name == "utf8" { "utf8mb3" } else { name };
        CHARSETS.iter().find(|charset| charset.name == name)
    }

    /// Whether its text can be decoded.
    pub(super) fn is_supported(&self) -> bool {
        !matches!(self.coding, Coding::Unsupported)
    }

    /// Appends text as escaped UTF-8.
    #[inline]
    pub(super) fn push(
        &self,
        text: &[u8],
        nul: NulBytePolicy,
        out: &mut CopyText,
    ) -> Result<(), CellError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(CellError::Oversized { bytes: text.len() });
        }
        let start = out.bytes.len();
        self.transcode(text, &mut Escaped { nul, out })?;
        let bytes = out.bytes.len().saturating_sub(start);
        if bytes > MAX_TEXT_BYTES {
            return Err(CellError::Oversized { bytes });
        }
        Ok(())
    }

    /// Text as a string, for labels.
    pub(super) fn decode(&self, text: &[u8]) -> Result<String, CellError> {
        let mut plain = Plain(Vec::with_capacity(text.len()));
        self.transcode(text, &mut plain)?;
        String::from_utf8(plain.0).map_err(|_| self.malformed())
    }

    #[inline]
    fn transcode(&self, text: &[u8], sink: &mut impl Sink) -> Result<(), CellError> {
        match self.coding {
            Coding::Utf8 => {
                std::str::from_utf8(text).map_err(|_| self.malformed())?;
                sink.utf8(text)
            }
            Coding::Ascii => {
                if !text.is_ascii() {
                    return Err(self.malformed());
                }
                sink.utf8(text)
            }
            Coding::Latin1 => {
                if text.is_ascii() {
                    return sink.utf8(text);
                }
                text.iter().try_for_each(|byte| sink.char(cp1252(*byte)))
            }
            Coding::SingleByte(upper) => {
                if text.is_ascii() {
                    return sink.utf8(text);
                }
                text.iter().try_for_each(|byte| {
                    let c = upper_half(upper, *byte).ok_or_else(|| self.malformed())?;
                    sink.char(c)
                })
            }
            Coding::DoubleByte(pairs) => pairs.transcode(text, sink, self.malformed()),
            Coding::Encoding(found) => encoding::transcode(found, text, sink, self.malformed()),
            Coding::Sjis => encoding::transcode_sjis(text, sink, self.malformed()),
            Coding::Gb18030 => encoding::transcode_gb18030(text, sink, self.malformed()),
            Coding::Utf16(order) => unicode::transcode_utf16(order, text, sink, self.malformed()),
            Coding::Ucs2 => unicode::transcode_ucs2(text, sink, self.malformed()),
            Coding::Utf32 => unicode::transcode_utf32(text, sink, self.malformed()),
            Coding::Unsupported => Err(self.malformed()),
        }
    }

    fn malformed(&self) -> CellError {
        CellError::MalformedText { charset: self.name }
    }
}

/// Where decoded characters go.
trait Sink {
    /// Takes valid UTF-8.
    fn utf8(&mut self, text: &[u8]) -> Result<(), CellError>;
    /// Takes one character.
    fn char(&mut self, c: char) -> Result<(), CellError>;
}

/// COPY text.
struct Escaped<'a> {
    nul: NulBytePolicy,
    out: &'a mut CopyText,
}

impl Sink for Escaped<'_> {
    #[inline]
    fn utf8(&mut self, text: &[u8]) -> Result<(), CellError> {
        self.out.push_utf8(text, self.nul)
    }

    #[inline]
    fn char(&mut self, c: char) -> Result<(), CellError> {
        self.out.push_char(c, self.nul)
    }
}

/// Text without escapes.
struct Plain(Vec<u8>);

impl Sink for Plain {
    fn utf8(&mut self, text: &[u8]) -> Result<(), CellError> {
        self.0.extend_from_slice(text);
        Ok(())
    }

    fn char(&mut self, c: char) -> Result<(), CellError> {
        let mut buffer = [0; 4];
        self.utf8(c.encode_utf8(&mut buffer).as_bytes())
    }
}

/// A byte of a single-byte charset.
fn upper_half(table: &UpperHalf, byte: u8) -> Option<char> {
    match byte.checked_sub(0x80) {
        None => Some(char::from(byte)),
        Some(high) => match table.get(usize::from(high)) {
            None | Some(0) => None,
            Some(unit) => char::from_u32((*unit).into()),
        },
    }
}

fn cp1252(byte: u8) -> char {
    byte.checked_sub(0x80)
        .and_then(|high| CP1252_HIGH.get(usize::from(high)))
        .copied()
        .unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::decode::collation;

    fn decode(charset: &str, text: &[u8]) -> Result<String, CellError> {
        let mut out = CopyText::default();
        let charset = Charset::by_name(charset).unwrap();
        charset.push(text, NulBytePolicy::Error, &mut out)?;
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn every_collation_has_a_known_charset() {
        for id in 0..4096 {
            if let Some(name) = collation::charset_of(id) {
                assert!(
                    name == "binary" || Charset::by_name(name).is_some(),
                    "{name}"
                );
            }
        }
    }

    /// What the server makes of every byte sequence, as `data/charsets/README` orders
    /// them; `None` where it finds no character.
    fn golden(charset: &str) -> Vec<Option<char>> {
        let path = format!(
            "{}/tests/data/charsets/{charset}.z",
            env!("CARGO_MANIFEST_DIR")
        );
        let file = std::fs::File::open(path).unwrap();
        let mut units = Vec::new();
        flate2::read::ZlibDecoder::new(file)
            .read_to_end(&mut units)
            .unwrap();
        units
            .chunks_exact(2)
            .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
            .map(|unit| (unit != 0xffff).then(|| char::from_u32(unit.into()).unwrap()))
            .collect()
    }

    /// The byte sequences in the same order.
    fn sequences(charset: &str, max_bytes: u32) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let pairs = |leads: std::ops::RangeInclusive<u8>, trails: std::ops::RangeInclusive<u8>| {
            leads.flat_map(move |lead| trails.clone().map(move |trail| [lead, trail]))
        };
        if max_bytes > 1 {
            all.extend(pairs(0x80..=0xff, 0..=0xff).map(Vec::from));
        }
        if max_bytes == 3 {
            all.extend(pairs(0xa1..=0xfe, 0xa1..=0xfe).map(|[a, b]| vec![0x8f, a, b]));
        }
        if charset == "gb18030" {
            let seconds = pairs(0x81..=0x84, 0x30..=0x39);
            all.extend(seconds.flat_map(|[a, b]| {
                pairs(0x81..=0xfe, 0x30..=0x39).map(move |[c, d]| vec![a, b, c, d])
            }));
        }
        all
    }

    #[test]
    fn every_character_is_what_the_server_makes_of_it() {
        let mut compared = 0;
        let tested = CHARSETS.iter().filter(|charset| {
            charset.is_supported()
                && !charset.name.starts_with("utf")
                && !matches!(charset.name, "ucs2")
        });
        for charset in tested {
            let golden = golden(charset.name);
            let sequences = sequences(charset.name, charset.max_bytes);
            assert_eq!(golden.len(), sequences.len(), "{}", charset.name);
            for (bytes, expected) in sequences.iter().zip(&golden) {
                let found = charset.decode(bytes).ok();
                // The marker of the golden files is a character of gb18030 too.
                let single = found
                    .as_deref()
                    .filter(|text| text.chars().count() == 1 && *text != "\u{ffff}");
                assert_eq!(
                    single.and_then(|text| text.chars().next()),
                    *expected,
                    "{} {bytes:02x?}",
                    charset.name
                );
                compared += usize::from(expected.is_some());
            }
            // Characters of all lengths in one text.
            let all = sequences.iter().zip(&golden).step_by(7);
            let all = all.filter_map(|(bytes, c)| c.map(|c| (bytes, c)));
            let (bytes, text): (Vec<&Vec<u8>>, String) = all.unzip();
            let found = charset.decode(&bytes.into_iter().flatten().copied().collect::<Vec<_>>());
            assert_eq!(found.as_ref(), Ok(&text), "{}", charset.name);
        }
        assert!(compared > 150_000, "{compared} characters compared");
    }

    #[test]
    fn wide_units_are_read_in_their_order() {
        let utf16: Vec<u8> = "aé€😀".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode("utf16", &utf16).as_deref(), Ok("aé€😀"));
        let swapped: Vec<u8> = utf16.chunks(2).flat_map(|u| [u[1], u[0]]).collect();
        assert_eq!(decode("utf16le", &swapped).as_deref(), Ok("aé€😀"));
        assert_eq!(decode("ucs2", &utf16[..6]).as_deref(), Ok("aé€"));
        assert!(decode("ucs2", &utf16).is_err());
        assert!(decode("utf16", &utf16[..7]).is_err());
        assert!(decode("utf16", &utf16[..8]).is_err());
        let utf32: Vec<u8> = "a😀"
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect();
        assert_eq!(decode("utf32", &utf32).as_deref(), Ok("a😀"));
        assert!(decode("utf32", &[0, 0, 0xd8, 0]).is_err());
    }

    #[test]
    fn latin1_is_cp1252() {
        assert_eq!(
            decode("latin1", b"caf\xe9 \x80\x81\x9f\tx").as_deref(),
            Ok("café €\u{81}Ÿ\\tx")
        );
    }

    #[test]
    fn utf8_is_checked() {
        assert_eq!(decode("utf8", "é😀".as_bytes()).as_deref(), Ok("é😀"));
        let malformed = CellError::MalformedText { charset: "utf8mb4" };
        assert_eq!(decode("utf8mb4", b"a\xff"), Err(malformed));
        let malformed = CellError::MalformedText { charset: "ascii" };
        assert_eq!(decode("ascii", b"a\x80"), Err(malformed));
    }
}
