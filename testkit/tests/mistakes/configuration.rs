//! Mistakes in `my.cfg` and on the command line. No server is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use testkit::{TaskBuilder, TaskFiles};

use crate::rig::{Group, Made, SECRET};

fn nowhere() -> TaskBuilder {
    TaskFiles::builder()
        .set("src.mysql", "host", "127.0.0.1")
        .set("src.mysql", "port", 1)
        .set("src.mysql", "user", "mysql2gp")
        .set("src.mysql", "password", SECRET)
        .set("src.mysql", "db", "shop")
        .set("src.mysql", "binlogfile", "mysql-bin.000001")
        .staging(&format!(
            "host=127.0.0.1 port=1 dbname=shop_staging user=mysql2gp password={SECRET}"
        ))
        .target(
            &format!("host=127.0.0.1 port=1 dbname=warehouse user=mysql2gp password={SECRET}"),
            "public",
        )
}

/// All of them.
pub(crate) fn make() -> Vec<Made> {
    let mut group = Group::new(None);
    of_files(&mut group);
    of_secrets(&mut group);
    of_keys(&mut group);
    of_connect_strings(&mut group);
    of_rules(&mut group);
    group.made
}

fn of_files(group: &mut Group<'_>) {
    let files = nowhere().write();
    fs::remove_file(files.config()).unwrap();
    group.make_with(
        "no `my.cfg`",
        &files,
        "binlog_miner",
        2,
        "read configuration",
    );
    group.make(
        "a value without quotes",
        &nowhere().raw(&format!("[task]\nname = {SECRET}")),
        "binlog_miner",
        2,
        "not valid TOML",
    );
    let list = |name: &str| nowhere().set("binlogloader", "loader_table_list", name);
    group.make(
        "a table list that is not there",
        &list("absent.txt"),
        "binlog_loader check",
        2,
        "loader_table_list",
    );
    group.make(
        "an empty table list",
        &nowhere().tables(&["# later"]),
        "binlog_loader",
        2,
        "names no table",
    );
    group.make(
        "a list and `[[source]]`",
        &nowhere()
            .tables(&["orders"])
            .raw("[[source]]\nschema = \"shop\"\ntables = [\"orders\"]"),
        "binlog_loader",
        2,
        "exclude each other",
    );
    group.make(
        "a password file that is not there",
        &nowhere().set("desc.pgsql", "password_file", "target.password"),
        "binlog_loader",
        2,
        "password_file",
    );
    let files = nowhere().write();
    let passwords = files.directory().join("pgpass");
    fs::write(&passwords, format!("*:*:*:*:{SECRET}\n")).unwrap();
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o644)).unwrap();
    let launch = crate::rig::launch(&files, "binlog_miner").env(
        "MYSQL2GP__LOCAL__PGSQL__CONNECT_STRING",
        format!(
            "host=127.0.0.1 user=mysql2gp passfile={}",
            passwords.display()
        ),
    );
    group.note(
        "a `passfile` that others can read",
        files.directory(),
        "binlog_miner",
        launch,
        2,
        "readable by others",
    );
    let files = nowhere().set("src.mysql", "connect_timeout", 1).write();
    fs::set_permissions(files.config(), fs::Permissions::from_mode(0o644)).unwrap();
    group.make_with(
        "`my.cfg` with passwords that others can read (a warning)",
        &files,
        "binlog_miner check",
        1,
        "chmod 0600",
    );
}

fn of_secrets(group: &mut Group<'_>) {
    let files = nowhere()
        .set("src.mysql", "connect_timeout", 1)
        .set("src.mysql", "password_file", "source.password")
        .write();
    let passwords = files.directory().join("source.password");
    fs::write(&passwords, SECRET).unwrap();
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o640)).unwrap();
    group.make_with(
        "a password file that others can read (a warning)",
        &files,
        "binlog_miner check",
        1,
        "chmod 0600",
    );
}

fn of_keys(group: &mut Group<'_>) {
    let with = |section: &str, key: &str, value: &str| nowhere().set(section, key, value);
    let cases: [(&'static str, TaskBuilder, &str); 13] = [
        (
            "a key that does not exist",
            with("binlogloader", "load_bach", "1"),
            "load_bach",
        ),
        (
            "a port that is no number",
            with("src.mysql", "port", "mysql"),
            "src.mysql.port",
        ),
        (
            "a file name that is no binlog's",
            with("src.mysql", "binlogfile", "mysql-bin"),
            "binlogfile",
        ),
        (
            "a GTID set and a file",
            with("src.mysql", "gtid_set", "0-1-270"),
            "exclude each other",
        ),
        (
            "a serverid of 0",
            with("src.mysql", "serverid", "0"),
            "serverid",
        ),
        (
            "a time zone by name",
            with("src.mysql", "time_zone", "Asia/Shanghai"),
            "time_zone",
        ),
        (
            "a consistent_from without a position",
            with("src.mysql", "consistent_from", "mysql-bin.000002"),
            "consistent_from",
        ),
        (
            "ssl_mode verify_ca without ssl_ca",
            with("src.mysql", "ssl_mode", "verify_ca"),
            "ssl_ca",
        ),
        (
            "ssl_cert without ssl_key",
            with("src.mysql", "ssl_cert", "client.pem"),
            "ssl_key",
        ),
        (
            "a zero_date that is none",
            with("binlogloader", "zero_date", "1-1-1"),
            "zero_date",
        ),
        (
            "a soft limit above the hard one",
            with("binlogminer", "staging_soft_limit", "200000000000"),
            "staging_soft_limit",
        ),
        (
            "a metrics address without a port",
            with("metrics", "listen", "127.0.0.1"),
            "metrics.listen",
        ),
        (
            "a statsd port that is none",
            with("statsd", "host", "127.0.0.1").set("statsd", "port", "81250"),
            "statsd.port",
        ),
    ];
    for (mistake, config, word) in cases {
        group.make(mistake, &config, "binlog_miner", 2, word);
    }
    let files = nowhere().write();
    let launch =
        crate::rig::launch(&files, "binlog_miner").env("MYSQL2GP__SRC__MYSQL__PASWORD", SECRET);
    group.note(
        "a variable of the environment that does not exist",
        files.directory(),
        "binlog_miner",
        launch,
        2,
        "PASWORD",
    );
    group.make(
        "`--until` without a position",
        &nowhere(),
        "binlog_miner --until mysql-bin.000002",
        2,
        "error:",
    );
}

fn of_connect_strings(group: &mut Group<'_>) {
    let target = |text: &str| nowhere().target(&format!("{text} password={SECRET}"), "public");
    let cases: [(&'static str, TaskBuilder, &str); 4] = [
        (
            "a connect string with a keyword that does not exist",
            target("host=127.0.0.1 database=warehouse user=mysql2gp"),
            "unknown keyword",
        ),
        (
            "a connect string with a blank in a value",
            target("host=127.0.0.1 application_name=my loader user=mysql2gp"),
            "syntax error",
        ),
        (
            "an sslmode that does not exist",
            target("host=127.0.0.1 dbname=warehouse user=mysql2gp sslmode=verify_full"),
            "sslmode",
        ),
        (
            "no connect string",
            nowhere().without("desc.pgsql", "connect_string"),
            "desc.pgsql",
        ),
    ];
    for (mistake, config, word) in cases {
        group.make(mistake, &config, "binlog_loader", 2, word);
    }
}

fn of_rules(group: &mut Group<'_>) {
    let rule = "[[rule]]\nschema = \"shop\"\ntable = \"orders\"\npg_table = \"all_orders\"\n";
    group.make(
        "the same rule twice",
        &nowhere().raw(rule).raw(rule),
        "binlog_loader",
        2,
        "no table is left",
    );
    group.make(
        "a rule that renames and drops a column",
        &nowhere()
            .raw(rule)
            .raw("columns.drop = [\"v\"]\ncolumns.rename = { v = \"w\" }"),
        "binlog_loader",
        2,
        "renamed and dropped",
    );
}
