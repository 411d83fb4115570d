//! Tables that catch up and the others take turns, so that neither waits for long.
//!
//! A turn is a flow. It ends when its time is over and it has committed something, so that
//! a large transaction comes to its end; the others' also when they have nothing to do. Where
//! the last table catches up within its turn, that flow goes on for all of them. Bounded runs
//! take no turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::coverage::Turn;

/// How long a turn is: what a row of the other tables may wait while one catches up, about.
const TURN: Duration = Duration::from_secs(2);

/// When a flow's turn ends.
pub(super) struct TurnEnd {
    turn: Turn,
    at: Instant,
    /// Whether the flow has committed something.
    committed: AtomicBool,
    /// Whether tables are behind still.
    behind: AtomicBool,
}

impl TurnEnd {
    /// A turn that begins now.
    pub(super) fn new(turn: Turn) -> Self {
        Self {
            turn,
            at: Instant::now() + TURN,
            committed: AtomicBool::new(false),
            behind: AtomicBool::new(true),
        }
    }

    /// Something is committed; `behind` says whether tables are behind still.
    pub(super) fn note_commit(&self, behind: Behind) {
        self.committed.store(true, Ordering::Relaxed);
        if behind == Behind::No {
            self.behind.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the turn is over, where all that is staged is read, or not.
    pub(super) fn is_over(&self, read: Read) -> bool {
        let idle = self.turn == Turn::Others && read == Read::All;
        let late = self.committed.load(Ordering::Relaxed) && Instant::now() >= self.at;
        self.behind.load(Ordering::Relaxed) && (idle || late)
    }
}

/// Whether tables are behind still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Yes,
    No,
}

/// How much of what is staged is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    All,
    Part,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_lasts_until_something_is_committed_and_the_others_give_up_an_idle_one() {
        let over = |turn, at: Instant, commits: &[Behind], read| {
            let end = TurnEnd {
                at,
                ..TurnEnd::new(turn)
            };
            commits.iter().for_each(|behind| end.note_commit(*behind));
            end.is_over(read)
        };
        let (now, later) = (Instant::now(), Instant::now() + TURN);
        assert!(!over(Turn::CatchUp, now, &[], Read::Part));
        assert!(!over(Turn::CatchUp, later, &[Behind::Yes], Read::All));
        assert!(over(Turn::CatchUp, now, &[Behind::Yes], Read::Part));
        assert!(!over(
            Turn::CatchUp,
            now,
            &[Behind::Yes, Behind::No],
            Read::All
        ));
        assert!(over(Turn::Others, later, &[], Read::All));
        assert!(!over(Turn::Others, later, &[Behind::Yes], Read::Part));
        assert!(over(Turn::Others, now, &[Behind::Yes], Read::Part));
    }
}
