//! Servers start, answer, write binlogs, survive what they should and leave nothing.

use std::path::Path;
use std::time::Duration;

use mysql::prelude::Queryable;
use testkit::{Binlog, Durability, Flavor, MysqlServer, PgServer, RowMetadata, wait_until};

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

fn starts_answers_restarts_and_goes(flavor: Flavor) {
    let mut server = MysqlServer::start_default(flavor);
    let version = server.value("select version()");
    let wanted = match flavor {
        Flavor::MariaDb1011 => "10.11.",
        Flavor::MariaDb118 => "11.8.",
        Flavor::Mysql57 => "5.7.",
        Flavor::Mysql97 => "9.7.",
    };
    assert!(version.starts_with(wanted), "{version}");
    assert_eq!(version.contains("MariaDB"), flavor.is_mariadb());

    let (file, before) = server.binlog_end();
    assert_eq!(file, "mysql-bin.000001");
    server.sql("create database app; create table app.t (id int primary key); insert into app.t values (1)");
    assert!(server.binlog_end().1 > before);
    let expected = vec![vec![Some("ROW".to_owned()), Some("FULL".to_owned())]];
    assert_eq!(
        server.query("select @@binlog_format, @@binlog_row_image"),
        expected
    );
    if flavor != Flavor::Mysql57 {
        assert_eq!(server.value("select @@binlog_row_metadata"), "FULL");
    }

    let port = server.port();
    server.restart();
    assert_eq!(server.port(), port);
    assert_eq!(server.value("select id from app.t"), "1");
    assert_eq!(server.binlog_end().0, "mysql-bin.000002");

    let pid = server.pid();
    let data = server.data_directory();
    assert!(is_alive(pid) && data.exists());
    drop(server);
    assert!(!is_alive(pid) && !data.exists());
}

#[test]
fn mariadb_10_11_starts_answers_restarts_and_goes() {
    starts_answers_restarts_and_goes(Flavor::MariaDb1011);
}

#[test]
fn mariadb_11_8_starts_answers_restarts_and_goes() {
    starts_answers_restarts_and_goes(Flavor::MariaDb118);
}

#[test]
fn mysql_5_7_starts_answers_restarts_and_goes() {
    starts_answers_restarts_and_goes(Flavor::Mysql57);
}

#[test]
fn mysql_9_7_starts_answers_restarts_and_goes() {
    starts_answers_restarts_and_goes(Flavor::Mysql97);
}

#[test]
fn durable_mysql_servers_keep_committed_rows_when_killed() {
    for flavor in Flavor::ALL {
        let mut server = MysqlServer::builder(flavor)
            .durability(Durability::Durable)
            .start();
        server.sql(
            "create database app; create table app.t (id int primary key) engine = innodb; \
             insert into app.t values (1)",
        );
        server.kill9();
        assert!(server.try_connect().is_err());
        server.restart();
        assert_eq!(server.value("select count(*) from app.t"), "1", "{flavor}");
    }
}

#[test]
fn mysql_options_reach_the_server() {
    let mut server = MysqlServer::builder(Flavor::MariaDb1011)
        .row_metadata(RowMetadata::Minimal)
        .arg("--binlog-format=STATEMENT")
        .start();
    assert_eq!(server.value("select @@binlog_format"), "STATEMENT");
    assert_eq!(server.value("select @@binlog_row_metadata"), "MINIMAL");
    server.restart_with(&["--binlog-format=MIXED"]);
    assert_eq!(server.value("select @@binlog_format"), "MIXED");

    for flavor in Flavor::ALL {
        let server = MysqlServer::builder(flavor).binlog(Binlog::Off).start();
        assert_eq!(server.value("select @@log_bin"), "0", "{flavor}");
    }
}

#[test]
fn root_gets_in_over_tcp_and_through_the_socket() {
    for flavor in Flavor::ALL {
        let server = MysqlServer::start_default(flavor);
        let options = mysql::OptsBuilder::new()
            .socket(server.socket().to_str())
            .user(Some("root"));
        let mut connection = mysql::Conn::new(options).unwrap();
        let user: Option<String> = connection.query_first("select current_user()").unwrap();
        assert_eq!(user.as_deref(), Some("root@localhost"), "{flavor}");
        assert_eq!(server.value("select current_user()"), "root@127.0.0.1");
    }
}

#[test]
#[should_panic(expected = "nonsense")]
fn the_second_of_two_statements_may_not_fail_unnoticed() {
    MysqlServer::start_default(Flavor::MariaDb1011).sql("select 1; select nonsense");
}

#[test]
fn postgresql_starts_answers_restarts_and_goes() {
    let mut server = PgServer::start_default();
    server.create_database("app");
    server.sql("app", "create table t (id int); insert into t values (1)");
    let mut over_tcp =
        postgres::Client::connect(&server.connect_string("app"), postgres::NoTls).unwrap();
    assert_eq!(
        over_tcp
            .query_one("select id from t", &[])
            .unwrap()
            .get::<_, i32>(0),
        1
    );

    let port = server.port();
    server.restart();
    assert_eq!(server.port(), port);
    assert_eq!(server.value("app", "select id from t"), "1");

    let pid = server.pid();
    let directory = server.socket_directory().to_owned();
    drop(server);
    assert!(!is_alive(pid) && !directory.exists());
}

#[test]
fn a_killed_postgresql_server_takes_its_children_along_and_keeps_committed_rows() {
    let mut server = PgServer::builder().durability(Durability::Durable).start();
    server.sql(
        "postgres",
        "create table t (id int); insert into t values (1)",
    );
    let mut busy = server.connect("postgres");
    let backend = u32::try_from(
        busy.query_one("select pg_backend_pid()", &[])
            .unwrap()
            .get::<_, i32>(0),
    )
    .unwrap();
    let client = std::thread::spawn(move || busy.batch_execute("select pg_sleep(600)").is_err());
    wait_until(Duration::from_secs(30), "the query to run", || {
        let query = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'";
        server.value("postgres", query) == "1"
    });

    server.kill9();
    assert!(client.join().unwrap(), "the client learns of it");
    wait_until(Duration::from_secs(10), "the backend to be reaped", || {
        !is_alive(backend)
    });
    server.restart();
    assert_eq!(server.value("postgres", "select count(*) from t"), "1");
}

#[test]
fn a_postgresql_password_is_needed_over_tcp() {
    let server = PgServer::builder()
        .password("it's a secret")
        .setting("log_statement=all")
        .start();
    assert_eq!(server.value("postgres", "show log_statement"), "all");
    assert!(postgres::Client::connect(&server.connect_string("postgres"), postgres::NoTls).is_ok());
    let wrong = format!(
        "host=127.0.0.1 port={} user=postgres password=no",
        server.port()
    );
    assert!(postgres::Client::connect(&wrong, postgres::NoTls).is_err());
}
