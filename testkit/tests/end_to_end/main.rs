//! Both programs between real servers, compared row by row by code that is not theirs.
//!
//! A test starts servers of its own, so that tests run side by side and none sees what
//! another has left. Where a program is expected to refuse, its exit code and the words
//! that an operator needs are asserted.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// Servers, tasks and running programs.
mod rig;

/// The whole flow, on each version of the source.
mod flavors;

/// Runs that end by themselves.
mod bounded;

/// Configuration files that are refused, and those that are accepted with a word.
mod configuration;

/// Sources that cannot be mined.
mod sources;

/// Tables that do not fit, statements that are not carried.
mod tables;

/// Figures for Prometheus and statsd.
mod metrics;

/// Rules: several sources into one target table, columns that are renamed, dropped and added.
mod mapping;

/// Columns that events and tables see differently.
mod columns;
/// Rows that the target refuses.
mod dead_letters;

/// ALTER TABLE, and whether the target has done the same.
mod altered;

/// Transactions and events beyond plain ones.
mod events;

/// What has surprised replication tools before.
mod traps;

/// Two copies of a program.
mod copies;

/// Servers that are away.
mod outages;

/// What the status says of programs that have ended.
mod ended;

/// One table loaded anew.
mod resync;

/// Another server in the source's place.
mod failover;

/// A target, or staging, that is restored from an old copy.
mod restored;

/// Tables that are held back.
mod paused;

/// What else may happen to a table while it is held back.
mod paused_events;

/// Pausing and resuming in awkward moments.
mod paused_commands;

/// Pauses, deaths and losses at random.
mod paused_storm;

/// Tables that are newly listed, or no longer.
mod relisted;
