//! The comparer accepts faithful copies and finds planted differences.

use testkit::{CellRule, Comparison, Difference, Flavor, MysqlServer, PgServer};

const TYPES_SOURCE: &str = "
create database app character set utf8mb4;
create table app.types (
    id int not null, part varchar(20) not null,
    u bigint unsigned zerofill, flag tinyint(1), amount decimal(20,6), y year,
    f float, d double(12,3), bits bit(10), one bit(1), small_bits bit(5),
    name varchar(100) character set latin1, note text, kind enum('a','b c'), tags set('x','y','z'),
    fixed binary(4), raw_bytes blob, day date, at datetime(3), stamp timestamp(6) null,
    span time(2), doc json, primary key (id, part));
set time_zone = '+05:00';
insert into app.types values
    (1, 'a', 42, 1, '-1.5', 2024, 0.1, -0.25, b'1000000001', b'1', b'101',
     'caf\u{e9}', 'two\\nlines', 'b c', 'x,z', x'00ff', x'00deadbeef', '2024-02-29',
     '2024-02-29 23:59:59.125', '2024-02-29 23:59:59.000001', '-100:30:01.50',
     '{\"b\": [1, null], \"a\": \"x\"}'),
    (2, 'a', 18446744073709551615, 0, '99999999999999.999999', 1901, 1e30, 1, 0, 0, 0,
     '', '', 'a', '', '', '', '1000-01-01', '1000-01-01 00:00:00', '1970-01-02 00:00:00',
     '838:59:59', '[]'),
    (2, 'B', null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null, null)";

const TYPES_TARGET: &str = "
create table types (
    id integer, part text, u numeric(20), flag boolean, amount numeric(20,6), y smallint,
    f real, d double precision, bits bit(10), one boolean, small_bits bigint,
    name varchar(100), note text, kind text, tags text[],
    fixed bytea, raw_bytes bytea, day date, at timestamp(3), stamp timestamptz(6),
    span interval, doc jsonb);
insert into types values
    (1, 'a', 42, true, -1.5, 2024, 0.1, -0.25, b'1000000001', true, 5,
     'caf\u{e9}', E'two\\nlines', 'b c', '{x,z}', '\\x00ff0000', '\\x00deadbeef', '2024-02-29',
     '2024-02-29 23:59:59.125', '2024-02-29 18:59:59.000001Z', '-100:30:01.5',
     '{\"a\":\"x\",\"b\":[1,null]}'),
    (2, 'a', 18446744073709551615, false, 99999999999999.999999, 1901, 1e30, 1, b'0000000000',
     false, 0, '', '', 'a', '{}', '\\x00000000', '', '1000-01-01', '1000-01-01 00:00:00',
     '1970-01-01 19:00:00Z', '838:59:59', '[]'),
    (2, 'B', null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null, null, null, null)";

#[test]
fn a_faithful_copy_of_many_types_is_equal_on_every_source() {
    let target = PgServer::start_default();
    target.sql("postgres", TYPES_TARGET);
    for flavor in Flavor::ALL {
        let source = MysqlServer::start_default(flavor);
        source.sql(TYPES_SOURCE);
        let report = Comparison::between(
            source.table("app", "types"),
            target.table("postgres", "public", "types"),
        )
        .run();
        assert!(report.is_equal(), "{flavor}: {report}");
        assert_eq!((report.source_rows, report.target_rows), (3, 3));
    }
}

#[test]
fn a_change_in_any_column_is_found() {
    let target = PgServer::start_default();
    target.sql("postgres", TYPES_TARGET);
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    source.sql(TYPES_SOURCE);
    let columns = target.query(
        "postgres",
        "select attname from pg_attribute where attrelid = 'types'::regclass \
         and attnum > 2 order by attnum",
    );
    assert_eq!(columns.len(), 20);
    for column in columns {
        let column = column[0].clone().unwrap();
        // The values of another row.
        target.sql(
            "postgres",
            &format!(
                "create table types_backup as select * from types; \
                 update types set {column} = (select {column} from types where id = 2 and part = 'a') \
                 where id = 1"
            ),
        );
        let report = Comparison::between(
            source.table("app", "types"),
            target.table("postgres", "public", "types"),
        )
        .run();
        assert_eq!(report.difference_count, 1, "{column}: {report}");
        assert!(report.to_string().contains(&column), "{report}");
        target.sql(
            "postgres",
            "truncate types; insert into types select * from types_backup; drop table types_backup",
        );
    }
}

#[test]
fn missing_extra_and_changed_rows_are_told_apart() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let target = PgServer::start_default();
    source.sql(
        "create database app; create table app.t (id int primary key, v int); \
         insert into app.t values (1, 1), (2, 2), (3, 3)",
    );
    target.sql(
        "postgres",
        "create table t (id int primary key, v int); insert into t values (0, 0), (1, 1), (3, 4)",
    );
    let comparison = Comparison::between(
        source.table("app", "t"),
        target.table("postgres", "public", "t"),
    );
    let report = comparison.run();
    assert!(matches!(
        report.first_differences.as_slice(),
        [
            Difference::Extra { .. },
            Difference::Missing { .. },
            Difference::Changed { .. }
        ]
    ));
    assert_eq!(
        report.to_string(),
        "3 differences between 3 source rows and 3 target rows\n  \
         extra id Some(\"0\")\n  missing id Some(\"2\")\n  \
         changed id Some(\"3\"): v source Some(\"3\") target Some(\"4\")"
    );
    assert_eq!(comparison.skip("v").run().difference_count, 2);
}

#[test]
fn rows_without_a_key_compare_as_a_multiset() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let target = PgServer::start_default();
    source.sql(
        "create database app; create table app.log (line varchar(10)); \
         insert into app.log values ('a'), ('b'), ('a'), (null)",
    );
    target.sql(
        "postgres",
        "create table log (line text); insert into log values (null), ('a'), ('a'), ('b')",
    );
    let comparison = Comparison::between(
        source.table("app", "log"),
        target.table("postgres", "public", "log"),
    );
    comparison.run().assert_equal();
    target.sql("postgres", "update log set line = 'b' where ctid = '(0,2)'");
    assert_eq!(comparison.run().difference_count, 2);
}

#[test]
fn names_rules_and_expressions_can_be_given_per_column() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let target = PgServer::start_default();
    source.sql(
        "create database app; \
         create table app.t (Id int primary key, old_name int, doc text, place point); \
         insert into app.t values (1, 7, '{\"a\": 1}', point(1, 2))",
    );
    target.sql(
        "postgres",
        "create table t (id int, new_name int, doc text, place text); \
         insert into t values (1, 7, '{\"a\":1}', 'POINT(1 2)')",
    );
    Comparison::between(
        source.table("app", "t"),
        target.table("postgres", "public", "t"),
    )
    .renamed("old_name", "new_name")
    .rule("doc", CellRule::Json)
    .expressions("place", "st_astext(place)", "place")
    .run()
    .assert_equal();
}

#[test]
#[should_panic(expected = "no rule compares place")]
fn an_unknown_type_is_not_passed_over() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    let target = PgServer::start_default();
    source.sql("create database app; create table app.t (place point)");
    target.sql("postgres", "create table t (place text)");
    let _ = Comparison::between(
        source.table("app", "t"),
        target.table("postgres", "public", "t"),
    )
    .run();
}
