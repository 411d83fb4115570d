//! Rows that the target refuses at the commit only: by deferred constraints and constraint
//! triggers.
//!
//! Such a check may need rows of several tables, so it can tell a row only when all others are
//! written. The round is written again with one table last; everything but its rows is checked
//! first, and then each run of them, so that what is refused is so because of them. The table
//! that the server names is tried first. Rows of the table that need one another are tried
//! until none is taken any more.
//!
//! Where what is violated is not the fault of one table's rows (a parent is deleted whose child
//! stays, rows of two tables are bad, the row was in an earlier round of the transaction),
//! nothing is left out: the loader stops.

use common::pg::Operation as _;
use common::table::DefinitionId;
use postgres::Client;

use super::error::{self, ApplyError};
use super::{Applier, Path, describe};
use crate::progress::Progress;
use crate::round::Round;
use crate::target::{CommitRefused, SessionError};

/// The table whose rows are to blame, perhaps.
pub(super) struct Checked {
    pub(super) definition: DefinitionId,
    /// What the commit said.
    refused: CommitRefused,
}

impl Checked {
    /// Has everything that is written checked, and from now on each statement.
    ///
    /// # Errors
    /// What the commit said, when the table's rows are not to blame, or not alone.
    pub(super) fn check_the_rest(&self, client: &mut Client) -> Result<(), ApplyError> {
        match client.batch_execute("set constraints all immediate") {
            Err(error) if error::refusal(&error).is_some() => Err(self.error()),
            result => Ok(result.operation("check deferred constraints")?),
        }
    }

    fn error(&self) -> ApplyError {
        SessionError::CommitRefused(Box::new(self.refused.clone())).into()
    }
}

impl Applier {
    /// Commits the round without the rows that the commit has refused.
    ///
    /// # Errors
    /// As [`Applier::apply`]; and `refused`, when no rows can be told.
    pub(super) fn commit_without_refused(
        &mut self,
        round: &Round,
        end: &Progress,
        (redo, applied_before): (&str, usize),
        refused: CommitRefused,
    ) -> Result<(), ApplyError> {
        log::info!(
            "target refuses changes at the commit: looking for the rows {}",
            describe(round)
        );
        let mut checked = Checked {
            definition: DefinitionId(0),
            refused,
        };
        for definition in self.candidates(round, &checked.refused) {
            checked.definition = definition;
            self.dead_letters.round_undone()?;
            self.undo(redo, applied_before)?;
            match self.write(round, Path::Careful, Some(&checked)) {
                Ok(_) => return Ok(self.commit(end)?),
                Err(ApplyError::Session(SessionError::CommitRefused(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Err(checked.error())
    }

    /// The tables of the round, the one that is named first.
    fn candidates(&self, round: &Round, refused: &CommitRefused) -> Vec<DefinitionId> {
        let mut candidates: Vec<DefinitionId> =
            round.tables().iter().map(|table| table.layout.id).collect();
        // A stable sort.
        candidates.sort_by_key(|definition| {
            let route = self.tables.get(definition).map(|table| &table.route);
            route.is_none_or(|route| Some(&route.target.name) != refused.table.as_ref())
        });
        candidates
    }
}
