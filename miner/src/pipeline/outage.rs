//! Waiting for a server that is away.

use std::time::Instant;

use common::error::chain;
use common::retry::Backoff;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use log::{info, warn};

use super::Bound;
use crate::error::MinerError;

/// A time during which a server is away.
#[derive(Default)]
pub(super) struct Outage {
    backoff: Backoff,
    since: Option<Instant>,
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
        let since = *self.since.get_or_insert_with(|| {
            warn!("wait and try again: {}", chain(error));
            Instant::now()
        });
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
        if let Some(since) = self.since.take() {
            info!("go on after waiting_seconds={}", since.elapsed().as_secs());
        }
        self.backoff.reset();
    }
}
