//! Logins: TLS and its verification, and every way to prove a password.

use testkit::{Certificates, Flavor, MysqlServer, TaskBuilder};

use crate::rig::{Miner, Rig, create_table, insert, mine, refused};

const UNVERIFIED: &str = "to a server that is not verified";

/// A task of a user with a password.
fn task(rig: &Rig, name: &str, source: &MysqlServer, user: &str) -> TaskBuilder {
    rig.task(name, source)
        .set("src.mysql", "binlogfile", "mysql-bin.000001")
        .set("src.mysql", "user", user)
        .set("src.mysql", "password", "secret")
}

fn with(task: &TaskBuilder, settings: &[(&str, &str)]) -> TaskBuilder {
    settings.iter().fold(task.clone(), |task, (key, value)| {
        task.set("src.mysql", key, value)
    })
}

/// Mines, and tells whether a warning came.
#[track_caller]
fn warns(task: &TaskBuilder) -> bool {
    let ended = Miner::start(task, &["--once"]).ended();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(!ended.log.contains("secret"), "{}", ended.log);
    ended.log.contains(UNVERIFIED)
}

#[test]
fn caching_sha2_password_with_and_without_tls() {
    let source = MysqlServer::start_default(Flavor::Mysql97);
    let other = Certificates::make("client");
    let rig = Rig::start();
    create_table(&source);
    source.sql("create user sha2@'%' identified by 'secret'; grant all on *.* to sha2@'%'");
    let task = task(&rig, "sha2", &source, "sha2");
    let own = |name: &str| source.data_directory().join(name).display().to_string();
    let other = |name: &str| other.path(name).display().to_string();
    // The source forgets who has logged in: the next login is a full one.
    let forget = || source.sql("flush privileges");

    // TLS, unverified: full, then fast.
    assert!(warns(&task));
    assert!(warns(&with(&task, &[("ssl_mode", "required")])));

    // TLS, verified. The server made its certificate itself; it names no host.
    let ca = own("ca.pem");
    forget();
    assert!(!warns(&with(
        &task,
        &[("ssl_mode", "verify_ca"), ("ssl_ca", &ca)]
    )));
    for (mode, ca, words) in [
        ("verify_ca", other("ca.pem"), "establish TLS"),
        ("verify_identity", ca.clone(), "establish TLS"),
        ("verify_ca", "absent.pem".to_owned(), "absent.pem of ssl_ca"),
    ] {
        let task = with(&task, &[("ssl_mode", mode), ("ssl_ca", &ca)]);
        refused(&task, 2, &[words, "[src.mysql]"]);
    }

    // No TLS. 127.1 is an address that does not read as one of this host.
    let plain = with(&task, &[("ssl_mode", "disabled")]);
    let remote = with(&plain, &[("host", "127.1")]);
    forget();
    refused(
        &remote,
        2,
        &["encrypted with the server's RSA key", "server_public_key"],
    );
    let key = own("public_key.pem");
    assert!(!warns(&with(&remote, &[("server_public_key", &key)])));
    // Fast: the source knows the user now, and no key is needed.
    assert!(!warns(&remote));
    for key in [other("public.pem"), ca] {
        forget();
        refused(&with(&remote, &[("server_public_key", &key)]), 2, &["sha2"]);
    }
    forget();
    assert!(!warns(&plain));
    forget();
    let socket = source.socket().display().to_string();
    assert!(!warns(&with(&task, &[("host", &socket)])));

    let wrong = with(&task, &[("password", "wrong")]);
    refused(&wrong, 2, &["Access denied"]);
    let bare = rig
        .task("bare", &source)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    assert!(!warns(&bare));
}

#[test]
fn mariadb_verifies_the_host_name_and_knows_native_and_ed25519_passwords() {
    let certificates = Certificates::make("client");
    let file = |name: &str| certificates.path(name).display().to_string();
    let flag = |option: &str, name: &str| format!("--{option}={}", file(name));
    let source = MysqlServer::builder(Flavor::MariaDb1011)
        .arg(flag("ssl-ca", "ca.pem"))
        .arg(flag("ssl-cert", "server.pem"))
        .arg(flag("ssl-key", "server.key"))
        .start();
    let rig = Rig::start();
    create_table(&source);
    source.sql(
        "create user native@'%' identified via mysql_native_password using password('secret'); \
         grant all on *.* to native@'%'",
    );
    let native = task(&rig, "native", &source, "native");
    let identity = with(
        &native,
        &[("ssl_mode", "verify_identity"), ("ssl_ca", &file("ca.pem"))],
    );
    assert!(!warns(&identity));
    refused(
        &with(&identity, &[("host", "localhost")]),
        2,
        &["establish TLS"],
    );
    assert!(warns(&native));
    assert!(!warns(&with(&native, &[("ssl_mode", "disabled")])));
    insert(&source, 1..=1);
    mine(&native);
    assert_eq!(rig.staged_ids("native"), "1");

    source.sql(
        "install soname 'auth_ed25519'; \
         create user ed@'%' identified via ed25519 using password('secret'); \
         grant all on *.* to ed@'%'",
    );
    let ed25519 = task(&rig, "ed25519", &source, "ed");
    assert!(warns(&ed25519));
    assert!(!warns(&with(&ed25519, &[("ssl_mode", "disabled")])));
    refused(
        &with(&ed25519, &[("password", "wrong")]),
        2,
        &["Access denied"],
    );
}

#[test]
fn without_tls_on_the_server_only_preferred_and_disabled_connect() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let rig = Rig::start();
    create_table(&source);
    let task = rig
        .task("plain", &source)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    assert!(!warns(&task));
    refused(
        &with(&task, &[("ssl_mode", "required")]),
        2,
        &["connect to source"],
    );
}

/// The plugin that MySQL 5.7 has by default, and none at all.
#[test]
fn mysql_5_7_knows_native_and_empty_passwords() {
    let source = MysqlServer::start_default(Flavor::Mysql57);
    let rig = Rig::start();
    create_table(&source);
    source.sql(
        "create user native@'%' identified with mysql_native_password by 'secret'; \
         grant all on *.* to native@'%'; \
         create user empty@'%' identified with mysql_native_password by ''; \
         grant all on *.* to empty@'%'",
    );
    let native = task(&rig, "native", &source, "native");
    assert!(!warns(&with(&native, &[("ssl_mode", "disabled")])));
    refused(
        &with(&native, &[("password", "wrong")]),
        2,
        &["Access denied"],
    );
    let empty = with(&native, &[("user", "empty"), ("password", "")]);
    assert!(!warns(&empty));
    refused(
        &with(&empty, &[("password", "secret")]),
        2,
        &["Access denied"],
    );
}
