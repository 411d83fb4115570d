//! Net changes into the target: one transaction per batch, the checkpoint last.
//!
//! Stands behind `compact` and `route`. A table of which a batch only inserts new keys is
//! written by one COPY; otherwise the touched keys are deleted first and the survivors copied
//! in, so that secondary unique keys may move between rows. Keys are looked up by index,
//! whatever the table's size.
//!
//! Invariants: rows and checkpoint commit together, and only under this loader's epoch; after
//! an error nothing of the batch stays. A batch larger than memory comes in several rounds,
//! within one transaction.
//!
//! It does not decide what a batch is, and it does not retry.

mod error;
mod keyless;
mod statements;
mod table;
mod text_array;

use std::collections::HashMap;

use common::crash::{self, Point};
use common::pg::Operation as _;
use common::table::{DefinitionId, TableDefinition, TableName};

pub use error::{ApplyError, Place};

use crate::layout::Layout;
use crate::progress::Progress;
use crate::round::{Counts, Overlap, Round, TableChanges};
use crate::route::{Route, Router};
use crate::target::catalog;
use crate::target::session::{ReplicaRole, SessionError, TargetSession};

use keyless::KeylessDelete;
use statements::{KeyAccess, TableStatements};
use table::{At, Copied};
use text_array::TextArray;

/// COPY data per message. Larger ones do not help; the server reads 64 KB at a time.
const COPY_BYTES: usize = 64 * 1024;

/// Back to before the round, when it is the batch's first.
const REDO_BATCH: &str = "rollback; begin";

/// Back to before the round, when others of the batch are written.
const REDO_ROUND: &str = "rollback to savepoint round";

/// What was applied of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedTable {
    /// The source table.
    pub source: TableName,
    /// The target table, schema included.
    pub target: String,
    /// Row events before merging.
    pub counts: Counts,
    /// Rows written.
    pub net_upserts: u64,
    /// Keys or rows deleted for good.
    pub net_deletes: u64,
}

/// What became of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target transaction is open: more of it follows.
    Open,
    /// Committed.
    Committed,
}

/// Whether inserts of new keys may skip the delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Straight,
    DeleteFirst,
}

/// Applies rounds. See the module.
pub struct Applier {
    session: TargetSession,
    router: Router,
    staging_id: String,
    tables: HashMap<DefinitionId, PreparedTable>,
    outcome: Outcome,
    applied: Vec<AppliedTable>,
    duplicates: u64,
    keys: Vec<TextArray>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

struct PreparedTable {
    route: Route,
    statements: TableStatements,
    keyless: Option<KeylessDelete>,
}

impl Applier {
    /// Applies into the session's target, on behalf of one staging incarnation.
    pub fn new(session: TargetSession, router: Router, staging_id: String) -> Self {
        Self {
            session,
            router,
            staging_id,
            tables: HashMap::new(),
            outcome: Outcome::Committed,
            applied: Vec::new(),
            duplicates: 0,
            keys: Vec::new(),
            buffer: Vec::with_capacity(COPY_BYTES + COPY_BYTES / 4),
            scratch: Vec::new(),
        }
    }

    /// Gives the session back, with nothing open.
    pub fn into_session(mut self) -> Result<TargetSession, SessionError> {
        if self.outcome == Outcome::Open {
            self.session.rollback()?;
        }
        Ok(self.session)
    }

    /// What the rounds of the last batch have written, table by table.
    pub fn applied(&self) -> &[AppliedTable] {
        &self.applied
    }

    /// Batches whose inserts met rows that were there.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Applies a round; commits when it ends a batch.
    ///
    /// # Errors
    /// When the target is away, refuses a row, or the loader is fenced. Nothing of the batch
    /// is committed then.
    pub fn apply(&mut self, round: &Round) -> Result<Outcome, ApplyError> {
        let result = self.try_apply(round);
        match &result {
            Ok(outcome) => self.outcome = *outcome,
            Err(_) => {
                // The session ends or starts afresh: a failed rollback changes nothing.
                if self.session.rollback().is_ok() {
                    self.outcome = Outcome::Committed;
                }
            }
        }
        result
    }

    /// Moves the checkpoint: the miner has passed over traffic that it filters out.
    ///
    /// # Errors
    /// When the target is away or the loader is fenced.
    pub fn advance(&mut self, progress: &Progress) -> Result<(), ApplyError> {
        if self.outcome == Outcome::Open {
            return Ok(());
        }
        self.session.begin()?;
        self.session.commit(&self.staging_id, progress)?;
        crash::point(Point::LoaderAdvanced);
        Ok(())
    }

    fn try_apply(&mut self, round: &Round) -> Result<Outcome, ApplyError> {
        for table in round.tables() {
            self.prepare_table(&table.layout)?;
        }
        let before = self.outcome;
        let redo = match before {
            Outcome::Committed => {
                self.applied.clear();
                self.session.begin()?;
                crash::point(Point::LoaderBegun);
                REDO_BATCH
            }
            Outcome::Open => {
                self.session
                    .client
                    .batch_execute("release savepoint round; savepoint round")
                    .operation("set savepoint")?;
                REDO_ROUND
            }
        };
        self.outcome = Outcome::Open;
        let applied_before = self.applied.len();
        if self.write(round, Path::Straight)? == Written::MetDuplicate {
            self.duplicates += 1;
            log::warn!(
                "target held rows that the stream inserts: applying the batch again, with deletes, {}",
                describe(round)
            );
            self.applied.truncate(applied_before);
            self.session
                .client
                .batch_execute(redo)
                .operation("roll back to redo the batch")?;
            self.write(round, Path::DeleteFirst)?;
        }
        let Some(end) = &round.end else {
            if before == Outcome::Committed {
                self.session
                    .client
                    .batch_execute("savepoint round")
                    .operation("set savepoint")?;
            }
            crash::point(Point::LoaderOpenRound);
            return Ok(Outcome::Open);
        };
        crash::point(Point::LoaderBeforeCommit);
        self.session.commit(&self.staging_id, end)?;
        crash::point(Point::LoaderAfterCommit);
        Ok(Outcome::Committed)
    }

    fn prepare_table(&mut self, layout: &Layout) -> Result<(), ApplyError> {
        if self.tables.contains_key(&layout.id) {
            return Ok(());
        }
        let definition = &layout.definition;
        let route = self.route(definition)?;
        let client = &mut self.session.client;
        let statements = TableStatements::prepare(client, &route)?;
        if statements.key_access == KeyAccess::Scan && statements.delete.is_some() {
            log::warn!(
                "target table has no index on the key: every batch with updates reads the whole table table={}",
                route.target.display()
            );
        }
        self.tables.insert(
            layout.id,
            PreparedTable {
                route,
                statements,
                keyless: None,
            },
        );
        Ok(())
    }

    fn route(&mut self, definition: &TableDefinition) -> Result<Route, ApplyError> {
        let address = self.router.address(&definition.name);
        let found =
            catalog::find_tables(&mut self.session.client, &address.schema, &address.table)?;
        let target = self.router.choose(&definition.name, &address, found)?;
        let route = self.router.route(definition, target)?;
        if self.session.replica_role == ReplicaRole::NotPermitted
            && !route.target.hazards.is_empty()
        {
            return Err(ApplyError::Hazards {
                source_table: definition.name.clone(),
                target_table: route.target.display(),
                hazards: route.target.hazards.clone(),
            });
        }
        Ok(route)
    }

    fn write(&mut self, round: &Round, path: Path) -> Result<Written, ApplyError> {
        for table in round.tables() {
            if self.write_table(round, table, path)? == Written::MetDuplicate {
                return Ok(Written::MetDuplicate);
            }
        }
        Ok(Written::All)
    }

    fn write_table(
        &mut self,
        round: &Round,
        changes: &TableChanges,
        path: Path,
    ) -> Result<Written, ApplyError> {
        let number = changes.layout.id.0;
        // try_apply has prepared every table of the round.
        let Some(table) = self.tables.get_mut(&changes.layout.id) else {
            return Ok(Written::All);
        };
        let client = &mut self.session.client;
        let at = At {
            round,
            changes,
            route: &table.route,
            path: match round.overlap {
                Overlap::Exact => path,
                Overlap::Overlapping => Path::DeleteFirst,
            },
        };
        if changes.truncated {
            client
                .batch_execute(&table.statements.truncate)
                .map_err(|error| at.error(&error, "truncate target table"))?;
            crash::point(Point::LoaderTruncated);
        }
        let net_deletes = if changes.layout.is_keyless() {
            let deletes = at.count_keyless_deletes();
            if deletes > 0 {
                let keyless = match &mut table.keyless {
                    Some(keyless) => keyless,
                    none => none.insert(KeylessDelete::prepare(client, at.route, number)?),
                };
                at.delete_rows(client, keyless, deletes, &mut self.buffer)?;
            }
            deletes
        } else {
            at.delete_keys(client, &table.statements, &mut self.keys, &mut self.scratch)?
        };
        let Copied::Rows(net_upserts) =
            at.copy_rows(client, &table.statements, &mut self.buffer)?
        else {
            return Ok(Written::MetDuplicate);
        };
        self.applied.push(AppliedTable {
            source: at.route.source.clone(),
            target: at.route.target.display(),
            counts: changes.counts,
            net_upserts,
            net_deletes,
        });
        Ok(Written::All)
    }
}

/// Whether a round could be written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    All,
    /// A straight insert met a row that was there: with deletes it can.
    MetDuplicate,
}

/// The transactions of a round, for messages.
fn describe(round: &Round) -> String {
    match &round.end {
        Some(end) => format!(
            "in transactions {} to {}, the last of which ends at {}",
            round.first_transaction_seq, end.transaction_seq, end.position
        ),
        None => format!("in or behind transaction {}", round.first_transaction_seq),
    }
}
