//! The fetch thread: passes over staging, and waits between them.

use std::time::{Duration, Instant};

use common::crash::{self, Point};
use common::shutdown::Shutdown;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::REREAD_INTERVAL;
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

/// Reads until the receiver is gone or, with a goal, everything up to it is handed on.
pub(super) fn run(
    fetcher: &mut Fetcher,
    texts: &Sender<Handed>,
    goal: Option<&StagedPosition>,
    stop: &Shutdown,
) -> Result<(), LoaderError> {
    loop {
        let mut reached = false;
        let pass = fetcher.pass(|fetched| {
            if let Fetched::Text(_) = &fetched {
                crash::point(Point::LoaderFetched);
            }
            if let (Fetched::Mark(staged), Some(goal)) = (&fetched, goal) {
                // Another timeline than the goal's is a later one.
                reached =
                    staged.timeline_id != goal.timeline_id || staged.position >= goal.position;
            }
            hand_on(fetched, texts)
        })?;
        match pass {
            Pass::More => {}
            Pass::Stopped => return Ok(()),
            Pass::Drained if reached => return Ok(()),
            Pass::Drained => wait(fetcher, Instant::now() + REREAD_INTERVAL, stop)?,
        }
        if stop.requested() {
            return Ok(());
        }
    }
}

/// Waits for the miner's notification, until `until` or a stop.
pub(super) fn wait(
    fetcher: &mut Fetcher,
    until: Instant,
    stop: &Shutdown,
) -> Result<(), LoaderError> {
    while !stop.requested() {
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
