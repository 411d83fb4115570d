//! What the stream says is on the target afterwards.

use common::table::{ColumnType, DefinitionId};

use crate::bench::Bench;
use crate::staged::{Lines, int, varchar};

pub(crate) const ITEMS: &str = "create table items (id integer primary key, name varchar(20))";

pub(crate) fn define_items(bench: &mut Bench) -> DefinitionId {
    bench
        .staged
        .define("items", &[("id", int()), ("name", varchar(20))], &["id"])
}

const ALL_ITEMS: &str = "select id, name from items order by id";

#[test]
fn inserts_updates_and_deletes_arrive() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\ttwo");
        t.insert(items, "3\tthree");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|one", "2|two", "3|three"]);

    let end = bench.staged.transaction(|t| {
        t.update(items, "1\tONE").delete(items, "2");
        t.update_key(items, "4\tthree", "3").insert(items, "5\t\\N");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|ONE", "4|three", "5|NULL"]);
    assert_eq!(bench.applied(), end);
}

#[test]
fn secondary_unique_keys_may_swap_within_a_batch() {
    let mut bench =
        Bench::new("create table items (id integer primary key, name varchar(20) not null unique)");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\ta")
            .insert(items, "2\tb")
            .insert(items, "3\tc");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tx")
            .update(items, "2\ta")
            .update(items, "1\tb");
        t.update_key(items, "9\tc", "3")
            .update_key(items, "3\tb2", "1");
        t.update_key(items, "1\tc2", "9");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|c2", "2|a", "3|b2"]);
}

#[test]
fn composite_keys_of_many_types_find_their_rows() {
    let mut bench = Bench::new(
        "create table wide (note text, d date, b bytea, c char(5), u uuid, bits bit(3), n numeric(20), \
         primary key (b, d, c, u, bits, n))",
    );
    let columns = [
        (
            "note",
            ColumnType::Text {
                charset: "utf8mb4".into(),
            },
        ),
        ("d", ColumnType::Date),
        ("b", ColumnType::Varbinary { max_bytes: 20 }),
        (
            "c",
            ColumnType::Char {
                max_chars: 5,
                charset: "utf8mb4".into(),
            },
        ),
        ("u", ColumnType::Uuid),
        ("bits", ColumnType::Bit { bits: 3 }),
        (
            "n",
            ColumnType::Integer {
                width: common::table::IntegerWidth::Big,
                sign: common::table::Sign::Unsigned,
            },
        ),
    ];
    let wide = bench
        .staged
        .define("wide", &columns, &["b", "d", "c", "u", "bits", "n"]);
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let row = |note: &str, c: &str| {
        format!("{note}\t2024-05-06\t\\\\x00ff5c\t{c}\t{uuid}\t101\t18446744073709551615")
    };
    let key = |c: &str| format!("\\\\x00ff5c\t2024-05-06\t{c}\t{uuid}\t101\t18446744073709551615");
    bench.staged.transaction(|t| {
        t.insert(wide, &row("one", "a\\\\b"));
        t.insert(wide, &row("two", "t\\tq"));
        t.insert(wide, &row("three", "c"));
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(wide, &row("ONE", "a\\\\b"));
        t.delete(wide, &key("t\\tq"));
        t.update_key(wide, &row("three", "d"), &key("c"));
    });
    bench.once();
    assert_eq!(
        bench.rows("select note, trim(c) from wide order by note"),
        ["ONE|a\\b", "three|d"]
    );
}

#[test]
fn a_keyless_table_is_a_multiset() {
    let mut bench = Bench::new(
        "create table log (level integer not null, line varchar(20), ratio double precision, extra json)",
    );
    let columns = [
        ("level", int()),
        ("line", varchar(20)),
        ("ratio", ColumnType::Double),
        ("extra", ColumnType::Json),
    ];
    let log = bench.staged.define("log", &columns, &[]);
    bench.staged.transaction(|t| {
        for _ in 0..3 {
            t.insert(log, "1\tsame\t0.5\t{\"a\": 1}");
        }
        t.insert(log, "2\t\\N\t\\N\t\\N")
            .insert(log, "2\t\\N\t\\N\t\\N");
        t.insert(log, "3\tx\t-0\t\\N").insert(log, "3\tx\t0\t\\N");
    });
    bench.once();
    bench.staged.transaction(|t| {
        // Two of three equal rows, one of two with NULLs, and the one of two zeros that is meant.
        t.delete_full(log, "1\tsame\t0.5\t{\"a\": 1}");
        t.update_full(log, "1\tother\t0.5\t{}", "1\tsame\t0.5\t{\"a\": 1}");
        t.delete_full(log, "2\t\\N\t\\N\t\\N");
        t.delete_full(log, "3\tx\t-0\t\\N");
        // Comes and goes within the batch.
        t.insert(log, "4\tgone\t1\t\\N")
            .delete_full(log, "4\tgone\t1\t\\N");
    });
    bench.once();
    assert_eq!(
        bench.rows("select level, line, ratio, extra from log order by level, line"),
        [
            "1|other|0.5|{}",
            "1|same|0.5|{\"a\": 1}",
            "2|NULL|NULL|NULL",
            "3|x|0|NULL"
        ]
    );
}

#[test]
fn a_keyless_table_may_be_partitioned() {
    let mut bench = Bench::new(
        "create table log (level integer not null, line varchar(20)) partition by list (level); \
         create table log1 partition of log for values in (1); \
         create table log2 partition of log for values in (2)",
    );
    let log = bench
        .staged
        .define("log", &[("level", int()), ("line", varchar(20))], &[]);
    bench.staged.transaction(|t| {
        t.insert(log, "1\ta")
            .insert(log, "1\ta")
            .insert(log, "2\ta")
            .insert(log, "2\ta");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.delete_full(log, "1\ta").update_full(log, "1\tb", "2\ta");
    });
    bench.once();
    assert_eq!(
        bench.rows("select level, line from log order by 1, 2"),
        ["1|a", "1|b", "2|a"]
    );
}

#[test]
fn truncate_empties_the_table_in_its_place_of_the_order() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\ttwo");
    });
    bench.staged.transaction(|t| {
        t.truncate(items);
    });
    bench.staged.transaction(|t| {
        t.insert(items, "2\tagain");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["2|again"]);
    assert_eq!(
        bench.staging_rows("select transactions from mysql2gp.batches order by batch_id"),
        ["1", "1", "1"]
    );
}

#[test]
fn other_column_orders_cases_defaults_and_generated_columns_fit() {
    let mut bench = Bench::new(
        "create table \"Items\" (name varchar(20), extra integer default 7, \
         twice integer generated always as (id * 2) stored, id integer generated always as identity primary key); \
         create table numbered (id integer generated by default as identity, name varchar(20) not null, \
                number serial, primary key (name))",
    );
    let items = define_items(&mut bench);
    let numbered = bench.staged.define(
        "numbered",
        &[("id", int()), ("name", varchar(20))],
        &["name"],
    );
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\ttwo");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "2\tTWO");
        t.insert(numbered, "70\ta").insert(numbered, "71\tb");
        t.update(numbered, "90\ta");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, name, extra, twice from \"Items\" order by id"),
        ["1|one|7|2", "2|TWO|7|4"]
    );
    // Identities take the stream's values, and what the source lacks is filled by the target.
    assert_eq!(
        bench.rows("select id, name, number from numbered order by name"),
        ["90|a|1", "71|b|2"]
    );
}

#[test]
fn triggers_and_foreign_keys_do_not_repeat_what_the_source_did() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         create table parts (id integer primary key, item integer references items on delete cascade); \
         create function fail() returns trigger language plpgsql as $$ begin raise 'fired'; end $$; \
         create trigger fail before delete on items for each row execute function fail()",
    );
    let items = define_items(&mut bench);
    let parts = bench
        .staged
        .define("parts", &[("id", int()), ("item", int())], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(parts, "1\t1").insert(items, "1\tone");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tONE");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|ONE"]);
    assert_eq!(bench.rows("select id, item from parts"), ["1|1"]);
}

#[test]
fn zero_dates_and_time_zones_follow_the_configuration() {
    let mut bench = Bench::new("create table t (id integer primary key, d date, ts timestamp(3))");
    bench.set("src.mysql", "time_zone", "+02:00");
    let table = bench.staged.define(
        "t",
        &[
            ("id", int()),
            ("d", ColumnType::Date),
            ("ts", ColumnType::Timestamp { digits: 3 }),
        ],
        &["id"],
    );
    bench.staged.transaction(|t| {
        t.insert(table, "1\t0000-00-00\t2024-05-06 23:30:00.125+00");
        t.insert(table, "2\t2024-05-06\t0000-00-00 00:00:00");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, d, ts from t order by id"),
        ["1|NULL|2024-05-07 01:30:00.125", "2|2024-05-06|NULL"]
    );
}

#[test]
fn an_oversized_transaction_goes_in_rounds_and_commits_at_once() {
    let mut bench = Bench::new(ITEMS);
    bench.set("binlogloader", "batch_bytes", 20_000);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        for id in 0..3000 {
            t.insert(items, &format!("{id}\tn{id}"));
        }
        for id in 0..1000 {
            t.update(items, &format!("{id}\tm{id}"));
        }
        for id in 2500..3000 {
            t.delete(items, &id.to_string());
        }
    });
    bench.once();
    assert_eq!(
        bench.rows("select count(*), count(*) filter (where name = 'm' || id), max(id) from items"),
        ["2500|1000|2499"]
    );
    assert_eq!(
        bench.staging_rows("select transactions, row_events from mysql2gp.batches"),
        ["1|4500"]
    );
    assert_eq!(
        bench.staging_rows("select inserts, updates, deletes from mysql2gp.tables"),
        ["3000|1000|500"]
    );
}

#[test]
fn rows_that_are_there_already_are_replaced_and_warned_of() {
    let mut bench = Bench::new(ITEMS);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.rows("insert into items values (2, 'by hand')");
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo").insert(items, "3\tthree");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains("target held rows that the stream inserts"),
        "{log}"
    );
    assert_eq!(bench.rows(ALL_ITEMS), ["1|one", "2|two", "3|three"]);
}

#[test]
fn an_earlier_load_may_overlap_the_stream() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         insert into items values (1, 'later'), (3, 'three')",
    );
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone")
            .insert(items, "2\ttwo")
            .insert(items, "3\tthree");
    });
    let overlap = bench.staged.transaction(|t| {
        t.update(items, "1\tlater").delete(items, "2");
    });
    bench
        .staged
        .client
        .batch_execute(&format!(
            "update mysql2gp.timeline set source_end = '{overlap}'"
        ))
        .unwrap();
    bench.staged.transaction(|t| {
        t.insert(items, "4\tfour");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|later", "3|three", "4|four"]);
    assert_eq!(
        bench.staging_rows("select consistent_from from mysql2gp.status"),
        [overlap]
    );
}

#[test]
fn a_key_without_an_index_on_the_target_still_finds_its_rows() {
    let mut bench = Bench::new("create table items (id integer, name varchar(20))");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        for id in 0..500 {
            t.insert(items, &format!("{id}\tx"));
        }
    });
    bench.once();
    bench.staged.transaction(|t| {
        for id in 0..500 {
            t.update(items, &format!("{id}\ty{id}"));
        }
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(
        log.contains("target table has no index on the key"),
        "{log}"
    );
    assert_eq!(
        bench.rows("select count(*), count(*) filter (where name = 'y' || id) from items"),
        ["500|500"]
    );
}

#[test]
fn rules_send_tables_elsewhere() {
    let mut bench = Bench::new(
        "create schema sales; create table sales.things (id integer primary key, name varchar(20))",
    );
    bench.raw("[[rule]]\nschema = \"shop\"\ntable = \"it*\"\npg_schema = \"sales\"\npg_table = \"things\"");
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    assert_eq!(bench.rows("select id, name from sales.things"), ["1|one"]);
}

#[test]
fn many_tables_many_transactions_and_several_segments_add_up() {
    let tables: Vec<String> = (0..20)
        .map(|n| format!("create table t{n} (id integer primary key, name varchar(20))"))
        .collect();
    let mut bench = Bench::new(&tables.join(";"));
    bench.set("binlogloader", "batch_bytes", 30_000);
    let definitions: Vec<DefinitionId> = (0..20)
        .map(|n| {
            bench.staged.define(
                &format!("t{n}"),
                &[("id", int()), ("name", varchar(20))],
                &["id"],
            )
        })
        .collect();
    for round in 0..5 {
        bench.staged.next_segment();
        let transactions = (0..100)
            .map(|number| {
                let mut lines = Lines::default();
                for table in &definitions {
                    let id = round * 100 + number;
                    lines.insert(*table, &format!("{id}\tn"));
                    if id > 0 {
                        lines.update(*table, &format!("{}\tu{number}", id - 1));
                    }
                }
                lines
            })
            .collect();
        bench.staged.commit(transactions);
    }
    bench.once();
    assert_eq!(
        bench.rows("select count(*), count(*) filter (where name like 'u%') from t19"),
        ["500|499"]
    );
    assert_eq!(
        bench.staging_rows(
            "select sum(inserts), sum(updates) from mysql2gp.tables; \
             select backlog_transactions, backlog_rows, total_lag_seconds from mysql2gp.status"
        ),
        ["10000|9980", "0|0|0.000"]
    );
}

#[test]
fn unlogged_cascades_may_make_the_stream_contradict_itself() {
    let mut bench = Bench::new(ITEMS);
    bench.set("desc.pgsql", "allow_unlogged_cascades", true);
    let items = define_items(&mut bench);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
        // A cascade has deleted the row at the source, unlogged.
        t.insert(items, "1\tagain")
            .delete(items, "2")
            .delete(items, "2");
    });
    bench.once();
    assert_eq!(bench.rows(ALL_ITEMS), ["1|again"]);
}

#[test]
fn a_row_of_several_megabytes_arrives_whole() {
    let mut bench = Bench::new("create table t (id integer primary key, doc text)");
    let text = ColumnType::Text {
        charset: "utf8mb4".into(),
    };
    let table = bench
        .staged
        .define("t", &[("id", int()), ("doc", text)], &["id"]);
    for (id, size) in [(1, 3_000_000), (2, 10), (3, 5_000_000), (4, 100_000)] {
        bench.staged.transaction(|t| {
            t.insert(table, &format!("{id}\t{}", "d".repeat(size)));
            t.update(table, &format!("{id}\t{}", "e".repeat(size + 1)));
        });
    }
    bench.once();
    assert_eq!(
        bench.rows(
            "select id, length(doc), md5(doc) = md5(repeat('e', length(doc))) from t order by id"
        ),
        ["1|3000001|t", "2|11|t", "3|5000001|t", "4|100001|t"]
    );
}
