//! Tables that are held back while things break, and catch up later.

use common::crash::Point;
use testkit::workload::TABLES;

use crate::faults::{die_at, end_prepared};
use crate::rig::launch;
use crate::site::Site;
use crate::writer::{MORE_TABLES, Mode};

/// A table that is emptied now and then: each TRUNCATE is a batch of its own. Anybody may write
/// to it.
const EMPTIED: &str = "emptied";

/// Tables in a state, as the target says.
fn held(site: &Site, state: &str) -> Option<Vec<String>> {
    let mut client = site.rig.target().try_connect(&site.task.target).ok()?;
    let rows = client
        .query(
            "select table_name from mysql2gp.checkpoint_tables where state = $1 order by 1",
            &[&state],
        )
        .ok()?;
    Some(rows.iter().map(|row| row.get(0)).collect())
}

/// Tables that are paused. The target may still come back, or the loader make its tables there.
pub(crate) fn paused(site: &mut Site) -> Vec<String> {
    site.wait("the target to tell what is paused", |site| {
        held(site, "paused").is_some()
    });
    held(site, "paused").expect("the target has just answered")
}

/// Waits until no table catches up any more.
pub(crate) fn wait_caught_up(site: &mut Site) {
    site.wait("tables to catch up", |site| {
        held(site, "catching_up").is_some_and(|tables| tables.is_empty())
    });
}

/// Runs a command beside the loader, which may die meanwhile.
fn command(site: &mut Site, what: &str, table: &str) {
    let mut program = launch("binlog_loader", &site.files, &[what, table]).start();
    site.wait(&format!("{what} {table}"), |_| {
        program.exit_status().is_some()
    });
    let status = program.exit_status();
    assert!(
        status.is_some_and(|status| status.success()),
        "{what} {table}: {status:?}\n{}",
        program.stderr()
    );
}

/// Waits until the loader holds the task: a command would do it itself.
fn wait_at_work(site: &mut Site) {
    site.wait("the loader to be at work", |site| {
        site.loader.program.stderr().contains("applying task")
    });
}

/// Pauses a table. Its position must be one that can be mined again.
fn pause(site: &mut Site, table: &str) {
    end_prepared(site);
    command(site, "pause", table);
    site.writer.set(Mode::Mixed);
}

/// Pauses a table, or resumes it where it is paused.
pub(crate) fn toggle(site: &mut Site) {
    let tables: Vec<&str> = TABLES.iter().chain(MORE_TABLES).copied().collect();
    let number = site.random.below(tables.len());
    let table = tables.get(number).copied().unwrap_or(EMPTIED);
    let paused = paused(site);
    let is_paused = paused.iter().any(|paused| paused == table);
    eprintln!(
        "           {table} {}",
        if is_paused { "resumed" } else { "paused" }
    );
    if is_paused {
        command(site, "resume", table);
    } else {
        pause(site, table);
    }
}

/// Lets all tables catch up.
pub(crate) fn resume_all(site: &mut Site) {
    for table in paused(site) {
        command(site, "resume", &table);
    }
    wait_caught_up(site);
}

/// The loader dies as it takes up that a table is paused, before and after it is so, and while
/// tables catch up.
pub(crate) fn die(site: &mut Site) {
    resume_all(site);
    end_prepared(site);
    die_at(site, Point::LoaderHolding, |site, _| {
        wait_at_work(site);
        command(site, "pause", EMPTIED);
    });
    die_at(site, Point::LoaderHeld, |site, _| {
        wait_at_work(site);
        command(site, "pause", "accounts");
    });
    site.writer.set(Mode::Mixed);
    let write = "replace into emptied values (1, 'held'), (2, 'held')";
    let truncate = "truncate table emptied";
    // Rows tell the definition, a TRUNCATE does not: behind the writer's index it would be looked
    // up, and refused where the index is gone again by then.
    let (lock, unlock) = ("lock tables emptied write", "unlock tables");
    site.rig
        .source_sql(&[lock, write, truncate, write, truncate, write, unlock]);
    site.wait_for_all();
    die_at(site, Point::LoaderCatchingUp, |site, _| {
        wait_at_work(site);
        command(site, "resume", EMPTIED);
    });
    wait_caught_up(site);
    die_at(site, Point::LoaderCaughtUp, |site, _| {
        wait_at_work(site);
        command(site, "resume", "accounts");
    });
    wait_caught_up(site);
}
