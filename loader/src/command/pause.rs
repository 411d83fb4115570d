//! `pause TABLE` and `resume TABLE`: one table is held back while the others go on.
//!
//! Where a loader runs, it is asked by way of staging, and takes it up between two batches.
//! Where none does, the table's position is written on the target with the task's lock held.
//! One of the two is always so; it may change while we wait.

use std::io::Write;
use std::time::{Duration, Instant};

use common::pg::{self, Operation as _};
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use common::table::TableName;
use postgres::Client;

use super::CommandError;
use super::status::require_views;
use crate::fetch::wishes;
use crate::route::{Router, ValuePolicy};
use crate::target::{Held, SessionError, TargetSession, Wish};

/// How often the loader's answer is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How often it is looked whether a loader still runs.
const LOCK_INTERVAL: Duration = Duration::from_secs(2);

/// Those that the miner has found at its start, those that were created since and have changes,
/// and those that were dropped since and wait.
const KNOWN_TABLES: &str = "\
select database_name, table_name from mysql2gp.replicated_table
 union
select database_name, table_name from mysql2gp.definition
 union
select database_name, table_name from mysql2gp.behind
 order by 1, 2";

/// Who has done it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doer {
    RunningLoader,
    Ourselves,
}

/// Pauses or resumes a table, waiting up to the given time for a loader that runs.
///
/// # Errors
/// When there is no such table, it cannot be held back alone, the loader does not answer, or a
/// server is away.
pub fn run(
    settings: &Settings,
    (wish, table, timeout): (Wish, &str, Duration),
    shutdown: &Shutdown,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut staging =
        pg::connect(&settings.staging, "binlog_loader pause").map_err(CommandError::Staging)?;
    require_views(&mut staging, settings)?;
    let table = find(&mut staging, settings, table)?;
    let deadline = Instant::now() + timeout;
    let mut asked = Asked::default();
    let result = loop {
        match hold(settings, wish, &table, shutdown) {
            Err(CommandError::Session(SessionError::Held { holder, .. })) => {
                match asked.wait(&mut staging, (wish, &table), deadline, shutdown) {
                    Ok(Some(held)) => break Ok((held, Doer::RunningLoader)),
                    Ok(None) if Instant::now() >= deadline => {
                        break Err(CommandError::NotTaken {
                            holder,
                            waited_seconds: timeout.as_secs(),
                        });
                    }
                    Ok(None) => {}
                    Err(error) => break Err(error),
                }
            }
            held => break held.map(|held| (held, Doer::Ourselves)),
        }
    };
    // The loader may have taken it up at the last moment.
    let (held, doer) = match (asked.withdraw(&mut staging)?, result) {
        (Some(held), Err(_)) => (held, Doer::RunningLoader),
        (_, result) => result?,
    };
    say(&table, held, doer, out)
}

/// A wish in staging.
#[derive(Default)]
struct Asked(Option<i64>);

impl Asked {
    /// Asks, once, and waits a while for the answer.
    fn wait(
        &mut self,
        staging: &mut Client,
        (wish, table): (Wish, &TableName),
        deadline: Instant,
        shutdown: &Shutdown,
    ) -> Result<Option<Held>, CommandError> {
        let id = match self.0 {
            Some(id) => id,
            None => wishes::ask(staging, wish, table).map_err(CommandError::Staging)?,
        };
        self.0 = Some(id);
        let until = deadline.min(Instant::now() + LOCK_INTERVAL);
        while Instant::now() < until {
            let answer = wishes::answer_to(staging, id).map_err(CommandError::Staging)?;
            if answer.is_some() {
                return Ok(answer);
            }
            if shutdown.wait(LOOK_INTERVAL) == Waited::Stop {
                return Err(SessionError::Stopped.into());
            }
        }
        Ok(None)
    }

    fn withdraw(&self, staging: &mut Client) -> Result<Option<Held>, CommandError> {
        match self.0 {
            Some(id) => wishes::withdraw(staging, id).map_err(CommandError::Staging),
            None => Ok(None),
        }
    }
}

/// Does it, where no loader runs.
fn hold(
    settings: &Settings,
    wish: Wish,
    table: &TableName,
    shutdown: &Shutdown,
) -> Result<Held, CommandError> {
    let task = &settings.task.name;
    let mut session =
        TargetSession::open(&settings.target.conninfo, task, Duration::ZERO, shutdown)?;
    if session.checkpoint()?.is_none() {
        return Err(CommandError::NoCheckpoint { task: task.clone() });
    }
    Ok(session.hold(wish, table)?)
}

fn say(
    table: &TableName,
    held: Held,
    doer: Doer,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let by = match doer {
        Doer::RunningLoader => "the running loader has taken it up",
        Doer::Ourselves => "no loader runs: it counts from its next start on",
    };
    match held {
        Held::Paused => writeln!(
            out,
            "{table} is paused, {by}; its changes wait in staging until `binlog_loader resume {table}`"
        )?,
        Held::WasPaused => writeln!(out, "{table} was paused already; nothing is changed")?,
        Held::Resumed => writeln!(
            out,
            "{table} is resumed, {by}; it catches up, by turns with the other tables where that takes long"
        )?,
        Held::WasNotPaused => writeln!(out, "{table} is not paused; nothing is changed")?,
    }
    Ok(())
}

/// The table that is meant; `name` is as in the table list, without wildcards.
fn find(staging: &mut Client, settings: &Settings, name: &str) -> Result<TableName, CommandError> {
    let rows = staging
        .query(KNOWN_TABLES, &[])
        .operation("read the replicated tables")
        .map_err(CommandError::Staging)?;
    let tables: Vec<TableName> = rows
        .iter()
        .map(|row| TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
        .filter(|known| settings.tables.contains(known))
        .collect();
    let table = match name.split_once('.') {
        Some((database, table)) => TableName::new(database.trim(), table.trim()),
        None => TableName::new(settings.source.database.as_str(), name.trim()),
    };
    if !tables.contains(&table) {
        let near = nearest(&table, &tables).cloned();
        return Err(CommandError::NoTable { table, near });
    }
    let router = Router::new(
        &settings.rules,
        &settings.target.schema,
        ValuePolicy::of(settings),
    );
    if let Some((other, target)) = router.ordered_with(&table, tables.iter()) {
        return Err(CommandError::Shared {
            table,
            other: other.clone(),
            target,
        });
    }
    Ok(table)
}

/// The table with the most similar name, if it is one that could be meant.
fn nearest<'a>(name: &TableName, tables: &'a [TableName]) -> Option<&'a TableName> {
    let folded = |name: &TableName| name.to_string().to_lowercase();
    let wanted = folded(name);
    tables
        .iter()
        .map(|table| (strsim::damerau_levenshtein(&folded(table), &wanted), table))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= wanted.chars().count() / 3)
        .map(|(_, table)| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_table_has_a_near_one() {
        let tables = [
            TableName::new("shop", "orders"),
            TableName::new("shop", "order_items"),
        ];
        let near = |table| nearest(&TableName::new("shop", table), &tables);
        assert_eq!(near("Orders"), tables.first());
        assert_eq!(near("ordres"), tables.first());
        assert_eq!(near("orderitems"), tables.get(1));
        assert_eq!(near("customers_of_yore"), None);
    }
}
