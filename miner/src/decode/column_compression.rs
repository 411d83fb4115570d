//! Values of MariaDB's COMPRESSED columns.
//!
//! Storage (`sql/field.cc`, `compress_zlib`, `compression_method`): nothing for the empty
//! value; else a head byte with the method in bits 4 to 7 (0 stored as is, 8 zlib), a
//! flag in bit 3 that the deflate stream is bare (`column_compression_zlib_wrap=OFF`, the
//! default) and the number of length bytes in bits 0 to 2; the length, big-endian; the
//! compressed bytes.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::bytes::{big_endian, take};
use super::copy_text::MAX_TEXT_BYTES;
use super::error::CellError;

/// Decompresses a value into `plain`, which is cleared first.
pub(super) fn decompress(value: &[u8], plain: &mut Vec<u8>) -> Result<(), CellError> {
    plain.clear();
    let Some((head, mut rest)) = value.split_first() else {
        return Ok(());
    };
    match head >> 4 {
        0 => {
            plain.extend_from_slice(rest);
            return Ok(());
        }
        8 => {}
        _ => return Err(CellError::Compressed),
    }
    let announced = big_endian(take(&mut rest, usize::from(head & 0x07))?);
    let announced = usize::try_from(announced).map_err(|_| CellError::Compressed)?;
    if announced > MAX_TEXT_BYTES {
        return Err(CellError::Oversized { bytes: announced });
    }
    let limit = u64::try_from(announced).unwrap_or(u64::MAX) + 1;
    let read = if head & 0x08 != 0 {
        DeflateDecoder::new(rest).take(limit).read_to_end(plain)
    } else {
        ZlibDecoder::new(rest).take(limit).read_to_end(plain)
    };
    match read {
        Ok(len) if len == announced => Ok(()),
        Ok(_) | Err(_) => Err(CellError::Compressed),
    }
}
