//! What the configuration makes of zero dates, of 0x00 in text, and of instants in columns
//! without time zone.

use testkit::{CellRule, Comparison, Flavor, MysqlServer};

use crate::rig::{Task, execute, postgres, writer};

const DATABASE: &str = "policies";

/// One value of every `zero_date` and `nul_byte` policy that carries values, on the target.
pub(crate) fn hold(flavor: Flavor, source: &MysqlServer) {
    source.sql("flush binary logs");
    let name = flavor.name();
    let strip = Task::new(&format!("{name}_strip"), source, &[DATABASE]).set(
        "binlogminer",
        "nul_byte",
        "strip",
    );
    let replace = Task::new(&format!("{name}_replace"), source, &[DATABASE])
        .set("binlogminer", "nul_byte", "replace")
        .set("binlogloader", "zero_date", "0001-01-01")
        .set("src.mysql", "time_zone", "+05:30");
    let documents = !flavor.is_mariadb();
    write(source, documents);
    for task in [&strip, &replace] {
        let document = if documents { ", j jsonb, jt text" } else { "" };
        task.target_sql(&format!(
            "create table {DATABASE}.t (id integer primary key, d date, dt timestamp(2), \
             ts timestamp(3), tz timestamptz(3), v varchar(20), c char(5), x text{document})"
        ));
        task.carry();
    }
    compare(source, &strip, "null", "''", 0, documents);
    compare(
        source,
        &replace,
        "'0001-01-01'",
        "x'efbfbd'",
        330,
        documents,
    );
}

fn write(source: &MysqlServer, documents: bool) {
    let mut connection = writer(source);
    let (column, values) = if documents {
        (
            ", j json, jt json",
            [
                r#", '{"a\\u0000": "\\u0000"}', '"\\u0000"'"#,
                r#", '"x\\u0000y\\\\u0000"', '[]'"#,
                ", null, null",
            ],
        )
    } else {
        ("", ["", "", ""])
    };
    let [first, second, third] = values;
    for statement in [
        format!("create database {DATABASE} character set utf8mb4"),
        format!(
            "create table {DATABASE}.t (id int primary key, d date, dt datetime(2), \
             ts timestamp(3) null, tz timestamp(3) null, v varchar(20), c char(5) character set \
             latin1, x text character set utf16{column})"
        ),
        format!(
            "insert into {DATABASE}.t values \
             (1, '0000-00-00', '2024-00-01 01:02:03', 0, 0, 'a\\0b', '\\0', '\\0\\0é'{first}), \
             (2, '2024-02-29', '2024-02-29 23:59:59.12', '2024-02-29 23:59:59.123', \
              '2024-02-29 23:59:59.123', '\\0\\0', 'é\\0x', 'plain'{second}), \
             (3, null, null, null, null, null, null, null{third})"
        ),
    ] {
        execute(&mut connection, &statement);
    }
}

fn compare(
    source: &MysqlServer,
    task: &Task,
    stand_in: &str,
    nul: &str,
    minutes: u32,
    documents: bool,
) {
    let whole = |column: &str, other: String| {
        format!(
            "if(year({column}) = 0 or month({column}) = 0 or dayofmonth({column}) = 0, \
             date_format({stand_in}, '%Y-%m-%d %H:%i:%s.%f'), {other})"
        )
    };
    let shown = |value: &str| format!("date_format({value}, '%Y-%m-%d %H:%i:%s.%f')");
    let stamp = |column: &str| format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')");
    let text = |column: &str| {
        format!(
            "replace(convert({column} using utf8mb4), convert(x'00' using utf8mb4), \
             convert({nul} using utf8mb4))"
        )
    };
    let document = |column: &str| {
        // An escaped backslash in front of u0000 is no escape of 0x00.
        format!(
            "replace(replace(replace(cast({column} as char), '\\\\\\\\', '\\\\\\\\ '), \
             '\\\\u0000', convert({nul} using utf8mb4)), '\\\\\\\\ ', '\\\\\\\\')"
        )
    };
    let local = format!("ts + interval {minutes} minute");
    let mut comparison = Comparison::between(
        source.table(DATABASE, "t"),
        postgres().table(&task.target, DATABASE, "t"),
    )
    .expressions("d", &whole("d", shown("d")), &stamp("d"))
    .expressions("dt", &whole("dt", shown("dt")), &stamp("dt"))
    .expressions("ts", &whole("ts", shown(&local)), &stamp("ts"))
    .expressions(
        "tz",
        &whole("tz", shown("tz")),
        &stamp("(tz at time zone 'UTC')"),
    )
    .expressions("v", &text("v"), "v")
    .expressions("c", &text("c"), "rtrim(c)")
    .expressions("x", &text("x"), "x");
    if documents {
        for column in ["j", "jt"] {
            comparison = comparison
                .expressions(column, &document(column), &format!("{column}::text"))
                .rule(column, CellRule::Json);
        }
    }
    let report = comparison.run();
    assert!(
        report.is_equal() && report.source_rows == 3,
        "{} with stand-in {stand_in}: {report}",
        source.flavor()
    );
}
