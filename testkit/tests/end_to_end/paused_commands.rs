//! Tables are held back by commands in awkward moments: tables that come and go at the source,
//! statements of others to acknowledge, commands that are given up.

use testkit::wait_until;

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
