//! Tables are paused and resumed at random, while programs die, staging is lost and the target is
//! restored from a copy.

use testkit::workload::{Random, TABLES};
use testkit::{Flavor, Program, TaskFiles, wait_until};

use crate::paused::{Site, behind, wait_caught_up};
use crate::rig::{SOON, assert_stops, launch, loader, miner};

/// Pauses or resumes; a loader that is on the way up or down may be in the way for a while.
fn command(files: &TaskFiles, wish: &str, table: &str) {
    wait_until(SOON, wish, || {
        let mut asking = launch("binlog_loader", files, &[wish, table]).start();
        asking.wait_exit(SOON).success()
    });
}

fn storm(flavor: Flavor, steps: usize) {
    let mut site = Site::start("storm", flavor);
    let seed = testkit::workload::seed();
    let mut random = Random::new(seed);
    let files = site.task.config.write();
    let (mut mining, mut loading) = (miner(&files, &[]), loader(&files, &[]));
    site.write(50);
    site.rig
        .wait_applied(&site.task, &mut [&mut mining, &mut loading]);
    let mut done = vec![format!("seed {seed}")];
    for _ in 0..steps {
        let table = random.pick(TABLES);
        site.write(random.below(60));
        let act = random.below(12);
        done.push(format!("{act} {table}"));
        match act {
            0..=2 => command(&files, "pause", table),
            3 | 4 => command(&files, "resume", table),
            5 => {
                loading.kill9();
                loading = loader(&files, &[]);
            }
            6 => {
                mining.kill9();
                mining = miner(&files, &[]);
            }
            7 => {
                mining.kill9();
                loading.kill9();
                site.lose_staging();
                (mining, loading) = (miner(&files, &[]), loader(&files, &[]));
                loading.wait_log("applying task", SOON);
            }
            8 => {
                loading.kill9();
                site.copy_target("target_copy");
                loading = loader(&files, &[]);
            }
            9 if done.iter().any(|act| act.starts_with("8 ")) => {
                loading.kill9();
                site.restore_target("target_copy");
                loading = loader(&files, &[]);
            }
            _ => {
                // A loader that is down meanwhile.
                loading.kill9();
                command(&files, "pause", table);
                site.write(20);
                loading = loader(&files, &[]);
            }
        }
        if random.percent(30) {
            site.assert_others_equal(&mut [&mut mining, &mut loading], &done);
        }
    }
    for table in TABLES {
        command(&files, "resume", table);
    }
    site.write(20);
    wait_caught_up(&site.rig, &site.task, &mut [&mut mining, &mut loading]);
    eprintln!("{done:?}");
    site.rig.assert_equal(&site.task, TABLES);
    assert_stops(&mut mining);
    assert_stops(&mut loading);
}

impl Site {
    fn copy_target(&self, name: &str) {
        let target = &self.task.target;
        self.rig.target().sql(
            "postgres",
            &format!("drop database if exists {name} with (force)"),
        );
        self.rig.target().sql(
            "postgres",
            &format!("create database {name} template {target}"),
        );
    }

    fn restore_target(&self, name: &str) {
        let target = &self.task.target;
        self.rig
            .target()
            .sql("postgres", &format!("drop database {target} with (force)"));
        self.rig.target().sql(
            "postgres",
            &format!("create database {target} template {name}"),
        );
    }

    /// The tables that are not behind have every row.
    fn assert_others_equal(&mut self, programs: &mut [&mut Program], done: &[String]) {
        // The status may still tell of a loader that was killed: what is new it cannot know.
        self.write(10);
        wait_until(SOON, "the tables to catch up", || {
            !behind(&self.rig, &self.task).contains("catching_up")
        });
        self.rig.wait_applied(&self.task, programs);
        let behind = behind(&self.rig, &self.task);
        let others: Vec<&str> = TABLES
            .iter()
            .copied()
            .filter(|table| !behind.contains(table))
            .collect();
        eprintln!("{done:?}: {behind}");
        self.rig.assert_equal(&self.task, &others);
    }
}

#[test]
fn a_storm_of_pauses_and_deaths_loses_and_doubles_nothing_of_mysql() {
    storm(Flavor::Mysql97, 30);
}

#[test]
fn a_storm_of_pauses_and_deaths_loses_and_doubles_nothing_of_mariadb() {
    storm(Flavor::MariaDb1011, 30);
}
