//! What names a dead letter on staging and target alike: its event, and the table.
//!
//! On the target an identity is there exactly while its row is refused and no later change of
//! the same key is applied. It comes and goes in the transaction of the rows, and whoever takes
//! it away holds its lock until then: so a retry by hand and the loader never write the same
//! row at the same time.

use std::collections::HashSet;

use common::pg::{Operation as _, PgError};
use common::position::{BinlogPosition, LogId};
use common::table::TableName;
use postgres::{GenericClient, Row};

use super::DeadLetterError;
use crate::target::session::signed;

/// A dead letter's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The log of the position.
    pub log_id: LogId,
    /// End of the source transaction.
    pub position: BinlogPosition,
    /// Number of the event within it, from 1.
    pub row_number: i64,
    /// Tells equal rows of a keyless table apart, from 1.
    pub copy_number: i32,
    /// The source table.
    pub table: TableName,
}

/// Whether an identity was on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was, and is no longer.
    Yes,
    /// It was not.
    No,
}

/// Columns that [`Identity::from_row`] reads.
pub(super) const COLUMNS: &str =
    "log_id, binlog_file, binlog_pos, row_number, copy_number, database_name, table_name";

impl Identity {
    /// The identity in a row that has [`COLUMNS`].
    pub(super) fn from_row(row: &Row) -> Result<Self, DeadLetterError> {
        let malformed = DeadLetterError::Malformed {
            what: "a dead letter's position",
        };
        let file = row.get::<_, &str>("binlog_file").parse();
        let (Ok(file), Ok(offset)) = (file, u64::try_from(row.get::<_, i64>("binlog_pos"))) else {
            return Err(malformed);
        };
        Ok(Self {
            log_id: LogId(row.get("log_id")),
            position: BinlogPosition::new(file, offset),
            row_number: row.get("row_number"),
            copy_number: row.get("copy_number"),
            table: TableName::new(
                row.get::<_, &str>("database_name"),
                row.get::<_, &str>("table_name"),
            ),
        })
    }

    /// Takes it off the target; waits for whoever is doing the same.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn take(&self, target: &mut impl GenericClient, task: &str) -> Result<Taken, PgError> {
        let count = target
            .execute(
                &format!("delete from mysql2gp.checkpoint_dead_letters where {WHERE}"),
                &[
                    &task,
                    &self.log_id.0,
                    &self.position.file.name(),
                    &signed(self.position.offset),
                    &self.row_number,
                    &self.copy_number,
                    &self.table.database,
                    &self.table.table,
                ],
            )
            .operation("settle a dead letter")?;
        Ok(if count > 0 { Taken::Yes } else { Taken::No })
    }

    /// Whether it is on the target.
    pub(super) fn is_kept(
        &self,
        target: &mut impl GenericClient,
        task: &str,
    ) -> Result<bool, PgError> {
        let row = target
            .query_one(
                &format!(
                    "select exists (select 1 from mysql2gp.checkpoint_dead_letters where {WHERE})"
                ),
                &[
                    &task,
                    &self.log_id.0,
                    &self.position.file.name(),
                    &signed(self.position.offset),
                    &self.row_number,
                    &self.copy_number,
                    &self.table.database,
                    &self.table.table,
                ],
            )
            .operation("look for a dead letter")?;
        Ok(row.get(0))
    }

    /// What the target keeps of the row, if it has the identity.
    pub(super) fn content(
        &self,
        target: &mut impl GenericClient,
        task: &str,
    ) -> Result<Option<Row>, PgError> {
        target
            .query_opt(
                &format!(
                    "select op, definition, key_cells, row_cells, sqlstate, error \
                       from mysql2gp.checkpoint_dead_letters where {WHERE}"
                ),
                &[
                    &task,
                    &self.log_id.0,
                    &self.position.file.name(),
                    &signed(self.position.offset),
                    &self.row_number,
                    &self.copy_number,
                    &self.table.database,
                    &self.table.table,
                ],
            )
            .operation("read a dead letter")
    }

    /// Whether it is committed on the target.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn look(&self, target: &mut impl GenericClient, task: &str) -> Result<Seen, PgError> {
        // One statement, hence one snapshot: position and identity commit together.
        let row = target
            .query_opt(
                &format!(
                    "select log_id, applied_file, applied_pos, \
                            exists (select 1 from mysql2gp.checkpoint_dead_letters where {WHERE}) \
                       from mysql2gp.checkpoint where task = $1"
                ),
                &[
                    &task,
                    &self.log_id.0,
                    &self.position.file.name(),
                    &signed(self.position.offset),
                    &self.row_number,
                    &self.copy_number,
                    &self.table.database,
                    &self.table.table,
                ],
            )
            .operation("look for a dead letter")?;
        let Some(row) = row else {
            return Ok(Seen::Settled);
        };
        if row.get(3) {
            return Ok(Seen::Unresolved);
        }
        let applied = (row.get::<_, &str>(1).parse(), row.get::<_, i64>(2));
        let (Ok(file), Ok(offset)) = (applied.0, u64::try_from(applied.1)) else {
            return Ok(Seen::Settled);
        };
        // Of another log: going over to it may not be committed. The loader tells staging what
        // it settles.
        let behind = self.log_id.0 != row.get::<_, &str>(0)
            || self.position > BinlogPosition::new(file, offset);
        Ok(if behind {
            Seen::NotCommitted
        } else {
            Seen::Settled
        })
    }
}

const WHERE: &str = "task = $1 and log_id = $2 and binlog_file = $3 and binlog_pos = $4 \
                     and row_number = $5 and copy_number = $6 and database_name = $7 and table_name = $8";

/// What the target says of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The row is refused, and nothing has come since.
    Unresolved,
    /// A later change or a person has settled it.
    Settled,
    /// The batch in which it was refused is not committed.
    NotCommitted,
}

/// All identities of a task on the target.
pub(super) fn all(
    target: &mut impl GenericClient,
    task: &str,
) -> Result<HashSet<Identity>, DeadLetterError> {
    let rows = target
        .query(
            &format!("select {COLUMNS} from mysql2gp.checkpoint_dead_letters where task = $1"),
            &[&task],
        )
        .operation("read the dead letters' identities")
        .map_err(DeadLetterError::Target)?;
    rows.iter().map(Identity::from_row).collect()
}
