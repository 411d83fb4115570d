//! Prepared XA transactions: their lines wait here and in staging until XA COMMIT, in whose
//! place they then stand.
//!
//! A prepared transaction that changed no replicated table is kept too: an XA COMMIT of a
//! transaction that is not known at all was prepared before mining began, and what it
//! changed cannot be told.

use std::collections::HashMap;

/// Bytes of all parked lines together; they are kept in memory.
pub const PARKED_BYTES_MAX: usize = 64 << 20;

/// Lines of one prepared transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedLines {
    /// The lines, each with its newline.
    pub text: Vec<u8>,
}

/// What changed since the last unit.
#[derive(Clone, Debug, Default)]
pub struct ParkedChanges {
    /// Newly prepared, by identifier.
    pub parked: Vec<(String, ParkedLines)>,
    /// Committed or rolled back.
    pub ended: Vec<String>,
}

impl ParkedChanges {
    /// Adds later changes.
    pub fn append(&mut self, mut later: Self) {
        self.parked.append(&mut later.parked);
        self.ended.append(&mut later.ended);
    }
}

/// More is parked than is kept in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// The prepared transactions.
#[derive(Debug, Default)]
pub struct Parked {
    transactions: HashMap<String, ParkedLines>,
    bytes: usize,
    changes: ParkedChanges,
}

impl Parked {
    /// What staging holds.
    pub fn new(transactions: HashMap<String, ParkedLines>) -> Self {
        let bytes = transactions.values().map(|lines| lines.text.len()).sum();
        Self {
            transactions,
            bytes,
            changes: ParkedChanges::default(),
        }
    }

    /// Whether nothing is parked.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Parks a transaction under its identifier.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn park(&mut self, id: &str, lines: ParkedLines) -> Result<(), TooLarge> {
        self.bytes += lines.text.len();
        if self.bytes > PARKED_BYTES_MAX {
            return Err(TooLarge);
        }
        let id = normalized(id);
        self.changes.parked.push((id.clone(), lines.clone()));
        self.transactions.insert(id, lines);
        Ok(())
    }

    /// Takes a transaction that ends; `None` when it was never seen.
    pub fn take(&mut self, id: &str) -> Option<ParkedLines> {
        let id = normalized(id);
        let lines = self.transactions.remove(&id)?;
        self.bytes -= lines.text.len();
        self.changes.ended.push(id);
        Some(lines)
    }

    /// What staging must be told.
    pub fn take_changes(&mut self) -> ParkedChanges {
        std::mem::take(&mut self.changes)
    }
}

/// `X'67',X'62',1` as the servers write it, without blanks and in lower case.
fn normalized(id: &str) -> String {
    id.chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> ParkedLines {
        ParkedLines {
            text: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_parked_transaction_is_taken_once_under_any_spelling_of_its_identifier() {
        let mut parked = Parked::default();
        parked.park("X'6a',X'',1", lines("I1\t1\n")).unwrap();
        assert_eq!(parked.take("x'6A', X'', 1"), Some(lines("I1\t1\n")));
        assert_eq!(parked.take("X'6a',X'',1"), None);
        let changes = parked.take_changes();
        assert_eq!(changes.parked.len(), 1);
        assert_eq!(changes.ended, ["x'6a',x'',1"]);
    }

    #[test]
    fn what_does_not_fit_in_memory_is_refused() {
        let mut parked = Parked::default();
        let large = ParkedLines {
            text: vec![b'x'; PARKED_BYTES_MAX],
        };
        assert_eq!(parked.park("a", large), Ok(()));
        assert_eq!(parked.park("b", lines("x")), Err(TooLarge));
    }
}
