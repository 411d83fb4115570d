//! Events of a dump as they come in: header and body, their CRC32 checked and cut off.
//!
//! Without TLS the packets are read from the session's socket into blocks of memory that the
//! events then share. The client library, which allocates several times for each event, reads
//! them where it has encrypted the session.

mod checksum;
mod library;
mod packets;

use bytes::Bytes;
use mysql::{BinlogRequest, Conn};

use super::connect::Wire;
use crate::decode::EventHeader;
use library::LibraryFeed;
use packets::PacketFeed;

/// Why there is no next event.
#[derive(Debug)]
pub(super) enum FeedError {
    /// The source ended the stream.
    Ended,
    /// The connection broke, or the source refuses.
    Stream(mysql::Error),
    /// The bytes are no event.
    Damaged(&'static str),
    /// The CRC32 does not fit the event.
    Checksum,
}

/// What cannot be taken apart.
const IMPOSSIBLE: FeedError = FeedError::Damaged("its length or content is impossible");

/// A dump connection's events.
pub(super) enum Feed {
    Packets(PacketFeed),
    Library(Box<LibraryFeed>),
}

impl Feed {
    /// Asks for the dump.
    pub(super) fn request(
        conn: Conn,
        wire: Wire,
        request: BinlogRequest<'_>,
    ) -> Result<Self, mysql::Error> {
        Ok(match wire {
            Wire::Plain => Self::Packets(PacketFeed::request(conn, request)?),
            Wire::Tls => Self::Library(Box::new(LibraryFeed::request(conn, request)?)),
        })
    }

    /// Waits for the next event; its body is without checksum.
    pub(super) fn next(&mut self) -> Result<(EventHeader, Bytes), FeedError> {
        match self {
            Self::Packets(packets) => packets.next(),
            Self::Library(library) => library.next(),
        }
    }

    /// Whether another event has come in already, as far as that is known.
    pub(super) fn has_more(&self) -> bool {
        match self {
            Self::Packets(packets) => packets.has_more(),
            Self::Library(_) => false,
        }
    }
}
