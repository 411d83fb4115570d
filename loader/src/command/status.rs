//! `status`: what the views show, for a person or a script.
//!
//! Needs staging alone, so that it works while the programs are down. What a person sees is
//! laid out in `screen`; a script gets the views' rows as they are.

mod screen;

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use common::error::chain;
use common::patience::Patience;
use common::pg::{self, Operation as _};
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use postgres::Client;
use serde_json::Value;

pub(super) use screen::show;

use super::CommandError;

const LAST_MINUTE: &str = include_str!("../../../sql/query/last_minute.sql");
const LAST_ERRORS: &str = include_str!("../../../sql/query/last_errors.sql");

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Text,
    /// `{"status": {…}, "tables": […], "last_minute": {…}}`, the first two with the views'
    /// columns.
    Json,
}

/// What is known of a task.
#[derive(Debug, Default)]
struct Answer {
    /// The row of `mysql2gp.status`.
    status: Value,
    /// The rows of `mysql2gp.tables`, by name.
    tables: Vec<Value>,
    /// What was applied lately.
    last_minute: Value,
    /// What is wrong with the programs.
    errors: Vec<Value>,
}

/// Prints the status.
///
/// # Errors
/// When staging is away or empty.
pub fn run(settings: &Settings, format: Format, out: &mut impl Write) -> Result<(), CommandError> {
    let answer = read_answer(settings, &mut Patience::new()?)?;
    match format {
        Format::Json => {
            let answer = serde_json::json!({
                "status": answer.status,
                "tables": answer.tables,
                "last_minute": answer.last_minute,
            });
            writeln!(out, "{answer:#}")?;
        }
        Format::Text => screen::write(&settings.task.name, &answer, out)?,
    }
    Ok(())
}

/// Prints the status again and again, over the last one at a terminal, until SIGTERM or SIGINT.
/// What cannot be read now is said, and tried again.
///
/// # Errors
/// When nobody reads the answer any more.
pub fn watch(
    settings: &Settings,
    interval: Duration,
    shutdown: &Shutdown,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let start = if std::io::stdout().is_terminal() {
        // Cursor home, erase the display. Source: ECMA-48, CUP and ED.
        "\x1b[H\x1b[2J"
    } else {
        ""
    };
    let mut patience = Patience::new()?;
    loop {
        let answer = read_answer(settings, &mut patience);
        write!(out, "{start}")?;
        match answer {
            Ok(answer) => screen::write(&settings.task.name, &answer, out)?,
            Err(error) => writeln!(out, "{}", chain(&error))?,
        }
        writeln!(out)?;
        out.flush()?;
        if shutdown.wait(interval) == Waited::Stop {
            return Ok(());
        }
    }
}

fn read_answer(settings: &Settings, patience: &mut Patience) -> Result<Answer, CommandError> {
    patience.ask(format!("staging {}", settings.staging.address()));
    let answer = ask(settings);
    patience.rest();
    answer
}

fn ask(settings: &Settings) -> Result<Answer, CommandError> {
    let mut client =
        pg::connect(&settings.staging, "binlog_loader status").map_err(CommandError::Staging)?;
    require_views(&mut client, settings)?;
    Ok(Answer {
        status: read_one(&mut client, "mysql2gp.status")?,
        tables: read(
            &mut client,
            "mysql2gp.tables",
            "order by r.database_name, r.table_name",
        )?,
        last_minute: read_one(&mut client, &format!("({LAST_MINUTE})"))?,
        errors: read(&mut client, &format!("({LAST_ERRORS})"), "")?,
    })
}

/// Refuses a staging database that neither program has prepared.
pub(super) fn require_views(client: &mut Client, settings: &Settings) -> Result<(), CommandError> {
    let found: bool = client
        .query_one("select to_regclass('mysql2gp.status') is not null", &[])
        .operation("look for the views")
        .map_err(CommandError::Staging)?
        .get(0);
    if found {
        return Ok(());
    }
    Err(CommandError::NoTask {
        database: settings.staging.database().into(),
    })
}

/// Rows of a view or a query in parentheses, as JSON.
pub(super) fn read(
    client: &mut Client,
    view: &str,
    order: &str,
) -> Result<Vec<Value>, CommandError> {
    let rows = client
        .query(
            &format!("select to_json(r)::text from {view} r {order}"),
            &[],
        )
        .operation("read the views")
        .map_err(CommandError::Staging)?;
    Ok(rows
        .iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap_or_default())
        .collect())
}

fn read_one(client: &mut Client, view: &str) -> Result<Value, CommandError> {
    Ok(read(client, view, "")?
        .into_iter()
        .next()
        .unwrap_or_default())
}
