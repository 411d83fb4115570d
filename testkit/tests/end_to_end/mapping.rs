//! `[[rule]]`: several sources into one target table, and column rules.

use mysql::prelude::Queryable;
use testkit::TaskFiles;

use crate::rig::{Rig, SCHEMA, SOON, Task, assert_ends, assert_stops, loader, miner};

const SHARDS: [&str; 3] = ["shop_1", "shop_2", "shop_10"];

/// Runs statements on the source, outside of any database.
fn run(rig: &Rig, statements: &[String]) {
    let mut connection = rig.source.connect();
    for statement in statements {
        connection
            .query_drop(statement)
            .unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
}

/// Runs each statement on every shard, of which `{s}` is the name.
fn run_each(rig: &Rig, statements: &[&str]) {
    let each = |shard: &str| {
        let filled = statements.iter().map(|text| text.replace("{s}", shard));
        filled.collect::<Vec<_>>()
    };
    let all: Vec<String> = SHARDS.iter().flat_map(|shard| each(shard)).collect();
    run(rig, &all);
}

/// Lines of a query on the source.
fn source_lines(rig: &Rig, query: &str) -> Vec<String> {
    rig.source.connect().query(query).unwrap()
}

fn target_lines(rig: &Rig, task: &Task, query: &str) -> Vec<String> {
    let all = format!(
        "select coalesce(string_agg(line, ';' order by line collate \"C\"), '') from ({query}) q (line)"
    );
    let text = rig.target_value(task, &all);
    text.split(';')
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Every shard's rows are on the target as that shard's, and no others.
#[track_caller]
fn assert_shards_equal(rig: &Rig, task: &Task) {
    let mut orders = Vec::new();
    let mut log = Vec::new();
    for shard in SHARDS {
        let query = format!("select concat_ws(',', '{shard}', id, cust, v) from {shard}.orders");
        orders.extend(source_lines(rig, &query));
        let query = format!("select concat_ws(',', '{shard}', v) from {shard}.log");
        log.extend(source_lines(rig, &query));
    }
    orders.sort();
    log.sort();
    let query =
        "select concat_ws(',', shard, id, customer_id, v) from all_orders where origin = 'mysql'";
    assert_eq!(target_lines(rig, task, query), orders);
    let query = "select concat_ws(',', shard, v) from all_log";
    assert_eq!(target_lines(rig, task, query), log);
    assert_eq!(
        rig.target_value(task, "select count(*) from all_orders"),
        orders.len().to_string()
    );
}

fn sharded(rig: &Rig, name: &str) -> (Task, TaskFiles) {
    let task = rig.task(name);
    let rules = "[[rule]]\nschema = \"shop_*\"\ntable = \"orders\"\npg_table = \"all_orders\"\n\
        columns.rename = { cust = \"customer_id\" }\ncolumns.drop = [\"debug\"]\n\
        columns.add = { origin = \"mysql\" }\ncolumns.add_to_key = { shard = \"{schema}\" }\n\
        [[rule]]\nschema = \"shop_*\"\ntable = \"log\"\npg_table = \"all_log\"\n\
        columns.add_to_key = { shard = \"{schema}\" }\n";
    let files = task.config.clone().tables(&["shop_*.*"]).raw(rules).write();
    run_each(
        rig,
        &[
            "create database {s} character set utf8mb4",
            "create table {s}.orders (id int primary key, cust int, debug varchar(20), v varchar(20))",
            "create table {s}.log (v varchar(20))",
        ],
    );
    rig.target_sql(
        &task,
        "create table all_orders (shard text, id integer, customer_id integer, v varchar(20), origin text not null, \
         primary key (shard, id)); create table all_log (shard text, v varchar(20))",
    );
    (task, files)
}

#[test]
fn shards_with_the_same_keys_go_to_one_table_and_never_touch_each_other() {
    let rig = Rig::start();
    let (task, files) = sharded(&rig, "shards");
    let apply = || {
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
        assert_shards_equal(&rig, &task);
    };
    run_each(
        &rig,
        &[
            "insert into {s}.orders select seq, seq * 2, 'x', '{s}' from {s}.seq_1_to_500",
            "insert into {s}.log values ('same'), ('same'), ('own {s}')",
        ],
    );
    apply();
    assert_ends(&mut loader(&files, &["check"]), 0, &[]);

    // One batch: few and many updates, key changes that swap, deletes of what others keep.
    run_each(&rig, &["update {s}.orders set v = 'all' where id > 100"]);
    run(
        &rig,
        &[
            "delete from shop_1.orders where id between 1 and 50".into(),
            "update shop_2.orders set id = id + 1000 where id < 20".into(),
            "update shop_2.orders set cust = null where id = 30".into(),
            "insert into shop_1.orders values (1, 1, null, 'again')".into(),
            "delete from shop_10.orders where id = 1".into(),
            "delete from shop_1.log where v = 'same' limit 1".into(),
        ],
    );
    apply();

    // A TRUNCATE takes one shard's rows, with a key and without.
    run(
        &rig,
        &[
            "truncate shop_1.orders".into(),
            "truncate shop_2.log".into(),
            "insert into shop_1.orders values (7, 7, null, 'new')".into(),
        ],
    );
    apply();

    // What becomes of a dropped column does not matter; a renamed one is looked for by its name.
    run(
        &rig,
        &[
            "alter table shop_1.orders drop column debug".into(),
            "alter table shop_2.orders modify cust bigint".into(),
        ],
    );
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(
        &mut loader(&files, &["--once"]),
        3,
        &["customer_id", "BIGINT"],
    );
    rig.target_sql(
        &task,
        "alter table all_orders alter customer_id type bigint",
    );
    run(
        &rig,
        &["insert into shop_2.orders values (80000, 5000000000, null, 'wide')".into()],
    );
    apply();
}

#[test]
fn a_row_that_the_target_refuses_is_held_for_its_shard_alone() {
    let rig = Rig::start();
    let (task, files) = sharded(&rig, "shards_held");
    let files = task
        .config
        .clone()
        .set("desc.pgsql", "ignore_copy_error_count_each_table", 5)
        .tables(&["shop_*.*"])
        .raw(
            &std::fs::read_to_string(files.config())
                .unwrap()
                .split_once("[[rule]]")
                .map(|(_, rules)| format!("[[rule]]{rules}"))
                .unwrap(),
        )
        .write();
    run_each(
        &rig,
        &["insert into {s}.orders values (1, 1, null, 'a'), (2, 2, null, 'b')"],
    );
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    rig.target_sql(
        &task,
        "alter table all_orders add constraint no_bad check (shard <> 'shop_2' or v <> 'bad')",
    );
    run_each(&rig, &["update {s}.orders set v = 'bad' where id = 1"]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &["shop_2.orders"]);
    let left = "select concat_ws(',', shard, id, v) from all_orders";
    assert_eq!(
        target_lines(&rig, &task, left),
        [
            "shop_1,1,bad",
            "shop_1,2,b",
            "shop_10,1,bad",
            "shop_10,2,b",
            "shop_2,2,b"
        ]
    );
    rig.target_sql(&task, "alter table all_orders drop constraint no_bad");
    assert_ends(&mut loader(&files, &["dead-letters", "retry"]), 0, &[]);
    assert_shards_equal(&rig, &task);
}

/// Two databases with the table `t`, and these rules.
fn two(rig: &Rig, name: &str, rules: &str) -> (Task, TaskFiles) {
    let task = rig.task(name);
    let files = task
        .config
        .clone()
        .tables(&["one.*", "two.*"])
        .raw(rules)
        .write();
    for database in ["one", "two"] {
        run(
            rig,
            &[
                format!("create database if not exists {database}"),
                format!(
                    "create table if not exists {database}.t (id int primary key, v varchar(20))"
                ),
                format!("delete from {database}.t"),
            ],
        );
    }
    (task, files)
}

#[test]
fn tables_that_meet_without_a_rule_are_refused_before_a_row_is_written() {
    let rig = Rig::start();
    let words = &["one.t", "two.t", "copy.t", "add_to_key"];
    let (task, files) = two(&rig, "meet", "");
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20))",
    );
    run(&rig, &["insert into one.t values (1, 'x')".into()]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 2, words);
    assert_ends(&mut loader(&files, &[]), 2, words);
    let mut check = loader(&files, &["check"]);
    assert_eq!(check.wait_exit(SOON).code(), Some(2));
    let said = check.stdout();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert_eq!(rig.target_value(&task, "select count(*) from t"), "0");
}

#[test]
fn disjoint_keys_take_the_operators_word_and_nothing_more() {
    let rig = Rig::start();
    let (task, files) = two(
        &rig,
        "disjoint",
        "[[rule]]\ntable = \"t\"\ndisjoint_keys = true\n",
    );
    rig.target_sql(
        &task,
        "create table t (id integer primary key, v varchar(20))",
    );
    let rows = "select concat_ws(',', id, v) from t";
    run(
        &rig,
        &[
            "insert into one.t values (1, 'a'), (3, 'c')".into(),
            "insert into two.t values (2, 'b')".into(),
        ],
    );
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(target_lines(&rig, &task, rows), ["1,a", "2,b", "3,c"]);

    // Rows that move, in one batch: `two` is touched first.
    run(
        &rig,
        &[
            "update two.t set v = 'B' where id = 2".into(),
            "delete from one.t where id = 1".into(),
            "insert into two.t values (1, 'moved')".into(),
            "delete from two.t where id = 2".into(),
            "insert into one.t values (2, 'moved back')".into(),
        ],
    );
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(
        target_lines(&rig, &task, rows),
        ["1,moved", "2,moved back", "3,c"]
    );

    // TRUNCATE cannot tell its rows.
    run(&rig, &["truncate one.t".into()]);
    let (file, offset) = rig.source.binlog_end();
    let position = format!("{file}:{offset}");
    run(&rig, &["insert into one.t values (5, 'e')".into()]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(
        &mut loader(&files, &["--once"]),
        3,
        &["TRUNCATE of one.t", "copy.t", &position, "ack"],
    );
    assert_eq!(
        target_lines(&rig, &task, rows),
        ["1,moved", "2,moved back", "3,c"]
    );
    rig.target_sql(&task, "delete from t where id in (2, 3)");
    assert_ends(&mut loader(&files, &["ack", &position]), 0, &[]);
    assert_ends(&mut loader(&files, &["--once"]), 0, &[]);
    assert_eq!(target_lines(&rig, &task, rows), ["1,moved", "5,e"]);

    // A key that is in both is not overwritten.
    run(&rig, &["insert into one.t values (1, 'clash')".into()]);
    assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
    assert_ends(
        &mut loader(&files, &["--once"]),
        3,
        &["one.t", "disjoint_keys", "add_to_key"],
    );
    assert_eq!(target_lines(&rig, &task, rows), ["1,moved", "5,e"]);
}

#[test]
fn added_values_must_be_apart_as_the_target_has_them() {
    let rig = Rig::start();
    let rules = |one: &str, two: &str| {
        format!(
            "[[rule]]\nschema = \"one\"\ncolumns.add_to_key = {{ shard = \"{one}\" }}\n\
             [[rule]]\nschema = \"two\"\ncolumns.add_to_key = {{ shard = \"{two}\" }}\n"
        )
    };
    let create =
        "create table t (shard integer, id integer, v varchar(20), primary key (shard, id))";
    for (name, one, two_, code, words) in [
        ("apart", "1", "2", 0, &[][..]),
        ("equal", "1", "1", 2, &["one.t", "two.t", "same values"]),
        ("same", "1", "01", 2, &["one.t", "two.t", "same values"]),
        ("word", "1", "two", 3, &["two.t", "shard", "22P02"]),
    ] {
        let (task, _) = two(&rig, name, "");
        let (file, _) = rig.source.binlog_end();
        let files = task
            .config
            .clone()
            .set("src.mysql", "binlogfile", file)
            .set("src.mysql", "binlogfile_offset", rig.source.binlog_end().1)
            .tables(&["one.*", "two.*"])
            .raw(&rules(one, two_))
            .write();
        rig.target_sql(&task, create);
        run(
            &rig,
            &[
                "insert into one.t values (1, 'x')".into(),
                "insert into two.t values (1, 'y')".into(),
            ],
        );
        assert_ends(&mut miner(&files, &["--once"]), 0, &[]);
        assert_ends(&mut loader(&files, &["--once"]), code, words);
        let expected = if code == 0 { "2" } else { "0" };
        assert_eq!(
            rig.target_value(&task, "select count(*) from t"),
            expected,
            "{name}"
        );
        let mut check = loader(&files, &["check"]);
        assert!(
            [Some(code), Some(0)].contains(&check.wait_exit(SOON).code()),
            "{name}: {}",
            check.stdout()
        );
    }
}

#[test]
fn a_dropped_key_column_and_two_columns_in_one_are_refused() {
    let rig = Rig::start();
    for (name, rule, words) in [
        (
            "dropped",
            "columns.drop = [\"ID\"]",
            &["app.t", "drops column id", "key"][..],
        ),
        (
            "double",
            "columns.add = { v = \"x\" }",
            &["app.t", "several columns go to its column v"],
        ),
        (
            "renamed",
            "columns.rename = { id = \"v\" }",
            &["app.t", "several columns go to its column v"],
        ),
        (
            "lacking",
            "columns.add = { w = \"x\" }",
            &["app.t", "lacks column w"],
        ),
    ] {
        let task = rig.small_task(name);
        let files = task
            .config
            .clone()
            .raw(&format!("[[rule]]\n{rule}\n"))
            .write();
        rig.source_sql(&["delete from t", "insert into t values (1, 'x')"]);
        let mut mining = miner(&files, &[]);
        rig.wait_staged(&task);
        assert_stops(&mut mining);
        assert_ends(&mut loader(&files, &["--once"]), 3, words);
        let mut check = loader(&files, &["check"]);
        assert_eq!(check.wait_exit(SOON).code(), Some(3), "{name}");
        let said = check.stdout();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let count = format!("select count(*) from {SCHEMA}.t");
        assert_eq!(rig.target_value(&task, &count), "0");
    }
}
