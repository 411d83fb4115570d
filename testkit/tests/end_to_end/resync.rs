//! One table loaded anew while its task goes on, as the README says.

use mysql::prelude::Queryable as _;

use crate::rig::{DATABASE, Rig, SCHEMA, Task, assert_ends, assert_stops, loader, miner};

/// Puts what the source has now into the target table, in the place of what is there.
fn load(rig: &Rig, task: &Task, connection: &mut mysql::Conn) {
    let rows: Vec<(i32, Option<String>)> = connection
        .query(format!("select id, v from {DATABASE}.t"))
        .unwrap();
    let values: Vec<String> = rows
        .iter()
        .map(|(id, v)| {
            let v = v.as_ref().map_or("null".to_owned(), |v| format!("'{v}'"));
            format!("({id}, {v})")
        })
        .collect();
    rig.target_sql(
        task,
        &format!("truncate t; insert into t values {}", values.join(", ")),
    );
}

#[test]
fn under_a_lock_at_the_source_while_both_programs_run() {
    let rig = Rig::start();
    let task = rig.small_task("locked");
    rig.source_sql(&["create table other (id int primary key)"]);
    rig.target_sql(&task, "create table other (id integer primary key)");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one'), (2, 'two'), (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.target_sql(
        &task,
        "update t set v = 'wrong'; delete from t where id = 3",
    );

    let mut connection = rig.source.connect();
    connection
        .query_drop(format!("lock tables {DATABASE}.t read"))
        .unwrap();
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.source_sql(&["insert into other values (1)"]);
    load(&rig, &task, &mut connection);
    connection.query_drop("unlock tables").unwrap();

    rig.source_sql(&[
        "update t set v = 'three!' where id = 3",
        "delete from t where id = 1",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "other"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn without_a_lock_while_the_loader_stands() {
    let rig = Rig::start();
    let task = rig.small_task("unlocked");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')"]);
    let once = || {
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    };
    once();
    // Behind the loader's position and before the copy.
    rig.source_sql(&[
        "insert into t values (5, 'five'), (6, 'six')",
        "update t set v = 'two!' where id = 2",
        "update t set id = 30 where id = 3",
        "delete from t where id = 4",
        "delete from t where id = 6",
        "update t set v = 'five!' where id = 5",
    ]);
    load(&rig, &task, &mut rig.source.connect());
    rig.source_sql(&[
        "insert into t values (4, 'again')",
        "delete from t where id = 1",
    ]);
    once();
    rig.assert_equal(&task, &["t"]);
    assert_eq!(
        rig.target().value(
            &task.target,
            &format!("select string_agg(id || ' ' || v, ', ' order by id) from {SCHEMA}.t")
        ),
        "2 two!, 4 again, 5 five!, 30 three"
    );
    rig.source_sql(&["insert into t values (7, 'seven')"]);
    once();
    rig.assert_equal(&task, &["t"]);
}
