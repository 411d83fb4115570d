//! Servers that are away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::crash;
use serde_json::json;
use testkit::workload::{SOURCE_SCHEMA, TABLE_LIST, TABLES, TARGET_SCHEMA, Workload};
use testkit::{Durability, Flavor, MysqlServer, PgServer, Proxy, wait_until};

use crate::rig::{
    Rig, SCHEMA, SOON, Task, assert_ends, assert_keeps_running, assert_stops, launch, loader,
    miner, wait_warning, warnings,
};

/// A rig with a proxy before each server, and a task that goes through them.
struct Proxied {
    rig: Rig,
    task: Task,
    source: Proxy,
    staging: Proxy,
    target: Proxy,
}

impl Proxied {
    fn start() -> Self {
        let rig = Rig::start();
        let mut task = rig.small_task("proxied");
        let source = Proxy::to_port(rig.source.port());
        let staging = Proxy::to_port(rig.staging.port());
        let target = Proxy::to_port(rig.target().port());
        task.config = task
            .config
            .set("src.mysql", "port", source.port())
            .set("src.mysql", "connect_timeout", 1)
            .staging(&rig.staging.connect_string_at(&task.staging, staging.port()))
            .target(
                &rig.target().connect_string_at(&task.target, target.port()),
                SCHEMA,
            );
        Self {
            rig,
            task,
            source,
            staging,
            target,
        }
    }

    fn insert(&self, id: u32) {
        let statement = format!("insert into t values ({id}, 'x')");
        self.rig.source_sql(&[&statement]);
    }
}

#[test]
fn servers_that_are_away_at_start_are_waited_for() {
    let proxied = Proxied::start();
    let Proxied { rig, task, .. } = &proxied;
    proxied.insert(1);
    for proxy in [&proxied.source, &proxied.staging, &proxied.target] {
        proxy.cut();
    }
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    let staging = proxied.staging.port().to_string();
    wait_warning(&mut mining, &staging);
    wait_warning(&mut loading, &staging);
    assert_keeps_running(&mut mining);
    assert_keeps_running(&mut loading);
    assert_eq!(
        (warnings(&mining, ""), warnings(&loading, "")),
        (1, 1),
        "each says it once"
    );

    // One after the other they come up.
    proxied.staging.resume();
    let waiting = |column: &str, state: &str| {
        wait_until(SOON, state, || rig.status_of(task, column) == json!(state));
    };
    waiting("loader_state", "waiting_target");
    wait_warning(&mut loading, &proxied.target.port().to_string());
    assert_keeps_running(&mut loading);
    // With empty staging the miner asks the target for its checkpoint first.
    assert_keeps_running(&mut mining);
    proxied.target.resume();
    waiting("miner_state", "waiting_source");
    wait_warning(&mut mining, &proxied.source.port().to_string());
    assert_keeps_running(&mut mining);
    proxied.source.resume();
    rig.wait_applied(task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn once_gives_up_on_servers_that_are_away() {
    let proxied = Proxied::start();
    let files = proxied.task.config.write();
    proxied.insert(1);
    for (proxy, programs) in [
        (&proxied.staging, &[miner, loader][..]),
        (&proxied.source, &[miner]),
        (&proxied.target, &[loader]),
    ] {
        proxy.cut();
        let port = proxy.port().to_string();
        for run in programs {
            assert_ends(&mut run(&files, &["--once"]), 1, &[&port]);
            assert_ends(&mut run(&files, &["check"]), 1, &[]);
        }
        proxy.resume();
    }
}

#[test]
fn servers_that_go_away_in_the_middle_are_waited_for() {
    let proxied = Proxied::start();
    let Proxied { rig, task, .. } = &proxied;
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    proxied.insert(1);
    rig.wait_applied(task, &mut [&mut mining, &mut loading]);

    let cuts: [(&Proxy, Option<(&str, &str)>); 3] = [
        (&proxied.source, Some(("miner_state", "waiting_source"))),
        (&proxied.target, Some(("loader_state", "waiting_target"))),
        (&proxied.staging, None),
    ];
    for (id, (proxy, shown)) in (2..).zip(cuts) {
        let before = (warnings(&mining, ""), warnings(&loading, ""));
        proxy.cut();
        proxied.insert(id);
        if let Some((column, state)) = shown {
            wait_until(SOON, state, || rig.status_of(task, column) == json!(state));
        }
        assert_keeps_running(&mut mining);
        assert_keeps_running(&mut loading);
        let after = (warnings(&mining, ""), warnings(&loading, ""));
        assert!(
            after.0 <= before.0 + 1 && after.1 <= before.1 + 1,
            "each says it once: {before:?}, {after:?}"
        );
        assert!(after > before, "somebody says it");
        proxy.resume();
        rig.wait_applied(task, &mut [&mut mining, &mut loading]);
    }
    // Connections that break while the server stays.
    for (id, proxy) in (10..).zip([&proxied.source, &proxied.target, &proxied.staging]) {
        proxied.insert(id);
        proxy.reset();
        proxied.insert(id + 10);
        rig.wait_applied(task, &mut [&mut mining, &mut loading]);
    }
    rig.assert_equal(task, &["t"]);
    assert_eq!(rig.status_of(task, "miner_state"), json!("running"));
    assert_eq!(rig.status_of(task, "loader_state"), json!("running"));
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_stop_is_obeyed_while_servers_are_away() {
    let proxied = Proxied::start();
    let files = proxied.task.config.write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    proxied.insert(1);
    let programs = &mut [&mut mining, &mut loading];
    proxied.rig.wait_applied(&proxied.task, programs);
    for proxy in [&proxied.source, &proxied.staging, &proxied.target] {
        proxy.cut();
    }
    assert_keeps_running(&mut mining);
    assert_keeps_running(&mut loading);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn refused_credentials_of_staging_and_target_are_usage_errors() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let protected = || PgServer::builder().password("right").start();
    let rig = Rig::with_servers(source, protected(), protected());
    let task = rig.small_task("passwords");
    let wrong = |text: String| text.replace("password=right", "password=hush");
    let config = task
        .config
        .clone()
        .staging(&wrong(rig.staging.connect_string(&task.staging)));
    let files = config.write();
    for run in [miner, loader] {
        let mut program = run(&files, &[]);
        assert_ends(&mut program, 2, &["28P01"]);
        assert!(!program.stderr().contains("hush"));
    }
    let config = task
        .config
        .clone()
        .target(&wrong(rig.target().connect_string(&task.target)), SCHEMA);
    let files = config.write();
    assert_ends(&mut loader(&files, &[]), 2, &["28P01"]);

    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
}

/// All three servers stop in good order and are killed, in the middle of a workload.
#[test]
fn servers_are_stopped_and_killed_in_the_middle_and_nothing_is_lost_or_doubled() {
    let source = MysqlServer::builder(Flavor::MariaDb1011)
        .durability(Durability::Durable)
        .start();
    let durable = || PgServer::builder().durability(Durability::Durable).start();
    let mut rig = Rig::with_servers(source, durable(), durable());
    let task = rig.task("killed");
    rig.source.sql(SOURCE_SCHEMA);
    rig.target_sql(&task, TARGET_SCHEMA);
    let files = task.config.clone().tables(TABLE_LIST).write();
    let mut workload = Workload::random();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);

    let breaks: [fn(&mut Rig); 4] = [
        |rig| {
            rig.staging.kill9();
            rig.staging.restart();
        },
        |rig| {
            rig.target_mut().kill9();
            rig.target_mut().restart();
        },
        |rig| rig.staging.restart(),
        |rig| rig.target_mut().restart(),
    ];
    for break_it in breaks {
        let progress = rig.status_of(&task, "applied_pos");
        let mut connection = rig.source.connect();
        thread::scope(|scope| {
            let done = Arc::clone(&workload.done);
            let before = done.load(Ordering::Relaxed);
            let writer = scope.spawn(|| workload.run(&mut connection, 60));
            wait_until(SOON, "the programs to be at work", || {
                done.load(Ordering::Relaxed) >= before + 10
                    && rig.status_of(&task, "applied_pos") != progress
            });
            break_it(&mut rig);
            writer.join().unwrap();
        });
        rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
        rig.assert_equal(&task, TABLES);
    }
    // The source: its log goes on in another file.
    workload.run(&mut rig.source.connect(), 20);
    rig.source.kill9();
    rig.source.restart();
    workload.run(&mut rig.source.connect(), 20);
    rig.source.restart();
    workload.run(&mut rig.source.connect(), 20);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, TABLES);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_program_that_panics_says_so_in_the_status() {
    let rig = Rig::start();
    let task = rig.small_task("panic");
    let files = task.config.write();
    rig.source_sql(&["insert into t values (1, 'one')"]);
    for (name, point, state) in [
        ("binlog_miner", "miner-before-commit", "miner_state"),
        ("binlog_loader", "loader-before-commit", "loader_state"),
    ] {
        let mut program = launch(name, &files, &[])
            .env(crash::VARIABLE, format!("{point}:1:panic"))
            .start();
        assert_ends(&mut program, 1, &["please report it"]);
        assert_eq!(rig.status_of(&task, state), "failed");
        assert!(
            rig.status_of(&task, "last_error")
                .as_str()
                .is_some_and(|error| error.contains("please report it"))
        );
        // Nothing is lost by it.
        assert_ends(&mut launch(name, &files, &["--once"]).start(), 0, &[]);
    }
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn a_loader_that_waits_for_the_miner_leaves_no_error_in_the_servers_logs() {
    let rig = Rig::with_servers(
        MysqlServer::start_default(Flavor::MariaDb1011),
        PgServer::start_default(),
        PgServer::start_default(),
    );
    let task = rig.small_task("quiet");
    // May write the table, and no more.
    rig.target_sql(
        &task,
        &format!(
            "create role writer login; grant all on schema {SCHEMA} to writer; \
             grant all on all tables in schema {SCHEMA} to writer; grant all on database {} to writer",
            task.target
        ),
    );
    let target = rig.target().connect_string(&task.target);
    let target = target.replace("user=postgres", "user=writer");
    let files = task.config.clone().target(&target, SCHEMA).write();
    let mut loading = loader(&files, &[]);
    loading.wait_log("waiting for the miner", SOON);
    assert_stops(&mut loading);
    assert_ends(
        &mut launch("binlog_loader", &files, &["check"]).start(),
        0,
        &[],
    );
    for server in [&rig.staging, rig.target()] {
        let log = server.log_tail();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_transaction_that_is_cut_off_leaves_no_backlog() {
    let proxied = Proxied::start();
    let Proxied { rig, task, .. } = &proxied;
    rig.source_sql(&["create table wide (id int primary key, v varchar(400))"]);
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    rig.wait_staged(task);
    let before = rig.status_of(task, "backlog_rows");
    // Far more than fits between the source and the miner.
    let doubled: Vec<String> = (0..17)
        .map(|power| format!("insert into wide select id + {}, v from wide", 1 << power))
        .collect();
    let mut statements = vec!["begin", "insert into wide values (1, repeat('x', 400))"];
    statements.extend(doubled.iter().map(String::as_str));
    statements.push("commit");
    rig.source_sql(&statements);
    wait_until(SOON, "a part of the transaction", || {
        rig.status_of(task, "backlog_rows") != before
    });
    proxied.source.cut();
    wait_until(SOON, "waiting_source", || {
        rig.status_of(task, "miner_state") == json!("waiting_source")
    });
    assert_eq!(rig.status_of(task, "backlog_rows"), before);
    assert_stops(&mut mining);
    proxied.source.resume();
    let mut mining = miner(&files, &[]);
    wait_until(SOON, "a part of the transaction", || {
        rig.status_of(task, "backlog_rows") != before
    });
    proxied.source.stall();
    mining.sigterm();
    assert_ends(&mut mining, 0, &[]);
    assert_eq!(rig.status_of(task, "backlog_rows"), before);
}

#[test]
fn commands_give_up_a_server_that_accepts_and_does_not_answer_and_programs_wait_for_it() {
    let mut rig = Rig::with_servers(
        MysqlServer::start_default(Flavor::MariaDb1011),
        PgServer::start_default(),
        PgServer::start_default(),
    );
    let mut task = rig.small_task("frozen");
    let staging = rig.staging.connect_string(&task.staging);
    task.config = task.config.staging(&format!("{staging} connect_timeout=1"));
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.staging.sigstop();
    for args in [&["status"] as &[&str], &["pause", "t"]] {
        assert_ends(
            &mut loader(&files, args),
            1,
            &["staging", "connect_timeout"],
        );
    }
    for start in [loader as crate::rig::Run, miner] {
        let mut checking = start(&files, &["check"]);
        assert_eq!(checking.wait_exit(SOON).code(), Some(1));
        assert!(checking.stdout().contains("FAIL staging"));
    }
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    wait_warning(&mut mining, "connect_timeout");
    wait_warning(&mut loading, "connect_timeout");
    rig.staging.sigcont();
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    rig.assert_equal(&task, &["t"]);
}

#[test]
fn a_command_ends_at_the_first_signal() {
    let mut rig = Rig::start();
    let task = rig.small_task("signalled");
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    rig.staging.sigstop();
    for args in [
        &["status"] as &[&str],
        &["status", "--watch", "1"],
        &["check"],
        &["pause", "t"],
        &["ack", "mysql-bin.000001:4"],
        &["dead-letters", "list"],
    ] {
        let mut command = loader(&files, args);
        assert_keeps_running(&mut command);
        command.sigterm();
        command.wait_exit(Duration::from_secs(5));
    }
    rig.staging.sigcont();
}
