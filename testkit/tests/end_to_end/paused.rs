//! Tables that are held back while the others go on.

use common::crash::{self, Point};
use testkit::workload::{SOURCE_SCHEMA, TABLE_LIST, TABLES, TARGET_SCHEMA, Workload, prepare};
use testkit::{Flavor, MysqlServer, Program, TaskFiles, wait_until};

use crate::rig::{
    DATABASE, Rig, SOON, Task, assert_calm, assert_ends, assert_says, assert_stops, launch, loader,
    miner, warnings,
};

/// Runs a command to its end; what it prints.
#[track_caller]
pub(crate) fn command(files: &TaskFiles, args: &[&str]) -> String {
    let mut program = loader(files, args);
    assert_ends(&mut program, 0, &[]);
    program.stdout()
}

#[track_caller]
pub(crate) fn hold(files: &TaskFiles, args: &[&str], words: &[&str]) {
    let said = command(files, args);
    for word in words {
        assert!(
            said.contains(word),
            "{args:?} does not say {word:?}: {said}"
        );
    }
}

/// A column of a table's row in `mysql2gp.tables`.
fn table_of(rig: &Rig, task: &Task, table: &str, column: &str) -> String {
    rig.staging.value(
        &task.staging,
        &format!("select ({column})::text from mysql2gp.tables where table_name = '{table}'"),
    )
}

/// Tables that have a position of their own on the target, with their states.
pub(crate) fn behind(rig: &Rig, task: &Task) -> String {
    rig.target().value(
        &task.target,
        "select coalesce(string_agg(table_name || ' ' || state, ', ' order by table_name), '') \
           from mysql2gp.checkpoint_tables",
    )
}

/// Waits until no table is behind, and everything is applied.
#[track_caller]
pub(crate) fn wait_caught_up(rig: &Rig, task: &Task, programs: &mut [&mut Program]) {
    wait_until(SOON, "the tables to catch up", || {
        behind(rig, task).is_empty() || programs.iter_mut().any(|p| p.exit_status().is_some())
    });
    rig.wait_applied(task, programs);
    assert_eq!(behind(rig, task), "");
}

/// Drops the staging database, while both programs are down.
fn wipe(rig: &Rig, task: &Task) {
    let drop = format!("drop database {} with (force)", task.staging);
    rig.staging.sql("postgres", &drop);
    rig.staging.create_database(&task.staging);
}

/// The random workload's tables.
pub(crate) struct Site {
    pub(crate) rig: Rig,
    pub(crate) task: Task,
    connection: mysql::Conn,
    workload: Workload,
}

impl Site {
    pub(crate) fn start(name: &str, flavor: Flavor) -> Self {
        let rig = Rig::new(MysqlServer::start_default(flavor));
        let mut task = rig.task(name);
        rig.source.sql(SOURCE_SCHEMA);
        rig.target_sql(&task, TARGET_SCHEMA);
        task.config = task
            .config
            .tables(TABLE_LIST)
            .set("binlogloader", "keep_applied_seconds", 0)
            .set("binlogloader", "batch_bytes", 50_000);
        let mut connection = rig.source.connect();
        prepare(&mut connection).unwrap();
        let mut workload = Workload::random();
        workload.reload(&mut connection).unwrap();
        Self {
            rig,
            task,
            connection,
            workload,
        }
    }

    pub(crate) fn write(&mut self, transactions: usize) {
        self.workload.run(&mut self.connection, transactions);
    }

    /// Drops the staging database, while both programs are down.
    pub(crate) fn lose_staging(&self) {
        wipe(&self.rig, &self.task);
    }

    fn differs(&self, table: &str) -> bool {
        !testkit::Comparison::between(
            self.rig.source.table(DATABASE, table),
            self.rig
                .target()
                .table(&self.task.target, crate::rig::SCHEMA, table),
        )
        .run()
        .is_equal()
    }
}

const OTHERS: &[&str] = &["numbers", "slots", "journal"];

#[test]
fn a_paused_table_waits_while_the_others_go_on_and_catches_up() {
    let mut site = Site::start("paused", Flavor::MariaDb1011);
    let files = site.task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(200);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);

    hold(
        &files,
        &["pause", "accounts"],
        &["app.accounts is paused, the running loader"],
    );
    hold(&files, &["pause", "app.accounts"], &["was paused already"]);
    site.write(300);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    site.rig.assert_equal(&site.task, OTHERS);
    assert!(site.differs("accounts"));
    assert_eq!(
        table_of(&site.rig, &site.task, "accounts", "state"),
        "paused"
    );
    assert_eq!(
        table_of(&site.rig, &site.task, "numbers", "state"),
        "active"
    );
    assert_eq!(
        table_of(&site.rig, &site.task, "accounts", "lag_seconds > 0"),
        "true"
    );
    assert_eq!(
        table_of(&site.rig, &site.task, "numbers", "lag_seconds"),
        "0.000"
    );
    assert!(command(&files, &["status"]).contains("paused"));
    // What it waits for is not dropped with what is applied.
    assert_stops(&mut mining);
    let mut mining = miner(&files, &[]);
    site.write(100);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);

    hold(
        &files,
        &["resume", "accounts"],
        &["app.accounts is resumed, the running loader"],
    );
    site.write(100);
    wait_caught_up(&site.rig, &site.task, &mut [&mut mining, &mut loading]);
    site.rig.assert_equal(&site.task, TABLES);
    hold(&files, &["resume", "accounts"], &["is not paused"]);
    wait_until(SOON, "the state", || {
        table_of(&site.rig, &site.task, "accounts", "state") == "active"
            && table_of(&site.rig, &site.task, "accounts", "lag_seconds") == "0.000"
    });
    assert_calm(&loading, &[]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn pausing_works_while_no_loader_runs_and_says_so() {
    let rig = Rig::start();
    let task = rig.small_task("paused");
    rig.source_sql(&["create table orders (id int primary key, v varchar(20))"]);
    rig.target_sql(
        &task,
        "create table orders (id integer primary key, v varchar(20))",
    );
    let files = task.config.write();
    let mut mining = miner(&files, &[]);
    rig.source_sql(&[
        "insert into t values (1, 'one')",
        "insert into orders values (1, 'one')",
    ]);
    rig.wait_staged(&task);
    let mut early = loader(&files, &["pause", "t"]);
    assert_ends(&mut early, 2, &["nothing was applied yet"]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);

    hold(
        &files,
        &["pause", "t"],
        &["app.t is paused, no loader runs"],
    );
    hold(&files, &["pause", "t"], &["was paused already"]);
    hold(&files, &["resume", "orders"], &["app.orders is not paused"]);
    let mut misspelt = loader(&files, &["pause", "ordres"]);
    assert_ends(
        &mut misspelt,
        2,
        &["no table app.ordres", "did you mean app.orders?"],
    );
    let mut elsewhere = loader(&files, &["pause", "other.t"]);
    assert_ends(&mut elsewhere, 2, &["no table other.t is replicated"]);

    rig.source_sql(&[
        "insert into t values (2, 'two')",
        "insert into orders values (2, 'two')",
    ]);
    rig.wait_staged(&task);
    assert_ends(
        &mut loader(&files, &["--once"]),
        0,
        &["paused: its changes wait"],
    );
    let counts = "select (select count(*) from t), (select count(*) from orders)";
    let count = |table: &str| rig.target_value(&task, &format!("select count(*) from {table}"));
    assert_eq!(
        (count("t"), count("orders")),
        ("1".into(), "2".into()),
        "{counts}"
    );
    hold(
        &files,
        &["resume", "t"],
        &["app.t is resumed, no loader runs"],
    );
    // Changed one's mind.
    hold(&files, &["pause", "t"], &["app.t is paused"]);
    hold(&files, &["resume", "t"], &["app.t is resumed"]);
    assert_ends(
        &mut loader(&files, &["--once"]),
        0,
        &["catching up", "caught up"],
    );
    rig.assert_equal(&task, &["t", "orders"]);
    assert_eq!(behind(&rig, &task), "");
    assert_stops(&mut mining);
}

#[test]
fn a_loader_that_does_not_answer_is_named_and_nothing_is_changed() {
    let rig = Rig::start();
    let task = rig.small_task("paused");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    loading.sigstop();
    let pid = format!("pid {}", loading.pid());
    let mut pausing = loader(&files, &["pause", "t", "--timeout", "1"]);
    assert_ends(&mut pausing, 1, &["has not taken it up within 1 s", &pid]);
    loading.sigcont();
    rig.source_sql(&["insert into t values (2, 'two')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t"]);
    assert_eq!(behind(&rig, &task), "");
    assert_stops(&mut loading);
    assert_stops(&mut mining);
}

/// Has the loader die at a place, and starts it again.
fn die(files: &TaskFiles, loading: &mut Program, point: Point, reach: impl FnOnce()) {
    loading.wait_log("applying task", SOON);
    assert_stops(loading);
    *loading = launch("binlog_loader", files, &[])
        .env(crash::VARIABLE, point.name())
        .start();
    loading.wait_log("applying task", SOON);
    reach();
    let status = loading.wait_exit(SOON);
    assert_eq!(
        status.code(),
        None,
        "{}:\n{}",
        point.name(),
        loading.stderr()
    );
    *loading = loader(files, &[]);
}

#[test]
fn a_loader_that_dies_over_paused_tables_loses_and_doubles_nothing() {
    let mut site = Site::start("paused", Flavor::Mysql97);
    let files = site.task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(100);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    for table in ["journal", "accounts"] {
        for point in [Point::LoaderHolding, Point::LoaderHeld] {
            // Whether the loader has done it or not: the command does.
            die(&files, &mut loading, point, || {
                hold(&files, &["pause", table], &["paused"]);
            });
            assert!(behind(&site.rig, &site.task).contains(&format!("{table} paused")));
            site.write(100);
            site.rig
                .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
            loading.kill9();
            loading = loader(&files, &[]);
            if point == Point::LoaderHolding {
                hold(&files, &["resume", table], &["is resumed"]);
                wait_until(SOON, "the table to catch up", || {
                    !behind(&site.rig, &site.task).contains(table)
                });
                site.rig
                    .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
                site.rig
                    .assert_equal(&site.task, &["numbers", "slots", table]);
            }
        }
    }
    site.rig.assert_equal(&site.task, &["numbers", "slots"]);
    assert_eq!(
        behind(&site.rig, &site.task),
        "accounts paused, journal paused"
    );
    site.write(400);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    for (point, table) in [
        (Point::LoaderCatchingUp, "accounts"),
        (Point::LoaderCaughtUp, "journal"),
    ] {
        die(&files, &mut loading, point, || {
            hold(&files, &["resume", table], &[table]);
        });
        if point == Point::LoaderCatchingUp {
            assert_eq!(
                behind(&site.rig, &site.task),
                "accounts catching_up, journal paused"
            );
        }
        wait_until(SOON, "the table to catch up", || {
            !behind(&site.rig, &site.task).contains(table)
        });
    }
    wait_caught_up(&site.rig, &site.task, &mut [&mut mining, &mut loading]);
    site.rig.assert_equal(&site.task, TABLES);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn the_loss_of_staging_loses_nothing_of_a_paused_table() {
    let mut site = Site::start("paused", Flavor::MariaDb1011);
    let files = site.task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(100);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "accounts"], &["paused"]);
    site.write(100);
    hold(&files, &["pause", "journal"], &["paused"]);
    site.write(200);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    for _ in 0..2 {
        mining.kill9();
        loading.kill9();
        wipe(&site.rig, &site.task);
        (mining, loading) = (miner(&files, &[]), loader(&files, &[]));
        site.write(100);
        site.rig
            .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
        site.rig.assert_equal(&site.task, &["numbers", "slots"]);
        assert_says(&mining, &["mining it again table=app.accounts"]);
        assert_eq!(
            table_of(&site.rig, &site.task, "journal", "state"),
            "paused"
        );
    }
    // Lost while one of them catches up, too.
    hold(&files, &["resume", "accounts"], &["resumed"]);
    mining.kill9();
    loading.kill9();
    wipe(&site.rig, &site.task);
    (mining, loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(100);
    wait_until(SOON, "the table to catch up", || {
        behind(&site.rig, &site.task) == "journal paused"
    });
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    site.rig
        .assert_equal(&site.task, &["numbers", "slots", "accounts"]);
    hold(&files, &["resume", "journal"], &["resumed"]);
    wait_caught_up(&site.rig, &site.task, &mut [&mut mining, &mut loading]);
    site.rig.assert_equal(&site.task, TABLES);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn what_a_paused_table_waits_for_and_the_source_has_purged_needs_an_operator() {
    let rig = Rig::start();
    let task = rig.small_task("paused");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    rig.source_sql(&["insert into t values (2, 'two')", "flush binary logs"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
    wipe(&rig, &task);
    let (file, _) = rig.source.binlog_end();
    rig.source_sql(&[&format!("purge binary logs to '{file}'")]);
    assert_ends(
        &mut miner(&files, &[]),
        3,
        &[
            "mining it again table=app.t",
            "no longer on the source",
            "load the tables anew",
        ],
    );
}

#[test]
fn tables_that_catch_up_for_long_take_turns_with_the_others() {
    let rig = Rig::start();
    let mut task = rig.small_task("turns");
    rig.source_sql(&["create table u (id int primary key, v varchar(20))"]);
    // A slow table: each batch takes a while.
    rig.target_sql(
        &task,
        "create table u (id integer primary key, v varchar(20)); \
         create function slow() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(0.3); return null; end $$; \
         create trigger slow after insert on t execute function slow(); \
         alter table t enable always trigger slow",
    );
    task.config = task.config.set("binlogloader", "batch_bytes", 2000);
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into u values (0, 'zero')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["pause", "t"], &["paused"]);
    for id in 0..1200 {
        rig.source_sql(&[&format!("insert into t values ({id}, 'a row')")]);
    }
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    hold(&files, &["resume", "t"], &["resumed"]);
    let mut turns = 0;
    for id in 1.. {
        let row = format!("insert into u values ({id}, 'at once')");
        rig.source_sql(&[&row]);
        wait_until(SOON, "the row", || {
            rig.target_value(&task, &format!("select count(*) from u where id = {id}")) == "1"
        });
        if behind(&rig, &task).is_empty() {
            break;
        }
        turns += 1;
        let lags = "(select l.ahead_transaction is null or l.ahead_transaction >= l.transaction_seq from mysql2gp.loader l)";
        assert_eq!(
            rig.staging.value(&task.staging, &format!("select {lags}")),
            "t"
        );
        assert_eq!(table_of(&rig, &task, "t", "state"), "active");
    }
    // What the other table had was applied in between.
    assert!(turns > 1, "{turns}");
    wait_caught_up(&rig, &task, &mut [&mut mining, &mut loading]);
    rig.assert_equal(&task, &["t", "u"]);
    assert_eq!(warnings(&loading, ""), 0);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_loader_that_waits_for_the_miner_takes_up_what_is_asked_too() {
    let rig = Rig::start();
    let task = rig.small_task("waiting");
    let files = task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    rig.source_sql(&["insert into t values (1, 'one')"]);
    rig.wait_applied(&task, &mut [&mut mining, &mut loading]);
    assert_stops(&mut loading);
    assert_stops(&mut mining);
    // Staging is an older copy: a little before the checkpoint.
    rig.staging.sql(
        &task.staging,
        "update mysql2gp.miner set staged_pos = 4, staged_file = 'mysql-bin.000001'",
    );
    let mut loading = loader(&files, &[]);
    loading.wait_log("waiting for the miner", SOON);
    hold(&files, &["pause", "t"], &["the running loader"]);
    hold(&files, &["resume", "t"], &["the running loader"]);
    assert_stops(&mut loading);
}
