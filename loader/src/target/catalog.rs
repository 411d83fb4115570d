//! What the target says about a table: columns, types, indexes, triggers.
//!
//! Reads only; decides nothing (that is `route`). A question is prepared when it is first asked: the
//! server takes ten times longer to plan one than to answer it, and a task may have many tables.

use std::collections::HashMap;

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::types::{Oid, ToSql};
use postgres::{Client, Row, Statement};

use super::dialect::Dialect;
use super::placement::Placement;

/// What is asked of the catalog.
struct Queries {
    tables: &'static str,
    columns: &'static str,
    /// Columns that the target computes, where `columns` does not tell.
    generated: Option<&'static str>,
    indexes: &'static str,
    hazards: &'static str,
    /// None where foreign keys are not enforced.
    deferrable: Option<&'static str>,
}

impl Queries {
    fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::PostgreSql => Self {
                tables: include_str!("../../../sql/query/target_tables.sql"),
                columns: include_str!("../../../sql/query/target_columns.sql"),
                generated: None,
                indexes: include_str!("../../../sql/query/target_indexes.sql"),
                hazards: include_str!("../../../sql/query/target_hazards.sql"),
                deferrable: Some(include_str!("../../../sql/query/target_deferrable.sql")),
            },
            Dialect::Greenplum7 | Dialect::Cloudberry => Self {
                hazards: include_str!("../../../sql/query/target_triggers.sql"),
                deferrable: None,
                ..Self::of(Dialect::PostgreSql)
            },
            Dialect::Greenplum6 => Self {
                tables: include_str!("../../../sql/query/target_tables_greenplum6.sql"),
                columns: include_str!("../../../sql/query/target_columns_9.sql"),
                generated: None,
                indexes: include_str!("../../../sql/query/target_indexes_9.sql"),
                hazards: include_str!("../../../sql/query/target_triggers.sql"),
                deferrable: None,
            },
            Dialect::OpenGauss(_) => Self {
                tables: include_str!("../../../sql/query/target_tables.sql"),
                columns: include_str!("../../../sql/query/target_columns_9.sql"),
                generated: Some(include_str!(
                    "../../../sql/query/target_generated_opengauss.sql"
                )),
                indexes: include_str!("../../../sql/query/target_indexes_9.sql"),
                hazards: include_str!("../../../sql/query/target_hazards_opengauss.sql"),
                deferrable: Some(include_str!(
                    "../../../sql/query/target_deferrable_opengauss.sql"
                )),
            },
        }
    }
}

/// A table on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTable {
    /// Its oid.
    pub oid: Oid,
    /// Schema, as the target spells it.
    pub schema: String,
    /// Name, as the target spells it.
    pub name: String,
    /// What kind of relation it is.
    pub kind: RelationKind,
    /// Whether rows may be read, inserted and deleted.
    pub writable: bool,
    /// Whether the table may be truncated.
    pub truncatable: bool,
    /// Columns in table order.
    pub columns: Vec<TargetColumn>,
    /// Indexes without expressions or predicates.
    pub indexes: Vec<TargetIndex>,
    /// Foreign keys and triggers that matter where `session_replication_role` cannot be set.
    pub hazards: Vec<String>,
    /// Foreign keys that can be deferred, as SQL writes them.
    pub deferrable: Vec<String>,
    /// How its server is spoken to.
    pub dialect: Dialect,
    /// Where the rows lie, if on segments.
    pub placement: Option<Placement>,
}

/// What kind of relation a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table.
    Partitioned,
    /// A view, a foreign table or another thing that rows are not stored in.
    Other,
}

/// A column on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    /// Name as the target spells it.
    pub name: String,
    /// Type name in `pg_type`, domains resolved: `int4`, `varchar`, `_text`, …
    pub type_name: String,
    /// Whether the type is an enum.
    pub is_enum: bool,
    /// `atttypmod`: -1 for none.
    pub type_modifier: i32,
    /// The declared type as SQL writes it, for messages.
    pub type_text: String,
    /// The base type without modifier as SQL writes it, for casts.
    pub base_type_text: String,
    /// NOT NULL.
    pub not_null: bool,
    /// What fills the column when no value is given.
    pub fill: Fill,
    /// Whether texts are equal only when they are the same.
    pub deterministic: bool,
}

/// What fills a column when no value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Nothing: it is NULL.
    Null,
    /// A default or an identity.
    Default,
    /// The target computes it always; no value may be given.
    Generated,
}

/// An index on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetIndex {
    /// Whether it is unique.
    pub unique: bool,
    /// Whether a duplicate is refused at once, and not perhaps at the commit or never.
    pub immediate: bool,
    /// Its columns in order.
    pub columns: Vec<String>,
}

impl TargetTable {
    /// Schema and name, quoted.
    pub fn quoted(&self) -> String {
        format!(
            "{}.{}",
            quote_identifier(&self.schema),
            quote_identifier(&self.name)
        )
    }

    /// Schema and name for messages.
    pub fn display(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Whether an index finds rows by exactly these columns, in any order.
    pub fn has_unique_index(&self, columns: &[&str]) -> bool {
        self.unique_indexes(columns).next().is_some()
    }

    /// Whether rows are unique by these columns, by a deferrable constraint only: where triggers
    /// rest, a duplicate is not refused.
    pub fn lets_duplicates_in(&self, columns: &[&str]) -> bool {
        self.has_unique_index(columns) && self.unique_indexes(columns).all(|index| !index.immediate)
    }

    fn unique_indexes(&self, columns: &[&str]) -> impl Iterator<Item = &TargetIndex> {
        self.indexes.iter().filter(|index| {
            index.unique
                && index.columns.len() == columns.len()
                && columns
                    .iter()
                    .all(|column| index.columns.iter().any(|name| name == column))
        })
    }

    /// Whether some index starts with one of these columns.
    pub fn has_index_led_by(&self, columns: &[&str]) -> bool {
        self.indexes.iter().any(|index| {
            index
                .columns
                .first()
                .is_some_and(|first| columns.contains(&first.as_str()))
        })
    }
}

/// The catalog, as one session asks it.
pub struct Catalog {
    dialect: Dialect,
    queries: Queries,
    prepared: HashMap<&'static str, Statement>,
}

impl Catalog {
    /// Of a session with a server of this kind; nothing is asked yet.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            queries: Queries::of(dialect),
            prepared: HashMap::new(),
        }
    }

    /// The answer to a fixed question.
    ///
    /// # Errors
    /// When a statement fails.
    pub(crate) fn ask(
        &mut self,
        client: &mut Client,
        question: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = match self.prepared.get(question) {
            Some(statement) => statement.clone(),
            None => {
                let statement = client.prepare(question)?;
                self.prepared.insert(question, statement.clone());
                statement
            }
        };
        client.query(&statement, parameters)
    }

    /// Tables of a schema whose name equals `table` up to letter case.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn find_tables(
        &mut self,
        client: &mut Client,
        schema: &str,
        table: &str,
    ) -> Result<Vec<TargetTable>, PgError> {
        let rows = self
            .ask(client, self.queries.tables, &[&schema, &table])
            .operation("look for the target table")?;
        rows.iter()
            .map(|row| {
                let oid: Oid = row.get(0);
                let kind: &str = row.get(2);
                Ok(TargetTable {
                    oid,
                    schema: schema.into(),
                    name: row.get(1),
                    kind: match kind {
                        "r" => RelationKind::Table,
                        "p" => RelationKind::Partitioned,
                        _ => RelationKind::Other,
                    },
                    writable: row.get(3),
                    truncatable: row.get(4),
                    columns: self.columns(client, oid)?,
                    indexes: self.indexes(client, oid)?,
                    hazards: self.names(client, self.queries.hazards, oid)?,
                    deferrable: match self.queries.deferrable {
                        Some(query) => self.names(client, query, oid)?,
                        None => Vec::new(),
                    },
                    dialect: self.dialect,
                    placement: match self.dialect.is_distributed() {
                        true => Some(Placement::read(self, client, oid)?),
                        false => None,
                    },
                })
            })
            .collect()
    }

    /// Triggers, foreign keys or computed columns of a table.
    fn names(
        &mut self,
        client: &mut Client,
        question: &'static str,
        oid: Oid,
    ) -> Result<Vec<String>, PgError> {
        let rows = self
            .ask(client, question, &[&oid])
            .operation("read the target table's triggers, foreign keys and columns")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn columns(&mut self, client: &mut Client, oid: Oid) -> Result<Vec<TargetColumn>, PgError> {
        let generated = match self.queries.generated {
            Some(query) => self.names(client, query, oid)?,
            None => Vec::new(),
        };
        let rows = self
            .ask(client, self.queries.columns, &[&oid])
            .operation("read the target table's columns")?;
        Ok(rows
            .iter()
            .map(|row| TargetColumn {
                name: row.get(0),
                type_name: row.get(1),
                is_enum: row.get::<_, &str>(2) == "e",
                type_modifier: row.get(3),
                type_text: row.get(4),
                base_type_text: row.get(5),
                not_null: row.get(6),
                fill: match (row.get(7), row.get(8)) {
                    _ if generated.contains(&row.get(0)) => Fill::Generated,
                    (_, true) => Fill::Generated,
                    (true, false) => Fill::Default,
                    (false, false) => Fill::Null,
                },
                deterministic: row.get(9),
            })
            .collect())
    }

    fn indexes(&mut self, client: &mut Client, oid: Oid) -> Result<Vec<TargetIndex>, PgError> {
        let rows = self
            .ask(client, self.queries.indexes, &[&oid])
            .operation("read the target table's indexes")?;
        Ok(rows
            .iter()
            .map(|row| TargetIndex {
                unique: row.get(0),
                immediate: row.get(1),
                columns: row.get(2),
            })
            .collect())
    }
}

/// Every question to the catalog.
#[cfg(test)]
pub(crate) fn statements(dialect: Dialect) -> Vec<&'static str> {
    let Queries {
        tables,
        columns,
        generated,
        indexes,
        hazards,
        deferrable,
    } = Queries::of(dialect);
    let placement = match dialect.is_distributed() {
        true => super::placement::STATEMENTS,
        false => &[],
    };
    [
        Some(tables),
        Some(columns),
        generated,
        Some(indexes),
        Some(hazards),
        deferrable,
    ]
    .into_iter()
    .flatten()
    .chain(placement.iter().copied())
    .collect()
}

/// Whether a table holds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// None.
    Empty,
    /// At least one.
    Rows,
}

/// Looks whether the table holds rows.
///
/// # Errors
/// When the statement fails.
pub fn filling(client: &mut Client, table: &TargetTable) -> Result<Filling, PgError> {
    let query = format!("select exists (select 1 from {})", table.quoted());
    let filled: bool = client
        .query_one(&query, &[])
        .operation("look into the target table")?
        .get(0);
    Ok(if filled {
        Filling::Rows
    } else {
        Filling::Empty
    })
}
