//! FORMAT_DESCRIPTION: which server wrote the file, and how.
//!
//! Wire: version u16, server version 50 bytes padded with 0, created u32, header length
//! u8, one post-header length per event type, checksum algorithm u8 (since MySQL 5.6.1
//! and MariaDB 5.3), CRC32.

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{EventHeader, code, event_name};

/// Binlog format version of every supported server.
const BINLOG_VERSION: u16 = 4;

/// Length of the server version field.
const SERVER_VERSION_BYTES: usize = 50;

/// Length of the checksum algorithm and of the checksum.
const ALGORITHM_BYTES: usize = 1;
const CHECKSUM_BYTES: usize = 4;

/// Kind of server that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MySQL and its close relatives.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// How events are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    /// No checksum.
    Off,
    /// CRC32 of header and body at the end of every event.
    Crc32,
}

/// The first event of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatDescription {
    /// Version string, such as `8.0.36` or `10.11.6-MariaDB-log`.
    pub server_version: String,
    /// Kind of server, told by the version string.
    pub flavor: Flavor,
    /// Seconds since 1970 at which the server started; 0 unless this is the first file
    /// after a start.
    pub created: u32,
    /// Seconds since 1970 at which the event was written (from its header): with
    /// server_uuid it identifies the file.
    pub timestamp: u32,
    /// Checksums of the events that follow; `None` if the caller cut the algorithm
    /// off the body together with the checksum (as the `mysql` crate does).
    pub checksum: Option<ChecksumAlgorithm>,
    /// Length of the fixed part of each event type, from type 1.
    post_header_lengths: Vec<u8>,
}

impl FormatDescription {
    pub(super) fn parse(header: &EventHeader, body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::FORMAT_DESCRIPTION), body);
        let footer = footer_bytes(header, body);
        if fields.u16("binlog version")? != BINLOG_VERSION {
            return Err(fields.invalid("binlog version"));
        }
        let version = fields.take(SERVER_VERSION_BYTES, "server version")?;
        let version = version.split(|byte| *byte == 0).next().unwrap_or_default();
        let server_version = std::str::from_utf8(version)
            .map_err(|_| fields.invalid("server version"))?
            .to_owned();
        let created = fields.u32("created")?;
        if usize::from(fields.u8("header length")?) != EventHeader::LEN {
            return Err(fields.invalid("header length"));
        }
        let lengths = fields
            .len()
            .checked_sub(footer)
            .ok_or_else(|| fields.cut("checksum algorithm"))?;
        let post_header_lengths = fields.take(lengths, "post-header lengths")?.to_vec();
        let checksum = if footer == 0 {
            None
        } else {
            match fields.u8("checksum algorithm")? {
                0 => Some(ChecksumAlgorithm::Off),
                1 => Some(ChecksumAlgorithm::Crc32),
                _ => return Err(fields.invalid("checksum algorithm")),
            }
        };
        Ok(Self {
            flavor: flavor(&server_version),
            server_version,
            created,
            timestamp: header.timestamp,
            checksum,
            post_header_lengths,
        })
    }

    /// Length of the fixed part of an event type; `None` if the server does not know it.
    pub(super) fn post_header_length(&self, event_type: u8) -> Option<usize> {
        let index = usize::from(event_type.checked_sub(1)?);
        self.post_header_lengths.get(index).map(|len| (*len).into())
    }
}

/// MariaDB says so in its version string; its 11.x no longer starts with `5.5.5-`.
fn flavor(server_version: &str) -> Flavor {
    if server_version.to_ascii_lowercase().contains("mariadb") {
        Flavor::MariaDb
    } else {
        Flavor::MySql
    }
}

/// Bytes of algorithm and checksum that are still in the body. The header's size tells:
/// nothing, the checksum, or both may have been cut off.
fn footer_bytes(header: &EventHeader, body: &[u8]) -> usize {
    let whole = usize::try_from(header.event_size)
        .unwrap_or(usize::MAX)
        .saturating_sub(EventHeader::LEN);
    match whole.saturating_sub(body.len()) {
        0 => ALGORITHM_BYTES + CHECKSUM_BYTES,
        CHECKSUM_BYTES => ALGORITHM_BYTES,
        _ => 0,
    }
}
