//! A table's unresolved dead letters, found by key.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use common::table::{ColumnType, TableDefinition};

use super::identity::Identity;
use crate::layout::Layout;

/// A table's unresolved dead letters.
#[derive(Default)]
pub(super) struct Held {
    /// Those that the rows were decoded with, each once.
    definitions: Vec<TableDefinition>,
    /// By key, or by a hash of the row.
    pub(super) letters: HashMap<Vec<u8>, Vec<HeldLetter>>,
}

pub(super) struct HeldLetter {
    pub(super) id: i64,
    pub(super) identity: Identity,
}

impl Held {
    pub(super) fn add(
        &mut self,
        letter: HeldLetter,
        lookup: Vec<u8>,
        definition: &TableDefinition,
    ) {
        self.letters.entry(lookup).or_default().push(letter);
        if !self.definitions.contains(definition) {
            self.definitions.push(definition.clone());
        }
    }

    pub(super) fn count(&self) -> usize {
        self.letters.values().map(Vec::len).sum()
    }

    /// Whether rows are identified as the dead letters are.
    pub(super) fn fits(&self, layout: &Layout) -> bool {
        self.definitions
            .iter()
            .all(|definition| same_identity(definition, layout))
    }
}

/// Whether the columns that identify a row are the same: those of the key, else all.
fn same_identity(definition: &TableDefinition, layout: &Layout) -> bool {
    fn columns(definition: &TableDefinition) -> Vec<(&String, &ColumnType)> {
        let all = 0..definition.columns.len();
        let numbers: Vec<usize> = match definition.key_columns() {
            [] => all.collect(),
            key => key.to_vec(),
        };
        numbers
            .iter()
            .filter_map(|&number| definition.columns.get(number))
            .map(|column| (&column.name, &column.column_type))
            .collect()
    }
    definition.key_columns().is_empty() == layout.is_keyless()
        && columns(definition) == columns(&layout.definition)
}

/// What dead letters of a row are found by.
pub(super) fn lookup(key: Option<&[u8]>, row: &[u8]) -> Vec<u8> {
    match key {
        Some(key) => key.to_vec(),
        None => {
            // Rows may be large; equal ones are compared in staging.
            let mut hasher = DefaultHasher::new();
            hasher.write(row);
            hasher.finish().to_le_bytes().to_vec()
        }
    }
}
