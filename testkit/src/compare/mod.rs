//! Compares a table of the source with its copy, row by row, without any code of the
//! programs under test.
//!
//! Both servers render every value as text by an expression that depends on the column's
//! type (`rule`); what they still spell differently is brought to one form in memory. Rows
//! meet by the source's primary key, or as a multiset where there is none, so the order
//! and the collations of the servers do not matter. Both sides are held in memory: this is
//! for tests.
//!
//! A type without a rule is a panic, never an unchecked column; a test gives such a column
//! expressions of its own ([`Comparison::expressions`]).

mod json;
mod report;
mod rule;

use std::cmp::Ordering;
use std::collections::HashMap;

use mysql::Conn;
use postgres::Client;

use self::report::ColumnDifference;
pub use self::report::{Difference, Report};
pub use self::rule::CellRule;
use crate::Rows;
use crate::mysql_server::{self, MysqlServer};
use crate::pg_server::{self, PgServer, quote};

/// A table of the source.
#[derive(Clone, Copy, Debug)]
pub struct SourceTable<'a> {
    /// The server.
    pub server: &'a MysqlServer,
    /// The database.
    pub database: &'a str,
    /// The table in it.
    pub table: &'a str,
}

/// A table of the target.
#[derive(Clone, Copy, Debug)]
pub struct TargetTable<'a> {
    /// The server.
    pub server: &'a PgServer,
    /// The database.
    pub database: &'a str,
    /// The schema in it.
    pub schema: &'a str,
    /// The table in that.
    pub table: &'a str,
}

impl MysqlServer {
    /// A table to compare.
    pub fn table<'a>(&'a self, database: &'a str, table: &'a str) -> SourceTable<'a> {
        SourceTable {
            server: self,
            database,
            table,
        }
    }
}

impl PgServer {
    /// A table to compare.
    pub fn table<'a>(
        &'a self,
        database: &'a str,
        schema: &'a str,
        table: &'a str,
    ) -> TargetTable<'a> {
        TargetTable {
            server: self,
            database,
            schema,
            table,
        }
    }
}

/// How one column is read on both sides.
#[derive(Clone, Debug)]
struct ComparedColumn {
    name: String,
    key: Key,
    source: String,
    target: String,
    rule: CellRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Part,
    None,
}

#[derive(Clone, Debug)]
struct Expressions {
    source: String,
    target: String,
}

/// What to compare, and the exceptions per column.
#[derive(Clone, Debug)]
#[must_use = "run() compares"]
pub struct Comparison<'a> {
    source: SourceTable<'a>,
    target: TargetTable<'a>,
    target_names: HashMap<String, String>,
    rules: HashMap<String, CellRule>,
    expressions: HashMap<String, Expressions>,
    skipped: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Compares all columns of the source, each with the target's column of the same name
    /// (in whatever case, if there is just one).
    pub fn between(source: SourceTable<'a>, target: TargetTable<'a>) -> Self {
        Self {
            source,
            target,
            target_names: HashMap::new(),
            rules: HashMap::new(),
            expressions: HashMap::new(),
            skipped: Vec::new(),
        }
    }

    /// The source's `column` is called `target` there.
    pub fn renamed(mut self, column: &str, target: &str) -> Self {
        self.target_names
            .insert(column.to_owned(), target.to_owned());
        self
    }

    /// Compares `column` by this rule, not by the one of its types.
    pub fn rule(mut self, column: &str, rule: CellRule) -> Self {
        self.rules.insert(column.to_owned(), rule);
        self
    }

    /// Reads `column` with these SQL expressions of the two servers, which give text; it is
    /// compared as it is, unless [`Comparison::rule`] says otherwise.
    pub fn expressions(mut self, column: &str, source: &str, target: &str) -> Self {
        self.expressions.insert(
            column.to_owned(),
            Expressions {
                source: source.to_owned(),
                target: target.to_owned(),
            },
        );
        self
    }

    /// Leaves `column` of the source out.
    pub fn skip(mut self, column: &str) -> Self {
        self.skipped.push(column.to_owned());
        self
    }

    /// Reads both tables and compares them.
    ///
    /// # Panics
    /// When a table or column is missing, a type has no rule, or a query fails.
    pub fn run(&self) -> Report {
        let mut source = self.source.server.connect();
        let mut target = self.target.server.connect(self.target.database);
        self.run_on(&mut source, &mut target)
    }

    /// The same on open connections, for those who compare many tables; session settings
    /// are changed.
    ///
    /// # Panics
    /// When a table or column is missing, a type has no rule, or a query fails.
    pub fn run_on(&self, source: &mut Conn, target: &mut Client) -> Report {
        let columns = self.columns(source, target);
        let source = self.read_source(&columns, source);
        let target = self.read_target(&columns, target);
        diff(&columns, source, target)
    }

    fn columns(&self, source: &mut Conn, target: &mut Client) -> Vec<ComparedColumn> {
        let target_types = self.target_types(target);
        let mut columns = Vec::new();
        for row in self.source_columns(source) {
            let [Some(name), Some(data_type), Some(full_type), Some(key)] = row.as_slice() else {
                panic!("the catalog has no NULLs here: {row:?}");
            };
            if self.skipped.contains(name) {
                continue;
            }
            let wanted = self.target_names.get(name).unwrap_or(name);
            let (target_name, target_type) = find_column(&target_types, wanted);
            let rule = self.rules.get(name).copied();
            let (rule, expressions) = match (rule, self.expressions.get(name)) {
                (rule, Some(expressions)) => (rule.unwrap_or(CellRule::Text), expressions.clone()),
                (rule, None) => {
                    let rule = rule.unwrap_or_else(|| {
                        CellRule::for_types(data_type, target_type).unwrap_or_else(|| {
                            panic!("no rule compares {name} {full_type} with {target_type}")
                        })
                    });
                    let expressions = Expressions {
                        source: rule.source(
                            &quote_mysql(name),
                            full_type,
                            self.source.server.flavor(),
                        ),
                        target: rule.target(&quote(target_name), target_type, full_type),
                    };
                    (rule, expressions)
                }
            };
            columns.push(ComparedColumn {
                name: name.clone(),
                key: if key == "PRI" { Key::Part } else { Key::None },
                source: expressions.source,
                target: expressions.target,
                rule,
            });
        }
        assert!(
            !columns.is_empty(),
            "{:?} has no columns",
            self.source.table
        );
        columns
    }

    /// Name, type, type with its arguments, and kind of key of the source's columns.
    fn source_columns(&self, connection: &mut Conn) -> Rows {
        mysql_server::query(
            connection,
            &format!(
                "set names utf8mb4, time_zone = '+00:00', sql_mode = ''; \
                 select column_name, data_type, cast(column_type as char), column_key \
                 from information_schema.columns \
                 where table_schema = {} and table_name = {} order by ordinal_position",
                mysql_literal(self.source.database),
                mysql_literal(self.source.table)
            ),
        )
    }

    /// Name and type of the target's columns.
    fn target_types(&self, client: &mut Client) -> Rows {
        pg_server::query(
            client,
            &format!(
                "select attname, format_type(atttypid, null) from pg_attribute \
                 where attrelid = {}::regclass and attnum > 0 and not attisdropped",
                literal(&self.target_name())
            ),
        )
    }

    fn target_name(&self) -> String {
        format!("{}.{}", quote(self.target.schema), quote(self.target.table))
    }

    fn read_source(&self, columns: &[ComparedColumn], connection: &mut Conn) -> Rows {
        let expressions: Vec<&str> = columns.iter().map(|c| c.source.as_str()).collect();
        let rows = mysql_server::query_binary(
            connection,
            &format!(
                "select {} from {}.{}",
                expressions.join(", "),
                quote_mysql(self.source.database),
                quote_mysql(self.source.table)
            ),
        );
        normalise(columns, rows)
    }

    fn read_target(&self, columns: &[ComparedColumn], client: &mut Client) -> Rows {
        let expressions: Vec<&str> = columns.iter().map(|c| c.target.as_str()).collect();
        let rows = pg_server::query(
            client,
            &format!(
                "set timezone = 'UTC'; set datestyle = 'ISO'; set bytea_output = 'hex'; \
                 set extra_float_digits = 3; select {} from {}",
                expressions.join(", "),
                self.target_name()
            ),
        );
        normalise(columns, rows)
    }
}

fn find_column<'r>(columns: &'r Rows, wanted: &str) -> (&'r str, &'r str) {
    let named: Vec<(&str, &str)> = columns
        .iter()
        .filter_map(|row| match row.as_slice() {
            [Some(name), Some(type_name)] => Some((name.as_str(), type_name.as_str())),
            _ => None,
        })
        .collect();
    let exact = named.iter().find(|(name, _)| *name == wanted);
    let mut similar = named
        .iter()
        .filter(|(name, _)| name.to_lowercase() == wanted.to_lowercase());
    match (exact, similar.next(), similar.next()) {
        (Some(column), _, _) | (None, Some(column), None) => *column,
        _ => panic!("the target has no column {wanted}, but {named:?}"),
    }
}

fn normalise(columns: &[ComparedColumn], mut rows: Rows) -> Rows {
    for row in &mut rows {
        for (column, value) in columns.iter().zip(row) {
            if let Some(text) = value {
                *text = column.rule.normalise(text);
            }
        }
    }
    rows
}

/// Pairs the rows by key, or by everything where there is none.
fn diff(columns: &[ComparedColumn], mut source: Rows, mut target: Rows) -> Report {
    let has_key = columns.iter().any(|column| column.key == Key::Part);
    let in_key: Vec<bool> = columns
        .iter()
        .map(|column| !has_key || column.key == Key::Part)
        .collect();
    source.sort_by(|a, b| compare_by(&in_key, a, b));
    target.sort_by(|a, b| compare_by(&in_key, a, b));

    let mut report = Report::new(source.len(), target.len());
    let key_of = |row: &[Option<String>]| -> Vec<(String, Option<String>)> {
        columns
            .iter()
            .zip(row)
            .zip(&in_key)
            .filter(|(_, in_key)| **in_key)
            .map(|((column, value), _)| (column.name.clone(), value.clone()))
            .collect()
    };
    let (mut left, mut right) = (source.iter().peekable(), target.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return report,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => compare_by(&in_key, a, b),
        };
        let a = left.next_if(|_| order.is_le());
        let b = right.next_if(|_| order.is_ge());
        match (a, b) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => report.add(Difference::Changed {
                key: key_of(a),
                columns: changed_columns(columns, a, b),
            }),
            (Some(a), None) => report.add(Difference::Missing { key: key_of(a) }),
            (None, Some(b)) => report.add(Difference::Extra { key: key_of(b) }),
            (None, None) => {}
        }
    }
}

fn compare_by(in_key: &[bool], a: &[Option<String>], b: &[Option<String>]) -> Ordering {
    let mut parts = in_key.iter().zip(a.iter().zip(b));
    parts
        .find_map(|(in_key, (a, b))| in_key.then(|| a.cmp(b)).filter(|order| order.is_ne()))
        .unwrap_or(Ordering::Equal)
}

fn changed_columns(
    columns: &[ComparedColumn],
    source: &[Option<String>],
    target: &[Option<String>],
) -> Vec<ColumnDifference> {
    columns
        .iter()
        .zip(source.iter().zip(target))
        .filter(|(_, (source, target))| source != target)
        .map(|(column, (source, target))| ColumnDifference {
            column: column.name.clone(),
            source: source.clone(),
            target: target.clone(),
        })
        .collect()
}

fn quote_mysql(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string literal of a MySQL server, where a backslash escapes.
fn mysql_literal(text: &str) -> String {
    literal(&text.replace('\\', "\\\\"))
}

/// A string literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
