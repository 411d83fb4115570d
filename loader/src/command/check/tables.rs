//! The target tables: there, fitting, permitted, with an index for the key.

use std::collections::BTreeSet;
use std::io::Write;

use common::check::{Finding, Report};
use common::error::{ErrorClass, chain};
use common::pg::quote_identifier;
use common::settings::Settings;
use common::table::{TableDefinition, TableName};

use super::target::{Target, of_target};
use super::{CommandError, Staged};
use crate::apply::look_at_constants;
use crate::route::{Route, Router, ValuePolicy};
use crate::target::catalog::{self, Fill, Filling, TargetTable};
use crate::target::placement::{Distribution, Storage};
use crate::target::session::ReplicaRole;
use crate::target::{conditions, findings};

/// Looks at every table of which the list or staging knows.
pub(super) fn look<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    target: &mut Target,
    staged: &Staged,
) -> Result<(), CommandError> {
    let router = Router::new(
        &settings.rules,
        &settings.target.schema,
        ValuePolicy::of(settings),
    );
    let named: BTreeSet<TableName> = settings.tables.named().collect();
    let selected = |name: &&TableName| settings.tables.contains(name);
    let known = staged.definitions.keys();
    let tables: BTreeSet<&TableName> = known.filter(selected).chain(&named).collect();
    if let Err(error) = router.conflict(tables.iter().copied()) {
        report.fail(error.class(), error.to_string());
    }
    if tables.is_empty() {
        report.warn(
            "no target table is looked at yet: the list names none without a wildcard, and the miner has not run \
             (check again when it has)",
        );
    }
    for name in tables {
        let definition = staged.definitions.get(name);
        let leaves_out = settings.loader.skip_no_pk_table
            && definition.is_some_and(|definition| definition.key_columns().is_empty());
        if leaves_out {
            report.ok(format!(
                "table {name} has no key and is left out (skip_no_pk_table)"
            ));
            continue;
        }
        match find(target, &router, name)? {
            Err(error) => report.fail(error.class(), error.to_string()),
            Ok(found) => {
                let findings =
                    conditions::of_table(&mut target.client, &found).map_err(of_target)?;
                report.add_all(&findings);
                look_at_table(report, target, &router, name, definition, found)?;
            }
        }
    }
    Ok(())
}

type Found = Result<TargetTable, crate::route::RouteError>;

fn find(target: &mut Target, router: &Router, name: &TableName) -> Result<Found, CommandError> {
    let address = router.address(name);
    let found = target
        .catalog
        .find_tables(&mut target.client, &address.schema, &address.table)
        .map_err(of_target)?;
    Ok(router.choose(name, &address, found))
}

fn look_at_table<W: Write>(
    report: &mut Report<W>,
    target: &mut Target,
    router: &Router,
    name: &TableName,
    definition: Option<&TableDefinition>,
    found: TargetTable,
) -> Result<(), CommandError> {
    let display = found.display();
    if target.replica_role == ReplicaRole::NotPermitted && !found.hazards.is_empty() {
        report.fail(
            ErrorClass::Operator,
            format!(
                "table {name} -> {display}: {} ({})",
                found.hazards.join(", "),
                target.dialect.remedy_for_hazards()
            ),
        );
        return Ok(());
    }
    let Some(definition) = definition else {
        report.warn(format!(
            "table {name} -> {display}: its columns are checked once the miner has run"
        ));
        return look_at_rows(report, target, name, None, &found);
    };
    let route = match router.route(definition, found) {
        Ok(route) => route,
        Err(error) => {
            report.fail(error.class(), error.to_string());
            return Ok(());
        }
    };
    report.ok(format!("table {name} -> {display}"));
    report.add_all(&findings::of_table(&route));
    report.add_all(&of_key(name, &route));
    report.add_all(&of_columns(router, definition, &route));
    if let Err(error) = look_at_constants(&mut target.client, &route) {
        report.fail(error.class(), chain(&error));
    }
    look_at_rows(report, target, name, Some(definition), &route.target)
}

/// At a first start, rows that are there are taken for an earlier load.
fn look_at_rows<W: Write>(
    report: &mut Report<W>,
    target: &mut Target,
    name: &TableName,
    definition: Option<&TableDefinition>,
    found: &TargetTable,
) -> Result<(), CommandError> {
    let readable = found.writable && target.checkpoint.is_none();
    if !readable
        || catalog::filling(&mut target.client, found).map_err(of_target)? == Filling::Empty
    {
        return Ok(());
    }
    let display = found.display();
    if definition.is_some_and(|definition| definition.key_columns().is_empty()) {
        report.fail(
            ErrorClass::Operator,
            format!(
                "target table {display} holds rows, and source table {name} has no key: changes that it already holds \
                 could not be told from new ones (empty it, give the source table a key, or set skip_no_pk_table)"
            ),
        );
    } else {
        report.warn(format!(
            "target table {display} holds rows: at the first start they are taken for an earlier load that overlaps \
             the stream, up to consistent_from in [src.mysql], else up to the source's end at that time"
        ));
    }
    Ok(())
}

fn of_key(name: &TableName, route: &Route) -> Vec<Finding> {
    let target = &route.target;
    let key = route.key_names();
    let mut findings = Vec::new();
    if key.is_empty() {
        findings.push(Finding::warn(format!(
            "table {name} has no key: rows are applied as a multiset, and every batch that deletes reads the target table, unless an \
             index there tells its rows apart"
        )));
    } else if !target.has_unique_index(&key) {
        let columns = key.join(", ");
        let remedy = if takes_key(target, &key) {
            format!(
                " (alter table {} add primary key ({columns}))",
                target.quoted()
            )
        } else {
            ": as it is stored and distributed it can have none, and nothing there keeps a key from being twice"
                .into()
        };
        findings.push(Finding::warn(format!(
            "target table {} has no unique index on the key ({columns}){remedy}",
            target.display()
        )));
    }
    for index in &target.indexes {
        let same = index.columns.len() == key.len()
            && key
                .iter()
                .all(|column| index.columns.iter().any(|name| name == column));
        if index.unique && !same {
            findings.push(Finding::ok(format!(
                "target table {} is also unique by ({}): a row that is not, at the source, is refused",
                target.display(),
                index.columns.join(", ")
            )));
        }
    }
    findings
}

/// Whether the server would take a primary key over these columns: not on append-optimized rows,
/// and only with the columns by which the rows are distributed.
fn takes_key(target: &TargetTable, key: &[&str]) -> bool {
    target.placement.as_ref().is_none_or(|placement| {
        placement.storage == Storage::Heap
            && placement.distribution != Some(Distribution::Randomly)
            && placement
                .columns()
                .iter()
                .all(|column| key.contains(&column.as_str()))
    })
}

fn of_columns(router: &Router, definition: &TableDefinition, route: &Route) -> Vec<Finding> {
    let (name, target) = (&definition.name, &route.target);
    let mut findings = Vec::new();
    let gone = router.columns_not_there(definition);
    if !gone.is_empty() {
        findings.push(Finding::warn(format!(
            "the [[rule]] of table {name} speaks of columns that it lacks: {}",
            gone.join(", ")
        )));
    }
    let strict = route.not_null_columns(definition);
    if !strict.is_empty() {
        findings.push(Finding::warn(format!(
            "target table {}: {} may be NULL at the source and not there: a row with NULL is refused (alter table {} \
             alter column {} drop not null)",
            target.display(),
            strict.join(", "),
            target.quoted(),
            strict
                .iter()
                .map(|column| quote_identifier(column))
                .collect::<Vec<_>>()
                .join(" drop not null, alter column ")
        )));
    }
    let extra = route.target_only_columns();
    if !extra.is_empty() {
        findings.push(Finding::warn(format!(
            "target table {} has columns that the source lacks: {}; they get their default whenever a row is replaced",
            target.display(),
            extra.join(", ")
        )));
    }
    let computed: Vec<&str> = target
        .columns
        .iter()
        .filter(|column| column.fill == Fill::Generated)
        .map(|column| column.name.as_str())
        .collect();
    if !computed.is_empty() {
        findings.push(Finding::ok(format!(
            "target table {} computes {} itself",
            target.display(),
            computed.join(", ")
        )));
    }
    findings
}
