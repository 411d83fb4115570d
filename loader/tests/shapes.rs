//! Target tables of every shape: constraints, partitions, names, keys that look alike.

use common::table::{ColumnType, DefinitionId};

use crate::bench::Bench;
use crate::staged::{int, varchar};

fn define(bench: &mut Bench, name: &str, columns: &[&str], key: &[&str]) -> DefinitionId {
    let columns: Vec<_> = columns
        .iter()
        .map(|column| match *column {
            "id" | "item" | "region" => (*column, int()),
            text => (text, varchar(20)),
        })
        .collect();
    bench.staged.define(name, &columns, key)
}

/// Has the loader connect as a user that may write the tables, and no more.
fn without_privileges(bench: &mut Bench) {
    let name = bench.name.clone();
    bench.change(&format!(
        "create role {name} login; grant all on schema public to {name}; \
         grant all on database {name}_target to {name}; \
         grant select, insert, update, delete, truncate on all tables in schema public to {name}"
    ));
    let connect_string = crate::bench::server()
        .connect_string(&format!("{name}_target"))
        .replace("user=postgres", &format!("user={name}"));
    bench.set("desc.pgsql", "connect_string", &connect_string);
}

const PARENT_AND_CHILD: &str = "\
create table items (id integer primary key, name varchar(20)); \
create table parts (id integer primary key, item integer references items deferrable)";

#[test]
fn deferrable_foreign_keys_are_checked_at_the_commit() {
    let mut bench = Bench::new(PARENT_AND_CHILD);
    without_privileges(&mut bench);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    let parts = define(&mut bench, "parts", &["id", "item"], &["id"]);
    // The children are written before their parents.
    bench.staged.transaction(|t| {
        t.insert(parts, "1\t\\N").insert(items, "1\tone");
        t.insert(items, "2\ttwo").update(parts, "1\t1");
    });
    bench.once();
    // Parents are deleted and come back, one under another key.
    bench.staged.transaction(|t| {
        t.update(items, "1\tONE").update(parts, "1\t2");
        t.update_key(items, "3\tthree", "1");
        t.insert(parts, "2\t3");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, item from parts order by id"),
        ["1|2", "2|3"]
    );
    assert_eq!(
        bench.rows("select id, name from items order by id"),
        ["2|two", "3|three"]
    );
}

const LETTERS: &str =
    "select table_name, op, key ->> 'id', sqlstate from mysql2gp.dead_letters order by id";

#[test]
fn a_row_that_is_refused_at_the_commit_is_found_and_the_rest_goes_on() {
    let mut bench = Bench::new(PARENT_AND_CHILD);
    without_privileges(&mut bench);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    let parts = define(&mut bench, "parts", &["id", "item"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 2);
    bench.staged.transaction(|t| {
        // The children are written before their parents.
        for id in 1..300 {
            t.insert(parts, &format!("{id}\t{}", id % 10 + 1));
        }
        t.insert(parts, "300\t4711");
        t.update(parts, "17\t4712");
        for id in 1..11 {
            t.insert(items, &format!("{id}\titem"));
        }
    });
    bench.once();
    assert_eq!(bench.rows("select count(*) from parts"), ["298"]);
    assert_eq!(bench.rows("select count(*) from items"), ["10"]);
    assert_eq!(
        bench.staging_rows(LETTERS),
        ["parts|insert|17|23503", "parts|insert|300|23503"]
    );
    let (code, out) = bench.run_for_output(&["dead-letters", "retry"]);
    assert_eq!(code, 3, "{out}");
    assert_eq!(
        out.matches("still refused: SQLSTATE 23503").count(),
        2,
        "{out}"
    );
    // A later change settles one; one more is found.
    let end = bench.staged.transaction(|t| {
        t.update(parts, "17\t3").insert(parts, "301\t4713");
    });
    bench.once();
    assert_eq!(bench.rows("select item from parts where id = 17"), ["3"]);
    assert_eq!(bench.applied(), end);
    // One more than may be.
    let end = bench.staged.transaction(|t| {
        t.update(parts, "18\t3").update(parts, "19\t4714");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    for part in [
        "refuses a row",
        "public.parts",
        "(key id)",
        "23503",
        "parts_item_fkey",
        "it is row 2 of the transaction",
        &end,
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("4714"), "{log}");
    assert_eq!(
        bench.staging_rows("select count(*) from mysql2gp.dead_letters where resolved_at is null"),
        ["2"]
    );
    assert_eq!(
        bench.rows("select count(*) from mysql2gp.checkpoint_dead_letters"),
        ["2"]
    );
}

#[test]
fn what_no_row_can_be_told_for_is_named_with_what_to_do() {
    let mut bench = Bench::new(PARENT_AND_CHILD);
    without_privileges(&mut bench);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    let parts = define(&mut bench, "parts", &["id", "item"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 5);
    bench.staged.transaction(|t| {
        t.insert(items, "4711\tone").insert(parts, "1\t4711");
    });
    bench.once();
    let end = bench.staged.transaction(|t| {
        t.delete(items, "4711").insert(items, "2\ttwo");
        t.insert(parts, "2\t2");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    for part in ["23503", "parts_item_fkey", "table parts", "deferred", &end] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("4711"), "{log}");
    assert_eq!(bench.rows("select id from parts"), ["1"]);
    assert_eq!(bench.rows("select id from items"), ["4711"]);
    assert_eq!(bench.staging_rows(LETTERS), [""; 0]);
}

#[test]
fn the_commit_of_an_oversized_transaction_tells_a_row_of_its_last_round() {
    for (bad, code) in [("2", 0), ("1999", 3)] {
        let mut bench = Bench::new(PARENT_AND_CHILD);
        without_privileges(&mut bench);
        define(&mut bench, "items", &["id", "name"], &["id"]);
        let parts = define(&mut bench, "parts", &["id", "item"], &["id"]);
        bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 5);
        bench.set("binlogloader", "batch_bytes", 20_000);
        let end = bench.staged.transaction(|t| {
            for id in 1..2000 {
                // Counted from the end.
                let item = if (2000 - id).to_string() == bad {
                    "4711"
                } else {
                    "\\N"
                };
                t.insert(parts, &format!("{id}\t{item}"));
            }
        });
        let (found, log) = bench.run(&["--once"]);
        assert_eq!(found, code, "{log}");
        let (count, letters) = if code == 0 {
            ("1998", vec!["parts|insert|1998|23503".to_owned()])
        } else {
            for part in ["23503", "parts_item_fkey", "table parts", "deferred", &end] {
                assert!(log.contains(part), "{part}: {log}");
            }
            ("0", Vec::new())
        };
        assert_eq!(bench.rows("select count(*) from parts"), [count]);
        assert_eq!(bench.staging_rows(LETTERS), letters);
    }
}

#[test]
fn rows_that_need_one_another_are_not_taken_for_refused() {
    let mut bench = Bench::new(
        "create table nodes (id integer primary key, item integer references nodes deferrable initially deferred)",
    );
    without_privileges(&mut bench);
    let nodes = define(&mut bench, "nodes", &["id", "item"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 1);
    bench.staged.transaction(|t| {
        for id in 1..200 {
            t.insert(nodes, &format!("{id}\t{}", id + 1));
        }
        t.insert(nodes, "200\t\\N").insert(nodes, "1000\t4711");
    });
    bench.once();
    assert_eq!(
        bench.rows("select count(*), max(id) from nodes"),
        ["200|200"]
    );
    assert_eq!(bench.staging_rows(LETTERS), ["nodes|insert|1000|23503"]);
}

#[test]
fn a_unique_value_that_is_checked_at_the_commit_moves_and_is_refused_where_it_is_taken() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20) unique deferrable initially deferred)",
    );
    // With the replica role, it is not checked at all.
    without_privileges(&mut bench);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 5);
    bench.staged.transaction(|t| {
        t.insert(items, "1\ta").insert(items, "2\tb");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tb").update(items, "2\ta");
        t.insert(items, "3\ta").insert(items, "4\td");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, name from items order by id"),
        ["1|b", "2|a", "4|d"]
    );
    assert_eq!(bench.staging_rows(LETTERS), ["items|insert|3|23505"]);
}

#[test]
fn what_a_constraint_trigger_raises_at_the_commit_is_found_though_it_names_no_table() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         create table others (id integer primary key, name varchar(20)); \
         create function refuse() returns trigger language plpgsql as \
         $$ begin if new.name = 'secret' then raise 'no % here', new.name; end if; return null; end $$; \
         create constraint trigger refuse after insert on others deferrable initially deferred \
         for each row execute function refuse(); \
         alter table others enable always trigger refuse",
    );
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    let others = define(&mut bench, "others", &["id", "name"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 1);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(others, "1\tone");
        t.insert(others, "2\tsecret").insert(others, "3\tthree");
    });
    bench.once();
    assert_eq!(bench.rows("select id from items"), ["1"]);
    assert_eq!(bench.rows("select id from others order by id"), ["1", "3"]);
    assert_eq!(bench.staging_rows(LETTERS), ["others|insert|2|P0001"]);
}

/// The checkpoint's own statement divides by zero where the loader is fenced.
#[test]
fn a_trigger_that_divides_by_zero_at_the_commit_is_no_other_loader() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         create function divide() returns trigger language plpgsql as \
         $$ begin perform 1 / length(new.name); return null; end $$; \
         create constraint trigger divide after insert on items deferrable initially deferred \
         for each row execute function divide(); \
         alter table items enable always trigger divide",
    );
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 1);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\t");
    });
    bench.once();
    assert_eq!(bench.rows("select id from items"), ["1"]);
    assert_eq!(bench.staging_rows(LETTERS), ["items|insert|2|22012"]);
}

#[test]
fn triggers_and_foreign_keys_of_a_partition_are_refused_without_the_replica_role() {
    for (trouble, named) in [
        (
            "create trigger changed after delete on items_2 for each row execute function fail()",
            "trigger changed",
        ),
        (
            "alter table items_2 add constraint of_item foreign key (region) references others on delete cascade",
            "foreign key of_item",
        ),
    ] {
        let mut bench = Bench::new(&format!(
            "create function fail() returns trigger language plpgsql as $$ begin raise 'fired'; end $$; \
             create table others (region integer primary key); \
             create table items (id integer, region integer, primary key (id, region)) partition by list (region); \
             create table items_1 partition of items for values in (1); \
             create table items_2 partition of items for values in (2); {trouble}"
        ));
        without_privileges(&mut bench);
        let items = define(&mut bench, "items", &["id", "region"], &["id"]);
        bench.staged.transaction(|t| {
            t.insert(items, "1\t1");
        });
        let (code, log) = bench.run(&["--once"]);
        assert_eq!(code, 3, "{log}");
        assert!(log.contains(named), "{log}");
    }
}

#[test]
fn a_key_that_is_unique_at_the_commit_only_gets_no_second_row() {
    let mut bench = Bench::new(
        "create table items (id integer primary key deferrable initially deferred, name varchar(20))",
    );
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    bench.once();
    bench.rows("insert into items values (2, 'by hand')");
    bench.staged.transaction(|t| {
        t.insert(items, "2\ttwo").insert(items, "3\tthree");
    });
    bench.once();
    assert_eq!(
        bench.rows("select id, name from items order by id, name"),
        ["1|one", "2|two", "3|three"]
    );
}

#[test]
fn what_a_trigger_raises_is_told_without_its_words() {
    let mut bench = Bench::new(
        "create table items (id integer primary key, name varchar(20)); \
         create function refuse() returns trigger language plpgsql as \
         $$ begin raise 'no % here', coalesce(new.name, old.name); end $$; \
         create trigger refuse before insert on items for each row when (new.name = 'secret') execute function refuse(); \
         create trigger keep before delete on items for each row when (old.name = 'kept') execute function refuse(); \
         alter table items enable always trigger refuse, enable always trigger keep",
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 1);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone").insert(items, "2\tsecret");
        t.insert(items, "3\tkept");
    });
    bench.once();
    assert_eq!(bench.rows("select id from items order by id"), ["1", "3"]);
    assert_eq!(
        bench.staging_rows("select key, sqlstate from mysql2gp.dead_letters"),
        ["{\"id\": \"2\"}|P0001"]
    );
    // Nothing can take the place of a delete.
    bench.staged.transaction(|t| {
        t.delete(items, "3");
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 3, "{log}");
    for part in ["P0001", "public.items", "refused by a trigger"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("kept here"), "{log}");
}

#[test]
fn a_row_moves_between_partitions_with_its_columns_and_with_its_key() {
    let mut bench = Bench::new(
        "create table items (id integer, region integer, name varchar(20), primary key (id, region)) \
         partition by list (region); \
         create table items_1 partition of items for values in (1); \
         create table items_2 partition of items for values in (2)",
    );
    let by_id = define(&mut bench, "items", &["id", "region", "name"], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(by_id, "1\t1\tone").insert(by_id, "2\t2\ttwo");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(by_id, "1\t2\tone").update(by_id, "2\t1\ttwo");
    });
    bench.once();
    let place = "select tableoid::regclass, id, name from items order by id";
    assert_eq!(bench.rows(place), ["items_2|1|one", "items_1|2|two"]);
    let by_both = define(
        &mut bench,
        "items",
        &["id", "region", "name"],
        &["id", "region"],
    );
    bench.staged.transaction(|t| {
        t.update_key(by_both, "1\t1\tone", "1\t2");
        t.update_key(by_both, "2\t2\tTWO", "2\t1");
    });
    bench.once();
    assert_eq!(bench.rows(place), ["items_1|1|one", "items_2|2|TWO"]);
}

#[test]
fn unique_values_move_over_the_rounds_of_an_oversized_transaction() {
    const ROWS: u32 = 1500;
    let mut bench =
        Bench::new("create table items (id integer primary key, name varchar(20) not null unique)");
    bench.set("binlogloader", "batch_bytes", 4000);
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    bench.staged.transaction(|t| {
        for id in 0..ROWS {
            t.insert(items, &format!("{id}\tvalue {id}"));
        }
    });
    bench.once();
    // Every value moves to the next row, as a source can do it: one row makes room.
    bench.staged.transaction(|t| {
        t.update(items, "0\taway");
        for id in 1..ROWS {
            t.update(items, &format!("{id}\tvalue {}", id - 1));
        }
        t.update(items, &format!("0\tvalue {}", ROWS - 1));
    });
    bench.once();
    assert_eq!(
        bench.rows(&format!(
            "select count(*), count(*) filter (where name = 'value ' || (id + {ROWS} - 1) % {ROWS}) from items"
        )),
        [format!("{ROWS}|{ROWS}")]
    );
    assert_eq!(
        bench.staging_rows("select transactions from mysql2gp.batches order by batch_id"),
        ["1", "1"]
    );
}

#[test]
fn names_with_capitals_quotes_and_any_script_are_written() {
    let mut bench = Bench::new(
        "create table \"Tür \"\"zu\"\"\" (\"ID\" integer, \"Spalte; --\" varchar(20), \"имя\" varchar(20), \
                primary key (\"имя\", \"ID\")); \
         create table \"日誌\" (\"select\" varchar(20), \"a\"\"b\" varchar(20))",
    );
    let door = bench.staged.define(
        "Tür \"zu\"",
        &[
            ("id", int()),
            ("Spalte; --", varchar(20)),
            ("имя", varchar(20)),
        ],
        &["имя", "id"],
    );
    let log = define(&mut bench, "日誌", &["select", "a\"b"], &[]);
    bench.staged.transaction(|t| {
        t.insert(door, "1\tone\tä").insert(door, "2\ttwo\tö");
        t.insert(log, "x\ty")
            .insert(log, "x\ty")
            .insert(log, "\\N\ty");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(door, "1\tONE\tä")
            .update_key(door, "2\ttwo\tü", "ö\t2");
        t.delete_full(log, "x\ty")
            .update_full(log, "z\ty", "\\N\ty");
    });
    bench.once();
    assert_eq!(
        bench.rows("select * from \"Tür \"\"zu\"\"\" order by 1"),
        ["1|ONE|ä", "2|two|ü"]
    );
    assert_eq!(
        bench.rows("select * from \"日誌\" order by 1"),
        ["x|y", "z|y"]
    );
}

#[test]
fn keys_that_look_alike_are_told_apart() {
    let mut bench = Bench::new(
        "create table words (name varchar(20) primary key, note varchar(20)); \
         create table bytes (name bytea primary key, note varchar(20)); \
         create table ratios (ratio double precision primary key, note varchar(20))",
    );
    let words = define(&mut bench, "words", &["name", "note"], &["name"]);
    let bytes = bench.staged.define(
        "bytes",
        &[
            ("name", ColumnType::Varbinary { max_bytes: 20 }),
            ("note", varchar(20)),
        ],
        &["name"],
    );
    let ratios = bench.staged.define(
        "ratios",
        &[("ratio", ColumnType::Double), ("note", varchar(20))],
        &["ratio"],
    );
    let alike = ["a", "A", "á", "a ", "a\u{301}", " a", "", " "];
    bench.staged.transaction(|t| {
        for word in alike {
            t.insert(words, &format!("{word}\t1"));
        }
        for name in ["", "00", "0000", "61", "6100", "ff"] {
            t.insert(bytes, &format!("\\\\x{name}\t1"));
        }
        t.insert(ratios, "0\tzero").insert(ratios, "0.1\ttenth");
        t.insert(ratios, "0.30000000000000004\tsum")
            .insert(ratios, "0.3\tthird");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(words, "a\t2").delete(words, "A");
        t.update_key(words, "A \t3", "a ").delete(words, "");
        t.update(bytes, "\\\\x00\t2").delete(bytes, "\\\\x6100");
        t.update_key(bytes, "\\\\x616100\t3", "\\\\x61");
        // The zeros are equal for the target, and two keys for the stream.
        t.update_key(ratios, "-0\tnegative", "0");
        t.delete(ratios, "0.3");
    });
    bench.once();
    assert_eq!(
        bench.rows("select name, note from words order by note desc, name collate \"C\""),
        ["A |3", "a|2", " |1", " a|1", "a\u{301}|1", "á|1"]
    );
    assert_eq!(
        bench.rows("select encode(name, 'hex'), note from bytes order by name"),
        ["|1", "00|2", "0000|1", "616100|3", "ff|1"]
    );
    let all_ratios = "select ratio, note from ratios order by ratio";
    assert_eq!(
        bench.rows(all_ratios),
        ["-0|negative", "0.1|tenth", "0.30000000000000004|sum"]
    );
    // Within one batch to and fro, and away.
    bench.staged.transaction(|t| {
        t.update_key(ratios, "0\tzero", "-0")
            .update_key(ratios, "-0\tagain", "0");
        t.update_key(ratios, "0\tlast", "-0");
    });
    bench.once();
    assert_eq!(bench.rows(all_ratios)[0], "0|last");
    bench.staged.transaction(|t| {
        t.delete(ratios, "0").insert(ratios, "-0\tnew");
    });
    bench.once();
    assert_eq!(bench.rows(all_ratios)[0], "-0|new");
}

/// Rows of the table that the statements of the loader have read one by one.
fn rows_read(bench: &mut Bench, table: &str) -> u64 {
    // The loader's session has ended, and with it its counts have arrived.
    // So should those of this one, which reads the table, too.
    bench.rows("select pg_stat_force_next_flush()");
    bench.rows("select pg_stat_clear_snapshot()");
    bench.rows(&format!(
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = '{table}'"
    ))[0]
        .parse()
        .unwrap()
}

#[test]
fn an_index_bounds_what_a_batch_reads_of_a_table_without_a_key() {
    const ROWS: u64 = 20_000;
    for (not_null, nobody) in [("not null", "8"), ("", "null")] {
        let mut bench = Bench::new(&format!(
            "create table log (id integer {not_null}, line varchar(20)); create index on log (id); \
             insert into log select n, 'x' from generate_series(1, {ROWS}) n; \
             insert into log values (7, 'x'), (7, 'y'), ({nobody}, 'z')"
        ));
        let log = define(&mut bench, "log", &["id", "line"], &[]);
        bench.rows("create table kept as select * from log; truncate log");
        bench.staged.transaction(|t| {
            t.insert(log, "1\tfirst");
        });
        bench.once();
        bench.rows("insert into log select * from kept; analyze log");
        let before = rows_read(&mut bench, "log");
        bench.staged.transaction(|t| {
            t.delete_full(log, "7\tx")
                .update_full(log, "7\tnew", "9\tx");
            if not_null.is_empty() {
                t.delete_full(log, "\\N\tz");
            }
        });
        bench.once();
        let read = rows_read(&mut bench, "log") - before;
        assert!(read < ROWS / 10, "{not_null}: {read} rows were read");
        assert_eq!(
            bench.rows("select id, line from log where id in (7, 9) or id is null order by 1, 2"),
            ["7|new", "7|x", "7|y"]
        );
    }
}

#[test]
fn an_unlogged_table_is_a_target_like_others() {
    let mut bench = Bench::new(
        "create unlogged table items (id integer primary key, name varchar(20)); \
         create unlogged table log (line varchar(20))",
    );
    let items = define(&mut bench, "items", &["id", "name"], &["id"]);
    let log = define(&mut bench, "log", &["line"], &[]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone")
            .insert(items, "2\ttwo")
            .insert(log, "a")
            .insert(log, "a");
    });
    bench.once();
    bench.staged.transaction(|t| {
        t.update(items, "1\tONE")
            .delete(items, "2")
            .delete_full(log, "a");
    });
    bench.once();
    assert_eq!(bench.rows("select id, name from items"), ["1|ONE"]);
    assert_eq!(bench.rows("select line from log"), ["a"]);
}
