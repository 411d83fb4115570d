//! A target, or staging, that is restored from an old copy.

use testkit::{Flavor, MysqlServer, PgServer, Program, wait_until};

use crate::rig::{Rig, SOON, Task, assert_calm, assert_ends, assert_stops, loader, miner};

fn start() -> (Rig, Task) {
    let rig = Rig::with_servers(
        MysqlServer::start_default(Flavor::MariaDb1011),
        PgServer::start_default(),
        PgServer::start_default(),
    );
    let mut task = rig.small_task("restored");
    task.config = task.config.set("binlogloader", "keep_applied_seconds", 0);
    (rig, task)
}

/// Has the miner begin a new segment, and waits until staging holds nothing older.
fn retire(rig: &Rig, task: &Task, mining: &mut Program, loading: &mut Program, row: u32) {
    assert_stops(mining);
    let files = task.config.write();
    *mining = miner(&files, &[]);
    rig.source_sql(&[&format!("insert into t values ({row}, 'later')")]);
    rig.wait_applied(task, &mut [mining, loading]);
    wait_until(SOON, "older segments to be dropped", || {
        rig.staging
            .value(&task.staging, "select count(*) from mysql2gp.segment")
            == "1"
    });
}

/// The source's log begins anew, and grows past where it was.
fn reset(rig: &Rig) {
    let end = rig.source.binlog_end();
    // A file's creation time has seconds.
    rig.source_sql(&["do sleep(1.1)", "reset master"]);
    let mut id = 10;
    while rig.source.binlog_end() <= end {
        rig.source_sql(&[&format!("insert into t values ({id}, 'of another log')")]);
        id += 1;
    }
}

#[test]
fn what_a_restored_target_lacks_is_mined_again() {
    let (mut rig, task) = start();
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one'), (2, 'two'), (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.target_mut().save();
    rig.source_sql(&[
        "update t set v = 'new' where id = 1",
        "delete from t where id = 2",
        "update t set id = 9 where id = 3",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    retire(&rig, &task, &mut mining, &mut loading, 10);
    // The copy is older than the loader's start, too.
    assert_stops(&mut loading);
    loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (11, 'later')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);

    rig.target_mut().restore();
    let lost = rig.target_value(&task, "select count(*) from t where id > 3");
    rig.source_sql(&["insert into t values (12, 'last')"]);
    wait_until(SOON, "the last row", || {
        rig.target_value(&task, "select count(*) from t where id = 12") == "1"
    });
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(lost, "0");
    rig.assert_equal(&task, &["t"]);
    assert_calm(
        &loading,
        &[
            "waiting for the server",
            "restored from an older copy",
            "no longer staged",
        ],
    );
    assert_calm(&mining, &["does not join"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_restored_target_that_the_source_cannot_serve_any_more_needs_an_operator() {
    let (mut rig, task) = start();
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.target_mut().save();
    rig.source_sql(&["insert into t values (2, 'two')", "flush binary logs"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    retire(&rig, &task, &mut mining, &mut loading, 3);
    let (file, _) = rig.source.binlog_end();
    assert_stops(&mut loading);
    rig.source_sql(&[&format!("purge binary logs to '{file}'")]);
    rig.target_mut().restore();

    // A bounded run does not wait for the miner.
    assert_ends(&mut loader(&files, &["--once"]), 3, &["no longer staged"]);
    assert_ends(
        &mut mining,
        3,
        &["no longer on the source", "load the tables anew"],
    );
    // Nothing of what is staged went away in vain.
    let held = "select count(*) from mysql2gp.events";
    assert_eq!(rig.staging.value(&task.staging, held), "1");
}

#[test]
fn a_staging_older_than_the_source_s_log_goes_on_at_the_checkpoint() {
    let (mut rig, task) = start();
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.staging.save();
    rig.source_sql(&["insert into t values (2, 'two')", "flush binary logs"]);
    rig.source_sql(&["insert into t values (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    let (file, _) = rig.source.binlog_end();
    rig.source_sql(&[
        &format!("purge binary logs to '{file}'"),
        "delete from t where id = 1",
        "insert into t values (4, 'four')",
    ]);
    rig.staging.restore();

    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    wait_until(SOON, "the last row", || {
        rig.target_value(&task, "select count(*) from t where id = 4") == "1"
    });
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_calm(&mining, &["does not join"]);
    assert_calm(&loading, &[]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_restored_target_does_not_hide_that_the_source_s_log_was_reset() {
    let (mut rig, task) = start();
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.target_mut().save();
    rig.source_sql(&["insert into t values (2, 'two')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    retire(&rig, &task, &mut mining, &mut loading, 3);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    reset(&rig);
    rig.target_mut().restore();

    let mut loading = loader(&files, &[]);
    wait_until(SOON, "the loader to ask for what is missing", || {
        rig.staging.value(
            &task.staging,
            "select needs_from is not null from mysql2gp.loader",
        ) == "t"
    });
    assert_ends(&mut miner(&files, &[]), 3, &["the source's log was reset"]);
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "1");
    assert_stops(&mut loading);
}

#[test]
fn a_staging_that_was_dropped_does_not_hide_that_the_source_s_log_was_reset() {
    let (rig, task) = start();
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    for row in 1..4 {
        rig.source_sql(&[&format!("insert into t values ({row}, 'a row')")]);
        rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    }
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    let drop = format!("drop database {} with (force)", task.staging);
    rig.staging.sql("postgres", &drop);
    rig.staging.create_database(&task.staging);
    // The same again: the old position is the end of a transaction, and their GTIDs are equal.
    rig.source_sql(&["do sleep(1.1)", "delete from t", "reset master"]);
    for row in 1..6 {
        rig.source_sql(&[&format!("insert into t values ({row}, 'b row')")]);
    }
    let log = "the source's log was reset";
    assert_ends(
        &mut miner(&files, &["--once"]),
        3,
        &[log, "load the tables anew"],
    );
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "3");
}
