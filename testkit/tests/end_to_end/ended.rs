//! What the status says of programs that have ended, and of the tables that they ended at.

use serde_json::Value;
use testkit::{TaskFiles, wait_until};

use crate::paused::command;
use crate::rig::{Rig, SOON, Task, assert_ends, assert_stops, loader, miner};

/// State and error of `t`, as the view has them.
fn state_of_table(rig: &Rig, task: &Task) -> String {
    rig.staging.value(
        &task.staging,
        "select concat_ws(' ', state, last_error) from mysql2gp.tables where table_name = 't'",
    )
}

fn loader_is_connected(files: &TaskFiles) -> Option<bool> {
    let answer: Value = serde_json::from_str(&command(files, &["status", "--json"])).unwrap();
    answer.pointer("/last_minute/loader_connected")?.as_bool()
}

#[test]
fn the_table_that_a_program_ends_at_is_failed_until_it_goes_on() {
    let rig = Rig::start();
    let task = rig.small_task("at_fault");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'one')"]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.target_sql(
        &task,
        "alter table t add constraint short check (length(v) <= 5)",
    );
    rig.source_sql(&["insert into t values (2, 'too long')"]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 3, &["23514"]);
    let state = state_of_table(&rig, &task);
    assert!(state.starts_with("failed loader: "), "{state}");
    assert!(state.contains("23514"), "{state}");
    assert!(command(&files, &["status"]).contains("app.t: loader: target: "));
    rig.target_sql(&task, "alter table t drop constraint short");
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(state_of_table(&rig, &task), "active");
    rig.assert_equal(&task, &["t"]);

    // The miner's, too, and again when it ends there again.
    rig.source_sql(&[
        "set session binlog_format = statement",
        "insert into t values (3, 'three')",
    ]);
    for _ in 0..2 {
        assert_ends(&mut miner(&files, &["--once"]), 3, &["app.t"]);
        let state = state_of_table(&rig, &task);
        assert!(state.starts_with("failed miner: "), "{state}");
    }
}

#[test]
fn a_loader_that_was_killed_does_not_pass_for_one_that_runs() {
    let rig = Rig::start();
    let task = rig.small_task("gone");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'one')"]);
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(loader_is_connected(&files), Some(true));
    // It comes back though there is nothing to write.
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where application_name = 'binlog_loader retire'";
    assert_eq!(rig.staging.value(&task.staging, end), "1");
    wait_until(SOON, "a session", || {
        loader_is_connected(&files) == Some(true)
    });
    loading.kill9();
    wait_until(SOON, "its end", || {
        loader_is_connected(&files) == Some(false)
    });
    rig.source_sql(&["insert into t values (2, 'two')"]);
    rig.wait_staged(&task);
    let screen = command(&files, &["status"]);
    for word in ["it has no session on staging", "the loader is gone"] {
        assert!(screen.contains(word), "{screen}");
    }
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_eq!(loader_is_connected(&files), Some(true));
    assert_stops(&mut loading);
    assert_eq!(loader_is_connected(&files), Some(false));
    assert!(!command(&files, &["status"]).contains("no session"));
    assert_stops(&mut mining);
}

#[test]
fn an_idle_source_makes_no_lag_of_hours_when_the_miner_was_killed() {
    let rig = Rig::start();
    let task = rig.small_task("idle");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'one')"]);
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    mining.kill9();
    // As it is a while later.
    let later = |caught_up: bool| {
        rig.staging.sql(
            &task.staging,
            &format!(
                "update mysql2gp.miner set staged_commit_time = now() - interval '5 hours', \
                        staged_at = now() - interval '20 seconds', caught_up = {caught_up}"
            ),
        );
        rig.status_of(&task, "total_lag_seconds").as_f64().unwrap()
    };
    assert!((20.0..200.0).contains(&later(true)));
    assert!(later(false) >= 18_000.0);
    assert_stops(&mut loading);
}
