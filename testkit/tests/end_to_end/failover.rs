//! Another server of the replication group takes the source's place, while both programs run.

use common::crash::{self, Point};
use testkit::{Flavor, MysqlServer, Program, Proxy, wait_until};

use crate::paused::{hold, wait_caught_up};
use crate::rig::{
    DATABASE, Rig, SOON, Task, assert_calm, assert_ends, assert_says, assert_stops, launch, loader,
    miner,
};

/// Replicates from `primary` by GTID, from where this server stands.
fn replicate(replica: &MysqlServer, primary: &MysqlServer) {
    let (host, port) = (primary.host(), primary.port());
    replica.sql(&if primary.flavor().is_mariadb() {
        format!(
            "set global gtid_slave_pos = @@gtid_current_pos; \
             change master to master_host = '{host}', master_port = {port}, master_user = 'root', \
             master_use_gtid = slave_pos; start slave"
        )
    } else {
        format!(
            "change replication source to source_host = '{host}', source_port = {port}, source_user = 'root', \
             source_auto_position = 1, source_ssl = 1; start replica"
        )
    });
}

/// Two servers, of which `rig.source` is the one that is written to; the programs reach it
/// through the proxy, as through an address that moves.
struct Pair {
    rig: Rig,
    replica: MysqlServer,
    address: Proxy,
}

impl Pair {
    fn start(flavor: Flavor) -> Self {
        let server = |name: &str| {
            MysqlServer::builder(flavor)
                .arg(format!("--log-bin={name}"))
                .arg("--log-slave-updates=ON")
                .start()
        };
        let rig = Rig::new(server("one-bin"));
        let replica = server("two-bin");
        replicate(&replica, &rig.source);
        let address = Proxy::to_port(rig.source.port());
        Self {
            rig,
            replica,
            address,
        }
    }

    fn task(&self) -> Task {
        let mut task = self.rig.task("failover");
        self.rig.source.sql(&format!(
            "create database {DATABASE}; \
             create table {DATABASE}.t (id int primary key, v varchar(20)); \
             create table {DATABASE}.keyless (v varchar(20)); \
             create database elsewhere; create table elsewhere.t (id int)"
        ));
        self.rig.target_sql(
            &task,
            "create table t (id integer primary key, v varchar(20)); create table keyless (v varchar(20))",
        );
        task.config = task
            .config
            .set("src.mysql", "binlogfile", "one-bin.000001")
            .set("src.mysql", "port", self.address.port());
        task
    }

    /// Changes that are merged, rows that would come twice, and what is filtered out.
    fn write(&self, word: &str) {
        self.rig.source_sql(&[
            &format!("insert into t select coalesce(max(id), 0) + 1, '{word}' from t x"),
            &format!("insert into keyless values ('{word}'), ('same')"),
            "insert into elsewhere.t values (1)",
            &format!("update t set v = '{word}!' where id = 1"),
            "insert into elsewhere.t values (2)",
        ]);
    }

    /// The replica becomes the source, as soon as it has everything; the old one follows it.
    fn fail_over(&mut self) {
        let count = "select count(*) from elsewhere.t";
        let written = self.rig.source.value(count);
        wait_until(SOON, "the replica", || self.replica.value(count) == written);
        self.replica.sql(if self.replica.flavor().is_mariadb() {
            "stop slave; reset slave all"
        } else {
            "stop replica; reset replica all"
        });
        std::mem::swap(&mut self.rig.source, &mut self.replica);
        self.address.redirect(self.rig.source.port());
    }

    fn assert_applied(&self, task: &Task, programs: &mut [&mut Program]) {
        self.rig.wait_applied(task, programs);
        self.rig.assert_equal(task, &["t", "keyless"]);
        // The checkpoint could go on at another server from exactly here.
        let executed = if self.rig.source.flavor().is_mariadb() {
            "select @@gtid_binlog_pos"
        } else {
            "select replace(@@gtid_executed, '\n', '')"
        };
        let applied = "select applied_gtid_set from mysql2gp.checkpoint";
        wait_until(SOON, "the checkpoint's GTIDs", || {
            self.rig.target().value(&task.target, applied) == self.rig.source.value(executed)
        });
    }
}

fn both_programs_follow_there_and_back(flavor: Flavor) {
    let mut pair = Pair::start(flavor);
    let task = pair.task();
    let files = task.config.write();
    pair.write("one");
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);

    // There, while the programs run.
    pair.write("two");
    pair.fail_over();
    pair.write("three");
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    replicate(&pair.replica, &pair.rig.source);

    // Back, with a loader that was killed before and lags behind both switches.
    loading.kill9();
    pair.write("four");
    pair.rig.wait_staged(&task);
    pair.fail_over();
    pair.write("five");
    pair.rig.wait_staged(&task);
    mining.kill9();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    replicate(&pair.replica, &pair.rig.source);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    assert_says(&loading, &["go over to another server's log"]);
    assert_calm(&loading, &[]);

    // With staging lost in between the checkpoint's GTIDs tell where to go on.
    pair.write("six");
    pair.fail_over();
    let drop = format!("drop database {} with (force)", task.staging);
    pair.rig.staging.sql("postgres", &drop);
    pair.rig.staging.create_database(&task.staging);
    pair.write("seven");
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    assert_says(&mining, &["go on at another server by GTID"]);
    mining.kill9();
    loading.kill9();

    // A server that lacks what was mined is refused.
    pair.write("eight");
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    pair.address.redirect(pair.replica.port());
    let lacks = &[
        "lacks some of the GTIDs mined so far",
        "point [src.mysql] at",
    ];
    assert_ends(&mut miner(&files, &[]), 3, lacks);
    pair.address.redirect(pair.rig.source.port());
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn both_programs_follow_a_mysql_failover_there_and_back() {
    both_programs_follow_there_and_back(Flavor::Mysql97);
}

#[test]
fn both_programs_follow_a_mariadb_failover_there_and_back() {
    both_programs_follow_there_and_back(Flavor::MariaDb1011);
}

/// Each program dies somewhere between what it had from one server and what it has from the
/// other, and goes on.
fn programs_that_die_on_the_way_go_on_there(flavor: Flavor) {
    let mut pair = Pair::start(flavor);
    let task = pair.task();
    let files = task.config.write();
    pair.write("first");
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    let points = [
        Point::MinerTimeline,
        Point::MinerAfterCopy,
        Point::MinerBeforeCommit,
        Point::MinerAfterCommit,
        Point::LoaderBegun,
        Point::LoaderBeforeCommit,
        Point::LoaderAfterCommit,
        Point::LoaderInProgress,
    ];
    for point in points {
        pair.write("left behind");
        mining.kill9();
        loading.kill9();
        pair.fail_over();
        pair.write("found there");
        let [mut one, mut other] = ["binlog_miner", "binlog_loader"].map(|name| {
            launch(name, &files, &[])
                .env(crash::VARIABLE, point.name())
                .start()
        });
        wait_until(SOON, point.name(), || {
            one.exit_status().is_some() || other.exit_status().is_some()
        });
        one.kill9();
        other.kill9();
        (mining, loading) = (miner(&files, &[]), loader(&files, &[]));
        pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
        replicate(&pair.replica, &pair.rig.source);
    }
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn programs_that_die_on_the_way_to_another_mysql_go_on_there() {
    programs_that_die_on_the_way_go_on_there(Flavor::Mysql97);
}

#[test]
fn programs_that_die_on_the_way_to_another_mariadb_go_on_there() {
    programs_that_die_on_the_way_go_on_there(Flavor::MariaDb1011);
}

/// A table is paused on one server, and its position there is what it goes on from on another.
fn a_paused_table_follows(flavor: Flavor) {
    let mut pair = Pair::start(flavor);
    let task = pair.task();
    let files = task.config.write();
    pair.write("one");
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
    let pairs = [("keyless", "t"), ("t", "keyless")];
    for (round, (paused, other)) in pairs.into_iter().enumerate() {
        hold(&files, &["pause", paused], &["paused"]);
        pair.write("waits");
        pair.rig
            .wait_applied(&task, &mut [&mut mining, &mut loading]);
        pair.fail_over();
        pair.write("waits there");
        pair.rig
            .wait_applied(&task, &mut [&mut mining, &mut loading]);
        pair.rig.assert_equal(&task, &[other]);
        if round == 1 {
            // What it waits for is mined again, by GTID and from the other server.
            mining.kill9();
            loading.kill9();
            let drop = format!("drop database {} with (force)", task.staging);
            pair.rig.staging.sql("postgres", &drop);
            pair.rig.staging.create_database(&task.staging);
            (mining, loading) = (miner(&files, &[]), loader(&files, &[]));
            pair.write("after the loss");
            pair.rig
                .wait_applied(&task, &mut [&mut mining, &mut loading]);
            pair.rig.assert_equal(&task, &[other]);
        }
        hold(&files, &["resume", paused], &["resumed"]);
        pair.write("goes on");
        wait_caught_up(&pair.rig, &task, &mut [&mut mining, &mut loading]);
        pair.assert_applied(&task, &mut [&mut mining, &mut loading]);
        replicate(&pair.replica, &pair.rig.source);
    }
    // Staging and server are lost at a time: no position of the new server tells where each is.
    hold(&files, &["pause", "t"], &["paused"]);
    pair.write("waits");
    pair.rig
        .wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    pair.fail_over();
    let drop = format!("drop database {} with (force)", task.staging);
    pair.rig.staging.sql("postgres", &drop);
    pair.rig.staging.create_database(&task.staging);
    let elsewhere = &["tables app.t are behind", "take the tables out of the list"];
    assert_ends(&mut miner(&files, &[]), 3, elsewhere);
    let without = task.config.clone().tables(&["keyless"]).write();
    (mining, loading) = (miner(&without, &[]), loader(&without, &[]));
    pair.write("without");
    pair.rig
        .wait_applied(&task, &mut [&mut mining, &mut loading]);
    pair.rig.assert_equal(&task, &["keyless"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_paused_table_follows_a_mysql_failover() {
    a_paused_table_follows(Flavor::Mysql97);
}

#[test]
fn a_paused_table_follows_a_mariadb_failover() {
    a_paused_table_follows(Flavor::MariaDb1011);
}
