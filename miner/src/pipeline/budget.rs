//! A bound in bytes for a queue: taken by the sender, given back by the receiver.

use std::sync::{Condvar, Mutex, PoisonError};

/// Whether bytes were granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// They are taken; give them back after use.
    Yes,
    /// The receiver is gone.
    Closed,
}

struct State {
    used: usize,
    closed: bool,
}

/// Bytes in flight.
pub(super) struct ByteBudget {
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl ByteBudget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                used: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits until `bytes` fit; one item larger than the limit passes when it is alone.
    pub(super) fn take(&self, bytes: usize) -> Granted {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.used > 0 && state.used + bytes > self.limit {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Granted::Closed;
        }
        state.used += bytes;
        Granted::Yes
    }

    /// Gives bytes back.
    pub(super) fn give(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used = state.used.saturating_sub(bytes);
        // Waking at half full spares the sender a switch per item.
        if state.used <= self.limit / 2 {
            self.changed.notify_one();
        }
    }

    /// Bytes in flight now.
    pub(super) fn used(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used
    }

    /// Ends all waiting.
    pub(super) fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_item_passes_alone_and_closing_ends_the_waiting() {
        let budget = ByteBudget::new(10);
        assert_eq!(budget.take(100), Granted::Yes);
        budget.give(100);
        assert_eq!(budget.take(6), Granted::Yes);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.take(6));
            budget.close();
            assert_eq!(waiting.join().unwrap(), Granted::Closed);
        });
    }
}
