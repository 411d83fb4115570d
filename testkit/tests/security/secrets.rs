//! Passwords and row values appear in no log, error, status or process list, at any log level,
//! whatever goes wrong.

use std::fs;

use testkit::{Flavor, MysqlServer, PgServer, TaskBuilder, TaskFiles};

use crate::rig::{SOON, launch, run};

/// In every password and every value.
const SENTINEL: &str = "sentinel";
/// A number among the values.
const NUMBER: &str = "86753091";

#[track_caller]
fn is_clean(what: &str, said: &str) {
    for secret in [SENTINEL, NUMBER] {
        assert!(!said.contains(secret), "{what} tells a secret: {said}");
    }
}

struct Site {
    source: MysqlServer,
    server: PgServer,
}

impl Site {
    fn start() -> Self {
        let source = MysqlServer::start_default(Flavor::MariaDb1011);
        source.sql(&format!(
            "create user miner@'%' identified by '{SENTINEL}-source'; grant all on *.* to miner@'%'"
        ));
        let server = PgServer::builder()
            .password(format!("{SENTINEL}-pg"))
            .start();
        Self { source, server }
    }

    /// A task of a table at source and target, from here on.
    fn task(&self, name: &str, source: &str, target: &str) -> TaskBuilder {
        let staging = format!("{name}_staging");
        self.server.create_database(name);
        self.server.create_database(&staging);
        self.server.sql(name, target);
        self.source
            .sql(&format!("create database {name}; use {name}; {source}"));
        let (file, offset) = self.source.binlog_end();
        TaskFiles::builder()
            .set("task", "lock_timeout", 1)
            .source(&self.source, name)
            .set("src.mysql", "user", "miner")
            .set("src.mysql", "password", format!("{SENTINEL}-source"))
            .set("src.mysql", "connect_timeout", 1)
            .set("src.mysql", "binlogfile", file)
            .set("src.mysql", "binlogfile_offset", offset)
            .set("binlogminer", "stage_before_image", "true")
            .staging(&self.server.connect_string(&staging))
            .target(&self.server.connect_string(name), "public")
    }
}

/// What is refused: the task's name, the source's table, the target's, rows.
const REFUSED: [(&str, &str, &str, &str); 7] = [
    (
        "checked",
        "create table t (id varchar(40) primary key, v varchar(40))",
        "create table t (id varchar(40) primary key, v varchar(40) check (length(v) < 3))",
        "('sentinel-key', 'sentinel-value')",
    ),
    (
        "duplicate",
        "create table t (id varchar(40) primary key, v varchar(40))",
        "create table t (id varchar(40) primary key, v varchar(40) unique)",
        "('sentinel-1', 'sentinel-value'), ('sentinel-2', 'sentinel-value')",
    ),
    (
        "label",
        "create table t (id int primary key, v enum('sentinel-a', 'b'))",
        "create type e as enum ('b'); create table t (id integer primary key, v e)",
        "(86753091, 'sentinel-a')",
    ),
    (
        "document",
        "create table t (id int primary key, v longtext)",
        "create table t (id integer primary key, v jsonb)",
        "(86753091, '{sentinel: ')",
    ),
    (
        "raised",
        "create table t (id int primary key, v varchar(40))",
        "create table t (id integer primary key, v varchar(40)); \
         create function f() returns trigger language plpgsql as \
         'begin raise exception ''no % %'', new.id, new.v using errcode = ''23514''; end'; \
         create trigger f before insert on t for each row execute function f(); alter table t enable always trigger f",
        "(86753091, 'sentinel-value')",
    ),
    (
        "raised_plainly",
        "create table t (id int primary key, v varchar(40))",
        "create table t (id integer primary key, v varchar(40)); \
         create function f() returns trigger language plpgsql as \
         'begin raise exception ''no % %'', new.id, new.v; end'; \
         create trigger f before insert on t for each row execute function f(); alter table t enable always trigger f",
        "(86753091, 'sentinel-value')",
    ),
    (
        "zero_byte",
        "create table t (id int primary key, v varchar(40))",
        "create table t (id integer primary key, v varchar(40))",
        "(86753091, concat('sentinel', char(0), 'value'))",
    ),
];

#[test]
fn refused_rows_do_not_show() {
    let site = Site::start();
    for (name, source, target, rows) in REFUSED {
        let task = site.task(name, source, target);
        site.source
            .sql(&format!("insert into {name}.t values {rows}"));
        for limit in [0, 10] {
            let files = task
                .clone()
                .set("desc.pgsql", "ignore_copy_error_count_each_table", limit)
                .write();
            let mined = run(&files, "binlog_miner --once");
            is_clean(name, &mined.said);
            if name == "zero_byte" {
                assert_eq!(mined.code, Some(3), "{}", mined.said);
                continue;
            }
            assert_eq!(mined.code, Some(0), "{}", mined.said);
            let loaded = run(&files, "binlog_loader --once");
            is_clean(name, &loaded.said);
            let code = if limit == 0 { 3 } else { 0 };
            assert_eq!(loaded.code, Some(code), "{name}: {}", loaded.said);
        }
        let files = task.write();
        for command in ["check", "status", "status --json"] {
            is_clean(name, &run(&files, &format!("binlog_loader {command}")).said);
        }
        let errors = site.server.value(
            &format!("{name}_staging"),
            "select concat(last_error, (select string_agg(error, ' ') from mysql2gp.dead_letters)) from mysql2gp.status",
        );
        is_clean(name, &errors);
    }
}

#[test]
fn passwords_do_not_show_when_they_are_refused_or_misplaced() {
    let site = Site::start();
    let task = site.task(
        "wrong",
        "create table t (id int primary key)",
        "create table t (id integer primary key)",
    );
    let strings = ["wrong_staging", "wrong"].map(|name| {
        site.server
            .connect_string(name)
            .replace(&format!("{SENTINEL}-pg"), &format!("{SENTINEL}-wrong"))
    });
    let port = |text: &str| text.replace(&format!("port={}", site.server.port()), "port=1");
    let cases = [
        task.clone()
            .set("src.mysql", "password", format!("{SENTINEL}-wrong")),
        task.clone().staging(strings.first().unwrap()),
        task.clone().target(strings.last().unwrap(), "public"),
        task.clone().staging(&port(strings.first().unwrap())),
        task.clone()
            .target(&port(strings.last().unwrap()), "public"),
        // Mistakes on the very line.
        task.clone().raw(&format!("[task]\npassword = {SENTINEL}")),
        task.clone()
            .set("src.mysql", "pasword", format!("{SENTINEL}-source")),
        task.clone()
            .set("src.mysql", "port", format!("{SENTINEL}-source")),
        task.clone()
            .target(&format!("host=127.0.0.1 password {SENTINEL}"), "public"),
        task.clone()
            .target(&format!("host=127.0.0.1 password='{SENTINEL}"), "public"),
        task.clone().target(
            &format!("postgresql://u:{SENTINEL}%zz@127.0.0.1/wrong"),
            "public",
        ),
        task.clone()
            .set("metrics", "listen", "127.0.0.1:x")
            .raw(&format!("# {SENTINEL}")),
    ];
    for config in cases {
        let files = config.write();
        for command in [
            "binlog_miner --once",
            "binlog_miner check",
            "binlog_loader --once",
            "binlog_loader check",
        ] {
            is_clean(command, &run(&files, command).said);
        }
    }
}

#[test]
fn passwords_from_the_environment_files_and_pgpass_work_and_are_in_no_process_list() {
    let site = Site::start();
    let task = site.task(
        "quiet",
        "create table t (id int primary key, v varchar(40))",
        "create table t (id integer primary key, v varchar(40))",
    );
    let password = format!("password='{SENTINEL}-pg'");
    let bare = |name: &str| site.server.connect_string(name).replace(&password, "");
    let files = task
        .without("src.mysql", "password")
        .set("desc.pgsql", "password_file", "target.password")
        .staging(&bare("quiet_staging"))
        .target(&bare("quiet"), "public")
        .write();
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = files.directory().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    write("target.password", &format!("{SENTINEL}-pg\n"));
    let pgpass = write(
        "pgpass",
        &format!("127.0.0.1:*:quiet_staging:postgres:{SENTINEL}-pg\n"),
    );
    site.source
        .sql(&format!("insert into quiet.t values (1, '{SENTINEL}-row')"));

    let start = |name: &str| {
        launch(&files, name)
            .env(
                "MYSQL2GP__SRC__MYSQL__PASSWORD",
                format!("{SENTINEL}-source"),
            )
            .env("PGPASSFILE", &pgpass)
            .start()
    };
    let (mut miner, mut loader) = (start("binlog_miner"), start("binlog_loader"));
    testkit::wait_until(SOON, "the row", || {
        site.server.value("quiet", "select count(*) from t") == "1"
    });
    for program in [&mut miner, &mut loader] {
        for file in ["cmdline", "comm"] {
            let line = fs::read(format!("/proc/{}/{file}", program.pid())).unwrap();
            is_clean(file, &String::from_utf8_lossy(&line));
        }
        program.sigterm();
        program.wait_exit(SOON);
        is_clean("a log", &program.stderr());
    }
    // What servers show of their sessions.
    let sessions = "select coalesce(string_agg(application_name, ' '), '') from pg_stat_activity";
    is_clean("a session", &site.server.value("postgres", sessions));
}
