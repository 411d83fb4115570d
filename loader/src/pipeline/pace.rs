//! Whether the loader is catching up: then large batches count, and a little delay does not.
//!
//! Told by the commit times of the stream alone, since the source's clock may differ from
//! ours: where they run faster than the time that passes here, the stream comes from a
//! backlog. Pure.

use std::time::{Duration, Instant};

/// How much further than our clock the commit times must have gone. More than the second by
/// which times in MariaDB's log, which have no fraction, may jump.
const LEAD: Duration = Duration::from_secs(2);

/// How long a lead counts, and how long one may take to come about.
const WINDOW: Duration = Duration::from_secs(1);

/// Compares commit times with our clock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When, by our clock, and the commit time that was seen then, in microseconds.
    since: Option<(Instant, i64)>,
    ahead_until: Option<Instant>,
}

impl Pace {
    /// A transaction with this commit time, in microseconds, has been read.
    pub(super) fn note(&mut self, now: Instant, committed_at_us: i64) {
        let Some((then, since_us)) = self.since else {
            self.since = Some((now, committed_at_us));
            return;
        };
        let passed = now.saturating_duration_since(then);
        let went = u64::try_from(committed_at_us.saturating_sub(since_us)).unwrap_or(0);
        if Duration::from_micros(went) >= passed + LEAD {
            self.ahead_until = Some(now + WINDOW);
            self.since = Some((now, committed_at_us));
        } else if passed >= WINDOW {
            self.since = Some((now, committed_at_us));
        }
    }

    /// Whether the stream comes from a backlog.
    pub(super) fn is_catching_up(&self, now: Instant) -> bool {
        self.ahead_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_live_stream_is_no_backlog_even_with_whole_seconds_and_after_a_rest() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for ms in (0..10_000).chain(3_600_000..3_605_000) {
            let now = after(start, ms);
            let second = i64::try_from(ms / 1000).unwrap();
            pace.note(now, second * SECOND_US);
            assert!(!pace.is_catching_up(now), "after {ms} ms");
        }
    }

    #[test]
    fn a_backlog_is_noticed_and_its_end_too() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for ms in 0..1000 {
            pace.note(after(start, ms), i64::try_from(ms).unwrap() * 20_000);
        }
        assert!(pace.is_catching_up(after(start, 1000)));
        for ms in 1000..3000 {
            let live = 20 * SECOND_US + i64::try_from(ms - 1000).unwrap() * 1000;
            pace.note(after(start, ms), live);
        }
        assert!(!pace.is_catching_up(after(start, 3000)));
    }

    #[test]
    fn clocks_that_differ_or_go_back_are_no_backlog() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.note(start, 5000 * SECOND_US);
        pace.note(after(start, 10), 4000 * SECOND_US);
        assert!(!pace.is_catching_up(after(start, 10)));
        pace.note(after(start, 1010), 4001 * SECOND_US);
        pace.note(after(start, 1020), 4002 * SECOND_US);
        assert!(!pace.is_catching_up(after(start, 1020)));
    }
}
