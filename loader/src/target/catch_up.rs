//! What a position means while tables catch up with the checkpoint. Pure.

use common::position::TimelineId;
use common::table::TableName;

use crate::progress::Progress;

/// What the commits of tables that catch up do.
#[derive(Clone, Debug)]
pub struct CatchUp {
    /// What all other tables have, in this staging's numbering.
    reached: Progress,
    /// The tables, each with the last transaction that it had when this began.
    tables: Vec<(TableName, u64)>,
    /// Whether the checkpoint's timeline has come.
    in_timeline: bool,
}

/// What a position means while tables catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is behind any more, and the checkpoint moves on.
    Ahead,
    /// Nothing is behind any more, and the checkpoint is a little further.
    Level,
    /// The tables are still behind.
    Behind,
}

impl CatchUp {
    /// Of these tables, by reading that begins in the timeline `begins_in`.
    pub fn new(reached: Progress, tables: Vec<(TableName, u64)>, begins_in: &TimelineId) -> Self {
        Self {
            in_timeline: reached.timeline.id == *begins_in,
            reached,
            tables,
        }
    }

    /// What the status shows as applied, when the tables have come to `progress`: everything
    /// up to its transaction, and the checkpoint's position.
    pub(super) fn shown(&self, progress: Progress) -> Progress {
        Progress {
            transaction_seq: progress.transaction_seq,
            event_seq: progress.event_seq,
            committed_at_us: progress.committed_at_us,
            ..self.reached.clone()
        }
    }

    pub(super) fn standing(&self, progress: &Progress) -> Standing {
        let same_timeline = progress.timeline.id == self.reached.timeline.id;
        let later = if same_timeline {
            progress.position >= self.reached.position
        } else {
            self.in_timeline
        };
        match progress.transaction_seq.cmp(&self.reached.transaction_seq) {
            std::cmp::Ordering::Greater => Standing::Ahead,
            std::cmp::Ordering::Equal if later => Standing::Ahead,
            std::cmp::Ordering::Equal => Standing::Level,
            std::cmp::Ordering::Less => Standing::Behind,
        }
    }

    /// Those that are at or before `progress`.
    pub(super) fn moved(&self, progress: &Progress) -> impl Iterator<Item = &TableName> {
        self.tables
            .iter()
            .filter(|(_, until)| *until <= progress.transaction_seq)
            .map(|(table, _)| table)
    }

    /// The tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|(table, _)| table)
    }

    /// A commit has come to `progress`.
    pub(super) fn note(&mut self, progress: &Progress) {
        self.in_timeline |= progress.timeline.id == self.reached.timeline.id;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::position::{BinlogPosition, LogId};

    use super::*;
    use crate::progress::Timeline;

    fn at(timeline: &str, offset: u64, transaction_seq: u64) -> Progress {
        Progress {
            timeline: Arc::new(Timeline {
                id: TimelineId(timeline.into()),
                log_id: LogId(timeline.into()),
                consistent_from: None,
            }),
            position: BinlogPosition::new("bin.000001".parse().unwrap(), offset),
            gtid_set: None,
            transaction_seq,
            event_seq: transaction_seq,
            committed_at_us: None,
        }
    }

    fn catch_up(begins_in: &str) -> CatchUp {
        let tables = vec![
            (TableName::new("app", "a"), 10),
            (TableName::new("app", "b"), 15),
        ];
        CatchUp::new(at("now", 900, 20), tables, &TimelineId(begins_in.into()))
    }

    #[test]
    fn the_checkpoint_stays_until_it_is_reached() {
        let within = catch_up("now");
        for (progress, standing) in [
            (at("now", 500, 12), Standing::Behind),
            // The last transaction is the same, what is filtered out behind it is not.
            (at("now", 899, 20), Standing::Level),
            (at("now", 900, 20), Standing::Ahead),
            (at("now", 950, 20), Standing::Ahead),
            (at("now", 950, 21), Standing::Ahead),
            (at("next", 4, 20), Standing::Ahead),
            (at("next", 4, 21), Standing::Ahead),
        ] {
            assert_eq!(within.standing(&progress), standing, "{progress:?}");
        }
        let before = catch_up("before");
        assert_eq!(before.standing(&at("before", 9000, 20)), Standing::Level);
        assert_eq!(before.standing(&at("before", 9000, 19)), Standing::Behind);
    }

    #[test]
    fn a_table_moves_once_its_own_position_is_passed() {
        let catch_up = catch_up("now");
        let moved = |transaction_seq| {
            catch_up
                .moved(&at("now", 1, transaction_seq))
                .map(|table| table.table.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(moved(9), [""; 0]);
        assert_eq!(moved(14), ["a"]);
        assert_eq!(moved(15), ["a", "b"]);
    }

    #[test]
    fn the_status_shows_the_checkpoint_s_position_and_what_all_tables_have() {
        let shown = catch_up("now").shown(at("now", 500, 12));
        assert_eq!((shown.position.offset, shown.transaction_seq), (900, 12));
    }
}
