//! Tables without a key: rows are a multiset.
//!
//! A delete removes exactly one of several equal rows. The rows to delete go into a temporary
//! table with their counts; one statement numbers the equal rows of the target and deletes as
//! many as are asked for, by physical identity (segment or partition, and ctid). It reads the
//! target once a round. Where the target has an index, the planner is told what is to be deleted, and reads
//! only rows that the index finds, if it tells rows apart.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::statements::list;
use super::temporary::Emptying;
use crate::route::Route;
use crate::target::catalog::TargetColumn;
use crate::target::dialect::{EqualRows, Spread};

/// Statements that delete rows of one keyless table.
pub(super) struct KeylessDelete {
    pub(super) emptying: Emptying,
    pub(super) copy: Statement,
    pub(super) delete: Statement,
    /// Has the planner know what is to be deleted, where that can make a difference.
    pub(super) analyze: Option<String>,
    /// Whether the plan may look rows up one by one.
    pub(super) nests: bool,
}

impl KeylessDelete {
    /// Creates the temporary table and prepares what uses it; `number` names it.
    pub(super) fn prepare(
        client: &mut Client,
        route: &Route,
        number: u32,
    ) -> Result<Self, PgError> {
        let name = table_name(number);
        client
            .batch_execute(&create_table(route, &name))
            .operation("create temporary table")?;
        let dialect = route.target.dialect;
        let has_index = !route.target.indexes.is_empty();
        let analyze = has_index && dialect.analyzes_in_transactions();
        Ok(Self {
            emptying: Emptying::of(dialect, &name),
            copy: client
                .prepare(&format!("copy pg_temp.{name} from stdin"))
                .operation("prepare copy")?,
            delete: client
                .prepare(&delete_statement(route, &name))
                .operation("prepare delete")?,
            analyze: analyze.then(|| format!("analyze pg_temp.{name}")),
            nests: dialect.nests_equal_rows(has_index),
        })
    }
}

pub(super) fn table_name(number: u32) -> String {
    format!("mysql2gp_rows_{number}")
}

pub(super) fn create_table(route: &Route, name: &str) -> String {
    let named = route
        .copy_columns()
        .zip(1..)
        .map(|(column, n)| format!("{} as c{n}", quote_identifier(&column.name)));
    let select = format!(
        "select 0::bigint as row_id, 0::bigint as copies, {} from {}",
        list(named),
        route.target.quoted()
    );
    let spread = Spread::By(route.target.placement.as_ref(), "row_id");
    route.target.dialect.temporary_table(name, &select, spread)
}

pub(super) fn delete_statement(route: &Route, name: &str) -> String {
    let equal = |alias: &str| {
        route
            .copy_columns()
            .zip(1..)
            .map(|(column, n)| condition(route, alias, column, n))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    route.target.dialect.delete_equal_rows(
        &route.target.quoted(),
        &format!("pg_temp.{name}"),
        &EqualRows {
            of_found: equal("e"),
            of_deleted: equal("t"),
        },
    )
}

/// Types whose equal values are the same value.
const IDENTITY: &[&str] = &[
    "bool",
    "bytea",
    "date",
    "inet",
    "int2",
    "int4",
    "int8",
    "text",
    "timestamp",
    "timestamptz",
    "uuid",
    "varchar",
];

/// Whether equal values of the column are the same value.
pub(super) fn equal_is_same(column: &TargetColumn) -> bool {
    IDENTITY.contains(&column.type_name.as_str())
}

/// Equality of column `n`. Where the type's own equality is identity it is used, as an index can
/// serve it; where NULLs may be or it is not, the text is compared, which every type has and
/// which can be hashed.
fn condition(route: &Route, alias: &str, column: &TargetColumn, n: usize) -> String {
    let name = format!("{alias}.{}", quote_identifier(&column.name));
    let identity = equal_is_same(column);
    if column.not_null && identity {
        return format!("{name} = d.c{n}");
    }
    let same_text = format!(
        // Where the empty string is NULL, it could not stand for one.
        "coalesce({name}::text, '-') = coalesce(d.c{n}::text, '-') and ({name} is null) = (d.c{n} is null)"
    );
    if identity && route.target.has_index_led_by(&[&column.name]) {
        format!("{same_text} and ({name} = d.c{n} or {name} is null and d.c{n} is null)")
    } else {
        same_text
    }
}
