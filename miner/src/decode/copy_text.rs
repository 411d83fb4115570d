//! PostgreSQL's COPY text format: escapes, NULL, and what becomes of 0x00.
//!
//! Escaped are backslash, tab, newline and carriage return, the only bytes that COPY
//! would misread (PostgreSQL manual, COPY, "Text Format"); NULL is `\N`.

use super::error::CellError;

/// Longest canonical text of one value. PostgreSQL's limit for a field is 1 GiB less
/// some header bytes, and escapes must fit too.
pub(super) const MAX_TEXT_BYTES: usize = 1_000_000_000;

/// NULL in COPY text.
pub(super) const NULL: &[u8] = b"\\N";

/// What stands in for 0x00 under [`NulBytePolicy::Replace`]: U+FFFD.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// What to do with 0x00 in text, which PostgreSQL cannot store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NulBytePolicy {
    /// Refuse the value.
    #[default]
    Error,
    /// Leave it out.
    Strip,
    /// Put U+FFFD in its place.
    Replace,
}

/// COPY text under construction.
#[derive(Debug, Default)]
pub(super) struct CopyText {
    pub(super) bytes: Vec<u8>,
    /// Number of 0x00 that the policy took out or replaced.
    pub(super) nul_substitutions: u64,
}

impl CopyText {
    /// Appends bytes that need no escape, such as a number.
    #[inline]
    pub(super) fn push_plain(&mut self, plain: &[u8]) {
        self.bytes.extend_from_slice(plain);
    }

    /// Appends valid UTF-8, escaped.
    pub(super) fn push_utf8(&mut self, text: &[u8], nul: NulBytePolicy) -> Result<(), CellError> {
        let mut rest = text;
        while let Some(at) = position_of_special(rest) {
            let (plain, special) = rest.split_at(at);
            self.push_plain(plain);
            let Some((byte, tail)) = special.split_first() else {
                break;
            };
            self.push_special(*byte, nul)?;
            rest = tail;
        }
        self.push_plain(rest);
        Ok(())
    }

    /// Appends one character, escaped.
    #[inline]
    pub(super) fn push_char(&mut self, c: char, nul: NulBytePolicy) -> Result<(), CellError> {
        match u8::try_from(u32::from(c)) {
            Ok(byte) if needs_care(byte) => self.push_special(byte, nul),
            _ => {
                let mut buffer = [0; 4];
                self.push_plain(c.encode_utf8(&mut buffer).as_bytes());
                Ok(())
            }
        }
    }

    fn push_special(&mut self, byte: u8, nul: NulBytePolicy) -> Result<(), CellError> {
        match byte {
            b'\\' => self.push_plain(b"\\\\"),
            b'\t' => self.push_plain(b"\\t"),
            b'\n' => self.push_plain(b"\\n"),
            b'\r' => self.push_plain(b"\\r"),
            0 => {
                match nul {
                    NulBytePolicy::Error => return Err(CellError::NulByte),
                    NulBytePolicy::Strip => {}
                    NulBytePolicy::Replace => self.push_plain(REPLACEMENT),
                }
                self.nul_substitutions += 1;
            }
            other => self.bytes.push(other),
        }
        Ok(())
    }

    /// Appends `\x` and hexadecimal digits, as bytea reads them; the backslash is
    /// escaped.
    pub(super) fn push_bytea(&mut self, bytes: &[u8]) -> Result<(), CellError> {
        self.push_padded_bytea(bytes, bytes.len())
    }

    /// The same, with 0x00 up to `width` bytes.
    pub(super) fn push_padded_bytea(
        &mut self,
        bytes: &[u8],
        width: usize,
    ) -> Result<(), CellError> {
        if width.saturating_mul(2) > MAX_TEXT_BYTES {
            return Err(CellError::Oversized { bytes: width });
        }
        self.push_plain(b"\\\\x");
        self.push_hex(bytes);
        let padding = width.saturating_sub(bytes.len()) * 2;
        self.bytes.resize(self.bytes.len() + padding, b'0');
        Ok(())
    }

    /// Appends hexadecimal digits.
    pub(super) fn push_hex(&mut self, bytes: &[u8]) {
        self.bytes.reserve(bytes.len() * 2);
        self.bytes
            .extend(bytes.iter().flat_map(|byte| hex_pair(*byte)));
    }
}

/// The two digits of a byte.
#[inline]
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    [hex_digit(byte >> 4), hex_digit(byte & 0x0f)]
}

#[inline]
fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' + (nibble - 10)
    }
}

/// Whether a byte cannot be copied as it is. Without branches, so that it is asked of many
/// bytes at once.
#[inline]
pub(super) fn needs_care(byte: u8) -> bool {
    (byte == 0) | (byte == b'\t') | (byte == b'\n') | (byte == b'\r') | (byte == b'\\')
}

/// Where the first byte is that cannot be copied as it is.
///
/// Most texts have none. Blocks are looked at as a whole, and the last one overlaps the one
/// before, so that no byte is looked at alone: a tenth of the time of a loop over the bytes.
#[inline]
fn position_of_special(bytes: &[u8]) -> Option<usize> {
    let from = if let Some(last) = bytes.last_chunk() {
        let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
        match blocks.iter().position(is_block_special) {
            Some(block) => block * BLOCK_BYTES,
            None if is_block_special(last) => blocks.len() * BLOCK_BYTES,
            None => return None,
        }
    } else {
        if let Some(last) = bytes.last_chunk() {
            let (words, _) = bytes.as_chunks::<WORD_BYTES>();
            if !words.iter().any(is_word_special) && !is_word_special(last) {
                return None;
            }
        }
        0
    };
    let rest = bytes.get(from..).unwrap_or_default();
    let at = rest.iter().position(|byte| needs_care(*byte))?;
    Some(from + at)
}

/// Two vector registers of any processor with 64 bits.
const BLOCK_BYTES: usize = 32;

#[inline]
fn is_block_special(block: &[u8; BLOCK_BYTES]) -> bool {
    // A number, not a flag: of those compilers make no vectors.
    let mut found = 0;
    for byte in block {
        found |= u8::from(needs_care(*byte));
    }
    found != 0
}

const WORD_BYTES: usize = 8;

#[inline]
fn is_word_special(word: &[u8; WORD_BYTES]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(*word);
    // Not 0 exactly if one of the bytes is.
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes & HIGH;
    let equal = |byte: u8| zero(word ^ (ONES * u64::from(byte)));
    zero(word) | equal(b'\t') | equal(b'\n') | equal(b'\r') | equal(b'\\') != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, nul: NulBytePolicy) -> Result<(String, u64), CellError> {
        let mut copy = CopyText::default();
        copy.push_utf8(text.as_bytes(), nul)?;
        let mut by_char = CopyText::default();
        for c in text.chars() {
            by_char.push_char(c, nul)?;
        }
        assert_eq!(by_char.bytes, copy.bytes);
        Ok((
            String::from_utf8(copy.bytes).unwrap(),
            copy.nul_substitutions,
        ))
    }

    #[test]
    fn only_what_copy_misreads_is_escaped() {
        let (text, _) = escaped("a\tb\nc\rd\\e\u{8}\u{b}\"'é😀", NulBytePolicy::Error).unwrap();
        assert_eq!(text, "a\\tb\\nc\\rd\\\\e\u{8}\u{b}\"'é😀");
        assert_eq!(escaped("\\N", NulBytePolicy::Error).unwrap().0, "\\\\N");
        assert_eq!(escaped("\\.", NulBytePolicy::Error).unwrap().0, "\\\\.");
        assert_eq!(escaped("", NulBytePolicy::Error).unwrap().0, "");
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_stands() {
        for length in 0..100 {
            let plain: Vec<u8> = (1..=u8::MAX)
                .filter(|byte| !needs_care(*byte))
                .cycle()
                .skip(3 * length)
                .take(length)
                .collect();
            assert_eq!(position_of_special(&plain), None);
            for at in 0..length {
                for special in [0, b'\t', b'\n', b'\r', b'\\'] {
                    let mut bytes = plain.clone();
                    bytes[at] = special;
                    bytes[length - 1] = special;
                    assert_eq!(position_of_special(&bytes), Some(at));
                }
            }
        }
    }

    #[test]
    fn nul_follows_the_policy_and_is_counted() {
        assert_eq!(
            escaped("a\0b", NulBytePolicy::Error),
            Err(CellError::NulByte)
        );
        assert_eq!(
            escaped("\0a\0b\0", NulBytePolicy::Strip).unwrap(),
            ("ab".to_owned(), 3)
        );
        assert_eq!(
            escaped("a\0b", NulBytePolicy::Replace).unwrap(),
            ("a\u{fffd}b".to_owned(), 1)
        );
    }

    #[test]
    fn bytes_become_hex_padded_to_the_width() {
        let mut copy = CopyText::default();
        copy.push_bytea(&[0x00, 0x1f, 0xab]).unwrap();
        copy.push_plain(b" ");
        copy.push_padded_bytea(&[0x61], 3).unwrap();
        assert_eq!(copy.bytes, b"\\\\x001fab \\\\x610000");
    }
}
