//! What has surprised replication tools before.

use mysql::prelude::Queryable;
use testkit::{Flavor, MysqlServer, RowMetadata, TaskFiles};

use crate::rig::{Rig, SOON, Task, assert_ends, assert_stops, loader, miner};

/// Mines and applies what is there.
fn once(files: &TaskFiles) {
    assert_ends(&mut miner(files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(files, &["--once"]), 0, &[]);
}

/// A MEMORY table is empty after a restart of the source, which logs that when the table is
/// first used.
#[test]
fn a_memory_table_is_emptied_by_the_restart_of_the_source() {
    for flavor in Flavor::ALL {
        let mut rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("memory");
        let files = task.config.write();
        rig.source_sql(&[
            "create table m (id int primary key, v varchar(20)) engine = memory",
            "insert into m values (1, 'before'), (2, 'before')",
        ]);
        rig.target_sql(
            &task,
            "create table m (id integer primary key, v varchar(20))",
        );
        once(&files);
        assert_eq!(rig.target_value(&task, "select count(*) from m"), "2");
        rig.source.restart();
        rig.source_sql(&[
            "select count(*) from m",
            "insert into m values (2, 'after')",
        ]);
        once(&files);
        rig.assert_equal(&task, &["m"]);
        assert_eq!(
            rig.target_value(&task, "select string_agg(v, ' ') from m"),
            "after",
            "{flavor}"
        );
    }
}

/// REPLACE that meets a row by another unique key is logged as an update of the primary key.
#[test]
fn a_replace_by_a_secondary_unique_key_moves_the_row() {
    for flavor in Flavor::ALL {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("replace");
        let files = task.config.write();
        rig.source_sql(&[
            "create table r (id int primary key, u int not null unique, v varchar(10))",
            "insert into r values (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c')",
            "replace into r values (4, 20, 'moved')",
            "replace into r values (1, 30, 'two gone')",
            "insert into r values (5, 20, 'x') on duplicate key update id = 6, v = 'again'",
        ]);
        rig.target_sql(
            &task,
            "create table r (id integer primary key, u integer not null unique, v varchar(10))",
        );
        once(&files);
        rig.assert_equal(&task, &["r"]);
        assert_eq!(
            rig.target_value(&task, "select string_agg(id || v, ' ' order by id) from r"),
            "1two gone 6again",
            "{flavor}"
        );
    }
}

/// Where a string ends depends on the session, and its bytes on the client's charset.
#[test]
fn statements_are_read_in_the_session_s_sql_mode_and_whatever_their_bytes() {
    for (flavor, options) in [
        (
            Flavor::MariaDb1011,
            &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"][..],
        ),
        (Flavor::Mysql57, &[]),
        (Flavor::Mysql97, &[]),
    ] {
        let source = options
            .iter()
            .fold(MysqlServer::builder(flavor), |source, option| {
                source.arg(*option)
            })
            .start();
        let rig = Rig::new(source);
        let task = rig.small_task("texts");
        let mut connection = rig.source.connect();
        let mut run = |statement: &str| {
            connection
                .query_drop(statement)
                .unwrap_or_else(|error| panic!("{error}: {statement}"));
        };
        run("use app");
        run("insert into t values (1, 'one')");
        // Here the string ends behind the backslash, and what follows is no part of it.
        run("set sql_mode = 'NO_BACKSLASH_ESCAPES'");
        run("create table aside (id int) comment = 'c:\\'");
        run("alter table aside comment = '\\', add column t int");
        // And here it does not.
        run("set sql_mode = ''");
        run("alter table aside comment = '\\', rename to t -- '");
        let mut run_in = |charset: &str, statement: &[u8]| {
            let hex: String = statement.iter().map(|byte| format!("{byte:02x}")).collect();
            run(&format!("set names {charset}"));
            run(&format!("set @statement = _{charset} x'{hex}'"));
            run("prepare p from @statement");
            run("execute p");
        };
        run_in("latin1", b"alter table aside comment = 'cr\xe8me \xff\x80'");
        // The second byte of a GBK character may look like a backslash.
        run_in("gbk", b"alter table aside comment = '\xd5\x5c'");
        run_in("latin1", b"insert into t values (2, 'tw\xf6')");
        let files_of_t = task.config.clone().tables(&["t"]).write();
        once(&files_of_t);
        rig.assert_equal(&task, &["t"]);
        assert_eq!(rig.target_value(&task, "select count(*) from t"), "2");

        // A DDL statement on the table itself is seen among such bytes.
        run_in(
            "latin1",
            b"alter table `t` modify v varchar(20) comment '\xe8\xff'",
        );
        assert_ends(&mut miner(&files_of_t, &["--once"]), 0, &[]);
        let mut loading = loader(&files_of_t, &["--once"]);
        assert_ends(&mut loading, 3, &["app.t", "alter table `t`"]);
    }
}

/// A unique index over a long text is a hidden column of MariaDB's, which the log carries; so
/// are the hidden primary keys of some hosted servers.
#[test]
fn a_row_image_with_a_column_that_the_table_does_not_show_is_refused() {
    for (flavor, metadata, says) in [
        (
            Flavor::MariaDb1011,
            RowMetadata::Minimal,
            &["2 columns expected, 3 found", "hidden primary key"][..],
        ),
        (Flavor::MariaDb1011, RowMetadata::Full, &["DB_ROW_HASH_1"]),
        (Flavor::MariaDb118, RowMetadata::Full, &["DB_ROW_HASH_1"]),
    ] {
        let rig = Rig::new(MysqlServer::builder(flavor).row_metadata(metadata).start());
        let task = rig.small_task("hidden");
        let files = task.config.write();
        rig.source_sql(&[
            "create table h (id int primary key, v text, unique key (v))",
            "insert into t values (1, 'before')",
            "insert into h values (1, 'x')",
        ]);
        rig.target_sql(&task, "create table h (id integer primary key, v text)");
        let mut mining = miner(&files, &["--once"]);
        assert_ends(
            &mut mining,
            3,
            &["app.h", "mysql-bin.000001:", "out of the list"],
        );
        crate::rig::assert_says(&mining, says);
        // What came before is kept, and without the table it goes on.
        let files = task.config.clone().tables(&["t"]).write();
        once(&files);
        rig.assert_equal(&task, &["t"]);
    }
}

/// A definition that was changed without a log fits no event any more.
#[test]
fn a_table_that_was_altered_without_a_log_is_refused_where_it_can_be_seen() {
    let source = MysqlServer::builder(Flavor::MariaDb1011)
        .row_metadata(RowMetadata::Minimal)
        .start();
    let rig = Rig::new(source);
    let task = rig.small_task("silent");
    let files = task.config.clone().tables(&["t"]).write();
    rig.source_sql(&["insert into t values (1, 'one')"]);
    once(&files);
    rig.source_sql(&[
        "insert into t values (2, 'two')",
        "set session sql_log_bin = 0",
        "alter table t modify v varchar(30), add w int",
        "set session sql_log_bin = 1",
        "insert into t values (3, 'three', 3)",
        "set session sql_log_bin = 0",
        "alter table t drop w, modify v varchar(20)",
    ]);
    let mut mining = miner(&files, &["--once"]);
    assert_ends(
        &mut mining,
        3,
        &[
            "app.t",
            "2 columns expected, 3 found",
            "start behind this position",
        ],
    );
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(rig.target_value(&task, "select max(id) from t"), "2");
}

/// Every event's checksum is compared with its bytes.
#[test]
fn an_event_that_was_damaged_on_the_source_s_disk_stops_the_miner() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql57, Flavor::Mysql97] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("damaged");
        let files = task.config.write();
        rig.source_sql(&["insert into t values (1, 'whole')"]);
        once(&files);
        rig.source_sql(&[
            "insert into t values (2, 'damaged row')",
            "flush binary logs",
        ]);
        let log = rig.source.data_directory().join("mysql-bin.000001");
        let mut bytes = std::fs::read(&log).unwrap();
        let place = bytes
            .windows(11)
            .rposition(|window| window == b"damaged row")
            .unwrap();
        bytes[place] = b'D';
        std::fs::write(&log, bytes).unwrap();
        assert_ends(
            &mut miner(&files, &["--once"]),
            3,
            &["mysql-bin.000001:", "checksum"],
        );
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        assert_eq!(
            rig.target_value(&task, "select string_agg(v, ' ') from t"),
            "whole",
            "{flavor}"
        );
    }
}

/// Files may be written otherwise than those before: without checksums, and with them again.
#[test]
fn a_running_miner_reads_on_when_the_source_changes_its_checksums() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql57, Flavor::Mysql97] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("checksums");
        let files = task.config.write();
        let mut mining = miner(&files, &[]);
        let mut loading = loader(&files, &[]);
        for (id, checksum) in ["NONE", "CRC32", "NONE"].iter().enumerate() {
            rig.source_sql(&[
                &format!("insert into t values ({id}, 'before')"),
                &format!("set global binlog_checksum = {checksum}"),
                "update t set v = concat(v, '!')",
            ]);
            rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
            rig.assert_equal(&task, &["t"]);
        }
        assert_stops(&mut mining);
        assert_stops(&mut loading);
    }
}

/// A new version of the server writes another format description, on the same data.
#[test]
fn a_running_miner_goes_on_when_the_source_is_upgraded() {
    let mut rig = Rig::new(MysqlServer::start_default(Flavor::MariaDb1011));
    let task = rig.small_task("upgraded");
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (1, 'old'), (2, 'old')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.source.upgrade(Flavor::MariaDb118);
    assert!(rig.source.value("select version()").starts_with("11.8"));
    rig.source_sql(&[
        "update t set v = 'new' where id = 1",
        "insert into t values (3, 'new')",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

/// Statements that take a replicated table away, or rows of it without row events.
#[test]
fn statements_that_take_tables_or_partitions_away_stop_the_loader() {
    let rig = Rig::start();
    for (statement, number) in [
        "drop table t",
        "drop table if exists aside, t",
        "rename table t to elsewhere",
        "rename table t to swapped, aside to t",
        "create or replace table t (id int primary key, v varchar(20))",
        "create or replace table t (id int primary key) as select 7 as id",
        "alter table t truncate partition p0",
        "alter table t drop partition p0",
        "alter table t exchange partition p0 with table aside",
        "alter table t discard tablespace",
        "drop database app",
    ]
    .iter()
    .zip(0..)
    {
        rig.source
            .sql("drop database if exists app; flush binary logs; create database app");
        let task = rig.task(&format!("away_{number}"));
        let (file, _) = rig.source.binlog_end();
        rig.target_sql(
            &task,
            "create table t (id integer primary key, v varchar(20))",
        );
        let partitions = if statement.contains("partition") {
            "partition by range (id) (partition p0 values less than (10), partition p1 values less than (20))"
        } else {
            ""
        };
        rig.source_sql(&[
            &format!("create table t (id int primary key, v varchar(20)) {partitions}"),
            "create table aside (id int primary key, v varchar(20))",
            "insert into t values (1, 'x'), (11, 'y')",
            statement,
        ]);
        let files = task
            .config
            .clone()
            .set("src.mysql", "binlogfile", &file)
            .tables(&["t*", "else*", "swap*"])
            .write();
        let mut mining = miner(&files, &["--once"]);
        let mined = mining.wait_exit(SOON).code();
        assert_eq!(mined, Some(0), "{statement}: {}", mining.stderr());
        let start = statement.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut loading = loader(&files, &["--once"]);
        assert_ends(&mut loading, 3, &["app.", "binlog_loader ack"]);
        let log = loading.stderr().to_lowercase();
        assert!(log.contains(&start), "{statement}: {log}");
        assert_eq!(
            rig.target_value(&task, "select count(*) from t"),
            "2",
            "{statement}"
        );
    }
}

/// DDL on a replicated table, however it is wrapped; each from the statement on.
#[test]
fn ddl_is_seen_whatever_it_is_wrapped_in() {
    let rig = Rig::start();
    let stops = [
        "set statement max_statement_time=100 for alter table t add column c int default 5",
        "set statement sql_mode='' for rename table t to told",
        "rename table t nowait to told",
        "alter table part exchange partition p0 with table t",
        r#"alter table t add index i(v) comment "a\"b", drop column v, add column v varchar(20) default 'N', add index j (id) comment "c\"d""#,
        "alter table t alter column v set default (1--5), modify id int, drop column v, add column v varchar(20) default 'Q' /*\n)*/",
    ];
    for (number, statement) in stops.iter().enumerate() {
        let task = wrapped(&rig, &format!("wrapped{number}"), statement);
        let files = task.config.write();
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(
            &mut loader(&files, &["--once"]),
            3,
            &["the statement at", "binlog_loader ack"],
        );
    }
    let task = wrapped(
        &rig,
        "truncated",
        "set statement sort_buffer_size=100000 for truncate table t",
    );
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);

    rig.source
        .sql("set global log_bin_trust_function_creators = 1");
    let task = wrapped(
        &rig,
        "routine",
        "create function f() returns int modifies sql data begin insert into t values (50, 'f'); return 1; end",
    );
    rig.source
        .sql("use app; set session binlog_format = statement; do f(); drop function f");
    let files = task.config.write();
    assert_ends(
        &mut miner(&files, &["--once"]),
        3,
        &["calls a stored routine", "binlog_format"],
    );
}

/// A task on a new table of two rows, which the target has; then the statement.
fn wrapped(rig: &Rig, name: &str, statement: &str) -> Task {
    rig.source.sql(
        "drop database if exists app; create database app character set utf8mb4; use app; \
         create table t (id int primary key, v varchar(20)); insert into t values (1, 'a'), (2, 'b'); \
         create table part (id int primary key, v varchar(20)) partition by hash (id) partitions 1; \
         insert into part values (5, 'p')",
    );
    let mut task = rig.task(name);
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20)); insert into t values (1, 'a'), (2, 'b')",
    );
    let (file, offset) = rig.source.binlog_end();
    task.config = task
        .config
        .set("src.mysql", "binlogfile", &file)
        .set("src.mysql", "binlogfile_offset", offset)
        .set("src.mysql", "consistent_from", format!("{file}:{offset}"))
        .tables(&["t*"]);
    rig.source_sql(&[statement]);
    task
}
