//! The target's checkpoint: what is applied, and who applies.
//!
//! Written by the loader in the transaction that changes the rows; read by the miner when
//! its staging is empty. The checkpoint is the authority: staging's applied position is a
//! copy. It bounds: every source transaction that ends at or before `applied` is on the
//! target, none behind it is.

use postgres::Client;

use crate::pg::{Operation as _, PgError};
use crate::position::{BinlogPosition, LogId, TimelineId};

/// Creates the loader's tables on the target.
pub const CREATE: &str = include_str!("../../sql/target/0001_checkpoint.sql");

/// A task's row in `mysql2gp.checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The timeline that the positions belong to.
    pub timeline_id: TimelineId,
    /// The log that the positions belong to.
    pub log_id: LogId,
    /// When the file of `applied` was created, seconds since 1970, where known.
    pub file_created: Option<u32>,
    /// Where the task was configured to start.
    pub start_position: String,
    /// End of the last applied source transaction.
    pub applied: BinlogPosition,
    /// Exactly the GTIDs up to there, those of filtered out transactions included; `None`
    /// when they are not known.
    pub applied_gtid_set: Option<String>,
    /// The staging incarnation in which `transaction_seq` counts.
    pub staging_id: String,
    /// Last applied transaction in that staging.
    pub transaction_seq: u64,
    /// Last applied event in that staging.
    pub event_seq: u64,
    /// Position from which the target shows states that the source had; `None`: from the start.
    pub consistent_from: Option<BinlogPosition>,
}

/// Reads a task's checkpoint; `None` when there is none yet.
///
/// # Errors
/// When the statement fails or the row does not hold a position.
pub fn read(client: &mut Client, task: &str) -> Result<Option<Checkpoint>, CheckpointError> {
    let exists: bool = client
        .query_one(
            "select exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = 'mysql2gp' and c.relname = 'checkpoint')",
            &[],
        )
        .operation("look for the checkpoint")?
        .get(0);
    if !exists {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "select timeline_id, log_id, start_position, applied_file, applied_pos, applied_gtid_set, staging_id, \
                    transaction_seq, event_seq, consistent_from, file_created \
               from mysql2gp.checkpoint where task = $1",
            &[&task],
        )
        .operation("read the checkpoint")?;
    let Some(row) = row else { return Ok(None) };
    let malformed = |column| CheckpointError::Malformed { column };
    let unsigned = |column: &'static str| {
        u64::try_from(row.get::<_, i64>(column)).map_err(|_| malformed(column))
    };
    Ok(Some(Checkpoint {
        timeline_id: TimelineId(row.get("timeline_id")),
        log_id: LogId(row.get("log_id")),
        start_position: row.get("start_position"),
        applied: BinlogPosition::new(
            row.get::<_, &str>("applied_file")
                .parse()
                .map_err(|_| malformed("applied_file"))?,
            unsigned("applied_pos")?,
        ),
        file_created: row
            .get::<_, Option<i64>>("file_created")
            .and_then(|created| u32::try_from(created).ok()),
        // Where the empty string would be NULL, a blank stands for it.
        applied_gtid_set: row
            .get::<_, Option<&str>>("applied_gtid_set")
            .map(|set| set.trim().to_owned()),
        staging_id: row.get("staging_id"),
        transaction_seq: unsigned("transaction_seq")?,
        event_seq: unsigned("event_seq")?,
        consistent_from: row
            .get::<_, Option<&str>>("consistent_from")
            .map(str::parse)
            .transpose()
            .map_err(|_| malformed("consistent_from"))?,
    }))
}

/// Why a checkpoint cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A statement failed.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Somebody changed the row by hand.
    #[error(
        "mysql2gp.checkpoint on the target: column {column} does not hold a position: restore the row, or run \
         binlog_loader reset and load the tables anew"
    )]
    Malformed {
        /// The column.
        column: &'static str,
    },
    /// The same of a table's own position.
    #[error(
        "mysql2gp.checkpoint_tables on the target: column {column} does not hold what the loader writes"
    )]
    MalformedTable {
        /// The column.
        column: &'static str,
    },
}

impl CheckpointError {
    /// What to do about it.
    pub fn class(&self) -> crate::error::ErrorClass {
        match self {
            Self::Pg(error) => error.class(),
            Self::Malformed { .. } | Self::MalformedTable { .. } => {
                crate::error::ErrorClass::Operator
            }
        }
    }
}
