//! Mistakes in operation: copies, commands, starting over, scripts.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use testkit::{Launch, Program, TaskFiles, binary};

use crate::rig::{Group, Made, SOON, Servers, TABLE, Task, launch, succeed};

/// All of them.
pub(crate) fn make(servers: &Servers) -> Vec<Made> {
    let mut group = Group::new(Some(servers));
    of_copies(&mut group, servers);
    of_commands(&mut group, servers);
    of_starting_over(&mut group, servers);
    of_scripts(&mut group);
    group.made
}

/// Starts a program and waits until it holds the task.
fn running(files: &TaskFiles, command: &str, word: &str) -> Program {
    let mut program = launch(files, command).start();
    program.wait_log(word, SOON);
    program
}

fn of_copies(group: &mut Group<'_>, servers: &Servers) {
    let task = servers.task("o1", TABLE);
    let files = task.config.write();
    let _miner = running(&files, "binlog_miner", "connected to source");
    group.make_with(
        "a second miner",
        &files,
        "binlog_miner",
        1,
        "exits after waiting",
    );
    let _loader = running(&files, "binlog_loader", "applying task");
    group.make_with(
        "a second loader",
        &files,
        "binlog_loader",
        1,
        "stop it first",
    );
    group.make_with(
        "`reset` while a loader runs",
        &files,
        "binlog_loader reset --yes",
        1,
        "held by another loader",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    group.hide(port, "9187");
    let task = servers.task("o4", TABLE);
    group.make(
        "a metrics port that another program has",
        &task
            .config
            .set("metrics", "listen", format!("127.0.0.1:{port}")),
        "binlog_loader",
        1,
        "metrics",
    );
}

fn of_commands(group: &mut Group<'_>, servers: &Servers) {
    let task = servers.task("o2", TABLE);
    let files = task.config.write();
    group.make_with(
        "`status` before the first start",
        &files,
        "binlog_loader status",
        1,
        "start binlog_miner first",
    );
    servers.source_sql(&task, "insert into orders values (1, 'first')");
    succeed(&files, "binlog_miner --once");
    group.make_with(
        "`ack` before anything is applied",
        &files,
        "binlog_loader ack mysql-bin.000001:4",
        2,
        "no checkpoint",
    );
    succeed(&files, "binlog_loader --once");
    servers.wait_released(&task);
    group.make_with(
        "`ack`, and no statement waits",
        &files,
        "binlog_loader ack mysql-bin.000001:4",
        2,
        "no statement waits",
    );
    group.make_with(
        "`dead-letters retry` of a number that is none",
        &files,
        "binlog_loader dead-letters retry 4711",
        2,
        "no dead letter",
    );
    group.make_with(
        "`reset` without `--yes`, by a script",
        &files,
        "binlog_loader reset",
        2,
        "nothing was changed",
    );
}

/// A task of which everything is applied.
fn applied(servers: &Servers, name: &str) -> (Task, TaskFiles) {
    let task = servers.task(name, TABLE);
    servers.source_sql(&task, "insert into orders values (1, 'first')");
    let files = task.config.write();
    succeed(&files, "binlog_miner --once");
    succeed(&files, "binlog_loader --once");
    (task, files)
}

fn of_starting_over(group: &mut Group<'_>, servers: &Servers) {
    let (task, files) = applied(servers, "o3");
    let other = task
        .config
        .clone()
        .set("src.mysql", "binlogfile", "mysql-bin.000002");
    group.make(
        "another start than the task began with",
        &other,
        "binlog_loader",
        3,
        "differs from",
    );
    group.make(
        "another name in `[task]`",
        &task.config.clone().set("task", "name", "other"),
        "binlog_miner",
        2,
        "serves task",
    );
    servers.target_sql(&task, "truncate orders");
    group.make_with(
        "target tables emptied without `reset`",
        &files,
        "binlog_loader",
        3,
        "are empty",
    );
    servers.target_sql(
        &task,
        "drop schema mysql2gp cascade; insert into orders values (1, 'first')",
    );
    servers.pg.sql(
        &task.staging,
        "insert into mysql2gp.schema_version values (99)",
    );
    group.make_with(
        "staging of a later version of the programs",
        &files,
        "binlog_miner",
        3,
        "upgrade this program",
    );
}

fn of_scripts(group: &mut Group<'_>) {
    let files = TaskFiles::builder().set("task", "name", "shop").write();
    let folder = binary("binlog_miner")
        .parent()
        .unwrap()
        .display()
        .to_string();
    let script = |name: &str| {
        Launch::new(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../scripts")
                .join(name)
                .canonicalize()
                .unwrap(),
        )
    };
    let site = files.directory();
    let absent = site.join("absent");
    group.note(
        "a task's directory that is not there",
        &absent,
        "start.sh /srv/mysql2gp/shop",
        script("start.sh").arg(&absent),
        1,
        absent.to_str().unwrap(),
    );
    group.note(
        "no programs in the folder of `--bin`",
        site,
        "start.sh --bin /opt/absent",
        script("start.sh").arg("--bin").arg("/opt/absent").arg(site),
        2,
        "no binlog_miner",
    );
    group.note(
        "a staging database that was not made",
        site,
        "staging_db.sh start /srv/mysql2gp/shop",
        script("staging_db.sh").arg("start").arg(site),
        1,
        "staging_db",
    );
    group.note(
        "a configuration that stops the program",
        site,
        "start.sh /srv/mysql2gp/shop",
        script("start.sh")
            .arg("--bin")
            .arg(&folder)
            .arg("--only")
            .arg("loader")
            .arg(site),
        1,
        "exit code 2",
    );
    let log = site.join("miner.log");
    fs::create_dir(&log).unwrap();
    group.note(
        "a log that cannot be written",
        site,
        "start.sh /srv/mysql2gp/shop",
        script("start.sh")
            .arg("--bin")
            .arg(&folder)
            .arg("--only")
            .arg("miner")
            .arg(site),
        1,
        "miner.log",
    );
}
