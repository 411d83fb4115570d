//! The compact thread: decides when a round goes to the target.
//!
//! With nothing more staged a round goes as soon as `load_batch` events or `load_batch_gap`
//! allow it and the target is free. Under a backlog, in staging or, where a longer round costs the
//! target less, at the source, it goes when it is full, or when it has been filling for a while, so
//! that hot keys merge away and progress still shows. Where events merge, a backlog's first round
//! of some size is held back until it is full; later ones fill while the target is busy.

use std::time::{Duration, Instant};

use common::position::BinlogPosition;
use common::settings::LoaderSettings;
use common::shutdown::Shutdown;
use crossbeam_channel::{Receiver, Sender, never, select};

use super::Ended;
use super::fetch_loop::Handed;
use super::pace::Pace;
use super::turns::{Read, TurnEnd};
use crate::compact::{Compactor, Pause};
use crate::error::LoaderError;
use crate::fetch::{Fetched, Text};
use crate::progress::{Progress, StagedPosition, StagedTimeline};
use crate::round::Round;

/// What goes to the applier.
pub(super) enum Work {
    /// A round, with the time that reading and merging it took.
    Round(Box<Round>, Took),
    /// Nothing to apply, but the position moves on.
    Advance(Progress),
}

/// Times of a round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    pub(super) fetch: Duration,
    pub(super) compact: Duration,
    /// Texts that wait when the round is handed over.
    pub(super) queued_texts: usize,
}

/// Longest time that a round is filled under a backlog.
const BACKLOG_TIME: Duration = Duration::from_millis(500);

/// Longest time that a round is held back in which events merge.
const HOLD_TIME: Duration = Duration::from_secs(3);

/// Time in which the first commit times show whether there is a backlog.
const LEARN_TIME: Duration = Duration::from_millis(150);

/// A round is not held back when nothing has come for so long.
const REST_TIME: Duration = Duration::from_millis(200);

/// What part of a batch an idle applier gets at first, so that it begins early; each round is
/// twice as large as the one before, up to a batch.
const FIRST_SHARE: usize = 8;

/// Least time between two moves of the checkpoint without rows.
const ADVANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Net bytes of a round whose memory is kept for the next one.
pub(super) fn kept_bytes(batch_bytes: usize) -> usize {
    batch_bytes.saturating_mul(2)
}

pub(super) struct CompactLoop<'a> {
    compactor: Compactor,
    turn: Option<&'a TurnEnd>,
    load_batch: u64,
    load_batch_gap: Duration,
    texts: Receiver<Handed>,
    spares: Receiver<Round>,
    rounds: Sender<Work>,
    spare: Option<Round>,
    /// Text that is read up to an offset.
    pending: Option<(Handed, usize)>,
    pause: Pause,
    /// What follows is of this timeline; it begins when the round is handed over.
    next_timeline: Option<StagedTimeline>,
    /// Whether everything staged is read.
    drained: bool,
    opened_at: Option<Instant>,
    pace: Pace,
    took: Took,
    last_advance: Instant,
    last_text: Instant,
    /// Net bytes of a round that an idle applier gets at once.
    enough_bytes: usize,
    batch_bytes: usize,
    /// Net bytes of the round that was handed over last.
    handed_bytes: usize,
    /// Whether the round was held back when that was last looked at.
    held: bool,
    /// Position that the applier knows.
    told: BinlogPosition,
}

/// What to do with the round now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    At(Instant),
    Later,
}

impl<'a> CompactLoop<'a> {
    pub(super) fn new(
        (compactor, turn): (Compactor, Option<&'a TurnEnd>),
        loader: &LoaderSettings,
        texts: Receiver<Handed>,
        spares: Receiver<Round>,
        rounds: Sender<Work>,
    ) -> Self {
        Self {
            told: compactor.end().position.clone(),
            compactor,
            turn,
            load_batch: loader.load_batch,
            load_batch_gap: loader.load_batch_gap,
            texts,
            spares,
            rounds,
            spare: None,
            pending: None,
            pause: Pause::NeedText,
            next_timeline: None,
            drained: false,
            opened_at: None,
            pace: Pace::default(),
            took: Took::default(),
            last_advance: Instant::now(),
            last_text: Instant::now(),
            // Who asks for fewer and larger batches gets them from the first one on.
            enough_bytes: if loader.load_batch_gap.is_zero() {
                loader.batch_bytes / FIRST_SHARE
            } else {
                loader.batch_bytes
            },
            batch_bytes: loader.batch_bytes,
            handed_bytes: 0,
            held: false,
        }
    }

    /// Works until there is no more text, or the applier is gone, or a stop is asked for.
    pub(super) fn run(mut self, shutdown: &Shutdown) -> Result<Ended, LoaderError> {
        loop {
            if shutdown.requested() {
                return Ok(Ended::Stopped);
            }
            let due = self.due();
            if due == Due::Now
                && let Some(spare) = self.spare.take()
            {
                let stop = self.pause == Pause::Stop;
                let ends = self.compactor.has_ended();
                if self.hand_over(spare)? == Handing::Gone || stop {
                    return Ok(Ended::Done);
                }
                if ends && self.turn.is_some_and(|turn| turn.is_over(Read::Part)) {
                    return Ok(Ended::Turn);
                }
                continue;
            }
            if self.may_read(due) && self.read_pending()? {
                continue;
            }
            match self.receive(due, shutdown)? {
                Received::Something => {}
                Received::NoMoreText => return self.finish(shutdown),
                Received::Stop => return Ok(Ended::Stopped),
            }
        }
    }

    /// Whether the round as it stands may, must or must not be applied.
    fn due(&mut self) -> Due {
        match self.pause {
            Pause::Split | Pause::MustEnd | Pause::Stop => return Due::Now,
            Pause::NeedText | Pause::MayEnd => {}
        }
        if self.next_timeline.is_some() {
            return Due::Now;
        }
        let round = self.compactor.round();
        let Some(opened_at) = self.opened_at.filter(|_| self.compactor.has_ended()) else {
            return Due::Later;
        };
        let now = Instant::now();
        let catching_up = self.pace.is_catching_up(now);
        // Later ones fill while the applier is busy; a turn is too short to hold anything back.
        let may_hold = self.handed_bytes < self.batch_bytes
            && self.turn.is_none()
            && self.compactor.merges_on();
        let learn_until = opened_at.checked_add(LEARN_TIME);
        let is_first = self.handed_bytes == 0;
        let learning = is_first && learn_until.is_some_and(|until| now < until);
        self.held = may_hold && (catching_up || learning);
        let is_enough = round.net_bytes() >= self.enough_bytes;
        // Others grow only while the applier is busy.
        if is_enough && !self.held {
            return Due::Now;
        }
        let at = if is_enough && catching_up {
            let longest = opened_at.checked_add(HOLD_TIME);
            longest.min(self.last_text.checked_add(REST_TIME))
        } else if is_enough {
            learn_until
        } else if !self.drained || (catching_up && (round.merges() || round.changes_rows())) {
            opened_at.checked_add(BACKLOG_TIME)
        } else if round.row_events >= self.load_batch {
            return Due::Now;
        } else {
            opened_at.checked_add(self.load_batch_gap)
        };
        match at {
            Some(at) if at <= now => Due::Now,
            Some(at) => Due::At(at),
            // Beyond what the clock can tell.
            None => Due::Later,
        }
    }

    /// A round that must end is not filled further.
    fn may_read(&self, due: Due) -> bool {
        due != Due::Now || matches!(self.pause, Pause::NeedText | Pause::MayEnd)
    }

    /// Reads on in the text at hand, up to where the round can go; whether there was some.
    fn read_pending(&mut self) -> Result<bool, LoaderError> {
        let Some((handed, offset)) = &mut self.pending else {
            return Ok(false);
        };
        let Fetched::Text(text) = &handed.fetched else {
            self.pending = None;
            return Ok(false);
        };
        let started = Instant::now();
        let may_go = self.spare.is_some() && !self.held;
        let mut lines = text.lines.get(*offset..).unwrap_or_default();
        loop {
            (lines, self.pause) = self.compactor.read(lines)?;
            let is_enough = self.compactor.round().net_bytes() >= self.enough_bytes;
            if self.pause != Pause::MayEnd || lines.is_empty() || (may_go && is_enough) {
                break;
            }
        }
        *offset = text.lines.len() - lines.len();
        let done = lines.is_empty();
        self.took.compact += started.elapsed();
        let round = self.compactor.round();
        if self.opened_at.is_none() && (round.row_events > 0 || round.transactions > 0) {
            self.opened_at = Some(started);
        }
        if done {
            self.pending = None;
        }
        if let Some(committed_at_us) = self.compactor.end().committed_at_us {
            self.pace.note(Instant::now(), committed_at_us);
        }
        Ok(true)
    }

    fn receive(&mut self, due: Due, shutdown: &Shutdown) -> Result<Received, LoaderError> {
        let nothing = never();
        // One text at a time; none while the round must go first.
        let texts = if self.pending.is_none() && self.next_timeline.is_none() && self.may_read(due)
        {
            &self.texts
        } else {
            &nothing
        };
        let deadline = match due {
            Due::At(at) if self.spare.is_some() => crossbeam_channel::at(at),
            Due::Now | Due::At(_) | Due::Later => never(),
        };
        select! {
            recv(texts) -> handed => match handed {
                Ok(handed) => self.take(handed),
                Err(_) => Ok(Received::NoMoreText),
            },
            recv(self.spares) -> spare => match spare {
                Ok(spare) => {
                    self.compactor
                        .give_room(self.handed_bytes.min(kept_bytes(self.batch_bytes)));
                    self.spare = Some(spare);
                    Ok(Received::Something)
                }
                Err(_) => Ok(Received::Stop),
            },
            recv(deadline) -> _ => Ok(Received::Something),
            recv(shutdown.channel()) -> _ => Ok(Received::Stop),
        }
    }

    fn take(&mut self, handed: Handed) -> Result<Received, LoaderError> {
        match handed.fetched {
            Fetched::Definition(id, definition) => self.compactor.define(id, *definition),
            Fetched::Text(Text {
                transaction_seq,
                event_seq,
                took,
                ..
            }) => {
                self.compactor.begin_text(transaction_seq, event_seq)?;
                self.took.fetch += took;
                self.drained = false;
                self.last_text = Instant::now();
                self.pending = Some((handed, 0));
            }
            Fetched::Timeline(_) if self.compactor.stops_at_timeline() => {
                return Ok(Received::NoMoreText);
            }
            Fetched::Timeline(timeline) => {
                if self.compactor.round().transactions > 0 {
                    self.next_timeline = Some(*timeline);
                } else if self.begin_timeline(&timeline)? == Handing::Gone {
                    return Ok(Received::Stop);
                }
            }
            Fetched::Mark(staged) => {
                self.mark(staged);
                if self.compactor.reached_stop() {
                    return Ok(Received::NoMoreText);
                }
            }
        }
        Ok(Received::Something)
    }

    /// Moves the checkpoint over to another timeline, behind everything of the one before.
    fn begin_timeline(&mut self, timeline: &StagedTimeline) -> Result<Handing, LoaderError> {
        self.compactor.begin_timeline(timeline)?;
        let start = self.compactor.end_with_gtids();
        log::info!(
            "go over to another server's log log={} position={}",
            start.timeline.log_id,
            start.position
        );
        self.told = start.position.clone();
        Ok(self.send(Work::Advance(start)))
    }

    /// Everything staged is read; the miner has come to `staged`.
    fn mark(&mut self, staged: StagedPosition) {
        self.drained = true;
        self.compactor.advance(staged);
        let end = self.compactor.end();
        if self.compactor.round().transactions == 0
            && end.position != self.told
            && self.last_advance.elapsed() >= ADVANCE_INTERVAL
        {
            self.last_advance = Instant::now();
            // A busy target moves on by itself.
            let end = self.compactor.end_with_gtids();
            let position = end.position.clone();
            if self.rounds.try_send(Work::Advance(end)).is_ok() {
                self.told = position;
            }
        }
    }

    fn hand_over(&mut self, spare: Round) -> Result<Handing, LoaderError> {
        let started = Instant::now();
        let round = self.compactor.take_round(spare);
        self.handed_bytes = round.net_bytes();
        self.compactor.give_room(self.handed_bytes);
        if let Some(end) = &round.end {
            self.told = end.position.clone();
        }
        self.took.compact += started.elapsed();
        self.took.queued_texts = self.texts.len();
        let took = std::mem::take(&mut self.took);
        self.opened_at = None;
        self.pause = Pause::NeedText;
        self.enough_bytes = self.enough_bytes.saturating_mul(2).min(self.batch_bytes);
        let sent = self.send(Work::Round(Box::new(round), took));
        match self.next_timeline.take() {
            Some(timeline) if sent == Handing::Taken => self.begin_timeline(&timeline),
            _ => Ok(sent),
        }
    }

    fn send(&self, work: Work) -> Handing {
        match self.rounds.send(work) {
            Ok(()) => Handing::Taken,
            Err(_) => Handing::Gone,
        }
    }

    /// Hands over what is left, and the last position.
    fn finish(mut self, shutdown: &Shutdown) -> Result<Ended, LoaderError> {
        if self.compactor.round().transactions > 0 && self.compactor.has_ended() {
            let spare = match self.spare.take() {
                Some(spare) => spare,
                None => select! {
                    recv(self.spares) -> spare => match spare {
                        Ok(spare) => spare,
                        Err(_) => return Ok(Ended::Done),
                    },
                    recv(shutdown.channel()) -> _ => return Ok(Ended::Stopped),
                },
            };
            self.hand_over(spare)?;
        } else if self.drained && self.compactor.end().position != self.told {
            self.send(Work::Advance(self.compactor.end_with_gtids()));
        }
        Ok(Ended::Done)
    }
}

/// What became of work that was handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handing {
    Taken,
    /// The applier is gone.
    Gone,
}

enum Received {
    Something,
    NoMoreText,
    Stop,
}
