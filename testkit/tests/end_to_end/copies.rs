//! Two copies of a program.

use serde_json::json;

use testkit::{Flavor, MysqlServer, PgServer, wait_until};

use crate::rig::{Rig, Run, SOON, assert_ends, assert_stops, loader, miner};

#[test]
fn a_second_copy_says_who_holds_the_task_and_exits() {
    let rig = Rig::start();
    let task = rig.small_task("copies");
    let files = task.config.clone().set("task", "lock_timeout", 1).write();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (1, 'x')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);

    let runs: [(Run, u32); 2] = [(miner, mining.pid()), (loader, loading.pid())];
    for (run, pid) in runs {
        for args in [&[][..], &["--once"]] {
            let mut second = run(&files, args);
            let pid = pid.to_string();
            assert_ends(&mut second, 1, &["copies_staging", "another", &pid]);
        }
    }
    // What the status shows is the holders' state.
    for column in ["miner_state", "loader_state"] {
        assert_eq!(rig.status_of(&task, column), json!("running"));
    }
    assert_eq!(rig.status_of(&task, "last_error"), json!(null));
    // The first ones did not notice.
    rig.source_sql(&["insert into t values (2, 'y')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);

    // A copy of a dead one gets the task at once.
    mining.kill9();
    loading.kill9();
    let mut mining = miner(&files, &[]);
    let mut loading = loader(&files, &[]);
    rig.source_sql(&["insert into t values (3, 'z')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

/// Connections of a server on which its keepalive timer runs, each with the seconds until the
/// timer expires. Source: Linux, `Documentation/networking/proc_net_tcp.rst`.
fn keepalive_timers(port: u16) -> Vec<u64> {
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, address, _, "01", _, timer, ..] = fields.as_slice() else {
                return None;
            };
            let (kind, expires) = timer.split_once(':')?;
            (*address == local && kind == "02")
                .then(|| u64::from_str_radix(expires, 16).unwrap() / 100)
        })
        .collect()
}

/// The lock of a copy whose host has died ends with its connection.
#[test]
fn servers_give_up_the_connection_of_a_dead_host_in_time() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let rig = Rig::with_servers(source, PgServer::start_default(), PgServer::start_default());
    let task = rig.small_task("dead_host");
    let files = task
        .config
        .clone()
        .set("task", "keepalive_timeout", 12)
        .write();
    let mut mining = miner(&files, &[]);
    rig.source_sql(&["insert into t values (1, 'x')"]);
    wait_until(SOON, "the miner to be at work", || {
        rig.status_of(&task, "miner_state") == json!("running")
    });
    let is_short = |port: u16| {
        let timers = keepalive_timers(port);
        !timers.is_empty() && timers.iter().all(|seconds| *seconds <= 6)
    };
    wait_until(SOON, "the miner's keepalive", || {
        is_short(rig.staging.port())
    });
    let mut loading = loader(&files, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    wait_until(SOON, "the loader's keepalive", || {
        is_short(rig.target().port())
    });
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn two_tasks_share_a_source_and_a_target_server() {
    let rig = Rig::start();
    let first = rig.small_task("first");
    let second = rig.small_task("second");
    let files = [first.config.write(), second.config.write()];
    let mut programs: Vec<_> = files
        .iter()
        .flat_map(|files| [miner(files, &[]), loader(files, &[])])
        .collect();
    rig.source_sql(&["insert into t values (1, 'x')", "update t set v = 'y'"]);
    let mut programs: Vec<_> = programs.iter_mut().collect();
    for task in [&first, &second] {
        rig.wait_applied(task, &mut programs);
        rig.assert_equal(task, &["t"]);
    }
    for program in programs {
        assert_stops(program);
    }
}
