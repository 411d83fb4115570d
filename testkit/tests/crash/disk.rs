//! Full disks are waited for, and nothing is lost.

use serde_json::json;
use testkit::{Flavor, MysqlServer, PgBuilder, PgServer, Program, TaskFiles, wait_until};

use crate::rig::{
    Rig, SOON, Task, assert_keeps_running, assert_stops, loader, miner, wait_warning, warnings,
};

/// Holds an empty database, its WAL and some data.
const DISK_BYTES: u64 = 300 << 20;

/// Less than what is written while the disk is full.
const LITTLE_BYTES: u64 = 2 << 20;

/// The size of a row.
const ROW_BYTES: u32 = 100_000;

fn small() -> PgBuilder {
    // WAL files that exist are used again, so that tables are what finds the disk full.
    PgServer::builder()
        .disk_bytes(DISK_BYTES)
        .setting("min_wal_size=64MB")
        .setting("max_wal_size=64MB")
        .setting("checkpoint_timeout=30s")
}

/// A task of one table, `t (id, v)`, with long values.
struct Setting {
    rig: Rig,
    task: Task,
    files: TaskFiles,
    rows: u32,
}

impl Setting {
    fn new(staging: PgServer, target: PgServer) -> Self {
        let source = MysqlServer::start_default(Flavor::MariaDb1011);
        let rig = Rig::with_servers(source, staging, target);
        let mut task = rig.task("disk");
        rig.source
            .sql("create database app character set utf8mb4; create table app.t (id int primary key, v longtext)");
        // As it comes: what compresses takes no space.
        rig.target_sql(
            &task,
            "create table t (id integer primary key, v text); alter table t alter column v set storage external",
        );
        task.config = task.config.set("binlogloader", "keep_applied_seconds", 0);
        let files = task.config.write();
        Self {
            rig,
            task,
            files,
            rows: 0,
        }
    }

    fn insert(&mut self, rows: u32) {
        let mut connection = self.rig.source.connect();
        for _ in 0..rows {
            self.rows += 1;
            testkit::workload::execute(
                &mut connection,
                &format!(
                    "insert into app.t values ({}, repeat('{0} ', {ROW_BYTES} div length('{0} ')))",
                    self.rows
                ),
            )
            .unwrap();
        }
    }

    /// Fills the disk while rows come, until `program` has warned of it and its state, in
    /// `column`, says that it waits. Once would not do: servers free space by themselves, at a
    /// checkpoint or with a dropped segment.
    #[track_caller]
    fn fill(&mut self, server: impl Fn(&Rig) -> &PgServer, program: &mut Program, column: &str) {
        wait_until(SOON, "a full disk that is waited for", || {
            server(&self.rig).disk().leave(LITTLE_BYTES);
            self.insert(10);
            assert!(program.exit_status().is_none(), "ended");
            warnings(program, "53100") > 0
                && self.rig.status_of(&self.task, column) == json!("waiting_space")
        });
    }

    fn wait_state(&self, column: &str, state: &str) {
        wait_until(SOON, state, || {
            self.rig.status_of(&self.task, column) == json!(state)
        });
    }

    #[track_caller]
    fn arrives(&self, mining: &mut Program, loading: &mut Program) {
        self.rig.wait_applied(&self.task, &mut [mining, loading]);
        self.rig.assert_equal(&self.task, &["t"]);
    }
}

#[test]
fn a_full_disk_of_staging_is_waited_for() {
    let mut setting = Setting::new(small().start(), PgServer::start_default());
    let mut mining = miner(&setting.files, &[]);
    let mut loading = loader(&setting.files, &[]);
    // Every WAL file that there will be.
    setting.insert(800);
    setting.arrives(&mut mining, &mut loading);

    setting.fill(|rig| &rig.staging, &mut mining, "miner_state");
    let said = warnings(&mining, "");
    assert_keeps_running(&mut mining);
    assert_keeps_running(&mut loading);
    assert_eq!(warnings(&mining, ""), said, "it says it once");
    setting.rig.staging.disk().free();
    setting.arrives(&mut mining, &mut loading);
    setting.wait_state("miner_state", "running");

    // Not even WAL can be written: the server ends.
    let before = warnings(&mining, "staging");
    wait_until(SOON, "trouble", || {
        setting.rig.staging.disk().leave(0);
        setting.insert(10);
        warnings(&mining, "staging") > before
    });
    assert_keeps_running(&mut mining);
    assert_keeps_running(&mut loading);
    setting.rig.staging.disk().free();
    setting.rig.staging.revive();
    setting.arrives(&mut mining, &mut loading);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

/// Nobody frees space but the loader, which was away.
#[test]
fn a_backlog_that_fills_the_disk_of_staging_is_applied_and_makes_room() {
    let staging = small().wal_elsewhere().start();
    let mut setting = Setting::new(staging, PgServer::start_default());
    let files = setting
        .task
        .config
        .clone()
        .set("binlogloader", "keep_applied_seconds", 3600)
        .write();
    let mut mining = miner(&files, &[]);
    setting.insert(3500);
    wait_warning(&mut mining, "53100");
    setting.wait_state("miner_state", "waiting_space");
    // Not even what the loader reports there finds space.
    setting.rig.staging.disk().leave(0);
    let mut loading = loader(&files, &[]);
    setting.arrives(&mut mining, &mut loading);
    setting.wait_state("miner_state", "running");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn a_full_disk_of_the_target_is_waited_for() {
    let mut setting = Setting::new(PgServer::start_default(), small().start());
    let mut mining = miner(&setting.files, &[]);
    let mut loading = loader(&setting.files, &[]);
    setting.insert(800);
    setting.arrives(&mut mining, &mut loading);

    setting.fill(|rig| rig.target(), &mut loading, "loader_state");
    let said = warnings(&loading, "");
    assert_keeps_running(&mut mining);
    assert_keeps_running(&mut loading);
    assert_eq!(warnings(&loading, ""), said, "it says it once");
    setting.rig.target().disk().free();
    setting.arrives(&mut mining, &mut loading);
    setting.wait_state("loader_state", "running");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

#[test]
fn above_its_limit_staging_is_emptied_at_once_and_the_miner_waits_for_that() {
    let mut setting = Setting::new(PgServer::start_default(), PgServer::start_default());
    // Applied events would stay for an hour.
    let files = setting
        .task
        .config
        .clone()
        .set("binlogloader", "keep_applied_seconds", 3600)
        .set("binlogminer", "staging_soft_limit", 80 << 20)
        .write();
    let mut mining = miner(&files, &[]);
    setting.insert(1300);
    setting.wait_state("miner_state", "waiting_space");
    assert_keeps_running(&mut mining);
    let mut loading = loader(&files, &[]);
    setting.arrives(&mut mining, &mut loading);
    setting.wait_state("miner_state", "running");
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}
