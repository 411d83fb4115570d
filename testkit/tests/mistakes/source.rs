//! Mistakes at the source: settings, privileges, positions, tables.

use testkit::{Flavor, MysqlServer, TaskBuilder, wait_until};

use crate::rig::{Group, Made, SECRET, SOON, Servers, TABLE, Task, succeed};

/// All of them.
pub(crate) fn make(servers: &Servers) -> Vec<Made> {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    source.sql(&format!(
        "create user miner@'%' identified by '{SECRET}'; grant all on *.* to miner@'%'"
    ));
    let mut group = Group::new(Some(servers));
    group.hide(source.port(), "3306");
    let task = servers.task_at(&source, "s", TABLE);
    of_settings(&mut group, &source, &task.config);
    of_privileges(&mut group, &source, &task);
    of_offsets(&mut group, servers, &source);
    of_gtids(&mut group, &task.config);
    of_tables(&mut group, &source, &task);
    of_purging(&mut group, servers, &source);
    of_filters(&mut group, servers, source);
    group.made
}

fn of_settings(group: &mut Group<'_>, source: &MysqlServer, config: &TaskBuilder) {
    for (mistake, variable, wrong, right) in [
        (
            "`binlog_format` is not ROW",
            "binlog_format",
            "STATEMENT",
            "ROW",
        ),
        (
            "`binlog_row_image` is not FULL",
            "binlog_row_image",
            "MINIMAL",
            "FULL",
        ),
    ] {
        source.sql(&format!("set global {variable} = '{wrong}'"));
        group.make(mistake, config, "binlog_miner", 3, variable);
        source.sql(&format!("set global {variable} = '{right}'"));
    }
    group.make(
        "the source's own server id",
        &config.clone().set("src.mysql", "serverid", source.port()),
        "binlog_miner check",
        3,
        "serverid",
    );
}

fn of_privileges(group: &mut Group<'_>, source: &MysqlServer, task: &Task) {
    let user = |name: &str, grants: &str| {
        source.sql(&format!(
            "create user {name}@'%' identified by '{SECRET}'; {grants}"
        ));
        task.config.clone().set("src.mysql", "user", name)
    };
    let select = format!("grant select on {}.* to", task.database);
    let all = format!("{select} dump@'%'; grant binlog monitor on *.* to dump@'%'");
    let dump = user("dump", &all);
    group.make(
        "the user lacks REPLICATION SLAVE",
        &dump,
        "binlog_miner check",
        2,
        "grant replication slave",
    );
    let list = user(
        "list",
        &format!("{select} list@'%'; grant replication slave on *.* to list@'%'"),
    );
    group.make(
        "the user lacks REPLICATION CLIENT (BINLOG MONITOR)",
        &list,
        "binlog_miner check",
        2,
        "may not list",
    );
    let blind = user(
        "blind",
        "grant replication slave, binlog monitor on *.* to blind@'%'",
    );
    group.make(
        "the user lacks SELECT on the tables",
        &blind.tables(&["orders"]),
        "binlog_miner",
        2,
        "grant select",
    );
}

fn of_offsets(group: &mut Group<'_>, servers: &Servers, source: &MysqlServer) {
    let config = servers.task_at(source, "f", TABLE).config;
    let at = |file: &str, offset: u64| {
        config.clone().set("src.mysql", "binlogfile", file).set(
            "src.mysql",
            "binlogfile_offset",
            offset,
        )
    };
    group.make(
        "a binlog file that the source does not have",
        &at("mysql-bin.000077", 4),
        "binlog_miner",
        2,
        "is not on the source",
    );
    group.make(
        "an offset behind the end of the file",
        &at("mysql-bin.000001", 4_000_000_000),
        "binlog_miner",
        2,
        "is not on the source",
    );
    let (_, end) = source.binlog_end();
    group.make(
        "an offset within an event",
        &at("mysql-bin.000001", end - 3),
        "binlog_miner",
        3,
        "mysql-bin.000001",
    );
}

fn of_gtids(group: &mut Group<'_>, config: &TaskBuilder) {
    let set = |set: &str| {
        config
            .clone()
            .without("src.mysql", "binlogfile")
            .without("src.mysql", "binlogfile_offset")
            .set("src.mysql", "gtid_set", set)
    };
    group.make(
        "a GTID set that is none",
        &set("270"),
        "binlog_miner",
        2,
        "gtid_set",
    );
    group.make(
        "a GTID set of MySQL for MariaDB",
        &set("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77"),
        "binlog_miner",
        2,
        "gtid_set",
    );
    group.make(
        "GTIDs that the source does not have",
        &set("0-1-999999"),
        "binlog_miner",
        2,
        "gtid_set",
    );
}

fn of_tables(group: &mut Group<'_>, source: &MysqlServer, task: &Task) {
    let config = &task.config;
    group.make(
        "no database of that name",
        &config.clone().set("src.mysql", "db", "shpo"),
        "binlog_miner check",
        2,
        "shpo",
    );
    group.make(
        "a listed table that does not exist",
        &config.clone().tables(&["ordesr"]),
        "binlog_miner",
        2,
        "ordesr",
    );
    group.make(
        "a list that selects nothing (a warning)",
        &config.clone().tables(&["no_*"]),
        "binlog_miner --once",
        0,
        "selects no table",
    );
    source.sql(&format!(
        "use {}; create table items (id integer primary key, order_id integer references orders (id) on delete cascade)",
        task.database
    ));
    group.make(
        "cascades that the source does not log",
        config,
        "binlog_miner",
        3,
        "foreign keys",
    );
    source.sql(&format!(
        "use {}; drop table items; create sequence numbers",
        task.database
    ));
    group.make("a sequence", config, "binlog_miner", 3, "sequence");
    source.sql(&format!(
        "use {}; drop sequence numbers; create table old (id integer primary key, v varchar(9) character set swe7)",
        task.database
    ));
    group.make(
        "a column of a charset that is not carried",
        config,
        "binlog_miner check",
        3,
        "swe7",
    );
    source.sql(&format!("use {}; drop table old", task.database));
}

fn of_filters(group: &mut Group<'_>, servers: &Servers, mut source: MysqlServer) {
    source.restart_with(&["--binlog-ignore-db=zqi"]);
    let task = servers.task_at(&source, "i", TABLE);
    group.make(
        "`binlog_ignore_db` leaves the database out",
        &task.config,
        "binlog_miner",
        3,
        "does not log changes",
    );
}

fn of_purging(group: &mut Group<'_>, servers: &Servers, source: &MysqlServer) {
    let task = servers.task_at(source, "n", TABLE);
    source.sql(&format!(
        "insert into {}.orders values (1, concat('a', char(0)))",
        task.database
    ));
    group.make(
        "0x00 in a text",
        &task.config,
        "binlog_miner",
        3,
        "nul_byte",
    );
    let task = servers.task_at(source, "p", TABLE);
    source.sql(&format!(
        "insert into {}.orders values (1, 'first')",
        task.database
    ));
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    source.sql("flush binary logs");
    let file = source.binlog_end().0;
    // MariaDB keeps a file, without a word, while a recovery would need it.
    wait_until(SOON, "the purge", || {
        source.sql(&format!("purge binary logs to '{file}'"));
        source.query("show binary logs").len() == 1
    });
    for command in ["binlog_miner", "binlog_miner check"] {
        group.make_with(
            "the source has purged what comes next",
            &files,
            command,
            3,
            "no longer on the source",
        );
    }
}
