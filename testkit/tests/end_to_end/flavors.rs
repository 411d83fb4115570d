//! The whole flow, on each version of the source.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use serde_json::{Value, json};
use testkit::workload::{SOURCE_SCHEMA, TABLE_LIST, TABLES, TARGET_SCHEMA, Workload};
use testkit::{Flavor, MysqlBuilder, MysqlServer, Program, Rows, wait_until};

use crate::rig::{Rig, SOON, Task, assert_calm, assert_stops, loader, miner};

/// Transactions between two interruptions.
const PHASE: usize = 300;

/// Ends the miner or the loader in some way and starts it again.
type Interruption<'a> = &'a dyn Fn(&mut Program, &mut Program);

#[test]
fn a_mixed_workload_arrives_from_mariadb_10_11() {
    a_mixed_workload_arrives(MysqlServer::builder(Flavor::MariaDb1011));
}

#[test]
fn a_mixed_workload_arrives_from_mariadb_10_11_with_its_default_row_metadata() {
    a_mixed_workload_arrives(
        MysqlServer::builder(Flavor::MariaDb1011).arg("--binlog-row-metadata=NO_LOG"),
    );
}

#[test]
fn a_mixed_workload_arrives_from_mariadb_11_8() {
    a_mixed_workload_arrives(MysqlServer::builder(Flavor::MariaDb118));
}

#[test]
fn a_mixed_workload_arrives_from_mysql_5_7() {
    a_mixed_workload_arrives(MysqlServer::builder(Flavor::Mysql57));
}

#[test]
fn a_mixed_workload_arrives_from_mysql_9_7() {
    a_mixed_workload_arrives(MysqlServer::builder(Flavor::Mysql97));
}

/// Both programs run beside the workload; each is stopped, started and killed in its
/// middle. Then every row is compared, and the views are read.
fn a_mixed_workload_arrives(source: MysqlBuilder) {
    let rig = Rig::new(source.start());
    let task = rig.task("mixed");
    rig.source.sql(SOURCE_SCHEMA);
    rig.target_sql(&task, TARGET_SCHEMA);
    let files = task.config.clone().tables(TABLE_LIST).write();
    let mut connection = rig.source.connect();
    let mut workload = Workload::random();

    // Some of it is there before anybody looks.
    workload.run(&mut connection, PHASE);
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);

    let interruptions: [Interruption<'_>; 4] = [
        &|mining, _| {
            assert_stops(mining);
            assert_calm(mining, &[]);
            *mining = miner(&files, &[]);
        },
        &|_, loading| {
            assert_stops(loading);
            assert_calm(loading, &[]);
            *loading = loader(&files, &[]);
        },
        &|mining, _| {
            mining.kill9();
            *mining = miner(&files, &[]);
        },
        &|_, loading| {
            loading.kill9();
            *loading = loader(&files, &[]);
        },
    ];
    for interrupt in interruptions {
        let progress = rig.status_of(&task, "applied_pos");
        thread::scope(|scope| {
            let done = Arc::clone(&workload.done);
            let before = done.load(Ordering::Relaxed);
            let writer = scope.spawn(|| workload.run(&mut connection, PHASE));
            wait_until(SOON, "the programs to be at work", || {
                done.load(Ordering::Relaxed) >= before + PHASE / 10
                    && rig.status_of(&task, "applied_pos") != progress
            });
            interrupt(&mut mining, &mut loading);
            writer.join().unwrap();
        });
    }
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, TABLES);

    assert_events(&rig, &task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, TABLES);
    assert_tables(&rig, &task);
    assert_status(&rig, &task);

    assert_stops(&mut mining);
    assert_stops(&mut loading);
    // PostgreSQL may take a moment to notice that the killed copy is gone.
    for program in [&mining, &loading] {
        assert_calm(program, &["another miner", "another loader"]);
    }
    assert_eq!(rig.status_of(&task, "miner_state"), json!("stopped"));
    assert_eq!(rig.status_of(&task, "loader_state"), json!("stopped"));
}

/// `mysql2gp.events` shows what was done, by column name.
fn assert_events(rig: &Rig, task: &Task, programs: &mut [&mut Program]) {
    rig.source_sql(&[
        "insert into slots values (1000001, 1000001, 'tab\\t')",
        "update slots set label = null where id = 1000001",
        "update slots set id = 1000002 where id = 1000001",
        "delete from slots where id = 1000002",
        "insert into journal values ('2030-01-01 00:00:00', 'once', 1, null)",
        "delete from journal where at = '2030-01-01 00:00:00'",
    ]);
    rig.wait_applied(task, programs);

    let rows = rig.staging.query(
        &task.staging,
        "select op, key::text, before::text, after::text, committed_at > now() - interval '1 hour', statement \
         from mysql2gp.events where table_name = 'slots' and (key ->> 'id')::integer > 1000000 order by event_seq",
    );
    let event = |op: &str, key: Option<&str>, before: Option<&str>, after: Option<&str>| {
        let mut row: Vec<_> = [Some(op), key, before, after]
            .map(|text| text.map(str::to_owned))
            .to_vec();
        row.extend([Some("t".to_owned()), None]);
        row
    };
    let (first, second) = (r#"{"id": "1000001"}"#, r#"{"id": "1000002"}"#);
    let expected: Rows = vec![
        event(
            "insert",
            Some(first),
            None,
            Some(r#"{"id": "1000001", "slot": "1000001", "label": "tab\t"}"#),
        ),
        event(
            "update",
            Some(first),
            None,
            Some(r#"{"id": "1000001", "slot": "1000001", "label": null}"#),
        ),
        event(
            "update",
            Some(second),
            Some(first),
            Some(r#"{"id": "1000002", "slot": "1000001", "label": null}"#),
        ),
        event("delete", Some(second), None, None),
    ];
    assert_eq!(rows, expected);

    let rows = rig.staging.query(
        &task.staging,
        "select op, key::text, before::text, after::text, committed_at > now() - interval '1 hour', statement \
         from mysql2gp.events where table_name = 'journal' \
         and coalesce(before, after) ->> 'at' like '2030-01-01 00:00:00%' order by event_seq",
    );
    let row = r#"{"at": "2030-01-01 00:00:00", "text": "once", "amount": "1", "payload": null}"#;
    let expected: Rows = vec![
        event("insert", None, None, Some(row)),
        event("delete", None, Some(row), None),
    ];
    assert_eq!(rows, expected);

    // The last event is the end of what is applied.
    let (file, position) = rig.source.binlog_end();
    let last = rig.staging.query(
        &task.staging,
        "select binlog_file, binlog_pos from mysql2gp.events order by event_seq desc limit 1",
    );
    assert_eq!(last, vec![vec![Some(file), Some(position.to_string())]]);
    let left_out = "select count(*) from mysql2gp.events where table_name = 'left_out' or database_name = 'other'";
    assert_eq!(rig.staging.value(&task.staging, left_out), "0");
}

fn assert_tables(rig: &Rig, task: &Task) {
    let rows = rig.staging.query(
        &task.staging,
        "select database_name, table_name, target_table, key_columns::text, state, \
         inserts > 0 and updates > 0 and deletes > 0 and applied_rows > 0 and last_commit_time is not null \
         and lag_seconds = 0 and last_error is null from mysql2gp.tables order by table_name",
    );
    let table = |name: &str, key: &str| {
        let target = format!("copy.{name}");
        ["app", name, &target, key, "active", "t"]
            .map(|text| Some(text.to_owned()))
            .to_vec()
    };
    let expected: Rows = vec![
        table("accounts", "{region,number}"),
        table("journal", "{}"),
        table("numbers", "{id}"),
        table("slots", "{id}"),
    ];
    assert_eq!(rows, expected);
    assert_eq!(
        rig.target_value(
            task,
            "select count(*) from accounts where loaded <> 'by mysql2gp'"
        ),
        "0"
    );
}

fn assert_status(rig: &Rig, task: &Task) {
    let status = rig.status(task).expect("staging answers");
    let expected = json!({
        "source": format!("127.0.0.1:{}", rig.source.port()),
        "miner_state": "running",
        "loader_state": "running",
        "miner_lag_seconds": 0.0,
        "loader_lag_seconds": 0.0,
        "total_lag_seconds": 0.0,
        "backlog_transactions": 0,
        "backlog_rows": 0,
        "dead_letters": 0,
        "last_error": null,
    });
    for (column, value) in expected.as_object().unwrap() {
        let found = status.get(column).unwrap_or(&Value::Null);
        let equal = match (found.as_f64(), value.as_f64()) {
            (Some(found), Some(value)) => found == value,
            _ => found == value,
        };
        assert!(equal, "{column}: {found}, not {value}, in {status:#}");
    }
    let version = status.get("server_version").and_then(Value::as_str);
    assert_eq!(version, Some(rig.source.value("select version()").as_str()));
    assert_eq!(status.get("staged_pos"), status.get("applied_pos"));

    let batches = "select count(*) > 0 and bool_and(row_events >= 0 and transactions > 0) from mysql2gp.batches";
    assert_eq!(rig.staging.value(&task.staging, batches), "t");
}
