//! The fetch thread: passes over staging, and waits between them.

use std::time::{Duration, Instant};

use common::crash::{self, Point};
use common::reload::Reload;
use common::shutdown::Shutdown;
use common::table::TableName;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::REREAD_INTERVAL;
use super::lists::{InForce, Settled};
use super::turns::{Read, TurnEnd};
use crate::coverage::Coverage;
use crate::error::LoaderError;
use crate::fetch::{Fetched, Fetcher, Flow, Pass, Woken};
use crate::progress::StagedPosition;

/// What goes to the compactor.
pub(super) struct Handed {
    pub(super) fetched: Fetched,
    /// Dropped by the compactor when it has read the text: the next one waits for that.
    pub(super) _taken: Option<Sender<()>>,
}

/// A text that travels alone: of several at a time the queue would be too large.
const LARGE_TEXT_BYTES: usize = 1 << 20;

/// How soon a stop is noticed while waiting.
const STOP_INTERVAL: Duration = Duration::from_millis(25);

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// All that was wanted is read, or nobody wants more.
    Reading,
    /// An operator asks for something, or the table list is to be read again.
    Asked,
    /// It is the turn of other tables.
    Turn,
}

/// When reading ends.
pub(super) struct Ends<'a> {
    pub(super) goal: Option<&'a StagedPosition>,
    pub(super) stop: &'a Shutdown,
    pub(super) reload: &'a Reload,
    pub(super) in_force: &'a InForce<'a>,
    pub(super) coverage: &'a Coverage,
    pub(super) turn: Option<&'a TurnEnd>,
}

impl Ends<'_> {
    /// A table that the list did not select when it was read: perhaps it does by now.
    fn is_new(&self, table: &TableName) -> bool {
        !self.in_force.list.contains(table) && self.coverage.until(table) != u64::MAX
    }
}

/// Reads until the receiver is gone, an operator asks for something or, with a goal, everything
/// up to it is handed on.
pub(super) fn run(
    fetcher: &mut Fetcher,
    texts: &Sender<Handed>,
    ends: &Ends<'_>,
) -> Result<Finished, LoaderError> {
    let Ends {
        goal,
        stop,
        reload,
        in_force,
        turn,
        ..
    } = ends;
    loop {
        let mut reached = false;
        let pass = fetcher.pass(|fetched| {
            if let Fetched::Text(_) = &fetched {
                crash::point(Point::LoaderFetched);
            }
            if let Fetched::Definition(_, definition) = &fetched
                && ends.is_new(&definition.name)
            {
                reload.raise();
                return Flow::Stop;
            }
            if let (Fetched::Mark(staged), Some(goal)) = (&fetched, goal) {
                // Another timeline than the goal's is a later one.
                reached =
                    staged.timeline_id != goal.timeline_id || staged.position >= goal.position;
            }
            hand_on(fetched, texts)
        })?;
        match pass {
            Pass::More if turn.is_some_and(|turn| turn.is_over(Read::Part)) => {
                return Ok(Finished::Turn);
            }
            Pass::More => {}
            Pass::Asked if in_force.settle_wishes(fetcher)? == Settled::Yes => {}
            Pass::Asked | Pass::Relisted => return Ok(Finished::Asked),
            Pass::Stopped if reload.requested() => return Ok(Finished::Asked),
            Pass::Stopped => return Ok(Finished::Reading),
            Pass::Drained if reached => return Ok(Finished::Reading),
            Pass::Drained if turn.is_some_and(|turn| turn.is_over(Read::All)) => {
                return Ok(Finished::Turn);
            }
            Pass::Drained => wait(fetcher, Instant::now() + REREAD_INTERVAL, stop, reload)?,
        }
        if stop.requested() {
            return Ok(Finished::Reading);
        }
        if reload.requested() && in_force.settle_list(reload) == Settled::No {
            return Ok(Finished::Asked);
        }
    }
}

/// Waits for the miner's notification, until `until`, a stop or a new table list.
pub(super) fn wait(
    fetcher: &mut Fetcher,
    until: Instant,
    stop: &Shutdown,
    reload: &Reload,
) -> Result<(), LoaderError> {
    while !stop.requested() && !reload.requested() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || fetcher.wait(left.min(STOP_INTERVAL))? == Woken::Notified {
            break;
        }
    }
    Ok(())
}

fn hand_on(fetched: Fetched, texts: &Sender<Handed>) -> Flow {
    let large = matches!(&fetched, Fetched::Text(text) if text.lines.len() >= LARGE_TEXT_BYTES);
    let (taken, when_taken): (Option<Sender<()>>, Option<Receiver<()>>) = if large {
        let (sender, receiver) = bounded(0);
        (Some(sender), Some(receiver))
    } else {
        (None, None)
    };
    let handed = Handed {
        fetched,
        _taken: taken,
    };
    if texts.send(handed).is_err() {
        return Flow::Stop;
    }
    if let Some(when_taken) = when_taken {
        // Ends with the sender's drop.
        let _ = when_taken.recv();
    }
    Flow::Continue
}
