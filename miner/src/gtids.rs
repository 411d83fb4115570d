//! Which GTIDs are staged, while the stream moves on.
//!
//! A resume on another server, or a start from a GTID set, can bring transactions that are
//! staged already or that the target had before: they are told here and passed over. It
//! bounds: every transaction of the set is staged or was passed over, none outside of it is.
//! Pure; does not know how transactions are read.

use std::collections::BTreeMap;

use common::gtid::{Gtid, GtidSet, MariaDbGtid};
use common::staging::codec::Passed;
use log::warn;

/// Whether a transaction is to be staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// It is new.
    #[default]
    New,
    /// It is staged or was there before the start.
    Staged,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has staged lines.
    Lines,
    /// It is left out: nothing of it concerns a replicated table.
    LeftOut,
}

/// The log goes past the GTID up to which a domain is staged without containing it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log has {found} and did not have {wanted}, up to which domain {} is staged", wanted.domain_id)]
pub struct Gap {
    /// The GTID that should have come.
    pub wanted: MariaDbGtid,
    /// What came.
    pub found: MariaDbGtid,
}

/// The staged GTIDs. Unknown when the log does not tell them.
#[derive(Debug, Default)]
pub struct GtidTrack {
    staged: Option<GtidSet>,
    /// MariaDB: domains of which the log still brings what is staged, up to this GTID.
    /// Sequence numbers alone do not tell: without strict mode they may go back.
    ahead: BTreeMap<u32, MariaDbGtid>,
    /// What the target had before the start, while `staged` is not known.
    had: GtidSet,
    /// Whether the next file's beginning is where this one continues.
    awaits_file: bool,
    /// What was left out since the last call of [`GtidTrack::take_passed`].
    left_out: GtidSet,
    /// Whether that call has told the whole set before, and nothing has been missed since.
    told: bool,
}

impl GtidTrack {
    /// Continues where the source itself leaves out what is staged, or where what the log
    /// holds is not known.
    pub fn new(staged: Option<GtidSet>) -> Self {
        Self {
            staged,
            ..Self::default()
        }
    }

    /// Continues at the beginning of a file, which says what the log holds before it; with
    /// `had`, which the target had before the start, that is what is staged, if unknown.
    pub fn at_file(staged: Option<GtidSet>, had: GtidSet) -> Self {
        Self {
            staged,
            had,
            awaits_file: true,
            ..Self::default()
        }
    }

    /// Continues at a position of the log before which it holds `logged`.
    pub fn at(staged: GtidSet, logged: &GtidSet) -> Self {
        let mut track = Self::new(Some(staged));
        track.note_ahead(logged);
        track
    }

    fn note_ahead(&mut self, logged: &GtidSet) {
        let Some(staged) = &self.staged else { return };
        let logged: BTreeMap<u32, MariaDbGtid> = logged
            .mariadb_positions()
            .map(|gtid| (gtid.domain_id, gtid))
            .collect();
        self.ahead = staged
            .mariadb_positions()
            .filter(|own| {
                logged
                    .get(&own.domain_id)
                    .is_none_or(|logged| logged.sequence < own.sequence)
            })
            .map(|own| (own.domain_id, own))
            .collect();
    }

    /// What is staged, when known.
    pub fn staged(&self) -> Option<&GtidSet> {
        self.staged.as_ref()
    }

    /// A file begins, and says what the files before it hold.
    pub fn begin_file(&mut self, logged: GtidSet) {
        if self.staged.is_none() {
            let mut staged = logged.clone();
            match staged.union(&std::mem::take(&mut self.had)) {
                Ok(()) => self.staged = Some(staged),
                Err(error) => warn!("lose track of GTIDs: {error}"),
            }
        }
        if std::mem::take(&mut self.awaits_file) {
            self.note_ahead(&logged);
        }
    }

    /// Whether the transaction that begins is staged already.
    ///
    /// # Errors
    /// When the log has skipped the transaction up to which a MariaDB domain is staged.
    pub fn begin(&mut self, gtid: &Gtid) -> Result<Known, Gap> {
        let Gtid::MariaDb(found) = gtid else {
            let staged = self.staged.as_ref().is_some_and(|set| set.contains(gtid));
            return Ok(if staged { Known::Staged } else { Known::New });
        };
        let Some(wanted) = self.ahead.get(&found.domain_id).copied() else {
            return Ok(Known::New);
        };
        if *found == wanted {
            self.ahead.remove(&found.domain_id);
        } else if found.sequence >= wanted.sequence {
            return Err(Gap {
                wanted,
                found: *found,
            });
        }
        Ok(Known::Staged)
    }

    /// A new transaction is complete. One without GTID cannot be told apart on another
    /// server, so with it the set is no longer known.
    pub fn commit(&mut self, gtid: Option<&Gtid>, outcome: Outcome) {
        match (&mut self.staged, gtid) {
            (Some(set), Some(gtid)) => {
                let added = set.add(gtid).and_then(|()| match outcome {
                    Outcome::Lines => Ok(()),
                    Outcome::LeftOut => self.left_out.add(gtid),
                });
                if let Err(error) = added {
                    warn!("lose track of GTIDs: {error}");
                    self.staged = None;
                }
            }
            (staged @ Some(_), None) => *staged = None,
            (None, _) => {}
        }
    }

    /// What the next commit line tells of the transactions before it. The first one tells
    /// all, since what was left out before an earlier stop is in no line.
    pub fn take_passed(&mut self) -> String {
        let left_out = std::mem::take(&mut self.left_out);
        let told = std::mem::replace(&mut self.told, self.staged.is_some());
        match &self.staged {
            None => Passed::Unknown.to_string(),
            Some(all) if !told => Passed::All(&all.to_string()).to_string(),
            Some(_) if left_out.is_empty() => String::new(),
            Some(_) => Passed::Some(&left_out.to_string()).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> GtidSet {
        text.parse().unwrap()
    }

    fn gtid(text: &str) -> Gtid {
        text.parse().unwrap()
    }

    #[test]
    fn a_mysql_transaction_of_the_set_is_passed_over_wherever_it_stands() {
        let mut track = GtidTrack::new(Some(set(&format!("{A}:1-5:8-9:tag:1"))));
        for (number, known) in [
            ("5", Known::Staged),
            ("6", Known::New),
            ("8", Known::Staged),
            ("tag:1", Known::Staged),
            ("tag:2", Known::New),
        ] {
            let gtid = gtid(&format!("{A}:{number}"));
            assert_eq!(track.begin(&gtid), Ok(known), "{number}");
            track.commit(Some(&gtid), Outcome::Lines);
        }
        assert_eq!(
            track.staged().unwrap().to_string(),
            format!("{A}:1-6:8-9:tag:1-2")
        );
    }

    #[test]
    fn a_mariadb_domain_is_passed_over_until_its_staged_gtid_and_no_further() {
        let mut track = GtidTrack::at(set("0-1-100,1-1-7"), &set("0-1-98,1-1-7"));
        assert_eq!(track.begin(&gtid("0-1-99")), Ok(Known::Staged));
        assert_eq!(track.begin(&gtid("1-1-8")), Ok(Known::New));
        assert_eq!(track.begin(&gtid("0-1-100")), Ok(Known::Staged));
        // A server without strict mode went on with a lower number.
        assert_eq!(track.begin(&gtid("0-2-50")), Ok(Known::New));
    }

    #[test]
    fn a_log_that_goes_past_the_staged_gtid_is_another_history() {
        let mut track = GtidTrack::at(set("0-1-100"), &set(""));
        assert_eq!(track.begin(&gtid("0-2-99")), Ok(Known::Staged));
        assert_eq!(
            track.begin(&gtid("0-2-100")),
            Err(Gap {
                wanted: "0-1-100".parse().unwrap(),
                found: "0-2-100".parse().unwrap(),
            })
        );
    }

    #[test]
    fn what_the_target_had_before_counts_where_a_file_tells_the_rest() {
        let mut track = GtidTrack::at_file(None, set("1-1-9"));
        track.begin_file(set("0-1-5,1-1-7"));
        assert_eq!(track.staged().unwrap().to_string(), "0-1-5,1-1-9");
        assert_eq!(track.begin(&gtid("1-1-8")), Ok(Known::Staged));
    }

    #[test]
    fn a_transaction_without_gtid_makes_the_set_unknown_until_a_file_tells_it() {
        let mut track = GtidTrack::new(None);
        track.begin_file(set(&format!("{A}:1-3")));
        track.begin_file(set(&format!("{A}:1-2")));
        assert_eq!(track.staged().unwrap().to_string(), format!("{A}:1-3"));
        track.commit(None, Outcome::Lines);
        assert!(track.staged().is_none());
    }

    #[test]
    fn lines_tell_all_first_and_then_what_was_left_out() {
        let mut track = GtidTrack::new(Some(set(&format!("{A}:1-3"))));
        track.commit(Some(&gtid(&format!("{A}:4"))), Outcome::LeftOut);
        track.commit(Some(&gtid(&format!("{A}:5"))), Outcome::Lines);
        assert_eq!(track.take_passed(), format!("={A}:1-5"));
        track.commit(Some(&gtid(&format!("{A}:6"))), Outcome::Lines);
        assert_eq!(track.take_passed(), "");
        track.commit(Some(&gtid(&format!("{A}:7"))), Outcome::LeftOut);
        track.commit(Some(&gtid(&format!("{A}:8"))), Outcome::LeftOut);
        track.commit(Some(&gtid(&format!("{A}:9"))), Outcome::Lines);
        assert_eq!(track.take_passed(), format!("{A}:7-8"));
        track.commit(None, Outcome::Lines);
        assert_eq!(track.take_passed(), "?");
    }
}
