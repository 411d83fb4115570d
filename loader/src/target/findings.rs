//! What `check` says of the target's server and of a table's place on it.
//!
//! Lines only; whoever prints them decides how. Reads settings of the server, changes nothing.

use common::check::Finding;
use common::pg::{Operation as _, PgError};
use postgres::Client;

use super::dialect::{Compatibility, Dates, Dialect, EmptyText, Lengths};
use super::placement::{Distribution, Storage};
use crate::route::Route;

/// What there is to say of the server.
///
/// # Errors
/// When a statement fails.
pub fn of_server(client: &mut Client, dialect: Dialect) -> Result<Vec<Finding>, PgError> {
    let mut findings = Vec::new();
    match dialect {
        Dialect::PostgreSql => {}
        Dialect::Greenplum6 | Dialect::Greenplum7 | Dialect::Cloudberry => {
            let rows = client
                .query(
                    "select setting from pg_catalog.pg_settings where name = 'gp_enable_global_deadlock_detector'",
                    &[],
                )
                .operation("read the target's settings")?;
            let setting: Option<&str> = rows.first().map(|row| row.get(0));
            findings.push(locks(setting));
        }
        Dialect::OpenGauss(compatibility) => findings.push(values(compatibility)),
    }
    Ok(findings)
}

fn locks(deadlock_detector: Option<&str>) -> Finding {
    if deadlock_detector == Some("on") {
        return Finding::ok(
            "target: gp_enable_global_deadlock_detector is on: batches lock rows, not tables, against other writers",
        );
    }
    Finding::warn(
        "target: gp_enable_global_deadlock_detector is off: a batch that updates or deletes rows of a table locks it against \
         all other writers until it has committed, and waits for theirs; let nothing else write to these tables for long",
    )
}

fn values(compatibility: Compatibility) -> Finding {
    let empty = match compatibility.empty_text {
        EmptyText::Kept => "'' is kept",
        EmptyText::Null => "'' is NULL",
    };
    let lengths = match compatibility.lengths {
        Lengths::Characters => "varchar(n) counts characters",
        Lengths::Bytes => "varchar(n) counts bytes",
    };
    let dates = match compatibility.dates {
        Dates::Date => "date is a date",
        Dates::Timestamp => "date is timestamp(0)",
    };
    let text = format!("target: in this database {empty}, {lengths}, {dates}");
    match compatibility.empty_text {
        EmptyText::Kept => Finding::ok(text),
        EmptyText::Null => Finding::warn(text),
    }
}

/// What there is to say of a table.
pub fn of_table(route: &Route) -> Vec<Finding> {
    let mut findings: Vec<Finding> = distribution(route).into_iter().collect();
    let target = route.target.display();
    if let Some(placement) = &route.target.placement
        && placement.storage == Storage::AppendOptimized
    {
        findings.push(Finding::warn(format!(
            "target table {target} is append-optimized: a delete leaves its rows in place until VACUUM, needs an entry for \
             each in the visibility map, and locks the table against other writers; on Greenplum 6 nothing keeps a key from \
             being there twice; a heap table is recommended where rows change"
        )));
    }
    let refusing = route.columns_that_refuse_empty_texts();
    if !refusing.is_empty() {
        findings.push(Finding::warn(format!(
            "target table {target}: empty strings of {} are refused, since the target's database takes them for NULL \
             (empty_string = \"null\" in [desc.pgsql] lets them become that)",
            refusing.join(", ")
        )));
    }
    findings
}

fn distribution(route: &Route) -> Option<Finding> {
    let target = route.target.display();
    let key = route.key_names();
    match route.target.placement.as_ref()?.distribution.as_ref()? {
        Distribution::By { columns, .. } => {
            let by = columns.join(", ");
            if key.is_empty() {
                return Some(Finding::ok(format!("target table {target} is distributed by {by}")));
            }
            let within = columns.iter().all(|column| key.contains(&column.as_str()));
            Some(if within {
                Finding::ok(format!(
                    "target table {target} is distributed by {by}, of the key: changed rows are found on their segment"
                ))
            } else {
                Finding::warn(format!(
                    "target table {target} is distributed by {by}, which is not of the key ({key}): changed keys are \
                     looked for on every segment, and the same key may be there twice unnoticed (alter table {} set \
                     distributed by ({key}))",
                    route.target.quoted(),
                    key = key.join(", "),
                ))
            })
        }
        Distribution::Randomly => (!key.is_empty()).then(|| {
            Finding::warn(format!(
                "target table {target} is distributed randomly: changed keys are looked for on every segment, and nothing \
                 keeps a key from being there twice (alter table {} set distributed by ({}))",
                route.target.quoted(),
                key.join(", ")
            ))
        }),
        Distribution::Replicated => Some(Finding::ok(format!(
            "target table {target} is replicated to every segment"
        ))),
    }
}
