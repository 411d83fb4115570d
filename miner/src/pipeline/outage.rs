//! Waiting for a server that is away.

use std::time::{Duration, Instant};

use common::error::chain;
use common::retry::Backoff;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use log::{info, warn};

use super::Bound;
use crate::error::MinerError;
use crate::source::SourceError;

/// What is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Source,
    Staging,
    /// Staging answers, but its disk is full.
    Space,
    Target,
}

impl Away {
    fn of(error: &MinerError) -> Self {
        if matches!(error, MinerError::Source(_)) {
            Self::Source
        } else if matches!(error, MinerError::Target(_) | MinerError::Checkpoint(_)) {
            Self::Target
        } else if error.is_disk_full() {
            Self::Space
        } else {
            Self::Staging
        }
    }
}

/// A time during which a server is away.
#[derive(Default)]
pub(super) struct Outage {
    backoff: Backoff,
    since: Option<(Away, Instant)>,
    /// Since when the stream is open.
    open_since: Option<Instant>,
    /// Streams in a row that the source ended soon after it had begun them.
    ended_early: u32,
}

/// A stream that the source ends within this time of its beginning is ended early.
const EARLY: Duration = Duration::from_secs(10);

/// How many in a row mean that another replica with this server id has its streams ended in
/// turn. A source that shuts down ends one, and then does not answer.
const ENDED_EARLY_MAX: u32 = 3;

impl Outage {
    /// Says once what is away, and waits.
    pub(super) fn wait(
        &mut self,
        settings: &Settings,
        bound: &Bound,
        error: &MinerError,
        shutdown: &Shutdown,
    ) -> Result<Waited, MinerError> {
        let limit = settings.source.connect_timeout;
        let away = Away::of(error);
        let since = match self.since {
            Some((before, since)) if before == away => since,
            _ => {
                warn!("wait and try again: {}", chain(error));
                Instant::now()
            }
        };
        self.since = Some((away, since));
        if bound.is_once() && since.elapsed() >= limit {
            return Err(MinerError::GaveUp {
                seconds: limit.as_secs(),
                reason: chain(error),
            });
        }
        Ok(self.backoff.wait(shutdown))
    }

    /// Whether this error, with those before it, shows that two replicas with one server id
    /// take turns: MariaDB ends the older one's stream without a word.
    pub(super) fn is_taking_turns(&mut self, error: &MinerError) -> bool {
        let early = self
            .open_since
            .take()
            .is_some_and(|since| since.elapsed() < EARLY);
        let ended = matches!(error, MinerError::Source(SourceError::Ended { .. }));
        self.ended_early = if early && ended {
            self.ended_early + 1
        } else {
            0
        };
        self.ended_early >= ENDED_EARLY_MAX
    }

    /// Everything answers again; whether staging has space shows when it is written.
    pub(super) fn connected(&mut self) {
        self.open_since = Some(Instant::now());
        if !matches!(self.since, Some((Away::Space, _))) {
            self.over();
        }
    }

    /// Something is staged.
    pub(super) fn staged(&mut self) {
        if self.since.is_some() {
            self.over();
        }
    }

    fn over(&mut self) {
        if let Some((_, since)) = self.since.take() {
            info!("go on after waiting_seconds={}", since.elapsed().as_secs());
        }
        self.backoff.reset();
    }
}
