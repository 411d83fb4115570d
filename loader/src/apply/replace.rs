//! Rows that replace those of their key, in one pass over the target's index.
//!
//! Where the key has the table's only unique index, nothing can stand in the way of a row but
//! the one that it replaces, so INSERT with ON CONFLICT does what a DELETE and a COPY would, for
//! two thirds of their cost. The rows lie in a temporary table in key order, as the round has
//! them. Columns that only the target has get their default, as with a new row.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::binary::Format;
use super::statements::list;
use crate::route::Route;

const REPLACEABLE: &str = include_str!("../../../sql/query/target_replaceable.sql");

/// Rows from which on the temporary table pays; fewer are deleted and copied.
pub(super) const LEAST_ROWS: usize = 200;

/// Statements that replace rows of one table.
pub(super) struct Replace {
    pub(super) copy: Statement,
    pub(super) insert: Statement,
    /// Empties the temporary table within a transaction of several rounds.
    pub(super) clear: String,
}

impl Replace {
    /// Whether rows of the table can be replaced like this.
    pub(super) fn is_possible(client: &mut Client, route: &Route) -> Result<bool, PgError> {
        let key = route.key_names();
        if key.is_empty() {
            return Ok(false);
        }
        let row = client
            .query_one(REPLACEABLE, &[&route.target.oid, &key])
            .operation("read the target table's unique indexes")?;
        Ok(row.get(0))
    }

    /// Creates the temporary table and prepares what uses it; `number` names it, `format` is
    /// that of all rows that will be copied into it.
    pub(super) fn prepare(
        client: &mut Client,
        route: &Route,
        number: u32,
        format: Format<'_>,
    ) -> Result<Self, PgError> {
        let temporary = format!("pg_temp.mysql2gp_replace_{number}");
        let columns = || {
            route
                .copy_columns()
                .map(|column| quote_identifier(&column.name))
        };
        client
            .batch_execute(&format!(
                // The session, and the table in it, may outlive an outage of staging.
                "drop table if exists {temporary}; \
                 create temporary table mysql2gp_replace_{number} on commit delete rows as \
                 select {} from {} where false",
                list(columns()),
                route.target.quoted()
            ))
            .operation("create temporary table")?;
        // Key columns too: what is equal to the target need not look the same.
        let assigned = columns().chain(
            route
                .target_only_columns()
                .into_iter()
                .map(quote_identifier),
        );
        let insert = format!(
            "insert into {} ({columns}) select {columns} from {temporary} \
             on conflict ({}) do update set {}",
            route.target.quoted(),
            list(route.key_names().into_iter().map(quote_identifier)),
            list(assigned.map(|name| format!("{name} = excluded.{name}"))),
            columns = list(columns()),
        );
        Ok(Self {
            copy: client
                .prepare(&format!("copy {temporary} from stdin{}", format.clause()))
                .operation("prepare copy")?,
            insert: client.prepare(&insert).operation("prepare insert")?,
            clear: format!("truncate {temporary}"),
        })
    }
}
