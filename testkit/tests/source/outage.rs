//! The source is away, and stops at any time.

use std::time::{Duration, Instant};

use testkit::{Flavor, MysqlServer, Proxy};

use crate::rig::{Miner, Rig, SOON, create_table, insert};

/// A stop takes a second; the rest is for a busy machine.
const STOP: Duration = Duration::from_millis(1500);

#[track_caller]
fn stops_at_once(miner: Miner) {
    let started = Instant::now();
    miner.stop();
    let took = started.elapsed();
    assert!(took < STOP, "stopping took {took:?}");
}

#[test]
fn a_miner_goes_on_after_a_stall_and_a_cut_and_stops_within_a_second_at_any_time() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let proxy = Proxy::to_port(source.port());
    let rig = Rig::start();
    create_table(&source);
    insert(&source, 1..=1);
    let task = rig
        .task("away", &source)
        .set("src.mysql", "port", proxy.port())
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    let mut miner = Miner::start(&task, &[]);
    rig.wait_ids("away", "1");

    proxy.stall();
    insert(&source, 2..=2);
    miner.program.wait_log("wait and try again", SOON);
    assert_eq!(rig.miner("away", "state"), "waiting_source");
    proxy.resume();
    rig.wait_ids("away", "1 2");

    proxy.cut();
    insert(&source, 3..=3);
    proxy.resume();
    rig.wait_ids("away", "1 2 3");
    stops_at_once(miner);

    // While it waits to try again.
    proxy.cut();
    let mut miner = Miner::start(&task, &[]);
    miner.program.wait_log("wait and try again", SOON);
    stops_at_once(miner);

    // While the source takes the connection and says nothing.
    proxy.resume();
    proxy.stall();
    let mut miner = Miner::start(&task, &[]);
    miner.program.wait_log("start version", SOON);
    stops_at_once(miner);
    proxy.resume();

    // While another miner holds the task.
    let holder = Miner::start(&task, &[]);
    rig.wait_ids("away", "1 2 3");
    let mut waiting = Miner::start(&task, &[]);
    waiting.program.wait_log("which another miner holds", SOON);
    stops_at_once(waiting);
    stops_at_once(holder);
}
