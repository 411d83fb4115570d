//! Table lists that change while the programs run, or between two runs.

use std::fs;

use testkit::workload::TABLES;
use testkit::{Flavor, MysqlServer, Program, TaskFiles, wait_until};

use crate::paused::{Site, behind, command, hold};
use crate::rig::{DATABASE, Rig, SOON, assert_calm, assert_ends, assert_stops, loader, miner};

/// Writes another table list, and has both programs read it.
fn relist(files: &TaskFiles, tables: &[&str], programs: &mut [&mut Program]) {
    fs::write(files.table_list(), tables.join("\n")).unwrap();
    for program in programs {
        program.sighup();
    }
}

#[test]
fn tables_are_newly_listed_and_no_longer_listed_on_sighup_under_load() {
    let mut site = Site::start("relisted", Flavor::MariaDb1011);
    let rig_tables = "create table late (id int primary key, v varchar(20)); create table app_log (v varchar(20))";
    site.rig
        .source
        .sql(&format!("use {DATABASE}; {rig_tables}"));
    site.rig.target_sql(&site.task, "create table late (id integer primary key, v varchar(20)); create table app_log (v varchar(20))");
    site.rig.source_sql(&[
        "insert into late values (1, 'before')",
        "insert into app_log values ('before')",
    ]);
    let files = site.task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(100);
    site.rig
        .source_sql(&["insert into late values (2, 'before')"]);
    let with = ["accounts", "numbers", "slots", "journal", "late", "app_log"];
    relist(&files, &with, &mut [&mut mining, &mut loading]);
    site.write(50);
    for program in [&mut mining, &mut loading] {
        program.wait_log("table list read again: it has changed", SOON);
    }
    for table in ["app.late", "app.app_log"] {
        mining.wait_log(
            &format!("newly listed: what comes behind the position is staged table={table}"),
            SOON,
        );
    }
    site.rig.source_sql(&[
        "insert into late values (3, 'behind'), (4, 'behind')",
        "update late set v = 'behind, too' where id = 2",
        "insert into app_log values ('behind'), ('behind')",
    ]);
    site.write(50);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    site.rig.assert_equal(&site.task, TABLES);
    let late = "select string_agg(id || ' ' || v, ', ' order by id) from late";
    let (target, lines) = (
        "2 behind, too, 3 behind, 4 behind",
        "select string_agg(v, ' ') from app_log",
    );
    assert_eq!(site.rig.target_value(&site.task, late), target);
    assert_eq!(site.rig.target_value(&site.task, lines), "behind behind");

    // The loader first: what is staged meanwhile is left out.
    let without = ["accounts", "numbers", "slots", "journal"];
    relist(&files, &without, &mut [&mut loading]);
    loading.wait_log("what is staged of it is left out table=app.late", SOON);
    site.rig.source_sql(&[
        "insert into late values (5, 'left out')",
        "insert into app_log values ('left out')",
    ]);
    site.write(50);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    mining.sighup();
    mining.wait_log(
        "no longer listed: what comes behind the position is not staged table=app.late",
        SOON,
    );
    site.rig
        .source_sql(&["insert into late values (6, 'left out')"]);
    site.write(50);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    assert_eq!(site.rig.target_value(&site.task, late), target);
    assert_eq!(site.rig.target_value(&site.task, lines), "behind behind");
    site.rig.assert_equal(&site.task, TABLES);
    assert_eq!(
        site.rig
            .staging
            .value(&site.task.staging, "select count(*) from mysql2gp.tables"),
        "4"
    );

    // The miner alone: the loader finds the list changed when the first row comes.
    let again = ["accounts", "numbers", "slots", "journal", "late"];
    relist(&files, &again, &mut [&mut mining]);
    mining.wait_log("newly listed: what comes behind the position is staged table=app.late position=mysql-bin.000001", SOON);
    wait_until(SOON, "the table to be listed", || {
        site.rig
            .staging
            .value(&site.task.staging, "select count(*) from mysql2gp.tables")
            == "5"
    });
    site.rig
        .source_sql(&["insert into late values (7, 'again')"]);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    assert_eq!(
        site.rig.target_value(&site.task, late),
        format!("{target}, 7 again")
    );
    assert_calm(&loading, &["what is staged of it is left out"]);
    assert_calm(&mining, &["no longer listed"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_newly_listed_table_begins_at_the_staged_position_of_a_restart_however_far_the_loader_is() {
    let rig = Rig::start();
    let task = rig.small_task("relisted");
    rig.source_sql(&[
        "create table log (v varchar(20))",
        "insert into log values ('loaded')",
    ]);
    rig.target_sql(
        &task,
        "create table log (v varchar(20)); insert into log values ('loaded'), ('loaded late')",
    );
    let old = task.config.clone().tables(&["t", "log"]).write();
    let files = task.config.clone().tables(&["t"]).write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut loading);
    assert_stops(&mut mining);
    // Staged before it is left out and listed anew: not to be applied then.
    let mut mining = miner(&old, &[]);
    rig.source_sql(&[
        "insert into t values (2, 'two')",
        "insert into log values ('loaded late')",
    ]);
    rig.wait_staged(&task);
    assert_stops(&mut mining);
    assert_ends(&mut miner(&files, &["--once"]), 0, &["no longer listed"]);
    let mut mining = miner(&old, &[]);
    mining.wait_log(
        "newly listed: what comes behind the position is staged table=app.log",
        SOON,
    );
    rig.source_sql(&[
        "insert into log values ('behind')",
        "insert into t values (3, 'three')",
    ]);
    rig.wait_staged(&task);
    let mut loading = loader(&old, &[]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "log"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_list_that_cannot_be_taken_up_leaves_the_old_one_in_force() {
    let rig = Rig::start();
    let mut task = rig.small_task("relisted");
    task.config = task.config.tables(&["t"]);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    relist(&files, &["t", "no_such_table"], &mut [&mut mining]);
    mining.wait_log("the old one stays in force", SOON);
    rig.source_sql(&["insert into t values (2, 'two')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    fs::remove_file(files.table_list()).unwrap();
    for program in [&mut mining, &mut loading] {
        program.sighup();
        program.wait_log("failed to read the table list again", SOON);
    }
    // A transaction that was prepared before may have rows of the new table.
    let mut other = rig.source.connect();
    for statement in [
        "use app",
        "create table late (id int primary key)",
        "xa start 'x'",
        "insert into late values (1)",
        "xa end 'x'",
        "xa prepare 'x'",
    ] {
        mysql::prelude::Queryable::query_drop(&mut other, statement).unwrap();
    }
    rig.wait_staged(&task);
    relist(&files, &["t", "late"], &mut [&mut mining]);
    mining.wait_log(
        "tables app.late are new in the list, and XA transactions",
        SOON,
    );
    mysql::prelude::Queryable::query_drop(&mut other, "xa rollback 'x'").unwrap();
    rig.source_sql(&["insert into t values (3, 'three')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_paused_table_that_is_taken_out_of_the_list_is_forgotten() {
    let rig = Rig::start();
    let mut task = rig.small_task("relisted");
    rig.source_sql(&["create table u (id int primary key)"]);
    rig.target_sql(&task, "create table u (id integer primary key)");
    task.config = task.config.tables(&["t", "u"]);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&[
        "insert into t values (2, 'two')",
        "insert into u values (1)",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    relist(&files, &["u"], &mut [&mut mining, &mut loading]);
    loading.wait_log(
        "no longer listed: what waits for the table is given up table=app.t",
        SOON,
    );
    wait_until(SOON, "the table to be forgotten", || {
        behind(&rig, &task).is_empty()
    });
    rig.source_sql(&["insert into u values (2)"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["u"]);
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "1");
    // `reset` forgets positions of tables, too.
    hold(&files, &["pause", "u"], &["paused"]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    command(&files, &["reset", "--yes"]);
    assert_eq!(behind(&rig, &task), "");
}

#[test]
fn a_table_that_changed_while_it_was_not_listed_is_read_as_it_is_now() {
    // The log does not tell names of columns.
    let source = MysqlServer::builder(Flavor::MariaDb1011)
        .arg("--binlog-row-metadata=NO_LOG")
        .start();
    let rig = Rig::new(source);
    let mut task = rig.small_task("relisted");
    let columns = "(id integer primary key, a varchar(20), b varchar(20))";
    rig.source_sql(&[&format!("create table late {columns}")]);
    rig.target_sql(&task, &format!("create table late {columns}"));
    task.config = task.config.tables(&["t", "late"]);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into late values (1, 'a', 'b')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    relist(&files, &["t"], &mut [&mut mining, &mut loading]);
    mining.wait_log("no longer listed", SOON);
    rig.source_sql(&[
        "alter table late rename column a to c",
        "alter table late rename column b to a",
        "alter table late rename column c to b",
        "insert into t values (1, 'one')",
    ]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    relist(&files, &["t", "late"], &mut [&mut mining, &mut loading]);
    mining.wait_log("newly listed", SOON);
    rig.source_sql(&["insert into late (id, a, b) values (2, 'new a', 'new b')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    let row = "select a || ', ' || b from late where id = 2";
    assert_eq!(rig.target_value(&task, row), "new a, new b");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}
