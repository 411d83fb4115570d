//! Rows of `mysql2gp.dead_letter` in staging.

use std::collections::{HashMap, HashSet};

use common::pg::Operation as _;
use common::table::{TableDefinition, TableName};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::{Client, GenericClient};

use super::held::{Held, HeldLetter, lookup};
use super::identity::COLUMNS;
use super::{DeadLetterError, Identity, Item, Refusal};
use crate::target::session::signed;

/// A dead letter with what a retry needs.
#[derive(Clone, Debug)]
pub struct Letter {
    /// What names it.
    pub identity: Identity,
    /// Whether it is settled, as far as staging knows.
    pub resolved: bool,
    /// The row.
    pub row: StagedRow,
}

/// A row as staged.
#[derive(Clone, Debug)]
pub struct StagedRow {
    /// Definition that it was decoded with.
    pub definition: TableDefinition,
    /// Key cells; `None` in a table without a key.
    pub key: Option<Vec<u8>>,
    /// All cells.
    pub row: Vec<u8>,
}

const MALFORMED: DeadLetterError = DeadLetterError::Malformed {
    what: "mysql2gp.dead_letter",
};

/// What is kept of a refused row.
pub(super) struct Content<'a> {
    op: &'a str,
    /// The table's definition as JSON.
    definition: &'a str,
    key: Option<&'a str>,
    row: &'a str,
    sqlstate: &'a str,
    error: &'a str,
}

impl<'a> Content<'a> {
    pub(super) fn of(
        definition: &'a str,
        item: &Item<'a>,
        refusal: &'a Refusal,
    ) -> Result<Self, DeadLetterError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| MALFORMED);
        Ok(Self {
            op: item.op.as_str(),
            definition,
            key: item.key.map(text).transpose()?,
            row: text(item.row)?,
            sqlstate: &refusal.sqlstate,
            error: &refusal.reason,
        })
    }
}

/// A definition as it is kept with a row.
pub(super) fn to_json(definition: &TableDefinition) -> Result<String, DeadLetterError> {
    serde_json::to_string(definition).map_err(|_| MALFORMED)
}

/// Writes a dead letter into staging; its number.
pub(super) fn stage(
    staging: &mut impl GenericClient,
    identity: &Identity,
    event_seq: Option<i64>,
    content: &Content<'_>,
) -> Result<i64, DeadLetterError> {
    let row = staging
        .query_one(
            &format!(
                "insert into mysql2gp.dead_letter ({COLUMNS}, event_seq, op, definition, key_cells, row_cells, \
                        sqlstate, error) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13, $14) \
                 on conflict (log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name) \
                 do update set event_seq = coalesce(excluded.event_seq, mysql2gp.dead_letter.event_seq), op = excluded.op, \
                        definition = excluded.definition, key_cells = excluded.key_cells, \
                        row_cells = excluded.row_cells, sqlstate = excluded.sqlstate, error = excluded.error, \
                        refused_at = now(), resolved_at = null \
                 returning id"
            ),
            &[
                &identity.log_id.0,
                &identity.position.file.name(),
                &signed(identity.position.offset),
                &identity.row_number,
                &identity.copy_number,
                &identity.table.database,
                &identity.table.table,
                &event_seq,
                &content.op,
                &content.definition,
                &content.key,
                &content.row,
                &content.sqlstate,
                &content.error,
            ],
        )
        .operation("stage a dead letter")
        .map_err(DeadLetterError::Staging)?;
    Ok(row.get(0))
}

/// Stands on the target for cells of which nothing is to be seen: one cell, the empty text. As it
/// is it would be NULL in some openGauss databases, and no cells that are staged look like this.
const ONE_EMPTY_CELL: &str = "\\.";

fn to_target(cells: &str) -> &str {
    if cells.is_empty() {
        ONE_EMPTY_CELL
    } else {
        cells
    }
}

fn from_target(cells: &str) -> &str {
    if cells == ONE_EMPTY_CELL { "" } else { cells }
}

/// Writes a dead letter on the target.
pub(super) fn put(
    target: &mut impl GenericClient,
    task: &str,
    identity: &Identity,
    content: &Content<'_>,
) -> Result<(), DeadLetterError> {
    // Greenplum has no "on conflict", and there a delete would have other tasks that refuse rows
    // wait for the end of this batch, also where it finds none.
    if identity
        .is_kept(target, task)
        .map_err(DeadLetterError::Target)?
    {
        identity
            .take(target, task)
            .map_err(DeadLetterError::Target)?;
    }
    target
        .execute(
            &format!(
                "insert into mysql2gp.checkpoint_dead_letters (task, {COLUMNS}, op, definition, key_cells, row_cells, \
                        sqlstate, error, refused_at) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, clock_timestamp())"
            ),
            &[
                &task,
                &identity.log_id.0,
                &identity.position.file.name(),
                &signed(identity.position.offset),
                &identity.row_number,
                &identity.copy_number,
                &identity.table.database,
                &identity.table.table,
                &content.op,
                &content.definition,
                &content.key.map(to_target),
                &to_target(content.row),
                &content.sqlstate,
                &content.error,
            ],
        )
        .operation("write a dead letter")
        .map_err(DeadLetterError::Target)?;
    Ok(())
}

/// Copies a dead letter from the target into staging, where it is missing or was taken for
/// settled.
pub(super) fn restore(
    staging: &mut impl GenericClient,
    target: &mut impl GenericClient,
    task: &str,
    identity: &Identity,
) -> Result<(), DeadLetterError> {
    // An operator may have settled it since the identities were read.
    let Some(row) = identity
        .content(target, task)
        .map_err(DeadLetterError::Target)?
    else {
        return Ok(());
    };
    let content = Content {
        op: row.get(0),
        definition: row.get(1),
        key: row.get::<_, Option<&str>>(2).map(from_target),
        row: from_target(row.get(3)),
        sqlstate: row.get(4),
        error: row.get(5),
    };
    stage(staging, identity, None, &content)?;
    Ok(())
}

/// Unresolved dead letters by table.
pub(super) fn held(staging: &mut Client) -> Result<HashMap<TableName, Held>, DeadLetterError> {
    let mut tables: HashMap<TableName, Held> = HashMap::new();
    let mut last: Option<(String, TableDefinition)> = None;
    let query = format!(
        "select {COLUMNS}, id, definition::text, key_cells, case when key_cells is null then row_cells end \
           from mysql2gp.dead_letter where resolved_at is null"
    );
    // Streamed: rows may be large.
    let mut rows = staging
        .query_raw(&query, std::iter::empty::<&str>())
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?;
    while let Some(row) = rows
        .next()
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?
    {
        let identity = Identity::from_row(&row)?;
        let (key, whole): (Option<&str>, Option<&str>) = (row.get(9), row.get(10));
        let lookup = lookup(key.map(str::as_bytes), whole.unwrap_or_default().as_bytes());
        let json: &str = row.get(8);
        let definition = match last.take() {
            Some((text, definition)) if text == json => definition,
            _ => from_json(json)?,
        };
        let held = tables.entry(identity.table.clone()).or_default();
        let id = row.get(7);
        held.add(HeldLetter { id, identity }, lookup, &definition);
        last = Some((json.to_owned(), definition));
    }
    Ok(tables)
}

fn from_json(json: &str) -> Result<TableDefinition, DeadLetterError> {
    serde_json::from_str(json).map_err(|_| MALFORMED)
}

/// Numbers of the unresolved dead letters, oldest first.
///
/// # Errors
/// When staging cannot be read.
pub fn unresolved_ids(staging: &mut impl GenericClient) -> Result<Vec<i64>, DeadLetterError> {
    let rows = staging
        .query(
            "select id from mysql2gp.dead_letter where resolved_at is null order by id",
            &[],
        )
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// A dead letter by its number; `None` when there is none.
///
/// # Errors
/// When staging cannot be read.
pub fn read_letter(
    staging: &mut impl GenericClient,
    id: i64,
) -> Result<Option<Letter>, DeadLetterError> {
    let row = staging
        .query_opt(
            &format!(
                "select {COLUMNS}, resolved_at is not null, definition::text, key_cells, row_cells \
                   from mysql2gp.dead_letter where id = $1"
            ),
            &[&id],
        )
        .operation("read a dead letter")
        .map_err(DeadLetterError::Staging)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Letter {
        identity: Identity::from_row(&row)?,
        resolved: row.get(7),
        row: StagedRow {
            definition: from_json(row.get(8))?,
            key: row.get::<_, Option<String>>(9).map(String::into_bytes),
            row: row.get::<_, String>(10).into_bytes(),
        },
    }))
}

/// Those of the dead letters whose row is this one.
pub(super) fn equal_rows(
    staging: &mut Client,
    ids: impl Iterator<Item = i64>,
    row: &[u8],
) -> Result<HashSet<i64>, DeadLetterError> {
    let ids: Vec<i64> = ids.collect();
    let text = std::str::from_utf8(row).map_err(|_| MALFORMED)?;
    let rows = staging
        .query(
            "select id from mysql2gp.dead_letter where id = any($1) and row_cells = $2 collate \"C\"",
            &[&ids, &text],
        )
        .operation("compare dead letters")
        .map_err(DeadLetterError::Staging)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Marks dead letters as settled.
///
/// # Errors
/// When staging cannot be written.
pub fn resolve(staging: &mut impl GenericClient, ids: &[i64]) -> Result<(), DeadLetterError> {
    staging
        .execute(
            "update mysql2gp.dead_letter set resolved_at = now() where id = any($1) and resolved_at is null",
            &[&ids],
        )
        .operation("resolve dead letters")
        .map_err(DeadLetterError::Staging)?;
    Ok(())
}

/// Removes dead letters of a batch that did not commit.
pub(super) fn remove(staging: &mut impl GenericClient, ids: &[i64]) -> Result<(), DeadLetterError> {
    staging
        .execute(
            "delete from mysql2gp.dead_letter where id = any($1)",
            &[&ids],
        )
        .operation("remove dead letters")
        .map_err(DeadLetterError::Staging)?;
    Ok(())
}

/// Notes why a retry was refused.
///
/// # Errors
/// When staging cannot be written.
pub fn update_refusal(
    staging: &mut impl GenericClient,
    id: i64,
    refusal: &Refusal,
) -> Result<(), DeadLetterError> {
    staging
        .execute(
            "update mysql2gp.dead_letter set sqlstate = $2, error = $3, refused_at = now() where id = $1",
            &[&id, &refusal.sqlstate, &refusal.reason],
        )
        .operation("write a dead letter")
        .map_err(DeadLetterError::Staging)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cells_are_empty_on_the_target() {
        for cells in ["", "a", "\\N", "\\\\.", "\t"] {
            assert!(!to_target(cells).is_empty());
            assert_eq!(from_target(to_target(cells)), cells);
        }
    }
}
