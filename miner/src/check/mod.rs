//! `binlog_miner check`: every precondition on the source side, a line each. Changes nothing.

mod retention;
mod settings;
mod staged;
mod tables;

use std::io::Write;
use std::process::ExitCode;

use common::check::{Report, Server, answers, look_at_staging};
use common::checkpoint;
use common::error::ErrorClass;
use common::pg::{PgError, connect_target};
use common::settings::Settings;

use crate::error::MinerError;
use crate::source::Questions;
use staged::Staged;

/// What the servers know this program as.
const NAME: &str = "binlog_miner check";

/// Prints the checks and says how they went.
///
/// # Errors
/// When the lines cannot be written.
pub fn run(settings: &Settings) -> Result<ExitCode, MinerError> {
    let mut report = Report::new(std::io::stdout().lock());
    for notice in &settings.notices {
        report.warn(notice);
    }
    report.ok(format!(
        "configuration {} is valid, task {}",
        settings.path.display(),
        settings.task.name
    ));
    let staged = match look_at_staging(&mut report, settings, NAME) {
        Ok(staging) => staging
            .map(|(mut client, schema)| Staged::read(&mut client, schema))
            .transpose(),
        Err(error) => Err(error),
    };
    let staged = staged.unwrap_or_else(|error| {
        fail(&mut report, &MinerError::Staging(error));
        None
    });
    if let Err(error) = look_at_source(&mut report, settings, staged.as_ref()) {
        fail(&mut report, &error);
    }
    if let Err(error) = look_at_target(&mut report, settings) {
        fail(&mut report, &MinerError::Target(error));
    }
    let worst = report.finish().map_err(MinerError::Output)?;
    Ok(worst.map_or(ExitCode::SUCCESS, ErrorClass::exit_code))
}

fn fail<W: Write>(report: &mut Report<W>, error: &MinerError) {
    report.fail_by(error.class(), error);
}

fn look_at_source<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    staged: Option<&Staged>,
) -> Result<(), MinerError> {
    report.asks(format!("source {}", settings.source.address()));
    let mut source = Questions::open(&settings.source)?;
    settings::look(report, settings, &mut source, staged)?;
    match source.files() {
        Err(error) => report.fail(
            error.class(),
            format!(
                "source: user {} may not list the binlogs (grant replication slave, replication client on *.* to it): {}",
                settings.source.user,
                common::error::chain(&error)
            ),
        ),
        Ok(files) => {
            report.ok(format!("source has binlog {}", files.describe()));
            retention::look(report, settings, &mut source, &files, staged)?;
        }
    }
    tables::look(report, settings, &mut source)
}

/// With empty staging the miner goes on from the target's checkpoint.
fn look_at_target<W: Write>(report: &mut Report<W>, settings: &Settings) -> Result<(), PgError> {
    let conninfo = &settings.target.conninfo;
    report.asks(format!("target {}", conninfo.address()));
    let opened = connect_target(conninfo, NAME);
    let Some(mut client) = answers(report, Server::Target, conninfo, opened)? else {
        return Ok(());
    };
    match checkpoint::read(&mut client, &settings.task.name) {
        Ok(None) => report.ok("target has no checkpoint of this task yet"),
        Ok(Some(found)) => report.ok(format!("target is at {}", found.applied)),
        Err(error) => report.fail_by(error.class(), &error),
    }
    Ok(())
}
