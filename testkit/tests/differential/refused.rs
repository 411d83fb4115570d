//! What does not fit is refused before a value changes: exit code 3, table and column named.

use testkit::{Flavor, MysqlServer};

use crate::rig::{Task, execute, source, writer};

/// Source type, a value, and a target type that could not hold every value.
pub(crate) const REFUSED: [(&str, &str, &str); 49] = [
    ("tinyint", "1", "\"char\""),
    ("smallint unsigned", "1", "smallint"),
    ("mediumint", "1", "smallint"),
    ("int", "1", "smallint"),
    ("int", "1", "real"),
    ("int", "1", "boolean"),
    ("int unsigned", "1", "integer"),
    ("int", "1", "varchar(10)"),
    ("int", "1", "numeric(9)"),
    ("bigint", "1", "integer"),
    ("bigint", "1", "double precision"),
    ("bigint unsigned", "1", "bigint"),
    ("bigint unsigned", "1", "numeric(19)"),
    ("bigint unsigned", "1", "numeric(20,2)"),
    ("decimal(10,2)", "1", "numeric(10,1)"),
    ("decimal(10,2)", "1", "numeric(9,2)"),
    ("decimal(10,2)", "1", "double precision"),
    ("decimal(10,2)", "1", "bigint"),
    ("decimal(19,0)", "1", "bigint"),
    ("float", "1", "integer"),
    ("float", "1", "numeric(20,4)"),
    ("double", "1", "real"),
    ("double", "1", "bigint"),
    ("bit(8)", "1", "bit(9)"),
    ("bit(8)", "1", "boolean"),
    ("bit(8)", "1", "varbit(7)"),
    ("bit(64)", "1", "bigint"),
    ("date", "'2024-01-01'", "timestamp"),
    ("datetime", "'2024-01-01'", "date"),
    ("datetime", "'2024-01-01'", "timestamptz"),
    ("datetime(6)", "'2024-01-01'", "timestamp(3)"),
    ("timestamp(6)", "'2024-01-01'", "timestamptz(5)"),
    ("timestamp(6)", "'2024-01-01'", "timestamp(0)"),
    ("time(3)", "'01:00:00'", "interval(2)"),
    ("time(3)", "'01:00:00'", "interval hour to second"),
    ("time(3)", "'01:00:00'", "time(0)"),
    ("char(10)", "'x'", "varchar(9)"),
    ("char(10)", "'x'", "char(9)"),
    ("varchar(10)", "'x'", "varchar(9)"),
    ("varchar(10)", "'x'", "char(10)"),
    ("text", "'x'", "varchar(65535)"),
    ("text", "'x'", "bytea"),
    ("blob", "x'00'", "text"),
    ("binary(8)", "x'00'", "uuid"),
    ("enum('abc')", "'abc'", "varchar(2)"),
    ("set('a','bc')", "'a'", "varchar(3)"),
    ("geometry", "st_geomfromtext('POINT(1 2)')", "text"),
    ("year", "2024", "date"),
    ("time", "'01:00:00'", "integer"),
];

/// A source type, a value that its target type cannot hold, and words of the message.
struct Value {
    source: &'static str,
    value: &'static str,
    target: &'static str,
    says: &'static str,
}

const VALUES: [Value; 10] = [
    value("date", "'2024-00-10'", "date", "zero_date"),
    value("timestamp null", "0", "timestamptz", "zero_date"),
    value("date", "'2024-02-30'", "date", "22008"),
    value("time", "'-00:00:01'", "time", "interval"),
    value("time(3)", "'24:00:00.001'", "time(3)", "interval"),
    value("tinyint(1)", "2", "boolean", "neither 0 nor 1"),
    value("varchar(40)", "'no uuid'", "uuid", "22P02"),
    value("varchar(40)", "'{'", "json", "22P02"),
    value("varbinary(16)", "x'0001'", "uuid", "not 16 bytes"),
    value("enum('a','b')", "'b'", "refused.only_a", "22P02"),
];

const fn value(
    source: &'static str,
    value: &'static str,
    target: &'static str,
    says: &'static str,
) -> Value {
    Value {
        source,
        value,
        target,
        says,
    }
}

const DATABASE: &str = "refused";

fn assert_says(log: &str, words: &[&str]) {
    for word in words {
        assert!(log.contains(word), "the log does not say {word:?}:\n{log}");
    }
}

/// A source with the database, from a new binlog file on, and a task.
fn task(source: &MysqlServer, name: &str) -> Task {
    source.sql(&format!(
        "drop database if exists {DATABASE}; flush binary logs"
    ));
    let task = Task::new(name, source, &[DATABASE]);
    source.sql(&format!("create database {DATABASE} character set utf8mb4"));
    task
}

#[test]
fn target_types_that_could_change_a_value_are_refused_all_at_once() {
    let source = source(Flavor::MariaDb1011);
    let task = task(&source, "refused_types");
    let columns = |part: fn(&(&str, &str, &str)) -> String| -> String {
        let columns: Vec<String> = REFUSED
            .iter()
            .zip(0..)
            .map(|(refused, number)| format!("c{number} {}", part(refused)))
            .collect();
        columns.join(", ")
    };
    let mut connection = writer(&source);
    execute(
        &mut connection,
        &format!(
            "create table {DATABASE}.misfits (id int primary key, {})",
            columns(|refused| format!("{} null", refused.0))
        ),
    );
    let values: Vec<&str> = REFUSED.iter().map(|refused| refused.1).collect();
    execute(
        &mut connection,
        &format!(
            "insert into {DATABASE}.misfits values (1, {})",
            values.join(", ")
        ),
    );
    task.target_sql(&format!(
        "create table {DATABASE}.misfits (id integer primary key, {})",
        columns(|refused| refused.2.to_owned())
    ));
    for log in [task.loader_refuses(), task.check_refuses()] {
        assert_says(&log, &["refused.misfits"]);
        for ((source_type, _, target_type), number) in REFUSED.iter().zip(0..) {
            assert!(
                log.contains(&format!("column c{number} is ")),
                "{source_type} into {target_type} is not refused:\n{log}"
            );
        }
    }
}

#[test]
fn values_that_the_target_cannot_hold_are_refused_with_their_table_and_column() {
    let source = source(Flavor::MariaDb1011);
    for (value, number) in VALUES.iter().zip(0..) {
        let task = task(&source, &format!("refused_value_{number}")).set(
            "binlogloader",
            "zero_date",
            "error",
        );
        task.target_sql("create type refused.only_a as enum ('a')");
        let mut connection = writer(&source);
        execute(
            &mut connection,
            &format!(
                "create table {DATABASE}.t (id int primary key, odd {})",
                value.source
            ),
        );
        execute(
            &mut connection,
            &format!("insert into {DATABASE}.t values (1, {})", value.value),
        );
        task.target_sql(&format!(
            "create table {DATABASE}.t (id integer primary key, odd {})",
            value.target
        ));
        let log = task.loader_refuses();
        assert_says(&log, &["refused.t", "odd", value.says]);
    }
}

#[test]
fn zero_dates_in_a_key_are_refused_whatever_the_policy() {
    let source = source(Flavor::MariaDb1011);
    for (policy, number) in ["null", "0001-01-01"].iter().zip(0..) {
        let task = task(&source, &format!("refused_zero_key_{number}")).set(
            "binlogloader",
            "zero_date",
            policy,
        );
        let mut connection = writer(&source);
        for statement in [
            "create table refused.t (day date not null unique, n int)",
            "insert into refused.t values ('2024-05-10', 1), ('0000-00-00', 2)",
        ] {
            execute(&mut connection, statement);
        }
        // Nothing but the loader stands in the way of a substitute.
        task.target_sql("create table refused.t (day date unique, n integer)");
        assert_says(
            &task.loader_refuses(),
            &["refused.t", "day", "does not apply to key columns"],
        );
    }
}

#[test]
fn a_plain_column_for_a_generated_one_that_mariadb_11_8_does_not_log_is_refused() {
    let source = source(Flavor::MariaDb118);
    let task = task(&source, "refused_generated");
    let mut connection = writer(&source);
    for statement in [
        "create table refused.t (id int primary key, a int, odd int as (a * 2) virtual)",
        "insert into refused.t (id, a) values (1, 1)",
        "update refused.t set a = 2",
    ] {
        execute(&mut connection, statement);
    }
    task.target_sql("create table refused.t (id integer primary key, a integer, odd integer)");
    for log in [task.loader_refuses(), task.check_refuses()] {
        assert_says(
            &log,
            &["refused.t", "column odd", "generated", "alter table"],
        );
    }
    task.target_sql(
        "alter table refused.t drop column odd, add column odd integer generated always as (a * 2) stored",
    );
    task.carry();
    task.assert_value("select odd from refused.t", "4");
}

#[test]
fn row_images_without_plain_columns_stop_the_miner() {
    for (flavor, image) in [
        (Flavor::MariaDb118, "minimal"),
        (Flavor::MariaDb1011, "noblob"),
        (Flavor::Mysql97, "noblob"),
    ] {
        let source = source(flavor);
        let task = task(&source, &format!("refused_{image}_{}", flavor.name()));
        let mut connection = writer(&source);
        for statement in [
            "create table refused.t (id int primary key, b blob, odd int as (id * 2) virtual)",
            "insert into refused.t (id, b) values (1, 'x'), (2, 'y')",
            &format!("set session binlog_row_image = {image}"),
            "delete from refused.t where id = 2",
        ] {
            execute(&mut connection, statement);
        }
        assert_says(
            &task.miner_refuses(),
            &["refused.t", "of 3 columns", "binlog_row_image = FULL"],
        );
    }
}

#[test]
fn a_null_byte_in_text_and_an_unknown_charset_stop_the_miner() {
    let source = source(Flavor::MariaDb1011);
    for (definition, says) in [
        ("odd varchar(10)", "nul_byte"),
        ("odd varchar(10) character set swe7", "swe7"),
    ] {
        let task = task(&source, &format!("refused_{says}"));
        let mut connection = writer(&source);
        execute(
            &mut connection,
            &format!("create table {DATABASE}.t (id int primary key, {definition})"),
        );
        execute(
            &mut connection,
            &format!("insert into {DATABASE}.t values (1, 'a\\0b')"),
        );
        let log = task.miner_refuses();
        assert_says(&log, &["refused.t", "odd", says]);
    }
}
