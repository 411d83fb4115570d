//! Every server's values, carried by both programs.

use std::sync::OnceLock;
use std::time::Instant;

use mysql::Conn;
use testkit::{Flavor, MysqlServer};

use crate::case::Case;
use crate::random::{Random, seed};
use crate::rig::{Task, execute, postgres, source, writer};
use crate::table::{Claim, Connections, Extent, Kind, Table, of_case};
use crate::{documents, numbers, policies, special, strings, temporal};

/// What a run has proven of a server.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) flavor: Flavor,
    pub(crate) claims: Vec<Claim>,
}

/// A database of the source, and how the server is set while it is written to.
struct Mode {
    database: &'static str,
    extent: Extent,
    settings: &'static [&'static str],
}

/// Where row definitions come from, and forms of events that carry the same values.
fn modes(flavor: Flavor) -> Vec<Mode> {
    let mode = |database, extent, settings| Mode {
        database,
        extent,
        settings,
    };
    match flavor {
        Flavor::Mysql57 => vec![mode("plain", Extent::Everything, &[])],
        Flavor::Mysql97 => vec![
            mode(
                "complete",
                Extent::Everything,
                &[
                    "set global binlog_row_metadata = FULL",
                    "set session binlog_transaction_compression = OFF",
                ],
            ),
            mode(
                "minimal",
                Extent::Defaults,
                &[
                    "set global binlog_row_metadata = MINIMAL",
                    "set session binlog_transaction_compression = ON",
                ],
            ),
        ],
        Flavor::MariaDb1011 | Flavor::MariaDb118 => vec![
            mode(
                "complete",
                Extent::Everything,
                &["set global binlog_row_metadata = FULL"],
            ),
            mode(
                "minimal",
                Extent::Defaults,
                &[
                    "set global binlog_row_metadata = MINIMAL",
                    "set global log_bin_compress = ON",
                ],
            ),
            mode(
                "nothing",
                Extent::Defaults,
                &[
                    "set global binlog_row_metadata = NO_LOG",
                    "set global log_bin_compress = OFF",
                    // The temporal types of before 5.6, in tables created now.
                    "set global mysql56_temporal_format = OFF",
                ],
            ),
        ],
    }
}

/// What every mode begins with.
const PLAIN_MARIADB: [&str; 2] = [
    "set global mysql56_temporal_format = ON",
    "set global log_bin_compress = OFF",
];

/// Runs a server's tables, once per test process.
pub(crate) fn proof(flavor: Flavor) -> &'static Proof {
    static PROOFS: [OnceLock<Proof>; 4] = [const { OnceLock::new() }; 4];
    let index = Flavor::ALL.iter().position(|other| *other == flavor);
    PROOFS
        .get(index.expect("ALL has all"))
        .expect("as many as flavors")
        .get_or_init(|| prove(flavor))
}

fn cases(flavor: Flavor, random: &mut Random) -> Vec<Case> {
    let mut cases = numbers::cases(random);
    cases.extend(temporal::cases(flavor, random));
    cases.extend(strings::cases(flavor, random));
    cases.extend(documents::cases(flavor, random));
    cases
}

fn tables(flavor: Flavor, source: &MysqlServer, random: &mut Random) -> Vec<Table> {
    let cases = cases(flavor, random);
    let charsets = special::charsets(source);
    let mut tables = Vec::new();
    for Mode {
        database, extent, ..
    } in modes(flavor)
    {
        for case in &cases {
            tables.extend(of_case(database, case, extent));
        }
        tables.extend(special::tables(flavor, database, &charsets, random));
        if extent == Extent::Everything {
            tables.push(special::large(flavor, database));
        }
    }
    tables
}

fn prove(flavor: Flavor) -> Proof {
    let mut random = Random::new(seed());
    let source = source(flavor);
    let names: Vec<&str> = modes(flavor).iter().map(|mode| mode.database).collect();
    let task = Task::new(flavor.name(), &source, &names);
    let tables = tables(flavor, &source, &mut random);
    let mut clock = Clock::new(flavor);

    let mut connection = writer(&source);
    for name in &names {
        execute(
            &mut connection,
            &format!("create database {name} character set utf8mb4"),
        );
    }
    let mut target = postgres().connect(&task.target);
    for table in &tables {
        let sql = table.create_target();
        target
            .batch_execute(&sql)
            .unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }
    for_each(flavor, &mut connection, &tables, |connection, table| {
        execute(connection, &table.create_source());
    });
    clock.lap("create");

    for_each(flavor, &mut connection, &tables, |connection, table| {
        table.first_round(connection);
    });
    clock.lap("insert");
    task.carry();
    clock.lap("carry");
    compare(&tables, &source, &task, "inserts");
    clock.lap("compare");

    for_each(flavor, &mut connection, &tables, |connection, table| {
        if table.changes_are_logged(flavor) {
            table.second_round(connection);
        }
    });
    clock.lap("update");
    task.carry();
    clock.lap("carry");
    compare(&tables, &source, &task, "updates and deletes");
    clock.lap("compare");

    policies::hold(flavor, &source);
    clock.lap("policies");
    let mut claims: Vec<Claim> = Vec::new();
    let carried = tables.iter().flat_map(|table| &table.columns);
    for claim in carried.filter_map(|column| column.claim.as_ref()) {
        if !claims.contains(claim) {
            claims.push(claim.clone());
        }
    }
    if flavor.is_mariadb() {
        claims.push(old_temporal_types(&source));
    }
    Proof { flavor, claims }
}

/// Shows that the tables compared did have them.
fn old_temporal_types(source: &MysqlServer) -> Claim {
    let columns = source.value(
        "select count(*) from information_schema.columns \
         where table_schema = 'nothing' and column_type like '%mariadb-5.3%'",
    );
    assert_ne!(columns, "0", "no column has a temporal type of before 5.6");
    Claim {
        row: "temporal types with `mysql56_temporal_format = OFF`",
        kind: Kind::Default,
        label: "as with ON".to_owned(),
    }
}

/// Writes to every table in one transaction per database, in the database's mode.
fn for_each(
    flavor: Flavor,
    connection: &mut Conn,
    tables: &[Table],
    mut write: impl FnMut(&mut Conn, &Table),
) {
    for mode in modes(flavor) {
        let first: &[&str] = if flavor.is_mariadb() {
            &PLAIN_MARIADB
        } else {
            &[]
        };
        for setting in first.iter().chain(mode.settings) {
            execute(connection, setting);
        }
        execute(connection, "begin");
        for table in tables
            .iter()
            .filter(|table| table.database == mode.database)
        {
            write(connection, table);
        }
        execute(connection, "commit");
    }
}

/// Ends the test with all differences of all tables.
fn compare(tables: &[Table], source: &MysqlServer, task: &Task, after: &str) {
    let mut connections = Connections::new(source, task);
    let differences: Vec<String> = tables
        .iter()
        .filter_map(|table| table.difference(source, task, &mut connections))
        .collect();
    assert!(
        differences.is_empty(),
        "{} after {after}, {} of {} tables differ:\n{}",
        source.flavor(),
        differences.len(),
        tables.len(),
        differences.join("\n")
    );
}

/// Says where the time goes.
struct Clock {
    flavor: Flavor,
    last: Instant,
}

impl Clock {
    fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            last: Instant::now(),
        }
    }

    fn lap(&mut self, step: &str) {
        eprintln!("{}: {step} {:?}", self.flavor, self.last.elapsed());
        self.last = Instant::now();
    }
}
