//! Whether the target already has what an ALTER TABLE has changed at the source.
//!
//! Only what can be seen there counts: columns, their types, and that a new column is NULL in
//! every row. Rows behind the statement have a route of their own, which checks the rest.

use common::pg::{Operation as _, PgError, quote_identifier};
use common::table_change::TableChange;
use postgres::Client;

use crate::round::Statement;
use crate::route::types::{adapter, source_type};
use crate::route::{Router, unique_match};
use crate::target::catalog::{Fill, TargetColumn, TargetTable};

/// What the target would have to have; nothing when it fits.
pub(super) fn lacking(
    client: &mut Client,
    target: &TargetTable,
    statement: &Statement,
    router: &Router,
) -> Result<Vec<String>, PgError> {
    let mut lacking = Vec::new();
    for change in &statement.changes {
        let (TableChange::AddNull { column }
        | TableChange::Drop { column }
        | TableChange::Widen { column, .. }) = change;
        // What a rule drops is not on the target, whatever it becomes.
        let Some(column) = router.column_name(&statement.table, column) else {
            continue;
        };
        lacking.extend(match change {
            TableChange::AddNull { .. } => added(client, target, column)?,
            TableChange::Drop { .. } => dropped(target, column),
            TableChange::Widen { to, .. } => match find(target, column) {
                Some(found) if adapter(to, found, target.dialect, router.policy()).is_some() => {
                    None
                }
                Some(found) => Some(format!(
                    "column {} is {} and would not hold every {} value",
                    found.name,
                    found.type_text,
                    source_type(to)
                )),
                None => Some(format!("it lacks column {column}")),
            },
        });
    }
    Ok(lacking)
}

fn find<'a>(target: &'a TargetTable, column: &str) -> Option<&'a TargetColumn> {
    let names = target.columns.iter().map(|column| &column.name);
    let place = unique_match(column, names).ok().flatten()?;
    target.columns.get(place)
}

fn added(
    client: &mut Client,
    target: &TargetTable,
    column: &str,
) -> Result<Option<String>, PgError> {
    let Some(found) = find(target, column) else {
        return Ok(Some(format!("it lacks column {column}")));
    };
    if found.fill != Fill::Null || found.not_null {
        return Ok(Some(format!(
            "column {} is not one that is NULL unless given",
            found.name
        )));
    }
    let query = format!(
        "select exists (select 1 from {} where {} is not null)",
        target.quoted(),
        quote_identifier(&found.name)
    );
    let filled: bool = client
        .query_one(&query, &[])
        .operation("look at a new column of the target")?
        .get(0);
    Ok(filled.then(|| format!("column {} is not NULL in every row", found.name)))
}

fn dropped(target: &TargetTable, column: &str) -> Option<String> {
    let lower = column.to_lowercase();
    let same = target
        .columns
        .iter()
        .find(|found| found.name.to_lowercase() == lower)?;
    Some(format!("it still has column {}", same.name))
}
