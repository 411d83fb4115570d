//! Reports, added up until they are written.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use common::behind::TableState;
use common::crash::{self, Point};
use common::pg::{Operation as _, PgError};
use common::table::TableName;
use postgres::{Client, GenericClient, Statement, Transaction};

use super::{AppliedBatch, LoaderState, Report, behind};
use crate::coverage::{Shown, Turn};
use crate::progress::Progress;
use crate::round::Counts;
use crate::target::holder;
use crate::target::session::signed;
use crate::tenure::Tenure;

const WRITE_PROGRESS: &str = include_str!("../../../sql/query/write_progress.sql");
const WRITE_TABLE_PROGRESS: &str = include_str!("../../../sql/query/write_table_progress.sql");
const INSERT_BATCH: &str = include_str!("../../../sql/query/insert_batch.sql");

/// Batches that `mysql2gp.batches` shows.
const KEEP_BATCHES: i64 = 10_000;

/// Batches after which older ones are removed.
const PRUNE_BATCHES: i64 = 1000;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Ledger {
    /// The loader's, and the staging that it is for.
    tenure: Option<(Tenure, String)>,
    state: Option<(LoaderState, Option<String>)>,
    position: Option<(Progress, SystemTime)>,
    /// Last event that is written and not committed.
    part: Option<u64>,
    /// Last event that is committed.
    committed: Option<u64>,
    batches: VecDeque<AppliedBatch>,
    tables: HashMap<TableName, TableTotals>,
    applied_transaction: Option<u64>,
    /// Tables that are behind, until they are written.
    behind: Option<Vec<Shown>>,
    /// Last transaction that the first one of the paused tables has.
    held_at: Option<u64>,
    /// Tables that catch up.
    catching_up: Option<CatchingUp>,
    /// Whether what the loader has ended at before is over.
    begins: bool,
    /// The table that the loader ends at, and why.
    failed: Option<(TableName, String)>,
    statements: Option<Statements>,
    last_batch_id: i64,
    pruned_at: i64,
    /// Whether tables without changes since the overlap are shown as active again.
    overlap_ended: bool,
}

/// Tables that catch up, while the others wait or go on.
struct CatchingUp {
    /// Last transaction and event that the first one of them has, when this began.
    from: (u64, u64),
    /// Last transaction that the others had then.
    reached: u64,
    turn: Turn,
}

impl CatchingUp {
    /// Last transaction and event that all tables have, and the last transaction that the
    /// others have; `None` once they have the same.
    fn at(&self, progress: &Progress) -> Option<((u64, u64), u64)> {
        match self.turn {
            Turn::Others => Some((self.from, progress.transaction_seq)),
            Turn::CatchUp if progress.transaction_seq < self.reached => {
                Some(((progress.transaction_seq, progress.event_seq), self.reached))
            }
            Turn::CatchUp => None,
        }
    }
}

struct TableTotals {
    target: String,
    overlapping: bool,
    counts: Counts,
    applied_rows: u64,
    committed_at_us: Option<i64>,
}

struct Statements {
    progress: Statement,
    table: Statement,
    batch: Statement,
}

impl Ledger {
    pub(super) fn is_empty(&self) -> bool {
        self.state.is_none()
            && self.position.is_none()
            && self.part.is_none()
            && self.behind.is_none()
            && self.failed.is_none()
    }

    /// Last transaction that is known to be applied to all tables, paused ones included.
    pub(super) fn applied_transaction(&self) -> Option<u64> {
        let catching_up = self
            .catching_up
            .as_ref()
            .map(|catching_up| catching_up.from.0);
        let least = self.held_at.into_iter().chain(catching_up).min();
        self.applied_transaction
            .map(|applied| applied.min(least.unwrap_or(u64::MAX)))
    }

    pub(super) fn add(&mut self, report: Report) {
        match report {
            Report::State(state, error) => {
                if state != LoaderState::Running {
                    // A part that is not committed is gone.
                    self.part = self.committed;
                }
                self.state = Some((state, error));
            }
            Report::Position(progress, applied_at) => self.set_position(progress, applied_at),
            Report::Batch(batch) => self.add_batch(*batch),
            Report::Begin {
                progress,
                at,
                behind,
                reached,
                turn,
            } => {
                self.set_position(progress, at);
                let of = |state| {
                    let of_state = behind
                        .iter()
                        .filter(move |shown| shown.behind.state == state);
                    of_state
                        .map(|shown| (shown.transaction_seq, shown.event_seq))
                        .min()
                };
                self.held_at = of(TableState::Paused).map(|(transaction_seq, _)| transaction_seq);
                self.catching_up = of(TableState::CatchingUp).map(|from| CatchingUp {
                    from,
                    reached,
                    turn,
                });
                self.behind = Some(behind);
                self.begins = true;
            }
            Report::TableFailed { table, error } => self.failed = Some((table, error)),
            Report::Part { event_seq } => self.part = Some(event_seq),
            Report::Tenure { tenure, staging_id } => self.begin_tenure(tenure, staging_id),
        }
    }

    /// Numbers of another staging mean nothing in this one.
    fn begin_tenure(&mut self, tenure: Tenure, staging_id: String) {
        if self
            .tenure
            .as_ref()
            .is_some_and(|(_, id)| *id != staging_id)
        {
            self.forget();
            self.applied_transaction = None;
            self.committed = None;
            self.held_at = None;
            self.catching_up = None;
        }
        self.tenure = Some((tenure, staging_id));
    }

    fn forget(&mut self) {
        self.position = None;
        self.part = None;
        self.batches.clear();
        self.tables.clear();
        self.behind = None;
    }

    /// Whether staging is this loader's: no other one has begun to read it, and it is the one
    /// that the reports are about.
    pub(super) fn is_ours(&self, client: &mut impl GenericClient) -> Result<bool, PgError> {
        match &self.tenure {
            Some((tenure, _)) => tenure.holds(client),
            None => Ok(true),
        }
    }

    fn set_position(&mut self, progress: Progress, applied_at: SystemTime) {
        self.applied_transaction = Some(progress.transaction_seq);
        self.committed = Some(progress.event_seq);
        self.part = None;
        self.position = Some((progress, applied_at));
    }

    fn add_batch(&mut self, batch: AppliedBatch) {
        for table in &batch.tables {
            let totals = self
                .tables
                .entry(table.source.clone())
                .or_insert_with(|| TableTotals {
                    target: table.target.clone(),
                    overlapping: false,
                    counts: Counts::default(),
                    applied_rows: 0,
                    committed_at_us: None,
                });
            totals.overlapping = batch.overlapping;
            totals.counts.inserts += table.counts.inserts;
            totals.counts.updates += table.counts.updates;
            totals.counts.deletes += table.counts.deletes;
            totals.counts.truncates += table.counts.truncates;
            totals.applied_rows += table.net_upserts + table.net_deletes;
            totals.committed_at_us = batch.progress.committed_at_us;
        }
        self.set_position(batch.progress.clone(), batch.applied_at);
        self.batches.push_back(batch);
        if i64::try_from(self.batches.len()).is_ok_and(|count| count > KEEP_BATCHES) {
            self.batches.pop_front();
        }
    }

    /// Prepared statements are gone with the connection.
    pub(super) fn reconnected(&mut self) {
        self.statements = None;
    }

    /// Writes everything in one transaction.
    pub(super) fn write(&mut self, client: &mut Client) -> Result<(), PgError> {
        let statements = match &self.statements {
            Some(statements) => statements,
            None => {
                self.last_batch_id = last_batch_id(client)?;
                self.statements.insert(Statements::prepare(client)?)
            }
        };
        crash::point(Point::LoaderBeforeProgress);
        let mut transaction = client.transaction().operation("write progress")?;
        let is_ours = match &self.tenure {
            Some((tenure, _)) => tenure.holds(&mut transaction)?,
            None => true,
        };
        if !is_ours {
            drop(transaction);
            self.forget();
            self.state = None;
            self.failed = None;
            return Ok(());
        }
        if let Some((progress, applied_at)) = &self.position {
            let own = (progress.transaction_seq, progress.event_seq);
            let standing = self.catching_up.as_ref().map(|tables| tables.at(progress));
            let (applied, ahead) = match standing.flatten() {
                Some((applied, ahead)) => (applied, Some(ahead)),
                None => (own, None),
            };
            write_position(
                &mut transaction,
                statements,
                (progress, applied, ahead),
                *applied_at,
            )?;
            if standing == Some(None) {
                behind::caught_up(&mut transaction)?;
                self.catching_up = None;
            }
        }
        if let Some(tables) = &self.behind {
            behind::write(&mut transaction, tables)?;
        }
        if let Some(event_seq) = self.part.filter(|_| self.catching_up.is_none()) {
            write_part(&mut transaction, event_seq)?;
        }
        for (name, totals) in &self.tables {
            write_table(&mut transaction, statements, name, totals)?;
        }
        let overlap_ends =
            !self.overlap_ended && self.batches.iter().any(|batch| !batch.overlapping);
        if overlap_ends {
            transaction
                .execute(
                    "update mysql2gp.table_progress set state = 'active' where state = 'overlapping'",
                    &[],
                )
                .operation("write table progress")?;
        }
        let mut batch_id = self.last_batch_id;
        for batch in &self.batches {
            batch_id += 1;
            write_batch(&mut transaction, statements, batch_id, batch)?;
        }
        if batch_id >= self.pruned_at + PRUNE_BATCHES {
            transaction
                .execute(
                    "delete from mysql2gp.batch where batch_id <= $1",
                    &[&(batch_id - KEEP_BATCHES)],
                )
                .operation("remove old batches")?;
            self.pruned_at = batch_id;
        }
        if self.begins {
            transaction
                .execute(
                    "delete from mysql2gp.table_error where program = 'loader'",
                    &[],
                )
                .operation("write the tables that failed")?;
        }
        if let Some((table, error)) = &self.failed {
            write_failed(&mut transaction, table, error)?;
        }
        if let Some((state, error)) = &self.state {
            write_state(&mut transaction, *state, error.as_deref())?;
        }
        crash::point(Point::LoaderInProgress);
        transaction.commit().operation("write progress")?;
        crash::point(Point::LoaderAfterProgress);
        self.last_batch_id = batch_id;
        self.overlap_ended |= overlap_ends;
        self.state = None;
        self.begins = false;
        self.failed = None;
        self.forget();
        Ok(())
    }
}

impl Statements {
    fn prepare(client: &mut Client) -> Result<Self, PgError> {
        let mut prepare = |sql| client.prepare(sql).operation("prepare progress");
        Ok(Self {
            progress: prepare(WRITE_PROGRESS)?,
            table: prepare(WRITE_TABLE_PROGRESS)?,
            batch: prepare(INSERT_BATCH)?,
        })
    }
}

fn last_batch_id(client: &mut Client) -> Result<i64, PgError> {
    Ok(client
        .query_one("select coalesce(max(batch_id), 0) from mysql2gp.batch", &[])
        .operation("read the last batch")?
        .get(0))
}

fn write_position(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    (progress, applied, ahead): (&Progress, (u64, u64), Option<u64>),
    applied_at: SystemTime,
) -> Result<(), PgError> {
    transaction
        .execute(
            &statements.progress,
            &[
                &progress.position.file.name(),
                &signed(progress.position.offset),
                &progress.gtid_set,
                &progress.committed_at_us.and_then(system_time),
                &applied_at,
                &signed(applied.0),
                &signed(applied.1),
                &progress.consistent_from(),
                &ahead.map(signed),
            ],
        )
        .operation("write progress")?;
    Ok(())
}

/// Only the backlog shows it; the position is that of the last commit.
fn write_part(transaction: &mut Transaction<'_>, event_seq: u64) -> Result<(), PgError> {
    transaction
        .execute(
            "update mysql2gp.loader set event_seq = $1",
            &[&signed(event_seq)],
        )
        .operation("write progress")?;
    Ok(())
}

fn write_table(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    name: &TableName,
    totals: &TableTotals,
) -> Result<(), PgError> {
    let state = if totals.overlapping {
        "overlapping"
    } else {
        "active"
    };
    transaction
        .execute(
            &statements.table,
            &[
                &name.database,
                &name.table,
                &totals.target,
                &state,
                &signed(totals.counts.inserts),
                &signed(totals.counts.updates),
                &signed(totals.counts.deletes),
                &signed(totals.counts.truncates),
                &signed(totals.applied_rows),
                &totals.committed_at_us.and_then(system_time),
            ],
        )
        .operation("write table progress")?;
    Ok(())
}

fn write_batch(
    transaction: &mut Transaction<'_>,
    statements: &Statements,
    batch_id: i64,
    batch: &AppliedBatch,
) -> Result<(), PgError> {
    let net_upserts: u64 = batch.tables.iter().map(|table| table.net_upserts).sum();
    let net_deletes: u64 = batch.tables.iter().map(|table| table.net_deletes).sum();
    transaction
        .execute(
            &statements.batch,
            &[
                &batch_id,
                &signed(batch.first_transaction_seq),
                &signed(batch.progress.transaction_seq),
                &signed(batch.transactions),
                &signed(batch.row_events),
                &signed(net_upserts),
                &signed(net_deletes),
                &milliseconds(batch.fetch),
                &milliseconds(batch.compact),
                &milliseconds(batch.apply),
                &batch.applied_at,
            ],
        )
        .operation("write batch")?;
    Ok(())
}

fn write_state(
    transaction: &mut Transaction<'_>,
    state: LoaderState,
    error: Option<&str>,
) -> Result<(), PgError> {
    transaction
        .execute(
            "update mysql2gp.loader set state = $1, holder = $2, last_error = $3, \
                    last_error_at = case when $3::text is not null then now() else last_error_at end",
            &[&state.as_str(), &holder(), &error],
        )
        .operation("write the loader's state")?;
    Ok(())
}

fn write_failed(
    transaction: &mut Transaction<'_>,
    table: &TableName,
    error: &str,
) -> Result<(), PgError> {
    transaction
        .execute(
            "insert into mysql2gp.table_error (program, database_name, table_name, error) \
             values ('loader', $1, $2, $3) \
                 on conflict (program, database_name, table_name) do update set error = excluded.error",
            &[&table.database, &table.table, &error],
        )
        .operation("write the tables that failed")?;
    Ok(())
}

/// A time at the source as the client binds it; `None` before 1970, which no binlog is.
pub(super) fn system_time(us: i64) -> Option<SystemTime> {
    let us = u64::try_from(us).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(us))
}

fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
