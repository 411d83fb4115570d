//! Rows that replace those of their key, in one pass over the target's index.
//!
//! Where the key has the table's only unique index, nothing can stand in the way of a row but
//! the one that it replaces, so INSERT with ON CONFLICT does what a DELETE and a COPY would, for
//! two thirds of their cost. Such rows are nearly always there: an UPDATE, which need not lock a
//! row before it writes it, costs a tenth less again, and the INSERT follows only where it has
//! met fewer rows than it was given. The rows lie in a temporary table in key order, as the round
//! has them. Columns that only the target has get their default, as with a new row.
//!
//! The UPDATE looks each key up in the index. Where the round has a good part of a small table's rows,
//! reading the whole table once and hashing its keys costs a quarter less (PostgreSQL 15, 47,000
//! rows of 50,000: 256 ms instead of 345). Whether it is so is told by the sizes of both tables, not
//! by statistics, which may be old.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::binary::Format;
use super::keyless::equal_is_same;
use super::statements::{ALLOW_SCAN, FORBID_SCAN, list};
use super::temporary::Emptying;
use crate::route::Route;
use crate::target::catalog::{Catalog, RelationKind};
use crate::target::dialect::{Replacing, Spread};
use crate::target::placement::{Distribution, Placement, Storage};

const REPLACEABLE: &str = include_str!("../../../sql/query/target_replaceable.sql");

/// Rows from which on the temporary table pays; fewer are deleted and copied.
pub(super) const LEAST_ROWS: usize = 200;

/// Rows from which on it is asked whether the whole table is to be read.
const LEAST_ROWS_TO_ASK: u64 = 2_000;

/// How much larger than the rows at hand a table may be that is read for them.
const SCANNED_SHARE: i64 = 3;

/// Most rows of a table that is read; their keys are hashed in [`SCAN_MEMORY`].
const MOST_SCANNED_ROWS: i64 = 400_000;
const SCAN_MEMORY: &str = "set local work_mem = '32MB'";

/// Statements that replace rows of one table.
pub(super) struct Replace {
    pub(super) emptying: Emptying,
    pub(super) copy: Statement,
    /// Updates the rows that are there; `None` where the INSERT alone is better.
    pub(super) update: Option<Update>,
    /// Updates those, and inserts the others.
    pub(super) insert: Statement,
}

/// One UPDATE, twice: a statement keeps the plan of its first execution.
pub(super) struct Update {
    by_key: Statement,
    by_scan: Statement,
    /// Bytes of the target table and of the temporary one.
    sizes: Statement,
}

impl Update {
    fn prepare(
        client: &mut Client,
        update: &str,
        target: &str,
        name: &str,
    ) -> Result<Self, PgError> {
        let sizes = format!(
            "select pg_catalog.pg_relation_size('{}'), pg_catalog.pg_relation_size('pg_temp.{name}')",
            target.replace('\'', "''"),
        );
        let mut prepare = |sql: &str| client.prepare(sql).operation("prepare update");
        Ok(Self {
            by_key: prepare(update)?,
            by_scan: prepare(update)?,
            sizes: prepare(&sizes)?,
        })
    }

    /// Updates with the rows of the temporary table; how many were there.
    pub(super) fn execute(&self, client: &mut Client, rows: u64) -> Result<u64, postgres::Error> {
        if !self.pays_to_scan(client, rows)? {
            return client.execute(&self.by_key, &[]);
        }
        client.batch_execute(&format!("{ALLOW_SCAN}; {SCAN_MEMORY}"))?;
        let count = client.execute(&self.by_scan, &[])?;
        client.batch_execute(&format!("{FORBID_SCAN}; set local work_mem to default"))?;
        Ok(count)
    }

    fn pays_to_scan(&self, client: &mut Client, rows: u64) -> Result<bool, postgres::Error> {
        if rows < LEAST_ROWS_TO_ASK {
            return Ok(false);
        }
        let sizes = client.query_one(&self.sizes, &[])?;
        // NULL where somebody has just dropped the table.
        let (Some(target), Some(at_hand)): (Option<i64>, Option<i64>) =
            (sizes.get(0), sizes.get(1))
        else {
            return Ok(false);
        };
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let scanned_rows = rows.saturating_mul(target) / at_hand.max(1);
        Ok(target / SCANNED_SHARE <= at_hand && scanned_rows <= MOST_SCANNED_ROWS)
    }
}

impl Replace {
    /// Whether rows of the table can be replaced like this.
    pub(super) fn is_possible(
        catalog: &mut Catalog,
        client: &mut Client,
        route: &Route,
    ) -> Result<bool, PgError> {
        let key = route.key_names();
        if key.is_empty() || !is_spoken(route) {
            return Ok(false);
        }
        let rows = catalog
            .ask(client, REPLACEABLE, &[&route.target.oid, &key])
            .operation("read the target table's unique indexes")?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Creates the temporary table and prepares what uses it; `number` names it, `format` is
    /// that of all rows that will be copied into it.
    pub(super) fn prepare(
        client: &mut Client,
        route: &Route,
        number: u32,
        format: Format<'_>,
    ) -> Result<Self, PgError> {
        let name = table_name(number);
        client
            .batch_execute(&create_table(route, &name))
            .operation("create temporary table")?;
        Ok(Self {
            emptying: Emptying::of(route.target.dialect, &name),
            copy: client
                .prepare(&format!(
                    "copy pg_temp.{name} from stdin{}",
                    format.clause()
                ))
                .operation("prepare copy")?,
            update: match update_statement(route, &name) {
                Some(update) => {
                    let target = route.target.quoted();
                    Some(Update::prepare(client, &update, &target, &name)?)
                }
                None => None,
            },
            insert: client
                .prepare(&insert_statement(route, &name))
                .operation("prepare insert")?,
        })
    }
}

/// Whether the target's server has a statement that replaces rows of such a table. Greenplum
/// cannot set the columns that distribute the rows: they have to be of the key, and of types
/// whose equal values are the same; nor can it replace rows that are append-optimized.
pub(super) fn is_spoken(route: &Route) -> bool {
    if route.target.dialect.replacing() == Replacing::Never {
        return false;
    }
    let Some(placement) = &route.target.placement else {
        return true;
    };
    let key = route.key_names();
    placement.storage == Storage::Heap
        && matches!(placement.distribution, None | Some(Distribution::By { .. }))
        && placement.columns().iter().all(|name| {
            let mut columns = route.target.columns.iter();
            key.contains(&name.as_str())
                && columns.any(|column| column.name == *name && equal_is_same(column))
        })
}

pub(super) fn table_name(number: u32) -> String {
    format!("mysql2gp_replace_{number}")
}

pub(super) fn create_table(route: &Route, name: &str) -> String {
    let columns: Vec<&str> = route.copy_columns().map(|c| c.name.as_str()).collect();
    let target = &route.target;
    let select = format!(
        "select {} from {}",
        list(columns.iter().map(|name| quote_identifier(name))),
        target.quoted()
    );
    let spread = Spread::As(target.placement.as_ref(), &columns);
    target.dialect.temporary_table(name, &select, spread)
}

/// The UPDATE, where it is known to be cheaper: a partitioned target would look into each of its
/// partitions for a key.
pub(super) fn update_statement(route: &Route, name: &str) -> Option<String> {
    let target = &route.target;
    if target.kind != RelationKind::Table {
        return None;
    }
    match target.dialect.replacing() {
        Replacing::Always => {}
        Replacing::AmongNoDeletes | Replacing::Never => return None,
    }
    let given = route.copy_columns().map(|column| {
        let column = quote_identifier(&column.name);
        format!("{column} = s.{column}")
    });
    let only_here = route
        .target_only_columns()
        .into_iter()
        .map(|column| format!("{} = default", quote_identifier(column)));
    let same = route.key_names().into_iter().map(|column| {
        let column = quote_identifier(column);
        format!("t.{column} = s.{column}")
    });
    Some(format!(
        "update only {} t set {} from pg_temp.{name} s where {}",
        target.quoted(),
        list(given.chain(only_here)),
        same.collect::<Vec<_>>().join(" and "),
    ))
}

pub(super) fn insert_statement(route: &Route, name: &str) -> String {
    let columns = || route.copy_columns().map(|column| column.name.as_str());
    let fixed = route.target.placement.iter().flat_map(Placement::columns);
    let fixed: Vec<&String> = fixed.collect();
    // Key columns too: what is equal to the target need not look the same.
    let assigned: Vec<String> = columns()
        .chain(route.target_only_columns())
        .filter(|name| !fixed.iter().any(|fixed| fixed == name))
        .map(quote_identifier)
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let replaced = match assigned.is_empty() {
        false => format!("update set {}", assigned.join(", ")),
        // The row that is there is the same.
        true => "nothing".into(),
    };
    format!(
        "insert into {} ({columns}) select {columns} from pg_temp.{name} on conflict ({}) do {replaced}",
        route.target.quoted(),
        list(route.key_names().into_iter().map(quote_identifier)),
        columns = list(columns().map(quote_identifier)),
    )
}
