//! What a file of the log tells of itself: when it was created, and which GTIDs it holds before
//! a position.
//!
//! MySQL does not tell the GTIDs: the file begins with the GTIDs of all files before it, and the
//! rest is read. Needed once, where mining starts in the middle of a file.

use common::gtid::GtidSet;
use common::position::BinlogPosition;
use common::settings::SourceSettings;
use common::shutdown::Shutdown;
use log::info;

use crate::decode::{Event, EventParser};
use crate::error::{MinerError, Place};
use crate::gtids::{GtidTrack, Outcome};
use crate::source::{EventStream, Server, scan_server_id};

/// When the file that begins at `begin` was created, seconds since 1970; `None` when it does
/// not say.
///
/// # Errors
/// When the source is away, or the log is damaged.
pub fn file_created(
    settings: &SourceSettings,
    server: &Server,
    begin: BinlogPosition,
) -> Result<Option<u32>, MinerError> {
    let mut stream = EventStream::open(settings, scan_server_id(settings), server, begin)?;
    let mut parser = EventParser::new();
    loop {
        let event = stream.next_event()?;
        let parsed = parser
            .parse(&event.header, event.body())
            .map_err(|source| MinerError::Decode {
                place: Place::new(&event.end, None),
                source,
            })?;
        if let Event::FormatDescription(format) = parsed {
            return Ok(Some(format.timestamp));
        }
        // The file's name comes first, from the server and not from the file.
        if !event.is_artificial() {
            return Ok(None);
        }
    }
}

/// The GTIDs before `position`; `None` when transactions there have none.
///
/// # Errors
/// When the source is away, the log is damaged, or a stop is asked for.
pub fn gtids_before(
    settings: &SourceSettings,
    server: &Server,
    position: &BinlogPosition,
    shutdown: &Shutdown,
) -> Result<Option<GtidSet>, MinerError> {
    let begin = BinlogPosition::new(position.file.clone(), BinlogPosition::FIRST_OFFSET);
    info!("read the GTIDs before the start from={begin} to={position}");
    let mut stream = EventStream::open(settings, scan_server_id(settings), server, begin)?;
    let mut parser = EventParser::new();
    let mut track = GtidTrack::new(None);
    loop {
        let event = stream.next_event()?;
        if shutdown.requested() {
            return Err(MinerError::Stopping);
        }
        if event.end > *position {
            return Ok(track.staged().cloned());
        }
        let parsed = parser
            .parse(&event.header, event.body())
            .map_err(|source| MinerError::Decode {
                place: Place::new(&event.end, None),
                source,
            })?;
        if let Event::PreviousGtids(set) = parsed {
            track.begin_file(set);
        } else if let Event::Gtid(event) = parsed {
            track.commit(Some(&event.gtid), Outcome::LeftOut);
        } else if let Event::AnonymousGtid(_) = parsed {
            track.commit(None, Outcome::LeftOut);
        }
        if !event.is_artificial() && event.end == *position {
            return Ok(track.staged().cloned());
        }
    }
}
