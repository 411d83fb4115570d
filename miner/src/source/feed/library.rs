//! Events that the client library takes apart.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use mysql::binlog::BinlogChecksumAlg;
use mysql::binlog::events::Event;
use mysql::{BinlogRequest, BinlogStream, Conn};

use super::{FeedError, IMPOSSIBLE};
use crate::decode::EventHeader;

/// Bytes of a block of small bodies.
const BLOCK_BYTES: usize = 64 << 10;

/// Bodies up to this size are small: copying one costs less than to give its memory back in
/// another thread. They lie together in blocks.
const SMALL_BYTES: usize = 16 << 10;

pub(in crate::source) struct LibraryFeed {
    stream: BinlogStream,
    /// What is left of the block of small bodies.
    block: BytesMut,
}

/// A large body stays as it came.
struct Large(Event);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        self.0.data()
    }
}

impl LibraryFeed {
    pub(super) fn request(conn: Conn, request: BinlogRequest<'_>) -> Result<Self, mysql::Error> {
        Ok(Self {
            stream: conn.get_binlog_stream(request)?,
            block: BytesMut::new(),
        })
    }

    pub(super) fn next(&mut self) -> Result<(EventHeader, Bytes), FeedError> {
        // The library takes some events apart before their CRC can be checked, and it panics on
        // some damaged ones.
        let stream = &mut self.stream;
        let event = catch_unwind(AssertUnwindSafe(|| stream.next()))
            .map_err(|_| IMPOSSIBLE)?
            .ok_or(FeedError::Ended)?
            .map_err(FeedError::Stream)?;
        check_crc(&event)?;
        Ok((header_of(&event), self.keep(event)))
    }

    fn keep(&mut self, event: Event) -> Bytes {
        let data = event.data();
        if data.len() > SMALL_BYTES {
            return Bytes::from_owner(Large(event));
        }
        if self.block.capacity() < data.len() {
            self.block = BytesMut::with_capacity(BLOCK_BYTES);
        }
        self.block.extend_from_slice(data);
        self.block.split().freeze()
    }
}

fn check_crc(event: &Event) -> Result<(), FeedError> {
    let Some(checksum) = event.checksum() else {
        return Ok(());
    };
    match event.footer().get_checksum_alg() {
        Ok(Some(alg @ BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32)) => {
            if event.calc_checksum(alg) == u32::from_le_bytes(checksum) {
                Ok(())
            } else {
                Err(FeedError::Checksum)
            }
        }
        Ok(Some(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_OFF) | None) => Ok(()),
        Err(_) => Err(FeedError::Checksum),
    }
}

fn header_of(event: &Event) -> EventHeader {
    let header = event.header();
    EventHeader {
        timestamp: header.timestamp(),
        event_type: header.event_type_raw(),
        server_id: header.server_id(),
        event_size: header.event_size(),
        log_pos: header.log_pos(),
        flags: header.flags_raw(),
    }
}
