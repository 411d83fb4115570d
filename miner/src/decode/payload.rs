//! TRANSACTION_PAYLOAD: a whole transaction in one compressed event
//! (`binlog_transaction_compression`, MySQL 8.0.20).
//!
//! Wire (`codecs/binary.h`, WL#3549): fields of type, length and value, all numbers
//! length-encoded, until type 0; then the payload. Inside are complete events with
//! headers but without checksums; their positions are meaningless.

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{code, event_name};

/// How the payload is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadCompression {
    /// Zstandard.
    Zstd,
    /// Not at all.
    Uncompressed,
}

/// A transaction's events, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPayload<'a> {
    /// How it is packed.
    pub compression: PayloadCompression,
    /// Size that the events have unpacked, as the source says.
    pub uncompressed_bytes: u64,
    /// The packed events.
    pub payload: &'a [u8],
}

impl<'a> TransactionPayload<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        const END: u64 = 0;
        const PAYLOAD_SIZE: u64 = 1;
        const COMPRESSION_TYPE: u64 = 2;
        const UNCOMPRESSED_SIZE: u64 = 3;
        let event = event_name(code::TRANSACTION_PAYLOAD);
        let mut fields = Fields::new(event, body);
        let (mut size, mut compression, mut uncompressed) = (None, None, None);
        loop {
            let field = fields.lenenc("field type")?;
            if field == END {
                break;
            }
            let len = fields.lenenc_size("field length")?;
            let mut value = fields.sub(len, "field value")?;
            match field {
                PAYLOAD_SIZE => size = Some(value.lenenc_size("payload size")?),
                COMPRESSION_TYPE => compression = Some(value.lenenc("compression type")?),
                UNCOMPRESSED_SIZE => uncompressed = Some(value.lenenc("uncompressed size")?),
                _ => {}
            }
        }
        let compression = match compression {
            Some(0) => PayloadCompression::Zstd,
            Some(255) => PayloadCompression::Uncompressed,
            Some(_) => {
                return Err(DecodeError::UnsupportedEvent {
                    event,
                    feature: "an unknown compression",
                });
            }
            None => return Err(fields.cut("compression type")),
        };
        let size = size.ok_or_else(|| fields.cut("payload size"))?;
        let payload = fields.take(size, "payload")?;
        if !fields.is_empty() {
            return Err(fields.invalid("payload size"));
        }
        let uncompressed_bytes = match (uncompressed, compression) {
            (Some(bytes), _) => bytes,
            (None, PayloadCompression::Uncompressed) => u64::try_from(size).unwrap_or(u64::MAX),
            (None, PayloadCompression::Zstd) => return Err(fields.cut("uncompressed size")),
        };
        Ok(Self {
            compression,
            uncompressed_bytes,
            payload,
        })
    }
}
