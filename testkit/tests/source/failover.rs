//! Another server in the source's place.

use testkit::{Flavor, MysqlServer};

use crate::rig::{Rig, create_table, insert, mine, refused};

/// Its positions mean something else, even where file and offset exist there.
fn another_server_is_refused(flavor: Flavor) {
    let (one, other) = (
        MysqlServer::start_default(flavor),
        MysqlServer::start_default(flavor),
    );
    let rig = Rig::start();
    for server in [&one, &other] {
        create_table(server);
        insert(server, 1..=2);
    }
    insert(&other, 3..=9);
    let task = rig
        .task("files", &one)
        .set("src.mysql", "binlogfile", "mysql-bin.000001");
    mine(&task);
    assert_eq!(rig.staged_ids("files"), "1 2");
    refused(
        &task.clone().set("src.mysql", "port", other.port()),
        3,
        &["another server is not supported", "point [src.mysql] at"],
    );
    insert(&one, 3..=3);
    mine(&task);
    assert_eq!(rig.staged_ids("files"), "1 2 3");
}

#[test]
fn another_mysql_server_is_refused() {
    another_server_is_refused(Flavor::Mysql97);
}

#[test]
fn another_mariadb_server_is_refused() {
    another_server_is_refused(Flavor::MariaDb1011);
}
