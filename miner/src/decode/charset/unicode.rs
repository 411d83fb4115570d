//! UTF-16, UTF-32 and UCS-2. MySQL's are big-endian, except utf16le; none has a byte
//! order mark.

use super::super::error::CellError;
use super::Sink;

/// Order of the bytes of a unit.
#[derive(Clone, Copy, Debug)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

/// Passes on all characters of UTF-16.
pub(super) fn transcode_utf16(
    order: ByteOrder,
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let (units, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed);
    }
    let units = units.iter().map(|unit| match order {
        ByteOrder::Big => u16::from_be_bytes(*unit),
        ByteOrder::Little => u16::from_le_bytes(*unit),
    });
    char::decode_utf16(units).try_for_each(|c| sink.char(c.map_err(|_| malformed)?))
}

/// Passes on all characters of UCS-2, which has no surrogates.
pub(super) fn transcode_ucs2(
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let (units, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed);
    }
    units.iter().try_for_each(|unit| {
        let c = char::from_u32(u16::from_be_bytes(*unit).into());
        sink.char(c.ok_or(malformed)?)
    })
}

/// Passes on all characters of UTF-32.
pub(super) fn transcode_utf32(
    text: &[u8],
    sink: &mut impl Sink,
    malformed: CellError,
) -> Result<(), CellError> {
    let (units, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(malformed);
    }
    units.iter().try_for_each(|unit| {
        let c = char::from_u32(u32::from_be_bytes(*unit));
        sink.char(c.ok_or(malformed)?)
    })
}
