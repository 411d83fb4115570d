//! Runs that end by themselves: `--once` and `--until`.

use crate::rig::{Rig, assert_calm, assert_ends, loader, miner};
use testkit::workload::{SOURCE_SCHEMA, TABLE_LIST, TABLES, TARGET_SCHEMA, Workload};

#[test]
fn once_takes_what_is_there_and_a_second_time_changes_nothing() {
    let rig = Rig::start();
    let task = rig.task("once");
    rig.source.sql(SOURCE_SCHEMA);
    rig.target_sql(&task, TARGET_SCHEMA);
    let files = task.config.clone().tables(TABLE_LIST).write();
    let mut connection = rig.source.connect();
    let mut workload = Workload::random();
    // Some transactions apply twice or never if a run forgets where the last one ended.
    for _ in 0..3 {
        workload.run(&mut connection, 60);
        for run in [miner, loader, miner, loader] {
            let mut program = run(&files, &["--once"]);
            assert_ends(&mut program, 0, &[]);
            assert_calm(&program, &[]);
        }
        rig.assert_equal(&task, TABLES);
    }
}

#[test]
fn once_applies_nothing_of_an_empty_binlog_and_says_so_with_success() {
    let rig = Rig::start();
    let task = rig.small_task("empty");
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn until_ends_a_run_at_a_position() {
    let rig = Rig::start();
    let task = rig.small_task("until");
    let files = task.config.write();
    let count = |expected: &str| {
        assert_eq!(rig.target_value(&task, "select count(*) from t"), expected);
    };
    let insert = |id: u32| {
        rig.source_sql(&[&format!("insert into t values ({id}, 'x')")]);
        let (file, position) = rig.source.binlog_end();
        format!("{file}:{position}")
    };
    let (first, second, third) = (insert(1), insert(2), insert(3));
    insert(4);

    // The loader has no more than the miner gives it.
    assert_ends(&mut miner(&files, &["--until", &first]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    count("1");
    assert_ends(&mut miner(&files, &["--until", &third]), 0, &[]);
    assert_ends(&mut loader(&files, &["--until", &second]), 0, &[]);
    count("2");
    // The position may also come later than the run.
    let mut loading = loader(&files, &["--until", &third]);
    assert_ends(&mut loading, 0, &[]);
    count("3");
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    count("4");
    rig.assert_equal(&task, &["t"]);
}
