//! Kinds of transactions and events beyond plain ones, on every source that has them.

use testkit::{Flavor, MysqlServer, RowMetadata};

use crate::rig::{Rig, Task, assert_ends, loader, miner};

/// Mines and applies what is there.
fn once(files: &testkit::TaskFiles) {
    assert_ends(&mut miner(files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(files, &["--once"]), 0, &[]);
}

fn count(rig: &Rig, task: &Task) -> String {
    rig.target_value(task, "select count(*) from t")
}

/// Prepared transactions stand where they were committed, also after a restart in between.
fn xa_transactions_take_the_place_of_their_commit(flavor: Flavor) {
    let rig = Rig::new(MysqlServer::start_default(flavor));
    let task = rig.small_task("xa");
    let files = task.config.write();
    rig.source_sql(&[
        "xa start 'one'",
        "insert into t values (1, 'one'), (2, 'one')",
        "xa end 'one'",
        "xa prepare 'one'",
    ]);
    once(&files);
    assert_eq!(count(&rig, &task), "0", "prepared, not committed");
    rig.source_sql(&[
        "insert into t values (3, 'plain')",
        "xa commit 'one'",
        "xa start 'two'",
        "insert into t values (4, 'two')",
        "xa end 'two'",
        "xa prepare 'two'",
        "xa rollback 'two'",
        "xa start 'three'",
        "update t set v = 'three' where id = 3",
        "xa end 'three'",
        "xa commit 'three' one phase",
    ]);
    once(&files);
    rig.assert_equal(&task, &["t"]);
    assert_eq!(count(&rig, &task), "3");
    let order = "select string_agg(key ->> 'id', ' ' order by event_seq) from mysql2gp.events";
    assert_eq!(rig.staging.value(&task.staging, order), "3 1 2 3");
}

#[test]
fn xa_transactions_take_the_place_of_their_commit_on_mariadb_10_11() {
    xa_transactions_take_the_place_of_their_commit(Flavor::MariaDb1011);
}

#[test]
fn xa_transactions_take_the_place_of_their_commit_on_mysql_5_7() {
    xa_transactions_take_the_place_of_their_commit(Flavor::Mysql57);
}

#[test]
fn xa_transactions_take_the_place_of_their_commit_on_mysql_9_7() {
    xa_transactions_take_the_place_of_their_commit(Flavor::Mysql97);
}

#[test]
fn an_xa_commit_of_what_was_prepared_before_the_start_is_refused() {
    let rig = Rig::start();
    let task = rig.small_task("unknown_xa");
    rig.source_sql(&[
        "xa start 'one'",
        "insert into t values (1, 'one')",
        "xa end 'one'",
        "xa prepare 'one'",
    ]);
    let (_, offset) = rig.source.binlog_end();
    let files = task
        .config
        .clone()
        .set("src.mysql", "binlogfile_offset", offset)
        .write();
    rig.source_sql(&["xa commit 'one'"]);
    assert_ends(
        &mut miner(&files, &["--once"]),
        3,
        &["XA COMMIT", "before mining began"],
    );
}

/// More rows than are kept back before a part of a transaction is staged.
const MANY_ROWS: u32 = 60_000;

/// A statement that inserts many rows, with ids from `first`.
fn insert_many(first: u32) -> String {
    let digits = "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all \
                   select 5 union all select 6 union all select 7 union all select 8 union all select 9)";
    format!(
        "insert into t select {first} + n, concat('row ', n) from (select a.d + 10 * b.d + 100 * c.d + 1000 * e.d \
         + 10000 * f.d as n from {digits} a, {digits} b, {digits} c, {digits} e, {digits} f) numbers where n < {MANY_ROWS}"
    )
}

/// Rolled back parts of a transaction are not staged, though they were logged and, being
/// many, on their way already.
fn rolled_back_rows_do_not_arrive(source: MysqlServer) {
    let rig = Rig::new(source);
    let task = rig.small_task("rolled_back");
    let files = task.config.write();
    rig.source_sql(&["create table old_engine (id int primary key) engine = myisam"]);
    rig.target_sql(&task, "create table old_engine (id integer primary key)");
    rig.source_sql(&[
        "insert into t values (1, 'before')",
        "begin",
        &insert_many(1_000_000),
        "savepoint middle",
        &insert_many(2_000_000),
        "insert into old_engine values (1)",
        "rollback to middle",
        "insert into t values (2, 'after')",
        "commit",
        "begin",
        &insert_many(3_000_000),
        "insert into old_engine values (2)",
        "rollback",
        "insert into t values (3, 'last')",
    ]);
    once(&files);
    rig.assert_equal(&task, &["t", "old_engine"]);
    assert_eq!(count(&rig, &task), (MANY_ROWS + 3).to_string());
    assert_eq!(
        rig.target_value(&task, "select count(*) from old_engine"),
        "2"
    );
    let events = "select count(*) from mysql2gp.events";
    assert_eq!(
        rig.staging.value(&task.staging, events),
        (MANY_ROWS + 5).to_string()
    );
}

#[test]
fn rolled_back_rows_do_not_arrive_from_mariadb_10_11() {
    rolled_back_rows_do_not_arrive(MysqlServer::start_default(Flavor::MariaDb1011));
}

#[test]
fn rolled_back_rows_do_not_arrive_from_mysql_9_7() {
    // With GTIDs, MySQL does not let tables with and without transactions mix.
    let source = MysqlServer::builder(Flavor::Mysql97)
        .arg("--gtid-mode=OFF")
        .arg("--enforce-gtid-consistency=OFF")
        .start();
    rolled_back_rows_do_not_arrive(source);
}

/// The first thing that the source logs is rolled back after parts of it were staged.
#[test]
fn a_large_first_transaction_that_is_rolled_back_leaves_nothing() {
    let rig = Rig::start();
    let task = rig.small_task("rolled_back_first");
    let files = task.config.write();
    rig.source_sql(&[
        "begin",
        &insert_many(0),
        // With this, MariaDB logs it all.
        "create temporary table not_logged (id int)",
        "rollback",
        "insert into t values (1, 'first')",
    ]);
    let mut mining = miner(&files, &[]);
    rig.wait_staged(&task);
    // The loader begins where nothing was dropped from staging.
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_eq!(count(&rig, &task), "1");
}

/// Whatever the source compresses arrives.
fn compressed_logs_are_read(flavor: Flavor, options: &[&str]) {
    let source = options
        .iter()
        .fold(MysqlServer::builder(flavor), |source, option| {
            source.arg(*option)
        })
        .start();
    let rig = Rig::new(source);
    let task = rig.small_task("compressed");
    let files = task.config.write();
    rig.source_sql(&[
        &insert_many(0),
        "update t set v = 'changed to longer' where id % 3 = 0",
        "delete from t where id % 5 = 0",
        "begin",
        "insert into t values (-1, 'one')",
        "update t set id = -2 where id = -1",
        "commit",
    ]);
    once(&files);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn compressed_transactions_of_mysql_are_read() {
    compressed_logs_are_read(Flavor::Mysql97, &["--binlog-transaction-compression=ON"]);
}

#[test]
fn rows_events_of_version_1_from_mysql_are_read() {
    compressed_logs_are_read(Flavor::Mysql57, &["--log-bin-use-v1-row-events=ON"]);
}

#[test]
fn anonymous_transactions_of_mysql_are_read() {
    for flavor in [Flavor::Mysql57, Flavor::Mysql97] {
        compressed_logs_are_read(
            flavor,
            &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"],
        );
    }
}

#[test]
fn compressed_events_of_mariadb_are_read() {
    compressed_logs_are_read(
        Flavor::MariaDb1011,
        &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"],
    );
}

#[test]
fn partial_json_is_refused_with_the_table_and_the_remedy() {
    let source = MysqlServer::builder(Flavor::Mysql97)
        .arg("--binlog-row-value-options=PARTIAL_JSON")
        .start();
    let rig = Rig::new(source);
    let task = rig.small_task("partial_json");
    let files = task.config.write();
    rig.source_sql(&[
        "create table documents (id int primary key, d json)",
        r#"insert into documents values (1, '{"a": "a long enough text to be worth it", "b": 1}')"#,
        r#"update documents set d = json_set(d, '$.b', 2)"#,
    ]);
    assert_ends(
        &mut miner(&files, &["--once"]),
        3,
        &["app.documents", "binlog_row_value_options"],
    );
}

#[test]
fn a_temporary_table_that_hides_a_replicated_one_changes_nothing() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql57] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("temporary");
        let files = task.config.write();
        rig.source_sql(&[
            "insert into t values (1, 'kept')",
            "create temporary table t (id int primary key, v varchar(20), w int)",
            "insert into t values (2, 'hidden', 3)",
            "truncate table t",
            "drop temporary table t",
            "insert into t values (3, 'kept too')",
        ]);
        once(&files);
        rig.assert_equal(&task, &["t"]);
        assert_eq!(count(&rig, &task), "2");
    }
}

#[test]
fn without_names_in_the_log_a_definition_that_has_changed_since_is_refused() {
    let sources = [
        MysqlServer::start_default(Flavor::Mysql57),
        MysqlServer::builder(Flavor::MariaDb1011)
            .row_metadata(RowMetadata::Minimal)
            .start(),
    ];
    for source in sources {
        let rig = Rig::new(source);
        let task = rig.small_task("history");
        rig.source_sql(&[
            "create table pair (id int primary key, a int, b int)",
            "insert into pair values (1, 10, 20)",
        ]);
        let (_, before) = rig.source.binlog_end();
        // A swap of the names cannot be seen in the row event.
        rig.source_sql(&["alter table pair change a b int, change b a int"]);
        let (_, after) = rig.source.binlog_end();
        rig.source_sql(&["insert into pair (id, a, b) values (2, 1, 2)"]);
        rig.target_sql(
            &task,
            "create table pair (id integer primary key, a integer, b integer)",
        );

        let files = task.config.clone().tables(&["pair"]).write();
        let position = format!(":{after}");
        assert_ends(
            &mut miner(&files, &["--once"]),
            3,
            &["app.pair", "DDL", &position],
        );

        assert!(before < after);
        let task = rig.task("behind");
        rig.target_sql(
            &task,
            "create table pair (id integer primary key, a integer, b integer)",
        );
        let files = task
            .config
            .clone()
            .tables(&["pair"])
            .set("src.mysql", "binlogfile_offset", after)
            .write();
        once(&files);
        assert_eq!(
            rig.target_value(&task, "select concat_ws(' ', id, a, b) from pair"),
            "2 1 2"
        );
    }
}

#[test]
fn foreign_keys_that_change_rows_without_a_log_are_refused() {
    for (flavor, logged) in [
        (Flavor::MariaDb1011, false),
        (Flavor::Mysql57, false),
        (Flavor::Mysql97, true),
    ] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("cascades");
        rig.source_sql(&[
            "create table child (id int primary key, parent int, \
             constraint to_parent foreign key (parent) references t (id) on delete cascade)",
            "insert into t values (1, 'parent'), (2, 'parent')",
            "insert into child values (10, 1), (20, 2)",
        ]);
        rig.target_sql(
            &task,
            "create table child (id integer primary key, parent integer)",
        );
        let files = task.config.write();
        if logged {
            rig.source_sql(&["delete from t where id = 1"]);
            once(&files);
            rig.assert_equal(&task, &["t", "child"]);
            continue;
        }
        for args in [&["--once"][..], &["check"]] {
            let mut mining = miner(&files, args);
            assert_eq!(mining.wait_exit(crate::rig::SOON).code(), Some(3));
            let said = format!("{}{}", mining.stdout(), mining.stderr());
            for word in ["to_parent", "app.child", "allow_unlogged_cascades"] {
                assert!(said.contains(word), "{said}");
            }
        }
        let files = task
            .config
            .clone()
            .set("desc.pgsql", "allow_unlogged_cascades", true)
            .write();
        once(&files);
        rig.assert_equal(&task, &["t", "child"]);
    }
}

/// A new table whose rows come with the statement that makes it.
#[test]
fn rows_of_a_create_table_as_select_arrive() {
    for flavor in [Flavor::MariaDb1011, Flavor::MariaDb118, Flavor::Mysql97] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("selected");
        let files = task.config.write();
        rig.source_sql(&[
            "insert into t values (1, 'one'), (2, 'two')",
            "create table made (primary key (id)) as select id, v from t",
            "insert into made values (3, 'three')",
        ]);
        rig.target_sql(
            &task,
            "create table made (id integer primary key, v varchar(20))",
        );
        once(&files);
        rig.assert_equal(&task, &["t", "made"]);
        assert_eq!(rig.target_value(&task, "select count(*) from made"), "3");
    }
}

/// MariaDB may log an ALTER TABLE when it begins and when it ends: it happens at the end, if
/// it does not fail.
#[test]
fn an_alter_table_in_two_phases_stands_where_it_ends() {
    for flavor in [Flavor::MariaDb1011, Flavor::MariaDb118] {
        let source = MysqlServer::builder(flavor)
            .arg("--binlog-alter-two-phase=ON")
            .start();
        let rig = Rig::new(source);
        let task = rig.small_task("phases");
        let files = task.config.write();
        rig.source_sql(&["insert into t values (1, 'x'), (2, 'x')"]);
        let mut connection = rig.source.connect();
        let failed = mysql::prelude::Queryable::query_drop(
            &mut connection,
            "alter table app.t add unique key (v)",
        );
        assert!(failed.is_err(), "two rows have the same value");
        rig.source_sql(&[
            "insert into t values (3, 'y')",
            "alter table t add column w int",
            "insert into t values (4, 'z', 4)",
        ]);
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        let mut loading = loader(&files, &["--once"]);
        assert_ends(
            &mut loading,
            3,
            &["app.t", "add column w", "lacks column w"],
        );
        assert_eq!(count(&rig, &task), "3");
        rig.target_sql(&task, "alter table t add column w integer");
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        rig.assert_equal(&task, &["t"]);
        let statements = "select count(*) from mysql2gp.events where op = 'ddl'";
        assert_eq!(
            rig.staging.value(&task.staging, statements),
            "1",
            "{flavor}"
        );
    }
}

#[test]
fn sequences_and_versioned_tables_of_mariadb_are_refused() {
    let rig = Rig::start();
    let task = rig.small_task("special");
    let files = task.config.write();
    let listed = task.config.clone().tables(&["t"]).write();
    rig.source_sql(&["create sequence numbers", "insert into t values (1, 'x')"]);
    assert_ends(
        &mut miner(&files, &["--once"]),
        3,
        &["app.numbers", "sequence"],
    );
    once(&listed);
    rig.source_sql(&[
        "drop sequence numbers",
        "create table versions (id int primary key) with system versioning",
    ]);
    let error = &["app.versions", "system"];
    assert_ends(&mut miner(&files, &["--once"]), 3, error);
    once(&listed);
    rig.assert_equal(&task, &["t"]);
}
