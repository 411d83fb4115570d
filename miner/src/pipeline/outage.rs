//! Waiting for a server that is away.

use std::time::Instant;

use common::error::chain;
use common::retry::Backoff;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use log::{info, warn};

use super::Bound;
use crate::error::MinerError;

/// What is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Source,
    Staging,
    Target,
}

impl Away {
    fn of(error: &MinerError) -> Self {
        if matches!(error, MinerError::Source(_)) {
            Self::Source
        } else if matches!(error, MinerError::Target(_) | MinerError::Checkpoint(_)) {
            Self::Target
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
}

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

    /// Everything answers again.
    pub(super) fn over(&mut self) {
        if let Some((_, since)) = self.since.take() {
            info!("go on after waiting_seconds={}", since.elapsed().as_secs());
        }
        self.backoff.reset();
    }
}
