//! Brings staging's dead letters into line with the target at a start.
//!
//! Runs with the task's lock held and nothing open. A dead letter whose identity the target
//! does not have belongs to a batch that never committed (behind its table's position: it is
//! removed, the batch comes again), or was settled (before it). One that the target has is
//! unresolved, whatever staging says: where staging was wiped or is an old copy, it comes back
//! from there.

use common::checkpoint::Checkpoint;
use common::crash::{self, Point};
use common::pg::Operation as _;
use postgres::{Client, Transaction};

use super::DeadLetterError;
use super::identity::{self, COLUMNS, Identity};
use super::letter::{remove, resolve, restore};
use crate::coverage::Shown;

pub(super) fn sync(
    staging: &mut Client,
    target: &mut Client,
    task: &str,
    (checkpoint, behind): (&Checkpoint, &[Shown]),
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
        let own = behind
            .iter()
            .find(|shown| shown.behind.table == identity.table)
            .map_or(checkpoint, |shown| &shown.behind.at);
        if identity.log_id == own.log_id && identity.position > own.applied {
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
        restore(&mut transaction, target, task, identity)?;
    }
    if !on_target.is_empty() {
        log::warn!(
            "dead letters were missing in staging or taken for settled: restored from the target rows={}",
            on_target.len()
        );
    }
    prune(&mut transaction)?;
    let differed = !(settled.is_empty() && never_committed.is_empty() && on_target.is_empty());
    if differed {
        crash::point(Point::LoaderLettersInSync);
    }
    transaction
        .commit()
        .operation("write dead letters")
        .map_err(DeadLetterError::Staging)?;
    if differed {
        crash::point(Point::LoaderLettersSynced);
    }
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
