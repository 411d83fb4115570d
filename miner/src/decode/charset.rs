//! MySQL's character sets, and their text as UTF-8.
//!
//! Names and lengths are those of `information_schema.character_sets`. A charset without
//! a [`Coding`] is known by name, so that it is refused by name.

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
    charset("armscii8", 1, Coding::Unsupported),
    charset("big5", 2, Coding::Unsupported),
    charset("cp1250", 1, Coding::Unsupported),
    charset("cp1251", 1, Coding::Unsupported),
    charset("cp1256", 1, Coding::Unsupported),
    charset("cp1257", 1, Coding::Unsupported),
    charset("cp850", 1, Coding::Unsupported),
    charset("cp852", 1, Coding::Unsupported),
    charset("cp866", 1, Coding::Unsupported),
    charset("cp932", 2, Coding::Unsupported),
    charset("dec8", 1, Coding::Unsupported),
    charset("eucjpms", 3, Coding::Unsupported),
    charset("euckr", 2, Coding::Unsupported),
    charset("gb18030", 4, Coding::Unsupported),
    charset("gb2312", 2, Coding::Unsupported),
    charset("gbk", 2, Coding::Unsupported),
    charset("geostd8", 1, Coding::Unsupported),
    charset("greek", 1, Coding::Unsupported),
    charset("hebrew", 1, Coding::Unsupported),
    charset("hp8", 1, Coding::Unsupported),
    charset("keybcs2", 1, Coding::Unsupported),
    charset("koi8r", 1, Coding::Unsupported),
    charset("koi8u", 1, Coding::Unsupported),
    charset("latin2", 1, Coding::Unsupported),
    charset("latin5", 1, Coding::Unsupported),
    charset("latin7", 1, Coding::Unsupported),
    charset("macce", 1, Coding::Unsupported),
    charset("macroman", 1, Coding::Unsupported),
    charset("sjis", 2, Coding::Unsupported),
    charset("swe7", 1, Coding::Unsupported),
    charset("tis620", 1, Coding::Unsupported),
    charset("ucs2", 2, Coding::Unsupported),
    charset("ujis", 3, Coding::Unsupported),
    charset("utf16", 4, Coding::Unsupported),
    charset("utf16le", 4, Coding::Unsupported),
    charset("utf32", 4, Coding::Unsupported),
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
        self.transcode(text, &mut Escaped { nul, out })
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

fn cp1252(byte: u8) -> char {
    byte.checked_sub(0x80)
        .and_then(|high| CP1252_HIGH.get(usize::from(high)))
        .copied()
        .unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
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
