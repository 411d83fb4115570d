//! One round's changes into the target, table by table, and what is refused into the dead
//! letters.

use common::crash::{self, Point};
use common::pg::Operation as _;
use common::settings::Keys;
use postgres::{Client, Statement};

use super::at_commit::Checked;
use super::binary::{self, Columns, Format};
use super::error::{ApplyError, OverLimit};
use super::keyless::KeylessDelete;
use super::refused::Search;
use super::replace::{LEAST_ROWS, Replace};
use super::statements::{Duplicates, TableStatements, lock_ahead};
use super::table::{At, Buffers, Copied, Effect};
use super::{AppliedTable, Applier, Path};
use crate::dead_letters::{DeadLetters, Item, Refusal, TakenBack};
use crate::layout::Layout;
use crate::round::{Overlap, Round, TableChanges};
use crate::route::{Route, RowError};
use crate::target::dialect::Replacing;
use crate::target::session::ReplicaRole;

/// Whether a round could be written as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// A straight insert met a row that was there: with deletes it can.
    MetDuplicate,
    /// A table was prepared for what is not so any more: written again, it takes another way.
    Otherwise,
}

impl Applier {
    /// Writes the round in the open transaction. The table that is `checked` is written last,
    /// and what the target would check at the commit is checked with each of its rows.
    pub(super) fn write(
        &mut self,
        round: &Round,
        path: Path,
        checked: Option<&Checked>,
    ) -> Result<Written, ApplyError> {
        if path == Path::Careful {
            self.dead_letters.refresh()?;
        }
        let taken_back = self.dead_letters.settle(&mut self.session.client, round)?;
        let attempt = Attempt {
            round,
            checked: None,
            path: match (round.overlap, path) {
                (Overlap::Overlapping, Path::Straight) => Path::DeleteFirst,
                (Overlap::Exact | Overlap::Overlapping, path) => path,
            },
            taken_back: &taken_back,
        };
        let is_checked = |table: &TableChanges| {
            checked.is_some_and(|checked| checked.definition == table.layout.id)
        };
        // Several source tables may go to one target table, and rows move between them: all
        // deletes come before all inserts.
        let mut tables = Vec::with_capacity(round.tables().len());
        for (table, lock) in self.in_lock_order(attempt) {
            if let Some(lock) = lock {
                let client = &mut self.session.client;
                client.batch_execute(&lock).operation("lock target table")?;
            }
            tables.push((table, self.delete_from_table(attempt, table)?));
        }
        // A stable sort.
        tables.sort_by_key(|(table, _)| is_checked(table));
        let mut refused = Vec::new();
        for (table, net_deletes) in tables {
            let attempt = Attempt {
                checked: checked.filter(|_| is_checked(table)),
                ..attempt
            };
            match self.write_table(attempt, table, net_deletes, &mut refused)? {
                Written::All => {}
                again @ (Written::MetDuplicate | Written::Otherwise) => return Ok(again),
            }
        }
        for (layout, rows) in &refused {
            self.dead_letters
                .record(&mut self.session.client, layout, rows)?;
        }
        Ok(Written::All)
    }

    /// The round's tables in the order in which they are deleted from, each with what locks it
    /// then. Where a delete locks a table against other writers everybody locks in the same
    /// order, so that two tasks that share tables do not lock each other out: once a table is
    /// deleted from, those that are only written later are locked in their turn, and with the
    /// lock that this will take. A round without deletes writes in that order anyway.
    fn in_lock_order<'r>(&self, attempt: Attempt<'r>) -> Vec<(&'r TableChanges, Option<String>)> {
        let tables = attempt.round.tables().iter();
        if !self.session.dialect.locks_tables() {
            return tables.map(|table| (table, None)).collect();
        }
        // try_apply has prepared every table of the round.
        let effects = tables.filter_map(|changes| {
            let table = self.tables.get(&changes.layout.id)?;
            let route = &table.route;
            let at = attempt.at(changes, route, &table.statements, table.replaceable);
            Some((route.target.oid, at.effect(), route, changes))
        });
        let mut effects: Vec<_> = effects.collect();
        // Of several source tables that share a target, the one with the strongest lock locks it.
        effects.sort_by_key(|(oid, effect, ..)| (*oid, *effect));
        let deletes = effects
            .iter()
            .any(|(_, effect, ..)| *effect == Effect::Deletes);
        let mut before = None;
        let ordered = effects.into_iter().map(|(oid, effect, route, changes)| {
            let is_locked = before.replace(oid) == Some(oid);
            let lock = (deletes && !is_locked).then(|| lock_ahead(route, effect));
            (changes, lock.flatten())
        });
        ordered.collect()
    }

    /// Takes away what goes or may be there; how many rows go for good.
    fn delete_from_table(
        &mut self,
        attempt: Attempt<'_>,
        changes: &TableChanges,
    ) -> Result<u64, ApplyError> {
        // try_apply has prepared every table of the round.
        let Some(table) = self.tables.get_mut(&changes.layout.id) else {
            return Ok(0);
        };
        let client = &mut self.session.client;
        let at = attempt.at(changes, &table.route, &table.statements, table.replaceable);
        // A parent is deleted and comes back; a child may come first.
        if self.session.replica_role == ReplicaRole::NotPermitted
            && let Some(defer) = &table.statements.defer
        {
            client
                .batch_execute(defer)
                .operation("defer foreign keys")?;
        }
        if changes.truncated {
            truncate(client, &at, &table.statements)?;
        }
        if changes.layout.is_keyless() {
            delete_keyless(client, &at, &mut table.keyless, &mut self.buffer)
        } else if attempt.path == Path::Careful {
            at.delete_keys_carefully(client, &mut table.statements, &mut self.keys)
        } else {
            at.delete_keys(client, &mut table.statements, &mut self.keys)
        }
    }

    fn write_table<'r>(
        &mut self,
        attempt: Attempt<'r>,
        changes: &'r TableChanges,
        net_deletes: u64,
        refused: &mut Vec<(&'r Layout, Vec<(Item<'r>, Refusal)>)>,
    ) -> Result<Written, ApplyError> {
        let Some(table) = self.tables.get_mut(&changes.layout.id) else {
            return Ok(Written::All);
        };
        let client = &mut self.session.client;
        let mut at = attempt.at(changes, &table.route, &table.statements, table.replaceable);
        if let Some(binary) = &table.binary
            && at.path != Path::Careful
            && at.copies_at_least(binary::LEAST_ROWS)
        {
            if binary.look(client)? == Columns::Altered {
                log::info!(
                    "target table was altered since it was last looked at: looking again table={}",
                    at.route.target.display()
                );
                self.tables.remove(&changes.layout.id);
                return Ok(Written::Otherwise);
            }
            at.format = Format::Binary(&binary.encoders);
        }
        if let Some(checked) = attempt.checked {
            checked.check_the_rest(client)?;
        }
        let net_upserts = if attempt.path == Path::Careful {
            let room = self.dead_letters.room(&at.route.source);
            let search = match attempt.checked {
                Some(_) => Search::UntilStable,
                None => Search::UpTo(room),
            };
            let rows = at.copy_rows_carefully(client, &table.statements, search)?;
            if let Some((item, refusal)) = over(&rows.refused, room) {
                return Err(over_limit(&mut self.dead_letters, &at, item, refusal, room));
            }
            say_refused(&at, &rows.refused);
            refused.push((&changes.layout, rows.refused));
            rows.copied
        } else {
            let copy = match (&table.binary, at.format) {
                (Some(binary), Format::Binary(_)) => &binary.copy,
                (_, Format::Text) | (None, Format::Binary(_)) => &table.statements.copy,
            };
            let mut buffers = Buffers {
                buffer: &mut self.buffer,
                scratch: &mut self.scratch,
            };
            match replace_and_copy(client, &at, &mut table.replace, copy, &mut buffers) {
                Ok(Copied::Rows(rows)) => rows,
                Ok(Copied::Duplicate) if at.route.keys == Keys::Disjoint => {
                    return Err(ApplyError::SharedKey { place: at.place() });
                }
                Ok(Copied::Duplicate) => return Ok(Written::MetDuplicate),
                Err(ApplyError::Row {
                    source: source @ RowError::NotBinary { .. },
                    ..
                }) => {
                    log::info!(
                        "target table is copied as text from here on: {source} table={}",
                        at.route.target.display()
                    );
                    table.binary = None;
                    return Ok(Written::Otherwise);
                }
                Err(error) => return Err(error),
            }
        };
        self.applied.push(AppliedTable {
            source: at.route.source.clone(),
            target: at.route.target.display(),
            counts: changes.counts,
            net_upserts,
            net_deletes,
        });
        Ok(Written::All)
    }
}

/// What the tables of a round have in common while they are written.
#[derive(Clone, Copy)]
struct Attempt<'r> {
    round: &'r Round,
    /// Set for the table whose rows are checked one by one as the commit would.
    checked: Option<&'r Checked>,
    path: Path,
    taken_back: &'r TakenBack,
}

impl<'r> Attempt<'r> {
    /// One table's changes, and how they are written.
    fn at<'t>(
        self,
        changes: &'r TableChanges,
        route: &'t Route,
        statements: &TableStatements,
        replaceable: bool,
    ) -> At<'r, 't> {
        let mut at = At {
            round: self.round,
            changes,
            route,
            path: match (self.path, statements.duplicates) {
                (Path::Straight, Duplicates::Unnoticed) => Path::DeleteFirst,
                (path, _) => path,
            },
            replaces: false,
            taken_back: self.taken_back,
            format: Format::Text,
        };
        // Behind a TRUNCATE there is nothing to replace.
        at.replaces = replaceable
            && at.path == Path::Straight
            && !changes.truncated
            && at.replacing_rows().nth(LEAST_ROWS).is_some()
            && match route.target.dialect.replacing() {
                Replacing::Always => true,
                Replacing::AmongNoDeletes => !at.deletes_for_good(),
                Replacing::Never => false,
            };
        at
    }
}

/// Takes away all rows of the source table.
fn truncate(
    client: &mut Client,
    at: &At<'_, '_>,
    statements: &TableStatements,
) -> Result<(), ApplyError> {
    let Some(truncate) = &statements.truncate else {
        let end = at.round.end.as_ref();
        return Err(ApplyError::SharedTruncate {
            place: at.place(),
            end: end.map_or_else(|| "FILE:POS".into(), |end| end.position.to_string()),
        });
    };
    client
        .batch_execute(truncate)
        .map_err(|error| at.error(&error, "truncate target table"))?;
    crash::point(Point::LoaderTruncated);
    Ok(())
}

/// Deletes the rows of a keyless table; how many.
fn delete_keyless(
    client: &mut Client,
    at: &At<'_, '_>,
    prepared: &mut Option<KeylessDelete>,
    buffer: &mut Vec<u8>,
) -> Result<u64, ApplyError> {
    if at.keyless_deletes().next().is_none() {
        return Ok(0);
    }
    let number = at.changes.layout.id.0;
    let keyless = match prepared {
        Some(keyless) => keyless,
        none => none.insert(KeylessDelete::prepare(client, at.route, number)?),
    };
    keyless.emptying.before(client)?;
    let deletes = if at.path == Path::Careful {
        at.copy_deletes_carefully(client, keyless)?
    } else {
        at.copy_deletes(client, keyless, buffer)?
    };
    at.delete_rows(client, keyless, deletes)?;
    Ok(deletes)
}

/// Writes the rows that stay, some perhaps in the place of those of their key.
fn replace_and_copy(
    client: &mut Client,
    at: &At<'_, '_>,
    prepared: &mut Option<Replace>,
    copy: &Statement,
    buffers: &mut Buffers<'_>,
) -> Result<Copied, ApplyError> {
    let mut replaced = 0;
    if at.replaces {
        let number = at.changes.layout.id.0;
        let replace = match prepared {
            Some(replace) => replace,
            none => none.insert(Replace::prepare(client, at.route, number, at.format)?),
        };
        replaced = at.replace_rows(client, replace, buffers)?;
    }
    Ok(match at.copy_rows(client, copy, buffers)? {
        Copied::Rows(rows) => Copied::Rows(replaced + rows),
        Copied::Duplicate => Copied::Duplicate,
    })
}

/// The refused row that is one too many.
fn over<'i, 'r>(refused: &'i [(Item<'r>, Refusal)], room: u64) -> Option<&'i (Item<'r>, Refusal)> {
    refused.get(usize::try_from(room).ok()?)
}

fn over_limit(
    dead_letters: &mut DeadLetters,
    at: &At<'_, '_>,
    item: &Item<'_>,
    refusal: &Refusal,
    room: u64,
) -> ApplyError {
    let place = match dead_letters.place(item.event_seq) {
        Ok(place) => place,
        Err(error) => return error.into(),
    };
    let key = match at.route.key_names().as_slice() {
        [] => "no key".to_owned(),
        names => format!("key {}", names.join(", ")),
    };
    ApplyError::OverLimit(Box::new(OverLimit {
        source_table: at.route.source.clone(),
        target_table: at.route.target.display(),
        key,
        refusal: refusal.clone(),
        position: place.position.to_string(),
        row_number: place.row_number,
        event_seq: item.event_seq,
        held: dead_letters.limit().saturating_sub(room),
        limit: dead_letters.limit(),
        found: room.saturating_add(1),
    }))
}

fn say_refused(at: &At<'_, '_>, refused: &[(Item<'_>, Refusal)]) {
    let Some((_, refusal)) = refused.first() else {
        return;
    };
    log::warn!(
        "target refused rows, which go to the dead letters: binlog_loader dead-letters list shows them table={} \
         target={} rows={} first=\"{refusal}\"",
        at.route.source,
        at.route.target.display(),
        refused.len()
    );
}
