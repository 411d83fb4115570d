//! Mining that starts from a GTID set.

use testkit::{Flavor, MysqlServer};

use crate::rig::{Miner, Rig, create_table, insert, mine, purge, refused};

#[test]
fn mysql_starts_from_a_set_with_holes_and_tags_and_resumes_by_position() {
    let source = MysqlServer::start_default(Flavor::Mysql97);
    let rig = Rig::start();
    create_table(&source);
    let uuid = source.value("select @@server_uuid");
    let first = 3; // 1 and 2 made the table.
    insert(&source, 1..=4);
    let behind_4 = source.binlog_end();
    insert(&source, 5..=6);
    source.sql("set gtid_next = 'automatic:load'; insert into app.t values (7, 'tag')");
    source.sql("set gtid_next = 'automatic:load'; insert into app.t values (8, 'tag')");
    let set = format!("{uuid}:1-{}:{}:load:1", first + 2, first + 4);
    let task = rig
        .task("holes", &source)
        .set("src.mysql", "gtid_set", &set);
    mine(&task);
    assert_eq!(rig.staged_ids("holes"), "4 6 8");
    let staged = rig.miner("holes", "staged_gtid_set");
    assert_eq!(staged, source.value("select @@gtid_executed"));

    // A stop between the two: what the set has must not come with the position.
    let task = rig
        .task("stopped", &source)
        .set("src.mysql", "gtid_set", &set);
    let until = format!("{}:{}", behind_4.0, behind_4.1);
    let ended = Miner::start(&task, &["--until", &until]).ended();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(rig.staged_ids("stopped"), "4");
    mine(&task);
    assert_eq!(rig.staged_ids("stopped"), "4 6 8");
    assert_eq!(rig.miner("stopped", "staged_gtid_set"), staged);

    // Nothing is new: --once ends all the same.
    let task = rig
        .task("nothing", &source)
        .set("src.mysql", "gtid_set", &staged);
    mine(&task);
    insert(&source, 9..=9);
    mine(&task);
    assert_eq!(rig.staged_ids("nothing"), "9");
}

#[test]
fn mariadb_starts_from_a_position_per_domain() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let rig = Rig::start();
    create_table(&source);
    let domain = |number: u32, id: u32| {
        source.sql(&format!(
            "set gtid_domain_id = {number}; insert into app.t values ({id}, 'row')"
        ));
    };
    domain(0, 1);
    domain(1, 2);
    domain(1, 3);
    domain(0, 4);
    let start = source.value("select @@gtid_binlog_pos");
    domain(0, 5);
    domain(1, 6);
    let behind = |gtid: &str| {
        let [domain, server, sequence] = gtid.split('-').collect::<Vec<_>>()[..] else {
            panic!("{gtid}")
        };
        format!("{domain}-{server}-{}", sequence.parse::<u64>().unwrap() - 1)
    };
    let positions: Vec<&str> = start.split(',').collect();

    let task = rig
        .task("exact", &source)
        .set("src.mysql", "gtid_set", &start);
    mine(&task);
    assert_eq!(rig.staged_ids("exact"), "5 6");
    assert_eq!(
        rig.miner("exact", "staged_gtid_set"),
        source.value("select @@gtid_binlog_pos")
    );

    // Domain 1 is one behind: 3 comes before the 4 that domain 0 has already.
    let set = format!("{},{}", positions[0], behind(positions[1]));
    let task = rig
        .task("uneven", &source)
        .set("src.mysql", "gtid_set", &set);
    mine(&task);
    assert_eq!(rig.staged_ids("uneven"), "3 5 6");
    source.sql("flush binary logs");
    mine(&task);
    domain(0, 7);
    mine(&task);
    assert_eq!(rig.staged_ids("uneven"), "3 5 6 7");
}

#[test]
fn a_bad_set_exits_with_2_and_a_purged_one_with_3() {
    let rig = Rig::start();
    let mysql = MysqlServer::start_default(Flavor::Mysql97);
    let mariadb = MysqlServer::start_default(Flavor::MariaDb1011);
    create_table(&mysql);
    create_table(&mariadb);
    let uuid = mysql.value("select @@server_uuid");
    let other = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1";
    let mysql_task = rig.task("mysql", &mysql);
    let mariadb_task = rig.task("mariadb", &mariadb);
    let with =
        |task: &testkit::TaskBuilder, set: &str| task.clone().set("src.mysql", "gtid_set", set);

    refused(
        &with(&mysql_task, "abc:1"),
        2,
        &["gtid_set wants", "malformed"],
    );
    refused(
        &with(&mysql_task, other),
        2,
        &["gtid_set", other, "does not have"],
    );
    refused(
        &with(&mysql_task, "0-1-5"),
        2,
        &["not of the source's kind"],
    );
    refused(
        &with(&mariadb_task, other),
        2,
        &["not of the source's kind"],
    );
    refused(&with(&mariadb_task, "7-1-5"), 2, &["does not have"]);

    for source in [&mysql, &mariadb] {
        insert(source, 1..=2);
        source.sql("flush binary logs");
        insert(source, 3..=4);
        purge(source);
    }
    let purged = ["purged", "load the tables anew"];
    refused(&with(&mysql_task, &format!("{uuid}:1-3")), 3, &purged);
    let server = mariadb.value("select @@server_id");
    refused(&with(&mariadb_task, &format!("0-{server}-3")), 3, &purged);
    // What is purged is in the set: nothing is missing.
    mine(&with(&mysql_task, &format!("{uuid}:1-4")));
    assert_eq!(rig.staged_ids("mysql"), "3 4");
}
