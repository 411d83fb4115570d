//! From an event's number in this staging to its place in the source's log.
//!
//! Numbers of events order one staging incarnation; a dead letter outlives it and is named by
//! the end of its transaction and its number within. Looked up only for refused rows: a binary
//! search over the chunks of one segment.

use common::pg::Operation as _;
use common::position::{BinlogPosition, LogId};
use common::staging::codec::{self, Line};
use common::staging::{CHUNKS_PER_SEGMENT, segment_table};
use postgres::GenericClient;

use super::DeadLetterError;

/// An event's place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log_id: LogId,
    /// End of its transaction.
    pub position: BinlogPosition,
    /// Its number within the transaction, from 1.
    pub row_number: u64,
}

/// Looks places up; remembers the transactions that were found.
#[derive(Default)]
pub(super) struct Places {
    last: Option<Transaction>,
}

/// A staged transaction: its events, and where it ends.
struct Transaction {
    log_id: LogId,
    first_event_seq: u64,
    end_event_seq_exclusive: u64,
    position: BinlogPosition,
}

impl Places {
    pub(super) fn of(
        &mut self,
        staging: &mut impl GenericClient,
        event_seq: u64,
    ) -> Result<Place, DeadLetterError> {
        let found = match self.last.take() {
            Some(last)
                if (last.first_event_seq..last.end_event_seq_exclusive).contains(&event_seq) =>
            {
                last
            }
            _ => find(staging, event_seq)?,
        };
        let place = Place {
            log_id: found.log_id.clone(),
            position: found.position.clone(),
            row_number: event_seq - found.first_event_seq + 1,
        };
        self.last = Some(found);
        Ok(place)
    }
}

/// Text of a chunk from some line on.
struct Lines {
    log_id: LogId,
    text: String,
    /// Number of its first event.
    event_seq: u64,
}

fn find(staging: &mut impl GenericClient, event_seq: u64) -> Result<Transaction, DeadLetterError> {
    let not_staged = || DeadLetterError::NotStaged { event_seq };
    let (chunk_seq, first) = chunk_of(staging, event_seq)?.ok_or_else(not_staged)?;
    let transaction = match end_of(&first, event_seq)? {
        Some(transaction) => transaction,
        None => {
            let row = staging
                .query_opt(
                    "select first_event_seq, coalesce(payload, big_payload) from mysql2gp.chunk \
                      where chunk_seq > $1 and commits > 0 order by chunk_seq limit 1",
                    &[&chunk_seq],
                )
                .operation("look for a transaction's end")
                .map_err(DeadLetterError::Staging)?
                .ok_or_else(not_staged)?;
            let rest = Lines {
                log_id: first.log_id,
                event_seq: unsigned(row.get(0))?,
                text: row.get(1),
            };
            end_of(&rest, event_seq)?.ok_or_else(not_staged)?
        }
    };
    if transaction.first_event_seq > event_seq || transaction.end_event_seq_exclusive <= event_seq {
        return Err(not_staged());
    }
    Ok(transaction)
}

/// The transaction of `event_seq`, if it ends in these lines.
fn end_of(lines: &Lines, event_seq: u64) -> Result<Option<Transaction>, DeadLetterError> {
    let mut next = lines.event_seq;
    for line in lines.text.lines() {
        if !line.starts_with('C') {
            next += 1;
            continue;
        }
        if next <= event_seq {
            continue;
        }
        let Ok(Line::Commit(commit)) = codec::parse_line(line.as_bytes()) else {
            return Err(MALFORMED);
        };
        let first_event_seq = next.checked_sub(commit.event_count).ok_or(MALFORMED)?;
        return Ok(Some(Transaction {
            log_id: lines.log_id.clone(),
            first_event_seq,
            end_event_seq_exclusive: next,
            position: commit.position().map_err(|_| MALFORMED)?,
        }));
    }
    Ok(None)
}

/// The chunk that holds an event.
fn chunk_of(
    staging: &mut impl GenericClient,
    event_seq: u64,
) -> Result<Option<(i64, Lines)>, DeadLetterError> {
    let segments = staging
        .query(
            "select s.segment_no, t.log_id from mysql2gp.segment s join mysql2gp.timeline t using (timeline_id) \
              order by s.segment_no desc",
            &[],
        )
        .operation("read segments")
        .map_err(DeadLetterError::Staging)?;
    for segment in segments {
        if let Some(chunk_seq) = last_chunk_up_to(staging, segment.get(0), event_seq)? {
            let row = staging
                .query_one(
                    "select first_event_seq, coalesce(payload, big_payload) from mysql2gp.chunk \
                      where chunk_seq = $1",
                    &[&chunk_seq],
                )
                .operation("read a chunk")
                .map_err(DeadLetterError::Staging)?;
            let lines = Lines {
                log_id: LogId(segment.get(1)),
                event_seq: unsigned(row.get(0))?,
                text: row.get(1),
            };
            return Ok(Some((chunk_seq, lines)));
        }
    }
    Ok(None)
}

/// The last chunk of a segment whose first event is not behind `event_seq`.
fn last_chunk_up_to(
    staging: &mut impl GenericClient,
    segment: i64,
    event_seq: u64,
) -> Result<Option<i64>, DeadLetterError> {
    let query = format!(
        "select chunk_seq, first_event_seq from {} where chunk_seq between $1 and $2 \
          order by chunk_seq desc limit 1",
        segment_table(segment)
    );
    let mut low = segment * CHUNKS_PER_SEGMENT;
    let mut high = low + CHUNKS_PER_SEGMENT - 1;
    let mut best = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        let row = staging
            .query_opt(&query, &[&low, &middle])
            .operation("search a segment")
            .map_err(DeadLetterError::Staging)?;
        let Some(row) = row else {
            low = middle + 1;
            continue;
        };
        let chunk_seq: i64 = row.get(0);
        if unsigned(row.get(1))? <= event_seq {
            best = Some(chunk_seq);
            low = middle + 1;
        } else {
            high = chunk_seq - 1;
        }
    }
    Ok(best)
}

const MALFORMED: DeadLetterError = DeadLetterError::Malformed {
    what: "mysql2gp.chunk.payload",
};

fn unsigned(number: i64) -> Result<u64, DeadLetterError> {
    u64::try_from(number).map_err(|_| MALFORMED)
}
