//! Backoff that also waits on the shutdown.

use std::time::Duration;

use crate::shutdown::{Shutdown, Waited};

/// Waits that double from 100 ms to 5 s.
///
/// A server that comes back is noticed within 5 s; one that is away is asked at most
/// once in 5 s.
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(5);

    /// Starts with the shortest wait.
    pub fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// Back to the shortest wait, after a success.
    pub fn reset(&mut self) {
        self.next = Self::FIRST;
    }

    /// Waits, and doubles the next wait.
    pub fn wait(&mut self, shutdown: &Shutdown) -> Waited {
        let time = self.next;
        self.next = (time * 2).min(Self::LAST);
        shutdown.wait(time)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}
