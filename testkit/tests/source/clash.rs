//! Two replicas with one server id.

use testkit::{Flavor, MysqlServer, wait_until};

use crate::rig::{Miner, Rig, SOON, create_table, insert, said};

/// One of the two gives up and says why; the other goes on.
fn one_gives_up(flavor: Flavor) {
    let source = MysqlServer::start_default(flavor);
    let rig = Rig::start();
    create_table(&source);
    insert(&source, 1..=2);
    let start = |name| {
        let task = rig
            .task(name, &source)
            .set("src.mysql", "serverid", 4711)
            .set("src.mysql", "binlogfile", "mysql-bin.000001");
        let miner = Miner::start(&task, &[]);
        rig.wait_ids(name, "1 2");
        miner
    };
    let (mut one, mut other) = (start("one"), start("other"));
    wait_until(SOON, "one of them to give up", || {
        one.program.exit_status().is_some() || other.program.exit_status().is_some()
    });
    let (gone, left, name) = if one.program.exit_status().is_some() {
        (one, other, "other")
    } else {
        (other, one, "one")
    };
    said(
        &gone.ended(),
        3,
        &["another replica of the source uses serverid 4711"],
    );
    insert(&source, 3..=3);
    rig.wait_ids(name, "1 2 3");
    left.stop();
}

#[test]
fn on_mysql_one_of_two_with_the_same_server_id_gives_up() {
    one_gives_up(Flavor::Mysql97);
}

#[test]
fn on_mariadb_one_of_two_with_the_same_server_id_gives_up() {
    one_gives_up(Flavor::MariaDb1011);
}
