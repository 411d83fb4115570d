//! Tables of the source and their copies: what is written in two rounds, and compared.

use mysql::Conn;
use testkit::{Comparison, Flavor, MysqlServer};

use crate::case::{AsKey, Case, Place, Read, Weight};
use crate::rig::{Task, execute, postgres};

/// Rows that a later statement updates have numbers above this.
const UPDATED: usize = 1000;

/// What a column proves when it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) row: &'static str,
    pub(crate) kind: Kind,
    pub(crate) label: String,
}

/// Whether a target type is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Default,
    Accepted,
}

/// Who gives a column its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Inserted,
    Generated,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Definition on the source.
    pub(crate) source: String,
    /// Definition on the target.
    pub(crate) target: String,
    pub(crate) fill: Fill,
    pub(crate) read: Option<Read>,
    pub(crate) enum_labels: Option<Vec<String>>,
    pub(crate) claim: Option<Claim>,
}

impl Column {
    pub(crate) fn new(name: &str, source: &str, target: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            fill: Fill::Inserted,
            read: None,
            enum_labels: None,
            claim: None,
        }
    }

    pub(crate) fn generated(mut self) -> Self {
        self.fill = Fill::Generated;
        self
    }

    pub(crate) fn claims(mut self, row: &'static str, kind: Kind, label: &str) -> Self {
        self.claim = Some(Claim {
            row,
            kind,
            label: label.to_owned(),
        });
        self
    }

    fn of_case(name: &str, case: &Case, place: &Place, null: &str, kind: Kind) -> Self {
        let mut column = Self::new(name, &format!("{} {null}", case.source), &place.sql);
        column.read.clone_from(&place.read);
        column.enum_labels.clone_from(&place.enum_labels);
        column.claims(case.row, kind, &place.label)
    }
}

/// To compare many tables on.
pub(crate) struct Connections {
    source: mysql::Conn,
    target: postgres::Client,
}

impl Connections {
    pub(crate) fn new(source: &MysqlServer, task: &Task) -> Self {
        Self {
            source: source.connect(),
            target: postgres().connect(&task.target),
        }
    }
}

/// How rows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A column `id` comes first.
    Numbered,
    /// The same, and no row is written twice: the rows are large.
    Large,
    /// The first column is the key; a column `n` comes last.
    Keyed,
    /// No key; a column `n` comes last.
    Keyless,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) database: &'static str,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) columns: Vec<Column>,
    /// Literals of the inserted columns.
    pub(crate) rows: Vec<Vec<String>>,
}

/// The tables of a case: as a column, in every accepted target type, as a key, without key.
pub(crate) fn of_case(database: &'static str, case: &Case, extent: Extent) -> Vec<Table> {
    let name = |prefix| format!("{prefix}_{}", case.name);
    let column = |name, null| Column::of_case(name, case, &case.target, null, Kind::Default);
    let single = |prefix, shape, null| Table {
        database,
        name: name(prefix),
        shape,
        columns: vec![column("v", null)],
        rows: case
            .values
            .iter()
            .map(|value| vec![value.clone()])
            .collect(),
    };
    let with_null = |mut table: Table| {
        table.rows.push(vec!["null".to_owned()]);
        table
    };
    let mut tables = vec![with_null(single("v", Shape::Numbered, "null"))];
    if extent == Extent::Defaults {
        tables.retain(|_| case.weight == Weight::Major);
        return tables;
    }
    if case.weight == Weight::Major {
        tables.push(with_null(single("n", Shape::Keyless, "null")));
        if case.as_key == AsKey::Possible {
            tables.push(single("k", Shape::Keyed, "not null"));
        }
    }
    if !case.accepted.is_empty() {
        tables.push(accepted(database, name("a"), case));
    }
    tables
}

/// How much is made of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Everything,
    /// What the definition's origin matters to.
    Defaults,
}

fn accepted(database: &'static str, name: String, case: &Case) -> Table {
    let columns: Vec<Column> = case
        .accepted
        .iter()
        .zip(0..)
        .map(|(place, number)| {
            let name = format!("c{number}");
            Column::of_case(&name, case, place, "null", Kind::Accepted)
        })
        .collect();
    let values: Vec<&Vec<String>> = case
        .accepted
        .iter()
        .map(|place| place.values.as_ref().unwrap_or(&case.values))
        .collect();
    let longest = values.iter().map(|values| values.len()).max().unwrap_or(0);
    let null = "null".to_owned();
    let rows = (0..=longest)
        .map(|row| {
            values
                .iter()
                .map(|values| {
                    // One more than there are: NULL.
                    let value = values.get(row % (values.len() + 1));
                    value.unwrap_or(&null).clone()
                })
                .collect()
        })
        .collect();
    Table {
        database,
        name,
        shape: Shape::Numbered,
        columns,
        rows,
    }
}

fn quote_source(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quote_target(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    fn source_name(&self) -> String {
        format!("{}.{}", self.database, quote_source(&self.name))
    }

    /// Names of the inserted columns, quoted for the source.
    fn inserted(&self) -> Vec<String> {
        self.columns
            .iter()
            .filter(|column| column.fill == Fill::Inserted)
            .map(|column| quote_source(&column.name))
            .collect()
    }

    fn inserted_list(&self) -> String {
        self.inserted().join(", ")
    }

    pub(crate) fn create_source(&self) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", quote_source(&column.name), column.source))
            .collect();
        match (self.shape, self.columns.first()) {
            (Shape::Numbered | Shape::Large, _) => {
                parts.insert(0, "id int primary key".to_owned());
            }
            (Shape::Keyed, Some(key)) => {
                parts.push("n int".to_owned());
                parts.push(format!("primary key ({})", quote_source(&key.name)));
            }
            (Shape::Keyless | Shape::Keyed, _) => parts.push("n int".to_owned()),
        }
        format!("create table {} ({})", self.source_name(), parts.join(", "))
    }

    pub(crate) fn create_target(&self) -> String {
        let schema = self.database;
        let mut sql = String::new();
        for column in &self.columns {
            if let Some(labels) = &column.enum_labels {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|label| format!("'{}'", label.replace('\'', "''")))
                    .collect();
                sql += &format!(
                    "create type {schema}.{} as enum ({}); ",
                    column.target,
                    labels.join(", ")
                );
            }
        }
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let schema = match column.enum_labels {
                    Some(_) => format!("{schema}."),
                    None => String::new(),
                };
                format!("{} {schema}{}", quote_target(&column.name), column.target)
            })
            .collect();
        match (self.shape, self.columns.first()) {
            (Shape::Numbered | Shape::Large, _) => {
                parts.insert(0, "id integer primary key".to_owned());
            }
            (Shape::Keyed, Some(key)) => {
                parts.push("n integer".to_owned());
                parts.push(format!("primary key ({})", quote_target(&key.name)));
            }
            (Shape::Keyless | Shape::Keyed, _) => parts.push("n integer".to_owned()),
        }
        let name = quote_target(&self.name);
        sql + &format!("create table {schema}.{name} ({});", parts.join(", "))
    }

    /// Inserts.
    pub(crate) fn first_round(&self, connection: &mut Conn) {
        let (name, columns) = (self.source_name(), self.inserted_list());
        let numbered = self.rows.iter().zip(1_usize..);
        let (head, tuples): (String, Vec<String>) = match self.shape {
            Shape::Numbered => {
                let next = self.rows.iter().cycle().skip(1);
                let tuples = numbered.zip(next).flat_map(|((row, id), next)| {
                    [
                        format!("({id}, {})", row.join(", ")),
                        format!("({}, {})", UPDATED + id, next.join(", ")),
                    ]
                });
                (
                    format!("insert into {name} (id, {columns})"),
                    tuples.collect(),
                )
            }
            Shape::Large => {
                let tuples = numbered.map(|(row, id)| format!("({id}, {})", row.join(", ")));
                (
                    format!("insert into {name} (id, {columns})"),
                    tuples.collect(),
                )
            }
            Shape::Keyed => {
                // Numbers 2, 4, 6 and so on; the others come in the second round.
                let tuples = numbered
                    .filter(|(_, n)| n % 2 == 0)
                    .map(|(row, n)| format!("({}, {n})", row.join(", ")));
                // Values may be equal by the source's collation.
                (
                    format!("insert ignore into {name} ({columns}, n)"),
                    tuples.collect(),
                )
            }
            Shape::Keyless => {
                let tuples = numbered.flat_map(|(row, n)| {
                    let tuple = format!("({}, {n})", row.join(", "));
                    [tuple.clone(), tuple]
                });
                (
                    format!("insert into {name} ({columns}, n)"),
                    tuples.collect(),
                )
            }
        };
        if !tuples.is_empty() {
            execute(connection, &format!("{head} values {}", tuples.join(", ")));
        }
    }

    /// Whether this server logs all that the target needs of updates and deletes: MariaDB
    /// 11.8 leaves out generated columns, which the target must then compute itself.
    pub(crate) fn changes_are_logged(&self, flavor: Flavor) -> bool {
        flavor != Flavor::MariaDb118
            || self.columns.iter().all(|column| {
                column.fill == Fill::Inserted || column.target.contains("generated always")
            })
    }

    /// Updates, deletes, and more inserts.
    pub(crate) fn second_round(&self, connection: &mut Conn) {
        let name = self.source_name();
        let mut run = |statement: String| execute(connection, &statement);
        match self.shape {
            Shape::Numbered => {
                let columns = self.inserted();
                let assignments: Vec<String> = columns
                    .iter()
                    .map(|column| format!("t.{column} = s.{column}"))
                    .collect();
                run(format!(
                    "update {name} t join {name} s on s.id = t.id - {UPDATED} set {} \
                     where t.id > {UPDATED}",
                    assignments.join(", ")
                ));
                run(format!(
                    "delete from {name} where id <= {UPDATED} and id % 2 = 0"
                ));
                let columns = columns.join(", ");
                run(format!(
                    "insert into {name} (id, {columns}) select id + 2 * {UPDATED}, {columns} \
                     from {name} where id <= {UPDATED} and id % 3 = 0"
                ));
            }
            Shape::Large => {
                run(format!("delete from {name} where id = 1"));
                run(format!(
                    "update {name} set id = id + 10 where id = {}",
                    self.rows.len()
                ));
            }
            Shape::Keyed => {
                let column = self.inserted_list();
                run(format!("delete from {name} where n % 8 = 0"));
                for (row, n) in self.rows.iter().zip(1_usize..) {
                    let value = row.join(", ");
                    match n % 8 {
                        // The key of the row before changes.
                        3 | 7 => run(format!(
                            "update ignore {name} set {column} = {value} where n = {}",
                            n - 1
                        )),
                        // New, or back after the delete.
                        0 | 1 | 5 => run(format!(
                            "insert ignore into {name} ({column}, n) values ({value}, {n})"
                        )),
                        _ => {}
                    }
                }
                run(format!("update {name} set n = n + 1000 where n % 4 = 0"));
            }
            Shape::Keyless => {
                run(format!("delete from {name} where n % 3 = 0"));
                run(format!("delete from {name} where n % 3 = 1 limit 1"));
                run(format!("update {name} set n = n + 100 where n % 3 = 2"));
            }
        }
    }

    /// What differs between the table and its copy.
    pub(crate) fn difference(
        &self,
        source: &MysqlServer,
        task: &Task,
        connections: &mut Connections,
    ) -> Option<String> {
        let mut comparison = Comparison::between(
            source.table(self.database, &self.name),
            postgres().table(&task.target, self.database, &self.name),
        );
        for column in &self.columns {
            if let Some(read) = &column.read {
                let fill = |template: &str, name: String| template.replace("{}", &name);
                comparison = comparison
                    .expressions(
                        &column.name,
                        &fill(&read.source, quote_source(&column.name)),
                        &fill(&read.target, quote_target(&column.name)),
                    )
                    .rule(&column.name, read.rule);
            }
        }
        let report = comparison.run_on(&mut connections.source, &mut connections.target);
        if report.source_rows == 0 {
            return Some(format!("{}.{}: no rows", self.database, self.name));
        }
        (!report.is_equal()).then(|| format!("{}.{}: {report}", self.database, self.name))
    }
}
