//! Where a Greenplum table's rows lie: on which segments, and in what storage.

use common::pg::{Operation as _, PgError};
use postgres::Client;
use postgres::types::Oid;

use super::catalog::Catalog;

const POLICY: &str = include_str!("../../../sql/query/target_policy.sql");
const POLICY_COLUMNS: &str = include_str!("../../../sql/query/target_policy_columns.sql");
const APPEND_OPTIMIZED: &str = include_str!("../../../sql/query/target_append_optimized.sql");

/// Every question to the catalog.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[POLICY, POLICY_COLUMNS, APPEND_OPTIMIZED];

/// Where a table's rows lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// On which segments; `None` where the catalog does not say.
    pub distribution: Option<Distribution>,
    /// In what.
    pub storage: Storage,
}

/// What decides about a row's segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Columns.
    By {
        /// Their names.
        columns: Vec<String>,
        /// As CREATE TABLE has it, operator classes included.
        clause: String,
    },
    /// Chance.
    Randomly,
    /// Nothing: every segment has every row.
    Replicated,
}

/// What rows are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Heap.
    Heap,
    /// Append-optimized, by row or by column; of one partition at least.
    AppendOptimized,
}

impl Placement {
    /// Reads a table's placement.
    ///
    /// # Errors
    /// When a statement fails.
    pub(super) fn read(
        catalog: &mut Catalog,
        client: &mut Client,
        table: Oid,
    ) -> Result<Self, PgError> {
        const OPERATION: &str = "read how the target table is distributed";
        let policy = catalog
            .ask(client, POLICY, &[&table])
            .operation(OPERATION)?;
        let columns: Vec<String> = catalog
            .ask(client, POLICY_COLUMNS, &[&table])
            .operation(OPERATION)?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let append_optimized = catalog
            .ask(client, APPEND_OPTIMIZED, &[&table])
            .operation("read how the target table is stored")?
            .first()
            .is_some_and(|row| row.get(0));
        Ok(Self {
            distribution: policy.first().map(|row| match row.get(0) {
                "r" => Distribution::Replicated,
                _ if columns.is_empty() => Distribution::Randomly,
                _ => Distribution::By {
                    columns,
                    clause: row.get(1),
                },
            }),
            storage: if append_optimized {
                Storage::AppendOptimized
            } else {
                Storage::Heap
            },
        })
    }

    /// The columns that distribute the rows.
    pub fn columns(&self) -> &[String] {
        match &self.distribution {
            Some(Distribution::By { columns, .. }) => columns,
            Some(Distribution::Randomly | Distribution::Replicated) | None => &[],
        }
    }
}
