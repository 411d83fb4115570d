//! `binlog_miner check`: every precondition on the source side, a line each.

use std::io::Write as _;
use std::process::ExitCode;

use common::error::{ErrorClass, chain};
use common::pg;
use common::settings::{Settings, StartPoint};

use crate::error::MinerError;
use crate::source::{Catalog, Server, SourceError, SourceSession, Unlogged};

/// Prints the checks and says how they went.
pub fn run(settings: &Settings) -> ExitCode {
    let mut report = Report { worst: None };
    for notice in &settings.notices {
        report.line("warn", notice);
    }
    report.line(
        "ok",
        &format!(
            "configuration {} is valid, task {}",
            settings.path.display(),
            settings.task.name
        ),
    );
    if let Err(error) = check_source(settings, &mut report) {
        report.fail(&error);
    }
    match pg::connect(&settings.staging, "binlog_miner check") {
        Ok(_) => report.line(
            "ok",
            &format!(
                "staging {}/{} answers",
                settings.staging.address(),
                settings.staging.database()
            ),
        ),
        Err(error) => report.fail(&MinerError::Staging(error)),
    }
    report
        .worst
        .map_or(ExitCode::SUCCESS, ErrorClass::exit_code)
}

fn check_source(settings: &Settings, report: &mut Report) -> Result<(), MinerError> {
    let mut source = SourceSession::open(&settings.source)?;
    let server = &source.server;
    report.line(
        "ok",
        &format!(
            "source {} answers, version {}",
            settings.source.address(),
            server.version
        ),
    );
    report.line(
        "ok",
        "source logs whole rows (log_bin, binlog_format, binlog_row_image)",
    );
    let metadata = server.variable("binlog_row_metadata");
    if metadata.eq_ignore_ascii_case("FULL") {
        report.line(
            "ok",
            "source logs column names (binlog_row_metadata = FULL)",
        );
    } else {
        report.line(
            "warn",
            "source does not log column names: definitions come from information_schema; \
             set global binlog_row_metadata = 'FULL' where the server has it",
        );
    }
    report.line(
        "ok",
        &format!("source has binlog {}", source.files.describe()),
    );
    match &settings.source.start {
        StartPoint::Position(position) if source.files.contains(position) => {
            report.line("ok", &format!("configured start {position} is there"));
        }
        start @ StartPoint::Position(_) => report.line("warn", &not_there(start)),
        start @ StartPoint::GtidSet(set) => match source.require_start(set) {
            Ok(()) => report.line("ok", &format!("configured start {start} is there")),
            Err(error @ SourceError::GtidStart { .. }) => report.fail(&error.into()),
            Err(SourceError::GtidsPurged { .. }) => report.line("warn", &not_there(start)),
            Err(error) => return Err(error.into()),
        },
    }
    check_tables(settings, &source.server, report)
}

fn not_there(start: &StartPoint) -> String {
    format!("configured start {start} is not there: it counts only while nothing is staged")
}

fn check_tables(
    settings: &Settings,
    server: &Server,
    report: &mut Report,
) -> Result<(), MinerError> {
    let mut catalog = Catalog::new(&settings.source);
    let unlogged = Unlogged::of_settings(settings);
    match catalog.require_whole_log(&settings.tables, server, unlogged) {
        Ok(()) => report.line("ok", "the log tells every change of the tables"),
        Err(error) => report.fail(&MinerError::Source(error)),
    }
    let names = catalog.tables(&settings.tables)?;
    for name in settings.tables.named().filter(|name| !names.contains(name)) {
        report.fail(&MinerError::Source(SourceError::NoSuchTable {
            tables: vec![name],
            user: settings.source.user.clone(),
        }));
    }
    for name in names {
        match catalog.definition(&name) {
            Ok(Some(definition)) if definition.key_columns().is_empty() => report.line(
                "warn",
                &format!(
                    "table {name} has no key: it is applied row by row and needs an exact start"
                ),
            ),
            Ok(Some(definition)) => report.line(
                "ok",
                &format!("table {name}, {} columns", definition.columns.len()),
            ),
            Ok(None) => {}
            Err(error) => report.fail(&MinerError::Source(error)),
        }
    }
    Ok(())
}

struct Report {
    worst: Option<ErrorClass>,
}

impl Report {
    fn line(&mut self, verdict: &str, text: &str) {
        // Nobody to tell if stdout is closed.
        let _ = writeln!(std::io::stdout(), "{verdict:4} {text}");
    }

    fn fail(&mut self, error: &MinerError) {
        self.line("FAIL", &chain(error));
        let class = error.class();
        self.worst = Some(match self.worst {
            Some(ErrorClass::Operator) => ErrorClass::Operator,
            Some(ErrorClass::Usage) if class != ErrorClass::Operator => ErrorClass::Usage,
            _ => class,
        });
    }
}
