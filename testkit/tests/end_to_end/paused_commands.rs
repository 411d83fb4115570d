//! Tables are held back by commands in awkward moments: tables that come and go at the source,
//! statements of others to acknowledge, commands that are given up.

use testkit::{Program, wait_until};

use crate::paused::{behind, hold, wait_caught_up};
use crate::rig::{Rig, SOON, assert_ends, assert_stops, loader, miner};

#[test]
fn a_table_that_was_created_on_the_run_can_be_paused_and_a_dropped_one_resumed() {
    let rig = Rig::start();
    let task = rig.small_task("come_and_go");
    rig.target_sql(
        &task,
        "create table late (id integer primary key, v varchar(20))",
    );
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.source_sql(&[
        "create table late (id int primary key, v varchar(20))",
        "insert into late values (1, 'one')",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "late"], &["app.late is paused"]);
    rig.source_sql(&[
        "insert into late values (2, 'two')",
        "insert into t values (2, 'two')",
        "drop table late",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(rig.target_value(&task, "select count(*) from late"), "1");
    // Read anew, the source does not have it.
    assert_stops(&mut mining);
    let mut mining = miner(&files, &[]);
    rig.source_sql(&["insert into t values (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(behind(&rig, &task), "late paused");
    hold(&files, &["resume", "late"], &["app.late is resumed"]);
    wait_until(SOON, "its rows, and its end", || {
        loading.exit_status().is_some() || behind(&rig, &task).is_empty()
    });
    assert_eq!(rig.target_value(&task, "select count(*) from late"), "2");
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
}

#[test]
fn a_statement_of_others_is_acknowledged_while_a_table_catches_up_for_long() {
    let rig = Rig::start();
    let mut task = rig.small_task("ack_turns");
    rig.source_sql(&["create table u (id int primary key, v varchar(20))"]);
    rig.target_sql(
        &task,
        "create table u (id integer primary key, v varchar(20)); \
         create function slow() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(0.4); return null; end $$; \
         create trigger slow after insert on t execute function slow(); \
         alter table t enable always trigger slow",
    );
    task.config = task.config.set("binlogloader", "batch_bytes", 2000);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into u values (0, 'zero')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    for id in 0..1000 {
        rig.source_sql(&[&format!("insert into t values ({id}, 'a row')")]);
    }
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.source_sql(&["alter table u add column w int not null default 9"]);
    let (file, offset) = rig.source.binlog_end();
    let altered = format!("{file}:{offset}");
    rig.source_sql(&["insert into u values (1, 'one', 1)"]);
    assert_ends(&mut loading, 3, &["app.u", &altered]);
    hold(&files, &["resume", "t"], &["resumed"]);
    // Stopped in the turn of the others, with the table far behind.
    assert_ends(
        &mut loader(&files, &[]),
        3,
        &["app.u", &altered, "binlog_loader ack"],
    );
    assert_eq!(behind(&rig, &task), "t catching_up");
    rig.target_sql(
        &task,
        "alter table u add column w integer not null default 9",
    );
    assert_ends(
        &mut loader(&files, &["ack", "mysql-bin.000001:4"]),
        2,
        &["no statement waits", &altered],
    );
    assert_ends(&mut loader(&files, &["ack", &altered]), 0, &[]);
    assert_eq!(behind(&rig, &task), "t catching_up");
    let mut loading = loader(&files, &[]);
    wait_until(SOON, "the others", || {
        rig.target_value(&task, "select count(*) from u where id = 1") == "1"
    });
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "u"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_command_that_was_killed_is_not_taken_up_later() {
    let rig = Rig::start();
    let task = rig.small_task("given_up");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    loading.sigstop();
    let mut pausing = loader(&files, &["pause", "t"]);
    let asked = "select count(*) from mysql2gp.wish where answer is null";
    wait_until(SOON, "the wish", || {
        rig.staging.value(&task.staging, asked) == "1"
    });
    pausing.kill9();
    // The server notices that it is gone.
    let sessions =
        "select count(*) from pg_stat_activity where application_name = 'binlog_loader pause'";
    wait_until(SOON, "the session's end", || {
        rig.staging.value(&task.staging, sessions) == "0"
    });
    loading.sigcont();
    rig.source_sql(&["insert into t values (2, 'two')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut loading);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(behind(&rig, &task), "");
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut loading);
    assert_stops(&mut mining);
}

#[test]
fn a_table_that_comes_to_share_the_target_of_a_paused_one_is_refused() {
    let rig = Rig::start();
    let task = rig.task("shares");
    rig.source.sql(
        "create database one; create database two; \
         create table one.t (id int primary key, v varchar(20)); \
         create table two.t (id int primary key, v varchar(20))",
    );
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20))",
    );
    let config = task
        .config
        .clone()
        .raw("[[rule]]\ntable = \"t\"\ndisjoint_keys = true\n");
    let alone = config.clone().tables(&["one.t"]).write();
    let both = config.tables(&["one.t", "two.t"]).write();
    let (mut mining, mut loading) = (miner(&alone, &[]), loader(&alone, &[]));
    rig.source.sql("insert into one.t values (1, 'one')");
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&alone, &["pause", "one.t"], &["one.t is paused"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    let mut mining = miner(&both, &[]);
    mining.wait_log("newly listed", SOON);
    // The row moves to the other shard: first away, then in.
    rig.source
        .sql("delete from one.t where id = 1; insert into two.t values (1, 'two')");
    rig.wait_staged(&task);
    assert_ends(
        &mut loader(&both, &[]),
        3,
        &[
            "one.t",
            "two.t",
            "out of the list",
            "binlog_loader resume one.t",
        ],
    );
    let rows = "select coalesce(string_agg(id || v, ' ' order by id), '') from t";
    assert_eq!(rig.target_value(&task, rows), "1one");
    // As the message says.
    assert_stops(&mut mining);
    let (mut mining, mut loading) = (miner(&alone, &[]), loader(&alone, &[]));
    loading.wait_log("applying task", SOON);
    hold(&alone, &["resume", "one.t"], &["one.t is resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    assert_eq!(rig.target_value(&task, rows), "");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    let (mut mining, mut loading) = (miner(&both, &[]), loader(&both, &[]));
    mining.wait_log("newly listed", SOON);
    rig.source
        .sql("delete from two.t where id = 1; insert into one.t values (1, 'back')");
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(rig.target_value(&task, rows), "1back");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_paused_table_that_is_listed_anew_while_no_loader_runs_begins_anew_and_says_so() {
    let rig = Rig::start();
    let task = rig.small_task("anew");
    rig.source_sql(&["create table log (v varchar(20))"]);
    rig.target_sql(&task, "create table log (v varchar(20))");
    let with = task.config.clone().tables(&["t", "log"]).write();
    let without = task.config.clone().tables(&["t"]).write();
    let (mut mining, mut loading) = (miner(&with, &[]), loader(&with, &[]));
    rig.source_sql(&["insert into log values ('one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&with, &["pause", "log"], &["app.log is paused"]);
    assert_stops(&mut loading);
    rig.source_sql(&["insert into log values ('given up')"]);
    rig.wait_staged(&task);
    assert_stops(&mut mining);
    rig.source_sql(&["insert into log values ('not staged')"]);
    assert_ends(&mut miner(&without, &["--once"]), 0, &["no longer listed"]);
    let mut mining = miner(&with, &[]);
    mining.wait_log("newly listed", SOON);
    rig.source_sql(&[
        "insert into log values ('two')",
        "insert into t values (1, 'one')",
    ]);
    rig.wait_staged(&task);
    let mut loading = loader(&with, &[]);
    loading.wait_log(
        "listed anew since then: what is staged of it before is passed over table=app.log",
        SOON,
    );
    hold(&with, &["resume", "log"], &["app.log is resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    let rows = "select string_agg(v, ', ' order by v) from log";
    assert_eq!(rig.target_value(&task, rows), "one, two");
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn what_is_asked_for_and_changes_nothing_does_not_begin_a_large_transaction_anew() {
    let rig = Rig::start();
    let mut task = rig.small_task("changes_nothing");
    task.config = task
        .config
        .tables(&["t"])
        .set("binlogloader", "batch_bytes", 100_000);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (0, 'zero')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.source_sql(&["insert into t select seq, 'a row' from seq_1_to_400000"]);
    let mut asked = 0;
    while rig.target_value(&task, "select count(*) from t") == "1" {
        let resume = ["resume", "t", "--timeout", "60"];
        hold(&files, &resume, &["app.t is not paused"]);
        mining.sighup();
        loading.sighup();
        asked += 1;
        assert!(loading.exit_status().is_none() && mining.exit_status().is_none());
    }
    assert!(asked > 0, "nothing was asked meanwhile");
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    let times = |program: &Program, word: &str| program.stderr().matches(word).count();
    assert_eq!(times(&loading, "applying task="), 1);
    assert_eq!(times(&mining, "connected to source"), 1);
    for program in [&loading, &mining] {
        assert!(times(program, "table list read again: unchanged") > 0);
    }

    hold(&files, &["pause", "t"], &["app.t is paused"]);
    hold(&files, &["pause", "t"], &["was paused already"]);
    hold(&files, &["resume", "t"], &["app.t is resumed"]);
    // The answer comes a moment before the line.
    wait_until(SOON, "the flow to begin twice more", || {
        times(&loading, "applying task=") == 3
    });
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn what_was_applied_is_logged_though_nothing_follows_and_over_pauses() {
    let rig = Rig::start();
    let task = rig.small_task("progress_lines");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    let logged = |program: &Program| -> u64 {
        let log = program.stderr();
        let lines = log
            .lines()
            .filter(|line| line.contains("applied position="));
        let counts = lines.filter_map(|line| line.split_once(" row_events=")?.1.split_once(' '));
        counts.map(|(count, _)| count.parse::<u64>().unwrap()).sum()
    };
    for id in 0..5 {
        rig.source_sql(&[&format!("insert into t values ({id}, 'a row')")]);
        rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    }
    wait_until(SOON, "the line", || logged(&loading) == 5);
    rig.source_sql(&["insert into t values (5, 'a row')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&["insert into t values (6, 'a row')"]);
    hold(&files, &["resume", "t"], &["resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut loading);
    assert_eq!(logged(&loading), 7);
    assert_stops(&mut mining);
}
