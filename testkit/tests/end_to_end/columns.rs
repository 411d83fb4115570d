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

/// A label has the meaning that it had when the row was written, where only the catalog tells
/// labels.
#[test]
fn labels_are_those_of_the_definition_in_force_at_the_event() {
    let sources = [
        MysqlServer::start_default(Flavor::Mysql57),
        MysqlServer::builder(Flavor::MariaDb1011)
            .row_metadata(RowMetadata::Minimal)
            .start(),
    ];
    for source in sources {
        let rig = Rig::new(source);
        let task = rig.small_task("labels");
        let files = task.config.write();
        rig.source_sql(&[
            "create table l (id int primary key, e enum('a', 'b'), s set('x', 'y'))",
            "insert into l values (1, 'a', 'x'), (2, 'b', 'x,y')",
        ]);
        rig.target_sql(
            &task,
            "create table l (id integer primary key, e text, s text)",
        );
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        // The row before the statement is written with the version of the first run.
        rig.source_sql(&[
            "insert into l values (3, 'a', 'y')",
            "alter table l modify e enum('new', 'a', 'b'), modify s set('new', 'x', 'y')",
        ]);
        let (file, offset) = rig.source.binlog_end();
        rig.source_sql(&[
            "insert into l values (4, 'new', 'new,y'), (5, 'b', 'x')",
            "update l set s = 'new' where id = 1",
        ]);
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 3, &["app.l", "modify e"]);
        let position = format!("{file}:{offset}");
        assert_ends(&mut loader(&files, &["ack", &position]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        rig.assert_equal(&task, &["l"]);
        assert_eq!(
            rig.target_value(&task, "select string_agg(e || s, ' ' order by id) from l"),
            "anew bx,y ay newnew,y bx"
        );
    }
}

/// MySQL can make a primary key by itself: an ordinary column, which no statement names.
#[test]
fn a_generated_invisible_primary_key_needs_its_column_on_the_target() {
    let rig = Rig::new(MysqlServer::start_default(Flavor::Mysql97));
    let task = rig.small_task("invisible_key");
    let files = task.config.write();
    rig.source_sql(&[
        "set session sql_generate_invisible_primary_key = ON",
        "create table g (v varchar(20))",
        "insert into g values ('x'), ('y'), ('x')",
        "delete from g where v = 'y'",
    ]);
    rig.target_sql(&task, "create table g (v varchar(20))");
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(
        &mut loader(&files, &["--once"]),
        3,
        &["app.g", "lacks column my_row_id", "alter table"],
    );
    rig.target_sql(
        &task,
        "alter table g add column my_row_id numeric(20) primary key",
    );
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(
        rig.target_value(
            &task,
            "select string_agg(my_row_id || v, ' ' order by my_row_id) from g"
        ),
        "1x 3x"
    );
}
