//! The statements that write one table, prepared once.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::binary::Format;
use super::constants::truncate_statement;
use crate::route::Route;

/// How rows are found by their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyAccess {
    /// By an index, one look-up a key.
    Index,
    /// The target has no index for the key: one scan a batch.
    Scan,
}

/// What becomes of a row whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duplicates {
    /// The target refuses it.
    Refused,
    /// The target may take both.
    Unnoticed,
}

/// A table's statements.
pub(super) struct TableStatements {
    pub(super) copy: Statement,
    /// Takes one `text[]` per key column; none for a keyless table.
    pub(super) delete: Option<Statement>,
    pub(super) key_access: KeyAccess,
    pub(super) duplicates: Duplicates,
    /// Takes the source table's rows away; `None` where others' would go with them.
    pub(super) truncate: Option<String>,
    /// Has the table's foreign keys checked at the commit, where they are checked at all.
    pub(super) defer: Option<String>,
}

impl TableStatements {
    pub(super) fn prepare(client: &mut Client, route: &Route) -> Result<Self, PgError> {
        let key = route.key_names();
        let delete = match key.as_slice() {
            [] => None,
            _ => Some(
                client
                    .prepare(&delete_statement(route))
                    .operation("prepare delete")?,
            ),
        };
        Ok(Self {
            copy: client
                .prepare(&copy_statement(route, Format::Text))
                .operation("prepare copy")?,
            delete,
            key_access: if route.target.has_index_led_by(&key) {
                KeyAccess::Index
            } else {
                KeyAccess::Scan
            },
            duplicates: if route.target.lets_duplicates_in(&key) {
                Duplicates::Unnoticed
            } else {
                Duplicates::Refused
            },
            truncate: truncate_statement(route),
            defer: match route.target.deferrable.as_slice() {
                [] => None,
                names => Some(format!("set constraints {} deferred", names.join(", "))),
            },
        })
    }
}

pub(super) fn copy_statement(route: &Route, format: Format<'_>) -> String {
    format!(
        "copy {} ({}) from stdin{}",
        route.target.quoted(),
        list(
            route
                .copy_columns()
                .map(|column| quote_identifier(&column.name))
        ),
        format.clause()
    )
}

/// Deletes by keys given as arrays. A generic plan takes an array for ten rows, so it looks
/// keys up one by one, whatever the statistics say.
fn delete_statement(route: &Route) -> String {
    let columns: Vec<(usize, &str, &str)> = (1..)
        .zip(route.key_types())
        .map(|(number, (name, type_text))| (number, name, type_text))
        .collect();
    let arrays = columns
        .iter()
        .map(|(number, _, type_text)| format!("${number}::text[]::{type_text}[]"));
    let names = columns.iter().map(|(number, ..)| format!("k{number}"));
    let conditions: Vec<String> = columns
        .iter()
        .map(|(number, name, _)| format!("t.{} = k.k{number}", quote_identifier(name)))
        .collect();
    format!(
        "delete from {} t using unnest({}) as k ({}) where {}",
        route.target.quoted(),
        list(arrays),
        list(names),
        conditions.join(" and ")
    )
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Lets the planner scan, for statements that cannot use an index.
pub(super) const ALLOW_SCAN: &str = "\
set local enable_seqscan = on;
set local enable_hashjoin = on;
set local enable_nestloop = off";

/// Ends [`ALLOW_SCAN`] within the transaction.
pub(super) const FORBID_SCAN: &str = "\
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_nestloop = on";
