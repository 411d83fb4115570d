//! Which source tables go to the same target table, and what keeps their rows apart.
//!
//! Either each has, in an added column of the key, a value of its own: then no statement for
//! one touches a row of another. Or the operator says that their keys never meet. Anything
//! else is an error, found before the first batch by the rules alone ([`Router::conflict`])
//! and, as the target sees names and values, when a table's first row comes ([`Sharing`]).

use std::collections::HashMap;
use std::hash::Hash;

use common::settings::{Keys, Role};
use common::table::TableName;
use postgres::types::Oid;

use super::{RouteError, Router};

/// What keeps the rows of a source table apart from those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptApart {
    /// Nothing.
    No,
    /// The operator says that keys never meet.
    Disjoint,
    /// These columns of the key, with these values.
    By(Vec<(String, String)>),
}

impl KeptApart {
    /// By these columns, in any order; else as the operator says.
    pub fn new(mut columns: Vec<(String, String)>, keys: Keys) -> Self {
        columns.sort();
        match (columns.is_empty(), keys) {
            (false, _) => Self::By(columns),
            (true, Keys::Disjoint) => Self::Disjoint,
            (true, Keys::OfEachTable) => Self::No,
        }
    }

    /// Why rows of two sources would not be kept apart.
    fn conflict(&self, other: &Self) -> Option<&'static str> {
        match (self, other) {
            (Self::Disjoint, Self::Disjoint) => None,
            (Self::By(own), Self::By(others)) => {
                let same_columns = own
                    .iter()
                    .map(|(name, _)| name)
                    .eq(others.iter().map(|(name, _)| name));
                match (same_columns, own == others) {
                    (true, false) => None,
                    (true, true) => {
                        Some("the columns that are added to the key have the same values")
                    }
                    (false, _) => Some("different columns are added to their keys"),
                }
            }
            (Self::No | Self::Disjoint | Self::By(_), _) => {
                Some("a row of one could be taken for a row of the other")
            }
        }
    }
}

/// The source tables of each target table.
#[derive(Debug)]
pub struct Sharing<T = Oid>(HashMap<T, Vec<(TableName, KeptApart)>>);

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Sharing<T> {
    /// Adds a source table of a target table.
    ///
    /// # Errors
    /// When nothing keeps its rows apart from those of another.
    pub fn add(
        &mut self,
        target: T,
        display: &str,
        source: &TableName,
        kept_apart: KeptApart,
    ) -> Result<(), RouteError> {
        let members = self.0.entry(target).or_default();
        members.retain(|(name, _)| name != source);
        for (other, theirs) in members.iter() {
            if let Some(reason) = kept_apart.conflict(theirs) {
                return Err(RouteError::NotKeptApart {
                    tables: Box::new((source.clone(), other.clone())),
                    target: display.into(),
                    reason,
                });
            }
        }
        members.push((source.clone(), kept_apart));
        Ok(())
    }
}

impl Router {
    /// One of `others` that goes to the same target table and may have rows of the same keys as
    /// this one, though not at the same time: what is done to the two must stay in order.
    pub fn ordered_with<'a>(
        &self,
        table: &TableName,
        others: impl Iterator<Item = &'a TableName>,
    ) -> Option<(&'a TableName, String)> {
        let place = |table| {
            let address = self.address(table);
            format!("{}.{}", address.schema, address.table)
        };
        let disjoint = |table| {
            self.rule(table)
                .is_some_and(|rule| rule.keys == Keys::Disjoint)
        };
        let own = place(table);
        others
            .filter(|other| *other != table && place(other).eq_ignore_ascii_case(&own))
            .find(|other| disjoint(table) || disjoint(other))
            .map(|other| (other, own.clone()))
    }

    /// What the rules say against these tables together.
    ///
    /// # Errors
    /// When several go to one target table and nothing keeps their rows apart.
    pub fn conflict<'a>(
        &self,
        tables: impl Iterator<Item = &'a TableName>,
    ) -> Result<(), RouteError> {
        let mut sharing = Sharing::default();
        for table in tables {
            let address = self.address(table);
            let rule = self.rule(table);
            let constants = rule.into_iter().flat_map(|rule| rule.columns.constants());
            let columns = constants
                .filter(|constant| constant.role == Role::Key)
                .map(|constant| (constant.column.clone(), constant.value(table)))
                .collect();
            let keys = rule.map_or(Keys::OfEachTable, |rule| rule.keys);
            let display = format!("{}.{}", address.schema, address.table);
            let place = (address.schema, address.table);
            sharing.add(place, &display, table, KeptApart::new(columns, keys))?;
        }
        Ok(())
    }
}
