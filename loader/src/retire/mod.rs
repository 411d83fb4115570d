//! What is applied, back into staging: the position for the views, counters, and the segments
//! that are no longer needed.
//!
//! The end of the loader's flow, behind the target's commit, on a thread and a connection of
//! its own: the target never waits for it. Everything here is a copy for inspection; the
//! target's checkpoint is the authority. Several batches are written at once when there are
//! many. While staging is away the reports wait, the newest position winning.
//!
//! A segment is dropped whole when its last transaction is applied and has been so for
//! `keep_applied`. The newest segment always stays: where it begins tells how far back
//! staging reaches. What a paused table waits for is not applied in this sense.

mod behind;
mod ledger;
mod segments;

use std::time::{Duration, Instant, SystemTime};

use common::pg::{self, Conninfo, Operation as _, PgError};
use common::table::TableName;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use postgres::Client;
use postgres::error::SqlState;

use crate::apply::AppliedTable;
use crate::coverage::{Shown, Turn};
use crate::figures::Figures;
use crate::progress::Progress;
use crate::tenure::Tenure;
use ledger::Ledger;
use segments::Segments;

/// The loader's state, as the views show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaderState {
    /// Before the first pass.
    Starting,
    /// Reading and applying.
    Running,
    /// Staging is away.
    WaitingStaging,
    /// The target is away.
    WaitingTarget,
    /// The target's disk, or staging's, is full.
    WaitingSpace,
    /// Ended in good order.
    Stopped,
    /// Ended with an error.
    Failed,
}

impl LoaderState {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Starting,
        Self::Running,
        Self::WaitingStaging,
        Self::WaitingTarget,
        Self::WaitingSpace,
        Self::Stopped,
        Self::Failed,
    ];

    /// Whether something is waited for.
    pub fn is_waiting(self) -> bool {
        match self {
            Self::WaitingStaging | Self::WaitingTarget | Self::WaitingSpace => true,
            Self::Starting | Self::Running | Self::Stopped | Self::Failed => false,
        }
    }

    /// As staged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::WaitingStaging => "waiting_staging",
            Self::WaitingTarget => "waiting_target",
            Self::WaitingSpace => "waiting_space",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What the others report.
#[derive(Clone, Debug)]
pub enum Report {
    /// The loader's state, and the error that led to it.
    State(LoaderState, Option<String>),
    /// The target is at this position, committed at that time.
    Position(Progress, SystemTime),
    /// A batch is applied.
    Batch(Box<AppliedBatch>),
    /// Staging is read by this loader from here on; nothing is written where it is not.
    Tenure {
        /// The loader's.
        tenure: Tenure,
        /// Names the staging.
        staging_id: String,
    },
    /// A flow begins.
    Begin {
        /// Where.
        progress: Progress,
        /// When.
        at: SystemTime,
        /// Tables that are behind.
        behind: Vec<Shown>,
        /// Last transaction that the others have.
        reached: u64,
        /// Whose turn it is.
        turn: Turn,
    },
    /// The loader ends at this table.
    TableFailed {
        /// The source table.
        table: TableName,
        /// Why.
        error: String,
    },
    /// A batch is written up to this event and not committed yet.
    Part {
        /// Number of the event within this staging.
        event_seq: u64,
    },
}

/// An applied batch.
#[derive(Clone, Debug)]
pub struct AppliedBatch {
    /// Its end.
    pub progress: Progress,
    /// When the target committed it.
    pub applied_at: SystemTime,
    /// First source transaction.
    pub first_transaction_seq: u64,
    /// Source transactions.
    pub transactions: u64,
    /// Row events before merging.
    pub row_events: u64,
    /// Whether an earlier load overlaps this part of the stream.
    pub overlapping: bool,
    /// What was written, by table.
    pub tables: Vec<AppliedTable>,
    /// Time that reading took.
    pub fetch: Duration,
    /// Time that merging took.
    pub compact: Duration,
    /// Time that the target took.
    pub apply: Duration,
    /// Texts that waited for the merge when the batch was handed over.
    pub queued_texts: usize,
}

/// Reports that may wait; more make the loader wait, too.
const QUEUE_REPORTS: usize = 256;

/// Least time between two writes to staging: a status that is a tenth of a second old is good
/// enough, and each write is a commit.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);

/// How often segments are looked at.
const SEGMENT_INTERVAL: Duration = Duration::from_secs(2);

/// How long the last reports may take when the program ends and staging is away.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Where reports go.
#[derive(Clone)]
pub struct Reporter {
    sender: Sender<Report>,
}

impl Reporter {
    /// Takes a report; waits when too many are under way.
    pub fn report(&self, report: Report) {
        // The receiver ends after all senders.
        let _ = self.sender.send(report);
    }

    /// Reports a state without an error.
    pub fn state(&self, state: LoaderState) {
        self.report(Report::State(state, None));
    }
}

/// The thread's work. See the module.
pub struct Retirer {
    receiver: Receiver<Report>,
    conninfo: Conninfo,
    client: Option<Client>,
    /// Whether staging is known to have the loader's tables.
    prepared: bool,
    /// Whether there was a session once: whoever looks finds one as long as the loader lives.
    connected: bool,
    ledger: Ledger,
    segments: Segments,
    figures: Figures,
}

impl Retirer {
    /// A retirer and where to report to it.
    pub fn new(conninfo: Conninfo, keep_applied: Duration, figures: Figures) -> (Self, Reporter) {
        let (sender, receiver) = bounded(QUEUE_REPORTS);
        let retirer = Self {
            receiver,
            conninfo,
            client: None,
            prepared: false,
            connected: false,
            ledger: Ledger::default(),
            segments: Segments::new(keep_applied),
            figures,
        };
        (retirer, Reporter { sender })
    }

    /// Works until all reporters are gone and everything is written, or staging is away then.
    pub fn run(mut self) {
        let mut next_write = Instant::now();
        let mut next_segments = Instant::now();
        loop {
            let due = if self.ledger.is_empty() {
                next_segments
            } else {
                next_write
            };
            match self.receiver.recv_deadline(due) {
                Ok(report) => {
                    self.figures.note(&report, self.receiver.len());
                    self.ledger.add(report);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let written = self.write();
                    next_write = now
                        + match written {
                            Ok(()) => WRITE_INTERVAL,
                            Err(_) => 10 * WRITE_INTERVAL,
                        };
                    if now >= next_segments {
                        self.stay_connected();
                        self.read_status();
                        self.retire_segments();
                        next_segments = now + SEGMENT_INTERVAL;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let deadline = Instant::now() + LAST_WRITE;
        while !self.ledger.is_empty() && self.write().is_err() && Instant::now() < deadline {
            // Nobody sends any more: this is a wait.
            let _ = self.receiver.recv_deadline(Instant::now() + WRITE_INTERVAL);
        }
    }

    /// Writes what was reported. Errors are not logged: the fetch stage meets the same server.
    fn write(&mut self) -> Result<(), PgError> {
        if self.ledger.is_empty() {
            return Ok(());
        }
        let result = self.try_write();
        if let Err(error) = &result {
            log::debug!("failed to {error}");
            // A full disk leaves the session as it was, and dropping segments is what helps.
            if error.sqlstate() != Some(&SqlState::DISK_FULL) {
                self.client = None;
            }
        }
        result
    }

    /// Gets a session that was lost back, though there is nothing to write.
    fn stay_connected(&mut self) {
        if self.connected
            && self.client.is_none()
            && let Err(error) = self.try_write()
        {
            log::debug!("failed to {error}");
        }
    }

    fn try_write(&mut self) -> Result<(), PgError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                self.ledger.reconnected();
                self.prepared = false;
                let mut client = pg::connect(&self.conninfo, "binlog_loader retire")?;
                pg::forbid_idle_transactions(&mut client)?;
                none.insert(client)
            }
        };
        if !self.prepared {
            // Whichever program reads or writes staging first makes the tables.
            self.prepared = client
                .query_one("select to_regclass('mysql2gp.batch') is not null", &[])
                .operation("look for the staging schema")?
                .get(0);
            if self.prepared {
                client
                    .execute(
                        "select pg_advisory_lock_shared(class, object) from mysql2gp.loader_lock()",
                        &[],
                    )
                    .operation("show that the loader lives")?;
                self.connected = true;
            }
        }
        if self.prepared && !self.ledger.is_empty() {
            self.ledger.write(client)?;
        }
        Ok(())
    }

    fn read_status(&mut self) {
        if let Some(client) = &mut self.client
            && self.prepared
            && let Err(error) = self.figures.read_status(client)
        {
            log::debug!("failed to {error}");
            self.client = None;
        }
    }

    fn retire_segments(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        let retired = match self.ledger.is_ours(client) {
            Ok(true) => self
                .segments
                .retire(client, self.ledger.applied_transaction()),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = retired {
            log::debug!("failed to {error}");
            self.client = None;
        }
    }
}
