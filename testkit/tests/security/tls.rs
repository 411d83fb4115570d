//! `sslmode` from disable to verify-full, with authorities, names and client certificates that
//! fit and that do not, to staging and target alike.

use testkit::{Certificates, Flavor, MysqlServer, PgServer, TaskBuilder, TaskFiles};

use crate::rig::ends;

const USER: &str = "mysql2gp";

/// A server that takes TLS only; `login` is what pg_hba.conf asks of everybody over TCP.
fn server(certificates: &Certificates, login: &str) -> PgServer {
    let server = PgServer::builder().tls(certificates, login).start();
    server.sql("postgres", &format!("create role {USER} login superuser"));
    server.create_database("staging");
    server.create_database("target");
    server
}

/// A task on such a server; `host` may be another name of it.
fn task(server: &PgServer, host: &str, words: &str) -> TaskBuilder {
    let string = |database: &str| {
        let text = server.connect_string(database);
        let text = text.replace("user=postgres", &format!("user={USER}"));
        format!("{} {words}", text.replace("127.0.0.1", host))
    };
    TaskFiles::builder()
        .set("src.mysql", "host", "127.0.0.1")
        .set("src.mysql", "port", 1)
        .set("src.mysql", "user", "nobody")
        .set("src.mysql", "db", "app")
        .set("src.mysql", "binlogfile", "mysql-bin.000001")
        .staging(&string("staging"))
        .target(&string("target"), "public")
}

fn root(certificates: &Certificates) -> String {
    format!("sslrootcert={}", certificates.path("ca.pem").display())
}

fn client(certificates: &Certificates) -> String {
    format!(
        "sslcert={} sslkey={}",
        certificates.path("client.pem").display(),
        certificates.path("client.key").display()
    )
}

#[test]
fn each_sslmode_verifies_as_much_as_libpq_does() {
    let (own, other) = (Certificates::make(USER), Certificates::make("other"));
    let server = server(&own, "trust");
    let (own, other) = (root(&own), root(&other));
    for (host, words) in [
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("localhost", format!("sslmode=require {own}")),
        ("localhost", format!("sslmode=verify-ca {own}")),
        ("127.0.0.1", format!("sslmode=verify-full {own}")),
    ] {
        let files = task(&server, host, &words).write();
        ends(
            &files,
            "binlog_loader check",
            0,
            &["ok   staging", "ok   target"],
        );
    }
    for (host, words, said) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), "no encryption"),
        (
            "127.0.0.1",
            "sslmode=verify-ca".to_owned(),
            "sslrootcert=FILE",
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full".to_owned(),
            "sslrootcert=FILE",
        ),
        (
            "localhost",
            format!("sslmode=verify-full {own}"),
            "not valid for name",
        ),
        (
            "127.0.0.1",
            format!("sslmode=require {other}"),
            "UnknownIssuer",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca {other}"),
            "UnknownIssuer",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full {other}"),
            "UnknownIssuer",
        ),
        (
            "127.0.0.1",
            "sslmode=verify-full sslrootcert=absent.pem".to_owned(),
            "absent.pem",
        ),
    ] {
        let files = task(&server, host, &words).write();
        ends(
            &files,
            "binlog_loader check",
            2,
            &["FAIL staging", "FAIL target", said],
        );
        // The programs do not wait for what does not come by waiting.
        ends(&files, "binlog_loader", 2, &[said]);
        ends(&files, "binlog_miner", 2, &[said]);
    }
}

#[test]
fn a_server_without_tls_is_refused_from_require_on() {
    let server = PgServer::start_default();
    server.sql("postgres", &format!("create role {USER} login superuser"));
    server.create_database("staging");
    server.create_database("target");
    for words in ["sslmode=disable", "sslmode=prefer"] {
        let files = task(&server, "127.0.0.1", words).write();
        ends(&files, "binlog_loader check", 0, &[]);
    }
    let files = task(&server, "127.0.0.1", "sslmode=require").write();
    ends(&files, "binlog_loader check", 2, &["FAIL staging", "TLS"]);
}

#[test]
fn rows_arrive_by_client_certificates() {
    let (own, other) = (Certificates::make(USER), Certificates::make("other"));
    let server = server(&own, "cert");
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    source.sql("create database app; create table app.t (id int primary key, v varchar(20))");
    server.sql(
        "target",
        "create table t (id integer primary key, v varchar(20))",
    );
    source.sql("insert into app.t values (1, 'one'), (2, 'two')");

    // Beside the configuration.
    let words = "sslmode=verify-full sslrootcert=ca.pem sslcert=client.pem sslkey=client.key";
    let files = task(&server, "127.0.0.1", words)
        .source(&source, "app")
        .write();
    for name in ["ca.pem", "client.pem", "client.key"] {
        std::fs::copy(own.path(name), files.directory().join(name)).unwrap();
    }
    for command in [
        "binlog_miner check",
        "binlog_miner --once",
        "binlog_loader check",
        "binlog_loader --once",
    ] {
        ends(&files, command, 0, &[]);
    }
    assert_eq!(
        server.value("target", "select string_agg(v, ' ' order by id) from t"),
        "one two"
    );

    // None, that of another authority, a file that is not there.
    let absent = "sslcert=absent.pem sslkey=absent.key".to_owned();
    for (words, said) in [
        (String::new(), "certificate"),
        (client(&other), "invalid peer certificate"),
        (absent, "absent.pem"),
    ] {
        let words = format!("sslmode=verify-full {} {words}", root(&own));
        let files = task(&server, "127.0.0.1", &words).write();
        let said = if said == "invalid peer certificate" {
            "FAIL target"
        } else {
            said
        };
        ends(&files, "binlog_loader check", 2, &["FAIL staging", said]);
    }
    // That of another user.
    let string = |database: &str| {
        let text = server.connect_string(database);
        format!("{text} sslmode=verify-full {} {}", root(&own), client(&own))
    };
    let files = task(&server, "127.0.0.1", "")
        .staging(&string("staging"))
        .target(&string("target"), "public")
        .write();
    ends(
        &files,
        "binlog_loader check",
        2,
        &["FAIL staging", "certificate"],
    );
}
