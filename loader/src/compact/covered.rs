//! How far reading has come: position, timeline and GTIDs.
//!
//! It bounds: every staged transaction that ends at or before the end was read or skipped. The
//! GTIDs are exactly those up to there, or unknown.

use std::sync::Arc;

use common::gtid::GtidSet;
use common::staging::codec::{CommitLine, Passed};

use crate::progress::{Progress, StagedPosition, StagedTimeline, Timeline};
use crate::round::Overlap;

/// See the module.
#[derive(Debug)]
pub(super) struct Covered {
    /// End of the last transaction that was read or skipped, without the GTIDs.
    end: Progress,
    gtids: Option<GtidSet>,
}

impl Covered {
    pub(super) fn new(start: Progress) -> Self {
        Self {
            gtids: parse_set(start.gtid_set.as_deref()),
            end: start,
        }
    }

    pub(super) fn end(&self) -> &Progress {
        &self.end
    }

    fn gtid_set(&self) -> Option<String> {
        self.gtids.as_ref().map(ToString::to_string)
    }

    pub(super) fn with_gtids(&self) -> Progress {
        Progress {
            gtid_set: self.gtid_set(),
            ..self.end.clone()
        }
    }

    /// A transaction has ended.
    pub(super) fn set_end(&mut self, end: Progress) {
        self.end = end;
    }

    /// The miner has come to `staged`, and everything before it is read.
    pub(super) fn advance(&mut self, staged: StagedPosition) {
        if staged.timeline_id != self.end.timeline.id || staged.position < self.end.position {
            return;
        }
        self.gtids = parse_set(staged.gtid_set.as_deref());
        self.end = Progress {
            timeline: Arc::clone(&self.end.timeline),
            position: staged.position,
            gtid_set: None,
            transaction_seq: staged.transaction_seq,
            event_seq: staged.event_seq,
            committed_at_us: staged.committed_at_us,
        };
    }

    /// What follows is of another server's log.
    pub(super) fn begin_timeline(&mut self, staged: &StagedTimeline) {
        // An overlap that has not ended lasts until the new server's end: it had then all that
        // was mined of the old one.
        let overlapping = self.overlap() == Overlap::Overlapping;
        let consistent_from = self.end.timeline.consistent_from.as_ref().map(|_| {
            if overlapping {
                staged.source_end.clone()
            } else {
                staged.start.clone()
            }
        });
        self.end.timeline = Arc::new(Timeline {
            id: staged.id.clone(),
            log_id: staged.log_id.clone(),
            consistent_from,
        });
        self.end.position = staged.start.clone();
        self.gtids = parse_set(staged.start_gtid_set.as_deref());
    }

    /// Adds a transaction's GTID, and those of what was left out before it.
    pub(super) fn note_gtids(&mut self, commit: &CommitLine<'_>) {
        let passed = match commit.passed {
            Passed::Nothing => None,
            Passed::Some(set) => Some(set),
            Passed::All(set) => {
                self.gtids = parse_set(Some(set));
                return;
            }
            Passed::Unknown => {
                self.gtids = None;
                return;
            }
        };
        let Some(gtids) = &mut self.gtids else { return };
        let passed = passed.map_or_else(|| Ok(GtidSet::new()), str::parse);
        let added = passed
            .and_then(|passed| gtids.follow(&passed))
            .and_then(|()| gtids.add(&commit.gtid.parse()?));
        if added.is_err() {
            self.gtids = None;
        }
    }

    /// Whether the target may hold changes of what follows.
    pub(super) fn overlap(&self) -> Overlap {
        match &self.end.timeline.consistent_from {
            Some(until) if self.end.position < *until => Overlap::Overlapping,
            _ => Overlap::Exact,
        }
    }
}

/// A set that cannot be read is not known.
fn parse_set(text: Option<&str>) -> Option<GtidSet> {
    text.and_then(|text| text.parse().ok())
}
