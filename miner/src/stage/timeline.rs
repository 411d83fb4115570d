//! Going over to another server's log.
//!
//! A timeline begins in the staging transaction that first stages a position of the new log,
//! so that a position, its log and its timeline always agree. The loader meets it behind
//! everything of the timeline before.

use common::pg::{Operation as _, PgError};
use common::position::{BinlogPosition, LogId, TimelineId};
use postgres::Client;

/// A timeline that begins with what is staged next.
#[derive(Clone, Debug)]
pub struct NewTimeline {
    /// The log.
    pub log_id: LogId,
    /// Its name, where the target's checkpoint knows it already; `None` for a new one.
    pub id: Option<TimelineId>,
    /// Where mining begins in that log.
    pub start: BinlogPosition,
    /// GTIDs that are staged or on the target already, when known.
    pub gtid_set: Option<String>,
    /// End of the log when mining begins there.
    pub source_end: BinlogPosition,
    /// What it continues; `None` at the first start.
    pub continues: Option<Continued>,
}

/// The end of a timeline that another one continues.
#[derive(Clone, Debug)]
pub struct Continued {
    /// The timeline that is left.
    pub id: TimelineId,
    /// Everything before this position of it is staged or on the target.
    pub end: BinlogPosition,
}

impl NewTimeline {
    /// Writes it into the open staging transaction.
    pub(super) fn begin(&self, client: &mut Client) -> Result<(), PgError> {
        let id = self.id.as_ref().map(|id| id.0.as_str());
        let previous_id = self.continues.as_ref().map(|left| left.id.0.as_str());
        let previous_end = self.continues.as_ref().map(|left| left.end.to_string());
        client
            .execute(
                "with begun as ( \
                    insert into mysql2gp.timeline (timeline_no, timeline_id, log_id, start_file, start_pos, \
                           start_gtid_set, source_end, previous_id, previous_end, resumed) \
                    select coalesce(max(timeline_no), 0) + 1, \
                           coalesce($1::text::uuid, md5(random()::text || clock_timestamp()::text)::uuid), \
                           $2, $3, $4, $5, $6, $7::text::uuid, $8, $1::text is not null \
                      from mysql2gp.timeline \
                    returning timeline_id) \
                 update mysql2gp.miner set timeline_id = begun.timeline_id from begun",
                &[
                    &id,
                    &self.log_id.0,
                    &self.start.file.name(),
                    &self.start.offset.cast_signed(),
                    &self.gtid_set,
                    &self.source_end.to_string(),
                    &previous_id,
                    &previous_end,
                ],
            )
            .operation("begin timeline")
            .map(|_| ())
    }
}
