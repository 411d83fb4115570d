//! The workloads: tables, what is there before, and the statements that make the binlog.

mod random;
mod tables;

use std::fmt::Write as _;

use mysql::prelude::Queryable;

use crate::rig::{DATABASE, REFERENCE, Rig};
use random::Random;
use tables::{SMALL, WIDE, digits};

/// Rows that one transaction changes.
const TRANSACTION_ROWS: u64 = 100;

/// Rows that the tables of W3 hold, at full size.
const SYSBENCH_ROWS: u64 = 50_000;

/// What is asked of a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// At most so many times the time of raw COPY of the same rows.
    TimesRaw(f64),
    /// At least so many row events for each row that W1's raw COPY takes in the same time.
    EventsPerRawRow(f64),
    /// Nothing by itself.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Inserts { tables: u64 },
    HotUpdates,
    Sysbench,
    WideInserts,
    RandomUpdates,
    OneTransaction,
}

/// A workload of a size.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) bar: Bar,
    pub(crate) stretch: Bar,
    /// Whether the target also runs the source's statements itself, by psql.
    pub(crate) by_psql: bool,
    kind: Kind,
    /// Row events.
    events: u64,
    /// Rows of each table before, or keys that are used.
    rows: u64,
}

impl Case {
    /// All workloads at this share of their full size.
    pub(crate) fn all(scale: f64, scaling: bool) -> Vec<Self> {
        let mut cases = vec![
            Self::inserts("W1", 1, scale, Bar::TimesRaw(1.25), Bar::TimesRaw(1.15)),
            Self {
                name: "W2",
                title: "updates of few keys".into(),
                bar: Bar::EventsPerRawRow(1.0),
                stretch: Bar::EventsPerRawRow(1.2),
                by_psql: false,
                kind: Kind::HotUpdates,
                events: scaled(1_000_000, scale),
                rows: scaled(10_000, scale),
            },
            Self {
                name: "W3",
                title: "sysbench oltp_write_only, 4 tables".into(),
                bar: Bar::EventsPerRawRow(0.7),
                stretch: Bar::EventsPerRawRow(0.8),
                by_psql: false,
                kind: Kind::Sysbench,
                events: scaled(800_000, scale),
                rows: scaled(SYSBENCH_ROWS, scale),
            },
            Self {
                name: "W4",
                title: "inserts of 60 columns".into(),
                bar: Bar::TimesRaw(1.1),
                stretch: Bar::TimesRaw(1.0),
                by_psql: false,
                kind: Kind::WideInserts,
                events: scaled(200_000, scale),
                rows: 0,
            },
            Self::random_updates("W5", scale),
            Self {
                name: "W6",
                title: "inserts in one transaction".into(),
                bar: Bar::TimesRaw(1.7),
                stretch: Bar::TimesRaw(1.5),
                by_psql: false,
                kind: Kind::OneTransaction,
                events: scaled(1_000_000, scale),
                rows: 0,
            },
        ];
        if scaling {
            for (name, share) in [("S1 x 0.1", 0.1), ("S1 x 1", 1.0), ("S1 x 5", 5.0)] {
                cases.push(Self::inserts(name, 1, scale * share, Bar::None, Bar::None));
            }
            for (name, tables) in [("S1, 20 tables", 20), ("S1, 200 tables", 200)] {
                cases.push(Self::inserts(name, tables, scale, Bar::None, Bar::None));
            }
            for (name, share) in [("S5 x 0.1", 0.1), ("S5 x 1", 1.0), ("S5 x 5", 5.0)] {
                cases.push(Self {
                    bar: Bar::None,
                    stretch: Bar::None,
                    by_psql: true,
                    ..Self::random_updates(name, scale * share)
                });
            }
        }
        cases
    }

    fn inserts(name: &'static str, tables: u64, scale: f64, bar: Bar, stretch: Bar) -> Self {
        Self {
            name,
            title: "inserts, sysbench rows".into(),
            bar,
            stretch,
            by_psql: false,
            kind: Kind::Inserts { tables },
            events: scaled(1_000_000, scale),
            rows: 0,
        }
    }

    fn random_updates(name: &'static str, scale: f64) -> Self {
        Self {
            name,
            title: "updates of random keys".into(),
            bar: Bar::EventsPerRawRow(0.22),
            stretch: Bar::EventsPerRawRow(0.3),
            by_psql: false,
            kind: Kind::RandomUpdates,
            events: scaled(300_000, scale),
            rows: scaled(1_000_000, scale),
        }
    }

    /// A tenth of W1, which the slowest other tool takes a while for.
    pub(crate) fn beside_others(scale: f64) -> Self {
        Self::inserts("other tools", 1, scale / 10.0, Bar::None, Bar::None)
    }

    /// Whether its raw COPY is what other workloads are compared with.
    pub(crate) fn is_reference(&self) -> bool {
        self.name == "W1"
    }

    /// Row events, as a number to divide by.
    pub(crate) fn events(&self) -> f64 {
        // Far below 2^53.
        f64::from(u32::try_from(self.events).unwrap_or(u32::MAX))
    }

    /// Tables, by name.
    pub(crate) fn tables(&self) -> Vec<String> {
        let count = match self.kind {
            Kind::Inserts { tables } => tables,
            Kind::Sysbench => 4,
            Kind::HotUpdates | Kind::WideInserts | Kind::RandomUpdates | Kind::OneTransaction => 1,
        };
        (1..=count).map(|number| format!("t{number}")).collect()
    }

    /// Tables whose raw COPY is a reference for this workload.
    pub(crate) fn raw_tables(&self) -> Vec<String> {
        match self.kind {
            Kind::Inserts { .. } | Kind::WideInserts | Kind::OneTransaction => self.tables(),
            Kind::HotUpdates | Kind::Sysbench | Kind::RandomUpdates => Vec::new(),
        }
    }

    /// Makes the tables on both sides with what is there before, and returns the name of the
    /// target database that has them.
    pub(crate) fn prepare(&self, rig: &Rig) -> String {
        let template = "template_target".to_owned();
        let target = &rig.target;
        target.sql("postgres", &format!("drop database if exists {template}"));
        target.create_database(&template);
        let columns = if self.kind == Kind::WideInserts {
            WIDE
        } else {
            SMALL
        };
        for table in self.tables() {
            let (source, copy) = columns.create(&table);
            rig.source.sql(&format!("use {DATABASE}; {source}"));
            target.sql(&template, &copy);
        }
        if self.rows > 0 {
            rig.generate(self.fill());
            let mut connection = rig.source.connect();
            let mut client = target.connect(&template);
            for table in self.tables() {
                tables::copy(&mut connection, &mut client, &table);
                let made = client.batch_execute(&format!("vacuum analyze {table}"));
                made.unwrap_or_else(|error| panic!("vacuum {table}: {error}"));
            }
        }
        template
    }

    /// Removes what `prepare` has made.
    pub(crate) fn clean_up(&self, rig: &Rig, template: &str) {
        let mut connection = rig.source.connect();
        for table in self.tables() {
            connection
                .query_drop(format!("drop table {DATABASE}.{table}"))
                .expect("the table was made here");
        }
        rig.target
            .sql("postgres", &format!("drop database {template}"));
    }

    fn fill(&self) -> impl Iterator<Item = String> {
        let rows = self.rows;
        self.tables().into_iter().flat_map(move |table| {
            let mut random = Random::new(7);
            batches(rows).map(move |ids| insert(&table, ids, &mut random))
        })
    }

    /// The statements that make the binlog.
    pub(crate) fn statements(&self) -> Box<dyn Iterator<Item = String>> {
        let mut random = Random::new(42);
        let (events, rows) = (self.events, self.rows);
        match self.kind {
            Kind::Inserts { tables } => Box::new((1..=tables).flat_map(move |number| {
                let mut random = Random::new(number);
                batches(events / tables)
                    .map(move |ids| insert(&format!("t{number}"), ids, &mut random))
            })),
            Kind::OneTransaction => Box::new(
                std::iter::once("begin".into())
                    .chain(batches(events).map(move |ids| insert("t1", ids, &mut random)))
                    .chain(std::iter::once("commit".into())),
            ),
            Kind::HotUpdates | Kind::RandomUpdates => Box::new(
                (0..events / TRANSACTION_ROWS).map(move |_| update("t1", rows, &mut random)),
            ),
            Kind::Sysbench => {
                Box::new((0..events / 4).flat_map(move |_| write_only(rows, &mut random)))
            }
            Kind::WideInserts => {
                Box::new(batches(events).map(move |ids| tables::insert_wide(ids, &mut random)))
            }
        }
    }
}

/// Makes the target's table for the rows of W1.
pub(crate) fn reference_table() -> String {
    SMALL.create(REFERENCE).1
}

/// A size at a share, at least one transaction.
fn scaled(full: u64, scale: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^53 and not negative"
    )]
    let size = (full as f64 * scale) as u64;
    size.max(TRANSACTION_ROWS)
}

/// First and last id of each transaction.
fn batches(rows: u64) -> impl Iterator<Item = (u64, u64)> {
    (1..=rows)
        .step_by(usize::try_from(TRANSACTION_ROWS).unwrap_or(1))
        .map(move |first| (first, (first + TRANSACTION_ROWS - 1).min(rows)))
}

fn insert(table: &str, (first, last): (u64, u64), random: &mut Random) -> String {
    let mut sql = format!("insert into {table} values ");
    for id in first..=last {
        let comma = if id == first { "" } else { "," };
        let k = random.below(1 << 31);
        let _ = write!(
            sql,
            "{comma}({id},{k},'{}','{}')",
            digits(10, random),
            digits(5, random)
        );
    }
    sql
}

/// One statement that changes as many different rows as a transaction has.
fn update(table: &str, rows: u64, random: &mut Random) -> String {
    let mut ids = Vec::new();
    let wanted = usize::try_from(TRANSACTION_ROWS.min(rows)).unwrap_or(usize::MAX);
    while ids.len() < wanted {
        let id = 1 + random.below(rows);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    format!(
        "update {table} set k = k + 1, c = reverse(c) where id in ({})",
        ids.join(",")
    )
}

/// One transaction of sysbench's oltp_write_only: an update of an indexed and one of another
/// column, a delete and an insert of the same id.
fn write_only(rows: u64, random: &mut Random) -> Vec<String> {
    let mut place = || (1 + random.below(4), 1 + random.below(rows));
    let ((t1, id1), (t2, id2), (t3, id3)) = (place(), place(), place());
    let k = random.below(rows);
    let (c, new_c, pad) = (digits(10, random), digits(10, random), digits(5, random));
    vec![
        "begin".into(),
        format!("update t{t1} set k = k + 1 where id = {id1}"),
        format!("update t{t2} set c = '{c}' where id = {id2}"),
        format!("delete from t{t3} where id = {id3}"),
        format!("insert into t{t3} values ({id3},{k},'{new_c}','{pad}')"),
        "commit".into(),
    ]
}
