//! Rows that the target refuses, from a real source to the target and back to equality.

use crate::rig::{
    DATABASE, Rig, assert_calm, assert_ends, assert_says, assert_stops, loader, miner,
};

#[test]
fn refused_rows_are_kept_settled_and_retried_until_both_sides_are_equal() {
    let rig = Rig::start();
    let task = rig.task("dead_letters");
    rig.source.sql(&format!(
        "create database {DATABASE} character set utf8mb4; \
         create table {DATABASE}.t (id int primary key, v text, n bigint); \
         create table {DATABASE}.log (line text)"
    ));
    rig.target_sql(
        &task,
        "create domain short as text check (length(value) < 10); \
         create table t (id integer primary key, v short, n bigint check (n < 1000000)); \
         create table log (line text check (line <> 'odd'))",
    );
    let files = task
        .config
        .clone()
        .set("desc.pgsql", "ignore_copy_error_count_each_table", 5)
        .write();
    let mut miner = miner(&files, &[]);
    let mut running = loader(&files, &[]);
    rig.source_sql(&[
        "insert into t values (1, 'one', 1), (2, 'much too long', 2), (3, 'three', 3000000), (4, 'four', 4)",
        "insert into log values ('a'), ('odd'), ('b'), ('odd')",
        "update t set v = 'four is too long' where id = 4",
        "update t set v = 'two' where id = 2",
        "delete from log where line = 'odd' limit 1",
    ]);
    rig.wait_applied(&task, &mut [&mut miner, &mut running]);
    assert_eq!(
        rig.target_value(&task, "select string_agg(id::text, ',' order by id) from t"),
        "1,2"
    );
    assert_eq!(rig.status_of(&task, "dead_letters"), 3);
    assert_calm(&running, &["go to the dead letters"]);

    // One too many: the loader stops before it, the miner goes on.
    rig.source_sql(&["insert into t select id + 10, v, 5000000 from t"]);
    assert_ends(
        &mut running,
        3,
        &[
            "app.t (key id)",
            "SQLSTATE 23514",
            "hold 2 rows of the table and may hold 5, the batch has at least 4 more",
        ],
    );
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "2");
    let listed = loader(&files, &["dead-letters", "list"]);
    let mut listed = listed;
    assert_ends(&mut listed, 0, &[]);
    assert_eq!(listed.stdout().lines().count(), 3, "{}", listed.stdout());

    // The target is corrected.
    rig.target_sql(
        &task,
        "alter domain short drop constraint short_check; alter table t drop constraint t_n_check; \
         alter table log drop constraint log_line_check",
    );
    let mut retry = loader(&files, &["dead-letters", "retry"]);
    assert_ends(&mut retry, 0, &[]);
    assert_eq!(retry.stdout().matches("written").count(), 3);
    let mut running = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut miner, &mut running]);
    rig.assert_equal(&task, &["t", "log"]);
    assert_eq!(rig.status_of(&task, "dead_letters"), 0);
    assert_says(&running, &["applying task"]);
    assert_stops(&mut running);
    assert_stops(&mut miner);
}
