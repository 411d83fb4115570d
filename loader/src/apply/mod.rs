//! Net changes into the target: one transaction per batch, the checkpoint last.
//!
//! Stands behind `compact` and `route`. A table of which a batch only inserts new keys is
//! written by one COPY; otherwise the touched keys are deleted first, those of all tables, and the
//! survivors copied in, so that secondary unique keys may move between rows, and rows between
//! source tables that share a target. Where there are none and the rows are many, they replace
//! those of their key instead. Many rows go in COPY's binary format, where the server gains by it and
//! their types have one. Keys are looked up by index, whatever the table's size.
//!
//! Invariants: rows and checkpoint commit together, and only under this loader's epoch; after
//! an error nothing of the batch stays. A batch larger than memory comes in several rounds,
//! within one transaction.
//!
//! Where the target refuses a row, the round is written again, carefully: the row is found and
//! goes to the dead letters, if there is room for it; its old version is deleted. What the
//! target refuses only when it commits is looked for in the same way.
//!
//! It does not decide what a batch is, and it does not retry.

mod at_commit;
mod binary;
mod constants;
mod error;
mod fit;
#[cfg(test)]
mod golden;
mod keyless;
mod keys;
mod refused;
mod replace;
mod single;
mod statements;
mod table;
mod temporary;
mod text_array;
mod write;

use std::collections::HashMap;

use common::crash::{self, Point};
use common::pg::Operation as _;
use common::table::{DefinitionId, TableDefinition, TableName};

pub use constants::look as look_at_constants;
pub use error::{ApplyError, NotRepeated, OverLimit, Place};
pub use single::{Written as WrittenAlone, write_row};

use crate::dead_letters::DeadLetters;
use crate::layout::Layout;
use crate::progress::{KnownFile, Progress};
use crate::round::{Counts, Round, Statement, shorten};
use crate::route::{Route, Router, Sharing};
use crate::target::session::{ReplicaRole, SessionError, TargetSession};

use binary::BinaryCopy;
use keyless::KeylessDelete;
use keys::KeyBuffers;
use replace::Replace;
use statements::{KeyAccess, TableStatements};
use write::Written;

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

/// How a round is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// Inserts of new keys skip the delete; other rows may replace those of their key.
    Straight,
    /// Every touched key is deleted.
    DeleteFirst,
    /// As before, and rows that the target refuses are looked for.
    Careful,
}

/// Applies rounds. See the module.
pub struct Applier {
    session: TargetSession,
    router: Router,
    staging_id: String,
    known_file: KnownFile,
    tables: HashMap<DefinitionId, PreparedTable>,
    sharing: Sharing,
    outcome: Outcome,
    applied: Vec<AppliedTable>,
    dead_letters: DeadLetters,
    duplicates: u64,
    keys: KeyBuffers,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

struct PreparedTable {
    route: Route,
    statements: TableStatements,
    /// None where rows go as text.
    binary: Option<BinaryCopy>,
    keyless: Option<KeylessDelete>,
    /// Whether rows can replace those of their key.
    replaceable: bool,
    replace: Option<Replace>,
}

impl Applier {
    /// Applies into the session's target, on behalf of one staging incarnation.
    pub fn new(
        session: TargetSession,
        router: Router,
        dead_letters: DeadLetters,
        staging_id: String,
        known_file: KnownFile,
    ) -> Self {
        Self {
            session,
            router,
            staging_id,
            known_file,
            tables: HashMap::new(),
            sharing: Sharing::default(),
            outcome: Outcome::Committed,
            applied: Vec::new(),
            dead_letters,
            duplicates: 0,
            keys: KeyBuffers::default(),
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

    /// Whether the batches are about tables that catch up.
    pub fn is_catching_up(&self) -> bool {
        self.session.is_catching_up()
    }

    /// What the status shows as applied at `progress`.
    pub fn shown(&self, progress: Progress) -> Progress {
        self.session.shown(progress)
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
    /// When the target is away, refuses more rows than may be, or the loader is fenced.
    /// Nothing of the batch is committed then.
    pub fn apply(&mut self, round: &Round) -> Result<Outcome, ApplyError> {
        let result = self.try_apply(round);
        match &result {
            Ok(outcome) => self.outcome = *outcome,
            Err(error) => {
                if let ApplyError::OverLimit(_)
                | ApplyError::Session(SessionError::CommitRefused(_)) = error
                {
                    self.dead_letters.given_up();
                }
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
        let created = self.known_file.created(progress);
        self.session.commit(&self.staging_id, progress, created)?;
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
        if let (Some(statement), Some(end)) = (&round.statement, &round.end) {
            self.check_fit(statement, end)?;
        }
        let applied_before = self.applied.len();
        self.write_somehow(round, redo)?;
        let Some(end) = &round.end else {
            self.dead_letters.round_written();
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
        match self.commit(end) {
            Err(SessionError::CommitRefused(refused)) => {
                self.commit_without_refused(round, end, (redo, applied_before), *refused)?;
            }
            result => result?,
        }
        crash::point(Point::LoaderAfterCommit);
        self.dead_letters.round_written();
        self.dead_letters.committed();
        Ok(Outcome::Committed)
    }

    fn commit(&mut self, end: &Progress) -> Result<(), SessionError> {
        let created = self.known_file.created(end);
        self.session.commit(&self.staging_id, end, created)
    }

    /// Undoes an attempt to write the round.
    fn undo(&mut self, redo: &str, applied_before: usize) -> Result<(), ApplyError> {
        self.applied.truncate(applied_before);
        // Temporary tables of the attempt go with it.
        for table in self.tables.values_mut() {
            table.keyless = None;
            table.replace = None;
            if let Some(delete) = &mut table.statements.delete {
                delete.undo();
            }
        }
        self.session
            .client
            .batch_execute(redo)
            .operation("roll back to redo the batch")?;
        Ok(())
    }

    /// Writes a round the fastest way that works; `redo` undoes an attempt.
    fn write_somehow(&mut self, round: &Round, redo: &str) -> Result<(), ApplyError> {
        let applied_before = self.applied.len();
        let mut path = Path::Straight;
        loop {
            path = match self.write(round, path, None) {
                Ok(Written::All) => return Ok(()),
                Ok(Written::MetDuplicate) => {
                    self.duplicates += 1;
                    log::warn!(
                        "target held rows that the stream inserts: applying the batch again, with deletes, {}",
                        describe(round)
                    );
                    Path::DeleteFirst
                }
                Ok(Written::Otherwise) => path,
                Err(error) if path != Path::Careful && error.may_be_rows() => {
                    log::debug!("failed to {error}");
                    log::info!(
                        "target refuses changes: looking for the rows {}",
                        describe(round)
                    );
                    Path::Careful
                }
                Err(error) => return Err(error),
            };
            self.undo(redo, applied_before)?;
            for table in round.tables() {
                self.prepare_table(&table.layout)?;
            }
        }
    }

    fn prepare_table(&mut self, layout: &Layout) -> Result<(), ApplyError> {
        if self.tables.contains_key(&layout.id) {
            return Ok(());
        }
        let definition = &layout.definition;
        let route = route_to(&mut self.session, &self.router, definition)?;
        let client = &mut self.session.client;
        let kept_apart = constants::look(client, &route)?;
        let display = route.target.display();
        self.sharing
            .add(route.target.oid, &display, &route.source, kept_apart)?;
        let statements = TableStatements::prepare(client, &route, layout.id.0)?;
        let binary = BinaryCopy::prepare(client, &route)?;
        let replaceable = Replace::is_possible(&mut self.session.catalog, client, &route)?;
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
                binary,
                keyless: None,
                replaceable,
                replace: None,
            },
        );
        Ok(())
    }

    /// The target must show that what the statement did at the source is done here.
    fn check_fit(&mut self, statement: &Statement, end: &Progress) -> Result<(), ApplyError> {
        let address = self.router.address(&statement.table);
        let client = &mut self.session.client;
        let catalog = &mut self.session.catalog;
        let found = catalog.find_tables(client, &address.schema, &address.table)?;
        let target = self.router.choose(&statement.table, &address, found)?;
        let lacking = fit::lacking(client, &target, statement, &self.router)?;
        if lacking.is_empty() {
            log::info!(
                "the target has what the statement changed table={} position={}",
                statement.table,
                end.position
            );
            return Ok(());
        }
        Err(ApplyError::Statement(Box::new(NotRepeated {
            position: end.position.clone(),
            source_table: statement.table.clone(),
            target_table: target.display(),
            statement: shorten(&statement.text),
            lacking,
        })))
    }
}

/// Where rows of a definition go on the session's target.
///
/// # Errors
/// When there is no target table, or rows would not fit it or be safe there.
fn route_to(
    session: &mut TargetSession,
    router: &Router,
    definition: &TableDefinition,
) -> Result<Route, ApplyError> {
    let address = router.address(&definition.name);
    let found =
        session
            .catalog
            .find_tables(&mut session.client, &address.schema, &address.table)?;
    let target = router.choose(&definition.name, &address, found)?;
    let route = router.route(definition, target)?;
    if session.replica_role == ReplicaRole::NotPermitted && !route.target.hazards.is_empty() {
        return Err(ApplyError::Hazards {
            source_table: definition.name.clone(),
            target_table: route.target.display(),
            hazards: route.target.hazards.clone(),
            remedy: session.dialect.remedy_for_hazards(),
        });
    }
    Ok(route)
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
