//! Tables without a key: rows are a multiset.
//!
//! A delete removes exactly one of several equal rows. The rows to delete go into a temporary
//! table with their counts; one statement numbers the equal rows of the target and deletes as
//! many as are asked for, by physical identity (segment or partition, and ctid). It reads the
//! target once a round. Where the target has an index, the planner is told what is to be deleted, and reads
//! only rows that the index finds, if it tells rows apart. Then the temporary table is emptied, since
//! the next round may be of the same transaction.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::statements::list;
use crate::route::Route;
use crate::target::catalog::TargetColumn;

/// Statements that delete rows of one keyless table.
pub(super) struct KeylessDelete {
    pub(super) copy: Statement,
    pub(super) delete: Statement,
    /// Has the planner know what is to be deleted, where that can make a difference.
    pub(super) analyze: Option<String>,
    /// Empties the temporary table: a batch of several rounds uses it several times.
    pub(super) clear: String,
}

impl KeylessDelete {
    /// Creates the temporary table and prepares what uses it; `number` names it.
    pub(super) fn prepare(
        client: &mut Client,
        route: &Route,
        number: u32,
    ) -> Result<Self, PgError> {
        let columns: Vec<&TargetColumn> = route.copy_columns().collect();
        let temporary = format!("pg_temp.mysql2gp_rows_{number}");
        let named = columns
            .iter()
            .zip(1..)
            .map(|(column, n)| format!("{} as c{n}", quote_identifier(&column.name)));
        client
            .batch_execute(&format!(
                // The session, and the table in it, may outlive an outage of staging.
                "drop table if exists {temporary}; \
                 create temporary table mysql2gp_rows_{number} on commit delete rows as \
                 select 0::bigint as row_id, 0::bigint as copies, {} from {} where false",
                list(named),
                route.target.quoted()
            ))
            .operation("create temporary table")?;
        let conditions: Vec<String> = columns
            .iter()
            .zip(1..)
            .map(|(column, n)| condition(route, column, n))
            .collect();
        let delete = format!(
            "delete from {target} t using ( \
               select f.place, f.part \
                 from (select e.ctid as place, e.tableoid as part, d.copies, \
                              row_number() over (partition by d.row_id) as n \
                         from {temporary} d join {target} e on {conditions}) f \
                where f.n <= f.copies) v \
              where t.ctid = v.place and t.tableoid = v.part",
            target = route.target.quoted(),
            conditions = conditions.join(" and ")
        );
        Ok(Self {
            copy: client
                .prepare(&format!("copy {temporary} from stdin"))
                .operation("prepare copy")?,
            delete: client.prepare(&delete).operation("prepare delete")?,
            analyze: (!route.target.indexes.is_empty()).then(|| format!("analyze {temporary}")),
            clear: format!("truncate {temporary}"),
        })
    }
}

/// Equality of column `n`. Where the type's own equality is identity it is used, as an index can
/// serve it; where NULLs may be or it is not, the text is compared, which every type has and
/// which can be hashed.
fn condition(route: &Route, column: &TargetColumn, n: usize) -> String {
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
    let name = format!("e.{}", quote_identifier(&column.name));
    let identity = IDENTITY.contains(&column.type_name.as_str());
    if column.not_null && identity {
        return format!("{name} = d.c{n}");
    }
    let same_text = format!(
        "coalesce({name}::text, '') = coalesce(d.c{n}::text, '') and ({name} is null) = (d.c{n} is null)"
    );
    if identity && route.target.has_index_led_by(&[&column.name]) {
        format!("{same_text} and ({name} = d.c{n} or {name} is null and d.c{n} is null)")
    } else {
        same_text
    }
}
