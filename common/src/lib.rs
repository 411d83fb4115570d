//! What `binlog_miner` and `binlog_loader` must agree on.
//!
//! Dependency rule: the programs depend on this crate and never on each other; this
//! crate depends on neither.

// Vocabulary: what a table, a position and a staged change are.
pub mod gtid;
pub mod table;

pub mod table_change;

pub mod position;

// The contract: staged lines between miner and loader, the checkpoint on the target.
pub mod staging;

pub mod checkpoint;

pub mod behind;

// Connections to PostgreSQL.
pub mod secret;

pub mod pg;

// What `check` looks at and prints.
pub mod check;

// The shell of a program: settings, log, errors, waiting, stopping.
pub mod settings;

pub mod logging;

pub mod error;

pub mod retry;

pub mod shutdown;

pub mod patience;

pub mod reload;

// Figures for Prometheus and statsd.
pub mod metrics;

// For tests: dying at a named place.
pub mod crash;
