//! Why staging cannot be read.

use common::error::ErrorClass;
use common::pg::PgError;
use common::position::{BinlogPosition, LogId};
use common::staging::migrate::MigrateError;

/// Why staging cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A statement failed.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Staging is another task's or another version's.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A row of the contract does not hold what it should.
    #[error(
        "staging is damaged: {what} cannot be read; drop the staging database, and the miner stages again from the target's \
         checkpoint"
    )]
    Malformed {
        /// Table and column.
        what: &'static str,
    },
    /// Staging is another one now, or another loader's.
    #[error("another loader has begun to read staging, or staging was made anew; starting over")]
    Taken,
    /// Staging does not know the checkpoint's timeline.
    #[error(
        "the target's checkpoint at {applied} of log {log_id} is none that this staging database has mined or \
         continues: staging was restored from an older copy, or is another task's or another source's; if it is the \
         right source, start the miner, which then forgets what is staged and continues from the checkpoint, and \
         the loader again; to start afresh: `binlog_loader reset` and a new staging database"
    )]
    UnknownTimeline {
        /// Log of the checkpoint.
        log_id: LogId,
        /// Applied position.
        applied: BinlogPosition,
    },
    /// Staging does not reach back to the checkpoint.
    #[error(
        "staging begins at {retained}, the target's checkpoint is at {applied}: what lies between is no longer \
         staged (was the target restored?); start the miner, which then goes back to the checkpoint, and the loader \
         again"
    )]
    Hole {
        /// Oldest position that staging holds.
        retained: BinlogPosition,
        /// Applied position.
        applied: BinlogPosition,
    },
}

impl FetchError {
    /// Whether staging lacks what lies behind the checkpoint, or cannot be trusted to have it
    /// where it was: the flow begins anew, perhaps when it is mined again.
    pub fn is_gap(&self) -> bool {
        matches!(
            self,
            Self::UnknownTimeline { .. } | Self::Hole { .. } | Self::Taken
        )
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Pg(error) => error.class(),
            Self::Migrate(error) => error.class(),
            Self::Taken => ErrorClass::Failed,
            Self::Malformed { .. } | Self::UnknownTimeline { .. } | Self::Hole { .. } => {
                ErrorClass::Operator
            }
        }
    }
}
