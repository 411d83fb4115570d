//! The statements that write one table, prepared once.

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::{Client, Statement};

use super::binary::Format;
use super::constants::truncate_statement;
use super::keys::KeyDelete;
use super::table::Effect;
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
    /// None for a keyless table.
    pub(super) delete: Option<KeyDelete>,
    pub(super) key_access: KeyAccess,
    pub(super) duplicates: Duplicates,
    /// Takes the source table's rows away; `None` where others' would go with them.
    pub(super) truncate: Option<String>,
    /// Has the table's foreign keys checked at the commit, where they are checked at all.
    pub(super) defer: Option<String>,
}

impl TableStatements {
    /// Prepares them; `number` names what is made for the table.
    pub(super) fn prepare(
        client: &mut Client,
        route: &Route,
        number: u32,
    ) -> Result<Self, PgError> {
        let key = route.key_names();
        Ok(Self {
            copy: client
                .prepare(&copy_statement(route, Format::Text))
                .operation("prepare copy")?,
            delete: KeyDelete::of(route, number),
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

/// Takes the lock that the table's rows will take when they are written, where the deletes do not
/// take it. Whether that of replaced rows is as strong as a delete's is the server's to know.
pub(super) fn lock_ahead(route: &Route, effect: Effect) -> Option<String> {
    let target = route.target.quoted();
    match effect {
        Effect::Replaces => Some(format!("delete from {target} where false")),
        Effect::Copies => Some(format!("lock table {target} in row exclusive mode")),
        Effect::Deletes | Effect::Nothing => None,
    }
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
