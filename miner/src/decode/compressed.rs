//! MariaDB's compressed records: the statement of QUERY_COMPRESSED, the rows of the
//! *_ROWS_COMPRESSED events.
//!
//! Wire (MariaDB `sql/log_event.cc`, `binlog_buf_compress`): one byte with bit 7 set,
//! the algorithm in bits 4 to 6 (0 is zlib, the only one), the number of length bytes
//! in bits 0 to 2; the uncompressed length, big-endian; zlib data.

use std::io::Read;

use flate2::bufread::ZlibDecoder;

use super::bytes::{Fields, big_endian};
use super::error::DecodeError;

/// Decompresses a record that may announce up to `limit` bytes.
pub(super) fn decompress_record(
    event: &'static str,
    record: &[u8],
    limit: u64,
) -> Result<Vec<u8>, DecodeError> {
    let mut fields = Fields::new(event, record);
    let head = fields.u8("compression header")?;
    let length_bytes = usize::from(head & 0x07);
    if head & 0x80 == 0 || !(1..=4).contains(&length_bytes) {
        return Err(fields.invalid("compression header"));
    }
    if head & 0x70 != 0 {
        return Err(DecodeError::UnsupportedEvent {
            event,
            feature: "a compression other than zlib",
        });
    }
    let announced = big_endian(fields.take(length_bytes, "uncompressed length")?);
    if announced > limit {
        return Err(DecodeError::DecompressedSize {
            event,
            announced,
            limit,
        });
    }
    // Not reserved up front: a damaged length must not cost memory that the data does
    // not fill.
    let mut plain = Vec::new();
    ZlibDecoder::new(fields.rest())
        .take(announced.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|source| DecodeError::Decompress { event, source })?;
    if u64::try_from(plain.len()).ok() != Some(announced) {
        return Err(fields.invalid("uncompressed length"));
    }
    Ok(plain)
}
