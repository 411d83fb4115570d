//! How far something has come, and in which server's log.
//!
//! What the stages tell each other about positions: the miner's, as staged, and the loader's
//! own. A position means something only with its timeline.

use std::sync::{Arc, Mutex, PoisonError};

use common::position::{BinlogFile, BinlogPosition, LogId, TimelineId};

/// A stretch of one server's log: positions compare only within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Its name.
    pub id: TimelineId,
    /// The log.
    pub log_id: LogId,
    /// Before this position the target may hold changes of an earlier load; `None`: nowhere.
    pub consistent_from: Option<BinlogPosition>,
}

/// How far something has come: the end of a source transaction, or the miner's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What the position belongs to.
    pub timeline: Arc<Timeline>,
    /// Everything that ends at or before it is covered.
    pub position: BinlogPosition,
    /// Exactly the GTIDs up to there, where known; filled in where a round is handed over.
    pub gtid_set: Option<String>,
    /// Last covered transaction, in this staging's numbering.
    pub transaction_seq: u64,
    /// Last covered event, in this staging's numbering.
    pub event_seq: u64,
    /// Commit time at the source, microseconds since 1970.
    pub committed_at_us: Option<i64>,
}

impl Progress {
    /// The timeline's `consistent_from`, as text.
    pub fn consistent_from(&self) -> Option<String> {
        let position = self.timeline.consistent_from.as_ref();
        position.map(BinlogPosition::to_string)
    }
}

/// The miner's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedPosition {
    /// Timeline that is mined.
    pub timeline_id: TimelineId,
    /// Everything before it is staged or was filtered out.
    pub position: BinlogPosition,
    /// GTIDs up to there, where known.
    pub gtid_set: Option<String>,
    /// Last staged transaction.
    pub transaction_seq: u64,
    /// Last staged event.
    pub event_seq: u64,
    /// Commit time of the last transaction that was read, microseconds since 1970.
    pub committed_at_us: Option<i64>,
}

/// A timeline as staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedTimeline {
    /// Its name.
    pub id: TimelineId,
    /// The log.
    pub log_id: LogId,
    /// Where mining began in it.
    pub start: BinlogPosition,
    /// GTIDs that were staged or applied before, where known.
    pub start_gtid_set: Option<String>,
    /// End of the log when mining began there.
    pub source_end: BinlogPosition,
    /// The timeline that it continues, and where that was left.
    pub continues: Option<(TimelineId, BinlogPosition)>,
    /// Whether staging has dropped applied segments of it.
    pub dropped: bool,
}

/// A file of a timeline's log. A log that is reset begins its names anew: the age tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The timeline.
    pub timeline_id: TimelineId,
    /// The file.
    pub file: BinlogFile,
    /// When it was created, seconds since 1970.
    pub created: i64,
}

/// The newest file whose age is known: fetch learns it, the checkpoint keeps it.
#[derive(Clone, Debug, Default)]
pub struct KnownFile(Arc<Mutex<Option<LogFile>>>);

impl KnownFile {
    /// Keeps it, if there is one.
    pub fn learn(&self, file: Option<&LogFile>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_some() && *known != file.cloned() {
            *known = file.cloned();
        }
    }

    /// When the file of a position was created, if that is known.
    pub fn created(&self, progress: &Progress) -> Option<i64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|known| {
                known.timeline_id == progress.timeline.id && known.file == progress.position.file
            })
            .map(|known| known.created)
    }
}
