//! Forgetting what is staged: staging and target were restored from copies that do not join.
//!
//! Staging is empty afterwards, but for dead letters, whose authority is the target; it counts
//! as a new incarnation. Its numbers go on, so that nothing that was applied of the old one can
//! be taken for a part of the new one.

use common::pg::{Operation as _, PgError};
use common::staging::segment_table;

use super::session::StagingSession;
use crate::error::MinerError;

/// Whether staging was emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It was.
    Yes,
    /// The loader does not need it any more.
    TakenBack,
}

const FORGET: &str = "\
delete from mysql2gp.segment;
delete from mysql2gp.timeline;
delete from mysql2gp.definition;
delete from mysql2gp.prepared;
delete from mysql2gp.table_progress;
delete from mysql2gp.table_error;
delete from mysql2gp.batch;
update mysql2gp.dead_letter set event_seq = null;
update mysql2gp.task set staging_id = md5(random()::text || clock_timestamp()::text)::uuid";

impl StagingSession {
    /// Position that the loader needs staging to reach back to, when it does not.
    ///
    /// # Errors
    /// When the statement fails.
    pub fn asked_back(&mut self) -> Result<Option<String>, MinerError> {
        self.client
            .query_one("select needs_from from mysql2gp.loader", &[])
            .operation("look for what the loader needs")
            .map(|row| row.get(0))
            .map_err(MinerError::Staging)
    }

    /// Empties staging, unless the loader does not ask for `asked` any more.
    ///
    /// # Errors
    /// When a statement fails or a later miner has taken over; then all stays as it was.
    pub fn forget_staged(&mut self, asked: Option<&str>) -> Result<Forgotten, MinerError> {
        match self.try_forget(asked).map_err(MinerError::Staging)? {
            Some(forgotten) => Ok(forgotten),
            None => Err(self.fenced()),
        }
    }

    /// `None`: a later miner has taken over.
    fn try_forget(&mut self, asked: Option<&str>) -> Result<Option<Forgotten>, PgError> {
        const OPERATION: &str = "empty staging";
        let mut transaction = self.client.transaction().operation(OPERATION)?;
        let ours = transaction
            .execute(
                "update mysql2gp.miner \
                    set timeline_id = null, log_id = null, file_created = null, staged_file = null, staged_pos = null, \
                        staged_gtid_set = null, caught_up = false \
                  where epoch = $1",
                &[&self.epoch],
            )
            .operation(OPERATION)?;
        if ours == 0 {
            return Ok(None);
        }
        // The loader reads nothing until this transaction has ended.
        let needed = transaction
            .execute(
                "update mysql2gp.loader set needs_from = null where needs_from is not distinct from $1",
                &[&asked],
            )
            .operation(OPERATION)?;
        if needed == 0 {
            return Ok(Some(Forgotten::TakenBack));
        }
        let segments = transaction
            .query("select segment_no from mysql2gp.segment", &[])
            .operation(OPERATION)?;
        for row in &segments {
            let table = segment_table(row.get(0));
            transaction
                .batch_execute(&format!("drop table if exists {table}"))
                .operation(OPERATION)?;
        }
        transaction.batch_execute(FORGET).operation(OPERATION)?;
        transaction.commit().operation(OPERATION)?;
        Ok(Some(Forgotten::Yes))
    }
}
