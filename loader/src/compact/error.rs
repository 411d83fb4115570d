//! What can be wrong with the staged stream.

use common::error::ErrorClass;
use common::position::BinlogPosition;
use common::staging::codec::CodecError;
use common::table::{DefinitionId, TableName};

use crate::progress::Progress;
use crate::round::{Conflict, shorten};

/// Why the merge stops. Positions are ends of transactions; `behind` is the end of the last
/// one that was read well.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// A line cannot be read.
    #[error(
        "staging is damaged behind {behind}; drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    Damaged {
        /// Last good position.
        behind: BinlogPosition,
        /// What is wrong with the line.
        #[source]
        source: CodecError,
    },
    /// Lines or chunks are missing.
    #[error(
        "staging is damaged behind {behind}: transaction {expected} is expected and {found} found; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    Gap {
        /// Last good position.
        behind: BinlogPosition,
        /// Number of the transaction that comes next.
        expected: u64,
        /// Number of the transaction that is there.
        found: u64,
    },
    /// A transaction has lost lines.
    #[error(
        "staging is damaged: the transaction that ends at {position} has {found} of {expected} events; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    EventCount {
        /// The transaction's end.
        position: BinlogPosition,
        /// Events it was staged with.
        expected: u64,
        /// Events found.
        found: u64,
    },
    /// Positions go back.
    #[error(
        "staging is damaged: the transaction that ends at {position} follows one that ends at {behind}; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    Backwards {
        /// The transaction's end.
        position: BinlogPosition,
        /// The end of the one before it.
        behind: BinlogPosition,
    },
    /// Another server's log begins within a transaction.
    #[error(
        "staging is damaged behind {behind}: transaction {transaction_seq} has no end; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    CutTransaction {
        /// Last good position.
        behind: BinlogPosition,
        /// Number of the transaction.
        transaction_seq: u64,
    },
    /// A row names a definition that staging does not hold.
    #[error(
        "staging is damaged behind {behind}: table definition {definition} is missing; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    UnknownDefinition {
        /// Last good position.
        behind: BinlogPosition,
        /// The definition.
        definition: DefinitionId,
    },
    /// A row does not fit its definition.
    #[error(
        "staging is damaged behind {behind}: a row of {table} does not fit the table's definition; \
         drop the staging database, and the miner stages again from the target's checkpoint"
    )]
    Cells {
        /// Last good position.
        behind: BinlogPosition,
        /// The table.
        table: TableName,
    },
    /// The stream contradicts itself.
    #[error("the stream contradicts itself: {}", contradiction(*.conflict, .table, *.transaction_seq, .behind))]
    Contradiction {
        /// Last good position.
        behind: BinlogPosition,
        /// The table.
        table: TableName,
        /// The transaction, in this staging's numbering.
        transaction_seq: u64,
        /// What is impossible.
        conflict: Conflict,
    },
    /// A statement that only a person can repeat on the target.
    #[error(
        "the statement at {} on table {table} changes it beyond its rows: {}; make the same change on the target by \
         hand, run `binlog_loader ack {}`, and start the loader again",
        end.position, shorten(.statement), end.position
    )]
    Statement {
        /// End of the statement's transaction.
        end: Box<Progress>,
        /// The table.
        table: TableName,
        /// The statement.
        statement: String,
    },
}

impl CompactError {
    /// What to do about it: all of these need a person.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

fn contradiction(
    conflict: Conflict,
    table: &TableName,
    transaction_seq: u64,
    behind: &BinlogPosition,
) -> String {
    let what = match conflict {
        Conflict::InsertOnInsert => "inserts a key that an earlier event inserted",
        Conflict::ChangeOfDeleted => "changes a key that an earlier event deleted",
        Conflict::TooMany => "holds more changes than can be numbered",
    };
    format!(
        "transaction {transaction_seq}, behind {behind}, {what} in {table}; look at mysql2gp.events, then load the \
         table afresh or set consistent_from in [src.mysql]"
    )
}
