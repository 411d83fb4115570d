//! How much of the stream each table already has, in the numbers of one staging.
//!
//! Usually all tables have the same: what the checkpoint says. A table that catches up has
//! less, one that is paused or no longer listed wants nothing, and a newly listed one begins
//! later. Pure.

use std::collections::HashMap;

use common::behind::Behind;
use common::table::TableName;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    others: u64,
    own: HashMap<TableName, u64>,
}

impl Coverage {
    /// All tables have everything up to this transaction.
    pub fn new(transaction_seq: u64) -> Self {
        Self {
            others: transaction_seq,
            own: HashMap::new(),
        }
    }

    /// The table has everything up to this transaction instead.
    pub fn set(&mut self, table: TableName, transaction_seq: u64) {
        self.own.insert(table, transaction_seq);
    }

    /// The table wants nothing of the stream.
    pub fn leave_out(&mut self, table: TableName) {
        self.own.insert(table, u64::MAX);
    }

    /// The table wants nothing up to this transaction.
    pub fn begin_behind(&mut self, table: TableName, transaction_seq: u64) {
        let until = self.until(&table).max(transaction_seq);
        self.own.insert(table, until);
    }

    /// Last transaction of which nothing of the table is to be applied.
    pub fn until(&self, table: &TableName) -> u64 {
        self.own.get(table).copied().unwrap_or(self.others)
    }

    /// Whether all tables want everything behind this transaction.
    pub fn is_uniform(&self, transaction_seq: u64) -> bool {
        self.others <= transaction_seq && self.own.values().all(|until| *until <= transaction_seq)
    }
}

/// Whose turn it is, while tables catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Theirs: the others wait.
    CatchUp,
    /// That of the others: these tables are passed over.
    Others,
}

impl Turn {
    /// The other one.
    pub fn next(self) -> Self {
        match self {
            Self::CatchUp => Self::Others,
            Self::Others => Self::CatchUp,
        }
    }
}

/// A table that is behind, for the status.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As on the target.
    pub behind: Behind,
    /// Last transaction of which it has its part.
    pub transaction_seq: u64,
    /// Last event of it.
    pub event_seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_what_it_has_and_the_others_what_the_checkpoint_says() {
        let name = |table| TableName::new("app", table);
        let mut coverage = Coverage::new(20);
        assert!(coverage.is_uniform(20) && !coverage.is_uniform(19));
        coverage.set(name("behind"), 10);
        coverage.leave_out(name("paused"));
        coverage.begin_behind(name("new"), 30);
        coverage.begin_behind(name("long_listed"), 15);
        coverage.begin_behind(name("paused"), 30);
        for (table, until) in [
            ("behind", 10),
            ("paused", u64::MAX),
            ("new", 30),
            ("long_listed", 20),
            ("other", 20),
        ] {
            assert_eq!(coverage.until(&name(table)), until, "{table}");
        }
        assert!(!coverage.is_uniform(20));
    }
}
