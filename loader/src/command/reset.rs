//! `reset`: forgets the task on the target.

use std::io::Write;
use std::time::Duration;

use common::settings::Settings;
use common::shutdown::Shutdown;

use super::{CommandError, Confirmed, confirm};
use crate::target::TargetSession;

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
        let question = format!(
            "Forget task {task} ({applied}) on {}? The next start loads from its configured position.",
            settings.target.conninfo.address()
        );
        confirm(&question, out)?;
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
