//! Batches of many rows, which replace those of their key in one statement.

use crate::apply::define_items;
use crate::bench::Bench;
use crate::staged::{int, varchar};

/// Rows that are replaced; enough for the path, see `apply::replace`.
const ROWS: u32 = 400;

/// A table that holds rows 1 to [`ROWS`], applied.
fn filled(table: &str) -> (Bench, common::table::DefinitionId) {
    let mut bench = Bench::new(table);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        for id in 1..=ROWS {
            t.insert(items, &format!("{id}\told"));
        }
    });
    bench.once();
    (bench, items)
}

/// Rows that were updated since the table was made; a delete and an insert are no update.
fn updated(bench: &mut Bench) -> String {
    bench.change("select pg_stat_clear_snapshot()");
    testkit::wait_until(crate::bench::TIMEOUT, "the statistics", || {
        bench.rows("select n_live_tup > 0 from pg_stat_user_tables where relname = 'items'")
            == ["t"]
    });
    bench
        .rows("select n_tup_upd from pg_stat_user_tables where relname = 'items'")
        .join("")
}

/// Index scans of the table so far, once they are counted; ours are none.
fn index_scans(bench: &mut Bench) -> i64 {
    bench.change("select pg_stat_clear_snapshot()");
    bench.rows("select idx_scan from pg_stat_user_tables where relname = 'items'")[0]
        .parse()
        .unwrap()
}

#[test]
fn a_good_part_of_a_table_is_replaced_by_reading_it_and_a_small_part_by_key() {
    let mut bench = Bench::new("create table items (id integer primary key, name text)");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        for id in 1..=8_000 {
            t.insert(items, &format!("{id}\told"));
        }
    });
    bench.once();
    bench.staged.transaction(|t| {
        for id in 1..=4_000 {
            t.update(items, &format!("{id}\thalf"));
        }
        t.insert(items, "9000\tborn").delete(items, "8000");
    });
    bench.once();
    assert_eq!(
        names(&mut bench),
        ["born|1|9000|9000", "half|4000|1|4000", "old|3999|4001|7999"]
    );
    testkit::wait_until(crate::bench::TIMEOUT, "the statistics", || {
        bench.change("select pg_stat_clear_snapshot()");
        bench.rows("select n_tup_upd from pg_stat_user_tables where relname = 'items'") == ["4000"]
    });
    assert!(index_scans(&mut bench) < 10, "rows were looked up by key");
    bench.staged.transaction(|t| {
        for id in 3_001..=4_500 {
            t.update(items, &format!("{id}\tpart"));
        }
    });
    bench.once();
    testkit::wait_until(crate::bench::TIMEOUT, "the statistics", || {
        index_scans(&mut bench) >= 1_500
    });
    // In rounds of one transaction, each in the way that is best for it.
    bench.set("binlogloader", "batch_bytes", 200_000);
    bench.staged.transaction(|t| {
        for id in 1..=7_999 {
            t.update(items, &format!("{id}\tlast"));
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), ["born|1|9000|9000", "last|7999|1|7999"]);
}

fn names(bench: &mut Bench) -> Vec<String> {
    bench.rows("select name, count(*), min(id), max(id) from items group by 1 order by 1")
}

#[test]
fn many_rows_are_replaced_in_place_among_deletes_and_inserts() {
    let (mut bench, items) = filled("create table items (id integer primary key, name text)");
    bench.staged.transaction(|t| {
        for id in 1..=300 {
            t.update(items, &format!("{id}\tnew"));
        }
        for id in 301..=320 {
            t.delete(items, &id.to_string());
        }
        // Deleted and back within the batch, and moved to a key that was freed.
        t.delete(items, "321").insert(items, "321\tback");
        t.update_key(items, "320\tmoved", "322");
        t.insert(items, "9000\tborn");
    });
    bench.once();
    assert_eq!(
        names(&mut bench),
        [
            "back|1|321|321",
            "born|1|9000|9000",
            "moved|1|320|320",
            "new|300|1|300",
            "old|78|323|400"
        ]
    );
    assert_ne!(updated(&mut bench), "0");
}

#[test]
fn rows_that_the_target_has_lost_come_back() {
    let (mut bench, items) = filled("create table items (id integer primary key, name text)");
    bench.change("delete from items where id between 10 and 20");
    bench.staged.transaction(|t| {
        for id in 1..=ROWS {
            t.update(items, &format!("{id}\tnew"));
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), ["new|400|1|400"]);
}

#[test]
fn columns_of_the_target_alone_are_reset() {
    let (mut bench, items) = filled(
        "create table items (id integer primary key, note text default 'none', name text, \
                             twice integer generated always as (id * 2) stored)",
    );
    bench.change("update items set note = 'by hand'");
    bench.staged.transaction(|t| {
        for id in 1..=ROWS - 1 {
            t.update(items, &format!("{id}\tnew"));
        }
    });
    bench.once();
    assert_eq!(
        bench.rows("select note, name, count(*), sum(twice) from items group by 1, 2 order by 1"),
        ["by hand|old|1|800", "none|new|399|159600"]
    );
}

#[test]
fn another_unique_index_takes_the_way_by_delete_and_insert() {
    for index in [
        "create unique index on items (name)",
        "create unique index on items (lower(name)) where id > 0",
        "alter table items add exclude using btree (name with =)",
    ] {
        let mut bench = Bench::new(&format!(
            "create table items (id integer primary key, name text); {index}"
        ));
        let items = define_items(&mut bench);
        bench.staged.transaction(|t| {
            for id in 1..=ROWS {
                t.insert(items, &format!("{id}\tn{id}"));
            }
        });
        bench.once();
        // Every name moves on by one row.
        bench.staged.transaction(|t| {
            for id in 1..=ROWS {
                t.update(items, &format!("{id}\tn{}", id % ROWS + 1));
            }
        });
        bench.once();
        assert_eq!(
            bench.rows("select count(*) from items where name = 'n' || (id % 400 + 1)"),
            ["400"],
            "{index}"
        );
        assert_eq!(updated(&mut bench), "0", "{index}");
    }
}

#[test]
fn a_rule_on_the_target_takes_the_way_by_delete_and_insert() {
    let (mut bench, items) = filled(
        "create table items (id integer primary key, name text); create table seen (id integer); \
         create rule look as on update to items do also insert into seen values (new.id)",
    );
    bench.staged.transaction(|t| {
        for id in 1..=ROWS {
            t.update(items, &format!("{id}\tnew"));
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), ["new|400|1|400"]);
}

#[test]
fn an_identity_that_takes_no_value_in_an_update_goes_by_delete_and_insert() {
    let (mut bench, items) = filled(
        "create table items (id integer generated always as identity primary key, name text)",
    );
    bench.staged.transaction(|t| {
        for id in 1..=ROWS {
            t.update(items, &format!("{id}\tnew"));
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), ["new|400|1|400"]);
}

#[test]
fn a_refused_row_among_replaced_ones_is_found() {
    let (mut bench, items) = filled(
        "create table items (id integer primary key, name text check (name <> 'never' and length(name) < 6))",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 10);
    bench.staged.transaction(|t| {
        for id in 1..=ROWS {
            let name = match id {
                77 => "never",
                200 => "too long",
                _ => "new",
            };
            t.update(items, &format!("{id}\t{name}"));
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), ["new|398|1|400"]);
    assert_eq!(
        bench.staging_rows("select key ->> 'id', sqlstate from mysql2gp.dead_letters order by id"),
        ["77|23514", "200|23514"]
    );
}

#[test]
fn a_key_that_takes_different_texts_for_equal_is_refused() {
    let mut bench = Bench::new(
        "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         create table items (name varchar(20) collate loose primary key, n integer)",
    );
    let items = bench
        .staged
        .define("items", &[("name", varchar(20)), ("n", int())], &["name"]);
    bench.staged.transaction(|t| {
        t.insert(items, "a\t1").insert(items, "A\t2");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("key column name has a collation"), "{log}");
    bench.change("alter table items alter column name type varchar(20) collate \"C\"");
    bench.once();
    assert_eq!(
        bench.rows("select name, n from items order by n"),
        ["a|1", "A|2"]
    );
}

#[test]
fn rounds_of_one_transaction_replace_what_earlier_ones_wrote() {
    let (mut bench, items) = filled("create table items (id integer primary key, name text)");
    bench.set("binlogloader", "batch_bytes", 65_536);
    let wide = "x".repeat(300);
    bench.staged.transaction(|t| {
        for pass in 1..=3 {
            for id in 1..=ROWS {
                t.update(items, &format!("{id}\t{pass}{wide}"));
            }
        }
    });
    bench.once();
    assert_eq!(names(&mut bench), [format!("3{wide}|400|1|400")]);
}

#[test]
fn rows_of_a_partitioned_table_are_replaced_where_they_lie() {
    let (mut bench, items) = filled(
        "create table items (id integer primary key, name text) partition by range (id); \
         create table items1 partition of items for values from (0) to (200); \
         create table items2 partition of items for values from (200) to (500) partition by range (id); \
         create table items3 partition of items2 for values from (200) to (300); \
         create table items4 partition of items2 for values from (300) to (500)",
    );
    bench.staged.transaction(|t| {
        for id in 1..=390 {
            t.update(items, &format!("{id}\tnew"));
        }
        t.delete(items, "400").update_key(items, "450\tmoved", "10");
    });
    bench.once();
    assert_eq!(
        names(&mut bench),
        ["moved|1|450|450", "new|389|1|390", "old|9|391|399"]
    );
    assert_eq!(
        bench.rows("select tableoid::regclass, count(*) from items group by 1 order by tableoid::regclass::text"),
        ["items1|198", "items3|100", "items4|101"]
    );
}
