//! The scripts that operate a task, run as a user and cron run them, on real programs and
//! servers.
//!
//! What the scripts start is meant to outlive them. Each task of these tests has a guard
//! that stops everything of it at the end of the test, a killed test included.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// A task, its scripts and its processes.
mod rig;

/// start.sh, stop.sh, monitor.sh, status.sh.
mod programs;

/// staging_db.sh.
mod staging;

/// rotate_log.sh, and the logs of programs.
mod logs;
