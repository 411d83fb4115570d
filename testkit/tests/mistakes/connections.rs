//! Wrong addresses, passwords and certificates.

use testkit::{Certificates, PgServer, TaskBuilder};

use crate::rig::{Group, Made, SECRET, Servers, TABLE};

/// All of them.
pub(crate) fn make(servers: &Servers) -> Vec<Made> {
    let mut group = Group::new(Some(servers));
    let task = servers.task("c", TABLE);
    let config = &task.config;
    of_the_source(&mut group, config);
    of_pg(&mut group, servers, &task.staging, &task.target, config);
    of_tls(&mut group, config);
    group.made
}

fn of_the_source(group: &mut Group<'_>, config: &TaskBuilder) {
    group.make(
        "wrong password of the source",
        &config.clone().set("src.mysql", "password", "wrong"),
        "binlog_miner",
        2,
        "Access denied",
    );
    group.make(
        "nothing listens at the source's port",
        &config.clone().set("src.mysql", "port", 1),
        "binlog_miner --once",
        1,
        "gave up",
    );
    group.make(
        "TLS asked for, and the source has none",
        &config.clone().set("src.mysql", "ssl_mode", "required"),
        "binlog_miner",
        2,
        "connect to source",
    );
    group.make(
        "an `ssl_ca` that is not there",
        &config
            .clone()
            .set("src.mysql", "ssl_mode", "verify_identity")
            .set("src.mysql", "ssl_ca", "ca.pem"),
        "binlog_miner",
        2,
        "ssl_ca",
    );
}

fn of_pg(
    group: &mut Group<'_>,
    servers: &Servers,
    staging: &str,
    target: &str,
    config: &TaskBuilder,
) {
    let (staging, target) = (
        servers.pg.connect_string(staging),
        servers.pg.connect_string(target),
    );
    let staging_at = |from: &str, to: &str| config.clone().staging(&staging.replace(from, to));
    let target_at =
        |from: &str, to: &str| config.clone().target(&target.replace(from, to), "public");
    let port = format!("port={}", servers.pg.port());
    let password = format!("password='{SECRET}'");
    assert!(staging.contains(&password), "the passwords are quoted");
    group.make(
        "wrong password of staging",
        &staging_at(&password, "password=wrong"),
        "binlog_miner",
        2,
        "staging",
    );
    group.make(
        "wrong password of the target",
        &target_at(&password, "password=wrong"),
        "binlog_loader",
        2,
        "target",
    );
    group.make(
        "no password of the target",
        &target_at(&password, ""),
        "binlog_loader check",
        2,
        "FAIL target",
    );
    group.make(
        "no staging database of that name",
        &staging_at("_staging", "_stagin"),
        "binlog_miner",
        2,
        "does not exist",
    );
    group.make(
        "no target database of that name",
        &target_at("_target", "_targe"),
        "binlog_loader check",
        2,
        "does not exist",
    );
    group.make(
        "staging is down",
        &staging_at(&port, "port=1"),
        "binlog_miner --once",
        1,
        "gave up",
    );
    group.make(
        "the target is down",
        &target_at(&port, "port=1"),
        "binlog_loader --once",
        1,
        "connect to",
    );
    group.make(
        "a server is down, asked by `check`",
        &target_at(&port, "port=1"),
        "binlog_loader check",
        1,
        "start the server",
    );
    group.make(
        "a socket directory that is not there",
        &config
            .clone()
            .staging("host=/run/nowhere dbname=shop_staging user=mysql2gp"),
        "binlog_miner --once",
        1,
        "gave up",
    );
}

fn of_tls(group: &mut Group<'_>, config: &TaskBuilder) {
    let (own, other) = (Certificates::make("mysql2gp"), Certificates::make("other"));
    let server = PgServer::builder()
        .tls(&own, "trust clientcert=verify-ca")
        .start();
    group.hide(server.port(), "5432");
    let target = |host: &str, words: &str| {
        let text = server.connect_string("postgres").replace("127.0.0.1", host);
        config.clone().target(&format!("{text} {words}"), "public")
    };
    let root = |certificates: &Certificates| {
        format!("sslrootcert={}", certificates.path("ca.pem").display())
    };
    let mut make = |mistake, config: &TaskBuilder, word| {
        group.make(mistake, config, "binlog_loader check", 2, word);
    };
    make(
        "verify-full without `sslrootcert`",
        &target("127.0.0.1", "sslmode=verify-full"),
        "sslrootcert",
    );
    make(
        "verify-full with another authority's certificate",
        &target(
            "127.0.0.1",
            &format!("sslmode=verify-full {}", root(&other)),
        ),
        "UnknownIssuer",
    );
    make(
        "verify-full, and the certificate is for another name",
        &target("localhost", &format!("sslmode=verify-full {}", root(&own))),
        "not valid for",
    );
    make(
        "a server that asks for a client certificate gets none",
        &target("127.0.0.1", &format!("sslmode=verify-full {}", root(&own))),
        "certificate",
    );
    make(
        "a server that takes TLS only is asked without",
        &target("127.0.0.1", "sslmode=disable"),
        "no encryption",
    );
}
