//! TRANSACTION_PAYLOAD: a whole transaction in one compressed event
//! (`binlog_transaction_compression`, MySQL 8.0.20).
//!
//! Wire (`codecs/binary.h`, WL#3549): fields of type, length and value, all numbers
//! length-encoded, until type 0; then the payload. Inside are complete events with
//! headers but without checksums; their positions are meaningless.

use std::io::{self, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{EventHeader, code, event_name};

/// Largest zstd window accepted: that of level 22, the highest that
/// `binlog_transaction_compression_level_zstd` allows. Memory grows to the window only
/// as far as there are bytes to fill it.
const MAX_WINDOW_BYTES: u64 = 128 << 20;

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
    /// The events inside, unpacked one at a time. An event of more than
    /// `max_event_bytes` ends the reading with an error.
    ///
    /// # Errors
    /// A payload that does not start as its compression says.
    pub fn events(&self, max_event_bytes: u32) -> Result<PayloadEvents<'a>, DecodeError> {
        let reader = match self.compression {
            PayloadCompression::Zstd => {
                PayloadReader::Zstd(Box::new(zstd_frame(self.payload).map_err(decompress)?))
            }
            PayloadCompression::Uncompressed => PayloadReader::Uncompressed(self.payload),
        };
        Ok(PayloadEvents {
            reader,
            left: self.uncompressed_bytes,
            max_event_bytes,
            body: Vec::new(),
        })
    }

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

fn decompress(source: io::Error) -> DecodeError {
    DecodeError::Decompress {
        event: event_name(code::TRANSACTION_PAYLOAD),
        source,
    }
}

/// A payload being unpacked.
enum PayloadReader<'a> {
    Zstd(Box<ZstdFrame<'a>>),
    Uncompressed(&'a [u8]),
}

type ZstdFrame<'a> = StreamingDecoder<&'a [u8], FrameDecoder>;

fn zstd_frame(payload: &[u8]) -> io::Result<ZstdFrame<'_>> {
    StreamingDecoder::new_with_max_window_size(payload, MAX_WINDOW_BYTES).map_err(io::Error::other)
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Uncompressed(bytes) => bytes.read(buffer),
            Self::Zstd(frame) => loop {
                let read = frame.read(buffer)?;
                let rest: &[u8] = frame.get_ref();
                if read > 0 || buffer.is_empty() || rest.is_empty() {
                    return Ok(read);
                }
                // zstd streams may consist of several frames.
                **frame = zstd_frame(rest)?;
            },
        }
    }
}

/// The events of a payload, one at a time in a buffer that is used again.
pub struct PayloadEvents<'a> {
    reader: PayloadReader<'a>,
    /// Bytes that the source announced and that are still to come.
    left: u64,
    max_event_bytes: u32,
    body: Vec<u8>,
}

impl PayloadEvents<'_> {
    /// The next event, header and body as [`super::EventParser::parse`] takes them;
    /// `None` after the last.
    ///
    /// # Errors
    /// Bytes that do not decompress, are cut, or are more or fewer than announced.
    pub fn next_event(&mut self) -> Result<Option<(EventHeader, &[u8])>, DecodeError> {
        let event = event_name(code::TRANSACTION_PAYLOAD);
        let invalid = |field| DecodeError::InvalidEvent { event, field };
        if self.left == 0 {
            let excess = self.reader.read(&mut [0]).map_err(decompress)?;
            return match excess {
                0 => Ok(None),
                _ => Err(invalid("uncompressed size")),
            };
        }
        let mut head = [0; EventHeader::LEN];
        self.reader.read_exact(&mut head).map_err(decompress)?;
        let header = EventHeader::from_bytes(&head);
        if header.event_size > self.max_event_bytes {
            return Err(DecodeError::DecompressedSize {
                event,
                announced: header.event_size.into(),
                limit: self.max_event_bytes.into(),
            });
        }
        self.left = self
            .left
            .checked_sub(header.event_size.into())
            .ok_or_else(|| invalid("uncompressed size"))?;
        let body_bytes = usize::try_from(header.event_size)
            .ok()
            .and_then(|size| size.checked_sub(EventHeader::LEN))
            .ok_or_else(|| invalid("inner event size"))?;
        self.body.clear();
        let limit = u64::try_from(body_bytes).unwrap_or(u64::MAX);
        let read = (&mut self.reader)
            .take(limit)
            .read_to_end(&mut self.body)
            .map_err(decompress)?;
        if read != body_bytes {
            return Err(DecodeError::CutEvent {
                event,
                field: "inner event",
            });
        }
        Ok(Some((header, &self.body)))
    }
}

impl std::fmt::Debug for PayloadEvents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadEvents")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
