//! Rows of `mysql2gp.dead_letter` in staging.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use common::pg::Operation as _;
use common::table::{DefinitionId, TableDefinition, TableName};
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
    /// The row; `None` when staging was lost.
    pub row: Option<StagedRow>,
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

/// Writes a dead letter; its number.
pub(super) fn stage(
    staging: &mut impl GenericClient,
    identity: &Identity,
    definition: DefinitionId,
    item: &Item<'_>,
    refusal: &Refusal,
) -> Result<i64, DeadLetterError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| MALFORMED);
    let definition = i32::try_from(definition.0).map_err(|_| MALFORMED)?;
    let row = staging
        .query_one(
            &format!(
                "insert into mysql2gp.dead_letter ({COLUMNS}, event_seq, op, definition_id, key_cells, row_cells, \
                        sqlstate, error) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
                 on conflict (log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name) \
                 do update set event_seq = excluded.event_seq, op = excluded.op, \
                        definition_id = excluded.definition_id, key_cells = excluded.key_cells, \
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
                &signed(item.event_seq),
                &item.op.as_str(),
                &definition,
                &item.key.map(text).transpose()?,
                &text(item.row)?,
                &refusal.sqlstate,
                &refusal.reason,
            ],
        )
        .operation("stage a dead letter")
        .map_err(DeadLetterError::Staging)?;
    Ok(row.get(0))
}

/// Unresolved dead letters by table.
pub(super) fn held(staging: &mut Client) -> Result<HashMap<TableName, Held>, DeadLetterError> {
    let mut tables: HashMap<TableName, Held> = HashMap::new();
    let mut definitions = HashSet::new();
    let query = format!(
        "select {COLUMNS}, id, definition_id, key_cells, case when key_cells is null then row_cells end \
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
        definitions.insert((
            identity.table.clone(),
            row.get::<_, Option<i32>>(8).ok_or(MALFORMED)?,
        ));
        let held = tables.entry(identity.table.clone()).or_default();
        let id = row.get(7);
        let letter = HeldLetter { id, identity };
        held.letters.entry(lookup).or_default().push(letter);
    }
    drop(rows);
    for (table, number) in definitions {
        let definition = Arc::new(definition(staging, number)?);
        let number = DefinitionId(u32::try_from(number).map_err(|_| MALFORMED)?);
        if let Some(held) = tables.get_mut(&table) {
            held.definitions.insert(number, definition);
        }
    }
    Ok(tables)
}

fn definition(
    staging: &mut impl GenericClient,
    number: i32,
) -> Result<TableDefinition, DeadLetterError> {
    let row = staging
        .query_opt(
            "select definition::text from mysql2gp.definition where definition_id = $1",
            &[&number],
        )
        .operation("read a table definition")
        .map_err(DeadLetterError::Staging)?
        .ok_or(MALFORMED)?;
    serde_json::from_str(row.get(0)).map_err(|_| MALFORMED)
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
                "select {COLUMNS}, resolved_at is not null, definition_id, key_cells, row_cells \
                   from mysql2gp.dead_letter where id = $1"
            ),
            &[&id],
        )
        .operation("read a dead letter")
        .map_err(DeadLetterError::Staging)?;
    let Some(row) = row else { return Ok(None) };
    let staged = match row.get::<_, Option<i32>>(8) {
        None => None,
        Some(number) => Some(StagedRow {
            definition: definition(staging, number)?,
            key: row.get::<_, Option<String>>(9).map(String::into_bytes),
            row: row.get::<_, String>(10).into_bytes(),
        }),
    };
    Ok(Some(Letter {
        identity: Identity::from_row(&row)?,
        resolved: row.get(7),
        row: staged,
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
