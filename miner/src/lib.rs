//! `binlog_miner`: streams a binlog, decodes row events and stages whole source transactions.
//!
//! ```text
//! source -> decode -> assemble -> filter -> stage
//! ```
//!
//! One thread reads the source, one decodes, assembles and packs, one writes staging; only
//! [`pipeline`] knows the channels. Whatever fails, the pipeline is torn down and starts over
//! from the position that staging holds.

// source: sessions on the source, raw events with positions.
pub mod source;

// decode: raw events to typed ones, row images to canonical text.
pub mod decode;

// assemble: events to source transactions, with the text of statements, the open
// transaction's lines, those of prepared ones, and the GTIDs that are staged.
pub mod assemble;

pub mod statement;

pub mod transaction;

pub mod parked;

pub mod gtids;

pub mod learn;

// filter: which tables, under which definition, with the DDL history that decides whether the
// catalog may be asked.
pub mod filter;

pub mod history;

// stage: chunks and position into staging, in one transaction.
pub mod stage;

// Figures for monitoring, from what is staged.
pub mod figures;

// pipeline: threads, channels, starting over.
pub mod pipeline;

// The shell: preconditions, command line, errors.
pub mod check;

pub mod cli;

pub mod error;
