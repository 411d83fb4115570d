//! The log that was mined is not there any more.

use testkit::{Flavor, MysqlServer};

use crate::rig::{Miner, Rig, create_table, insert, mine, purge, refused, said};

fn reset(source: &MysqlServer) {
    // A file's creation time has seconds.
    source.sql("do sleep(1.1)");
    source.sql(match source.flavor() {
        Flavor::Mysql97 => "reset binary logs and gtids",
        Flavor::MariaDb1011 | Flavor::MariaDb118 | Flavor::Mysql57 => "reset master",
    });
}

/// The log begins anew and grows past where the miner was.
fn notices_a_reset(flavor: Flavor) {
    let source = MysqlServer::start_default(flavor);
    let rig = Rig::start();
    create_table(&source);
    insert(&source, 1..=3);
    let stopped = rig
        .task("stopped", &source)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    mine(&stopped);
    let running = Miner::start(
        &rig.task("running", &source)
            .set("src.mysql", "binlogfile", "mysql-bin.000001"),
        &[],
    );
    rig.wait_ids("running", "1 2 3");
    let end = source.binlog_end();

    reset(&source);
    refused(&stopped, 3, &["load the tables anew"]);
    let mut id = 10;
    while source.binlog_end() <= end {
        insert(&source, id..=id);
        id += 1;
    }
    insert(&source, id..=id);
    refused(
        &stopped,
        3,
        &["the source's log was reset", "load the tables anew"],
    );
    assert_eq!(rig.staged_ids("stopped"), "1 2 3");
    // One that was connected is not left behind in the old file.
    said(&running.ended(), 3, &["load the tables anew"]);
    assert_eq!(rig.staged_ids("running"), "1 2 3");
}

#[test]
fn mysql_reset_is_noticed_where_the_old_offset_exists_again() {
    notices_a_reset(Flavor::Mysql97);
}

#[test]
fn mariadb_reset_is_noticed_where_the_old_offset_exists_again() {
    notices_a_reset(Flavor::MariaDb1011);
}

#[test]
fn a_file_purged_while_the_miner_is_behind_stops_it() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let rig = Rig::start();
    create_table(&source);
    insert(&source, 1..=1);
    let task = rig
        .task("behind", &source)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    mine(&task);
    source.sql("flush binary logs");
    insert(&source, 2..=2);
    purge(&source);
    refused(
        &task,
        3,
        &[
            "mysql-bin.000001",
            "is no longer on the source",
            "load the tables anew",
        ],
    );
}
