//! `reset`: forgets the task on the target.

use std::io::{BufRead, IsTerminal as _, Write};
use std::time::Duration;

use common::settings::Settings;
use common::shutdown::Shutdown;

use super::CommandError;
use crate::target::TargetSession;

/// Whether the operator has confirmed on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// `--yes`.
    Yes,
    /// To be asked.
    Ask,
}

/// Removes the task's checkpoint.
///
/// # Errors
/// When a loader holds the task, the operator does not confirm, or the target is away.
pub fn run(
    settings: &Settings,
    confirmed: Confirmed,
    shutdown: &Shutdown,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let task = &settings.task.name;
    // Whoever runs holds the lock: reset does not wait for it.
    let mut session =
        TargetSession::open(&settings.target.conninfo, task, Duration::ZERO, shutdown)?;
    let applied = match session.checkpoint()? {
        Some(checkpoint) => format!("applied up to {}", checkpoint.applied),
        None => "no checkpoint".into(),
    };
    if confirmed == Confirmed::Ask {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(CommandError::NotConfirmed);
        }
        write!(
            out,
            "Forget task {task} ({applied}) on {}? The next start loads from its configured position. [yes/no] ",
            settings.target.conninfo.address()
        )?;
        out.flush()?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            return Err(CommandError::NotConfirmed);
        }
    }
    session.forget_task()?;
    writeln!(
        out,
        "forgot task {task} ({applied}); before the next start empty the target tables, stop the miner, and drop and \
         create the staging database {}",
        settings.staging.database()
    )?;
    Ok(())
}
