//! MySQL's binary JSON to the text that MySQL prints.
//!
//! Storage (`sql-common/json_binary.h`): a type byte and a value. Objects and arrays
//! start with their number of elements and size in bytes (2 bytes each, or 4 in the
//! large forms); objects go on with key entries (offset, length u16); then come value
//! entries (type, offset or the value itself if it is small); offsets count from the
//! start of the object or array. A document without bytes is `null`.
//!
//! The text is that of MySQL 8 and later, spacing too: `{"a": [1, 2.0]}` (5.7 prints the
//! double 2 without `.0`). Decimals print as they are, dates and times as strings with
//! six digits, other opaque values in base64 with their type.

use super::bytes::{big_endian, take, take_array};
use super::copy_text::{CopyText, MAX_TEXT_BYTES, NulBytePolicy, hex_pair};
use super::decimal::DecimalLayout;
use super::error::CellError;
use super::json_number::push_json_double;
use super::number::push_display;
use super::table_map::wire;
use super::temporal::{push_packed_date, push_packed_datetime, push_packed_time};

/// MySQL's limit (`JSON_DOCUMENT_MAX_DEPTH`).
const MAX_DEPTH: u32 = 100;

/// Type bytes.
mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0x00;
    pub(super) const LARGE_OBJECT: u8 = 0x01;
    pub(super) const SMALL_ARRAY: u8 = 0x02;
    pub(super) const LARGE_ARRAY: u8 = 0x03;
    pub(super) const LITERAL: u8 = 0x04;
    pub(super) const INT16: u8 = 0x05;
    pub(super) const UINT16: u8 = 0x06;
    pub(super) const INT32: u8 = 0x07;
    pub(super) const UINT32: u8 = 0x08;
    pub(super) const INT64: u8 = 0x09;
    pub(super) const UINT64: u8 = 0x0a;
    pub(super) const DOUBLE: u8 = 0x0b;
    pub(super) const STRING: u8 = 0x0c;
    pub(super) const OPAQUE: u8 = 0x0f;
}

const fn malformed(part: &'static str) -> CellError {
    CellError::Json { part }
}

/// Appends a document as escaped text.
pub(super) fn push_json(
    document: &[u8],
    nul: NulBytePolicy,
    out: &mut CopyText,
) -> Result<(), CellError> {
    let Some((kind, value)) = document.split_first() else {
        out.push_plain(b"null");
        return Ok(());
    };
    let mut printer = Printer {
        limit: out.bytes.len().saturating_add(MAX_TEXT_BYTES),
        out,
        nul,
        budget: document.len(),
        depth: 0,
    };
    printer.value(*kind, value)
}

/// Width of counts and offsets.
#[derive(Clone, Copy)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::Small => 2,
            Self::Large => 4,
        }
    }

    /// Whether a value of that type sits in its entry instead of behind an offset.
    fn holds(self, kind: u8) -> bool {
        match kind {
            kind::LITERAL | kind::INT16 | kind::UINT16 => true,
            kind::INT32 | kind::UINT32 => matches!(self, Self::Large),
            _ => false,
        }
    }

    fn read(self, input: &mut &[u8]) -> Result<usize, CellError> {
        let read = match self {
            Self::Small => take_array(input).map(|bytes| u32::from(u16::from_le_bytes(bytes))),
            Self::Large => take_array(input).map(u32::from_le_bytes),
        };
        let value = read.map_err(|_| malformed("offset is cut"))?;
        usize::try_from(value).map_err(|_| malformed("offset"))
    }
}

struct Printer<'o> {
    out: &'o mut CopyText,
    nul: NulBytePolicy,
    /// Bytes that may still be visited. In a sound document no two values share bytes,
    /// so the sum cannot exceed its length; in a damaged one, offsets that meet would
    /// otherwise make the text grow without bound.
    budget: usize,
    depth: u32,
    /// Length that the whole text may reach.
    limit: usize,
}

impl Printer<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), CellError> {
        self.check_size()?;
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or(malformed("values overlap"))?;
        Ok(())
    }

    fn check_size(&self) -> Result<(), CellError> {
        let bytes = self.out.bytes.len();
        if bytes > self.limit {
            return Err(CellError::Oversized { bytes });
        }
        Ok(())
    }

    fn value(&mut self, kind: u8, value: &[u8]) -> Result<(), CellError> {
        self.spend(1)?;
        let mut input = value;
        let cut = |_| malformed("number is cut");
        match kind {
            kind::SMALL_OBJECT => self.container(value, Size::Small, Shape::Object),
            kind::LARGE_OBJECT => self.container(value, Size::Large, Shape::Object),
            kind::SMALL_ARRAY => self.container(value, Size::Small, Shape::Array),
            kind::LARGE_ARRAY => self.container(value, Size::Large, Shape::Array),
            kind::LITERAL => self.literal(value),
            kind::INT16 => {
                let number = i16::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::UINT16 => {
                let number = u16::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::INT32 => {
                let number = i32::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::UINT32 => {
                let number = u32::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::INT64 => {
                let number = i64::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::UINT64 => {
                let number = u64::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_display(number, self.out);
                Ok(())
            }
            kind::DOUBLE => {
                let number = f64::from_le_bytes(take_array(&mut input).map_err(cut)?);
                push_json_double(number, self.out)
            }
            kind::STRING => {
                let text = sized(&mut input)?;
                self.string(text)
            }
            kind::OPAQUE => self.opaque(value),
            _ => Err(malformed("unknown type")),
        }
    }

    fn literal(&mut self, value: &[u8]) -> Result<(), CellError> {
        let text: &[u8] = match value.first() {
            Some(0) => b"null",
            Some(1) => b"true",
            Some(2) => b"false",
            Some(_) | None => return Err(malformed("literal")),
        };
        self.out.push_plain(text);
        Ok(())
    }

    fn container(&mut self, bytes: &[u8], size: Size, shape: Shape) -> Result<(), CellError> {
        if self.depth >= MAX_DEPTH {
            return Err(malformed("nested too deeply"));
        }
        self.depth += 1;
        let mut head = bytes;
        let count = size.read(&mut head)?;
        let total = size.read(&mut head)?;
        let bytes = bytes.get(..total).ok_or(malformed("container is cut"))?;
        let (key_bytes, value_bytes) = (size.bytes() + 2, 1 + size.bytes());
        let header = 2 * size.bytes();
        let keys_end = match shape {
            Shape::Object => count.saturating_mul(key_bytes).saturating_add(header),
            Shape::Array => header,
        };
        let values_end = count.saturating_mul(value_bytes).saturating_add(keys_end);
        let mut keys = bytes
            .get(header..keys_end)
            .ok_or(malformed("key entries are cut"))?;
        let mut values = bytes
            .get(keys_end..values_end)
            .ok_or(malformed("value entries are cut"))?;
        let (open, close): (&[u8], &[u8]) = match shape {
            Shape::Object => (b"{", b"}"),
            Shape::Array => (b"[", b"]"),
        };
        self.out.push_plain(open);
        for index in 0..count {
            if index > 0 {
                self.out.push_plain(b", ");
            }
            if matches!(shape, Shape::Object) {
                self.key(&mut keys, bytes, size)?;
                self.out.push_plain(b": ");
            }
            self.element(&mut values, bytes, size)?;
        }
        self.out.push_plain(close);
        self.depth -= 1;
        Ok(())
    }

    fn key(&mut self, keys: &mut &[u8], bytes: &[u8], size: Size) -> Result<(), CellError> {
        let offset = size.read(keys)?;
        let len = take_array(keys).map_err(|_| malformed("key entry is cut"))?;
        let len = usize::from(u16::from_le_bytes(len));
        let key = bytes
            .get(offset..)
            .and_then(|rest| rest.get(..len))
            .ok_or(malformed("key is cut"))?;
        self.string(key)
    }

    fn element(&mut self, values: &mut &[u8], bytes: &[u8], size: Size) -> Result<(), CellError> {
        let [kind] = take_array(values).map_err(|_| malformed("value entry is cut"))?;
        self.spend(size.bytes())?;
        if size.holds(kind) {
            let inline = take(values, size.bytes()).map_err(|_| malformed("value is cut"))?;
            return self.value(kind, inline);
        }
        let offset = size.read(values)?;
        let value = bytes.get(offset..).ok_or(malformed("value offset"))?;
        self.value(kind, value)
    }

    /// A string in quotes, with JSON's escapes, each backslash escaped for COPY.
    fn string(&mut self, text: &[u8]) -> Result<(), CellError> {
        self.spend(text.len())?;
        std::str::from_utf8(text).map_err(|_| malformed("string is not UTF-8"))?;
        self.out.push_plain(b"\"");
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
            let (plain, special) = rest.split_at(at);
            self.out.push_plain(plain);
            let Some((byte, tail)) = special.split_first() else {
                break;
            };
            self.escape(*byte)?;
            rest = tail;
        }
        self.out.push_plain(rest);
        self.out.push_plain(b"\"");
        Ok(())
    }

    fn escape(&mut self, byte: u8) -> Result<(), CellError> {
        self.check_size()?;
        let escape: &[u8] = match byte {
            b'"' => b"\\\\\"",
            b'\\' => b"\\\\\\\\",
            b'\n' => b"\\\\n",
            b'\r' => b"\\\\r",
            b'\t' => b"\\\\t",
            0x08 => b"\\\\b",
            0x0c => b"\\\\f",
            // jsonb refuses \u0000, so the policy for 0x00 decides.
            0 => return self.out.push_utf8(&[0], self.nul),
            other => {
                let [high, low] = hex_pair(other);
                self.out
                    .push_plain(&[b'\\', b'\\', b'u', b'0', b'0', high, low]);
                return Ok(());
            }
        };
        self.out.push_plain(escape);
        Ok(())
    }

    /// A value of another type: type code, length, bytes.
    fn opaque(&mut self, value: &[u8]) -> Result<(), CellError> {
        let mut input = value;
        let [field_type] = take_array(&mut input).map_err(|_| malformed("opaque type"))?;
        let data = sized(&mut input)?;
        self.spend(data.len())?;
        match field_type {
            wire::NEWDECIMAL => {
                let mut data = data;
                let [precision, scale] =
                    take_array(&mut data).map_err(|_| malformed("decimal is cut"))?;
                DecimalLayout::new(precision, scale)
                    .ok_or(malformed("decimal"))?
                    .push(&mut data, self.out)
            }
            wire::DATE => self.quoted(|out| push_packed_date(packed(data)?, out)),
            wire::DATETIME | wire::TIMESTAMP => {
                self.quoted(|out| push_packed_datetime(packed(data)?, out))
            }
            wire::TIME => self.quoted(|out| push_packed_time(packed(data)?, out)),
            _ => self.quoted(|out| {
                out.push_plain(b"base64:type");
                push_display(field_type, out);
                out.push_plain(b":");
                push_base64(data, out);
                Ok(())
            }),
        }
    }

    fn quoted(
        &mut self,
        push: impl FnOnce(&mut CopyText) -> Result<(), CellError>,
    ) -> Result<(), CellError> {
        self.out.push_plain(b"\"");
        push(self.out)?;
        self.out.push_plain(b"\"");
        Ok(())
    }
}

/// Objects have keys.
#[derive(Clone, Copy)]
enum Shape {
    Object,
    Array,
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes with a length in front, 7 bits per byte, low ones first, at most 5 bytes.
fn sized<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], CellError> {
    const LENGTH: CellError = malformed("length");
    let mut len = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let [byte] = take_array(input).map_err(|_| LENGTH)?;
        len |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let len = usize::try_from(len).map_err(|_| LENGTH)?;
            return take(input, len).map_err(|_| malformed("value is cut"));
        }
    }
    Err(LENGTH)
}

/// A packed time (`TIME_to_longlong_packed`): 8 bytes little-endian, signed.
fn packed(data: &[u8]) -> Result<i64, CellError> {
    <[u8; 8]>::try_from(data)
        .map(i64::from_le_bytes)
        .map_err(|_| malformed("packed time"))
}

/// Base64 (RFC 4648); MySQL breaks lines after 76 digits, which JSON escapes.
fn push_base64(data: &[u8], out: &mut CopyText) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const LINE_QUADS: usize = 76 / 4;
    for (i, chunk) in data.chunks(3).enumerate() {
        if i > 0 && i.is_multiple_of(LINE_QUADS) {
            out.push_plain(b"\\\\n");
        }
        let bits = big_endian(chunk) << (8 * (3 - chunk.len()));
        for place in 0..4_usize {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let digit = ALPHABET.get(digit).copied().unwrap_or(b'=');
            out.bytes
                .push(if place <= chunk.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &[u8], nul: NulBytePolicy) -> Result<String, CellError> {
        let mut out = CopyText::default();
        push_json(document, nul, &mut out)?;
        Ok(String::from_utf8(out.bytes).unwrap())
    }

    fn refused(document: &[u8]) -> CellError {
        text(document, NulBytePolicy::Error).unwrap_err()
    }

    /// A string of less than 128 bytes.
    fn string(text: &[u8]) -> Vec<u8> {
        [&[kind::STRING, text.len().try_into().unwrap()], text].concat()
    }

    /// A small array whose `count` elements all point to the same value behind them.
    fn shared_array(count: u16, element: &[u8]) -> Vec<u8> {
        let (kind, value) = element.split_first().unwrap();
        let offset = 4 + 3 * count;
        let size = offset + u16::try_from(value.len()).unwrap();
        let mut array = vec![kind::SMALL_ARRAY];
        array.extend(count.to_le_bytes());
        array.extend(size.to_le_bytes());
        for _ in 0..count {
            array.push(*kind);
            array.extend(offset.to_le_bytes());
        }
        array.extend(value);
        array
    }

    #[test]
    fn objects_and_arrays_print_with_mysqls_spacing() {
        // {"a": [1, true], "b": null}
        let mut array = vec![2, 0, 10, 0, kind::INT16, 1, 0, kind::LITERAL, 1, 0];
        let mut object = vec![2, 0, 0, 0, 18, 0, 1, 0, 19, 0, 1, 0];
        object.extend([kind::SMALL_ARRAY, 20, 0, kind::LITERAL, 0, 0]);
        object.extend(b"ab");
        object.append(&mut array);
        object[2] = u8::try_from(object.len()).unwrap();
        object.insert(0, kind::SMALL_OBJECT);
        assert_eq!(
            text(&object, NulBytePolicy::Error).as_deref(),
            Ok(r#"{"a": [1, true], "b": null}"#)
        );
        assert_eq!(text(&[], NulBytePolicy::Error).as_deref(), Ok("null"));
    }

    #[test]
    fn strings_have_json_escapes_with_their_backslashes_escaped_for_copy() {
        let found = text(&string(b"q\"b\\n\nu\x01\x7f/"), NulBytePolicy::Error);
        assert_eq!(
            found.as_deref(),
            Ok("\"q\\\\\"b\\\\\\\\n\\\\nu\\\\u0001\u{7f}/\"")
        );
    }

    #[test]
    fn nul_in_strings_follows_the_policy() {
        let document = string(b"a\0b");
        assert_eq!(refused(&document), CellError::NulByte);
        assert_eq!(
            text(&document, NulBytePolicy::Strip).as_deref(),
            Ok("\"ab\"")
        );
        assert_eq!(
            text(&document, NulBytePolicy::Replace).as_deref(),
            Ok("\"a\u{fffd}b\"")
        );
    }

    #[test]
    fn values_that_share_bytes_are_refused_before_they_multiply() {
        let mut document = string(b"x");
        for _ in 0..20 {
            document = shared_array(10, &document);
        }
        assert_eq!(refused(&document), malformed("values overlap"));
    }

    #[test]
    fn nesting_is_limited_as_in_mysql() {
        let nested = |depth| (0..depth).fold(string(b"x"), |inner, _| shared_array(1, &inner));
        assert!(text(&nested(100), NulBytePolicy::Error).is_ok());
        assert_eq!(refused(&nested(101)), malformed("nested too deeply"));
    }
}
