//! What `binlog_miner` and `binlog_loader` must agree on.
//!
//! Dependency rule: the programs depend on this crate and never on each other; this
//! crate depends on neither.

// Vocabulary: what a table, a position and a staged change are.
pub mod gtid;
pub mod table;
