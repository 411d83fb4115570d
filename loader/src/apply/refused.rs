//! The careful way to write a table, once the fast one has met a row that the target refuses.
//!
//! Items are tried in runs, each under a savepoint. A run that is refused is divided: by the
//! line that the target names, else in halves; a row is refused only when it is so alone. The
//! length of runs falls with each refusal and doubles with each success, so that few refused
//! rows among many cost little, and many do not cost their square.
//!
//! Deletes are never refused. A key or row that the target's types cannot hold is not there;
//! any other refusal of a delete stops the loader.

use std::io::Write as _;

use common::pg::{Operation as _, PgError};
use postgres::{Client, Statement};

use super::COPY_BYTES;
use super::error::{self, ApplyError};
use super::keyless::KeylessDelete;
use super::keys::{KeyBuffers, KeysError};
use super::statements::{ALLOW_SCAN, FORBID_SCAN, KeyAccess, TableStatements};
use super::table::At;
use crate::dead_letters::{Item, Op, Refusal};
use crate::round::{First, Net};
use crate::route::RowError;

/// Least length that runs fall to.
const LEAST_RUN: usize = 64;

/// Why a run failed.
enum Failed {
    /// Because of one of its items.
    Refused(Refusal),
    /// For another reason.
    Error(ApplyError),
}

impl From<ApplyError> for Failed {
    fn from(error: ApplyError) -> Self {
        Self::Error(error)
    }
}

/// Whether to go on with the next item.
enum Next {
    Go,
    Enough,
}

/// How many refused rows are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// So many, and one more.
    UpTo(u64),
    /// All, and until none of them is taken any more: rows may be valid with others only.
    UntilStable,
}

/// What became of a table's rows.
pub(super) struct Outcome<'r> {
    pub(super) copied: u64,
    /// In the order of the rows; ends with the first one over the limit.
    pub(super) refused: Vec<(Item<'r>, Refusal)>,
}

impl<'r> At<'r, '_> {
    /// Deletes the keys that the target can hold, whatever it says of the others.
    pub(super) fn delete_keys_carefully(
        &self,
        client: &mut Client,
        statements: &mut TableStatements,
        buffers: &mut KeyBuffers,
    ) -> Result<u64, ApplyError> {
        let Some(delete) = &mut statements.delete else {
            return Ok(0);
        };
        let mut net_deletes = 0;
        let mut scratch = Vec::new();
        let mut held = Vec::new();
        for net in self.net() {
            let (Net::Upsert { key, .. } | Net::Delete { key }) = net else {
                continue;
            };
            net_deletes += u64::from(matches!(net, Net::Delete { .. }));
            match self.route.write_key(key, &mut scratch, |_, _| {}) {
                Ok(()) => held.push(key),
                Err(error) => {
                    // Not damaged: then no row of the target has such a key.
                    self.refusal_of(error)?;
                }
            }
        }
        let attempt = |client: &mut Client, run: &[&[u8]]| {
            let deleted = delete.delete(client, self.route, run.iter().copied(), buffers);
            deleted.map_err(|error| {
                // The temporary table goes with the savepoint.
                delete.undo();
                self.failed_keys(error)
            })
        };
        let scan = statements.key_access == KeyAccess::Scan;
        if scan {
            execute(client, ALLOW_SCAN)?;
        }
        in_runs(client, &held, attempt, |_, refusal| {
            if refusal.sqlstate.starts_with("22") {
                return Ok(Next::Go);
            }
            Err(self.refused(refusal))
        })?;
        delete.end(client, self.round)?;
        if scan {
            execute(client, FORBID_SCAN)?;
        }
        Ok(net_deletes)
    }

    fn failed_keys(&self, error: KeysError) -> Failed {
        const OPERATION: &str = "delete from target table";
        match error {
            KeysError::Row(error) => self.row_error(error).into(),
            KeysError::Pg(error) => failed(OPERATION, &error),
            KeysError::Unprepared(error) => ApplyError::from(error).into(),
            KeysError::Copy(error) => match error::server_error(&error) {
                Some(server) => failed(OPERATION, server),
                None => error::lost(OPERATION, error).into(),
            },
        }
    }

    /// Copies the rows that the target takes.
    pub(super) fn copy_rows_carefully(
        &self,
        client: &mut Client,
        statements: &TableStatements,
        search: Search,
    ) -> Result<Outcome<'r>, ApplyError> {
        let mut refused: Vec<(Item<'r>, Refusal)> = Vec::new();
        let over = |refused: &Vec<_>| match search {
            Search::UpTo(room) => u64::try_from(refused.len()).is_ok_and(|count| count > room),
            Search::UntilStable => false,
        };
        let mut items = Vec::new();
        let mut buffer = Vec::new();
        for item in self.items() {
            buffer.clear();
            match self.route.write_row(item.row, &mut buffer) {
                Ok(()) => items.push(item),
                Err(error) => refused.push((item, self.refusal_of(error)?)),
            }
            if over(&refused) {
                return Ok(Outcome { copied: 0, refused });
            }
        }
        let ours = refused.len();
        let attempt = |client: &mut Client, run: &[Item<'_>]| {
            self.copy_run(client, &statements.copy, run.iter().map(|item| item.row))
        };
        in_runs(client, &items, attempt, |item, refusal| {
            refused.push((*item, refusal));
            Ok(if over(&refused) {
                Next::Enough
            } else {
                Next::Go
            })
        })?;
        if search == Search::UntilStable {
            self.copy_again(client, &statements.copy, &mut refused, ours)?;
        }
        let copied = items.len() - (refused.len() - ours);
        Ok(Outcome {
            copied: u64::try_from(copied).unwrap_or_default(),
            refused,
        })
    }

    /// Tries rows that were refused, from number `first` on, again and again as long as one of
    /// them is taken: it may have needed another one of them.
    fn copy_again(
        &self,
        client: &mut Client,
        copy: &Statement,
        refused: &mut Vec<(Item<'r>, Refusal)>,
        first: usize,
    ) -> Result<(), ApplyError> {
        loop {
            let again: Vec<Item<'r>> = refused.drain(first..).map(|(item, _)| item).collect();
            let attempt = |client: &mut Client, run: &[Item<'_>]| {
                self.copy_run(client, copy, run.iter().map(|item| item.row))
            };
            in_runs(client, &again, attempt, |item, refusal| {
                refused.push((*item, refusal));
                Ok(Next::Go)
            })?;
            if refused.len() - first == again.len() || refused.len() == first {
                return Ok(());
            }
        }
    }

    /// The rows to write, one by one.
    fn items(&self) -> impl Iterator<Item = Item<'r>> + use<'r> {
        let changes = self.round.changes_with_events(self.changes);
        changes.flat_map(|(net, event_seq)| {
            let (op, key, row, copies) = match net {
                Net::Upsert { key, row, first } => {
                    let op = match first {
                        First::Insert => Op::Insert,
                        First::Other => Op::Update,
                    };
                    (op, Some(key), row, 1)
                }
                Net::Rows { row, inserts, .. } => (Op::Insert, None, row, inserts),
                Net::Delete { key } => (Op::Update, Some(key), key, 0),
            };
            let copies = i32::try_from(copies).unwrap_or(i32::MAX);
            (1..=copies).map(move |copy_number| Item {
                op,
                key,
                row,
                event_seq,
                copy_number,
            })
        })
    }

    fn copy_run<'i>(
        &self,
        client: &mut Client,
        copy: &Statement,
        rows: impl Iterator<Item = &'i [u8]>,
    ) -> Result<(), Failed> {
        const OPERATION: &str = "copy into target table";
        let mut writer = client
            .copy_in(copy)
            .map_err(|error| failed(OPERATION, &error))?;
        let mut buffer = Vec::new();
        for row in rows {
            self.route
                .write_row(row, &mut buffer)
                .map_err(|error| self.row_error(error))?;
            if buffer.len() >= COPY_BYTES {
                write(&mut writer, &buffer)?;
                buffer.clear();
            }
        }
        write(&mut writer, &buffer)?;
        writer.finish().map_err(|error| failed(OPERATION, &error))?;
        Ok(())
    }

    /// Copies the keyless rows to delete into the temporary table, without those that the
    /// target cannot hold; how many rows they are.
    pub(super) fn copy_deletes_carefully(
        &self,
        client: &mut Client,
        keyless: &KeylessDelete,
    ) -> Result<u64, ApplyError> {
        let mut held = Vec::new();
        let mut buffer = Vec::new();
        for (number, (row, deletes)) in self.keyless_deletes().enumerate() {
            buffer.clear();
            match self.route.write_row(row, &mut buffer) {
                Ok(()) => held.push((number, row, deletes)),
                Err(error) => {
                    self.refusal_of(error)?;
                }
            }
        }
        let mut expected: u64 = held.iter().map(|(.., deletes)| u64::from(*deletes)).sum();
        let attempt = |client: &mut Client, run: &[(usize, &[u8], u32)]| {
            let mut writer = client
                .copy_in(&keyless.copy)
                .map_err(|error| failed("copy rows to delete", &error))?;
            let mut buffer = Vec::new();
            for (number, row, deletes) in run {
                buffer.extend_from_slice(format!("{number}\t{deletes}\t").as_bytes());
                self.route
                    .write_row(row, &mut buffer)
                    .map_err(|error| self.row_error(error))?;
                if buffer.len() >= COPY_BYTES {
                    write(&mut writer, &buffer)?;
                    buffer.clear();
                }
            }
            write(&mut writer, &buffer)?;
            writer
                .finish()
                .map_err(|error| failed("copy rows to delete", &error))?;
            Ok(())
        };
        in_runs(client, &held, attempt, |(_, _, deletes), refusal| {
            if !refusal.sqlstate.starts_with("22") {
                return Err(self.refused(refusal));
            }
            expected -= u64::from(*deletes);
            Ok(Next::Go)
        })?;
        Ok(expected)
    }

    /// The refusal in an error of ours.
    fn refusal_of(&self, error: RowError) -> Result<Refusal, ApplyError> {
        match error::refused_cell(&error) {
            Some(refusal) => Ok(refusal),
            None => Err(self.row_error(error)),
        }
    }

    fn refused(&self, refusal: Refusal) -> ApplyError {
        ApplyError::Refused {
            place: self.place(),
            refusal,
        }
    }
}

/// Attempts `items` in order, in runs that are divided where they are refused; `refuse` gets
/// what is refused alone.
fn in_runs<T>(
    client: &mut Client,
    items: &[T],
    mut attempt: impl FnMut(&mut Client, &[T]) -> Result<(), Failed>,
    mut refuse: impl FnMut(&T, Refusal) -> Result<Next, ApplyError>,
) -> Result<(), ApplyError> {
    let mut longest = items.len().max(1);
    let mut waiting = vec![items];
    while let Some(run) = waiting.pop() {
        let run = match run.split_at_checked(longest) {
            Some((run, rest)) => {
                waiting.push(rest);
                run
            }
            None => run,
        };
        let Some(first) = run.first() else { continue };
        execute(client, "savepoint run")?;
        match attempt(client, run) {
            Ok(()) => {
                execute(client, "release savepoint run")?;
                longest = longest.saturating_mul(2);
            }
            Err(Failed::Error(error)) => return Err(error),
            Err(Failed::Refused(refusal)) => {
                execute(client, "rollback to savepoint run; release savepoint run")?;
                if run.len() == 1 {
                    if let Next::Enough = refuse(first, refusal)? {
                        return Ok(());
                    }
                    continue;
                }
                longest = (longest / 2).max(LEAST_RUN);
                waiting.extend(divide(run, refusal.line).into_iter().rev());
            }
        }
    }
    Ok(())
}

/// The parts of a run, in order: around the line that was named, else halves.
fn divide<T>(run: &[T], line: Option<usize>) -> Vec<&[T]> {
    let named = line
        .and_then(|line| line.checked_sub(1))
        .and_then(|before| run.split_at_checked(before))
        .and_then(|(before, rest)| Some((before, rest.split_at_checked(1)?)));
    match named {
        Some((before, (named, behind))) => vec![before, named, behind],
        None => {
            let (first, second) = run.split_at(run.len() / 2);
            vec![first, second]
        }
    }
}

fn execute(client: &mut Client, statement: &str) -> Result<(), PgError> {
    client
        .batch_execute(statement)
        .operation("look for the refused row")
}

fn failed(operation: &'static str, error: &postgres::Error) -> Failed {
    match error::refusal(error) {
        Some(refusal) => Failed::Refused(refusal),
        None => Failed::Error(PgError::statement(operation, error).into()),
    }
}

/// Writes in messages of bounded size; the server may have refused an earlier one already.
fn write(writer: &mut postgres::CopyInWriter<'_>, buffer: &[u8]) -> Result<(), Failed> {
    for piece in buffer.chunks(4 * COPY_BYTES) {
        if let Err(error) = writer.write_all(piece) {
            let server = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<postgres::Error>())
                .and_then(error::refusal);
            if let Some(refusal) = server {
                return Err(Failed::Refused(refusal));
            }
            let other: Result<(), PgError> = Err(error).operation("copy into target table");
            return other.map_err(|error| Failed::Error(error.into()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_divided_into_shorter_ones_that_make_it_up() {
        for length in 2..9_usize {
            let run: Vec<usize> = (0..length).collect();
            for line in (0..length + 3).map(Some).chain([None]) {
                let parts = divide(&run, line);
                assert_eq!(parts.concat(), run, "{line:?}");
                assert!(parts.iter().all(|part| part.len() < length), "{line:?}");
            }
        }
    }
}
