//! Columns that a row event tells less about, or more, than the table shows.

use testkit::{Flavor, MysqlServer, RowMetadata};

use crate::rig::{Rig, assert_ends, loader, miner};

/// MariaDB 11.8 leaves generated columns out of updates and deletes, not out of inserts: rows
/// of a table without a key must be found all the same, also in one and the same batch.
#[test]
fn rows_without_a_key_are_found_though_generated_columns_are_not_logged() {
    for metadata in [RowMetadata::Full, RowMetadata::Minimal] {
        let source = MysqlServer::builder(Flavor::MariaDb118)
            .row_metadata(metadata)
            .start();
        let rig = Rig::new(source);
        let task = rig.small_task("unlogged");
        let files = task.config.clone().tables(&["k"]).write();
        rig.source_sql(&[
            "create table k (a int, v int as (a * 2) virtual, s int as (a * 3) stored, b int)",
            "insert into k (a, b) values (1, 1), (1, 1), (2, 1), (2, 1)",
            "begin",
            "insert into k (a, b) values (3, 1), (3, 1), (1, 1)",
            "delete from k where a = 3 limit 1",
            "delete from k where a = 1 limit 1",
            "update k set a = 4 where a = 2 limit 1",
            "insert into k (a, b) values (4, 1)",
            "commit",
            "update k set b = 2 where a = 4 limit 1",
        ]);
        rig.target_sql(
            &task,
            "create table k (a integer, v integer generated always as (a * 2) stored, \
             s integer generated always as (a * 3) stored, b integer)",
        );
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        rig.assert_equal(&task, &["k"]);
        assert_eq!(rig.target_value(&task, "select count(*) from k"), "6");

        // The first version of the table had them, and a restart keeps the second.
        let event = "select after::text from mysql2gp.events order by event_seq";
        let first = rig
            .staging
            .value(&task.staging, &format!("{event} limit 1"));
        assert!(first.contains("\"v\": \"2\""), "{first}");
        rig.source_sql(&["insert into k (a, b) values (9, 9)"]);
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        rig.assert_equal(&task, &["k"]);
        let last = rig
            .staging
            .value(&task.staging, &format!("{event} desc limit 1"));
        assert_eq!(last, r#"{"a": "9", "b": "9"}"#);
        let versions = "select count(*) from mysql2gp.definition";
        assert_eq!(rig.staging.value(&task.staging, versions), "2");
    }
}
