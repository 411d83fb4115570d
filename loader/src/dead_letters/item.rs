//! What is refused and why, and what is taken back.

use std::collections::HashMap;

use common::table::DefinitionId;

/// Why a row is refused. No values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The target's SQLSTATE, or the one that fits.
    pub sqlstate: String,
    /// What it means, with column and constraint.
    pub reason: String,
    /// Line of the COPY that met it, from 1: a hint.
    pub line: Option<usize>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SQLSTATE {} ({})", self.sqlstate, self.reason)
    }
}

/// What was to be done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The key was new.
    Insert,
    /// The key was there.
    Update,
}

impl Op {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
        }
    }
}

/// A row to be written.
#[derive(Clone, Copy, Debug)]
pub struct Item<'r> {
    /// What it is.
    pub op: Op,
    /// Key cells; `None` in a table without a key.
    pub key: Option<&'r [u8]>,
    /// All cells.
    pub row: &'r [u8],
    /// The event that brought it.
    pub event_seq: u64,
    /// Tells equal rows of a keyless table apart, from 1.
    pub copy_number: i32,
}

/// Deletes of keyless rows that dead letters were taken back for: the target never had them.
#[derive(Debug, Default)]
pub struct TakenBack(HashMap<(DefinitionId, Vec<u8>), u32>);

impl TakenBack {
    /// Notes how many deletes of a row are done with.
    pub(super) fn add(&mut self, definition: DefinitionId, row: &[u8], deletes: u32) {
        self.0.insert((definition, row.to_vec()), deletes);
    }

    /// How many of `deletes` equal rows the target has to delete.
    pub fn left(&self, definition: DefinitionId, row: &[u8], deletes: u32) -> u32 {
        if self.0.is_empty() {
            return deletes;
        }
        let taken = self.0.get(&(definition, row.to_vec()));
        deletes.saturating_sub(taken.copied().unwrap_or_default())
    }
}
