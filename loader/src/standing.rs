//! Where each table stands, and from where on the stream is read for all of them.
//!
//! There is one way to start: reading begins at the least position of the checkpoint and the
//! tables that catch up with it, and each table passes over what it has. Paused tables pass
//! over everything, and so do those that catch up while it is the turn of the others; staging
//! is kept from the least of all positions on.

use std::sync::Arc;

use common::behind::{Behind, TableState};
use common::checkpoint::Checkpoint;
use common::position::BinlogPosition;
use common::settings::TableList;
use common::table::TableName;

use crate::coverage::{Coverage, Shown, Turn};
use crate::fetch::{FetchError, Fetcher, MinerRow, ReplicatedTable, StagingTask, Start};
use crate::progress::{Progress, Timeline};
use crate::target::{CatchUp, SessionError, TargetSession};

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// Staging cannot be read, or lacks something.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The target cannot be read or written.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// See the module.
#[derive(Debug)]
pub struct Standing {
    /// Where reading begins.
    pub start: Progress,
    /// What each table has.
    pub coverage: Coverage,
    /// What the commits are about, where tables catch up.
    pub catch_up: Option<CatchUp>,
    /// The tables that are behind.
    pub behind: Vec<Shown>,
    /// Last transaction that the other tables have.
    pub reached: u64,
}

impl Standing {
    /// Finds all positions in staging, goes to the least one, and tidies up on the target.
    ///
    /// # Errors
    /// When staging does not hold what a table waits for, or a server is away.
    pub fn find(
        fetcher: &mut Fetcher,
        session: &mut TargetSession,
        miner: &MinerRow,
        (checkpoint, behind): (&Checkpoint, Vec<Behind>),
        (task, listed, turn): (&StagingTask, &TableList, Turn),
    ) -> Result<Self, StandingError> {
        let own = fetcher.locate(miner, checkpoint)?;
        let mut coverage = Coverage::new(own.transaction_seq);
        let mut least = (own, checkpoint.clone());
        let (mut shown, mut catching_up, mut caught_up) = (Vec::new(), Vec::new(), Vec::new());
        for behind in behind {
            let start = fetcher.locate(miner, &behind.at)?;
            match behind.state {
                TableState::Paused => coverage.leave_out(behind.table.clone()),
                TableState::CatchingUp if start.transaction_seq >= own.transaction_seq => {
                    caught_up.push(behind.table);
                    continue;
                }
                TableState::CatchingUp if turn == Turn::Others => {
                    coverage.leave_out(behind.table.clone());
                }
                TableState::CatchingUp => {
                    coverage.set(behind.table.clone(), start.transaction_seq);
                    catching_up.push((behind.table.clone(), start.transaction_seq));
                    if precedes(&start, &least.0) {
                        least = (start, behind.at.clone());
                    }
                }
            }
            shown.push(Shown {
                transaction_seq: start.transaction_seq,
                event_seq: start.event_seq,
                behind,
            });
        }
        session.forget_behind(&caught_up)?;
        for table in &task.tables {
            if let Some(transaction_seq) = table.listed_behind {
                coverage.begin_behind(table.name.clone(), transaction_seq);
            }
        }
        for table in fetcher.staged_tables()? {
            if !listed.contains(&table) {
                coverage.leave_out(table);
            }
        }
        let (start, at) = least;
        fetcher.seek(&start, &at.timeline_id);
        let catch_up = (!catching_up.is_empty()).then(|| {
            let reached = progress(checkpoint, &own);
            CatchUp::new(reached, catching_up, &at.timeline_id)
        });
        Ok(Self {
            start: progress(&at, &start),
            coverage,
            catch_up,
            behind: shown,
            reached: own.transaction_seq,
        })
    }

    /// Whether tables catch up, now or in the next turn.
    pub fn is_catching_up(&self) -> bool {
        self.behind
            .iter()
            .any(|shown| shown.behind.state == TableState::CatchingUp)
    }

    /// Says which of the replicated tables are behind.
    pub fn tell(&self, replicated: &[ReplicatedTable]) {
        for Shown {
            behind,
            transaction_seq,
            ..
        } in &self.behind
        {
            let listed_anew = replicated.iter().any(|known| {
                known.name == behind.table && known.listed_behind > Some(*transaction_seq)
            });
            match behind.state {
                TableState::Paused => log::info!(
                    "paused: its changes wait in staging table={} position={}",
                    behind.table,
                    behind.at.applied
                ),
                TableState::CatchingUp => log::info!(
                    "catching up, by turns with the other tables table={} position={}",
                    behind.table,
                    behind.at.applied
                ),
            }
            if listed_anew {
                log::info!(
                    "listed anew since then: what is staged of it before is passed over table={}",
                    behind.table
                );
            }
        }
    }
}

/// Whether reading begins earlier there.
fn precedes(start: &Start, other: &Start) -> bool {
    (start.transaction_seq, start.behind_chunk) < (other.transaction_seq, other.behind_chunk)
}

fn progress(at: &Checkpoint, start: &Start) -> Progress {
    Progress {
        timeline: Arc::new(Timeline {
            id: at.timeline_id.clone(),
            log_id: at.log_id.clone(),
            consistent_from: at.consistent_from.clone(),
        }),
        position: at.applied.clone(),
        gtid_set: at.applied_gtid_set.clone(),
        transaction_seq: start.transaction_seq,
        event_seq: start.event_seq,
        committed_at_us: None,
    }
}

/// Takes what is no longer listed off the target, and out of `behind`.
///
/// # Errors
/// When the target is away.
pub fn forget_unlisted(
    session: &mut TargetSession,
    behind: &mut Vec<Behind>,
    listed: &TableList,
) -> Result<(), SessionError> {
    let gone: Vec<(TableName, BinlogPosition)> = behind
        .extract_if(.., |behind| !listed.contains(&behind.table))
        .map(|behind| (behind.table, behind.at.applied))
        .collect();
    for (table, position) in &gone {
        log::warn!(
            "no longer listed: what waits for the table is given up table={table} position={position}"
        );
    }
    let names: Vec<TableName> = gone.into_iter().map(|(table, _)| table).collect();
    session.forget_behind(&names)
}
