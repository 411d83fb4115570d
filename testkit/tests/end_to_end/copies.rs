//! Two copies of a program.

use serde_json::json;

use crate::rig::{Rig, Run, assert_ends, assert_stops, loader, miner};

#[test]
fn a_second_copy_says_who_holds_the_task_and_exits() {
    let rig = Rig::start();
    let task = rig.small_task("copies");
    let files = task.config.clone().set("task", "lock_timeout", 1).write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (1, 'x')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);

    let runs: [(Run, u32); 2] = [(miner, mining.pid()), (loader, loading.pid())];
    for (run, pid) in runs {
        for args in [&[][..], &["--once"]] {
            let mut second = run(&files, args);
            let pid = pid.to_string();
            assert_ends(&mut second, 1, &["copies_staging", "another", &pid]);
        }
    }
    // What the status shows is the holders' state.
    for column in ["miner_state", "loader_state"] {
        assert_eq!(rig.status_of(&task, column), json!("running"));
    }
    assert_eq!(rig.status_of(&task, "last_error"), json!(null));
    // The first ones did not notice.
    rig.source_sql(&["insert into t values (2, 'y')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);

    // A copy of a dead one gets the task at once.
    mining.kill9();
    loading.kill9();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (3, 'z')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn two_tasks_share_a_source_and_a_target_server() {
    let rig = Rig::start();
    let first = rig.small_task("first");
    let second = rig.small_task("second");
    let files = [first.config.write(), second.config.write()];
    let mut programs: Vec<_> = files
        .iter()
        .flat_map(|files| [miner(files, &[]), loader(files, &[])])
        .collect();
    rig.source_sql(&["insert into t values (1, 'x')", "update t set v = 'y'"]);
    let mut programs: Vec<_> = programs.iter_mut().collect();
    for task in [&first, &second] {
        rig.wait_applied(task, &mut programs);
        rig.assert_equal(task, &["t"]);
    }
    for program in programs {
        assert_stops(program);
    }
}
