//! Another server takes the source's place.

use testkit::{Flavor, MysqlServer, wait_until};

use crate::rig::{Miner, Rig, SOON, create_table, insert, mine, purge, refused};

/// Replicates from `primary` by GTID.
fn replicate(replica: &MysqlServer, primary: &MysqlServer) {
    let (host, port) = (primary.host(), primary.port());
    replica.sql(&if primary.flavor().is_mariadb() {
        format!(
            "change master to master_host = '{host}', master_port = {port}, master_user = 'root', \
             master_use_gtid = slave_pos; start slave"
        )
    } else {
        format!(
            "change replication source to source_host = '{host}', source_port = {port}, source_user = 'root', \
             source_auto_position = 1, source_ssl = 1; start replica"
        )
    });
}

fn wait_row(server: &MysqlServer, id: u32) {
    let query = format!(
        "select count(*) from information_schema.tables where table_schema = 'app' and table_name = 't'; \
         select count(*) from app.t where id = {id}"
    );
    wait_until(SOON, "the replica", || {
        server.value("select count(*) from information_schema.tables where table_schema = 'app'")
            != "0"
            && server.query(&query).last().unwrap() == &vec![Some("1".to_owned())]
    });
}

fn promote(replica: &MysqlServer) {
    replica.sql(if replica.flavor().is_mariadb() {
        "stop slave"
    } else {
        "stop replica"
    });
}

/// The replica's files have other names, numbers and offsets than the primary's.
fn fails_over(flavor: Flavor) {
    let primary = MysqlServer::start_default(flavor);
    let replica = MysqlServer::builder(flavor)
        .arg("--log-bin=other-bin")
        .arg("--log-slave-updates=ON")
        .start();
    let rig = Rig::start();
    create_table(&primary);
    insert(&primary, 1..=3);
    // The start is in the middle of a file: what was before must count as known.
    let (file, offset) = primary.binlog_end();
    insert(&primary, 4..=5);
    let task = rig
        .task("failover", &primary)
        .set("src.mysql", "binlogfile", file)
        .set("src.mysql", "binlogfile_offset", offset);
    replicate(&replica, &primary);
    let before = rig_log_id(&rig, &task, "4 5");
    let executed = |server: &MysqlServer| {
        server.value(if flavor.is_mariadb() {
            "select @@gtid_binlog_pos"
        } else {
            "select replace(@@gtid_executed, '\n', '')"
        })
    };
    assert_eq!(rig.miner("failover", "staged_gtid_set"), executed(&primary));

    // The primary goes on past what is staged, then the replica takes over.
    insert(&primary, 6..=7);
    wait_row(&replica, 7);
    promote(&replica);
    insert(&replica, 8..=8);
    let moved = task.clone().set("src.mysql", "port", replica.port());
    mine(&moved);
    assert_eq!(rig.staged_ids("failover"), "4 5 6 7 8");
    assert_ne!(rig.miner("failover", "log_id"), before);
    let staged = (
        rig.miner("failover", "staged_file"),
        rig.miner("failover", "staged_pos").parse().unwrap(),
    );
    assert_eq!(staged, replica.binlog_end());
    assert_eq!(rig.miner("failover", "staged_gtid_set"), executed(&replica));

    // From there by file and position.
    insert(&replica, 9..=9);
    mine(&moved);
    assert_eq!(rig.staged_ids("failover"), "4 5 6 7 8 9");

    // Back to the old primary, which lacks 8 and 9.
    refused(
        &task,
        3,
        &[
            "lacks some of the GTIDs mined so far",
            "point [src.mysql] at",
        ],
    );

    // A task that is behind what the replica still has.
    let old = rig
        .task("purged", &primary)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    mine(&old);
    insert(&replica, 10..=10);
    replica.sql("flush binary logs");
    purge(&replica);
    refused(
        &old.set("src.mysql", "port", replica.port()),
        3,
        &["purged", "load the tables anew"],
    );
}

/// Stages the first rows with a miner that runs, and tells which log that was.
fn rig_log_id(rig: &Rig, task: &testkit::TaskBuilder, ids: &str) -> String {
    let miner = Miner::start(task, &[]);
    rig.wait_ids("failover", ids);
    miner.stop();
    rig.miner("failover", "log_id")
}

#[test]
fn mysql_goes_on_at_a_replica_by_gtid() {
    fails_over(Flavor::Mysql97);
}

#[test]
fn mariadb_goes_on_at_a_replica_by_gtid() {
    fails_over(Flavor::MariaDb1011);
}

#[test]
fn without_gtids_another_server_is_refused() {
    let without = |flavor| {
        MysqlServer::builder(flavor)
            .arg("--enforce-gtid-consistency=OFF")
            .arg("--gtid-mode=OFF")
            .start()
    };
    let (one, other) = (without(Flavor::Mysql57), without(Flavor::Mysql57));
    let rig = Rig::start();
    for server in [&one, &other] {
        create_table(server);
        insert(server, 1..=2);
    }
    let task = rig
        .task("files", &one)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    mine(&task);
    assert_eq!(rig.staged_ids("files"), "1 2");
    refused(
        &task.set("src.mysql", "port", other.port()),
        3,
        &[
            "no GTIDs by which another server could go on",
            "point [src.mysql] at",
        ],
    );
}
