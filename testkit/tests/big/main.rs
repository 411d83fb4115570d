//! Big transactions, rows, backlogs and numbers of tables, within the bound on memory:
//! 256 MB and four times the largest row event, whatever the transaction or the backlog.
//!
//! With `MYSQL2GP_TEST_LONG=1` they are ten times as big, and more.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

use std::time::{Duration, Instant};

use mysql::prelude::Queryable;
use testkit::{Flavor, MysqlServer, Program, TaskFiles, wait_until};

/// Servers, tasks and running programs.
#[path = "../end_to_end/rig.rs"]
#[allow(dead_code, reason = "shared with the end-to-end tests")]
mod rig;

use rig::{DATABASE, Rig, Task, assert_stops, loader, miner};

/// Memory that a program may use besides four times the largest row event.
const MEMORY_BYTES: u64 = 256 << 20;

/// Bounds every wait.
const LONG_TIME: Duration = Duration::from_secs(4 * 3600);

/// A size in the suite, or in the long mode.
fn size(usual: u64, long: u64) -> u64 {
    if std::env::var_os("MYSQL2GP_TEST_LONG").is_some_and(|value| value == "1") {
        long
    } else {
        usual
    }
}

fn start() -> (Rig, Task, TaskFiles) {
    let source = MysqlServer::builder(Flavor::MariaDb1011)
        .arg("--max-allowed-packet=1G")
        .arg("--innodb-buffer-pool-size=256M")
        .arg("--max-recursive-iterations=4294967295")
        .start();
    let rig = Rig::new(source);
    let task = rig.small_task("big");
    let files = task.config.write();
    (rig, task, files)
}

fn insert_many(first: u64, rows: u64) -> String {
    let last = first + rows - 1;
    format!("insert into t select seq, concat('row ', seq) from seq_{first}_to_{last}")
}

/// Whether everything is applied, by number and checksum.
fn assert_arrived(rig: &Rig, task: &Task, table: &str) {
    let source = rig.source.query(&format!(
        "select count(*), sum(cast(conv(substr(md5(concat(id, ',', v)), 1, 8), 16, 10) as unsigned)) from {DATABASE}.{table}"
    ));
    let target = rig.target().query(
        &task.target,
        &format!(
            "select count(*), sum(('x' || substr(md5(id || ',' || v), 1, 8))::bit(32)::bigint) from copy.{table}"
        ),
    );
    assert_eq!(source, target, "table {table}");
}

/// Waits until the target has what the source has.
fn wait_applied(rig: &Rig, task: &Task) {
    let (file, position) = rig.source.binlog_end();
    wait_until(LONG_TIME, "everything to be applied", || {
        rig.status(task).is_some_and(|status| {
            status.get("applied_file").and_then(|file| file.as_str()) == Some(&file)
                && status.get("applied_pos").and_then(|at| at.as_u64()) == Some(position)
        })
    });
}

#[expect(clippy::print_stdout, reason = "the result of the run")]
fn ends_within_memory(what: &str, since: Instant, programs: [Program; 2], row_bytes: u64) {
    let peaks = programs.map(|mut program| {
        let peak = program.peak_memory_bytes();
        assert_stops(&mut program);
        peak
    });
    let [miner, loader] = peaks.map(|bytes| bytes >> 20);
    println!(
        "{what}: seconds={:.1} miner_mb={miner} loader_mb={loader}",
        since.elapsed().as_secs_f64()
    );
    for peak in peaks {
        assert!(peak <= MEMORY_BYTES + 4 * row_bytes, "{what}: {peak} bytes");
    }
}

#[test]
fn one_transaction_of_a_million_rows() {
    let (rig, task, files) = start();
    let rows = size(1_000_000, 10_000_000);
    let programs = [miner(&files, &[]), loader(&files, &[])];
    rig.source_sql(&[&insert_many(1, rows)]);
    let since = Instant::now();
    // The status shows how far it is, long before the end: it is staged, then applied, while the
    // target shows nothing of it.
    let mut backlog = Vec::new();
    wait_until(LONG_TIME, "its end", || {
        let left = rig.status_of(&task, "backlog_rows").as_u64();
        // Looked at behind the status: what that said was said before the commit.
        let arrived = rig.target_value(&task, "select count(*) from t");
        if arrived != "0" {
            assert_eq!(arrived, rows.to_string());
            return true;
        }
        backlog.extend(left);
        false
    });
    let steps = |moves: fn(u64, u64) -> bool| {
        let steps = backlog.windows(2);
        steps.filter(|step| moves(step[0], step[1])).count()
    };
    let (staged, applied) = (steps(|a, b| a < b), steps(|a, b| a > b));
    assert!(staged > 2 && applied > 2, "{backlog:?}");
    wait_applied(&rig, &task);
    assert_arrived(&rig, &task, "t");
    ends_within_memory("one large transaction", since, programs, 0);
}

#[test]
fn a_row_of_64_mib() {
    const BYTES: u64 = 64 << 20;
    let (rig, task, files) = start();
    rig.source.sql(&format!(
        "create table {DATABASE}.wide (id int primary key, v longtext)"
    ));
    rig.target_sql(&task, "create table wide (id integer primary key, v text)");
    let programs = [miner(&files, &[]), loader(&files, &[])];
    let since = Instant::now();
    rig.source_sql(&[
        &format!("insert into wide values (1, repeat('abcdefgh', {BYTES} div 8))"),
        "update wide set v = reverse(v)",
        &format!("insert into wide values (2, repeat('\\\\\\n', {BYTES} div 4))"),
    ]);
    wait_applied(&rig, &task);
    assert_arrived(&rig, &task, "wide");
    // The update's event holds the row twice.
    ends_within_memory("a large row", since, programs, 2 * BYTES);
}

#[test]
fn a_hundred_thousand_transactions_of_one_row() {
    let (rig, task, files) = start();
    let transactions = size(100_000, 1_000_000);
    let programs = [miner(&files, &[]), loader(&files, &[])];
    let since = Instant::now();
    rig.source_sql(&[&format!(
        "begin not atomic for i in 1..{transactions} do insert into t values (i, concat('row ', i)); end for; end"
    )]);
    wait_applied(&rig, &task);
    assert_arrived(&rig, &task, "t");
    let staged = "select transaction_seq >= 100000 from mysql2gp.miner";
    assert_eq!(rig.staging.value(&task.staging, staged), "t");
    ends_within_memory("small transactions", since, programs, 0);
}

#[test]
fn two_hundred_tables() {
    let (rig, task, files) = start();
    let tables = size(200, 2_000);
    for number in 0..tables {
        rig.target_sql(
            &task,
            &format!("create table t{number} (id integer primary key, v varchar(20))"),
        );
    }
    let mut connection = rig.source.connect();
    let mut run = |sql: String| connection.query_drop(sql).unwrap();
    run(format!("use {DATABASE}"));
    for number in 0..tables {
        run(format!(
            "create table t{number} (id int primary key, v varchar(20))"
        ));
    }
    let programs = [miner(&files, &[]), loader(&files, &[])];
    let since = Instant::now();
    for round in 0..3 {
        run("begin".into());
        for number in 0..tables {
            run(format!(
                "replace into t{number} values (1, 'round {round}'), ({round} + 2, 'new')"
            ));
        }
        run("commit".into());
    }
    wait_applied(&rig, &task);
    for number in 0..tables {
        assert_arrived(&rig, &task, &format!("t{number}"));
    }
    ends_within_memory("many tables", since, programs, 0);
}

#[test]
fn a_backlog_of_a_million_events() {
    let (rig, task, files) = start();
    let events = size(1_000_000, 50_000_000);
    let mining = miner(&files, &[]);
    let since = Instant::now();
    let step = 500;
    rig.source_sql(&[&format!(
        "begin not atomic for i in 1..{events} div {} do \
           insert into t select i * {step} + seq, concat('row ', seq) from seq_0_to_{}; \
           update t set v = concat('new ', i) where id between i * {step} and i * {step} + {}; \
         end for; end",
        2 * step,
        step - 1,
        step - 1
    )]);
    let (file, position) = rig.source.binlog_end();
    wait_until(LONG_TIME, "everything to be staged", || {
        rig.status(&task).is_some_and(|status| {
            status.get("staged_file").and_then(|file| file.as_str()) == Some(&file)
                && status.get("staged_pos").and_then(|at| at.as_u64()) == Some(position)
        })
    });
    let loading = loader(&files, &[]);
    wait_applied(&rig, &task);
    assert_arrived(&rig, &task, "t");
    ends_within_memory("a backlog", since, [mining, loading], 0);
}
