//! Binary COPY against text COPY: the same cells by both ways into the same tables, on a real
//! server, must be the same values, or be refused alike.

use std::io::Write as _;

use common::settings::{EmptyString, ZeroDate};
use common::table::{ColumnType, IntegerWidth, Sign};
use loader::route::binary::{HEADER, TRAILER};
use loader::route::types::adapter;
use loader::route::{Adapter, Encoder, ValuePolicy};
use loader::target::Dialect;
use loader::target::catalog::Catalog;
use postgres::Client;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, server};
use crate::staged::{int, varchar};

/// A source type, the target type that it goes into, and cells as staging has them.
struct Case {
    source: ColumnType,
    target: &'static str,
    edges: &'static [&'static str],
    random: BoxedStrategy<String>,
}

fn case(
    source: ColumnType,
    target: &'static str,
    edges: &'static [&'static str],
    random: impl Strategy<Value = String> + 'static,
) -> Case {
    Case {
        source,
        target,
        edges,
        random: random.boxed(),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = numbers();
    cases.extend(times());
    cases.extend(texts());
    cases
}

fn integer(width: IntegerWidth, sign: Sign) -> ColumnType {
    ColumnType::Integer { width, sign }
}

/// The shortest text of a float, as the miner writes it.
fn shortest(text: String) -> String {
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn numbers() -> Vec<Case> {
    use IntegerWidth::{Big, Int, Small, Tiny};
    use Sign::{Signed, Unsigned};
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let finite = any::<f64>().prop_filter("finite", |f| f.is_finite());
    let finite_single = any::<f32>().prop_filter("finite", |f| f.is_finite());
    let doubles: &[&str] = &[
        "0",
        "-0",
        "1",
        "-1.5",
        "5e-324",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "1e16",
        "1e-7",
        "0.1",
        "9007199254740993",
        "123456789012345.67",
    ];
    let singles: &[&str] = &[
        "0",
        "-0",
        "1e-45",
        "3.4028235e38",
        "1.1754944e-38",
        "0.1",
        "16777216",
    ];
    vec![
        case(
            integer(Small, Signed),
            "smallint",
            &["-32768", "32767", "0"],
            any::<i16>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Int, Signed),
            "integer",
            &["-2147483648", "2147483647"],
            any::<i32>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Big, Signed),
            "bigint",
            &[
                "-9223372036854775808",
                "9223372036854775807",
                "-1",
                "999999999999999999",
                "1000000000000000000",
            ],
            any::<i64>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Int, Signed),
            "double precision",
            &["-2147483648"],
            any::<i32>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Small, Unsigned),
            "real",
            &["65535", "0"],
            any::<u16>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Big, Unsigned),
            "numeric(20)",
            &["18446744073709551615", "0"],
            any::<u64>().prop_map(|n| n.to_string()),
        ),
        case(
            integer(Tiny, Signed),
            "boolean",
            &["0", "1"],
            any::<bool>().prop_map(|b| u8::from(b).to_string()),
        ),
        case(
            integer(Int, Signed),
            "varchar(11)",
            &["-2147483648"],
            any::<i32>().prop_map(|n| n.to_string()),
        ),
        case(
            ColumnType::Float,
            "real",
            singles,
            finite_single
                .clone()
                .prop_map(|f| shortest(format!("{f:?}"))),
        ),
        case(
            ColumnType::Float,
            "double precision",
            singles,
            finite_single.prop_map(|f| shortest(format!("{f:?}"))),
        ),
        case(
            ColumnType::Double,
            "double precision",
            doubles,
            finite.clone().prop_map(|f| shortest(format!("{f:?}"))),
        ),
        case(
            ColumnType::Double,
            "numeric",
            doubles,
            finite.prop_map(|f| shortest(format!("{f:?}"))),
        ),
        case(
            decimal(30, 10),
            "numeric(30,10)",
            &[
                "0.0000000000",
                "-0.0000000001",
                "99999999999999999999.9999999999",
                "10000.0000000000",
                "-12340000.0000000000",
            ],
            "-?(0|[1-9][0-9]{0,19})\\.[0-9]{10}",
        ),
        case(
            decimal(14, 4),
            "numeric(20,6)",
            &["0.0000", "-9999999999.9999"],
            "-?(0|[1-9][0-9]{0,9})\\.[0-9]{4}",
        ),
        case(
            decimal(65, 30),
            "numeric",
            &[
                "0.000000000000000000000000000001",
                "99999999999999999999999999999999999.999999999999999999999999999999",
            ],
            "-?(0|[1-9][0-9]{0,34})\\.(0{0,29}[1-9][0-9]{0,3}0{30}|[0-9]{30})",
        ),
        case(
            decimal(9, 0),
            "integer",
            &["0", "-999999999"],
            "-?[1-9][0-9]{0,8}",
        ),
        case(
            ColumnType::Year,
            "smallint",
            &["0", "1901", "2155"],
            "(19[0-9][0-9]|20[0-9][0-9])",
        ),
        case(ColumnType::Bit { bits: 1 }, "boolean", &["0", "1"], "[01]"),
        case(
            ColumnType::Bit { bits: 11 },
            "bit(11)",
            &["00000000000", "11111111111"],
            "[01]{11}",
        ),
        case(
            ColumnType::Bit { bits: 64 },
            "bit varying(64)",
            &[],
            "[01]{64}",
        ),
        case(
            ColumnType::Bit { bits: 33 },
            "bigint",
            &["000000000000000000000000000000001"],
            "[01]{33}",
        ),
        case(ColumnType::Bit { bits: 63 }, "numeric", &[], "[01]{63}"),
        case(
            ColumnType::Bit { bits: 17 },
            "bytea",
            &["00000000000000001"],
            "[01]{17}",
        ),
    ]
}

const DATE: &str = "[0-9]{3}[1-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])";
const CLOCK: &str = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";

fn times() -> Vec<Case> {
    let date_time = |fraction: &str| format!("{DATE} {CLOCK}{fraction}");
    let regex = |text: String| proptest::string::string_regex(&text).unwrap();
    let dates: &[&str] = &[
        "0001-01-01",
        "9999-12-31",
        "1999-12-31",
        "2000-01-01",
        "1970-01-01",
        "2024-02-29",
        "2000-02-29",
        "0000-00-00",
    ];
    let date_times: &[&str] = &[
        "0001-01-01 00:00:00.000000",
        "9999-12-31 23:59:59.999999",
        "1999-12-31 23:59:59.999999",
        "2000-01-01 00:00:00.000000",
        "1969-12-31 23:59:59.000001",
        "0000-00-00 00:00:00.000000",
    ];
    let instants: &[&str] = &[
        "1970-01-01 00:00:01.000000+00",
        "2038-01-19 03:14:07.999999+00",
        "1999-12-31 23:59:59.999999+00",
        "2106-02-07 06:28:15.000000+00",
        "0000-00-00 00:00:00.000000",
    ];
    let durations: &[&str] = &[
        "-838:59:59.000000",
        "838:59:59.000000",
        "00:00:00.000000",
        "-00:00:00.000001",
        "24:00:00.000000",
        "99:59:59.999999",
    ];
    vec![
        case(ColumnType::Date, "date", dates, DATE),
        case(ColumnType::Date, "text", dates, DATE),
        case(
            ColumnType::DateTime { digits: 6 },
            "timestamp",
            date_times,
            regex(date_time("\\.[0-9]{6}")),
        ),
        case(
            ColumnType::DateTime { digits: 3 },
            "timestamp(3)",
            &["9999-12-31 23:59:59.999", "0001-01-01 00:00:00.001"],
            regex(date_time("\\.[0-9]{3}")),
        ),
        case(
            ColumnType::DateTime { digits: 0 },
            "timestamp(0)",
            &["1000-01-01 00:00:00"],
            regex(date_time("")),
        ),
        case(
            ColumnType::Timestamp { digits: 6 },
            "timestamptz",
            instants,
            regex(date_time("\\.[0-9]{6}\\+00")),
        ),
        case(
            ColumnType::Timestamp { digits: 6 },
            "timestamp(6)",
            instants,
            regex(date_time("\\.[0-9]{6}\\+00")),
        ),
        case(
            ColumnType::Timestamp { digits: 1 },
            "timestamptz(2)",
            &[],
            regex(date_time("\\.[0-9]\\+00")),
        ),
        case(
            ColumnType::Time { digits: 6 },
            "interval",
            durations,
            "-?([0-7][0-9][0-9]|[0-9][0-9]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}",
        ),
        case(
            ColumnType::Time { digits: 2 },
            "interval(3)",
            &["-838:59:59.00"],
            "-?[0-9][0-9]:[0-5][0-9]:[0-5][0-9]\\.[0-9]{2}",
        ),
        case(
            ColumnType::Time { digits: 6 },
            "time",
            &["24:00:00.000000", "23:59:59.999999"],
            regex(format!("{CLOCK}\\.[0-9]{{6}}")),
        ),
        case(
            ColumnType::Time { digits: 3 },
            "time(3)",
            &["24:00:00.000"],
            regex(format!("{CLOCK}\\.[0-9]{{3}}")),
        ),
    ]
}

fn texts() -> Vec<Case> {
    let charset = || "utf8mb4".to_owned();
    let text = || ColumnType::Text { charset: charset() };
    let char_of = |max_chars| ColumnType::Char {
        max_chars,
        charset: charset(),
    };
    let escaped = |text: String| {
        let mut out = Vec::new();
        common::staging::codec::escape(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    let any_text = any::<String>().prop_map(move |text| escaped(text.replace('\0', "")));
    let short = "[ a-zA-Zé€😀\\\\\t\n\r]{0,20}".prop_map(escaped);
    let labels = vec!["on".to_owned(), "off".to_owned(), "N\\A".to_owned()];
    let texts: &[&str] = &[
        "",
        " ",
        "\\\\N",
        "\\\\.",
        "a\\tb\\nc\\rd\\\\e",
        "\u{feff}",
        "\u{10ffff}",
        "\u{1}\u{8}\u{b}\u{c}\u{7f}",
    ];
    vec![
        case(text(), "text", texts, any_text.clone()),
        case(varchar(20), "varchar(20)", texts, short.clone()),
        case(varchar(20), "varchar", texts, short.clone()),
        case(char_of(20), "char(25)", &["", "a", "a  ", " a"], short),
        case(
            ColumnType::Enum {
                labels: labels.clone(),
            },
            "text",
            &["on", ""],
            "(on|off)",
        ),
        case(
            ColumnType::Enum { labels },
            "mood",
            &["on", "N\\\\A"],
            "(on|off)",
        ),
        case(
            ColumnType::Json,
            "jsonb",
            &[
                "null",
                "{}",
                "[1, \"a\"]",
                "{\"a\\\\n\": 1.50}",
                "\"\\\\\\\\\"",
            ],
            "\\{\"[a-z]{1,5}\": -?[1-9][0-9]{0,30}\\.[0-9]{1,9}\\}",
        ),
        case(
            ColumnType::Json,
            "json",
            &["{\"a\":  1, \"a\": 2}"],
            "\\{\"[a-z]{1,5}\":  [0-9]\\}",
        ),
        case(
            ColumnType::Blob,
            "bytea",
            &["\\\\x", "\\\\x00", "\\\\xff00ff"],
            "\\\\\\\\x([0-9a-f]{2}){0,40}",
        ),
        case(
            ColumnType::Binary { bytes: 16 },
            "uuid",
            &["\\\\x00000000000000000000000000000000"],
            "\\\\\\\\x[0-9a-f]{32}",
        ),
        case(
            ColumnType::Uuid,
            "uuid",
            &["ffffffff-ffff-ffff-ffff-ffffffffffff"],
            "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ),
        case(
            integer(IntegerWidth::Int, Sign::Signed),
            "positive",
            &["1", "2147483647"],
            (1..i32::MAX).prop_map(|n| n.to_string()),
        ),
        case(varchar(20), "short_text", &["", "a"], "[a-z]{0,20}"),
    ]
}

/// A column, looked at as the loader does.
struct Column {
    adapter: Adapter,
    encoder: Encoder,
}

const TYPES: &str = "create type mood as enum ('on', 'off', E'N\\\\A'); \
                     create domain positive as integer check (value > 0); \
                     create domain short_text as varchar(20)";

fn connect(name: &str) -> Client {
    server().create_database(name);
    let mut client = server().connect(name);
    client
        .batch_execute(&format!("set timezone = 'UTC'; {TYPES}"))
        .unwrap();
    client
}

/// Makes the two tables, with a column of this type.
fn create(client: &mut Client, column: &str) {
    client
        .batch_execute(&format!(
            "drop table if exists as_text, as_binary; \
             create table as_text (n serial, c {column}); create table as_binary (n serial, c {column})"
        ))
        .unwrap();
}

fn adapter_of(client: &mut Client, source: &ColumnType) -> Adapter {
    let table = Catalog::new(Dialect::PostgreSql)
        .find_tables(client, "public", "as_text")
        .unwrap();
    let policy = ValuePolicy {
        zero_date: ZeroDate::StandIn("0001-01-01".into()),
        empty_string: EmptyString::Keep,
        time_zone_minutes: 330,
    };
    let column = &table[0].columns[1];
    adapter(source, column, Dialect::PostgreSql, &policy)
        .unwrap_or_else(|| panic!("{source:?} into {}", column.type_text))
}

fn encoder_of(client: &mut Client) -> Encoder {
    let statement = client.prepare("select c from as_text").unwrap();
    let target = statement.columns()[0].type_();
    Encoder::of(target).unwrap_or_else(|| panic!("{target} has no encoder"))
}

fn copy(client: &mut Client, statement: &str, data: &[u8]) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(statement)?;
    // A refusal may come while it is written; finish tells it.
    let _ = writer.write_all(data);
    writer.finish().map(|_| ())
}

fn by_text(client: &mut Client, cells: &[Vec<u8>]) -> Result<(), postgres::Error> {
    copy(client, "copy as_text (c) from stdin", &cells.concat())
}

fn by_binary(client: &mut Client, cells: &[Vec<u8>]) -> Result<(), postgres::Error> {
    let rows = [HEADER, &cells.concat(), TRAILER].concat();
    copy(
        client,
        "copy as_binary (c) from stdin (format binary)",
        &rows,
    )
}

/// A cell as a line and as a binary row.
fn lines(column: &Column, cell: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut text = Vec::new();
    column.adapter.write(cell.as_bytes(), &mut text).unwrap();
    let mut binary = vec![0, 1];
    let encoded = column.encoder.write(&text, &mut binary);
    text.push(b'\n');
    (text, encoded.ok().map(|()| binary))
}

fn contents(client: &mut Client, table: &str) -> (Vec<Option<String>>, Vec<u8>) {
    use std::io::Read as _;
    let rows = client
        .query(&format!("select c::text from {table} order by n"), &[])
        .unwrap();
    let mut bytes = Vec::new();
    client
        .copy_out(&format!(
            "copy (select c from {table} order by n) to stdout (format binary)"
        ))
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    (rows.iter().map(|row| row.get(0)).collect(), bytes)
}

#[test]
fn values_by_binary_copy_are_those_by_text_copy() {
    const RANDOM: usize = 500;
    let mut client = connect("binary_values");
    let mut runner = TestRunner::default();
    for case in cases() {
        let what = format!("{:?} into {}", case.source, case.target);
        create(&mut client, case.target);
        let column = Column {
            adapter: adapter_of(&mut client, &case.source),
            encoder: encoder_of(&mut client),
        };
        let random = (0..RANDOM).map(|_| case.random.new_tree(&mut runner).unwrap().current());
        let edges = case.edges.iter().map(|cell| (*cell).to_owned());
        let cells: Vec<String> = edges.chain(["\\N".to_owned()]).chain(random).collect();
        let (mut text, mut binary) = (Vec::new(), Vec::new());
        for cell in &cells {
            let (line, row) = lines(&column, cell);
            text.push(line);
            binary.push(row.unwrap_or_else(|| panic!("{what}: {cell:?} has no binary form")));
        }
        by_text(&mut client, &text).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        by_binary(&mut client, &binary).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (expected, found) = (
            contents(&mut client, "as_text"),
            contents(&mut client, "as_binary"),
        );
        assert_eq!(expected.0.len(), cells.len(), "{what}");
        for ((expected, found), cell) in expected.0.iter().zip(&found.0).zip(&cells) {
            assert_eq!(expected, found, "{what}: {cell:?}");
        }
        assert!(expected.1 == found.1, "{what}: stored otherwise");
    }
}

#[test]
fn what_text_copy_refuses_is_refused_or_left_to_text() {
    let mut client = connect("binary_refusals");
    let text = || ColumnType::Text {
        charset: "utf8mb4".into(),
    };
    // Source, target, target once the route is made, cell. Where the target is as the route
    // knows it, most of these cannot come; where it was altered they may.
    for (source, target, altered, cell) in [
        (
            ColumnType::Decimal {
                precision: 10,
                scale: 2,
            },
            "numeric(10,2)",
            "numeric(4,2)",
            "12345.00",
        ),
        (ColumnType::Double, "numeric", "numeric(3)", "1e300"),
        (varchar(20), "varchar(20)", "varchar(3)", "abcd"),
        (varchar(20), "varchar(20)", "char(3)", "abcd"),
        (text(), "text", "text", "a\u{0}b"),
        (text(), "text", "text check (c <> 'a')", "a"),
        (text(), "text", "text not null", "\\N"),
        (
            ColumnType::Enum {
                labels: vec!["on".into(), "new".into()],
            },
            "mood",
            "mood",
            "new",
        ),
        (ColumnType::Json, "jsonb", "jsonb", "{"),
        (ColumnType::Json, "json", "json", "{\"a\""),
        (ColumnType::Json, "jsonb", "jsonb", "\"\\\\u0000\""),
        (ColumnType::Bit { bits: 3 }, "bit(3)", "bit(4)", "101"),
        (ColumnType::Bit { bits: 3 }, "varbit(3)", "varbit(2)", "101"),
        (int(), "positive", "positive", "-1"),
        (varchar(40), "uuid", "uuid", "no uuid"),
        (ColumnType::Date, "date", "date", "2024-02-31"),
        (
            ColumnType::DateTime { digits: 0 },
            "timestamp",
            "timestamp",
            "2023-02-29 00:00:00",
        ),
        (int(), "integer", "smallint", "40000"),
    ] {
        let what = format!("{cell:?} into {altered}");
        create(&mut client, target);
        let adapter = adapter_of(&mut client, &source);
        create(&mut client, altered);
        let encoder = encoder_of(&mut client);
        let (line, row) = lines(&Column { adapter, encoder }, cell);
        let expected = by_text(&mut client, &[line]).expect_err(&what);
        let expected = expected.code().unwrap().code().to_owned();
        assert!(matches!(&expected[..2], "22" | "23"), "{what}: {expected}");
        if let Some(row) = row {
            let error = by_binary(&mut client, &[row]).expect_err(&what);
            assert_eq!(error.code().unwrap().code(), expected, "{what}");
            let context = error.as_db_error().unwrap().where_().unwrap_or_default();
            assert!(
                context.contains("COPY as_binary, line 1") || expected == "23502",
                "{what}: {context}"
            );
        }
    }
}

/// Rows of a batch; enough for the binary way, see `apply::binary`.
const ROWS: u32 = 300;

/// Inserts rows from `first` on and waits until the target has them.
fn insert_and_wait(bench: &mut Bench, table: common::table::DefinitionId, first: u32) {
    let last = first + ROWS - 1;
    bench.staged.transaction(|t| {
        for n in first..=last {
            t.insert(table, &format!("{n}\t{n}"));
        }
    });
    testkit::wait_until(crate::bench::TIMEOUT, "the batch", || {
        bench.rows("select count(*) from t") == [last.to_string()]
    });
}

#[test]
fn a_column_that_is_altered_between_batches_gets_its_values_all_the_same() {
    // Of these types another's binary values can be read without an error.
    for altered in ["double precision", "numeric", "text"] {
        let mut bench = Bench::new("create table t (n integer primary key, v bigint)");
        let table = bench
            .staged
            .define("t", &[("n", int()), ("v", int())], &["n"]);
        let running = bench.start(&[]);
        insert_and_wait(&mut bench, table, 1);
        bench.change(&format!("alter table t alter column v type {altered}"));
        insert_and_wait(&mut bench, table, 1 + ROWS);
        assert_eq!(
            bench.rows("select count(*) from t where v::text = n::text"),
            ["600"],
            "{altered}"
        );
        let log = running.program.stderr();
        assert_eq!(
            log.matches("was altered since").count(),
            1,
            "{altered}: {log}"
        );
        drop(running);
    }
}

#[test]
fn a_value_without_a_binary_form_goes_as_text_with_its_table() {
    let mut bench = Bench::new("create table t (n integer primary key, u uuid, d date)");
    let table = bench.staged.define(
        "t",
        &[("n", int()), ("u", varchar(40)), ("d", ColumnType::Date)],
        &["n"],
    );
    bench.set("desc.pgsql", "ignore_copy_error_count_each_table", 1);
    let uuid = "00112233-4455-6677-8899-AABBCCDDEEFF";
    bench.staged.transaction(|t| {
        for n in 1..=ROWS {
            let row = match n {
                17 => format!("{n}\t{{{uuid}}}\t2024-02-29"),
                170 => format!("{n}\t{uuid}\t2023-02-29"),
                _ => format!("{n}\t{uuid}\t2024-02-29"),
            };
            t.insert(table, &row);
        }
    });
    let (code, log) = bench.run(&["--once"]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("copied as text from here on"), "{log}");
    assert!(log.contains("column u"), "{log}");
    assert_eq!(
        bench.rows("select count(*), count(distinct u), count(distinct d) from t"),
        ["299|1|1"]
    );
    assert_eq!(
        bench.staging_rows("select key ->> 'n', sqlstate from mysql2gp.dead_letters"),
        ["170|22008"]
    );
}

#[test]
fn rows_of_many_types_are_replaced_and_added_by_binary_copy() {
    let mut bench = Bench::new(
        "create table t (n integer primary key, name varchar(20), d date, f double precision, \
                         twice integer generated always as (n * 2) stored, ours text default 'x')",
    );
    let table = bench.staged.define(
        "t",
        &[
            ("n", int()),
            ("name", varchar(20)),
            ("d", ColumnType::Date),
            ("f", ColumnType::Double),
            ("twice", int()),
        ],
        &["n"],
    );
    bench.staged.transaction(|t| {
        for n in 1..=ROWS {
            t.insert(table, &format!("{n}\told\t2024-02-29\t0.5\t{}", n * 2));
        }
    });
    bench.once();
    bench.staged.transaction(|t| {
        for n in 1..=ROWS {
            t.update(table, &format!("{n}\ta\\tb\t0000-00-00\t-1e300\t{}", n * 2));
        }
        for n in ROWS + 1..=2 * ROWS {
            t.insert(table, &format!("{n}\t\\N\t9999-12-31\t\\N\t{}", n * 2));
        }
    });
    bench.once();
    assert_eq!(
        bench.rows(
            "select name, d, f, count(*), sum(twice), min(ours) from t group by 1, 2, 3 order by 1"
        ),
        [
            "a\tb|NULL|-1e+300|300|90300|x",
            "NULL|9999-12-31|NULL|300|270300|x"
        ]
    );
}
