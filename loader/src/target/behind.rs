//! Tables that are behind the checkpoint: their rows in `mysql2gp.checkpoint_tables`.
//!
//! Invariants:
//! 1. A row appears with the checkpoint's own position, and goes when the table has reached
//!    the checkpoint.
//! 2. While tables catch up, the checkpoint stays where it is: every commit moves the
//!    positions of the tables that its batch was about. The commit that reaches or passes the
//!    checkpoint removes them, and moves the checkpoint on.
//! 3. All of it happens under the checkpoint's epoch, in the transaction of the rows.

use common::behind::{self, Behind};
use common::checkpoint::Checkpoint;
use common::crash::{self, Point};
use common::pg::Operation as _;
use common::table::TableName;
use postgres::Transaction;

use super::catch_up::{CatchUp, Standing};
use super::dialect::Dialect;
use super::session::{SessionError, TargetSession, optional_literal, quote_literal};
use crate::progress::Progress;

/// What an operator wants of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To hold it back.
    Pause,
    /// To let it catch up.
    Resume,
}

impl Wish {
    /// As staged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The table is paused from here on.
    Paused,
    /// It was before.
    WasPaused,
    /// It catches up from here on.
    Resumed,
    /// It was not paused.
    WasNotPaused,
}

impl Held {
    const ALL: [Self; 4] = [
        Self::Paused,
        Self::WasPaused,
        Self::Resumed,
        Self::WasNotPaused,
    ];

    /// As staged.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::WasPaused => "was paused",
            Self::Resumed => "resumed",
            Self::WasNotPaused => "was not paused",
        }
    }

    /// What was staged.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|held| held.as_str() == text)
    }
}

/// Statements of a commit, each with a semicolon behind it.
pub(super) enum OwnPositions {
    /// These, besides moving the checkpoint.
    Besides(String),
    /// These, while the checkpoint stays.
    Instead(String),
}

impl TargetSession {
    /// Tables that are behind the checkpoint, by name.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn behind(&mut self, checkpoint: &Checkpoint) -> Result<Vec<Behind>, SessionError> {
        Ok(behind::read(&mut self.client, &self.task, checkpoint)?)
    }

    /// From here on commits are about tables that catch up; `None`: about all of them.
    pub fn catch_up(&mut self, catch_up: Option<CatchUp>) {
        self.catch_up = catch_up;
    }

    /// Whether tables are behind that commits are about.
    pub fn is_catching_up(&self) -> bool {
        self.catch_up.is_some()
    }

    /// What the status shows as applied at `progress`.
    pub fn shown(&self, progress: Progress) -> Progress {
        match &self.catch_up {
            Some(catch_up) => catch_up.shown(progress),
            None => progress,
        }
    }

    /// Pauses or resumes a table, in a transaction of its own; between two batches.
    ///
    /// # Errors
    /// When a statement fails, or the epoch is no longer this loader's.
    pub fn hold(&mut self, wish: Wish, table: &TableName) -> Result<Held, SessionError> {
        let task = self.task.clone();
        let mut transaction = self.begin_hold()?;
        let row = transaction
            .query_opt(STATE, &[&task, &table.database, &table.table])
            .operation("look for the table's position")?;
        let state: Option<String> = row.map(|row| row.get(0));
        let (held, statement) = match (wish, state.as_deref()) {
            (Wish::Pause, None) => (Held::Paused, Some(PAUSE)),
            (Wish::Pause, Some("paused")) => (Held::WasPaused, None),
            (Wish::Pause, Some(_)) => (Held::Paused, Some(PAUSE_AGAIN)),
            (Wish::Resume, Some("paused")) => (Held::Resumed, Some(RESUME)),
            (Wish::Resume, Some(_) | None) => (Held::WasNotPaused, None),
        };
        if let Some(statement) = statement {
            transaction
                .execute(statement, &[&task, &table.database, &table.table])
                .operation("write the table's position")?;
            crash::point(Point::LoaderHolding);
        }
        transaction
            .commit()
            .operation("write the table's position")?;
        crash::point(Point::LoaderHeld);
        Ok(held)
    }

    /// Forgets positions: the tables have what the others have, or are no longer listed.
    ///
    /// # Errors
    /// When a statement fails, or the epoch is no longer this loader's.
    pub fn forget_behind(&mut self, tables: &[TableName]) -> Result<(), SessionError> {
        if tables.is_empty() {
            return Ok(());
        }
        let task = self.task.clone();
        let mut transaction = self.begin_hold()?;
        for table in tables {
            transaction
                .execute(FORGET, &[&task, &table.database, &table.table])
                .operation("remove a table's position")?;
        }
        transaction
            .commit()
            .operation("remove a table's position")?;
        Ok(())
    }

    /// Without an epoch, the task's lock alone keeps others away.
    fn begin_hold(&mut self) -> Result<Transaction<'_>, SessionError> {
        let (task, epoch) = (self.task.clone(), self.epoch());
        let mut transaction = self
            .client
            .transaction()
            .operation("write the table's position")?;
        let row = transaction
            .query_opt(LOCK, &[&task])
            .operation("lock the checkpoint")?;
        let found: Option<i64> = row.map(|row| row.get(0));
        match (epoch, found) {
            (Some(epoch), found) if found != Some(epoch) => {
                Err(SessionError::Fenced { task, epoch })
            }
            (Some(_) | None, _) => Ok(transaction),
        }
    }

    /// What a commit at `progress` does to tables' own positions.
    pub(super) fn own_positions(
        &self,
        progress: &Progress,
        file_created: Option<i64>,
    ) -> OwnPositions {
        let Some(catch_up) = &self.catch_up else {
            return OwnPositions::Besides(String::new());
        };
        let standing = catch_up.standing(progress);
        let whose = (self.task.as_str(), self.dialect);
        let statement = own_statement(whose, catch_up, (standing, progress), file_created);
        match standing {
            Standing::Ahead => OwnPositions::Besides(statement),
            Standing::Level | Standing::Behind => OwnPositions::Instead(statement),
        }
    }

    /// A commit at `progress` has happened.
    pub(super) fn note_committed(&mut self, progress: &Progress) {
        let Some(catch_up) = &mut self.catch_up else {
            return;
        };
        match catch_up.standing(progress) {
            Standing::Ahead => {
                crash::point(Point::LoaderCaughtUp);
                for table in catch_up.tables() {
                    log::info!(
                        "caught up: the table goes on with the others table={table} position={}",
                        progress.position
                    );
                }
                self.catch_up = None;
                return;
            }
            Standing::Level => {}
            Standing::Behind => crash::point(Point::LoaderCatchingUp),
        }
        catch_up.note(progress);
    }
}

/// Where a table stands.
const STATE: &str = "\
select state from mysql2gp.checkpoint_tables
 where task = $1 and database_name = $2 and table_name = $3";

/// Keeps others from raising the epoch meanwhile.
const LOCK: &str = "select epoch from mysql2gp.checkpoint where task = $1 for update";

const PAUSE: &str = "\
insert into mysql2gp.checkpoint_tables
       (task, database_name, table_name, state, timeline_id, log_id, file_created, applied_file, applied_pos,
        applied_gtid_set, consistent_from, changed_at)
select task, $2::text, $3::text, 'paused', timeline_id, log_id, file_created, applied_file, applied_pos,
       applied_gtid_set, consistent_from, clock_timestamp()
  from mysql2gp.checkpoint
 where task = $1";

const PAUSE_AGAIN: &str = "\
update mysql2gp.checkpoint_tables set state = 'paused', changed_at = clock_timestamp()
 where task = $1 and database_name = $2 and table_name = $3";

const RESUME: &str = "\
update mysql2gp.checkpoint_tables set state = 'catching_up', changed_at = clock_timestamp()
 where task = $1 and database_name = $2 and table_name = $3";

const FORGET: &str = "\
delete from mysql2gp.checkpoint_tables
 where task = $1 and database_name = $2 and table_name = $3";

/// What a commit at `progress` does to the tables that catch up.
fn own_statement(
    (task, dialect): (&str, Dialect),
    catch_up: &CatchUp,
    (standing, progress): (Standing, &Progress),
    file_created: Option<i64>,
) -> String {
    let names: Vec<String> = catch_up
        .moved(progress)
        .map(|table| {
            let (database, table) = (quote_literal(&table.database), quote_literal(&table.table));
            format!("(database_name = {database} and table_name = {table})")
        })
        .collect();
    if names.is_empty() {
        return String::new();
    }
    let which = format!(
        "where task = {} and state = 'catching_up' and ({})",
        quote_literal(task),
        names.join(" or ")
    );
    match standing {
        Standing::Ahead | Standing::Level => {
            format!("delete from mysql2gp.checkpoint_tables {which}; ")
        }
        // In the order of `checkpoint_update`, for its reason.
        Standing::Behind => format!(
            "update mysql2gp.checkpoint_tables \
                    set file_created = coalesce({file_created}, case when (timeline_id, applied_file) = ({timeline_id}, {file}) \
                                                                     then file_created end), \
                        timeline_id = {timeline_id}, log_id = {log_id}, applied_file = {file}, applied_pos = {offset}, \
                        applied_gtid_set = {gtid_set}, consistent_from = {consistent_from} {which}; ",
            timeline_id = quote_literal(&progress.timeline.id.0),
            log_id = quote_literal(&progress.timeline.log_id.0),
            file = quote_literal(progress.position.file.name()),
            offset = progress.position.offset,
            file_created =
                file_created.map_or_else(|| "null".into(), |created| created.to_string()),
            gtid_set = optional_literal(dialect.kept_text(progress.gtid_set.as_deref())),
            consistent_from = optional_literal(progress.consistent_from().as_deref()),
        ),
    }
}

/// What is sent when a table is paused and let go on, each statement.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[LOCK, STATE, PAUSE, PAUSE_AGAIN, RESUME, FORGET];

/// What commits do to `table` on its way to `reached`, and when it gets there.
#[cfg(test)]
pub(crate) fn ways(
    (task, dialect): (&str, Dialect),
    table: TableName,
    reached: &Progress,
) -> [String; 2] {
    let catch_up = CatchUp::new(reached.clone(), vec![(table, 0)], &reached.timeline.id);
    [Standing::Behind, Standing::Ahead]
        .map(|standing| own_statement((task, dialect), &catch_up, (standing, reached), None))
}
