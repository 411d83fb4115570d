//! The binlog stream: raw events, checked, with their 64-bit positions.

use std::time::Duration;

use bytes::Bytes;
use common::gtid::GtidSet;
use common::position::{BinlogFile, BinlogPosition};
use common::settings::SourceSettings;
use mysql::prelude::Queryable as _;
use mysql::{BinlogRequest, Conn};

use super::behind::{Behind, HEARTBEATS, Passing, ROTATE};
use super::connect::{Wire, connect_by};
use super::error::SourceError;
use super::feed::{Feed, FeedError};
use super::gtid::sids;
use super::server::{Flavor, Server};
use crate::decode::{ARTIFICIAL_FLAG, EventHeader};

/// How often an idle source says that it is there.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Positions in COM_BINLOG_DUMP have 32 bits; beyond that the dump starts with the file.
const MAX_DUMP_OFFSET: u64 = u32::MAX as u64;

/// One event as it came.
pub struct RawEvent {
    /// Common header.
    pub header: EventHeader,
    /// Where the event ends: the position to continue from.
    pub end: BinlogPosition,
    body: Bytes,
}

impl RawEvent {
    /// The body, without header and checksum.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the event is made by the dump and not part of the file.
    pub fn is_artificial(&self) -> bool {
        self.header.log_pos == 0 || self.header.flags & ARTIFICIAL_FLAG != 0
    }

    /// Where the source's reader stands, when it says so while it waits: it has sent all that
    /// ends before, or left it out as asked. Not a place to resume from.
    pub fn source_reader(&self) -> Option<BinlogPosition> {
        let waits = HEARTBEATS.contains(&self.header.event_type) && self.header.log_pos != 0;
        let offset = (self.end.offset & !LOW_BITS) | u64::from(self.header.log_pos);
        (waits && offset >= self.end.offset)
            .then(|| BinlogPosition::new(self.end.file.clone(), offset))
    }
}

/// Replica server id of a second stream beside the main one: with the same id the source
/// would end the first.
pub fn scan_server_id(settings: &SourceSettings) -> u32 {
    settings.server_id ^ 0x2000_0000
}

/// A dump connection.
pub struct EventStream {
    feed: Feed,
    server_id: u32,
    position: BinlogPosition,
    behind: Option<Behind>,
}

/// The bits of a position that an event header has.
const LOW_BITS: u64 = u32::MAX as u64;

impl EventStream {
    /// Asks the source for its log from `position` on.
    ///
    /// # Errors
    /// When the source is away or refuses.
    pub fn open(
        settings: &SourceSettings,
        server_id: u32,
        server: &Server,
        position: BinlogPosition,
    ) -> Result<Self, SourceError> {
        let session = prepared(settings, server)?;
        let dump_offset = if position.offset > MAX_DUMP_OFFSET {
            BinlogPosition::FIRST_OFFSET
        } else {
            position.offset
        };
        let request = BinlogRequest::new(server_id)
            .with_filename(position.file.name().as_bytes())
            .with_pos(dump_offset);
        let begin = BinlogPosition::new(position.file.clone(), dump_offset);
        let mut stream = Self::request(session, request, begin)?;
        stream.behind = Behind::new(position, dump_offset);
        Ok(stream)
    }

    /// Asks the source for everything in its log that is not in `set`. `oldest` is the
    /// beginning of its log.
    ///
    /// # Errors
    /// When the source is away, or has purged what is missing.
    pub fn open_after(
        settings: &SourceSettings,
        server_id: u32,
        server: &Server,
        set: &GtidSet,
        oldest: BinlogPosition,
    ) -> Result<Self, SourceError> {
        let (mut conn, wire) = prepared(settings, server)?;
        let request = BinlogRequest::new(server_id).with_pos(BinlogPosition::FIRST_OFFSET);
        let request = match server.flavor {
            Flavor::MySql => request.with_use_gtid(true).with_sids(sids(set)),
            Flavor::MariaDb => {
                // Digits, dashes and commas only. Strict: a position that the log does not
                // contain is an error, not a guess.
                conn.query_drop(format!(
                    "set @slave_connect_state = '{set}', @slave_gtid_strict_mode = 1"
                ))
                .map_err(SourceError::query("announce the GTID position"))?;
                request
            }
        };
        let mut stream = Self::request((conn, wire), request, oldest)?;
        // The first event names the file that the dump begins with.
        match stream.next_event() {
            Ok(event) if event.header.event_type == ROTATE => Ok(stream),
            Ok(event) => Err(SourceError::Damaged {
                position: event.end,
                reason: "the dump does not begin with a file's name",
            }),
            Err(error) => Err(error.of_gtid_start(set)),
        }
    }

    fn request(
        (conn, wire): (Conn, Wire),
        request: BinlogRequest<'_>,
        position: BinlogPosition,
    ) -> Result<Self, SourceError> {
        let server_id = request.server_id();
        match Feed::request(conn, wire, request) {
            Ok(feed) => Ok(Self {
                feed,
                server_id,
                position,
                behind: None,
            }),
            Err(error) => Err(SourceError::stream(server_id, position, error)),
        }
    }

    /// Where the next event begins.
    pub fn position(&self) -> &BinlogPosition {
        self.behind
            .as_ref()
            .map_or(&self.position, |behind| &behind.start)
    }

    /// Waits for the next event; heartbeats come at least twice a second when the log is idle.
    ///
    /// # Errors
    /// When the connection breaks or the event is damaged.
    pub fn next_event(&mut self) -> Result<RawEvent, SourceError> {
        loop {
            let event = self.read()?;
            let Some(behind) = &self.behind else {
                return Ok(event);
            };
            match behind.pass(event.header.event_type, &event.end) {
                Passing::LeaveOut => {}
                Passing::Deliver(end) => {
                    if end != behind.start {
                        self.behind = None;
                    }
                    return Ok(RawEvent { end, ..event });
                }
            }
        }
    }

    /// Whether another event has come in already, as far as that is known.
    pub fn has_more(&self) -> bool {
        self.feed.has_more()
    }

    fn read(&mut self) -> Result<RawEvent, SourceError> {
        let (header, body) = self.feed.next().map_err(|error| self.explain(error))?;
        self.advance(&header, &body)?;
        Ok(RawEvent {
            header,
            end: self.position.clone(),
            body,
        })
    }

    fn explain(&self, error: FeedError) -> SourceError {
        let position = self.position.clone();
        match error {
            FeedError::Ended => SourceError::Ended { position },
            FeedError::Stream(error) => SourceError::stream(self.server_id, position, error),
            FeedError::Damaged(reason) => SourceError::Damaged { position, reason },
            FeedError::Checksum => SourceError::Checksum { position },
        }
    }

    /// Moves the position behind the event.
    fn advance(&mut self, header: &EventHeader, body: &[u8]) -> Result<(), SourceError> {
        if header.event_type == ROTATE {
            self.position = self.rotate_to(header, body)?;
        } else if header.log_pos != 0
            && header.flags & ARTIFICIAL_FLAG == 0
            && !HEARTBEATS.contains(&header.event_type)
        {
            self.position.offset = widen(self.position.offset, header.log_pos);
        }
        Ok(())
    }

    /// Body of ROTATE: next position (8 bytes), next file's name.
    fn rotate_to(&self, header: &EventHeader, body: &[u8]) -> Result<BinlogPosition, SourceError> {
        let damaged = |reason| SourceError::Damaged {
            position: self.position.clone(),
            reason,
        };
        let (offset, name) = body
            .split_first_chunk::<8>()
            .ok_or_else(|| damaged("a rotate event without a position"))?;
        let name = without_checksum(header, body, name);
        let file: BinlogFile = std::str::from_utf8(name)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| damaged("a rotate event without a file name"))?;
        Ok(BinlogPosition::new(file, u64::from_le_bytes(*offset)))
    }
}

/// A session that is ready for a dump.
fn prepared(settings: &SourceSettings, server: &Server) -> Result<(Conn, Wire), SourceError> {
    let (mut conn, wire) = connect_by(settings)?;
    let heartbeat = HEARTBEAT.as_nanos();
    conn.query_drop(format!(
        "set @master_heartbeat_period = {heartbeat}, @source_heartbeat_period = {heartbeat}"
    ))
    .map_err(SourceError::query("set heartbeat period"))?;
    if server.flavor == Flavor::MariaDb {
        // 4: knows GTID events (MariaDB knowledge base, "Replication Protocol").
        conn.query_drop("set @mariadb_slave_capability = 4")
            .map_err(SourceError::query("announce capability"))?;
    }
    Ok((conn, wire))
}

/// The made-up rotate event that opens a dump comes before the event that announces
/// checksums, so its own CRC32, where the source sends one, is still part of the name.
fn without_checksum<'a>(header: &EventHeader, body: &[u8], name: &'a [u8]) -> &'a [u8] {
    let (Some((short, _)), Some((covered, checksum))) =
        (name.split_last_chunk::<4>(), body.split_last_chunk::<4>())
    else {
        return name;
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header.to_bytes());
    hasher.update(covered);
    if hasher.finalize() == u32::from_le_bytes(*checksum) {
        short
    } else {
        name
    }
}

/// Positions in headers have 32 bits; the log only grows.
fn widen(last: u64, low: u32) -> u64 {
    const RANGE: u64 = 1 << 32;
    let candidate = (last & !(RANGE - 1)) | u64::from(low);
    if candidate < last {
        candidate + RANGE
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_on_past_four_gigabytes() {
        assert_eq!(widen(4, 300), 300);
        assert_eq!(widen((1 << 32) - 10, 20), (1 << 32) + 20);
        assert_eq!(widen((5 << 32) + 7, 7), (5 << 32) + 7);
    }
}
