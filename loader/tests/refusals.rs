//! What needs a person stops with exit code 3 and says what to do; commands answer.

use common::table::ColumnType;

use crate::apply::{ITEMS, define_items};
use crate::bench::Bench;
use crate::staged::{TIMELINE, int, varchar};

#[track_caller]
fn refused(bench: &Bench, parts: &[&str]) -> String {
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    for part in parts {
        assert!(errors[0].contains(part), "{part:?}: {log}");
    }
    log
}

#[test]
fn a_missing_table_is_named_with_where_it_was_looked_for() {
    let mut bench = Bench::new("create schema x");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    refused(&bench, &["shop.items", "create table public.items"]);
}

#[test]
fn columns_that_do_not_fit_are_named_all_at_once() {
    let mut bench = Bench::new("create table items (id smallint primary key)");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    refused(
        &bench,
        &[
            "column id is smallint",
            "make it integer",
            "add column \"name\" varchar(20)",
        ],
    );
    assert_eq!(bench.rows("select count(*) from items"), ["0"]);
    // Once repaired it goes on.
    bench.rows("alter table items alter column id type integer, add column name text");
    bench.once();
    assert_eq!(bench.rows("select id, name from items"), ["1|one"]);
}

#[test]
fn a_row_that_the_target_refuses_is_described_without_its_value() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20) check (name <> 'secret'))",
    );
    let items = define_items(&mut bench);
    let end = bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\tsecret");
    });
    let log = refused(&bench, &["public.items", "23514", "items_name_check", &end]);
    assert!(!log.contains("secret"), "{log}");
    assert_eq!(bench.rows("select count(*) from items"), ["0"]);
    assert_eq!(
        bench.staging_rows("select loader_state from mysql2gp.status"),
        ["failed"]
    );
}

#[test]
fn a_value_that_the_target_cannot_read_names_its_column() {
    let mut bench = Bench::new("create table t (id integer primary key, u uuid, j jsonb)");
    let table = bench.staged.define(
        "t",
        &[("id", int()), ("u", varchar(40)), ("j", ColumnType::Json)],
        &["id"],
    );
    bench.staged.transaction(|t| {
        t.insert(table, "1\tsecret\t\\N");
    });
    let log = refused(&bench, &["22P02", "column u"]);
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_statement_stops_before_it_and_goes_on_when_acknowledged() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    let statement = bench.staged.transaction(|t| {
        t.statement("items", "alter table items add column price int");
    });
    let wide = bench.staged.define(
        "items",
        &[("id", int()), ("name", varchar(20)), ("price", int())],
        &["id"],
    );
    bench.staged.transaction(|t| {
        t.update(wide, "1\tone\t5");
    });
    refused(
        &bench,
        &[
            "shop.items",
            "add column price",
            &format!("ack {statement}"),
        ],
    );
    assert_eq!(bench.rows("select id, name from items"), ["1|one"]);

    let (code, log) = bench.run(&["ack", "mysql-bin.000001:999999"]);
    assert_eq!(code, 2, "{log}");
    assert!(
        log.contains(&format!("the next one is at {statement}")),
        "{log}"
    );
    bench.rows("alter table items add column price integer");
    let (code, log) = bench.run(&["ack", &statement]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(bench.applied(), statement);
    let (code, _) = bench.run(&["ack", &statement]);
    assert_eq!(code, 2);
    bench.once();
    assert_eq!(bench.rows("select * from items"), ["1|one|5"]);
}

#[test]
fn a_definition_may_change_within_a_batch() {
    let mut bench = Bench::new("create table items (id integer primary key, name varchar(30))");
    let items = define_items(&mut bench);
    let wider = bench
        .staged
        .define("items", &[("id", int()), ("name", varchar(30))], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\ttwo");
        t.update(wider, "1\tONE");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, name from items order by id"),
        ["1|ONE", "2|two"]
    );
}

#[test]
fn another_log_and_another_start_are_refused() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.change("update mysql2gp.checkpoint set timeline_id = 'elsewhere', log_id = 'log-2'");
    refused(&bench, &["log-2", "none that this staging", "reset"]);
    bench.change(&format!(
        "update mysql2gp.checkpoint set timeline_id = '{TIMELINE}', log_id = 'log-1'"
    ));
    bench.set("src.mysql", "binlogfile_offset", 1000);
    refused(
        &bench,
        &["mysql-bin.000001:1000", "mysql-bin.000001:4", "reset"],
    );
}

#[test]
fn emptied_tables_are_noticed_and_rightly_empty_ones_are_not() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.rows("truncate items");
    refused(&bench, &["all replicated target tables are empty", "reset"]);
    bench.rows("insert into items values (1, 'one')");
    bench.staged.transaction(|t| {
        t.delete(items, "1");
    });
    bench.once();
    bench.once();
    assert_eq!(bench.rows("select count(*) from items"), ["0"]);
    // Another staging has not counted rows, and cannot know.
    bench.staged.renew();
    define_items(&mut bench);
    refused(&bench, &["all replicated target tables are empty", "reset"]);
}

#[test]
fn a_filled_table_without_a_key_cannot_overlap() {
    let mut bench = Bench::new("create table log (line varchar(20)); insert into log values ('x')");
    let log = bench.staged.define("log", &[("line", varchar(20))], &[]);
    bench.staged.transaction(|t| {
        t.insert(log, "y");
    });
    refused(&bench, &["shop.log", "no key", "skip_no_pk_table"]);
}

#[test]
fn without_the_replica_role_triggers_are_refused() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         create table parts (id integer primary key, item integer references items on delete cascade)",
    );
    let name = bench.name.clone();
    bench.rows(&format!(
        "create role {name} login; grant all on schema public to {name}; \
         grant all on database {name}_target to {name}; \
         grant select, insert, update, delete, truncate on items to {name}"
    ));
    let connect_string = crate::bench::server()
        .connect_string(&format!("{name}_target"))
        .replace("user=postgres", &format!("user={name}"));
    bench.set("desc.pgsql", "connect_string", &connect_string);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    refused(&bench, &["parts_item_fkey", "session_replication_role"]);
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("FAIL table shop.items"), "{out}");
    bench.rows("drop table parts");
    bench.once();
    assert_eq!(bench.rows("select id from items"), ["1"]);
}

#[test]
fn reset_forgets_the_task_unless_a_loader_runs() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    let (code, log) = bench.run(&["reset"]);
    assert_eq!(code, 2, "{log}");
    let mut running = bench.start(&[]);
    running
        .program
        .wait_log("applying task", crate::bench::TIMEOUT);
    let (code, log) = bench.run(&["reset", "--yes"]);
    assert_eq!(code, 1, "{log}");
    running.program.sigterm();
    running.finish();
    let (code, out) = bench.run_for_output(&["reset", "--yes"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("forgot task"), "{out}");
    assert_eq!(bench.applied(), "");
}

#[test]
fn status_shows_the_views_for_a_person_and_a_script() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    let end = bench.staged.transaction(|t| {
        t.insert(items, "1\tone").update(items, "1\tuno");
    });
    bench.once();
    let (code, out) = bench.run_for_output(&["status"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains(&format!("loader    stopped         {end}")),
        "{out}"
    );
    assert!(out.contains("shop.items  public.items  active"), "{out}");
    let (code, out) = bench.run_for_output(&["status", "--json"]);
    assert_eq!(code, 0, "{out}");
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["status"]["loader_state"], "stopped");
    assert_eq!(answer["status"]["total_lag_seconds"], 0.0);
    assert_eq!(answer["tables"][0]["applied_rows"], 1);
    assert_eq!(answer["tables"][0]["merge_ratio"], 2.0);
}

#[test]
fn check_tells_what_is_well_and_what_is_not() {
    let mut bench =
        Bench::new("create table items (id integer primary key, name varchar(20), extra text)");
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 0, "{out}");
    define_items(&mut bench);
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 0, "{out}");
    for part in [
        "ok   staging serves task",
        "ok   target has no checkpoint",
        "ok   table shop.items -> public.items",
        "warn target table public.items has columns that the source lacks: extra",
    ] {
        assert!(out.contains(part), "{out}");
    }
    bench.rows("alter table items alter column name type varchar(5)");
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("make it varchar(20)"), "{out}");
    bench.set(
        "desc.pgsql",
        "connect_string",
        "host=127.0.0.1 port=1 dbname=x user=x",
    );
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 1, "{out}");
}

#[test]
fn configuration_errors_exit_with_2() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "lod_batch", 1);
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("load_batch"), "{log}");
    let (code, _) = bench.run(&["--once", "--until", "nonsense"]);
    assert_eq!(code, 2);
}
