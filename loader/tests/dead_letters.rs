//! Rows that the target refuses, on a real target: found, kept, settled, retried.

use common::table::{ColumnType, DefinitionId};
use testkit::wait_until;

use crate::apply::define_items;
use crate::bench::{Bench, TIMEOUT};
use crate::staged::{int, varchar};

const ITEMS: &str =
    "create table items (id integer primary key, name varchar(20) check (name not like 'bad%'))";

const ALL: &str = "select id, name from items order by id";

const LETTERS: &str = "select table_name, op, key ->> 'id', sqlstate from mysql2gp.dead_letters \
                       where resolved_at is null order by id";

const COUNT: &str = "select count(*) from mysql2gp.dead_letter";

const IDENTITIES: &str = "select binlog_file || ':' || binlog_pos, row_number, copy_number \
                          from mysql2gp.checkpoint_dead_letters order by 1, 2, 3";

const WAITING: &str = "select count(*) from pg_stat_activity \
                       where wait_event_type = 'Lock' and datname = current_database()";

/// A task of `items` in which `limit` rows may be refused.
fn bench(limit: u32) -> (Bench, DefinitionId) {
    let mut bench = Bench::new(ITEMS);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", limit);
    let items = define_items(&mut bench);
    (bench, items)
}

fn unresolved(bench: &mut Bench) -> Vec<String> {
    bench.staging_rows(LETTERS)
}

#[track_caller]
fn command(bench: &Bench, args: &[&str], expected: i32) -> String {
    let mut all = vec!["dead-letters"];
    all.extend(args);
    let (code, out) = bench.run_for_output(&all);
    assert_eq!(code, expected, "{out}");
    out
}

#[test]
fn a_refused_row_is_kept_and_the_rest_of_the_batch_goes_on() {
    let (mut bench, items) = bench(10);
    let first = bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\tbad two");
        t.insert(items, "3\tthree");
    });
    bench.once();
    assert_eq!(bench.rows(ALL), ["1|one", "3|three"]);
    assert_eq!(unresolved(&mut bench), ["items|insert|2|23514"]);
    assert_eq!(bench.rows(IDENTITIES), [format!("{first}|2|1")]);
    // An update of a row that is there: its old version goes.
    let second = bench.staged.transaction(|t| {
        t.update(items, "1\tbad one").insert(items, "4\tfour");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("go to the dead letters"), "{log}");
    assert!(!log.contains("bad one"), "{log}");
    assert_eq!(bench.rows(ALL), ["3|three", "4|four"]);
    assert_eq!(
        unresolved(&mut bench),
        ["items|insert|2|23514", "items|update|1|23514"]
    );
    assert_eq!(bench.applied(), second);
    assert_eq!(
        bench.staging_rows("select dead_letters from mysql2gp.status"),
        ["2"]
    );
    let error =
        "2 dead letters, the last one: check constraint violated, constraint items_name_check";
    assert_eq!(
        bench.staging_rows("select state, last_error from mysql2gp.tables"),
        [format!("held|{error}")]
    );
    assert_eq!(
        bench.staging_rows(
            "select l.row ->> 'name', e.after ->> 'name', e.binlog_pos = l.binlog_pos \
               from mysql2gp.dead_letters l join mysql2gp.events e using (event_seq) order by l.id"
        ),
        ["bad two|bad two|t", "bad one|bad one|t"]
    );
}

#[test]
fn every_kind_of_refusal_is_found_with_its_sqlstate_and_column() {
    let mut bench = Bench::new(
        "create type mood as enum ('good'); \
         create domain small as integer check (value < 10); \
         create table t (id integer primary key, v varchar(4), n smallint check (n < 100), e mood, j jsonb, u uuid, \
                         d date, day time, f boolean, s small not null, q integer unique)",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 20);
    bench.set("binlogloader", "zero_date", "error");
    let table = bench.staged.define(
        "t",
        &[
            ("id", int()),
            (
                "v",
                ColumnType::Set {
                    labels: vec!["ab".into(), "cd".into()],
                },
            ),
            ("n", ColumnType::Year),
            (
                "e",
                ColumnType::Enum {
                    labels: vec!["good".into(), "ill".into()],
                },
            ),
            ("j", varchar(100)),
            ("u", varchar(40)),
            ("d", ColumnType::Date),
            ("day", ColumnType::Time { digits: 0 }),
            (
                "f",
                ColumnType::Integer {
                    width: common::table::IntegerWidth::Tiny,
                    sign: common::table::Sign::Signed,
                },
            ),
            ("s", int()),
            ("q", int()),
        ],
        &["id"],
    );
    let good = [
        "0",
        "ab",
        "7",
        "good",
        "{}",
        "\\N",
        "2024-01-01",
        "10:00:00",
        "1",
        "5",
        "\\N",
    ];
    // Too large for an index, however it is packed.
    let long: String = (0..9000_u64)
        .map(|n| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .map(|n| (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .map(|n| format!("{:x}", (n ^ (n >> 27)) >> 60))
        .collect();
    let odd: &[(usize, &str, &str)] = &[
        (2, "1999", "23514"),
        (2, "40000", "22003"),
        (3, "ill", "22P02"),
        (4, "{", "22P02"),
        (4, "\"\\\\u0000\"", "22P05"),
        (5, "nonsense", "22P02"),
        (6, "0000-00-00", "22008"),
        (6, "2023-02-31", "22008"),
        (7, "30:00:00", "22008"),
        (8, "2", "22003"),
        (9, "11", "23514"),
        (9, "\\N", "23502"),
        (10, "1", "23505"),
        (1, &long, "54000"),
    ];
    // What a SET may become is known beforehand: the shorter column is refused by itself.
    bench.rows("alter table t alter column v type text; create index on t (v)");
    bench.staged.transaction(|t| {
        let mut id = 0;
        let mut insert = |column: usize, value: &str| {
            let mut row = good.map(str::to_owned);
            id += 1;
            row[0] = id.to_string();
            row[column] = value.to_owned();
            t.insert(table, &row.join("\t"));
        };
        insert(10, "1");
        for (column, value, _) in odd {
            insert(*column, value);
            insert(5, "\\N");
        }
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(!log.contains("nonsense"), "{log}");
    let expected: Vec<String> = odd
        .iter()
        .zip(1..)
        .map(|((_, _, sqlstate), n)| format!("t|insert|{}|{sqlstate}", 2 * n))
        .collect();
    let mut found = bench.staging_rows(
        "select table_name, op, key ->> 'id', sqlstate from mysql2gp.dead_letters order by (key ->> 'id')::int",
    );
    assert_eq!(found, expected);
    found = bench.staging_rows(
        "select error from mysql2gp.dead_letters where error !~ 'column|constraint|index'",
    );
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(
        bench.rows("select count(*) from t"),
        [(odd.len() + 1).to_string()]
    );
}

#[test]
fn refused_rows_among_many_are_found_with_few_statements() {
    let (mut bench, items) = bench(50);
    let every = 1000;
    bench.staged.transaction(|t| {
        for id in 0..40_000 {
            let name = if id % every == 17 { "bad" } else { "good" };
            t.insert(items, &format!("{id}\t{name}"));
        }
    });
    bench.rows("create table runs (n bigint); insert into runs values (0)");
    bench.rows(
        "create function count_run() returns trigger language plpgsql as \
         $$ begin update runs set n = n + 1; return null; end $$",
    );
    bench.rows("create trigger count_run before insert on items for each statement execute function count_run()");
    bench.rows("alter table items enable always trigger count_run");
    bench.once();
    assert_eq!(bench.rows("select count(*) from items"), ["39960"]);
    assert_eq!(unresolved(&mut bench).len(), 40);
    // Runs that are refused are rolled back with their count: these succeeded.
    let runs: u64 = bench.rows("select n from runs")[0].parse().unwrap();
    assert!(runs < 40 * 8, "{runs} runs for 40 refused rows");
}

#[test]
fn one_refused_row_too_many_stops_before_the_batch() {
    let (mut bench, items) = bench(1);
    let before = bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\tbad");
    });
    bench.once();
    let end = bench.staged.transaction(|t| {
        t.insert(items, "3\tthree").insert(items, "4\tbad too");
        t.update(items, "1\tuno");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    for part in [
        "public.items",
        "shop.items (key id)",
        "SQLSTATE 23514",
        "items_name_check",
        &format!("row 2 of the transaction that ends at {end}"),
        "hold 1 rows of the table and may hold 1, the batch has at least 1 more",
        "ignore_copy_error_count_each_table",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("bad too"), "{log}");
    assert_eq!(bench.rows(ALL), ["1|one"]);
    assert_eq!(bench.applied(), before);
    assert_eq!(bench.staging_rows(COUNT), ["1"]);
    // With the old one given up there is room.
    command(&bench, &["discard", "1", "--yes"], 0);
    bench.once();
    assert_eq!(bench.rows(ALL), ["1|uno", "3|three"]);
    assert_eq!(unresolved(&mut bench), ["items|insert|4|23514"]);
}

#[test]
fn the_limit_counts_each_table_for_itself() {
    let (mut bench, items) = bench(1);
    bench.rows(
        "create table others (id integer primary key, name varchar(20) check (name <> 'bad'))",
    );
    let others = bench
        .staged
        .define("others", &[("id", int()), ("name", varchar(20))], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad").insert(others, "1\tbad");
        t.insert(items, "2\tgood").insert(others, "2\tgood");
    });
    bench.once();
    assert_eq!(
        unresolved(&mut bench),
        ["items|insert|1|23514", "others|insert|1|23514"]
    );
    // A change that settles one makes room for the next, in the same batch.
    bench.staged.transaction(|t| {
        t.delete(items, "1").insert(items, "3\tbad");
    });
    bench.once();
    assert_eq!(
        unresolved(&mut bench),
        ["others|insert|1|23514", "items|insert|3|23514"]
    );
    assert_eq!(bench.rows(ALL), ["2|good"]);
}

#[test]
fn a_later_change_of_the_key_settles_it() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        for id in 1..=5 {
            t.insert(items, &format!("{id}\tbad"));
        }
    });
    bench.once();
    assert_eq!(bench.rows(IDENTITIES).len(), 5);
    bench.staged.transaction(|t| {
        t.update(items, "1\tgood").delete(items, "2");
        t.update_key(items, "30\tmoved", "3");
        t.update(items, "4\tbad again");
    });
    bench.once();
    assert_eq!(bench.rows(ALL), ["1|good", "30|moved"]);
    assert_eq!(
        unresolved(&mut bench),
        ["items|insert|5|23514", "items|update|4|23514"]
    );
    assert_eq!(bench.rows(IDENTITIES).len(), 2);
    bench.staged.transaction(|t| {
        t.truncate(items);
    });
    bench.once();
    assert_eq!(unresolved(&mut bench), Vec::<String>::new());
    assert_eq!(bench.rows(IDENTITIES), Vec::<String>::new());
    assert_eq!(
        bench.staging_rows("select count(*), count(resolved_at) from mysql2gp.dead_letter"),
        ["6|6"]
    );
    assert_eq!(
        bench.staging_rows("select state, last_error from mysql2gp.tables"),
        ["active|NULL"]
    );
}

#[test]
fn a_retry_writes_the_row_and_a_newer_one_is_left_alone() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad one").insert(items, "2\tbad two");
        t.insert(items, "3\tbad three").insert(items, "4\tbad four");
    });
    bench.once();
    let out = command(&bench, &["list"], 0);
    assert!(
        out.contains("1  shop.items  insert {\"id\":\"1\"}"),
        "{out}"
    );
    let out = command(&bench, &["list", "--json"], 0);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json[1]["row"]["name"], "bad two");

    let out = command(&bench, &["retry", "1"], 3);
    assert!(out.contains("still refused: SQLSTATE 23514"), "{out}");
    // A loader runs: a newer row comes through it.
    let mut running = bench.start(&[]);
    bench.staged.transaction(|t| {
        t.update(items, "2\tnewer");
    });
    wait_until(TIMEOUT, "the newer row", || bench.rows(ALL) == ["2|newer"]);
    bench.rows("alter table items drop constraint items_name_check");
    bench.rows("insert into items values (4, 'by hand')");
    let out = command(&bench, &["retry", "1", "2", "3", "4"], 3);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("written"), "{out}");
    assert!(lines[1].contains("settled already"), "{out}");
    assert!(lines[2].contains("written"), "{out}");
    assert!(lines[3].contains("not written"), "{out}");
    assert_eq!(
        bench.rows(ALL),
        ["1|bad one", "2|newer", "3|bad three", "4|by hand"]
    );
    command(&bench, &["discard", "4", "--yes"], 0);
    assert_eq!(command(&bench, &["list"], 0), "no dead letters\n");
    // What was retried beside the loader goes on under it.
    bench.staged.transaction(|t| {
        t.update(items, "1\tonce more").delete(items, "3");
    });
    wait_until(TIMEOUT, "the changes", || {
        bench.rows(ALL) == ["1|once more", "2|newer", "4|by hand"]
    });
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.rows(IDENTITIES), Vec::<String>::new());
}

#[test]
fn a_retry_waits_for_the_batch_that_changes_the_row() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad");
    });
    bench.once();
    bench.rows("alter table items drop constraint items_name_check");
    let mut running = bench.start(&[]);
    running.program.wait_log("applying task", TIMEOUT);
    // The batch with the newer row cannot commit for now.
    let mut blocker = bench.connect_target();
    let mut held = blocker.transaction().unwrap();
    held.execute("select 1 from mysql2gp.checkpoint for update", &[])
        .unwrap();
    bench.staged.transaction(|t| {
        t.update(items, "1\tnewer");
    });
    wait_until(TIMEOUT, "the batch", || bench.rows(WAITING) == ["1"]);
    let mut retry = bench.start(&["dead-letters", "retry", "1"]);
    wait_until(TIMEOUT, "the retry", || bench.rows(WAITING) == ["2"]);
    held.rollback().unwrap();
    assert_eq!(retry.program.wait_exit(TIMEOUT).code(), Some(0));
    assert!(retry.program.stdout().contains("settled already"));
    running.program.sigterm();
    assert_eq!(running.finish().0, 0);
    assert_eq!(bench.rows(ALL), ["1|newer"]);
}

#[test]
fn discarding_asks_and_knows_its_letters() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad");
    });
    bench.once();
    let (code, log) = bench.run(&["dead-letters", "discard", "1"]);
    assert_eq!(code, 2, "{log}");
    let (code, log) = bench.run(&["dead-letters", "discard", "7", "--yes"]);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("there is no dead letter 7"), "{log}");
    assert_eq!(bench.rows(IDENTITIES).len(), 1);
    command(&bench, &["discard", "1", "--yes"], 0);
    assert_eq!(bench.rows(IDENTITIES).len(), 0);
    assert_eq!(unresolved(&mut bench), Vec::<String>::new());
    bench.once();
    assert_eq!(bench.rows(ALL), Vec::<String>::new());
}

/// What becomes of the commit that a killed loader has sent.
#[derive(PartialEq)]
enum Commit {
    Lost,
    Done,
}

/// Kills a loader that has staged the dead letter of row 2 and waits for the commit.
fn kill_at_commit(bench: &mut Bench, items: DefinitionId, commit: Commit) {
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.insert(items, "2\tbad").insert(items, "3\tthree");
    });
    let mut blocker = bench.connect_target();
    let mut held = blocker.transaction().unwrap();
    held.batch_execute("lock table items in exclusive mode")
        .unwrap();
    let mut running = bench.start(&[]);
    wait_until(TIMEOUT, "the batch", || bench.rows(WAITING) == ["1"]);
    // It waits for the table; now it is to wait for the checkpoint.
    let mut second = bench.connect_target();
    let mut checkpoint = second.transaction().unwrap();
    checkpoint
        .execute("select 1 from mysql2gp.checkpoint for update", &[])
        .unwrap();
    held.rollback().unwrap();
    wait_until(TIMEOUT, "the staged dead letter", || {
        bench.staging_rows(COUNT) == ["1"]
    });
    let out = command(bench, &["retry"], 1);
    assert!(out.contains("not committed yet"), "{out}");
    let (code, log) = bench.run(&["dead-letters", "discard", "1", "--yes"]);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("not committed yet"), "{log}");
    running.program.kill9();
    running.program.wait_exit(TIMEOUT);
    if commit == Commit::Lost {
        bench.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity \
              where wait_event_type = 'Lock' and datname = current_database()",
        );
        wait_until(TIMEOUT, "its session's end", || {
            bench.rows(WAITING) == ["0"]
        });
    }
    checkpoint.rollback().unwrap();
    if commit == Commit::Done {
        wait_until(TIMEOUT, "the commit", || bench.rows(IDENTITIES).len() == 1);
    }
}

#[test]
fn a_crash_at_the_commit_leaves_one_dead_letter() {
    for commit in [Commit::Lost, Commit::Done] {
        let (mut bench, items) = bench(10);
        kill_at_commit(&mut bench, items, commit);
        bench.once();
        bench.once();
        assert_eq!(bench.rows(ALL), ["1|one", "3|three"]);
        assert_eq!(unresolved(&mut bench), ["items|insert|2|23514"]);
        assert_eq!(bench.staging_rows(COUNT), ["1"]);
        assert_eq!(bench.rows(IDENTITIES).len(), 1);
    }
}

#[test]
fn a_dead_letter_of_a_batch_that_never_committed_does_not_linger() {
    let (mut bench, items) = bench(10);
    kill_at_commit(&mut bench, items, Commit::Lost);
    assert_eq!(bench.rows(ALL), ["1|one"]);
    assert_eq!(bench.rows(IDENTITIES), Vec::<String>::new());
    // The batch comes again, with a later change that the target takes.
    bench.staged.transaction(|t| {
        t.update(items, "2\tgood");
    });
    bench.once();
    assert_eq!(bench.rows(ALL), ["1|one", "2|good", "3|three"]);
    assert_eq!(bench.staging_rows(COUNT), ["0"]);
    assert_eq!(bench.rows(IDENTITIES), Vec::<String>::new());
}

#[test]
fn what_staging_was_not_told_is_healed_at_the_next_start() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad").insert(items, "2\tbad");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tgood");
    });
    bench.once();
    // As if the loader had been killed right behind the commit, and staging restored.
    bench.staging_rows(
        "update mysql2gp.dead_letter set resolved_at = case when resolved_at is null then now() end",
    );
    bench.once();
    assert_eq!(unresolved(&mut bench), ["items|insert|2|23514"]);
    assert_eq!(bench.rows(ALL), ["1|good"]);
}

#[test]
fn a_wiped_staging_loses_no_dead_letter() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\tbad \\t two");
        t.insert(items, "3\tbad");
    });
    bench.once();
    bench.staged.renew();
    let items = define_items(&mut bench);
    let restart = |bench: &mut Bench| {
        bench.staged.transaction(|t| {
            t.insert(items, "1\tone").insert(items, "2\tbad \\t two");
            t.insert(items, "3\tbad");
        });
        bench.staged.transaction(|t| {
            t.update(items, "3\tgood");
        });
    };
    restart(&mut bench);
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("restored from the target rows=2"), "{log}");
    assert_eq!(bench.rows(ALL), ["1|one", "3|good"]);
    assert_eq!(unresolved(&mut bench), ["items|insert|2|23514"]);
    assert_eq!(
        bench.staging_rows(
            "select row ->> 'name', event_seq from mysql2gp.dead_letters where resolved_at is null"
        ),
        ["bad \t two|NULL"]
    );
    bench.rows("alter table items drop constraint items_name_check");
    command(&bench, &["retry"], 0);
    assert_eq!(bench.rows(ALL), ["1|one", "2|bad \t two", "3|good"]);
    assert_eq!(bench.rows(IDENTITIES), Vec::<String>::new());
}

#[test]
fn an_oversized_transaction_keeps_its_refused_rows() {
    let (mut bench, items) = bench(10);
    bench.set("binlogloader", "batch_bytes", 20_000);
    let end = bench.staged.transaction(|t| {
        for id in 0..2000 {
            let name = if id % 700 == 5 { "bad" } else { "good" };
            t.insert(items, &format!("{id}\t{name}"));
        }
        // In a later round of the same transaction: settled, and refused anew.
        t.update(items, "5\tgood").update(items, "705\tbad again");
    });
    bench.once();
    assert_eq!(bench.rows("select count(*) from items"), ["1998"]);
    assert_eq!(
        unresolved(&mut bench),
        ["items|insert|1405|23514", "items|update|705|23514"]
    );
    assert_eq!(
        bench.rows(IDENTITIES),
        [format!("{end}|1406|1"), format!("{end}|2002|1")]
    );
    // Over the limit in a later round: nothing of the transaction stays.
    let (mut bench, items) = self::bench(1);
    bench.set("binlogloader", "batch_bytes", 20_000);
    bench.staged.transaction(|t| {
        for id in 0..2000 {
            let name = if id % 700 == 5 { "bad" } else { "good" };
            t.insert(items, &format!("{id}\t{name}"));
        }
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("row 706 of the transaction"), "{log}");
    assert_eq!(bench.rows(ALL), Vec::<String>::new());
    assert_eq!(bench.staging_rows(COUNT), ["0"]);
}

#[test]
fn equal_rows_without_a_key_are_counted() {
    let mut bench = Bench::new("create table log (line varchar(20) check (line <> 'bad'), u uuid)");
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 10);
    let log = bench
        .staged
        .define("log", &[("line", varchar(20)), ("u", varchar(40))], &[]);
    let all = "select line from log order by line";
    let first = bench.staged.transaction(|t| {
        t.insert(log, "a\t\\N").insert(log, "bad\t\\N");
        t.insert(log, "bad\t\\N").insert(log, "b\tnonsense");
        t.insert(log, "bad\t\\N").insert(log, "a\t\\N");
    });
    bench.once();
    assert_eq!(bench.rows(all), ["a", "a"]);
    assert_eq!(
        bench.rows(IDENTITIES),
        [
            format!("{first}|4|1"),
            format!("{first}|5|1"),
            format!("{first}|5|2"),
            format!("{first}|5|3")
        ]
    );
    // Deletes and updates take dead letters back; one of three stays.
    bench.staged.transaction(|t| {
        t.delete_full(log, "bad\t\\N");
        t.update_full(log, "c\t\\N", "bad\t\\N");
        t.delete_full(log, "b\tnonsense");
        t.delete_full(log, "a\t\\N");
    });
    let (code, said) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("lacks rows"), "{said}");
    assert_eq!(bench.rows(all), ["a", "c"]);
    assert_eq!(bench.rows(IDENTITIES), [format!("{first}|5|3")]);
    // A row that was retried is on the target: it is deleted there.
    bench.rows("alter table log drop constraint log_line_check");
    command(&bench, &["retry"], 0);
    assert_eq!(bench.rows(all), ["a", "bad", "c"]);
    bench.staged.transaction(|t| {
        t.delete_full(log, "bad\t\\N");
    });
    bench.once();
    assert_eq!(bench.rows(all), ["a", "c"]);
}

#[test]
fn a_batch_with_keyless_deletes_can_be_written_again() {
    let (mut bench, items) = bench(10);
    bench.rows("create table log (line varchar(20), u uuid)");
    let log = bench
        .staged
        .define("log", &[("line", varchar(20)), ("u", varchar(40))], &[]);
    let lines = "select line from log order by line";
    bench.staged.transaction(|t| {
        for line in ["a", "a", "b", "c"] {
            t.insert(log, &format!("{line}\t\\N"));
        }
        t.insert(items, "1\tone");
    });
    bench.once();
    // The deletes of the first attempt are undone, their temporary table included.
    bench.staged.transaction(|t| {
        t.delete_full(log, "a\t\\N").insert(items, "2\tbad");
    });
    bench.once();
    assert_eq!(bench.rows(lines), ["a", "b", "c"]);
    bench.rows("insert into items values (3, 'there already')");
    bench.staged.transaction(|t| {
        t.delete_full(log, "b\t\\N").insert(items, "3\tthree");
    });
    bench.once();
    assert_eq!(bench.rows(lines), ["a", "c"]);
    assert_eq!(bench.rows(ALL), ["1|one", "3|three"]);
    // A row to delete that the target cannot hold, beside one that it has.
    bench.staged.transaction(|t| {
        t.delete_full(log, "x\tnonsense").delete_full(log, "a\t\\N");
    });
    bench.once();
    assert_eq!(bench.rows(lines), ["c"]);
    assert_eq!(unresolved(&mut bench), ["items|insert|2|23514"]);
}

#[test]
fn deletes_are_not_refused() {
    let mut bench = Bench::new(
        "create table t (id uuid primary key, n integer); create table log (u uuid, n integer)",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 10);
    let table = bench
        .staged
        .define("t", &[("id", varchar(40)), ("n", int())], &["id"]);
    let log = bench
        .staged
        .define("log", &[("u", varchar(40)), ("n", int())], &[]);
    let good = "11111111-1111-1111-1111-111111111111";
    bench.staged.transaction(|t| {
        t.insert(table, "nonsense\t1")
            .insert(table, &format!("{good}\t1"));
        t.insert(log, "nonsense\t1")
            .insert(log, &format!("{good}\t1"));
    });
    bench.once();
    command(&bench, &["discard", "1", "2", "--yes"], 0);
    // Nothing stands for these rows any more, and the target cannot even name them.
    bench.staged.transaction(|t| {
        t.delete(table, "nonsense").delete(table, good);
        t.delete_full(log, "nonsense\t1")
            .delete_full(log, &format!("{good}\t1"));
    });
    let (code, said) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(bench.rows("select count(*) from t"), ["0"]);
    assert_eq!(bench.rows("select count(*) from log"), ["0"]);
    assert_eq!(unresolved(&mut bench), Vec::<String>::new());
}

#[test]
fn unique_values_may_move_to_another_row_while_one_is_refused() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20) unique check (name <> 'bad'))",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 10);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\ta").insert(items, "2\tb");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tbad").update(items, "2\ta");
        t.insert(items, "3\tb");
    });
    bench.once();
    assert_eq!(bench.rows(ALL), ["2|a", "3|b"]);
    assert_eq!(unresolved(&mut bench), ["items|update|1|23514"]);
}

#[test]
fn another_key_stops_while_there_are_dead_letters() {
    let (mut bench, items) = bench(10);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tbad").insert(items, "2\ttwo");
    });
    bench.once();
    let renamed = bench
        .staged
        .define("items", &[("id", int()), ("name", varchar(20))], &["name"]);
    let end = bench.staged.transaction(|t| {
        t.update(renamed, "9\ttwo");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    assert!(
        log.contains("columns that identify a row of shop.items"),
        "{log}"
    );
    command(&bench, &["discard", "1", "--yes"], 0);
    bench.once();
    assert_eq!(bench.applied(), end);
    assert_eq!(bench.rows(ALL), ["9|two"]);
}

#[test]
fn a_staging_that_is_away_keeps_no_refused_row_from_being_kept() {
    let (mut bench, items) = bench(10);
    let mut running = bench.start(&[]);
    for id in 0..5 {
        bench.staged.transaction(|t| {
            t.insert(items, &format!("{id}\tbad"));
            t.update(items, &format!("{}\tgood", id + 100));
            if id > 0 {
                t.update(items, &format!("{}\tgood", id - 1));
            }
        });
        wait_until(TIMEOUT, "the row", || {
            bench.rows(&format!("select 1 from items where id = {}", id + 100)) == ["1"]
        });
        bench.staging_rows(
            "select pg_terminate_backend(pid) from pg_stat_activity \
              where application_name like 'binlog_loader %' and datname = current_database()",
        );
    }
    wait_until(TIMEOUT, "the dead letters", || {
        unresolved(&mut bench) == ["items|insert|4|23514"]
    });
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.rows("select count(*) from items"), ["9"]);
    assert_eq!(bench.rows(IDENTITIES).len(), 1);
}

/// Numbers of events of one staging mean nothing in another.
#[test]
fn staging_that_is_made_anew_under_a_running_loader_is_noticed() {
    let (mut bench, items) = bench(5);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    let mut other = bench.connect_target();
    let mut lock = other.transaction().unwrap();
    lock.batch_execute("lock table items in share mode")
        .unwrap();
    let mut running = bench.start(&[]);
    let second = bench.staged.transaction(|t| {
        t.insert(items, "2\tbad two");
    });
    wait_until(TIMEOUT, "a waiting loader", || bench.rows(WAITING) == ["1"]);
    bench.staged.renew();
    // Goes on at the checkpoint, and counts from 1.
    bench.staged.pass_over(100);
    let items = define_items(&mut bench);
    let again = bench.staged.transaction(|t| {
        t.insert(items, "2\tbad two");
    });
    assert_eq!(again, second);
    let third = bench.staged.transaction(|t| {
        t.insert(items, "3\tbad three");
    });
    lock.commit().unwrap();
    let identities = [format!("{second}|1|1"), format!("{third}|1|1")];
    wait_until(TIMEOUT, "both letters", || {
        bench.rows(IDENTITIES) == identities
    });
    assert_eq!(
        unresolved(&mut bench),
        ["items|insert|2|23514", "items|insert|3|23514"]
    );
    running.program.sigterm();
    let (code, log) = running.finish();
    assert_eq!(code, 0, "{log}");
}

/// A frozen loader keeps what it has locked, and does not answer.
#[test]
fn a_loader_that_is_frozen_while_it_stages_a_dead_letter_does_not_stop_the_next_one() {
    let (mut bench, items) = bench(5);
    let mut frozen = bench.start(&[]);
    frozen.program.wait_log("applying task", TIMEOUT);
    // Waits behind everything but the commit.
    let mut other = bench.connect_staging();
    other
        .batch_execute(
            "create function wait() returns trigger language plpgsql as $$ begin \
                perform pg_advisory_lock_shared(1); perform pg_advisory_unlock_shared(1); return null; end $$; \
             create trigger wait after insert on mysql2gp.dead_letter for each row execute function wait(); \
             select pg_advisory_lock(1)",
        )
        .unwrap();
    let first = bench.staged.transaction(|t| {
        t.insert(items, "1\tbad one");
    });
    wait_until(TIMEOUT, "a loader that stages a letter", || {
        bench.staging_rows(WAITING) == ["1"]
    });
    frozen.program.sigstop();
    other.batch_execute("select pg_advisory_unlock(1)").unwrap();
    bench.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity \
          where datname = current_database() and pid <> pg_backend_pid()",
    );
    bench.once();
    assert_eq!(bench.rows(IDENTITIES), [format!("{first}|1|1")]);
    assert_eq!(unresolved(&mut bench), ["items|insert|1|23514"]);
}
