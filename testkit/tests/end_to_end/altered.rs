//! DDL statements on replicated tables: which ones the loader passes by itself.

use testkit::{Flavor, MysqlServer};

use crate::rig::{Rig, Task, assert_ends, loader, miner};

/// One row of the README's table: what is done at the source, and how the target stands.
struct Case {
    statement: &'static str,
    /// Done on the target before the loader comes to the statement.
    target: &'static str,
    /// Words of the loader's refusal; none where it goes on.
    says: &'static [&'static str],
    /// Run at the source behind the statement, and on the target if it is acknowledged.
    behind: &'static str,
}

const PASSES: &[&str] = &[];

const CASES: [Case; 22] = [
    // A new column without a default.
    case(
        "add column w int",
        "add column w integer",
        PASSES,
        "insert into t (id, n, w) values (9, 9, 9)",
    ),
    case(
        "add column w int null default null after id, add x varchar(5)",
        "add column x varchar(5), add column \"W\" integer",
        PASSES,
        "insert into t (id, w, x) values (9, 9, 'x')",
    ),
    case(
        "add column w int",
        "add column v2 integer",
        &["lacks column w"],
        "",
    ),
    case(
        "add column w int",
        "add column w integer default 7",
        &["column w is not one that is NULL"],
        "",
    ),
    case(
        "add column w int",
        "add column w integer default 7; alter table t alter column w drop default",
        &["column w is not NULL in every row"],
        "",
    ),
    case(
        "add column w int default 7",
        "add column w integer default 7",
        &["add column w"],
        "",
    ),
    case(
        "add column w int not null",
        "add column w integer not null default 0",
        &["add column w"],
        "",
    ),
    case(
        "add column w int as (n * 2)",
        "add column w integer generated always as (n * 2) stored",
        &["add column w"],
        "",
    ),
    // A dropped column.
    case(
        "drop column v",
        "drop column v",
        PASSES,
        "insert into t (id, n) values (9, 9)",
    ),
    case(
        "drop column v",
        "alter column n drop not null",
        &["still has column v"],
        "",
    ),
    case(
        "drop primary key",
        "drop column v",
        &["drop primary key"],
        "",
    ),
    // Wider types.
    case(
        "modify n bigint",
        "alter column n type bigint",
        PASSES,
        "insert into t (id, n) values (9, 1234567890123)",
    ),
    case(
        "modify n bigint",
        "alter column v type text",
        &["column n is integer"],
        "",
    ),
    case(
        "change v v varchar(50) character set utf8mb4",
        "alter column v type varchar(50)",
        PASSES,
        "insert into t (id, v) values (9, repeat('x', 50))",
    ),
    case(
        "modify v varchar(50)",
        "alter column v type varchar(50)",
        &["modify v"],
        "",
    ),
    case(
        "modify n smallint",
        "alter column n type smallint",
        &["modify n"],
        "",
    ),
    // What touches neither columns nor rows.
    case(
        "alter column v set default 'x', comment 'x, add y int', add index by_n (n)",
        "alter column v set default 'y'",
        PASSES,
        "insert into t (id) values (9)",
    ),
    // What moves values or takes others.
    case(
        "change v u varchar(20)",
        "rename column v to u",
        &["change v u"],
        "",
    ),
    case(
        "rename to t2",
        "alter column n type bigint",
        &["rename to t2"],
        "",
    ),
    case(
        "convert to character set latin1",
        "alter column n type bigint",
        &["convert to"],
        "",
    ),
    case(
        "partition by hash (id) partitions 2",
        "add column w integer",
        &["partition by"],
        "",
    ),
    case(
        "engine = MyISAM",
        "alter column n type bigint",
        &["engine = MyISAM"],
        "",
    ),
];

const fn case(
    statement: &'static str,
    target: &'static str,
    says: &'static [&'static str],
    behind: &'static str,
) -> Case {
    Case {
        statement,
        target,
        says,
        behind,
    }
}

fn once(task: &Task) {
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
}

fn statements_pass_where_the_target_shows_that_they_are_done(source: MysqlServer) {
    let rig = Rig::new(source);
    for (case, number) in CASES.iter().zip(0..) {
        rig.source
            .sql("drop database if exists app; flush binary logs");
        let (file, _) = rig.source.binlog_end();
        let task = rig.task(&format!("altered_{number}"));
        let task = Task {
            config: task.config.clone().set("src.mysql", "binlogfile", &file),
            ..task
        };
        rig.source.sql("create database app character set utf8mb4");
        rig.source_sql(&[
            "create table t (id int not null primary key, n int, v varchar(20))",
            "insert into t values (1, 1, 'x'), (2, null, null)",
            "update t set n = 3 where id = 1",
        ]);
        rig.target_sql(
            &task,
            "create table t (id integer primary key, n integer, v varchar(20))",
        );
        once(&task);
        rig.source_sql(&[&format!("alter table t {}", case.statement)]);
        let (file, offset) = rig.source.binlog_end();
        let position = format!("{file}:{offset}");
        rig.target_sql(&task, &format!("alter table t {}", case.target));
        let files = task.config.write();
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        let mut loading = loader(&files, &["--once"]);
        if case.says.is_empty() {
            assert_ends(
                &mut loading,
                0,
                &["the target has what the statement changed"],
            );
            rig.source_sql(&[case.behind]);
            once(&task);
            rig.assert_equal(&task, &["t"]);
            continue;
        }
        assert_ends(&mut loading, 3, &["app.t", &position, "binlog_loader ack"]);
        crate::rig::assert_says(&loading, case.says);
        // A person may say that it is done.
        assert_ends(&mut loader(&files, &["ack", &position]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    }
}

#[test]
fn statements_of_mariadb_10_11_pass_where_the_target_shows_that_they_are_done() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    statements_pass_where_the_target_shows_that_they_are_done(source);
}

#[test]
fn statements_of_mysql_5_7_pass_where_the_target_shows_that_they_are_done() {
    let source = MysqlServer::start_default(Flavor::Mysql57);
    statements_pass_where_the_target_shows_that_they_are_done(source);
}

/// An operator alters the target while the loader is stopped at the statement: no ack is needed.
#[test]
fn the_loader_goes_on_by_itself_once_the_target_fits() {
    let rig = Rig::start();
    let task = rig.small_task("fits_later");
    rig.source_sql(&[
        "insert into t values (1, 'before')",
        "alter table t add column w int",
        "insert into t values (2, 'after', 8)",
    ]);
    let files = task.config.write();
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    for _ in 0..2 {
        let mut loading = loader(&files, &["--once"]);
        assert_ends(&mut loading, 3, &["add column w", "lacks column w"]);
    }
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "1");
    rig.target_sql(&task, "alter table t add column w integer");
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.assert_equal(&task, &["t"]);
}
