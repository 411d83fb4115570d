//! `ack FILE:POS`: an operator has done on the target what a statement did at the source.
//!
//! Moves the checkpoint behind the statement, and only if it is the next thing to be applied: to
//! the tables that catch up, or else to the others.

mod paused;

use std::io::Write;
use std::time::Duration;

use common::behind::{Behind, TableState};
use common::position::BinlogPosition;
use common::settings::Settings;
use common::shutdown::Shutdown;

use super::CommandError;
use crate::compact::{CompactError, Compactor, Limits, Pause};
use crate::coverage::Turn;
use crate::fetch::{Fetched, Fetcher, Flow, Pass};
use crate::progress::Progress;
use crate::round::Contradictions;
use crate::standing::Standing;
use crate::target::TargetSession;

/// Acknowledges the statement at `position`.
///
/// # Errors
/// When it is not the next thing to apply, or a loader runs.
pub fn run(
    settings: &Settings,
    position: &BinlogPosition,
    shutdown: &Shutdown,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let task = &settings.task.name;
    let mut fetcher = Fetcher::open(&settings.staging, task)?;
    let mut session =
        TargetSession::open(&settings.target.conninfo, task, Duration::ZERO, shutdown)?;
    let no_checkpoint = || CommandError::NoCheckpoint { task: task.clone() };
    let checkpoint = session.checkpoint()?.ok_or_else(no_checkpoint)?;
    let miner = fetcher.miner()?.ok_or_else(no_checkpoint)?;
    let staging = fetcher.task()?;
    let mut behind = session.behind(&checkpoint)?;
    behind.retain(|behind| settings.tables.contains(&behind.table));
    let mut look_in = |turn| {
        let behind = behind.clone();
        let standing = Standing::find(
            &mut fetcher,
            &mut session,
            &miner,
            (&checkpoint, behind),
            (&staging, &settings.tables, turn),
        )?;
        let compactor = Compactor::new(
            Limits {
                batch_bytes: settings.loader.batch_bytes,
                stop_at: None,
                contradictions: Contradictions::LastWins,
            },
            standing.start.clone(),
        )
        .with_coverage(standing.coverage.clone());
        let end = next_statement(&mut fetcher, compactor, position)?;
        if end.position == *position {
            Ok((standing, end))
        } else {
            Err(CommandError::NoStatement {
                position: position.clone(),
                waiting: Some(end.position),
            })
        }
    };
    // The loader has stopped in a turn of either.
    let (standing, end) = match look_in(Turn::CatchUp) {
        Err(first @ (CommandError::NoStatement { .. } | CommandError::ChangesBefore { .. }))
            if is_catching_up(&behind) =>
        {
            look_in(Turn::Others).map_err(|second| clearer(first, second))
        }
        found => found,
    }
    .or_else(|error| {
        let is_not_next = matches!(
            error,
            CommandError::NoStatement { .. } | CommandError::ChangesBefore { .. }
        );
        let table = if is_not_next {
            paused::owner(&mut fetcher, &miner, &behind, position)?
        } else {
            None
        };
        Err(match table {
            Some(table) => CommandError::OfPaused {
                position: position.clone(),
                table,
            },
            None => error,
        })
    })?;
    session.raise_epoch()?;
    session.catch_up(standing.catch_up);
    session.begin()?;
    session.commit(
        &staging.staging_id,
        &end,
        fetcher.known_file().created(&end),
    )?;
    writeln!(out, "acknowledged: task {task} goes on behind {position}")?;
    Ok(())
}

fn is_catching_up(behind: &[Behind]) -> bool {
    behind
        .iter()
        .any(|behind| behind.state == TableState::CatchingUp)
}

/// Of what each turn says, what names a statement that waits.
fn clearer(first: CommandError, second: CommandError) -> CommandError {
    let names_one = |error: &CommandError| {
        matches!(
            error,
            CommandError::NoStatement {
                waiting: Some(_),
                ..
            }
        )
    };
    let of_the_search = matches!(
        second,
        CommandError::NoStatement { .. } | CommandError::ChangesBefore { .. }
    );
    if of_the_search && (names_one(&first) || !names_one(&second)) {
        first
    } else {
        second
    }
}

/// The end of the statement that is next in the stream.
fn next_statement(
    fetcher: &mut Fetcher,
    mut compactor: Compactor,
    position: &BinlogPosition,
) -> Result<Progress, CommandError> {
    loop {
        let mut found = None;
        let pass = fetcher.pass(|fetched| {
            found = look(&mut compactor, fetched, position).transpose();
            match found {
                None => Flow::Continue,
                Some(_) => Flow::Stop,
            }
        })?;
        match (found, pass) {
            (Some(found), _) => return found,
            (None, Pass::More) => {}
            (None, Pass::Drained | Pass::Stopped | Pass::Asked | Pass::Relisted) => {
                return Err(CommandError::NoStatement {
                    position: position.clone(),
                    waiting: None,
                });
            }
        }
    }
}

fn look(
    compactor: &mut Compactor,
    fetched: Fetched,
    position: &BinlogPosition,
) -> Result<Option<Progress>, CommandError> {
    let text = match fetched {
        Fetched::Definition(id, definition) => {
            compactor.define(id, *definition);
            return Ok(None);
        }
        Fetched::Timeline(timeline) => {
            compactor.begin_timeline(&timeline)?;
            return Ok(None);
        }
        Fetched::Mark(_) => return Ok(None),
        Fetched::Text(text) => text,
    };
    compactor.begin_text(text.transaction_seq, text.event_seq)?;
    let mut rest = text.lines.as_slice();
    loop {
        let (left, pause) = match compactor.read(rest) {
            Ok(read) => read,
            Err(CompactError::Statement { end, .. }) => return Ok(Some(*end)),
            Err(error) => return Err(error.into()),
        };
        rest = left;
        if compactor.round().statement.is_some() {
            return Ok(Some(compactor.end().clone()));
        }
        let round = compactor.round();
        // A TRUNCATE is a round of its own.
        if round.row_events == 0 && round.tables().iter().any(|table| table.truncated) {
            if compactor.has_ended() {
                return Ok(Some(compactor.end().clone()));
            }
        } else if !round.is_empty() {
            return Err(CommandError::ChangesBefore {
                position: position.clone(),
            });
        }
        if pause == Pause::NeedText {
            return Ok(None);
        }
    }
}
