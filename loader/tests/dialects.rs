//! The statements for Greenplum and openGauss, applied to a real PostgreSQL as far as it takes
//! them: the same histories as on PostgreSQL's own way must leave the same rows.

use common::check::Verdict;
use common::error::ErrorClass;
use common::table::{ColumnType, DefinitionId, IntegerWidth, Sign};
use loader::fetch::Start;
use loader::target::catalog::{Catalog, Fill, RelationKind};
use loader::target::conditions;
use loader::target::findings;
use loader::target::placement::{Distribution, Placement, Storage};
use loader::target::{Dialect, SessionError};
use testkit::wait_until;

use crate::bench::{Bench, TIMEOUT, rows};
use crate::spoken::{
    ALL, LOOK_ALIKES, OPENGAUSS, OPENGAUSS_A, SEARCH_PATH, Spoken, first, progress,
};
use crate::staged::{FILE, int, varchar};

const ITEMS: &str = "create table items (id integer primary key, name varchar(80))";

const ALL_ITEMS: &str = "select id, name from items order by id";

fn items(spoken: &mut Spoken) -> DefinitionId {
    spoken.define("items", &[("id", int()), ("name", varchar(20))], &["id"])
}

#[test]
fn inserts_updates_deletes_and_key_changes_arrive() {
    for dialect in ALL {
        let mut spoken = Spoken::new(dialect, ITEMS);
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, "1\tone").insert(items, "2\ttwo");
            t.insert(items, "3\tthree");
        });
        spoken.applied();
        spoken.transaction(|t| {
            t.update(items, "1\tONE").delete(items, "2");
            t.update_key(items, "4\tthree", "3").insert(items, "5\t\\N");
        });
        spoken.applied();
        spoken.rows(ALL_ITEMS, &["1|ONE", "4|three", "5|NULL"]);
        let position = format!("{FILE}:204");
        spoken.rows(
            "select applied_file || ':' || applied_pos, epoch from mysql2gp.checkpoint",
            &[&format!("{position}|2")],
        );
    }
}

#[test]
fn keys_and_secondary_unique_values_swap_within_a_batch() {
    for dialect in ALL {
        let mut spoken = Spoken::new(
            dialect,
            "create table items (id integer primary key, name varchar(80) not null unique)",
        );
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, "1\ta")
                .insert(items, "2\tb")
                .insert(items, "3\tc");
        });
        spoken.applied();
        spoken.transaction(|t| {
            t.update(items, "1\tx")
                .update(items, "2\ta")
                .update(items, "1\tb");
            t.update_key(items, "9\tc", "3")
                .update_key(items, "3\tb2", "1");
            t.update_key(items, "1\tc2", "9");
        });
        spoken.applied();
        spoken.rows(ALL_ITEMS, &["1|c2", "2|a", "3|b2"]);
    }
}

#[test]
fn many_rows_are_written_in_each_way_that_there_is() {
    for dialect in ALL {
        let mut spoken = Spoken::new(dialect, ITEMS);
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            for id in 1..=400 {
                t.insert(items, &format!("{id}\told"));
            }
        });
        spoken.applied();
        // Replaced where that can be, then beside deletes, where Greenplum does not.
        spoken.transaction(|t| {
            for id in 1..=300 {
                t.update(items, &format!("{id}\tnew"));
            }
        });
        spoken.applied();
        let names = "select name, count(*), min(id), max(id) from items group by 1 order by 1";
        spoken.rows(names, &["new|300|1|300", "old|100|301|400"]);
        spoken.transaction(|t| {
            for id in 1..=300 {
                t.update(items, &format!("{id}\tnewer"));
            }
            t.delete(items, "400")
                .update_key(items, "500\tmoved", "399");
        });
        spoken.applied();
        spoken.rows(
            names,
            &["moved|1|500|500", "newer|300|1|300", "old|98|301|398"],
        );
    }
}

#[test]
fn keys_of_several_columns_and_odd_texts_find_their_rows() {
    for dialect in ALL {
        let mut spoken = Spoken::new(
            dialect,
            "create table stock (note text, shop varchar(80), day date, code bytea, n numeric(20), \
             primary key (shop, day, code, n))",
        );
        let columns = [
            ("note", varchar(20)),
            ("shop", varchar(20)),
            ("day", ColumnType::Date),
            ("code", ColumnType::Varbinary { max_bytes: 9 }),
            (
                "n",
                ColumnType::Integer {
                    width: IntegerWidth::Big,
                    sign: Sign::Unsigned,
                },
            ),
        ];
        let stock = spoken.define("stock", &columns, &["shop", "day", "code", "n"]);
        let key = |shop: &str| format!("{shop}\t2024-05-06\t\\\\x005c0a\t18446744073709551615");
        let row = |note: &str, shop: &str| format!("{note}\t{}", key(shop));
        spoken.transaction(|t| {
            t.insert(stock, &row("one", "a\\\\b"))
                .insert(stock, &row("two", "t\\tq"));
            t.insert(stock, &row("three", "A"));
        });
        spoken.applied();
        spoken.transaction(|t| {
            t.update(stock, &row("ONE", "a\\\\b"))
                .delete(stock, &key("t\\tq"));
            t.update_key(stock, &row("three", "a"), &key("A"));
        });
        spoken.applied();
        spoken.rows(
            "select note, shop from stock order by note",
            &["ONE|a\\b", "three|a"],
        );
    }
}

#[test]
fn rows_without_a_key_go_one_by_one() {
    for dialect in ALL {
        for index in ["", "create index on log (line)"] {
            let mut spoken = Spoken::new(
                dialect,
                &format!(
                    "create table log (level integer not null, line varchar(80), ratio double precision, \
                                       gp_segment_id integer default 0); {index}"
                ),
            );
            let log = spoken.define(
                "log",
                &[
                    ("level", int()),
                    ("line", varchar(20)),
                    ("ratio", ColumnType::Double),
                ],
                &[],
            );
            spoken.transaction(|t| {
                for _ in 0..3 {
                    t.insert(log, "1\tsame\t0.5");
                }
                t.insert(log, "2\t\\N\t\\N").insert(log, "2\t\\N\t\\N");
                t.insert(log, "3\t-\t0.1").insert(log, "3\t\\N\t0.1");
                t.insert(log, "3\t-\t0.10000000000000002");
            });
            spoken.applied();
            spoken.transaction(|t| {
                t.delete_full(log, "1\tsame\t0.5");
                t.update_full(log, "1\tother\t0.5", "1\tsame\t0.5");
                t.delete_full(log, "2\t\\N\t\\N")
                    .delete_full(log, "3\t\\N\t0.1");
                t.delete_full(log, "3\t-\t0.1");
                t.insert(log, "4\tgone\t1").delete_full(log, "4\tgone\t1");
            });
            spoken.applied();
            spoken.rows(
                "select level, line, ratio from log order by level, line",
                &[
                    "1|other|0.5",
                    "1|same|0.5",
                    "2|NULL|NULL",
                    "3|-|0.10000000000000002",
                ],
            );
        }
    }
}

#[test]
fn an_oversized_transaction_goes_in_rounds() {
    for dialect in ALL {
        let mut spoken = Spoken::new(
            dialect,
            &format!(
                "{ITEMS}; create table log (line varchar(80), gp_segment_id integer default 0)"
            ),
        );
        spoken.batch_bytes = 20_000;
        let items = items(&mut spoken);
        let log = spoken.define("log", &[("line", varchar(20))], &[]);
        spoken.transaction(|t| {
            for id in 0..1000 {
                t.insert(items, &format!("{id}\tn{id}"))
                    .insert(log, &format!("l{}", id % 10));
            }
            // Keys that an earlier round has deleted come back in a later one.
            for id in 0..500 {
                t.delete(items, &id.to_string());
                t.insert(items, &format!("{id}\tback{id}"));
                t.delete_full(log, &format!("l{}", id % 10));
            }
            for id in 900..1000 {
                t.delete(items, &id.to_string());
            }
        });
        spoken.applied();
        spoken.rows(
            "select count(*), count(*) filter (where name = 'back' || id), \
                    count(*) filter (where name = 'n' || id), max(id) from items",
            &["900|500|400|899"],
        );
        spoken.rows(
            "select count(*), count(distinct line) from log",
            &["500|10"],
        );
    }
}

#[test]
fn truncates_and_rows_that_are_there_already_are_met() {
    for dialect in ALL {
        let mut spoken = Spoken::new(dialect, ITEMS);
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, "1\tone").insert(items, "2\ttwo");
        });
        spoken.transaction(|t| {
            t.truncate(items);
        });
        spoken.transaction(|t| {
            t.insert(items, "2\tagain");
        });
        spoken.applied();
        spoken.rows(ALL_ITEMS, &["2|again"]);
        spoken
            .bench
            .change("insert into items values (7, 'by hand')");
        spoken.transaction(|t| {
            t.insert(items, "7\tseven").insert(items, "8\teight");
        });
        assert_eq!(spoken.apply().unwrap(), 1, "{dialect:?}");
        spoken.rows(ALL_ITEMS, &["2|again", "7|seven", "8|eight"]);
    }
}

/// What others hold and wait for on the tables of a test.
const LOCKS: &str = "\
select l.relation::regclass || ' ' || l.mode || case when l.granted then '' else ' waits' end
  from pg_locks l join pg_stat_activity a on a.pid = l.pid
 where l.relation in ('public.copied'::regclass, 'public.items'::regclass) and l.mode <> 'AccessShareLock'
   and a.application_name = 'test' and a.datname = current_database()
 order by 1";

#[test]
fn tables_are_locked_in_one_order_where_deletes_lock_tables() {
    for dialect in [
        Dialect::Greenplum6,
        Dialect::Greenplum7,
        Dialect::Cloudberry,
    ] {
        // The table that is only copied into comes first.
        let mut spoken = Spoken::new(
            dialect,
            &format!("create table copied (id integer primary key, name varchar(80)); {ITEMS}"),
        );
        let columns = [("id", int()), ("name", varchar(20))];
        let copied = spoken.define("copied", &columns, &["id"]);
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, "1\tone").insert(copied, "1\tone");
            for id in 100..400 {
                t.insert(copied, &format!("{id}\told"));
            }
        });
        spoken.applied();
        spoken.transaction(|t| {
            t.delete(items, "1").insert(copied, "2\ttwo");
        });
        let mut other = spoken.bench.connect_target();
        let mut looking = spoken.bench.connect_target();
        other
            .batch_execute("begin; lock table public.copied in share mode")
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| spoken.applied());
            wait_until(TIMEOUT, "the loader waits for a lock", || {
                rows(&mut looking, LOCKS)
                    .iter()
                    .any(|lock| lock.ends_with("waits"))
            });
            let locks = rows(&mut looking, LOCKS);
            other.batch_execute("rollback").unwrap();
            assert_eq!(locks, ["copied RowExclusiveLock waits"], "{dialect:?}");
        });
        spoken.rows(ALL_ITEMS, &[]);
        spoken.rows("select name from copied where id < 100", &["one", "two"]);
        // Where rows replace others besides, and where nothing is deleted.
        spoken.transaction(|t| {
            t.insert(items, "3\tthree");
        });
        spoken.applied();
        spoken.transaction(|t| {
            t.delete(items, "3");
            for id in 100..400 {
                t.update(copied, &format!("{id}\tnew"));
            }
        });
        spoken.applied();
        spoken.rows(ALL_ITEMS, &[]);
        spoken.rows("select count(*) from copied where name = 'new'", &["300"]);
    }
}

#[test]
fn refused_rows_become_dead_letters_and_are_settled() {
    for dialect in ALL {
        let mut spoken = Spoken::new(
            dialect,
            "create table items (id integer primary key, name varchar(80) check (name not like 'bad%'))",
        );
        spoken.dead_letter_limit = 5;
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            for id in 1..=300 {
                let name = if id % 100 == 0 { "bad" } else { "good" };
                t.insert(items, &format!("{id}\t{name}"));
            }
        });
        spoken.applied();
        let count =
            "select count(*), (select count(*) from mysql2gp.checkpoint_dead_letters) from items";
        spoken.rows(count, &["297|3"]);
        // An update whose old version goes, one that settles, and a delete that does.
        spoken.transaction(|t| {
            t.update(items, "1\tbad")
                .update(items, "100\tgood")
                .delete(items, "200");
        });
        spoken.applied();
        spoken.rows(count, &["297|2"]);
        spoken.rows(
            "select count(*) from items where id in (1, 200, 300)",
            &["0"],
        );
    }
}

#[test]
fn a_session_that_was_overtaken_commits_nothing() {
    for dialect in ALL {
        let mut spoken = Spoken::new(dialect, ITEMS);
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, "1\tone");
        });
        spoken.applied();
        let mut session = spoken.session();
        session.raise_epoch().unwrap();
        spoken
            .bench
            .change("update mysql2gp.checkpoint set epoch = epoch + 1");
        let checkpoint = session.checkpoint().unwrap().unwrap();
        let start = Start {
            behind_chunk: 0,
            transaction_seq: 1,
            event_seq: 1,
        };
        session.begin().unwrap();
        session
            .client
            .batch_execute("insert into public.items values (2, 'late')")
            .unwrap();
        let staging_id = checkpoint.staging_id.clone();
        let refused = session.commit(&staging_id, &progress(checkpoint, &start), None);
        assert!(
            matches!(refused, Err(SessionError::Fenced { .. })),
            "{dialect:?}: {refused:?}"
        );
        session.rollback().unwrap();
        spoken.rows(ALL_ITEMS, &["1|one"]);
    }
}

#[test]
fn empty_texts_are_refused_where_they_would_become_null() {
    for (dialect, expected) in [(OPENGAUSS, ["1||0"]), (OPENGAUSS_A, ["2|x|1"])] {
        let mut spoken = Spoken::new(dialect, ITEMS);
        spoken.dead_letter_limit = 1;
        let items = items(&mut spoken);
        spoken.transaction(|t| {
            t.insert(items, if dialect == OPENGAUSS { "1\t" } else { "2\tx" });
            if dialect == OPENGAUSS_A {
                t.insert(items, "1\t");
            }
        });
        spoken.applied();
        spoken.rows(
            "select id, name, (select count(*) from mysql2gp.checkpoint_dead_letters where sqlstate = '2200F') from items",
            &expected,
        );
    }
}

#[test]
fn lengths_that_count_bytes_are_compared_before_the_first_row() {
    let mut spoken = Spoken::new(
        OPENGAUSS_A,
        "create table items (id integer primary key, name varchar(20))",
    );
    let items = items(&mut spoken);
    spoken.transaction(|t| {
        t.insert(items, "1\tone");
    });
    let error = spoken.apply().unwrap_err().to_string();
    assert!(error.contains("make it varchar(80)"), "{error}");
}

#[test]
fn floats_reach_servers_that_misread_them_as_they_are() {
    for dialect in ALL {
        let mut spoken = Spoken::new(dialect, "create table f (id integer primary key, r real)");
        let table = spoken.define("f", &[("id", int()), ("r", ColumnType::Float)], &["id"]);
        let texts = [
            "7.038531e-26",
            "0.1",
            "3.4028235e38",
            "-0",
            "1e-45",
            "16777216",
        ];
        spoken.transaction(|t| {
            for (id, text) in texts.iter().enumerate() {
                t.insert(table, &format!("{id}\t{text}"));
            }
        });
        // In COPY's binary format, too, where it is used.
        spoken.transaction(|t| {
            for id in 100..300 {
                t.insert(table, &format!("{id}\t7.038531e-26"));
            }
        });
        spoken.applied();
        let read: Vec<u32> = spoken
            .bench
            .target
            .query("select r from f where id < 100 order by id", &[])
            .unwrap()
            .iter()
            .map(|row| row.get::<_, f32>(0).to_bits())
            .collect();
        let expected: Vec<u32> = texts
            .iter()
            .map(|text| text.parse::<f32>().unwrap().to_bits())
            .collect();
        assert_eq!(read, expected, "{dialect:?}");
        spoken.rows(
            "select count(*), count(distinct r) from f where id >= 100",
            &["200|1"],
        );
    }
}

#[test]
fn check_names_the_server_and_says_what_costs_time() {
    let mut bench = Bench::new(ITEMS);
    let items = bench
        .staged
        .define("items", &[("id", int()), ("name", varchar(20))], &["id"]);
    bench.staged.transaction(|t| {
        t.insert(items, "1\tone");
    });
    let (code, out) = bench.run_for_output(&["check"]);
    assert_eq!(code, 0, "{out}");
    let version: String = bench.rows("show server_version_num").concat();
    let (major, minor) = version.split_at(2);
    let name = format!("PostgreSQL {major}.{}", minor.trim_start_matches('0'));
    for server in ["staging", "target"] {
        assert!(out.contains(&format!("ok   {server} is {name}\n")), "{out}");
    }
    assert!(
        out.contains("ok   table shop.items -> public.items"),
        "{out}"
    );

    let mut said = |dialect| -> Vec<String> {
        let findings = findings::of_server(&mut bench.target, dialect).unwrap();
        let lines = findings
            .iter()
            .map(|f| format!("{:?} {}", f.verdict, f.text));
        lines.collect()
    };
    assert_eq!(said(Dialect::PostgreSql), [""; 0]);
    let lines = said(Dialect::Greenplum6);
    assert!(lines[0].starts_with("Warn target: gp_enable_global_deadlock_detector is off"));
    assert_eq!(
        said(OPENGAUSS_A),
        ["Warn target: in this database '' is NULL, varchar(n) counts bytes, date is timestamp(0)"]
    );
    assert_eq!(
        said(OPENGAUSS),
        ["Ok target: in this database '' is kept, varchar(n) counts characters, date is a date"]
    );
    bench.change(&format!(
        "revoke temporary on database {name}_target from public; create role {name}_plain; set role {name}_plain",
        name = bench.name.clone()
    ));
    for (dialect, remedy) in [
        (
            Dialect::PostgreSql,
            Some("on PostgreSQL 15 and later: grant set"),
        ),
        (Dialect::Greenplum6, None),
        (OPENGAUSS, Some("use an administrator (sysadmin)")),
    ] {
        let (_, findings) = conditions::of_database(&mut bench.target, dialect).unwrap();
        let warned = findings
            .iter()
            .find(|finding| finding.text.contains("session_replication_role"))
            .map(|finding| (finding.verdict, finding.text.contains(remedy.unwrap())));
        assert_eq!(
            warned,
            remedy.map(|_| (Verdict::Warn, true)),
            "{dialect:?}: {findings:?}"
        );
    }
    let (_, findings) = conditions::of_database(&mut bench.target, OPENGAUSS).unwrap();
    let lacking = findings
        .iter()
        .find(|finding| finding.text.contains("grant temporary on database"));
    assert!(lacking.is_some_and(|f| f.verdict == Verdict::Fail(ErrorClass::Usage)));
}

/// A table with everything that the catalogs are asked for.
const ZOO: &str = "\
create domain short as varchar(10) not null; \
create domain shorter as short; \
create type mood as enum ('good', 'bad'); \
create table zoo (a integer not null, b varchar(20) default 'x', c numeric(10,2), d timestamp(3), e shorter, f mood, \
                  g text[], h char(5), i integer generated always as (a * 2) stored, gone integer, j bit(3), \
                  primary key (c, a), unique (b) deferrable); \
alter table zoo drop column gone; \
create index on zoo (d, h); create index on zoo (lower(b)); create index on zoo (a) where a > 0; \
create view view_of_zoo as select * from zoo";

#[test]
fn catalogs_of_old_versions_tell_the_same() {
    let mut bench = Bench::new(&format!("{LOOK_ALIKES}; {ZOO}"));
    bench.change(SEARCH_PATH);
    let mut find = |dialect, name| {
        let mut catalog = Catalog::new(dialect);
        let found = catalog.find_tables(&mut bench.target, "public", name);
        let mut found = found.unwrap();
        assert_eq!(found.len(), 1, "{dialect:?}");
        found.remove(0)
    };
    let expected = find(Dialect::PostgreSql, "ZOO");
    assert_eq!(expected.columns.len(), 10);
    assert_eq!(expected.indexes.len(), 3);
    for dialect in [Dialect::Greenplum6, Dialect::Greenplum7, OPENGAUSS] {
        let mut found = find(dialect, "Zoo");
        found.indexes.sort_by_key(|index| index.columns.clone());
        let mut indexes = expected.indexes.clone();
        indexes.sort_by_key(|index| index.columns.clone());
        assert_eq!(found.indexes, indexes, "{dialect:?}");
        let mut columns = expected.columns.clone();
        if dialect == Dialect::Greenplum6 {
            // It has none; the catalog shows a default.
            columns[8].fill = Fill::Default;
        }
        assert_eq!(found.columns, columns, "{dialect:?}");
        assert_eq!(found.kind, expected.kind);
        assert_eq!(find(dialect, "view_of_zoo").kind, RelationKind::Other);
    }
}

#[test]
fn the_place_of_greenplums_rows_is_read() {
    let mut bench = Bench::new(&format!("{LOOK_ALIKES}; {ZOO}"));
    bench.change(
        "create or replace function public.pg_get_table_distributedby(oid) returns text language sql \
         as 'select ''DISTRIBUTED BY (h, a)''::text'",
    );
    let place = |bench: &mut Bench| {
        let mut catalog = Catalog::new(Dialect::Greenplum6);
        let found = catalog.find_tables(&mut bench.target, "public", "zoo");
        let table = found.unwrap().remove(0);
        (table.kind, table.placement.unwrap())
    };
    let unknown = Placement {
        distribution: None,
        storage: Storage::Heap,
    };
    assert_eq!(place(&mut bench), (RelationKind::Table, unknown));
    for (policy, columns, expected) in [
        ("p", "8 1", by(&["h", "a"], "DISTRIBUTED BY (h, a)")),
        ("p", "", Distribution::Randomly),
        ("r", "", Distribution::Replicated),
    ] {
        bench.change(&format!(
            "delete from gp_distribution_policy; \
             insert into gp_distribution_policy values ('zoo'::regclass, '{policy}', 2, '{columns}', '')"
        ));
        let (_, placement) = place(&mut bench);
        assert_eq!(placement.distribution, Some(expected));
    }
    bench.change(
        "create table part () inherits (zoo); insert into pg_appendonly values ('part'::regclass); \
         insert into pg_exttable values ('zoo'::regclass)",
    );
    let (kind, placement) = place(&mut bench);
    assert_eq!(
        (kind, placement.storage),
        (RelationKind::Other, Storage::AppendOptimized)
    );
}

fn by(columns: &[&str], clause: &str) -> Distribution {
    Distribution::By {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        clause: clause.into(),
    }
}

#[test]
fn gtids_that_are_none_are_told_from_those_that_are_not_known() {
    for dialect in [Dialect::PostgreSql, OPENGAUSS_A] {
        for set in [Some(""), Some("0-1-7"), None] {
            let spoken = Spoken::new(dialect, ITEMS);
            let mut session = spoken.session();
            let mut checkpoint = first("staging");
            checkpoint.applied_gtid_set = set.map(str::to_owned);
            session.insert_checkpoint(&checkpoint).unwrap();
            let read = session.checkpoint().unwrap().unwrap();
            assert_eq!(read.applied_gtid_set.as_deref(), set, "{dialect:?}");
            let start = Start {
                behind_chunk: 0,
                transaction_seq: 1,
                event_seq: 1,
            };
            let mut moved = progress(read, &start);
            moved.gtid_set = set.map(str::to_owned);
            session.begin().unwrap();
            session.commit("staging", &moved, None).unwrap();
            let read = session.checkpoint().unwrap().unwrap();
            assert_eq!(read.applied_gtid_set.as_deref(), set, "{dialect:?}");
            assert_eq!(read.event_seq, 1);
        }
    }
}
