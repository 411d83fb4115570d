//! Finding the applied position in staging.
//!
//! By position, never by sequence: sequences order one staging incarnation and say nothing
//! about what the target holds. Segments know where they begin; within one, a binary search
//! over the chunks reads some twenty of them.

use common::checkpoint::Checkpoint;
use common::pg::Operation as _;
use common::position::{BinlogPosition, TimelineId};
use common::staging::codec::{self, Line};
use common::staging::{CHUNKS_PER_SEGMENT, segment_table};
use postgres::Client;

use super::{FetchError, MinerRow};
use crate::progress::StagedTimeline;

const CHUNK_WITH_COMMIT: &str = include_str!("../../../sql/query/chunk_with_commit.sql");

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Chunks up to this one need not be read.
    pub behind_chunk: i64,
    /// Last transaction that is applied, in this staging's numbering.
    pub transaction_seq: u64,
    /// Last event that is applied, in this staging's numbering.
    pub event_seq: u64,
}

struct Segment {
    number: i64,
    timeline_id: TimelineId,
    first_transaction_seq: u64,
    first_position: BinlogPosition,
}

/// Finds where `applied` of `timeline` is in staging; the miner's position must not be behind
/// it.
///
/// # Errors
/// When staging begins behind it, does not know the timeline, or cannot be read.
pub(super) fn locate(
    client: &mut Client,
    timelines: &[StagedTimeline],
    miner: &MinerRow,
    checkpoint: &Checkpoint,
) -> Result<Start, FetchError> {
    let segments = segments(client)?;
    let applied = &checkpoint.applied;
    let place = timelines
        .iter()
        .position(|timeline| timeline.id == checkpoint.timeline_id);
    let number_of = |segment: &Segment| {
        timelines
            .iter()
            .position(|timeline| timeline.id == segment.timeline_id)
    };
    let own = |segment: &&Segment| number_of(segment) == place;
    let behind = segments.iter().find(|segment| number_of(segment) > place);
    let Some(timeline) = place.and_then(|place| timelines.get(place)) else {
        // With an empty staging the miner has gone over to another server from here.
        let continued = timelines.iter().find_map(|new| new.continues.as_ref());
        if continued == Some(&(checkpoint.timeline_id.clone(), applied.clone())) {
            return before_or_at(client, behind, miner);
        }
        return Err(FetchError::UnknownTimeline {
            log_id: checkpoint.log_id.clone(),
            applied: applied.clone(),
        });
    };
    if *applied < timeline.start {
        return Err(hole(&timeline.start, applied));
    }
    for segment in segments.iter().filter(own).rev() {
        if segment.first_position < *applied
            && let Some(start) = last_commit_up_to(client, segment.number, applied)?
        {
            return Ok(start);
        }
    }
    // No transaction of the timeline is applied, unless such a segment was dropped.
    let first = segments.iter().find(own);
    let left_at = timelines
        .iter()
        .filter_map(|next| next.continues.as_ref())
        .find(|(id, _)| *id == timeline.id)
        .map(|(_, end)| end);
    let least = first.map(|first| &first.first_position).or(left_at);
    match least {
        Some(least) if timeline.dropped && applied < least => Err(hole(least, applied)),
        _ => before_or_at(client, first.or(behind), miner),
    }
}

fn hole(retained: &BinlogPosition, applied: &BinlogPosition) -> FetchError {
    FetchError::Hole {
        retained: retained.clone(),
        applied: applied.clone(),
    }
}

/// Reading begins with the segment's first line, without one with what the miner stages next.
fn before_or_at(
    client: &mut Client,
    segment: Option<&Segment>,
    miner: &MinerRow,
) -> Result<Start, FetchError> {
    let Some(segment) = segment else {
        return Ok(Start {
            behind_chunk: miner.chunk_seq,
            transaction_seq: miner.staged.transaction_seq,
            event_seq: miner.staged.event_seq,
        });
    };
    Ok(Start {
        behind_chunk: segment.number * CHUNKS_PER_SEGMENT - 1,
        transaction_seq: segment.first_transaction_seq.saturating_sub(1),
        event_seq: first_event(client, segment.number)?.saturating_sub(1),
    })
}

/// The oldest position that staging holds and its timeline, if it holds anything.
pub(super) fn retained_from(
    client: &mut Client,
) -> Result<Option<(TimelineId, BinlogPosition)>, FetchError> {
    Ok(segments(client)?
        .into_iter()
        .next()
        .map(|segment| (segment.timeline_id, segment.first_position)))
}

fn segments(client: &mut Client) -> Result<Vec<Segment>, FetchError> {
    let rows = client
        .query(
            "select segment_no, first_transaction_seq, first_position, timeline_id::text \
               from mysql2gp.segment order by segment_no",
            &[],
        )
        .operation("read segments")?;
    rows.iter()
        .map(|row| {
            let position = row.get::<_, &str>(2).parse();
            Ok(Segment {
                number: row.get(0),
                timeline_id: TimelineId(row.get(3)),
                first_transaction_seq: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
                first_position: position.map_err(|_| FetchError::Malformed {
                    what: "mysql2gp.segment.first_position",
                })?,
            })
        })
        .collect()
}

/// The last chunk of a segment in which a transaction ends at or before `applied`, and that
/// transaction.
fn last_commit_up_to(
    client: &mut Client,
    segment: i64,
    applied: &BinlogPosition,
) -> Result<Option<Start>, FetchError> {
    let statement = client
        .prepare(&CHUNK_WITH_COMMIT.replace("{segment}", &segment_table(segment)))
        .operation("prepare search of a segment")?;
    let mut low = segment * CHUNKS_PER_SEGMENT;
    let mut high = low + CHUNKS_PER_SEGMENT - 1;
    let mut best = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        let row = client
            .query_opt(&statement, &[&low, &middle])
            .operation("search a segment")?;
        let Some(row) = row else {
            low = middle + 1;
            continue;
        };
        let chunk: i64 = row.get(0);
        let first_event_seq = u64::try_from(row.get::<_, i64>(2)).unwrap_or_default();
        let (commit, all) = applied_commit(row.get::<_, &str>(1), applied)?;
        match commit {
            Some(commit) => {
                best = Some(Start {
                    behind_chunk: chunk - 1,
                    transaction_seq: commit.transaction_seq,
                    event_seq: (first_event_seq + commit.events_before).saturating_sub(1),
                });
                if all == AllApplied::No {
                    break;
                }
                low = middle + 1;
            }
            None => high = chunk - 1,
        }
    }
    Ok(best)
}

/// Number of the first event of a segment; 1 when it has none yet.
fn first_event(client: &mut Client, segment: i64) -> Result<u64, FetchError> {
    let row = client
        .query_opt(
            &format!(
                "select first_event_seq from {} order by chunk_seq limit 1",
                segment_table(segment)
            ),
            &[],
        )
        .operation("read the first chunk")?;
    Ok(row.map_or(1, |row| {
        u64::try_from(row.get::<_, i64>(0)).unwrap_or_default()
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AllApplied {
    Yes,
    No,
}

/// A transaction's end within a chunk.
struct CommitInChunk {
    transaction_seq: u64,
    /// The chunk's events before it.
    events_before: u64,
}

/// The last transaction of the chunk that ends at or before `applied`, and whether the
/// chunk's other ones do too.
fn applied_commit(
    text: &str,
    applied: &BinlogPosition,
) -> Result<(Option<CommitInChunk>, AllApplied), FetchError> {
    let malformed = || FetchError::Malformed {
        what: "mysql2gp.chunk.payload",
    };
    let mut last = None;
    let mut events_before = 0;
    for line in text.lines() {
        if !line.starts_with('C') {
            events_before += 1;
            continue;
        }
        let Ok(Line::Commit(commit)) = codec::parse_line(line.as_bytes()) else {
            return Err(malformed());
        };
        if commit.position().map_err(|_| malformed())? > *applied {
            return Ok((last, AllApplied::No));
        }
        last = Some(CommitInChunk {
            transaction_seq: commit.transaction_seq,
            events_before,
        });
    }
    Ok((last, AllApplied::Yes))
}
