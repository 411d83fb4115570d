//! `[[rule]]`: where source tables go, and what becomes of their columns.

use std::collections::{BTreeMap, HashSet};

use super::Pattern;
use super::raw::{RawColumns, RawRule};
use crate::table::TableName;

/// `[[rule]]`: where matching source tables go, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Databases at the source.
    pub schema: Pattern,
    /// Tables at the source.
    pub table: Pattern,
    /// Schema on the target; the configured one when absent.
    pub pg_schema: Option<String>,
    /// Table on the target; the source's name when absent.
    pub pg_table: Option<String>,
    /// What the operator says of tables that go to the same target table.
    pub keys: Keys,
    /// Columns.
    pub columns: ColumnRules,
}

/// Whether rows of several tables that go to one target table can have the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// They may.
    #[default]
    OfEachTable,
    /// Never, says the operator.
    Disjoint,
}

/// What becomes of a table's columns. Names of source columns match without regard to case,
/// as at the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnRules {
    rename: BTreeMap<String, String>,
    drop: HashSet<String>,
    constants: Vec<Constant>,
}

/// A column that the source lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name on the target.
    pub column: String,
    /// Whether it is part of what tells rows apart.
    pub role: Role,
    value: Vec<Piece>,
}

/// What an added column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A value beside the others.
    Value,
    /// Part of the key.
    Key,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Schema,
    Table,
}

impl Rule {
    /// Whether the rule is about this table.
    pub fn matches(&self, name: &TableName) -> bool {
        self.schema.matches(&name.database) && self.table.matches(&name.table)
    }

    /// Whether no table is left for `later`, which comes behind this rule.
    fn hides(&self, later: &Self) -> bool {
        self.schema.covers(&later.schema) && self.table.covers(&later.table)
    }
}

impl ColumnRules {
    /// The name that a source column has on the target; `None` when it is dropped.
    pub fn target_name<'a>(&'a self, column: &'a str) -> Option<&'a str> {
        let lower = column.to_lowercase();
        if self.drop.contains(&lower) {
            return None;
        }
        Some(self.rename.get(&lower).map_or(column, String::as_str))
    }

    /// Columns that are added, those of the key last.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// Lower-case names of source columns that the rule speaks of.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.rename.keys().chain(&self.drop).map(String::as_str)
    }
}

impl Constant {
    /// The value in rows of this table.
    pub fn value(&self, source: &TableName) -> String {
        self.value
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Schema => &source.database,
                Piece::Table => &source.table,
            })
            .collect()
    }
}

/// The rules as they are used, and all that is wrong with them.
pub(super) fn validate(raw: Vec<RawRule>, problems: &mut Vec<String>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::with_capacity(raw.len());
    for (raw, number) in raw.into_iter().zip(1..) {
        let mut say = |problem: String| problems.push(format!("[[rule]] {number}: {problem}"));
        let rule = Rule {
            schema: Pattern::new(raw.schema.as_deref().unwrap_or("*")),
            table: Pattern::new(raw.table.as_deref().unwrap_or("*")),
            pg_schema: raw.pg_schema,
            pg_table: raw.pg_table,
            keys: match raw.disjoint_keys {
                Some(true) => Keys::Disjoint,
                Some(false) | None => Keys::OfEachTable,
            },
            columns: columns(raw.columns, &mut say),
        };
        let has_key = rule.columns.constants.iter().any(|c| c.role == Role::Key);
        if has_key && rule.keys == Keys::Disjoint {
            say("disjoint_keys and columns.add_to_key exclude each other".into());
        }
        if let Some((_, hiding)) = rules
            .iter()
            .zip(1..)
            .map(|(r, n)| (r.hides(&rule), n))
            .find(|(hides, _)| *hides)
        {
            say(format!(
                "no table is left for it: rule {hiding} comes first and matches all of them"
            ));
        }
        rules.push(rule);
    }
    rules
}

fn columns(raw: RawColumns, say: &mut impl FnMut(String)) -> ColumnRules {
    let drop: HashSet<String> = raw.drop.iter().map(|name| name.to_lowercase()).collect();
    let mut rename = BTreeMap::new();
    let mut names = HashSet::new();
    for (from, to) in raw.rename {
        let lower = from.to_lowercase();
        if drop.contains(&lower) {
            say(format!("column {from} is renamed and dropped"));
        }
        if !names.insert(to.clone()) {
            say(format!("two columns become {to}"));
        }
        if rename.insert(lower, to).is_some() {
            say(format!("column {from} is renamed twice"));
        }
    }
    let mut constants = Vec::new();
    for (added, role) in [(raw.add, Role::Value), (raw.add_to_key, Role::Key)] {
        for (column, template) in added {
            if !names.insert(column.clone()) {
                say(format!("two columns become {column}"));
            }
            match pieces(&template) {
                Some(value) => constants.push(Constant {
                    column,
                    role,
                    value,
                }),
                None => say(format!(
                    "the value of added column {column} may have {{schema}} and {{table}} in braces, nothing else"
                )),
            }
        }
    }
    ColumnRules {
        rename,
        drop,
        constants,
    }
}

/// A text in which `{schema}` and `{table}` stand for the source table's names.
fn pieces(template: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}')?;
        pieces.push(Piece::Text(text.into()));
        pieces.push(match name {
            "schema" => Piece::Schema,
            "table" => Piece::Table,
            _ => return None,
        });
        rest = behind;
    }
    if rest.contains('}') || template.contains('\0') {
        return None;
    }
    pieces.push(Piece::Text(rest.into()));
    Some(pieces)
}
