//! Anything is killed at any instant, any number of times, and after it the target equals
//! the source.
//!
//! Programs die at named places ([`common::crash`]) and at any other; servers are killed;
//! connections are cut, stalled, or lose an answer; copies are frozen while others take over;
//! disks are full. The seed is printed and taken back from `MYSQL2GP_TEST_SEED`; with
//! `MYSQL2GP_TEST_LONG=1` there are ten times as many faults, and the big things are bigger.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// Servers, tasks and running programs.
#[path = "../end_to_end/rig.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod rig;

/// Writes to the source all the time, on a thread of its own.
mod writer;

/// Rows that the target refuses, and what an operator does about them.
mod refusals;

/// Counts.
mod tally;

/// Servers, proxies and programs that are broken and brought back.
mod site;

/// What breaks.
mod faults;

/// Tables that are held back meanwhile.
mod holds;

/// Random faults in a random workload.
mod random;

/// Full disks.
mod disk;

/// Release builds cannot be made to die.
mod release;

/// How much is done.
fn is_long() -> bool {
    std::env::var_os("MYSQL2GP_TEST_LONG").is_some_and(|value| value == "1")
}
