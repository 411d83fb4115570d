//! Whose statement a position is, where it is no statement that comes next: perhaps a paused
//! table's.

use std::collections::HashMap;

use common::behind::{Behind, TableState};
use common::position::BinlogPosition;
use common::staging::codec::{self, Line};
use common::table::{DefinitionId, TableName};

use crate::command::CommandError;
use crate::fetch::{Fetched, Fetcher, Flow, MinerRow, Pass};

/// The paused table whose statement ends at `position`, if there is one.
pub(super) fn owner(
    fetcher: &mut Fetcher,
    miner: &MinerRow,
    behind: &[Behind],
    position: &BinlogPosition,
) -> Result<Option<TableName>, CommandError> {
    let paused: Vec<&Behind> = behind
        .iter()
        .filter(|behind| behind.state == TableState::Paused)
        .collect();
    let mut starts = Vec::new();
    for table in &paused {
        starts.push((
            fetcher.locate(miner, &table.at)?,
            table.at.timeline_id.clone(),
        ));
    }
    let least = starts
        .into_iter()
        .min_by_key(|(start, _)| start.behind_chunk);
    let Some((start, timeline_id)) = least else {
        return Ok(None);
    };
    fetcher.seek(&start, &timeline_id);
    let mut search = Search {
        position,
        definitions: HashMap::new(),
        statement_of: None,
        of_one_log: true,
    };
    loop {
        let mut found = Found::NotYet;
        let pass = fetcher.pass(|fetched| {
            found = search.look(fetched);
            match found {
                Found::NotYet => Flow::Continue,
                Found::End(_) => Flow::Stop,
            }
        })?;
        match (found, pass) {
            (Found::End(table), _) => {
                let is_paused =
                    |table: &TableName| paused.iter().any(|paused| paused.table == *table);
                return Ok(table.filter(is_paused));
            }
            (Found::NotYet, Pass::More) => {}
            (Found::NotYet, Pass::Drained | Pass::Stopped | Pass::Asked | Pass::Relisted) => {
                return Ok(None);
            }
        }
    }
}

enum Found {
    NotYet,
    /// The transaction that ends at the position, or one behind it: the table of its statement.
    End(Option<TableName>),
}

struct Search<'a> {
    position: &'a BinlogPosition,
    definitions: HashMap<DefinitionId, TableName>,
    /// Table of the statement in the transaction that is being read.
    statement_of: Option<TableName>,
    /// Positions of two servers' logs do not compare.
    of_one_log: bool,
}

impl Search<'_> {
    fn look(&mut self, fetched: Fetched) -> Found {
        match fetched {
            Fetched::Definition(id, definition) => {
                self.definitions.insert(id, definition.name);
            }
            Fetched::Timeline(_) => self.of_one_log = false,
            Fetched::Mark(_) => {}
            Fetched::Text(text) => {
                for line in text.lines.split(|byte| *byte == b'\n') {
                    if let Found::End(table) = self.look_at_line(line) {
                        return Found::End(table);
                    }
                }
            }
        }
        Found::NotYet
    }

    fn look_at_line(&mut self, line: &[u8]) -> Found {
        // What is damaged is told by who applies it.
        match codec::parse_line(line) {
            Ok(Line::Statement {
                database, table, ..
            }) => {
                let text =
                    |cell| codec::unescape(cell).and_then(|text| String::from_utf8(text).ok());
                self.statement_of = text(database)
                    .zip(text(table))
                    .map(|(database, table)| TableName::new(database, table));
            }
            Ok(Line::Truncate { definition }) => {
                self.statement_of = self.definitions.get(&definition).cloned();
            }
            Ok(Line::Commit(commit)) => {
                let statement_of = self.statement_of.take();
                match commit.position() {
                    Ok(end) if end == *self.position => return Found::End(statement_of),
                    Ok(end) if self.of_one_log && end > *self.position => return Found::End(None),
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(Line::Row { .. }) | Err(_) => {}
        }
        Found::NotYet
    }
}
