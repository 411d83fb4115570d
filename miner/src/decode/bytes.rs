//! Bounds-checked reading.
//!
//! [`Fields`] reads event bodies and names the field in its errors; the free functions
//! read cells of a row image, where the caller adds column and table.

use super::error::{CellError, DecodeError};

/// A cursor over an event's body.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    event: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(event: &'static str, body: &'a [u8]) -> Self {
        Self { rest: body, event }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn cut(&self, field: &'static str) -> DecodeError {
        DecodeError::CutEvent {
            event: self.event,
            field,
        }
    }

    pub(super) fn invalid(&self, field: &'static str) -> DecodeError {
        DecodeError::InvalidEvent {
            event: self.event,
            field,
        }
    }

    pub(super) fn take(
        &mut self,
        count: usize,
        field: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| self.cut(field))?;
        self.rest = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or_else(|| self.cut(field))?;
        self.rest = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A little-endian integer of `count` <= 8 bytes.
    pub(super) fn uint(&mut self, count: usize, field: &'static str) -> Result<u64, DecodeError> {
        self.take(count, field).map(little_endian)
    }

    /// A length-encoded integer (MySQL source docs, "Protocol::LengthEncodedInteger").
    pub(super) fn lenenc(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.u8(field)? {
            first @ 0..=0xfa => Ok(u64::from(first)),
            0xfc => self.uint(2, field),
            0xfd => self.uint(3, field),
            0xfe => self.uint(8, field),
            0xfb | 0xff => Err(self.invalid(field)),
        }
    }

    /// A length-encoded integer that counts things in memory.
    pub(super) fn lenenc_size(&mut self, field: &'static str) -> Result<usize, DecodeError> {
        let size = self.lenenc(field)?;
        usize::try_from(size).map_err(|_| self.invalid(field))
    }

    /// A length-encoded string.
    pub(super) fn lenenc_bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.lenenc_size(field)?;
        self.take(len, field)
    }

    /// A string with a one-byte length in front.
    pub(super) fn short_bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u8(field)?;
        self.take(usize::from(len), field)
    }

    /// A sub-cursor over the next `count` bytes, with the same event name.
    pub(super) fn sub(
        &mut self,
        count: usize,
        field: &'static str,
    ) -> Result<Fields<'a>, DecodeError> {
        let event = self.event;
        self.take(count, field).map(|rest| Fields { rest, event })
    }
}

/// The little-endian number in at most 8 bytes.
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// The big-endian number in at most 8 bytes.
pub(super) fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// Takes `count` bytes of a cell.
#[inline]
pub(super) fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], CellError> {
    let (head, tail) = input.split_at_checked(count).ok_or(CellError::Cut)?;
    *input = tail;
    Ok(head)
}

/// Takes `N` bytes of a cell.
#[inline]
pub(super) fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], CellError> {
    let (head, tail) = input.split_first_chunk::<N>().ok_or(CellError::Cut)?;
    *input = tail;
    Ok(*head)
}

/// Takes a value that starts with its length in `length_bytes` (1 to 4) bytes.
#[inline]
pub(super) fn take_prefixed<'a>(
    input: &mut &'a [u8],
    length_bytes: u8,
) -> Result<&'a [u8], CellError> {
    let len = match length_bytes {
        1 => usize::from(take_array::<1>(input)?[0]),
        2 => usize::from(u16::from_le_bytes(take_array(input)?)),
        other => {
            let prefix = take(input, usize::from(other))?;
            usize::try_from(little_endian(prefix)).map_err(|_| CellError::Cut)?
        }
    };
    take(input, len)
}

/// Bit `index` of a bitmap that counts from the low bit of the first byte.
#[inline]
pub(super) fn bit(bitmap: &[u8], index: usize) -> bool {
    bitmap
        .get(index / 8)
        .is_some_and(|byte| byte & (1 << (index % 8)) != 0)
}

/// Bytes of a bitmap with `bits` bits.
pub(super) fn bitmap_bytes(bits: usize) -> usize {
    bits.div_ceil(8)
}
