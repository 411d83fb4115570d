//! `binlog_loader`: applies staged source transactions to the target PostgreSQL.
//!
//! The stages in flow order; each knows `common` and the vocabulary, not its neighbours. The
//! pipeline alone knows threads and channels.

// Vocabulary: positions, tables prepared for the merge, and net changes.
pub mod progress;

pub mod coverage;

pub mod layout;

pub mod round;

pub mod calendar;

pub mod tenure;

// fetch: staged text in order, from the checkpoint on.
pub mod fetch;

// compact: staged lines into one net change per key.
pub mod compact;

// route: source table to target table, columns, and what is done to each cell.
pub mod route;

// The target: its catalog, the session on it, the checkpoint.
pub mod target;

// Beside apply: rows that the target refused.
pub mod dead_letters;

// apply: net changes and the checkpoint into the target, one transaction per batch.
pub mod apply;

// retire: the applied position and counters back into staging; applied segments dropped.
pub mod retire;

// Figures for monitoring, from what is reported.
pub mod figures;

// What runs the stages: where to begin, threads and channels, the log's progress line.
pub mod start;

pub mod standing;

pub mod pipeline;

pub mod report;

pub mod error;

// The program's shell: the command line, and what it does besides applying.
pub mod cli;

pub mod command;
