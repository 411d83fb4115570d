//! Tables of which the target refuses some rows, and what an operator does about them.
//!
//! What is bad is refused whenever it comes, but while an operator retries. In the end every
//! row of the source is on the target or among the dead letters, once.

use std::os::unix::process::ExitStatusExt;

use common::crash::{self, Point};
use testkit::Rows;
use testkit::workload::Random;

use crate::rig::{DATABASE, Rig, SCHEMA, SOON, Task, launch};
use crate::site::{ABORTED, Site};
use crate::writer::Mode;

pub(crate) const SOURCE_TABLES: &str = "
use app;
create table refused (id int primary key, v varchar(40), kind enum('one', 'two', 'ill'), touched int not null);
create table refused_log (v varchar(40), n int not null);
";

/// Their copies: one refuses by a check and by a type, the other by a check.
pub(crate) const TARGET_TABLES: &str = "
create type kind as enum ('one', 'two');
create table refused (id integer primary key, v varchar(40), kind kind, touched integer not null);
create table refused_log (v varchar(40), n integer not null);
create function refuse_late() returns trigger language plpgsql as
$$ begin if new.v like 'late%' then raise 'late'; end if; return null; end $$;
create constraint trigger late after insert on refused deferrable initially deferred
    for each row execute function refuse_late();
alter table refused enable always trigger late;
";

/// Their names, with their columns and what a bad row of each is.
pub(crate) const TABLES: &[(&str, &[&str])] = &[
    ("refused", &["id", "v", "kind", "touched"]),
    ("refused_log", &["v", "n"]),
];

/// Has the target refuse from now on what is bad, and keep what it has.
const REFUSE: &str = "add constraint bad check (v not like 'bad%') not valid";

/// The opposite; what is ill stays refused.
const LIFT: &str = "drop constraint bad";

/// Keys of `refused`: so few that they are changed again and again.
const KEYS: usize = 40;

/// Numbers of `refused_log`.
const NUMBERS: usize = 4;

const VALUES: &[&str] = &[
    "null",
    "''",
    "'good'",
    "'gööd\\t\\\\N'",
    "'bad'",
    "'bad\\ttab'",
    "'bad \\\\ ünï\\n'",
];

/// What the target refuses when it commits.
const LATE: &[&str] = &["'late'", "'late\\t1'", "'good'", "'bad'"];

const KINDS: &[&str] = &["null", "'one'", "'two'", "'two'", "'one'", "'ill'"];

/// How often something is tried that the loader may forestall.
const TRIES: usize = 40;

/// Makes the target refuse what is bad.
pub(crate) fn refuse(rig: &Rig, task: &Task) {
    alter(rig, task, REFUSE);
}

/// One by one: the loader locks both tables, too.
fn alter(rig: &Rig, task: &Task, change: &str) {
    for (table, _) in TABLES {
        rig.target_sql(task, &format!("alter table {table} {change}"));
    }
}

/// The statements of a transaction. They need no bookkeeping, and none fails.
pub(crate) fn transaction(random: &mut Random) -> Vec<String> {
    let mut statements = vec!["begin".to_owned()];
    for _ in 0..=random.below(4) {
        statements.extend(change(random));
    }
    statements.push("commit".into());
    if random.percent(1) {
        statements.push("truncate table refused".into());
    }
    if random.percent(1) {
        statements.push("truncate table refused_log".into());
    }
    statements
}

/// The same, of which the target refuses some when it commits; only in batches of one round can
/// it tell which.
pub(crate) fn late_transaction(random: &mut Random) -> Vec<String> {
    let mut statements = transaction(random);
    for _ in 0..=random.below(2) {
        let (id, value) = (random.below(KEYS), random.pick(LATE));
        statements.insert(
            1,
            format!("replace into refused values ({id}, {value}, 'one', 0)"),
        );
    }
    statements
}

/// Rows are refused at the commit, and the loader dies on their way.
pub(crate) fn late(site: &mut Site, die: impl FnOnce(&mut Site)) {
    // No large transaction lies in the same batch.
    site.writer.set(Mode::Rest);
    site.wait_for_all();
    site.writer.set(Mode::Late);
    site.wait("a row that is refused at the commit", |site| {
        unresolved(site, "P0001").is_some()
    });
    die(site);
    site.writer.set(Mode::Rest);
    site.rig
        .source_sql(&["update refused set v = 'good' where v like 'late%'"]);
    site.wait_for_all();
    site.writer.set(Mode::Mixed);
}

fn change(random: &mut Random) -> Vec<String> {
    let (id, n) = (random.below(KEYS), random.below(NUMBERS));
    let (value, kind) = (random.pick(VALUES), random.pick(KINDS));
    match random.below(10) {
        0..3 => vec![format!(
            "replace into refused values ({id}, {value}, {kind}, 0)"
        )],
        3 => vec![format!("update refused set v = {value} where id = {id}")],
        4 => vec![format!(
            "update refused set touched = touched + 1 where id % 7 = {id} % 7"
        )],
        5 => vec![format!("delete from refused where id = {id}")],
        6 => vec![
            format!("delete from refused where id = {id} + 1"),
            format!("update refused set id = {id} + 1 where id = {id}"),
        ],
        7 => vec![format!(
            "insert into refused_log values ({value}, {n}), ({value}, {n})"
        )],
        8 => vec![format!("delete from refused_log where n = {n} limit 3")],
        _ => vec![format!(
            "update refused_log set v = {value} where n = {n} limit 2"
        )],
    }
}

/// Compares what the source has with what is on the target and in the dead letters; how many
/// rows, and how many of them are dead letters. The source rests, and everything is applied.
pub(crate) fn compare(site: &mut Site) -> (usize, usize) {
    // Staging is told of a commit after it.
    site.wait("staging's dead letters to be the target's", |site| {
        let (target, staging) = letters(site);
        target == staging
    });
    let (mut rows, mut refused) = (0, 0);
    for (table, columns) in TABLES {
        let list = columns.join(", ");
        let source = sorted(site.rig.source.query(&format!(
            "set names utf8mb4; select {list} from {DATABASE}.{table}"
        )));
        let texts: Vec<String> = columns
            .iter()
            .map(|column| format!("{column}::text"))
            .collect();
        let mut found = site.rig.target().query(
            &site.task.target,
            &format!("select {} from {SCHEMA}.{table}", texts.join(", ")),
        );
        let fields: Vec<String> = columns
            .iter()
            .map(|column| format!("row ->> '{column}'"))
            .collect();
        let letters = site.rig.staging.query(
            &site.task.staging,
            &format!(
                "select {} from mysql2gp.dead_letters where resolved_at is null and table_name = '{table}'",
                fields.join(", ")
            ),
        );
        for letter in &letters {
            let bad = letter
                .iter()
                .flatten()
                .any(|cell| cell.starts_with("bad") || cell == "ill");
            assert!(bad, "a good row of {table} is a dead letter: {letter:?}");
        }
        refused += letters.len();
        found.extend(letters);
        let found = sorted(found);
        let differing: Vec<_> = found
            .iter()
            .filter(|row| !source.contains(row))
            .chain(source.iter().filter(|row| !found.contains(row)))
            .collect();
        assert_eq!(
            found, source,
            "table {table} and its dead letters: {differing:?}"
        );
        rows += source.len();
    }
    let others = site.rig.staging.value(
        &site.task.staging,
        "select count(*) from mysql2gp.dead_letters where table_name not like 'refused%'",
    );
    assert_eq!(others, "0", "rows that are not bad are refused");
    (rows, refused)
}

/// The unresolved dead letters with what is kept of them: on the target, and in staging.
fn letters(site: &Site) -> (Rows, Rows) {
    let columns = "log_id, binlog_file, binlog_pos::text, row_number::text, copy_number::text, database_name, \
                   table_name, op, key_cells, row_cells";
    let target = site.rig.target().query(
        &site.task.target,
        &format!("select {columns} from mysql2gp.checkpoint_dead_letters"),
    );
    let staging = site.rig.staging.query(
        &site.task.staging,
        &format!("select {columns} from mysql2gp.dead_letter where resolved_at is null"),
    );
    (sorted(target), sorted(staging))
}

fn sorted(mut rows: Rows) -> Rows {
    rows.sort();
    rows
}

/// Places that `dead-letters retry` comes by.
const RETRY: &[Point] = &[
    Point::RetryTaken,
    Point::RetryWritten,
    Point::RetryCommitted,
    Point::RetryNoted,
];

/// Places that `dead-letters discard` comes by.
const DISCARD: &[Point] = &[
    Point::DiscardTaken,
    Point::DiscardCommitted,
    Point::DiscardNoted,
];

/// The target takes what it refused, and retries die beside the loader.
pub(crate) fn retry(site: &mut Site) {
    for point in RETRY {
        // With what was bad the target is full soon; it goes as it changes.
        until_died(site, *point, |site| {
            wait_for_letter(site);
            alter(&site.rig, &site.task, LIFT);
            let died = command(site, &["dead-letters", "retry"], *point);
            alter(&site.rig, &site.task, REFUSE);
            died
        });
    }
    tell_staging(site);
}

/// Dead letters are given up, and the commands die beside the loader; the rows change at the
/// source then, and come again.
pub(crate) fn discard(site: &mut Site) {
    for point in DISCARD {
        until_died(site, *point, |site| {
            let Some((id, key)) = wait_for_letter(site) else {
                return false;
            };
            let died = command(site, &["dead-letters", "discard", "--yes", &id], *point);
            site.rig.source_sql(&[&format!(
                "update refused set touched = touched + 1 where id = {key}"
            )]);
            died
        });
    }
    tell_staging(site);
}

/// A command that died had not told staging yet; the next one does, or the loader's next start.
fn tell_staging(site: &mut Site) {
    let files = site.task.config.clone().write();
    site.wait("all dead letters to be tried", |_| {
        let mut command = launch("binlog_loader", &files, &["dead-letters", "retry"]).start();
        // 1: the loader had a row locked; the others are not tried then.
        command.wait_exit(SOON).code() != Some(1)
    });
}

fn until_died(site: &mut Site, point: Point, mut attempt: impl FnMut(&mut Site) -> bool) {
    for _ in 0..TRIES {
        if attempt(site) {
            site.fault(&format!("at {}", point.name()));
            site.wait_recovered();
            return;
        }
    }
    panic!("no command has come by {} in {TRIES} tries", point.name());
}

/// A dead letter of `refused` for a check, as staging has it: its number and its key. The
/// loader may settle it at any time.
fn wait_for_letter(site: &mut Site) -> Option<(String, String)> {
    let mut found = None;
    site.wait("a dead letter", |site| {
        found = unresolved(site, "23514");
        found.is_some()
    });
    found
}

/// An unresolved dead letter of `refused` for this reason: its number and its key; `None` while
/// there is none or staging cannot tell.
fn unresolved(site: &Site, sqlstate: &str) -> Option<(String, String)> {
    let mut client = site.rig.staging.try_connect(&site.task.staging).ok()?;
    let row = client
        .query_opt(
            "select id::text, key ->> 'id' from mysql2gp.dead_letters \
              where resolved_at is null and table_name = 'refused' and sqlstate = $1 limit 1",
            &[&sqlstate],
        )
        .ok()??;
    Some((row.get(0), row.get(1)))
}

/// Runs a command that is to die at this place; whether it did.
fn command(site: &mut Site, args: &[&str], point: Point) -> bool {
    let mut command = launch("binlog_loader", &site.files, args)
        .env(crash::VARIABLE, point.name())
        .start();
    let mut status = None;
    site.wait("the command to end", |_| {
        status = command.exit_status();
        status.is_some()
    });
    let status = status.unwrap_or_else(|| command.wait_exit(SOON));
    if status.signal() == Some(ABORTED) {
        return true;
    }
    // Others wait for the same row, or settle it.
    assert!(
        matches!(status.code(), Some(0..=3)),
        "{args:?}: {status}:\n{}",
        command.stderr()
    );
    false
}
