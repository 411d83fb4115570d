//! Figures, scraped and sent.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use testkit::holds_within;

use crate::paused::{hold, wait_caught_up};
use crate::rig::{Rig, SOON, assert_calm, assert_ends, assert_stops, loader, miner};

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What a program answers at its port; `None` while nobody does.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Everything that a program shows at its port; `None` while nobody answers.
fn scrape(port: u16) -> Option<String> {
    let answer = get(port, "/metrics")?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Some(answer)
}

/// The figure of this name with these labels.
fn figure(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Waits until a program shows this figure.
#[track_caller]
fn wait_figure(port: u16, name: &str, labels: &[&str], expected: f64) {
    let mut last = String::new();
    let seen = holds_within(SOON, || {
        last = scrape(port).unwrap_or_default();
        figure(&last, name, labels) == Some(expected)
    });
    assert!(seen, "{name}{labels:?} is not {expected}:\n{last}");
}

#[test]
fn both_programs_show_and_send_their_figures() {
    let rig = Rig::start();
    let mut task = rig.small_task("metrics");
    let (port, miner_port) = (free_port(), free_port());
    let statsd = UdpSocket::bind("127.0.0.1:0").unwrap();
    statsd
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    task.config = task
        .config
        .clone()
        .set("metrics", "listen", format!("127.0.0.1:{port}"))
        .set("metrics", "miner_listen", format!("127.0.0.1:{miner_port}"))
        .set("statsd", "host", "127.0.0.1")
        .set("statsd", "port", statsd.local_addr().unwrap().port())
        .set("statsd", "prefix", "test");
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&[
        "insert into t values (1, 'a'), (2, 'b'), (3, 'c')",
        "update t set v = 'x' where id < 3",
        "delete from t where id = 1",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);

    let (file, offset) = rig.source.binlog_end();
    let number: f64 = file.rsplit_once('.').unwrap().1.parse().unwrap();
    let offset = f64::from(u32::try_from(offset).unwrap());
    let name = "mysql2gp_applied_events_total";
    for (operation, expected) in [("insert", 3.0), ("update", 2.0), ("delete", 1.0)] {
        let operation = format!("operation=\"{operation}\"");
        let labels = [
            "database=\"app\"",
            "table=\"t\"",
            "task=\"metrics_staging\"",
            &operation,
        ];
        wait_figure(port, name, &labels, expected);
    }
    wait_figure(port, "mysql2gp_applied_transactions_total", &[], 3.0);
    wait_figure(port, "mysql2gp_applied_file_number", &[], number);
    wait_figure(port, "mysql2gp_applied_offset_bytes", &[], offset);
    wait_figure(port, "mysql2gp_loader_state", &["state=\"running\""], 1.0);
    wait_figure(port, "mysql2gp_loader_state", &["state=\"starting\""], 0.0);
    wait_figure(port, "mysql2gp_total_lag_seconds", &[], 0.0);
    wait_figure(port, "mysql2gp_backlog_rows", &[], 0.0);
    wait_figure(port, "mysql2gp_dead_letters", &[], 0.0);
    wait_figure(port, "mysql2gp_paused_tables", &[], 0.0);
    assert!(
        get(port, "/metrics?by=test")
            .unwrap()
            .contains("mysql2gp_batches_total")
    );
    assert!(get(port, "/else?metrics").unwrap().contains(" 404 "));
    let loaders = scrape(port).unwrap();
    let value = |name: &str| figure(&loaders, name, &[]).unwrap();
    assert_eq!(
        value("mysql2gp_apply_seconds_count"),
        value("mysql2gp_batches_total")
    );
    assert!(value("mysql2gp_apply_seconds_sum") > 0.0);
    let upserts = figure(&loaders, "mysql2gp_written_rows_total", &["upsert"]).unwrap();
    assert!((2.0..=5.0).contains(&upserts), "{loaders}");

    wait_figure(miner_port, "mysql2gp_staged_transactions_total", &[], 3.0);
    wait_figure(miner_port, "mysql2gp_staged_events_total", &[], 6.0);
    wait_figure(miner_port, "mysql2gp_staged_file_number", &[], number);
    wait_figure(miner_port, "mysql2gp_staged_offset_bytes", &[], offset);
    wait_figure(miner_port, "mysql2gp_miner_lag_seconds", &[], 0.0);
    wait_figure(
        miner_port,
        "mysql2gp_miner_state",
        &["state=\"running\""],
        1.0,
    );
    let miners = scrape(miner_port).unwrap();
    assert!(figure(&miners, "mysql2gp_staged_bytes_total", &[]).unwrap() > 0.0);
    assert!(
        figure(&miners, "mysql2gp_staging_bytes", &[]).unwrap() > 1e6,
        "{miners}"
    );
    assert!(figure(&miners, "mysql2gp_stage_seconds_count", &[]).unwrap() >= 1.0);
    assert_names_exist(&format!("{loaders}\n{miners}"));

    let mut sent = HashSet::new();
    let mut buffer = [0; 65536];
    let all = holds_within(Duration::from_secs(20), || {
        if let Ok(length) = statsd.recv(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            sent.extend(text.lines().map(str::to_owned));
        }
        let counted = |operation: &str, expected: u64| {
            let name = format!("test.applied_events_total.app.t.{operation}:");
            let added = sent
                .iter()
                .filter_map(|line| line.strip_prefix(&name)?.strip_suffix("|c"));
            added
                .map(|added| added.parse::<u64>().unwrap())
                .sum::<u64>()
                >= expected
        };
        let has = |start: &str, end: &str| {
            sent.iter()
                .any(|line| line.starts_with(start) && line.ends_with(end))
        };
        counted("update", 1)
            && counted("delete", 1)
            && has("test.apply_seconds:", "|ms")
            && has("test.stage_seconds:", "|ms")
            && has("test.miner_state.running:1|g", "")
            && has("test.loader_state.running:1|g", "")
            && has("test.total_lag_seconds:0|g", "")
            && has("test.staged_events_total:", "|c")
    });
    assert!(all, "{sent:#?}");

    // The statsd host goes away, and nothing is noticed.
    drop(statsd);
    rig.source_sql(&["insert into t values (4, 'd')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    wait_figure(port, "mysql2gp_applied_transactions_total", &[], 4.0);
    // A table that is paused shows, and not as a lag.
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&["insert into t values (5, 'e')"]);
    wait_figure(port, "mysql2gp_paused_tables", &[], 1.0);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    wait_figure(port, "mysql2gp_total_lag_seconds", &[], 0.0);
    hold(&files, &["resume", "t"], &["resumed"]);
    wait_figure(port, "mysql2gp_paused_tables", &[], 0.0);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    for program in [&mining, &loading] {
        assert_calm(program, &["source is not encrypted", "TLS"]);
    }
}

/// Every figure that the dashboard and the alerts name is one of those that are shown.
fn assert_names_exist(text: &str) {
    let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc");
    for file in ["grafana-dashboard.json", "prometheus-alerts.yml"] {
        let content = std::fs::read_to_string(etc.join(file)).unwrap();
        let mut names = HashSet::new();
        for (at, _) in content.match_indices("mysql2gp_") {
            let rest = &content[at..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '2');
            names.insert(&rest[..end.unwrap_or(rest.len())]);
        }
        assert!(names.len() >= 8, "{file}: {names:?}");
        for name in names {
            let shown = text.lines().any(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            assert!(shown, "{file} names {name}, which is not shown");
        }
    }
}

#[test]
fn a_port_in_use_is_tried_again_and_an_unknown_statsd_host_is_no_error() {
    let rig = Rig::start();
    let task = rig.small_task("metrics_port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, start) in [
        ("listen", loader as crate::rig::Run),
        ("miner_listen", miner),
    ] {
        let files = task.config.clone().set("metrics", key, &address).write();
        assert_ends(&mut start(&files, &[]), 1, &[key, &address, "in use"]);
    }
    let files = task
        .config
        .clone()
        .set("statsd", "host", "no-such-host.invalid")
        .write();
    rig.source_sql(&["insert into t values (1, 'a')"]);
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn a_second_copy_says_who_holds_the_task_and_not_that_the_port_is_taken() {
    let rig = Rig::start();
    let mut task = rig.small_task("metrics_copies");
    let (port, miner_port) = (free_port(), free_port());
    task.config = task
        .config
        .clone()
        .set("task", "lock_timeout", 1)
        .set("metrics", "listen", format!("127.0.0.1:{port}"))
        .set("metrics", "miner_listen", format!("127.0.0.1:{miner_port}"));
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    for (start, first) in [
        (miner as crate::rig::Run, &mining),
        (loader as crate::rig::Run, &loading),
    ] {
        let mut second = start(&files, &[]);
        assert_ends(&mut second, 1, &[&format!("pid {}", first.pid())]);
        assert!(!second.stderr().contains("in use"), "{}", second.stderr());
    }
    // The one that takes over takes the port over, too.
    let mut second = miner(&files, &[]);
    second.wait_log("another miner", SOON);
    mining.kill9();
    wait_figure(
        miner_port,
        "mysql2gp_miner_state",
        &["state=\"running\""],
        1.0,
    );
    assert_stops(&mut second);
    assert_stops(&mut loading);
}
