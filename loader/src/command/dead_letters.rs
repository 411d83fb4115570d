//! `dead-letters list | retry | discard`: rows that the target refused.
//!
//! Works beside a running loader: a row's identity on the target is taken away first, in the
//! transaction that writes the row. The loader takes it away too before it applies a later
//! change of the row, so that one of them waits for the other and then finds it gone.

use std::io::Write;

use common::crash::{self, Point};
use common::error::ErrorClass;
use common::pg::{self, Operation as _};
use common::settings::Settings;
use postgres::Client;
use serde_json::Value;

use super::status::{Format, read, require_views, show};
use super::{CommandError, Confirmed, confirm};
use crate::apply::{WrittenAlone, write_row};
use crate::dead_letters::{
    Letter, Refusal, Seen, Taken, read_letter, resolve, unresolved_ids, update_refusal,
};
use crate::route::{Router, ValuePolicy};
use crate::target::{SessionError, TargetSession};

/// Waiting for the loader to commit a batch is in order, waiting for it with a row written is
/// not: it could be waiting for us.
const WAIT_FOR_BATCH_MS: u32 = 60_000;
const WAIT_FOR_ROWS_MS: u32 = 500;

/// Shows the unresolved dead letters.
///
/// # Errors
/// When staging is away or empty.
pub fn list(settings: &Settings, format: Format, out: &mut impl Write) -> Result<(), CommandError> {
    let mut staging = open_staging(settings)?;
    let letters = read(
        &mut staging,
        "mysql2gp.dead_letters",
        "where r.resolved_at is null order by r.id",
    )?;
    match format {
        Format::Json => writeln!(out, "{:#}", Value::Array(letters))?,
        Format::Text => {
            for letter in &letters {
                let field = |name: &str| show(letter.get(name));
                writeln!(
                    out,
                    "{}  {}.{}  {} {}  {}:{}  {} ({})",
                    field("id"),
                    field("database_name"),
                    field("table_name"),
                    field("op"),
                    field("key"),
                    field("binlog_file"),
                    field("binlog_pos"),
                    field("sqlstate"),
                    field("error")
                )?;
            }
            if letters.is_empty() {
                writeln!(out, "no dead letters")?;
            }
        }
    }
    Ok(())
}

/// Tries dead letters again, all if none is named; the class of what is still refused.
///
/// # Errors
/// When a server is away or there is no such dead letter.
pub fn retry(
    settings: &Settings,
    ids: &[i64],
    out: &mut impl Write,
) -> Result<Option<ErrorClass>, CommandError> {
    let mut staging = open_staging(settings)?;
    let named = !ids.is_empty();
    let ids = if named {
        ids.to_vec()
    } else {
        unresolved_ids(&mut staging)?
    };
    let router = Router::new(
        &settings.rules,
        &settings.target.schema,
        ValuePolicy::of(settings),
    );
    let mut target = open_target(settings)?;
    let mut refused = None;
    for id in ids {
        let letter = match find(&mut staging, id) {
            // A loader that has started meanwhile has removed it, for its batch never committed.
            Err(CommandError::NoDeadLetter { .. }) if !named => continue,
            letter => letter?,
        };
        let retried = match retry_one(settings, &mut target, &router, &letter, id) {
            Err(error @ CommandError::NotCommitted { .. }) => {
                refused = refused.or(Some(error.class()));
                writeln!(out, "{error}")?;
                continue;
            }
            retried => retried?,
        };
        if let Retried::Refused(_) | Retried::Occupied = retried {
            refused = Some(ErrorClass::Operator);
        }
        let said = note(&mut staging, id, retried)?;
        crash::point(Point::RetryNoted);
        writeln!(out, "{id}  {}  {said}", letter.identity.table)?;
    }
    Ok(refused)
}

/// Notes in staging what became of a retry; what to say of it.
fn note(staging: &mut Client, id: i64, retried: Retried) -> Result<String, CommandError> {
    Ok(match retried {
        Retried::Written => {
            resolve(staging, &[id])?;
            "written".into()
        }
        Retried::Settled => {
            resolve(staging, &[id])?;
            "settled already, by a later change or by hand".into()
        }
        Retried::Refused(refusal) => {
            update_refusal(staging, id, &refusal)?;
            format!("still refused: {refusal}")
        }
        Retried::Occupied => {
            "not written: the target has a row of this key, which the loader did not put there; correct or delete it \
             there, then retry or discard"
                .into()
        }
    })
}

/// Gives dead letters up.
///
/// # Errors
/// When the operator does not confirm, a server is away or there is no such dead letter.
pub fn discard(
    settings: &Settings,
    ids: &[i64],
    confirmed: Confirmed,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut staging = open_staging(settings)?;
    let letters = ids
        .iter()
        .map(|&id| Ok((id, find(&mut staging, id)?)))
        .collect::<Result<Vec<_>, CommandError>>()?;
    if confirmed == Confirmed::Ask {
        let question = format!(
            "Give up {} rows? They stay missing on the target until they change at the source.",
            letters.len()
        );
        confirm(&question, out)?;
    }
    let mut target = open_target(settings)?;
    for (id, letter) in letters {
        target.begin()?;
        let said = match take(settings, &mut target, &letter, id)? {
            Taken::Yes => "discarded",
            Taken::No => "settled already, by a later change or by hand",
        };
        crash::point(Point::DiscardTaken);
        commit(&mut target)?;
        crash::point(Point::DiscardCommitted);
        resolve(&mut staging, &[id])?;
        crash::point(Point::DiscardNoted);
        writeln!(out, "{id}  {}  {said}", letter.identity.table)?;
    }
    Ok(())
}

enum Retried {
    Written,
    Settled,
    Refused(Refusal),
    Occupied,
}

fn retry_one(
    settings: &Settings,
    target: &mut TargetSession,
    router: &Router,
    letter: &Letter,
    id: i64,
) -> Result<Retried, CommandError> {
    if letter.resolved {
        return Ok(Retried::Settled);
    }
    let row = &letter.row;
    target.begin()?;
    if take(settings, target, letter, id)? == Taken::No {
        target.rollback()?;
        return Ok(Retried::Settled);
    }
    crash::point(Point::RetryTaken);
    wait_for_locks(target, WAIT_FOR_ROWS_MS)?;
    let written = write_row(
        target,
        router,
        &row.definition,
        (row.key.as_deref(), &row.row),
    );
    match written {
        Ok(WrittenAlone::Yes) => {
            crash::point(Point::RetryWritten);
            commit(target)?;
            crash::point(Point::RetryCommitted);
            return Ok(Retried::Written);
        }
        Ok(_) | Err(_) => target.rollback()?,
    }
    Ok(match written? {
        WrittenAlone::Yes => Retried::Written,
        WrittenAlone::Occupied => Retried::Occupied,
        WrittenAlone::Refused(refusal) => Retried::Refused(refusal),
    })
}

/// Takes the identity off the target, within the open transaction.
fn take(
    settings: &Settings,
    target: &mut TargetSession,
    letter: &Letter,
    id: i64,
) -> Result<Taken, CommandError> {
    let task = &settings.task.name;
    wait_for_locks(target, WAIT_FOR_BATCH_MS)?;
    loop {
        let taken = letter.identity.take(&mut target.client, task);
        if taken.map_err(SessionError::Pg)? == Taken::Yes {
            return Ok(Taken::Yes);
        }
        let seen = letter.identity.look(&mut target.client, task);
        match seen.map_err(SessionError::Pg)? {
            // Its batch has committed between the two statements.
            Seen::Unresolved => {}
            Seen::Settled => return Ok(Taken::No),
            Seen::NotCommitted => {
                target.rollback()?;
                return Err(CommandError::NotCommitted { id });
            }
        }
    }
}

fn find(staging: &mut Client, id: i64) -> Result<Letter, CommandError> {
    read_letter(staging, id)?.ok_or(CommandError::NoDeadLetter { id })
}

fn open_staging(settings: &Settings) -> Result<Client, CommandError> {
    let mut client = pg::connect(&settings.staging, "binlog_loader dead_letters")
        .map_err(CommandError::Staging)?;
    require_views(&mut client, settings)?;
    Ok(client)
}

fn open_target(settings: &Settings) -> Result<TargetSession, CommandError> {
    Ok(TargetSession::open_beside(
        &settings.target.conninfo,
        &settings.task.name,
    )?)
}

fn wait_for_locks(target: &mut TargetSession, milliseconds: u32) -> Result<(), CommandError> {
    let statement = target.dialect.wait_for_locks(milliseconds);
    execute(target, &statement)
}

fn commit(target: &mut TargetSession) -> Result<(), CommandError> {
    execute(target, "commit")
}

fn execute(target: &mut TargetSession, statement: &str) -> Result<(), CommandError> {
    Ok(target
        .client
        .batch_execute(statement)
        .operation("settle a dead letter")
        .map_err(SessionError::Pg)?)
}
