//! Clocks: lags are differences of them.

use std::time::{Duration, SystemTime};

use postgres::Client;

use super::Finding;
use crate::pg::{Operation as _, PgError};

/// Less than this is what asking over a network costs.
const TOLERATED: Duration = Duration::from_secs(2);

/// A moment of this host's clock, to compare an answer with.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    asked_at: SystemTime,
}

impl Clock {
    /// Call right before asking a server for its time.
    pub fn ask() -> Self {
        Self {
            asked_at: SystemTime::now(),
        }
    }

    /// Call right after; `seconds` since 1970 is what the server has said.
    pub fn compare(self, server: &str, seconds: f64) -> Finding {
        let answered_at = SystemTime::now();
        let since_1970 = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64()
        };
        let here = f64::midpoint(since_1970(self.asked_at), since_1970(answered_at));
        finding(server, seconds - here)
    }
}

fn finding(server: &str, ahead: f64) -> Finding {
    if ahead.abs() < TOLERATED.as_secs_f64() {
        return Finding::ok(format!("{server}: its clock agrees with this host's"));
    }
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    Finding::warn(format!(
        "{server}: its clock is {:.0} s {direction} this host's, and lags are wrong by as much (let NTP set both)",
        ahead.abs()
    ))
}

/// Compares the clock of a PostgreSQL.
///
/// # Errors
/// When it does not answer.
pub fn look_at_clock(client: &mut Client, server: &str) -> Result<Finding, PgError> {
    let clock = Clock::ask();
    let row = client
        .query_one(
            "select extract(epoch from clock_timestamp())::double precision",
            &[],
        )
        .operation("ask for the time")?;
    Ok(clock.compare(server, row.get(0)))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_that_differs_is_named_with_its_direction() {
        assert_eq!(finding("source", 1.5).verdict, Verdict::Ok);
        assert_eq!(finding("source", -1.5).verdict, Verdict::Ok);
        let ahead = finding("source", 61.2);
        assert_eq!(ahead.verdict, Verdict::Warn);
        assert!(ahead.text.contains("61 s ahead of"), "{}", ahead.text);
        let behind = finding("target", -7.0);
        assert!(behind.text.contains("7 s behind"), "{}", behind.text);
    }
}
