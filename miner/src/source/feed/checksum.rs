//! Checksums at the end of events.
//!
//! Wire: where the last FORMAT_DESCRIPTION says so, an event ends with the CRC32 of all that is
//! before it. FORMAT_DESCRIPTION itself ends with the algorithm (1 byte) and four bytes for a
//! checksum, used or not, since MySQL 5.6.1 and MariaDB 5.3 (MySQL worklog 2540). Its flag for "this file is
//! in use" is left out of the CRC32, since the server clears it when it closes the file.

use bytes::Bytes;

use super::{FeedError, IMPOSSIBLE};
use crate::decode::EventHeader;

const FORMAT_DESCRIPTION: u8 = 15;

/// LOG_EVENT_BINLOG_IN_USE_F.
const IN_USE_FLAG: u16 = 1;

const ALGORITHM_BYTES: usize = 1;
const CHECKSUM_BYTES: usize = 4;

/// Offset in FORMAT_DESCRIPTION's body of the server's version, and its length.
const VERSION: std::ops::Range<usize> = 2..52;

/// The first version whose FORMAT_DESCRIPTION names the algorithm.
const FIRST_VERSION: (u8, u8, u8) = (5, 6, 1);

/// How events are protected from here on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Checksums {
    #[default]
    Off,
    Crc32,
}

impl Checksums {
    /// Takes an event apart, checks it and cuts its checksum off.
    pub(super) fn open(&mut self, mut event: Bytes) -> Result<(EventHeader, Bytes), FeedError> {
        let header = event.first_chunk().ok_or(IMPOSSIBLE)?;
        let header = EventHeader::from_bytes(header);
        if u32::try_from(event.len()) != Ok(header.event_size) {
            return Err(IMPOSSIBLE);
        }
        let trailer = if header.event_type == FORMAT_DESCRIPTION {
            self.read_algorithm(&event)?
        } else {
            match self {
                Self::Off => 0,
                Self::Crc32 => CHECKSUM_BYTES,
            }
        };
        if *self == Self::Crc32 {
            check(&header, &event)?;
        }
        let body_end = event.len().checked_sub(trailer).ok_or(IMPOSSIBLE)?;
        if body_end < EventHeader::LEN {
            return Err(IMPOSSIBLE);
        }
        event.truncate(body_end);
        drop(event.split_to(EventHeader::LEN));
        Ok((header, event))
    }

    /// The length of what follows the body of FORMAT_DESCRIPTION.
    fn read_algorithm(&mut self, event: &[u8]) -> Result<usize, FeedError> {
        let body = event.get(EventHeader::LEN..).ok_or(IMPOSSIBLE)?;
        let version = body.get(VERSION).ok_or(IMPOSSIBLE)?;
        if mysql_common::misc::split_version(version) < FIRST_VERSION {
            *self = Self::Off;
            return Ok(0);
        }
        let (_, [algorithm, ..]) = body
            .split_last_chunk::<{ ALGORITHM_BYTES + CHECKSUM_BYTES }>()
            .ok_or(IMPOSSIBLE)?;
        *self = match algorithm {
            0 => Self::Off,
            1 => Self::Crc32,
            _ => return Err(FeedError::Checksum),
        };
        Ok(ALGORITHM_BYTES + CHECKSUM_BYTES)
    }
}

fn check(header: &EventHeader, event: &[u8]) -> Result<(), FeedError> {
    let (covered, checksum) = event.split_last_chunk().ok_or(IMPOSSIBLE)?;
    let crc = if header.flags & IN_USE_FLAG == 0 {
        crc32fast::hash(covered)
    } else {
        let closed = EventHeader {
            flags: header.flags & !IN_USE_FLAG,
            ..*header
        };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&closed.to_bytes());
        hasher.update(covered.get(EventHeader::LEN..).ok_or(IMPOSSIBLE)?);
        hasher.finalize()
    };
    if crc == u32::from_le_bytes(*checksum) {
        Ok(())
    } else {
        Err(FeedError::Checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of this type, with its checksum unless that is wanted off.
    fn event(event_type: u8, flags: u16, body: &[u8], checksums: Checksums) -> Vec<u8> {
        let trailer = match checksums {
            Checksums::Crc32 => CHECKSUM_BYTES,
            Checksums::Off => 0,
        };
        let header = EventHeader {
            timestamp: 1,
            event_type,
            server_id: 2,
            event_size: u32::try_from(EventHeader::LEN + body.len() + trailer).unwrap(),
            log_pos: 500,
            flags,
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(body);
        if trailer > 0 {
            let closed = EventHeader {
                flags: flags & !IN_USE_FLAG,
                ..header
            };
            let covered = [&closed.to_bytes(), body].concat();
            bytes.extend_from_slice(&crc32fast::hash(&covered).to_le_bytes());
        }
        bytes
    }

    fn format_body(version: &str, algorithm: Option<u8>) -> Vec<u8> {
        let mut body = vec![4, 0];
        body.extend_from_slice(version.as_bytes());
        body.resize(VERSION.end, 0);
        body.extend_from_slice(&[0, 0, 0, 0, 19, 1, 2, 3]);
        body.extend(algorithm);
        body
    }

    fn open(checksums: &mut Checksums, bytes: Vec<u8>) -> Result<Bytes, FeedError> {
        checksums.open(bytes.into()).map(|(_, body)| body)
    }

    #[test]
    fn events_are_checked_from_the_format_description_on() {
        let mut checksums = Checksums::default();
        let before = event(4, 0, b"log.000001", Checksums::Off);
        assert_eq!(*open(&mut checksums, before).unwrap(), b"log.000001"[..]);
        let body = format_body("10.11.6-MariaDB-log", Some(1));
        let format = event(FORMAT_DESCRIPTION, IN_USE_FLAG, &body, Checksums::Crc32);
        let opened = open(&mut checksums, format).unwrap();
        assert_eq!(*opened, body[..body.len() - ALGORITHM_BYTES]);
        let good = event(16, 0, b"12345678", Checksums::Crc32);
        assert_eq!(
            *open(&mut checksums, good.clone()).unwrap(),
            b"12345678"[..]
        );
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // The flag that is left out, and what turns the event into another kind, which
                // is read differently but not believed either.
                let is_left_out = at == 17 && 1 << bit == IN_USE_FLAG;
                assert_eq!(
                    open(&mut checksums.clone(), bad).is_ok(),
                    is_left_out,
                    "byte {at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_format_description_without_checksum_still_has_room_for_one() {
        let mut checksums = Checksums::Crc32;
        let mut body = format_body("9.7.0", Some(0));
        body.extend_from_slice(&[0; CHECKSUM_BYTES]);
        let format = event(FORMAT_DESCRIPTION, 0, &body, Checksums::Off);
        let opened = open(&mut checksums, format).unwrap();
        assert_eq!(*opened, format_body("9.7.0", None)[..]);
        assert_eq!(checksums, Checksums::Off);
        let old = event(
            FORMAT_DESCRIPTION,
            0,
            &format_body("5.5.62-log", None),
            Checksums::Off,
        );
        let opened = open(&mut checksums, old).unwrap();
        assert_eq!(*opened, format_body("5.5.62-log", None)[..]);
    }

    #[test]
    fn impossible_events_are_damage() {
        let good = event(16, 0, b"12345678", Checksums::Crc32);
        for len in 0..good.len() {
            let cut = good.get(..len).unwrap().to_vec();
            let mut checksums = Checksums::Crc32;
            assert!(matches!(
                open(&mut checksums, cut),
                Err(FeedError::Damaged(_))
            ));
        }
        let format = format_body("8.0.36", None);
        for len in 0..VERSION.end {
            let cut = format.get(..len).unwrap();
            let mut checksums = Checksums::default();
            let format = event(FORMAT_DESCRIPTION, 0, cut, Checksums::Off);
            assert!(open(&mut checksums, format).is_err(), "{len} bytes");
        }
        let mut checksums = Checksums::default();
        let body = format_body("8.0.36", Some(2));
        let format = event(FORMAT_DESCRIPTION, 0, &body, Checksums::Crc32);
        assert!(matches!(
            open(&mut checksums, format),
            Err(FeedError::Checksum)
        ));
    }
}
