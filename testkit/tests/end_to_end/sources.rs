//! Sources that cannot be mined.

use testkit::{Flavor, MysqlServer, TaskBuilder, wait_until};

use crate::rig::{
    Rig, SOON, assert_ends, assert_keeps_running, assert_says, assert_stops, loader, miner,
    wait_warning, warnings,
};

/// Runs the miner on a source that it must refuse; it must say so for good and at `--once`.
fn assert_refused(config: &TaskBuilder, code: i32, words: &[&str]) {
    let files = config.write();
    for args in [&[][..], &["--once"]] {
        let mut program = miner(&files, args);
        assert_ends(&mut program, code, words);
    }
}

fn with_user(config: &TaskBuilder, user: &str, password: &str) -> TaskBuilder {
    config
        .clone()
        .set("src.mysql", "user", user)
        .set("src.mysql", "password", password)
}

#[test]
fn refused_credentials_and_missing_privileges_are_named() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql57, Flavor::Mysql97] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("users");
        rig.source.sql(
            "create user reader@'127.0.0.1' identified by 'right'; \
             grant select on app.* to reader@'127.0.0.1'; \
             create user lister@'127.0.0.1' identified by 'right'; \
             grant select on app.* to lister@'127.0.0.1'; \
             grant replication client on *.* to lister@'127.0.0.1'; \
             create user replica@'127.0.0.1' identified by 'right'; \
             grant select on app.* to replica@'127.0.0.1'; \
             grant replication slave, replication client on *.* to replica@'127.0.0.1'; \
             insert into app.t values (1, 'x')",
        );
        let address = format!("127.0.0.1:{}", rig.source.port());

        let wrong = with_user(&task.config, "reader", "hush-hush");
        assert_refused(&wrong, 2, &["reader", &address, "Access denied"]);
        let unknown = with_user(&task.config, "nobody", "hush-hush");
        assert_refused(&unknown, 2, &["nobody", &address]);

        for user in ["reader", "lister"] {
            let powerless = with_user(&task.config, user, "right");
            assert_refused(&powerless, 2, &["grant replication slave"]);
        }

        // These privileges are enough.
        let files = with_user(&task.config, "replica", "right").write();
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        rig.assert_equal(&task, &["t"]);
    }
}

#[test]
fn no_password_of_the_configuration_is_ever_logged() {
    let rig = Rig::start();
    let task = rig.small_task("secrets");
    let files = with_user(&task.config, "nobody", "hush-hush").write();
    let mut program = miner(&files, &[]);
    assert_ends(&mut program, 2, &[]);
    assert!(!program.stderr().contains("hush"), "{}", program.stderr());
}

#[test]
fn settings_with_which_rows_do_not_arrive_whole_are_refused() {
    let mut rig = Rig::start();
    let cases: [(&str, &[&str], &[&str]); 4] = [
        (
            "statement",
            &["--binlog-format=STATEMENT"],
            &["binlog_format", "STATEMENT", "ROW"],
        ),
        (
            "mixed",
            &["--binlog-format=MIXED"],
            &["binlog_format", "MIXED", "ROW"],
        ),
        (
            "minimal",
            &["--binlog-format=ROW", "--binlog-row-image=MINIMAL"],
            &["binlog_row_image", "MINIMAL", "FULL"],
        ),
        ("off", &["--skip-log-bin"], &["log_bin", "restart"]),
    ];
    for (name, args, words) in cases {
        rig.source.restart_with(args);
        let task = rig.small_task(name);
        assert_refused(&task.config, 3, words);
    }
}

#[test]
fn a_session_that_logs_statements_or_partial_rows_stops_the_miner() {
    let rig = Rig::start();
    let task = rig.small_task("sessions");
    let files = task.config.write();
    rig.source_sql(&[
        "insert into t values (1, 'whole')",
        "set session binlog_row_image = 'MINIMAL'",
        "update t set v = 'partial' where id = 1",
    ]);
    assert_ends(&mut miner(&files, &[]), 3, &["app.t", "binlog_row_image"]);
    // What came before is kept.
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(rig.target_value(&task, "select v from t"), "whole");

    let task = rig.task("statements");
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20))",
    );
    let (file, position) = rig.source.binlog_end();
    let files = task
        .config
        .set("src.mysql", "binlogfile", &file)
        .set("src.mysql", "binlogfile_offset", position)
        .write();
    rig.source_sql(&[
        "set session binlog_format = 'STATEMENT'",
        "update t set v = 'as a statement' where id = 1",
    ]);
    assert_ends(&mut miner(&files, &[]), 3, &["statement", "binlog_format"]);
}

/// A task that begins at the end of the source's log.
fn task_from_here(rig: &Rig, name: &str) -> TaskBuilder {
    let task = rig.task(name);
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20)); create table old_engine (id integer, v text)",
    );
    let (file, position) = rig.source.binlog_end();
    task.config
        .set("src.mysql", "binlogfile", &file)
        .set("src.mysql", "binlogfile_offset", position)
        .tables(&["t", "old_engine"])
}

#[test]
fn load_data_as_a_statement_passes_by_and_is_refused_where_it_fills_a_replicated_table() {
    for flavor in Flavor::ALL {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let _ = rig.small_task("unused");
        rig.source_sql(&[
            "create table aside (id int primary key, v varchar(20))",
            "create table old_engine (id int, v text) engine = myisam",
        ]);
        let file = rig.source.data_directory().join("rows.csv");
        std::fs::write(&file, "1\tone\n2\ttwo\n").unwrap();
        let load =
            |table: &str| format!("load data infile '{}' into table {table}", file.display());
        let config = task_from_here(&rig, "loads");
        rig.source_sql(&[
            "insert into t values (7, 'before')",
            "set session binlog_format = 'STATEMENT'",
            &load("aside"),
            "set session binlog_format = 'ROW'",
            // As rows there is nothing special about it.
            &load("t"),
        ]);
        let files = config.write();
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        let copied = rig.target().value(
            "loads_target",
            "select string_agg(v, ' ' order by id) from copy.t",
        );
        assert_eq!(copied, "one two before", "{flavor}");

        for table in ["t", "old_engine"] {
            let config = task_from_here(&rig, &format!("refused_{table}"));
            let from = rig.source.binlog_end();
            rig.source_sql(&[
                "delete from t",
                "set session binlog_format = 'STATEMENT'",
                &load(table),
            ]);
            let name = format!("app.{table}");
            assert_refused(
                &config,
                3,
                &[&name, "LOAD", "binlog_format = 'ROW'", &from.0],
            );
        }
    }
}

/// A server that could not log all of a change to a table without transactions says so with
/// an INCIDENT event.
#[test]
fn an_incident_stops_the_miner_at_its_position() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql57, Flavor::Mysql97] {
        let rig = Rig::new(
            MysqlServer::builder(flavor)
                .arg("--binlog-stmt-cache-size=4096")
                .arg("--max-binlog-stmt-cache-size=4096")
                .start(),
        );
        let _ = rig.small_task("unused");
        rig.source_sql(&["create table old_engine (id int, v text) engine = myisam"]);
        let config = task_from_here(&rig, "incident");
        rig.source_sql(&["insert into t values (1, 'before')"]);
        let tuples: Vec<String> = (0..64)
            .map(|id| format!("({id}, repeat('x', 2000))"))
            .collect();
        let mut connection = rig.source.connect();
        let insert = format!("insert into app.old_engine values {}", tuples.join(", "));
        let refused = mysql::prelude::Queryable::query_drop(&mut connection, insert);
        assert!(refused.is_err(), "{flavor}: the cache takes it all");
        let logged: Vec<_> = rig
            .source
            .query("show binary logs")
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .flat_map(|file| rig.source.query(&format!("show binlog events in '{file}'")))
            .filter(|event| event.get(2) == Some(&Some("Incident".to_owned())))
            .collect();
        let [incident] = logged.as_slice() else {
            panic!("{flavor}: not one incident but {logged:?}");
        };
        let end = incident.get(4).cloned().flatten().unwrap();
        let file = incident.first().cloned().flatten().unwrap();
        assert_refused(
            &config,
            3,
            &["incident", "load the tables anew", &format!("{file}:{end}")],
        );
        // What came before is kept.
        assert_ends(&mut loader(&config.write(), &["--once"]), 0, &[]);
        let before = rig
            .target()
            .value("incident_target", "select v from copy.t");
        assert_eq!(before, "before", "{flavor}");
    }
}

#[test]
fn a_binlog_file_that_is_not_there_is_answered_with_those_that_are() {
    let rig = Rig::start();
    let task = rig.small_task("files");
    rig.source_sql(&["flush binary logs", "flush binary logs"]);
    let config = task
        .config
        .set("src.mysql", "binlogfile", "mysql-bin.000042");
    assert_refused(
        &config,
        2,
        &["mysql-bin.000042", "mysql-bin.000001", "mysql-bin.000003"],
    );
    let config = config.set("src.mysql", "binlogfile", "other-bin.000001");
    assert_refused(&config, 2, &["other-bin.000001", "mysql-bin.000001"]);
}

#[test]
fn a_purged_binlog_needs_an_operator_and_nothing_is_skipped() {
    for flavor in [Flavor::MariaDb1011, Flavor::Mysql97] {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let task = rig.small_task("purged");
        let files = task.config.write();
        rig.source_sql(&["insert into t values (1, 'staged')"]);
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        rig.source_sql(&[
            "insert into t values (2, 'lost')",
            "flush binary logs",
            "insert into t values (3, 'after')",
            "flush binary logs",
        ]);
        // A file that the miner's dump still holds stays; the server learns late of its end.
        wait_until(SOON, "the source to purge its log", || {
            rig.source.sql("purge binary logs to 'mysql-bin.000003'");
            let files = rig.source.query("show binary logs");
            files.first().and_then(|row| row.first()) == Some(&Some("mysql-bin.000003".to_owned()))
        });
        assert_refused(
            &task.config,
            3,
            &["mysql-bin.000001", "mysql-bin.000003", "no longer"],
        );
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        assert_eq!(
            rig.target_value(&task, "select string_agg(v, ',') from t"),
            "staged"
        );

        // The first start, from a file that is gone.
        let task = rig.task("gone");
        rig.target_sql(
            &task,
            "create table t (id integer primary key, v varchar(20))",
        );
        let files = task.config.write();
        let mut program = miner(&files, &[]);
        let code = program.wait_exit(SOON).code();
        assert!(matches!(code, Some(2 | 3)), "{code:?}");
        assert_says(&program, &["mysql-bin.000001", "mysql-bin.000003"]);
    }
}

#[test]
fn a_table_of_the_list_that_does_not_exist_is_named() {
    let rig = Rig::start();
    let task = rig.small_task("list");
    let config = task.config.tables(&["t", "shop.orders", "nothing_like_*"]);
    assert_refused(&config, 2, &["shop.orders"]);
    let config = config.tables(&["t", "T2"]);
    assert_refused(&config, 2, &["app.T2"]);
}

#[test]
fn an_unknown_host_is_tried_again_and_given_up_by_once() {
    let rig = Rig::start();
    let task = rig.small_task("host");
    let files = task
        .config
        .set("src.mysql", "host", "no-such-host.invalid")
        .set("src.mysql", "connect_timeout", 1)
        .write();
    assert_ends(
        &mut miner(&files, &["--once"]),
        1,
        &["no-such-host.invalid"],
    );
    let mut program = miner(&files, &[]);
    wait_warning(&mut program, "no-such-host.invalid");
    assert_keeps_running(&mut program);
    assert_eq!(warnings(&program, ""), 1, "says it once");
    assert_stops(&mut program);
}

#[test]
fn a_database_that_does_not_exist_is_named() {
    let rig = Rig::start();
    let task = rig.task("database");
    let config = task.config.set("src.mysql", "db", "absent").tables(&["t"]);
    assert_refused(&config, 2, &["absent.t"]);
}
