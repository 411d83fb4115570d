//! Packets of the dump, read from the session's socket.
//!
//! Wire (MySQL and MariaDB client/server protocol): 3 bytes length, 1 byte sequence number
//! counted on from the command's 0, payload; a payload of 2^24 - 1 bytes goes on in the next
//! packet. The dump's payloads begin with 0 and an event follows, or are an ERR (255) or EOF
//! (254) packet.
//!
//! The client library has made the session and asked for the dump; it has read nothing beyond,
//! since nothing was sent before. It keeps the socket, with the timeout that it has set.

use std::os::fd::{AsRawFd as _, RawFd};

use bytes::{Buf as _, Bytes, BytesMut};
use mysql::{BinlogRequest, BinlogStream, Conn, DriverError};
use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::ErrPacket;
use mysql_common::proto::codec::error::PacketCodecError;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::FeedError;
use super::checksum::Checksums;
use crate::decode::EventHeader;
use crate::source::connect::MAX_PACKET_BYTES;

/// Bytes of a block that is read into.
const BLOCK_BYTES: usize = 128 << 10;

/// With less room in the block than this, a new one is begun.
const LEAST_ROOM_BYTES: usize = 8 << 10;

const HEADER_BYTES: usize = 4;

/// Length of a payload that goes on in the next packet.
const FULL_PAYLOAD: usize = (1 << 24) - 1;

/// An EOF packet is shorter; longer payloads that begin like one are none.
const EOF_BYTES: usize = 9;

pub(in crate::source) struct PacketFeed {
    /// Keeps the socket.
    _session: BinlogStream,
    packets: Packets<Socket>,
    checksums: Checksums,
}

impl PacketFeed {
    pub(super) fn request(conn: Conn, request: BinlogRequest<'_>) -> Result<Self, mysql::Error> {
        let socket = Socket(conn.as_raw_fd());
        Ok(Self {
            _session: conn.get_binlog_stream(request)?,
            packets: Packets::new(socket),
            checksums: Checksums::default(),
        })
    }

    pub(super) fn next(&mut self) -> Result<(EventHeader, Bytes), FeedError> {
        let mut payload = self.packets.next().map_err(FeedError::Stream)?;
        match payload.first() {
            Some(0) => {
                payload.advance(1);
                self.checksums.open(payload)
            }
            Some(255) => Err(FeedError::Stream(refusal(&payload))),
            Some(254) if payload.len() < EOF_BYTES => Err(FeedError::Ended),
            _ => Err(FeedError::Stream(DriverError::UnexpectedPacket.into())),
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.packets.has_more()
    }
}

fn refusal(payload: &[u8]) -> mysql::Error {
    match ParseBuf(payload).parse(CapabilityFlags::CLIENT_PROTOCOL_41) {
        Ok(ErrPacket::Error(error)) => mysql::Error::MySqlError(error.into()),
        Ok(ErrPacket::Progress(_)) => DriverError::UnexpectedPacket.into(),
        Err(error) => mysql::Error::IoError(error),
    }
}

/// Where bytes come from.
trait Receive {
    fn receive(&mut self, room: &mut [u8]) -> nix::Result<usize>;
}

struct Socket(RawFd);

impl Receive for Socket {
    fn receive(&mut self, room: &mut [u8]) -> nix::Result<usize> {
        recv(self.0, room, MsgFlags::empty())
    }
}

/// Takes a stream of bytes apart into payloads.
struct Packets<R> {
    source: R,
    /// Number of the next packet; the command had 0.
    sequence: u8,
    /// What has come in and is not taken yet, and then room.
    block: BytesMut,
    filled: usize,
}

impl<R: Receive> Packets<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            sequence: 1,
            block: BytesMut::new(),
            filled: 0,
        }
    }

    /// The next payload, of however many packets.
    fn next(&mut self) -> Result<Bytes, mysql::Error> {
        let first = self.packet()?;
        if first.len() < FULL_PAYLOAD {
            return Ok(first);
        }
        let mut payload = Vec::from(first);
        loop {
            let more = self.packet()?;
            if payload.len() + more.len() > MAX_PACKET_BYTES {
                return Err(PacketCodecError::PacketTooLarge.into());
            }
            payload.extend_from_slice(&more);
            if more.len() < FULL_PAYLOAD {
                return Ok(payload.into());
            }
        }
    }

    fn packet(&mut self) -> Result<Bytes, mysql::Error> {
        self.fill(HEADER_BYTES)?;
        let (len, sequence) = self.header().unwrap_or_default();
        if sequence != self.sequence {
            return Err(PacketCodecError::PacketsOutOfSync.into());
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.fill(HEADER_BYTES + len)?;
        let mut packet = self.block.split_to(HEADER_BYTES + len);
        self.filled -= packet.len();
        packet.advance(HEADER_BYTES);
        Ok(packet.freeze())
    }

    /// Length of the payload and sequence number of the packet that comes next, once they
    /// have come in.
    fn header(&self) -> Option<(usize, u8)> {
        let [a, b, c, sequence] = *self.block.get(..self.filled)?.first_chunk()?;
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        Some((len, sequence))
    }

    fn has_more(&self) -> bool {
        self.header()
            .is_some_and(|(len, _)| self.filled >= HEADER_BYTES + len)
    }

    /// Waits until so many bytes have come in.
    fn fill(&mut self, wanted: usize) -> Result<(), mysql::Error> {
        if self.filled >= wanted {
            return Ok(());
        }
        let room = self.block.len() - self.filled;
        if self.block.len() < wanted || room < LEAST_ROOM_BYTES {
            let mut block = BytesMut::zeroed(BLOCK_BYTES.max(wanted + LEAST_ROOM_BYTES));
            let filled = self.block.get(..self.filled).unwrap_or_default();
            if let Some(place) = block.get_mut(..filled.len()) {
                place.copy_from_slice(filled);
            }
            self.block = block;
        }
        while self.filled < wanted {
            let room = self.block.get_mut(self.filled..).unwrap_or_default();
            match self.source.receive(room) {
                Ok(0) => {
                    let closed = "the source closed the connection";
                    return Err(mysql::Error::IoError(std::io::Error::new(
                        std::io::ErrorKind::UnexpectedEof,
                        closed,
                    )));
                }
                Ok(received) => self.filled += received,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(mysql::Error::IoError(error.into())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives what there is in pieces of this size, then ends.
    struct Pieces {
        bytes: Vec<u8>,
        at: usize,
        size: usize,
    }

    impl Receive for Pieces {
        fn receive(&mut self, room: &mut [u8]) -> nix::Result<usize> {
            let rest = &self.bytes[self.at..];
            let len = rest.len().min(self.size).min(room.len());
            room[..len].copy_from_slice(&rest[..len]);
            self.at += len;
            Ok(len)
        }
    }

    /// Payloads as they are sent, each in as many packets as it needs.
    fn wire(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut sequence = 1_u8;
        for payload in payloads {
            let mut rest = &payload[..];
            loop {
                let (part, behind) = rest.split_at(rest.len().min(FULL_PAYLOAD));
                bytes.extend_from_slice(&u32::try_from(part.len()).unwrap().to_le_bytes()[..3]);
                bytes.push(sequence);
                bytes.extend_from_slice(part);
                sequence = sequence.wrapping_add(1);
                rest = behind;
                if part.len() < FULL_PAYLOAD {
                    break;
                }
            }
        }
        bytes
    }

    fn packets(bytes: Vec<u8>, size: usize) -> Packets<Pieces> {
        Packets::new(Pieces { bytes, at: 0, size })
    }

    #[test]
    fn payloads_come_out_as_they_went_in_however_they_arrive() {
        let payloads: Vec<Vec<u8>> = [0, 1, 7, 200, 8_000, 130_000, 3, 300_000, 0, 5]
            .into_iter()
            .cycle()
            .take(600)
            .enumerate()
            .map(|(number, len)| vec![number.to_le_bytes()[0]; len])
            .collect();
        let bytes = wire(&payloads);
        for size in [101, 1_448, 65_536, usize::MAX] {
            let mut packets = packets(bytes.clone(), size);
            for payload in &payloads {
                assert_eq!(*packets.next().unwrap(), payload[..]);
            }
            assert!(!packets.has_more());
            assert!(matches!(packets.next(), Err(mysql::Error::IoError(_))));
        }
    }

    #[test]
    fn a_payload_of_several_packets_is_put_together() {
        for len in [FULL_PAYLOAD - 1, FULL_PAYLOAD, FULL_PAYLOAD + 5] {
            let mut payload = vec![1; len];
            payload[len - 1] = 2;
            let bytes = wire(&[payload.clone(), b"next".to_vec()]);
            let mut packets = packets(bytes, 100_000);
            assert!(*packets.next().unwrap() == payload[..], "{len} bytes");
            assert_eq!(*packets.next().unwrap(), b"next"[..]);
        }
    }

    #[test]
    fn more_is_there_when_a_whole_packet_has_come_in() {
        let bytes = wire(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        let mut packets = packets(bytes, 16);
        assert!(!packets.has_more());
        packets.next().unwrap();
        assert!(packets.has_more());
        packets.next().unwrap();
        assert!(!packets.has_more(), "two bytes of the header are there");
        packets.next().unwrap();
    }

    #[test]
    fn packets_out_of_order_and_a_cut_packet_are_errors() {
        let mut bytes = wire(&[b"one".to_vec(), b"two".to_vec()]);
        bytes[3 + 4 + 3] = 7;
        let mut wrong = packets(bytes, 16);
        wrong.next().unwrap();
        assert!(matches!(
            wrong.next(),
            Err(mysql::Error::CodecError(PacketCodecError::PacketsOutOfSync))
        ));
        let mut bytes = wire(&[b"one".to_vec()]);
        bytes.pop();
        assert!(packets(bytes, 16).next().is_err());
    }
}
