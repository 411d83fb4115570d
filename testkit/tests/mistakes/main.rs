//! Mistakes that operators make, each made for real, and the README's table of what the
//! programs say then.
//!
//! The table is written by this test (`MYSQL2GP_BLESS=1`) and compared with the README
//! otherwise, so that neither drifts. What differs from run to run (ports, paths, names,
//! positions) is put into a common form first.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// Servers, tasks, and what a mistake has come to.
mod rig;

/// In `my.cfg` and on the command line.
mod configuration;

/// Addresses, passwords, certificates.
mod connections;

/// At the source: settings, privileges, positions.
mod source;

/// At the target: tables, privileges, rows.
mod target;

/// In operation.
mod operation;

/// What `check` tells besides.
mod check;

/// The README's table.
mod readme;
