//! `status`: what the views show, for a person or a script. Needs staging alone.

use std::io::Write;

use common::pg::{self, Operation as _};
use common::settings::Settings;
use postgres::Client;
use serde_json::Value;

use super::CommandError;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Text,
    /// `{"status": {…}, "tables": […]}`, with the views' columns.
    Json,
}

/// Prints the status.
///
/// # Errors
/// When staging is away or empty.
pub fn run(settings: &Settings, format: Format, out: &mut impl Write) -> Result<(), CommandError> {
    let mut client =
        pg::connect(&settings.staging, "binlog_loader status").map_err(CommandError::Staging)?;
    require_views(&mut client, settings)?;
    let status = read(&mut client, "mysql2gp.status", "")?
        .into_iter()
        .next()
        .unwrap_or_default();
    let tables = read(
        &mut client,
        "mysql2gp.tables",
        "order by r.database_name, r.table_name",
    )?;
    match format {
        Format::Json => {
            let answer = serde_json::json!({ "status": status, "tables": tables });
            writeln!(out, "{answer:#}")?;
        }
        Format::Text => write_text(&settings.task.name, &status, &tables, out)?,
    }
    Ok(())
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

/// Rows of a view, as JSON.
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

fn write_text(
    task: &str,
    status: &Value,
    tables: &[Value],
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let field = |name: &str| show(status.get(name));
    writeln!(out, "task      {task}")?;
    writeln!(
        out,
        "source    {} ({})",
        field("source"),
        field("server_version")
    )?;
    writeln!(
        out,
        "miner     {}, at {}:{}, {} s behind the source",
        field("miner_state"),
        field("staged_file"),
        field("staged_pos"),
        field("miner_lag_seconds")
    )?;
    writeln!(
        out,
        "loader    {}, at {}:{}, {} s behind the miner",
        field("loader_state"),
        field("applied_file"),
        field("applied_pos"),
        field("loader_lag_seconds")
    )?;
    writeln!(
        out,
        "backlog   {} transactions, {} rows; total lag {} s",
        field("backlog_transactions"),
        field("backlog_rows"),
        field("total_lag_seconds")
    )?;
    writeln!(out, "staging   {} bytes", field("staging_bytes"))?;
    if status
        .get("consistent_from")
        .is_some_and(|value| !value.is_null())
    {
        writeln!(out, "consistent from {}", field("consistent_from"))?;
    }
    writeln!(out, "dead letters {}", field("dead_letters"))?;
    if status
        .get("last_error")
        .is_some_and(|value| !value.is_null())
    {
        writeln!(out, "error     {}", field("last_error"))?;
    }
    write_tables(tables, out)
}

/// Columns of the table list: heading and view column.
const TABLE_COLUMNS: &[(&str, &str)] = &[
    ("table", "table_name"),
    ("target", "target_table"),
    ("state", "state"),
    ("inserts", "inserts"),
    ("updates", "updates"),
    ("deletes", "deletes"),
    ("written", "applied_rows"),
    ("lag_s", "lag_seconds"),
];

fn write_tables(tables: &[Value], out: &mut impl Write) -> Result<(), CommandError> {
    if tables.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<Vec<String>> = vec![
        TABLE_COLUMNS
            .iter()
            .map(|(heading, _)| (*heading).to_owned())
            .collect(),
    ];
    lines.extend(tables.iter().map(|table| {
        TABLE_COLUMNS
            .iter()
            .map(|(_, column)| match *column {
                "table_name" => format!(
                    "{}.{}",
                    show(table.get("database_name")),
                    show(table.get("table_name"))
                ),
                column => show(table.get(column)),
            })
            .collect()
    }));
    let widths: Vec<usize> = (0..TABLE_COLUMNS.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    writeln!(out)?;
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A JSON value for a person.
pub(super) fn show(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
