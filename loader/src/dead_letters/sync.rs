//! Brings staging's dead letters into line with the target at a start.
//!
//! Runs with the task's lock held and nothing open. A dead letter whose identity the target
//! does not have belongs to a batch that never committed (behind the applied position: it is
//! removed, the batch comes again), or was settled (before it). One that the target has is
//! unresolved, whatever staging says. One that only the target has is noted without its row,
//! and the loader does not go on until an operator has dealt with it.

use common::checkpoint::Checkpoint;
use common::pg::Operation as _;
use postgres::{Client, Transaction};

use super::DeadLetterError;
use super::identity::{self, COLUMNS, Identity};
use super::letter::{remove, resolve};
use crate::target::session::signed;

pub(super) fn sync(
    staging: &mut Client,
    target: &mut Client,
    task: &str,
    checkpoint: &Checkpoint,
) -> Result<(), DeadLetterError> {
    let mut on_target = identity::all(target, task)?;
    let mut transaction = staging
        .transaction()
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?;
    let rows = transaction
        .query(
            &format!("select {COLUMNS}, id from mysql2gp.dead_letter where resolved_at is null"),
            &[],
        )
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?;
    let (mut settled, mut never_committed) = (Vec::new(), Vec::new());
    for row in rows {
        let identity = Identity::from_row(&row)?;
        let id: i64 = row.get("id");
        if on_target.remove(&identity) {
            continue;
        }
        if identity.log_id == checkpoint.log_id && identity.position > checkpoint.applied {
            never_committed.push(id);
        } else {
            settled.push(id);
        }
    }
    if !settled.is_empty() {
        resolve(&mut transaction, &settled)?;
    }
    if !never_committed.is_empty() {
        remove(&mut transaction, &never_committed)?;
    }
    for identity in &on_target {
        reopen(&mut transaction, identity)?;
    }
    prune(&mut transaction)?;
    let lost = lost(&mut transaction)?;
    transaction
        .commit()
        .operation("write dead letters")
        .map_err(DeadLetterError::Staging)?;
    lost.map_or(Ok(()), Err)
}

/// What the target alone holds as unresolved.
fn reopen(transaction: &mut Transaction<'_>, identity: &Identity) -> Result<(), DeadLetterError> {
    transaction
        .execute(
            &format!(
                "insert into mysql2gp.dead_letter ({COLUMNS}, op, sqlstate, error) \
                 values ($1, $2, $3, $4, $5, $6, $7, 'insert', '', 'the row was lost with the staging database') \
                 on conflict (log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name) \
                 do update set resolved_at = null"
            ),
            &[
                &identity.log_id.0,
                &identity.position.file.name(),
                &signed(identity.position.offset),
                &identity.row_number,
                &identity.copy_number,
                &identity.table.database,
                &identity.table.table,
            ],
        )
        .operation("write a dead letter")
        .map_err(DeadLetterError::Staging)?;
    Ok(())
}

/// Days for which settled dead letters are shown: long enough to look into an incident.
const KEEP_SETTLED_DAYS: i32 = 30;

fn prune(transaction: &mut Transaction<'_>) -> Result<(), DeadLetterError> {
    transaction
        .execute(
            "delete from mysql2gp.dead_letter where resolved_at < now() - make_interval(days => $1)",
            &[&KEEP_SETTLED_DAYS],
        )
        .operation("remove old dead letters")
        .map_err(DeadLetterError::Staging)?;
    Ok(())
}

/// Dead letters without a row.
fn lost(transaction: &mut Transaction<'_>) -> Result<Option<DeadLetterError>, DeadLetterError> {
    let rows = transaction
        .query(
            &format!(
                "select {COLUMNS} from mysql2gp.dead_letter where resolved_at is null and row_cells is null order by id"
            ),
            &[],
        )
        .operation("read dead letters")
        .map_err(DeadLetterError::Staging)?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let first = Identity::from_row(first)?;
    Ok(Some(DeadLetterError::Lost {
        count: rows.len(),
        table: first.table,
        position: first.position.to_string(),
    }))
}
