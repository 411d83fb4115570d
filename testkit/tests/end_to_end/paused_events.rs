//! What else may happen to a table while it is held back: statements, refused rows, large
//! transactions, an overlap, shards.

use testkit::wait_until;

use crate::paused::{behind, command, hold, wait_caught_up};
use crate::rig::{DATABASE, Rig, SOON, assert_calm, assert_ends, assert_stops, loader, miner};

#[test]
fn statements_on_a_paused_table_wait_in_their_place() {
    let rig = Rig::start();
    let task = rig.small_task("statements");
    rig.source_sql(&["create table u (id int primary key, v varchar(20))"]);
    rig.target_sql(
        &task,
        "create table u (id integer primary key, v varchar(20))",
    );
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&[
        "insert into t values (1, 'one'), (2, 'two')",
        "insert into u values (1, 'one')",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&[
        "update t set v = 'new' where id = 2",
        "truncate table t",
        "insert into t values (1, 'again')",
        "alter table t add column w int not null default 7",
    ]);
    let (file, offset) = rig.source.binlog_end();
    let altered = format!("{file}:{offset}");
    rig.source_sql(&[
        "insert into t values (2, 'two', 8)",
        "insert into u values (2, 'two')",
        "truncate table u",
        "insert into u values (3, 'three')",
    ]);
    // The others pass the table's TRUNCATE and ALTER.
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["u"]);
    let rows = "select string_agg(id || v, ' ' order by id) from t";
    assert_eq!(rig.target_value(&task, rows), "1one 2two");

    hold(&files, &["resume", "t"], &["resumed"]);
    assert_ends(&mut loading, 3, &["app.t", &altered, "binlog_loader ack"]);
    assert_eq!(rig.target_value(&task, rows), "1again");
    // Meanwhile the others can go on.
    hold(
        &files,
        &["pause", "t"],
        &["app.t is paused, no loader runs"],
    );
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into u values (4, 'four')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["u"]);
    assert_stops(&mut loading);
    let ack_of_paused = ["is of table app.t, which is paused", "resume app.t"];
    assert_ends(&mut loader(&files, &["ack", &altered]), 2, &ack_of_paused);
    // Acknowledged while others are far ahead.
    hold(&files, &["resume", "t"], &["resumed"]);
    rig.target_sql(
        &task,
        "alter table t add column w integer not null default 7",
    );
    assert_ends(
        &mut loader(&files, &["ack", "mysql-bin.000001:4"]),
        2,
        &["no statement waits", &altered],
    );
    assert_ends(&mut loader(&files, &["ack", &altered]), 0, &[]);
    assert_eq!(behind(&rig, &task), "t catching_up");
    let mut loading = loader(&files, &[]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "u"]);

    // A statement of another table stops the loader, and is acknowledged, while one is paused.
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&[
        "insert into t values (5, 'five', 5)",
        "alter table u add column w int not null default 9",
    ]);
    let (file, offset) = rig.source.binlog_end();
    let altered = format!("{file}:{offset}");
    rig.source_sql(&["insert into u values (6, 'six', 6)"]);
    assert_ends(&mut loading, 3, &["app.u", &altered]);
    rig.target_sql(
        &task,
        "alter table u add column w integer not null default 9",
    );
    assert_ends(&mut loader(&files, &["ack", &altered]), 0, &[]);
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["u"]);
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "2");
    hold(&files, &["resume", "t"], &["resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "u"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn refused_rows_of_a_paused_table_stay_refused_and_are_settled_in_order() {
    let rig = Rig::start();
    let task = rig.task("letters");
    rig.source.sql(&format!(
        "create database {DATABASE} character set utf8mb4; \
         create table {DATABASE}.t (id int primary key, v varchar(40)); \
         create table {DATABASE}.u (id int primary key, v varchar(40))"
    ));
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(40) check (length(v) < 10)); \
         create table u (id integer primary key, v varchar(40) check (length(v) < 10))",
    );
    let files = task
        .config
        .clone()
        .set("desc.pgsql", "ignore_copy_error_count_each_table", 5)
        .write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    let long = "much too long for it";
    rig.source_sql(&[
        &format!("insert into t values (1, '{long}'), (2, '{long}'), (3, 'three')"),
        &format!("insert into u values (1, '{long}')"),
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(rig.status_of(&task, "dead_letters"), 3);
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&[
        "update t set v = 'short' where id = 1",
        &format!("update t set v = '{long}' where id = 3"),
        &format!("insert into t values (4, '{long}')"),
        "update u set v = 'short' where id = 1",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    // Settled is what is not paused.
    assert_eq!(rig.status_of(&task, "dead_letters"), 2);
    rig.assert_equal(&task, &["u"]);
    // Brought into line with the target at a start, each table by its own position.
    assert_stops(&mut loading);
    let mut loading = loader(&files, &[]);
    loading.wait_log("applying task", SOON);
    assert_eq!(rig.status_of(&task, "dead_letters"), 2);
    hold(&files, &["resume", "t"], &["resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    wait_until(SOON, "the dead letters", || {
        rig.status_of(&task, "dead_letters") == 3
    });
    let rows = "select string_agg(id || v, ' ' order by id) from t";
    assert_eq!(rig.target_value(&task, rows), "1short");
    rig.target_sql(&task, "alter table t drop constraint t_v_check");
    assert_eq!(
        command(&files, &["dead-letters", "retry"])
            .matches("written")
            .count(),
        3
    );
    rig.assert_equal(&task, &["t", "u"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn large_transactions_over_a_paused_table_and_an_overlap_come_out_right() {
    let rig = Rig::start();
    let mut task = rig.small_task("large");
    rig.source_sql(&[
        "create table u (id int primary key, v varchar(20))",
        "insert into t values (1, 'loaded'), (2, 'loaded')",
    ]);
    rig.target_sql(&task, "create table u (id integer primary key, v varchar(20)); insert into t values (1, 'loaded'), (2, 'loaded')");
    rig.source_sql(&[
        "delete from t where id = 2",
        "update t set v = 'new' where id = 1",
        "insert into u values (0, 'zero')",
    ]);
    rig.target_sql(&task, "delete from t where id = 2");
    task.config = task.config.set("binlogloader", "batch_bytes", 4000).set(
        "binlogminer",
        "stage_batch_bytes",
        8192,
    );
    let files = task.config.write();
    // An earlier load overlaps the stream up to here.
    let (file, offset) = rig.source.binlog_end();
    let end = format!("{file}:{offset}");
    let mut mining = miner(&files, &[]);
    rig.wait_staged(&task);
    let first = rig.staging.value(
        &task.staging,
        "select binlog_file || ':' || binlog_pos from mysql2gp.events where table_name = 't' and op = 'insert' limit 1",
    );
    assert_ends(&mut loader(&files, &["--until", &first]), 0, &[]);
    hold(&files, &["pause", "t"], &["paused"]);
    let numbers = "with recursive n as (select 1 as i union all select i + 1 from n where i < 900) select i from n";
    rig.source_sql(&[
        "begin",
        &format!("insert into t select i + 10, 'large' from ({numbers}) x"),
        &format!("insert into u select i + 10, 'large' from ({numbers}) x"),
        "update t set v = 'larger' where id % 3 = 0",
        "update u set v = 'larger' where id % 3 = 0",
        "commit",
    ]);
    rig.wait_staged(&task);
    assert_ends(
        &mut loader(&files, &["--once"]),
        0,
        &["paused: its changes wait"],
    );
    rig.assert_equal(&task, &["u"]);
    assert_eq!(
        rig.target_value(&task, "select count(*) from t where v = 'large'"),
        "0"
    );
    hold(&files, &["resume", "t"], &["resumed"]);
    // Bounded at a position that the others have passed.
    assert_ends(&mut loader(&files, &["--until", &end]), 0, &["catching up"]);
    let rows = "select string_agg(id || v, ' ' order by id) from t";
    assert_eq!(rig.target_value(&task, rows), "1new");
    assert_eq!(behind(&rig, &task), "t catching_up");
    assert_ends(&mut loader(&files, &["--once"]), 0, &["caught up"]);
    rig.assert_equal(&task, &["t", "u"]);
    assert_eq!(behind(&rig, &task), "");
    assert_stops(&mut mining);
}

#[test]
fn shards_that_are_kept_apart_can_be_paused_and_others_not() {
    let rig = Rig::start();
    let task = rig.task("shards");
    rig.source.sql(
        "create database one; create database two; \
         create table one.t (id int primary key, v varchar(20)); \
         create table two.t (id int primary key, v varchar(20))",
    );
    rig.target_sql(
        &task,
        "create table t (shard text, id integer, v varchar(20), primary key (shard, id))",
    );
    let apart = task
        .config
        .clone()
        .tables(&["one.t", "two.t"])
        .raw("[[rule]]\ntable = \"t\"\ncolumns.add_to_key = { shard = \"{schema}\" }\n");
    let files = apart.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source
        .sql("insert into one.t values (1, 'one'); insert into two.t values (1, 'two')");
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "one.t"], &["one.t is paused"]);
    rig.source.sql("update one.t set v = 'new'; update two.t set v = 'new'; truncate table one.t; insert into one.t values (2, 'again')");
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    let rows = "select string_agg(shard || id || v, ' ' order by shard) from t";
    assert_eq!(rig.target_value(&task, rows), "one1one two1new");
    hold(&files, &["resume", "one.t"], &["resumed"]);
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    assert_eq!(rig.target_value(&task, rows), "one2again two1new");
    assert_calm(&loading, &[]);
    assert_stops(&mut loading);

    let disjoint = task
        .config
        .clone()
        .tables(&["one.t", "two.t"])
        .raw("[[rule]]\ntable = \"t\"\ndisjoint_keys = true\n")
        .write();
    assert_ends(
        &mut loader(&disjoint, &["pause", "one.t"]),
        2,
        &["cannot be held back alone", "two.t", "add_to_key"],
    );
    assert_stops(&mut mining);
}

#[test]
fn a_miner_that_waits_for_space_names_the_tables_that_keep_it() {
    let rig = Rig::start();
    let task = rig.small_task("space");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    assert_stops(&mut mining);
    let short = task
        .config
        .set("binlogminer", "staging_soft_limit", 1)
        .write();
    let mut mining = miner(&short, &[]);
    rig.source_sql(&["insert into t values (2, 'two')"]);
    mining.wait_log("paused=app.t", SOON);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}
