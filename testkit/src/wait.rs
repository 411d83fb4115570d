//! Waiting for a condition with a deadline.
//!
//! The one place of the tests that sleeps: servers and other processes are observed from
//! outside, so there is nothing to be notified by. A wait ends as soon as the condition
//! holds; the deadline only bounds a failure.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within `timeout`; `what` completes "waited ... for".
#[track_caller]
pub fn wait_until(timeout: Duration, what: &str, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(timeout, condition),
        "waited {timeout:?} in vain for {what}"
    );
}

/// Like [`wait_until`], but the caller decides what a missed deadline means.
pub fn holds_within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "polls what other processes do; there is no shutdown to wait on in a test"
)]
fn pause() {
    std::thread::sleep(POLL);
}
