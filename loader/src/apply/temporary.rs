//! Temporary tables from one use to the next.
//!
//! Rows in one are gone with the transaction; where the server is not known to do so, it is made
//! sure of before the next use. A transaction of several rounds uses one several times: there the
//! rows are taken out after each.

use common::pg::{Operation as _, PgError};
use postgres::Client;

use crate::round::Round;
use crate::target::Dialect;

/// Whether rows have been in a temporary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// It was made in this very transaction: one that fails takes the table with it.
    NotYet,
    Before,
}

/// Keeps a temporary table empty.
pub(super) struct Emptying {
    /// See [`Dialect::make_sure_empty`].
    before: Option<String>,
    used: Used,
    after: String,
}

impl Emptying {
    /// Of a table that was just made.
    pub(super) fn of(dialect: Dialect, name: &str) -> Self {
        Self {
            before: dialect.make_sure_empty(name),
            used: Used::NotYet,
            after: clear(name),
        }
    }

    /// Run before rows are copied in.
    pub(super) fn before(&mut self, client: &mut Client) -> Result<(), PgError> {
        let used = std::mem::replace(&mut self.used, Used::Before);
        match (&self.before, used) {
            (Some(statement), Used::Before) => empty(client, statement),
            (Some(_), Used::NotYet) | (None, _) => Ok(()),
        }
    }

    /// Run when the round is done with the rows.
    pub(super) fn after(&self, client: &mut Client, round: &Round) -> Result<(), PgError> {
        match &round.end {
            Some(_) => Ok(()),
            None => empty(client, &self.after),
        }
    }
}

fn empty(client: &mut Client, statement: &str) -> Result<(), PgError> {
    client
        .batch_execute(statement)
        .operation("empty temporary table")
}

/// Takes the rows out.
pub(super) fn clear(name: &str) -> String {
    format!("truncate pg_temp.{name}")
}
