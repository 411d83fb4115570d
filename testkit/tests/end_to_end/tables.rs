//! Tables that do not fit, statements that are not carried.

use testkit::wait_until;

use crate::rig::{Rig, SCHEMA, assert_ends, assert_says, assert_stops, launch, loader, miner};

#[test]
fn a_missing_target_table_or_column_is_named() {
    let rig = Rig::start();
    let task = rig.small_task("missing");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'x')"]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);

    rig.target_sql(&task, "alter table t rename to u");
    for args in [&[][..], &["--once"]] {
        assert_ends(&mut loader(&files, args), 3, &["app.t", "copy.t"]);
    }
    rig.target_sql(
        &task,
        "alter table u rename to t; alter table t rename v to w",
    );
    for args in [&[][..], &["--once"]] {
        assert_ends(&mut loader(&files, args), 3, &["app.t", "copy.t", "v"]);
    }
    let mut check = loader(&files, &["check"]);
    assert!(matches!(
        check.wait_exit(crate::rig::SOON).code(),
        Some(2 | 3)
    ));

    // Nothing is lost once it is put right.
    rig.target_sql(&task, "alter table t rename w to v");
    assert_ends(&mut loader(&files, &["check"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn an_alter_table_stops_the_loader_until_an_operator_says_it_is_done() {
    let rig = Rig::start();
    let task = rig.small_task("alter");
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (1, 'before')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);

    rig.source_sql(&["alter table t add column w int not null default 7"]);
    let (file, position) = rig.source.binlog_end();
    let position = format!("{file}:{position}");
    rig.source_sql(&["insert into t values (2, 'after', 8)"]);
    assert_ends(&mut loading, 3, &["app.t", "add column w", &position]);
    // A restart does not go past it.
    for args in [&[][..], &["--once"]] {
        let mut loading = loader(&files, args);
        assert_ends(&mut loading, 3, &["app.t", "add column w", &position]);
    }
    assert_eq!(
        rig.target_value(&task, "select string_agg(v, ',') from t"),
        "before"
    );
    assert_eq!(rig.status_of(&task, "loader_state"), "failed");
    let error = rig.status_of(&task, "last_error");
    assert!(
        error.as_str().is_some_and(|text| text.contains("app.t")),
        "{error}"
    );
    // The miner goes on, and so does the loader once the target is altered too.
    rig.target_sql(
        &task,
        "alter table t add column w integer not null default 7",
    );
    assert_ends(&mut loader(&files, &["ack", &position]), 0, &[]);
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn statements_that_change_no_replicated_row_pass() {
    let rig = Rig::start();
    let task = rig.small_task("passing");
    let files = task.config.clone().tables(&["t"]).write();
    rig.source_sql(&[
        "insert into t values (1, 'x')",
        "create index by_v on t (v)",
        "drop index by_v on t",
        "create table other_table (id int primary key)",
        "alter table other_table add column w int",
        "drop table other_table",
        "create temporary table scratch (id int)",
        "insert into scratch values (1)",
        "drop temporary table scratch",
        "create user somebody@localhost",
        "create database another",
        "drop database another",
        "create view v as select * from t",
        "analyze table t",
        "insert into t values (2, 'y')",
    ]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}

/// Deletes of one round must not be done again in the next.
#[test]
fn rows_without_a_key_go_once_when_a_transaction_takes_several_rounds() {
    let rig = Rig::start();
    let task = rig.small_task("rounds");
    let files = task
        .config
        .clone()
        .tables(&["k"])
        .set("binlogloader", "batch_bytes", 1000)
        .write();
    rig.source_sql(&[
        "create table k (a int, t text)",
        "insert into k values (1, 'x'), (1, 'x'), (1, 'x'), (1, 'x'), (2, 'y'), (2, 'y'), (3, 'z')",
    ]);
    rig.target_sql(&task, "create table k (a integer, t text)");
    let long = |letter| format!("insert into k values (9, repeat('{letter}', 3000))");
    rig.source_sql(&[
        "begin",
        "delete from k where a = 1 limit 1",
        &long('q'),
        &long('r'),
        "delete from k where a = 2 limit 1",
        &long('s'),
        "update k set a = 4 where a = 1 limit 1",
        &long('t'),
        "update k set t = '' where a = 9",
        &long('u'),
        "delete from k where a = 3",
        "commit",
    ]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    let mut loading = loader(&files, &["--once"]);
    assert_ends(&mut loading, 0, &[]);
    crate::rig::assert_calm(&loading, &[]);
    rig.assert_equal(&task, &["k"]);
}

#[test]
fn a_truncate_is_carried_in_its_place() {
    let rig = Rig::start();
    let task = rig.small_task("truncate");
    let files = task.config.write();
    rig.source_sql(&[
        "insert into t values (1, 'before'), (2, 'before')",
        "truncate table t",
        "insert into t values (2, 'after')",
    ]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
    assert_eq!(rig.target_value(&task, "select v from t"), "after");
}

#[test]
fn a_column_that_is_not_carried_stops_with_its_name() {
    let rig = Rig::start();
    let task = rig.small_task("types");
    rig.source_sql(&[
        "create table places (id int primary key, spot varchar(20) character set swe7)",
        "insert into t values (1, 'before')",
        "insert into places values (1, 'here')",
    ]);
    rig.target_sql(
        &task,
        "create table places (id integer primary key, spot varchar(20))",
    );
    let files = task.config.write();
    let mut program = miner(&files, &["--once"]);
    assert_ends(&mut program, 3, &["app.places", "spot", "swe7"]);
    // What came before is kept; without the table it goes on.
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(rig.target_value(&task, "select v from t"), "before");
    let files = task.config.clone().tables(&["t"]).write();
    rig.source_sql(&["insert into t values (2, 'after')"]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn a_filled_table_overlaps_when_it_has_a_key_and_is_refused_when_it_has_none() {
    let rig = Rig::start();
    let task = rig.small_task("overlap");
    rig.source_sql(&[
        "create table keyless (v int)",
        "insert into t values (1, 'x'), (2, 'y'), (3, 'z')",
        "delete from t where id = 3",
        "insert into keyless values (1)",
    ]);
    rig.target_sql(
        &task,
        "create table keyless (v integer); insert into t values (1, 'x'), (2, 'y')",
    );
    let files = task.config.clone().tables(&["t"]).write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    let mut loading = loader(&files, &["--once"]);
    assert_ends(&mut loading, 0, &[]);
    rig.assert_equal(&task, &["t"]);

    let task = rig.task("refused");
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20)); create table keyless (v integer); \
         insert into keyless values (1)",
    );
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 3, &["keyless"]);
}

#[test]
fn a_row_that_the_target_refuses_stops_the_loader_without_showing_its_values() {
    let rig = Rig::start();
    let task = rig.small_task("refusing");
    rig.target_sql(
        &task,
        "alter table t add constraint short check (length(v) <= 5)",
    );
    let files = task.config.write();
    rig.source_sql(&[
        "insert into t values (1, 'short')",
        "insert into t values (2, 'hush-hush')",
    ]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    let mut loading = loader(&files, &["--once"]);
    let code = loading.wait_exit(crate::rig::SOON).code();
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
    assert_says(&loading, &["23514", "app.t"]);
    assert!(!loading.stderr().contains("hush"), "{}", loading.stderr());
    rig.target_sql(&task, "alter table t drop constraint short");
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn check_and_status_tell_an_operator_what_there_is() {
    let rig = Rig::start();
    let task = rig.small_task("operator");
    rig.source_sql(&["insert into t values (1, 'x')"]);
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["check"]), 0, &[]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["check"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);

    let mut status = loader(&files, &["status"]);
    assert_ends(&mut status, 0, &[]);
    let (file, position) = rig.source.binlog_end();
    for word in [file.as_str(), &position.to_string(), "app", "t"] {
        assert!(
            status.stdout().contains(word),
            "{word}: {}",
            status.stdout()
        );
    }
    for word in [
        "transactions/s",
        "all that is staged is applied",
        "dead letters 0",
    ] {
        assert!(
            status.stdout().contains(word),
            "{word}: {}",
            status.stdout()
        );
    }
    let mut watching = loader(&files, &["status", "--watch", "1"]);
    wait_until(crate::rig::SOON, "two screens", || {
        watching.stdout().matches("task      operator").count() >= 2
    });
    assert_stops(&mut watching);
    let mut status = loader(&files, &["status", "--json"]);
    assert_ends(&mut status, 0, &[]);
    let parsed: serde_json::Value = serde_json::from_str(&status.stdout()).unwrap();
    assert!(parsed.to_string().contains(&file), "{parsed}");
    assert_eq!(
        parsed.pointer("/last_minute/row_events"),
        Some(&1.into()),
        "{parsed}"
    );

    // A task that is forgotten can start again, from the same place.
    let mut reset = launch("binlog_loader", &files, &["reset", "--yes"]).start();
    assert_ends(&mut reset, 0, &[]);
    let checkpoints = "select count(*) from mysql2gp.checkpoint";
    assert_eq!(
        rig.target().value(&task.target, checkpoints),
        "0",
        "{SCHEMA}"
    );
}
