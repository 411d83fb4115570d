//! What `check` tells besides mistakes that stop a program, and that it changes nothing.

use testkit::{Flavor, Launch, MysqlServer, TaskBuilder, TaskFiles, wait_until};

use crate::rig::{SOON, Servers, TABLE, Task, launch, said, succeed};

/// Runs `check`, which must end with this code and have these lines.
#[track_caller]
fn tells(files: &TaskFiles, program: &str, code: i32, lines: &[&str]) {
    let mut program = launch(files, &format!("{program} check")).start();
    let status = program.wait_exit(SOON);
    let said = said(&program);
    assert_eq!(status.code(), Some(code), "{said}");
    for line in lines {
        let (verdict, words) = line.split_once(' ').unwrap();
        let found = said
            .lines()
            .any(|line| line.starts_with(verdict) && line.contains(words.trim_start()));
        assert!(found, "no line {line:?} in {said}");
    }
}

#[test]
fn check_changes_nothing() {
    let servers = Servers::start();
    let task = servers.task("k1", TABLE);
    let files = task.config.write();
    let dump = |database: &str| {
        servers.pg.value(
            database,
            "select string_agg(relname, ' ' order by relname) from pg_class where relnamespace > 16000 or relname = 'orders'",
        )
    };
    let before = [
        dump(&task.target),
        servers.source.binlog_end().1.to_string(),
    ];
    for program in ["binlog_miner", "binlog_loader"] {
        tells(&files, program, 0, &["ok staging is empty"]);
    }
    assert_eq!(
        before,
        [
            dump(&task.target),
            servers.source.binlog_end().1.to_string()
        ]
    );
    let schemas = "select count(*) from pg_namespace where nspname = 'mysql2gp'";
    assert_eq!(servers.pg.value(&task.staging, schemas), "0");
    assert_eq!(servers.pg.value(&task.target, schemas), "0");
}

#[test]
fn check_tells_how_long_the_source_keeps_its_log() {
    let servers = Servers::start();
    let source = &servers.source;
    let task = servers.task("k2", TABLE);
    let files = task.config.write();
    tells(
        &files,
        "binlog_miner",
        0,
        &[
            "ok keeps its binlogs until they are purged",
            "ok configured start",
        ],
    );
    source.sql("set global binlog_expire_logs_seconds = 3600");
    tells(
        &files,
        "binlog_miner",
        0,
        &["warn keeps its binlogs for 60 minutes"],
    );
    servers.source_sql(&task, "insert into orders values (1, 'first')");
    succeed(&files, "binlog_miner --once");
    tells(
        &files,
        "binlog_miner",
        0,
        &["ok is in the newest binlog: 60 minutes are left"],
    );
    let other = task
        .config
        .clone()
        .set("src.mysql", "binlogfile_offset", 4)
        .write();
    tells(
        &other,
        "binlog_miner",
        3,
        &["FAIL the configured start mysql-bin.000001:4 differs from"],
    );
    source.sql("flush binary logs");
    let left = "ok may purge mysql-bin.000001, which holds the staged position, in";
    tells(&files, "binlog_miner", 0, &[left]);
    source.sql("set global binlog_expire_logs_seconds = 0; set global expire_logs_days = 7");
    tells(
        &files,
        "binlog_miner",
        0,
        &["ok keeps its binlogs for 7 days", left],
    );
}

#[test]
fn check_tells_of_settings_of_the_source_that_lose_changes() {
    let servers = Servers::start();
    let filtered = MysqlServer::builder(Flavor::MariaDb1011)
        .arg("--binlog-ignore-db=zqk3")
        .start();
    let miner = "create user miner@'%' identified by 'hush-hush'; grant all on *.* to miner@'%'";
    filtered.sql(miner);
    let task = servers.task_at(&filtered, "k3", TABLE);
    tells(
        &task.config.write(),
        "binlog_miner",
        3,
        &["FAIL does not log changes of zqk3"],
    );

    let (file, position) = servers.source.binlog_end();
    filtered.sql(&format!(
        "change master to master_host = '127.0.0.1', master_port = {}, master_user = 'root', \
         master_log_file = '{file}', master_log_pos = {position}, master_use_gtid = no; start slave",
        servers.source.port()
    ));
    wait_until(SOON, "the replica", || {
        filtered.value("select variable_value from information_schema.global_status where variable_name = 'Slaves_running'") == "1"
    });
    tells(
        &task.config.write(),
        "binlog_miner",
        3,
        &["FAIL does not log what it replicates"],
    );

    let mysql = MysqlServer::builder(Flavor::Mysql97)
        .arg("--binlog-row-value-options=PARTIAL_JSON")
        .arg("--gtid-mode=OFF")
        .arg("--enforce-gtid-consistency=OFF")
        .arg("--binlog-checksum=NONE")
        .arg("--binlog-row-metadata=MINIMAL")
        .start();
    mysql.sql(miner);
    let task = servers.task_at(&mysql, "k4", TABLE);
    tells(
        &task.config.write(),
        "binlog_miner",
        3,
        &[
            "FAIL binlog_row_value_options = PARTIAL_JSON",
            "warn gtid_mode = OFF",
            "warn binlog_checksum = NONE",
            "warn does not log column names",
            "warn sync_binlog",
            "ok keeps its binlogs for 30 days",
        ],
    );
}

#[test]
fn check_tells_of_staging_and_target_databases() {
    let servers = Servers::start();
    let task = servers.task("k5", TABLE);
    let at = |name: &str| servers.pg.connect_string(name);
    servers.pg.sql(
        "postgres",
        "create database zqk5_latin encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'",
    );
    let run = |config: TaskBuilder, program: &str, code: i32, lines: &[&str]| {
        tells(&config.write(), program, code, lines);
    };
    run(
        task.config.clone().staging(&at("zqk5_latin")),
        "binlog_miner",
        3,
        &["FAIL staging database zqk5_latin has encoding LATIN1"],
    );
    run(
        task.config.clone().target(&at("zqk5_latin"), "public"),
        "binlog_loader",
        0,
        &["warn target database zqk5_latin has encoding LATIN1"],
    );
    run(
        task.config.clone(),
        "binlog_miner",
        0,
        &["warn staging runs with fsync", "ok are free on its disk"],
    );
    run(
        task.config
            .clone()
            .set("binlogminer", "staging_soft_limit", 1_u64 << 60)
            .set("binlogminer", "staging_hard_limit", 1_u64 << 61),
        "binlog_miner",
        0,
        &["warn are free on its disk, which is full before the limit"],
    );
    run(
        task.config
            .clone()
            .set("binlogminer", "staging_soft_limit", 1)
            .set("binlogminer", "staging_hard_limit", 2),
        "binlog_loader",
        3,
        &["FAIL staging_hard_limit 2 bytes"],
    );
    servers.pg.sql(
        "postgres",
        &format!(
            "alter database {} set default_transaction_read_only = on",
            task.target
        ),
    );
    run(
        task.config.clone(),
        "binlog_loader",
        3,
        &["FAIL target is read-only"],
    );
}

#[test]
fn check_tells_of_columns_and_indexes_of_the_target() {
    let servers = Servers::start();
    let task: Task = servers.task(
        "k6",
        "create table orders (id integer primary key, v varchar(20), w integer not null); create table plain (v varchar(20))",
    );
    servers.source_sql(
        &task,
        "insert into orders values (1, 'first', 1); insert into plain values ('x')",
    );
    let files = task.config.write();
    tells(
        &files,
        "binlog_miner",
        0,
        &["warn plain has no key", "ok orders, 3 columns, key id"],
    );
    succeed(&files, "binlog_miner --once");
    servers.target_sql(
        &task,
        "alter table orders alter column v set not null; create unique index on orders (w); \
         alter table orders add column extra text default 'x'; insert into orders values (7, 'old', 7)",
    );
    tells(
        &files,
        "binlog_loader",
        0,
        &[
            "ok table zqk6.orders -> public.orders",
            "warn v may be NULL at the source and not there",
            "ok is also unique by (w)",
            "warn has columns that the source lacks: extra",
            "warn holds rows: at the first start",
            "warn zqk6.plain has no key",
        ],
    );
    let skipping = task
        .config
        .clone()
        .set("binlogloader", "skip_no_pk_table", "true")
        .write();
    tells(
        &skipping,
        "binlog_loader",
        0,
        &["ok zqk6.plain has no key and is left out"],
    );
    tells(
        &skipping,
        "binlog_miner",
        0,
        &["warn zqk6.plain has no key and is left out"],
    );
    servers.target_sql(&task, "insert into plain values ('old')");
    tells(
        &files,
        "binlog_loader",
        3,
        &["FAIL holds rows, and source table zqk6.plain has no key"],
    );
}

#[test]
fn check_looks_at_columns_before_any_row_has_come() {
    let servers = Servers::start();
    let ddl = "create table orders (id integer primary key, v varchar(20))";
    let task: Task = servers.task("k7", ddl);
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    servers.target_sql(&task, "alter table orders alter column v type varchar(2)");
    tells(
        &files,
        "binlog_loader",
        3,
        &["FAIL column v is character varying(2) and would not hold every VARCHAR(20) value"],
    );
}

#[test]
fn check_says_no_to_an_argument_that_is_none() {
    for name in ["binlog_miner", "binlog_loader"] {
        let mut program = Launch::new(testkit::binary(name))
            .arg("check")
            .arg("everything")
            .start();
        assert_eq!(program.wait_exit(SOON).code(), Some(2));
    }
}
