//! Tables that are behind, copied into staging for the views and for the miner's messages.

use common::pg::{Operation as _, PgError};
use postgres::Transaction;

use super::ledger::system_time;
use crate::coverage::Shown;
use crate::target::session::signed;

const OPERATION: &str = "write the positions of tables";

/// Writes those that are behind; all others no longer are.
pub(super) fn write(transaction: &mut Transaction<'_>, tables: &[Shown]) -> Result<(), PgError> {
    transaction
        .execute("delete from mysql2gp.behind", &[])
        .operation(OPERATION)?;
    for Shown {
        behind,
        transaction_seq,
        ..
    } in tables
    {
        transaction
            .execute(
                "insert into mysql2gp.behind \
                        (database_name, table_name, state, applied_file, applied_pos, transaction_seq, changed_at) \
                 values ($1, $2, $3, $4, $5, $6, $7)",
                &[
                    &behind.table.database,
                    &behind.table.table,
                    &behind.state.as_str(),
                    &behind.at.applied.file.name(),
                    &signed(behind.at.applied.offset),
                    &signed(*transaction_seq),
                    &system_time(behind.changed_at_us),
                ],
            )
            .operation(OPERATION)?;
    }
    Ok(())
}

/// Those that have caught up have.
pub(super) fn caught_up(transaction: &mut Transaction<'_>) -> Result<(), PgError> {
    transaction
        .execute(
            "delete from mysql2gp.behind where state = 'catching_up'",
            &[],
        )
        .operation(OPERATION)?;
    Ok(())
}
