//! What lands on the target is what SELECT gives on the source, for every type and server.
//!
//! Tables of edge values and seeded random ones go through both programs, by inserts,
//! updates and deletes, as columns, as keys and without a key, into the default target
//! types and into every other that is accepted. Both servers then tell what they hold; no
//! code of the programs takes part in the comparison. `MYSQL2GP_SEED` repeats a run.
//!
//! `MYSQL2GP_BLESS=1` writes the README's table of types from what was proven.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// Seeded random numbers.
mod random;

/// Types, values, target types.
mod case;

/// The cases by kind of type.
mod documents;
mod numbers;
mod strings;
mod temporal;

/// Tables that are not about one type.
mod special;

/// Tables of source and target, and what is written to them.
mod table;

/// Servers and programs.
mod rig;

/// Every server's run.
mod servers;

/// Values that the configuration changes.
mod policies;

/// Types and values that are refused.
mod refused;

/// The README's table.
mod readme;

use testkit::Flavor;

#[test]
fn values_of_mariadb_10_11_arrive_exactly() {
    let _ = servers::proof(Flavor::MariaDb1011);
}

#[test]
fn values_of_mariadb_11_8_arrive_exactly() {
    let _ = servers::proof(Flavor::MariaDb118);
}

#[test]
fn values_of_mysql_5_7_arrive_exactly() {
    let _ = servers::proof(Flavor::Mysql57);
}

#[test]
fn values_of_mysql_9_7_arrive_exactly() {
    let _ = servers::proof(Flavor::Mysql97);
}
