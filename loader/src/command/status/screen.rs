//! The status as a person reads it in five seconds: lag, positions, rate, backlog, what is
//! wrong, and the tables, worst first. Pure: the views' rows in, text out.

use std::io::{self, Write};

use serde_json::Value;

use super::Answer;

/// Tables that fit a screen beside the rest.
const MOST_TABLES: usize = 30;

/// A miner that runs confirms its position every second; one that has not for so long is dead,
/// stuck, or within a long transaction.
const SILENT_SECONDS: f64 = 10.0;

/// Writes the screen.
pub(super) fn write(task: &str, answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let field = |name: &str| show(answer.status.get(name));
    writeln!(
        out,
        "task      {task}, source {} ({})",
        field("source"),
        field("server_version")
    )?;
    writeln!(
        out,
        "lag       {} s: miner {} s behind the source, loader {} s behind the miner",
        field("total_lag_seconds"),
        field("miner_lag_seconds"),
        field("loader_lag_seconds")
    )?;
    writeln!(
        out,
        "miner     {:<15} {}:{}{}",
        field("miner_state"),
        field("staged_file"),
        field("staged_pos"),
        silence(answer)
    )?;
    writeln!(
        out,
        "loader    {:<15} {}:{}{}",
        field("loader_state"),
        field("applied_file"),
        field("applied_pos"),
        if is_gone(answer) {
            "  (it has no session on staging: it has died, or is cut off)"
        } else {
            ""
        }
    )?;
    writeln!(out, "rate      {}", rate(&answer.last_minute))?;
    writeln!(
        out,
        "backlog   {} transactions, {} row events; {}",
        field("backlog_transactions"),
        field("backlog_rows"),
        catch_up(answer)
    )?;
    writeln!(
        out,
        "staging   {}; dead letters {}",
        bytes(number(&answer.status, "staging_bytes")),
        field("dead_letters")
    )?;
    let paused: Vec<String> = answer
        .tables
        .iter()
        .filter(|table| show(table.get("state")) == "paused")
        .map(table_name)
        .collect();
    if !paused.is_empty() {
        writeln!(
            out,
            "paused    {}: not part of lag and backlog; binlog_loader resume TABLE",
            paused.join(", ")
        )?;
    }
    if !is_null(&answer.status, "consistent_from") {
        writeln!(out, "consistent from {}", field("consistent_from"))?;
    }
    for error in &answer.errors {
        writeln!(
            out,
            "error     {}, {} ago: {}",
            show(error.get("program")),
            duration(number(error, "age_seconds")),
            show(error.get("last_error"))
        )?;
    }
    write_tables(&answer.tables, out)
}

/// What was applied lately, a second.
fn rate(last_minute: &Value) -> String {
    let seconds = number(last_minute, "seconds");
    let row_events = number(last_minute, "row_events");
    let transactions = number(last_minute, "transactions");
    if seconds <= 0.0 || (row_events <= 0.0 && transactions <= 0.0) {
        return "nothing was applied in the last minute".into();
    }
    let net = number(last_minute, "net_changes");
    let merged = if net > 0.0 {
        format!(", {:.2} row events to a written row", row_events / net)
    } else {
        String::new()
    };
    format!(
        "{:.1} transactions/s, {:.1} row events/s applied over {seconds:.0} s{merged}",
        transactions / seconds,
        row_events / seconds
    )
}

/// How long the backlog takes.
fn catch_up(answer: &Answer) -> String {
    let backlog = number(&answer.status, "backlog_rows");
    if number(&answer.status, "backlog_transactions") <= 0.0 {
        return "all that is staged is applied".into();
    }
    let seconds = number(&answer.last_minute, "seconds");
    let row_events = number(&answer.last_minute, "row_events");
    if is_gone(answer) {
        return "it waits: the loader is gone".into();
    }
    let state = show(answer.status.get("loader_state"));
    if state != "running" {
        return format!("it waits: the loader is {state}");
    }
    if seconds <= 0.0 || row_events <= 0.0 {
        return "nothing was applied in the last minute".into();
    }
    format!(
        "about {} at this rate",
        duration((backlog * seconds / row_events).ceil())
    )
}

/// What there is to say of a miner that says that it runs: its state is what it has last written.
fn silence(answer: &Answer) -> String {
    let silent = number(&answer.last_minute, "miner_silent_seconds");
    if show(answer.status.get("miner_state")) == "running" && silent > SILENT_SECONDS {
        format!("  (nothing heard of it for {})", duration(silent))
    } else {
        String::new()
    }
}

/// Whether the loader's state is one of a loader that lives, and there is none.
fn is_gone(answer: &Answer) -> bool {
    let ended = ["stopped", "failed"].contains(&show(answer.status.get("loader_state")).as_str());
    let connected = answer.last_minute.get("loader_connected");
    !ended && connected == Some(&Value::Bool(false))
}

/// Columns of the table list: heading and view column.
const TABLE_COLUMNS: &[(&str, &str)] = &[
    ("table", "table_name"),
    ("target", "target_table"),
    ("state", "state"),
    ("lag_s", "lag_seconds"),
    ("inserts", "inserts"),
    ("updates", "updates"),
    ("deletes", "deletes"),
    ("written", "applied_rows"),
];

/// How bad a table's state is, worst first.
fn badness(table: &Value) -> usize {
    const WORST_FIRST: [&str; 5] = ["failed", "held", "paused", "overlapping", "active"];
    let state = show(table.get("state"));
    WORST_FIRST
        .iter()
        .position(|known| *known == state)
        .unwrap_or(0)
}

fn table_name(table: &Value) -> String {
    format!(
        "{}.{}",
        show(table.get("database_name")),
        show(table.get("table_name"))
    )
}

fn write_tables(tables: &[Value], out: &mut impl Write) -> io::Result<()> {
    if tables.is_empty() {
        return Ok(());
    }
    let mut worst_first: Vec<&Value> = tables.iter().collect();
    // Stable: equally bad ones stay in the order of their names.
    worst_first.sort_by(|a, b| {
        let errors = is_null(a, "last_error").cmp(&is_null(b, "last_error"));
        let lags = number(b, "lag_seconds").total_cmp(&number(a, "lag_seconds"));
        badness(a).cmp(&badness(b)).then(errors).then(lags)
    });
    let shown = worst_first.get(..MOST_TABLES).unwrap_or(&worst_first);
    let mut lines: Vec<Vec<String>> = vec![
        TABLE_COLUMNS
            .iter()
            .map(|(heading, _)| (*heading).to_owned())
            .collect(),
    ];
    lines.extend(shown.iter().map(|table| {
        let cell = |column: &str| match column {
            "table_name" => table_name(table),
            column => show(table.get(column)),
        };
        TABLE_COLUMNS.iter().map(|(_, name)| cell(name)).collect()
    }));
    writeln!(out)?;
    write_aligned(&lines, out)?;
    if shown.len() < tables.len() {
        let more = tables.len() - shown.len();
        writeln!(out, "and {more} more; --json shows all")?;
    }
    for table in shown {
        if !is_null(table, "last_error") {
            writeln!(
                out,
                "{}: {}",
                table_name(table),
                show(table.get("last_error"))
            )?;
        }
    }
    Ok(())
}

fn write_aligned(lines: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..TABLE_COLUMNS.len()).map(width).collect();
    for line in lines {
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
pub(in crate::command) fn show(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A number of the views; 0 when it is null.
fn number(row: &Value, column: &str) -> f64 {
    row.get(column).and_then(Value::as_f64).unwrap_or(0.0)
}

fn is_null(row: &Value, column: &str) -> bool {
    row.get(column).is_none_or(Value::is_null)
}

/// Seconds in the largest unit that fits.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    let mut rest = bytes;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while rest >= 10_000.0 {
        let Some(next) = units.next() else { break };
        rest /= 1024.0;
        unit = Some(next);
    }
    format!("{rest:.0} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(answer: &Answer) -> String {
        let mut out = Vec::new();
        write("shop", answer, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn behind() -> Answer {
        Answer {
            status: json!({
                "source": "db:3306", "server_version": "8.0.36", "miner_state": "running",
                "staged_file": "bin.000002", "staged_pos": 4000, "loader_state": "running",
                "applied_file": "bin.000001", "applied_pos": 900, "miner_lag_seconds": 0.5,
                "loader_lag_seconds": 31.5, "total_lag_seconds": 32.0,
                "backlog_transactions": 300, "backlog_rows": 90_000,
                "staging_bytes": 50_000_000, "consistent_from": null, "dead_letters": 1,
                "last_error": null
            }),
            tables: vec![
                json!({"database_name": "app", "table_name": "a", "state": "active",
                       "lag_seconds": 1.0, "last_error": null}),
                json!({"database_name": "app", "table_name": "b", "state": "held",
                       "lag_seconds": 0.0, "last_error": "1 dead letters"}),
                json!({"database_name": "app", "table_name": "c", "state": "active",
                       "lag_seconds": 7.0, "last_error": null}),
            ],
            last_minute: json!({
                "seconds": 60.0, "transactions": 600, "row_events": 18_000,
                "net_changes": 9_000, "batches": 60
            }),
            errors: vec![json!({
                "program": "loader", "age_seconds": 300, "last_error": "stopped: do this"
            })],
        }
    }

    #[test]
    fn a_backlog_has_a_rate_and_a_time() {
        let text = text(&behind());
        for line in [
            "lag       32.0 s: miner 0.5 s behind the source, loader 31.5 s behind the miner",
            "rate      10.0 transactions/s, 300.0 row events/s applied over 60 s, 2.00 row events",
            "backlog   300 transactions, 90000 row events; about 5 min at this rate",
            "staging   48 MB; dead letters 1",
            "error     loader, 5 min ago: stopped: do this",
            "app.b: 1 dead letters",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_worst_tables_come_first_and_a_thousand_do_not_flood_the_screen() {
        let mut answer = behind();
        let order = |text: &str| -> Vec<String> {
            let names = text.lines().filter(|line| line.starts_with("app."));
            let names = names.filter_map(|line| line.split_whitespace().next());
            names.take(3).map(str::to_owned).collect()
        };
        assert_eq!(order(&text(&answer)), ["app.b", "app.c", "app.a"]);
        let calm = answer.tables.first().cloned().unwrap();
        answer.tables.extend(std::iter::repeat_n(calm, 997));
        let text = text(&answer);
        assert!(text.contains("and 970 more"), "{text}");
        assert_eq!(order(&text).first().map(String::as_str), Some("app.b"));
    }

    #[test]
    fn no_time_is_promised_when_nothing_moves() {
        let mut answer = behind();
        answer.last_minute = json!({"seconds": null, "transactions": 0, "row_events": 0});
        assert!(text(&answer).contains("; nothing was applied in the last minute"));
        answer.status["loader_state"] = json!("failed");
        assert!(text(&answer).contains("it waits: the loader is failed"));
        answer.status["backlog_transactions"] = json!(0);
        assert!(text(&answer).contains("all that is staged is applied"));
    }

    #[test]
    fn a_miner_that_says_nothing_any_more_is_doubted() {
        let mut answer = behind();
        assert!(!text(&answer).contains("nothing heard"));
        answer.last_minute["miner_silent_seconds"] = json!(25.2);
        assert!(text(&answer).contains("bin.000002:4000  (nothing heard of it for 25 s)"));
        answer.status["miner_state"] = json!("stopped");
        assert!(!text(&answer).contains("nothing heard"));
    }

    #[test]
    fn a_loader_that_has_no_session_is_said_to_be_gone_and_promises_nothing() {
        let mut answer = behind();
        answer.last_minute["loader_connected"] = json!(true);
        assert!(!text(&answer).contains("session"));
        answer.last_minute["loader_connected"] = json!(false);
        assert!(text(&answer).contains("bin.000001:900  (it has no session on staging"));
        assert!(text(&answer).contains("; it waits: the loader is gone"));
        answer.status["loader_state"] = json!("stopped");
        assert!(!text(&answer).contains("session"));
    }

    #[test]
    fn paused_tables_are_named() {
        let mut answer = behind();
        assert!(!text(&answer).contains("paused"));
        answer.tables[0]["state"] = json!("paused");
        assert!(text(&answer).contains("\npaused    app.a: not part of lag"));
    }

    #[test]
    fn units_fit_the_number() {
        assert_eq!(
            [0.4, 119.0, 121.0, 8_000.0, 400_000.0].map(duration),
            ["0 s", "119 s", "2 min", "2.2 h", "4.6 days"]
        );
        assert_eq!(
            [0.0, 9_999.0, 20_480.0, 3e13].map(bytes),
            ["0 B", "9999 B", "20 KB", "27940 GB"]
        );
    }
}
