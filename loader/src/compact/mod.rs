//! Staged lines into net changes: one change per key, by the rules below.
//!
//! Stands between `fetch` and `apply`. Reads whole lines in staged order and merges them
//! into a [`Round`]; says where a round may, should or must end, and leaves the decision to
//! the pipeline. Per table and key, in source order:
//!
//! | then ↓ \ net so far → | nothing | upsert | delete |
//! | --- | --- | --- | --- |
//! | insert | upsert, first insert | corrupt | upsert |
//! | update | upsert | upsert (last row wins) | corrupt |
//! | delete | delete | delete | corrupt |
//! | update of the key | delete of the old key, then insert of the new one | | |
//!
//! An insert that is deleted stays a delete: cheap, and right when an earlier load overlaps
//! the stream. Where it does, or the source has cascades that it does not log, "corrupt" is no
//! error: the last operation wins. Rows of keyless
//! tables are counted, not merged: a delete takes back an equal row that the round has added,
//! else one of the target's.
//!
//! Pure: no I/O, no clock, no lock. It knows nothing of target tables.

mod covered;
mod error;
mod merge;

use std::collections::HashMap;
use std::sync::Arc;

use common::position::{BinlogFile, BinlogPosition};
use common::staging::codec::{self, CommitLine, Line, RowMark};
use common::table::{DefinitionId, TableDefinition, TableName};

pub use error::CompactError;

use covered::Covered;
use merge::{MergeError, merge};

use crate::coverage::Coverage;
use crate::layout::Layout;
use crate::progress::{Progress, StagedPosition, StagedTimeline};
use crate::round::{Contradictions, Round, Statement};

/// Where a round ends.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Net bytes after which a round ends at the next transaction, if the target has not less to
    /// do for a longer one; see [`GROWTH`] and [`Compactor::give_room`].
    pub batch_bytes: usize,
    /// Transactions behind the one that reaches this position of the log that reading began in
    /// are not read, nor another server's log.
    pub stop_at: Option<BinlogPosition>,
    /// What to do where the stream contradicts itself.
    pub contradictions: Contradictions,
}

/// How much larger than `batch_bytes` a round may become that costs the target less for it, where
/// memory allows.
const GROWTH: usize = 5;

/// What the two rounds that are in memory at a time may have together, likewise: with the default of
/// `batch_bytes`, 72 MB.
const MEMORY: usize = 6;

impl Limits {
    /// Whether a round is to end within a transaction. The distance lets ordinary
    /// transactions come to their end.
    fn is_oversized(&self, round: &Round, room_bytes: usize) -> bool {
        let full = if round.transactions == 0 {
            self.batch_bytes
        } else {
            room_bytes
        };
        round.net_bytes() >= full.saturating_add(self.batch_bytes / 2)
    }

    /// Whether a round is to end where a transaction has ended.
    fn is_full(&self, round: &Round, room_bytes: usize) -> bool {
        let net_bytes = round.net_bytes();
        let gains = round.merges() || round.changes_rows();
        net_bytes >= self.batch_bytes && (net_bytes >= room_bytes || !gains)
    }

    /// Net bytes that a round may have beside one of so many.
    fn room_bytes(&self, other_bytes: usize) -> usize {
        let memory = self.batch_bytes.saturating_mul(MEMORY);
        let room = memory.saturating_sub(other_bytes);
        room.clamp(self.batch_bytes, self.batch_bytes.saturating_mul(GROWTH))
    }
}

/// Why reading paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The text is read to its end.
    NeedText,
    /// A transaction has ended: the round may be applied.
    MayEnd,
    /// A transaction has ended, and the round is full or the next line does not belong into
    /// it.
    MustEnd,
    /// A transaction has ended at or behind `stop_at`.
    Stop,
    /// The round is full within a transaction, or the next line does not belong into it: the
    /// round is to be applied before reading goes on, and committed if its `end` is set.
    Split,
}

/// Merges staged lines. See the module.
#[derive(Debug)]
pub struct Compactor {
    limits: Limits,
    layouts: HashMap<DefinitionId, Arc<Layout>>,
    table_numbers: HashMap<TableName, usize>,
    /// By table number: the definition that the round holds, and the table's place in it.
    places: Vec<Option<(DefinitionId, usize)>>,
    last_place: Option<(DefinitionId, usize)>,
    round: Round,
    /// Net bytes that the round may have at most.
    room_bytes: usize,
    /// What was read or skipped.
    covered: Covered,
    /// The open transaction; `None` before the first text.
    open: Option<Open>,
    /// Whether the round ends where a transaction does: it may be applied.
    ended: bool,
    /// Whether the round must end with the open transaction.
    last_of_round: bool,
    statement: Option<Staged>,
    scratch: Vec<u8>,
    /// Transaction behind which reading began.
    first_seq: u64,
    /// What each table has already.
    coverage: Coverage,
    /// By table number, where some tables have more than others.
    covered_until: Option<Vec<u64>>,
}

/// The transaction that is being read.
#[derive(Debug)]
struct Open {
    transaction_seq: u64,
    next_event_seq: u64,
    /// Its lines so far.
    lines: u64,
}

/// The open transaction's statement.
#[derive(Debug)]
struct Staged {
    statement: Statement,
    /// Whether the target can show that the same was done there.
    proof: Proof,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Possible,
    Impossible,
}

enum Step {
    Next,
    PauseBehind(Pause),
    PauseBefore(Pause),
}

impl Compactor {
    /// Starts behind `start`: transactions up to its `transaction_seq` are skipped.
    pub fn new(limits: Limits, start: Progress) -> Self {
        let mut compactor = Self {
            room_bytes: limits.room_bytes(0),
            limits,
            layouts: HashMap::new(),
            table_numbers: HashMap::new(),
            places: Vec::new(),
            last_place: None,
            round: Round::default(),
            first_seq: start.transaction_seq,
            coverage: Coverage::new(start.transaction_seq),
            covered_until: None,
            covered: Covered::new(start),
            open: None,
            ended: false,
            last_of_round: false,
            statement: None,
            scratch: Vec::new(),
        };
        compactor.round.overlap = compactor.covered.overlap();
        compactor.round.contradictions = compactor.limits.contradictions;
        compactor
    }

    /// With tables that have more of the stream, or want less of it, than what is before the
    /// start.
    #[must_use]
    pub fn with_coverage(mut self, coverage: Coverage) -> Self {
        self.covered_until = (!coverage.is_uniform(self.first_seq)).then(Vec::new);
        self.coverage = coverage;
        self
    }

    /// Makes a definition known; lines name it by its number.
    pub fn define(&mut self, id: DefinitionId, definition: TableDefinition) {
        let next = self.table_numbers.len();
        let number = *self
            .table_numbers
            .entry(definition.name.clone())
            .or_insert(next);
        self.places.resize(self.table_numbers.len(), None);
        if let Some(covered_until) = &mut self.covered_until
            && number == covered_until.len()
        {
            covered_until.push(self.coverage.until(&definition.name));
        }
        self.layouts.insert(id, Layout::new(id, definition, number));
    }

    /// What is read and ended so far, without the GTIDs.
    pub fn end(&self) -> &Progress {
        self.covered.end()
    }

    /// What is read and ended so far.
    pub fn end_with_gtids(&self) -> Progress {
        self.covered.with_gtids()
    }

    /// The miner's position is `staged` and everything before it is read: filtered traffic
    /// moves the end of what is read, too.
    pub fn advance(&mut self, staged: StagedPosition) {
        self.covered.advance(staged);
    }

    /// What follows is of another server's log. The round must be empty: a batch is of one
    /// timeline.
    ///
    /// # Errors
    /// When a transaction is cut off by it.
    pub fn begin_timeline(&mut self, staged: &StagedTimeline) -> Result<(), CompactError> {
        if self.open.as_ref().is_some_and(|open| open.lines > 0) {
            return Err(CompactError::CutTransaction {
                behind: self.covered.end().position.clone(),
                transaction_seq: self.transaction_seq(),
            });
        }
        self.covered.begin_timeline(staged);
        self.round.overlap = self.covered.overlap();
        Ok(())
    }

    /// Whether everything up to `stop_at` is read.
    pub fn reached_stop(&self) -> bool {
        let stop = self.limits.stop_at.as_ref();
        stop.is_some_and(|stop| self.end().position >= *stop)
    }

    /// Whether reading must not go on in another server's log: what is to be reached is a
    /// position of this one, unless nothing of it was left.
    pub fn stops_at_timeline(&self) -> bool {
        self.limits.stop_at.is_some() && self.end().transaction_seq > self.first_seq
    }

    /// Whether the round ends where a transaction does: it may be applied.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The round so far; its end is set when it is taken.
    pub fn round(&self) -> &Round {
        &self.round
    }

    /// Lets the round grow as far as memory goes beside another one of so many net bytes.
    pub fn give_room(&mut self, other_bytes: usize) {
        self.room_bytes = self.limits.room_bytes(other_bytes);
    }

    /// Whether events of the round merge, and it has room for more of them.
    pub fn merges_on(&self) -> bool {
        self.round.net_bytes() < self.room_bytes && self.round.merges()
    }

    /// Takes the round and goes on with `spare`, which must be clear.
    pub fn take_round(&mut self, mut spare: Round) -> Round {
        for table in self.round.tables() {
            if let Some(place) = self.places.get_mut(table.layout.table_number) {
                *place = None;
            }
        }
        self.last_place = None;
        self.last_of_round = false;
        spare.overlap = self.covered.overlap();
        spare.contradictions = self.limits.contradictions;
        let mut round = std::mem::replace(&mut self.round, spare);
        if std::mem::take(&mut self.ended) {
            round.end = Some(self.covered.with_gtids());
        }
        round.seal();
        round
    }

    /// Says what the first line of the next text is: of which transaction, and which event.
    ///
    /// # Errors
    /// When it does not follow on what was read.
    pub fn begin_text(&mut self, transaction_seq: u64, event_seq: u64) -> Result<(), CompactError> {
        let expected = match &self.open {
            Some(open) => (open.transaction_seq, open.next_event_seq),
            None => (
                transaction_seq.min(self.end().transaction_seq + 1),
                event_seq,
            ),
        };
        if expected != (transaction_seq, event_seq) {
            return Err(CompactError::Gap {
                behind: self.end().position.clone(),
                expected: expected.0,
                found: transaction_seq,
            });
        }
        if self.open.is_none() {
            self.open = Some(Open {
                transaction_seq,
                next_event_seq: event_seq,
                lines: 0,
            });
        }
        Ok(())
    }

    /// Reads lines until there is something to decide; returns what is left of the text.
    ///
    /// # Errors
    /// When staging is damaged, the stream contradicts itself, or a statement must be dealt
    /// with by a person.
    pub fn read<'t>(&mut self, text: &'t [u8]) -> Result<(&'t [u8], Pause), CompactError> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).ok_or_else(|| self.damaged(CUT_LINE))?;
            let (line, behind) = rest
                .split_at_checked(end)
                .ok_or_else(|| self.damaged(CUT_LINE))?;
            let behind = behind.get(1..).unwrap_or_default();
            match self.line(line)? {
                Step::Next => rest = behind,
                Step::PauseBehind(pause) => return Ok((behind, pause)),
                Step::PauseBefore(pause) => return Ok((rest, pause)),
            }
        }
        Ok((rest, Pause::NeedText))
    }

    fn line(&mut self, line: &[u8]) -> Result<Step, CompactError> {
        let parsed = codec::parse_line(line).map_err(|source| self.damaged(source))?;
        let skipping = self.transaction_seq() <= self.end().transaction_seq;
        let step = match parsed {
            Line::Commit(commit) => return self.commit(&commit, skipping),
            _ if skipping || self.is_covered(&parsed) => Step::Next,
            Line::Row {
                mark,
                definition,
                cells,
            } => self.row(mark, definition, cells)?,
            Line::Truncate { definition } => self.truncate(definition)?,
            Line::Statement {
                database,
                table,
                statement,
                changes,
            } => self.statement((database, table), statement, changes)?,
        };
        if let (Step::Next | Step::PauseBehind(_), Some(open)) = (&step, &mut self.open) {
            open.next_event_seq += 1;
            open.lines += 1;
        }
        Ok(step)
    }

    /// Whether the line's table has it already, or does not want it.
    fn is_covered(&self, line: &Line<'_>) -> bool {
        let Some(covered_until) = &self.covered_until else {
            return false;
        };
        let until = match line {
            Line::Row { definition, .. } | Line::Truncate { definition } => self
                .layouts
                .get(definition)
                .and_then(|layout| covered_until.get(layout.table_number))
                .copied()
                .unwrap_or(0),
            Line::Statement {
                database, table, ..
            } => self
                .coverage
                .until(&TableName::new(text(database), text(table))),
            Line::Commit(_) => 0,
        };
        self.transaction_seq() <= until
    }

    fn row(
        &mut self,
        mark: RowMark,
        definition: DefinitionId,
        cells: &[u8],
    ) -> Result<Step, CompactError> {
        let Some(place) = self.place(definition)? else {
            return Ok(self.pause_before());
        };
        self.open_round();
        self.round.event_seq = self.open.as_ref().map_or(0, |open| open.next_event_seq);
        let merged = match self.layouts.get(&definition) {
            Some(layout) => merge(
                &mut self.round,
                place,
                layout,
                (mark, cells),
                &mut self.scratch,
            ),
            None => Err(MergeError::Cells),
        };
        merged.map_err(|error| self.merge_error(error, definition))?;
        self.round.row_events += 1;
        if self.limits.is_oversized(&self.round, self.room_bytes) {
            return Ok(Step::PauseBehind(Pause::Split));
        }
        Ok(Step::Next)
    }

    fn truncate(&mut self, definition: DefinitionId) -> Result<Step, CompactError> {
        if !self.round.is_empty() {
            return Ok(self.pause_before());
        }
        let Some(place) = self.place(definition)? else {
            return Ok(self.pause_before());
        };
        self.open_round();
        if let Some(table) = self.round.table_mut(place) {
            table.truncated = true;
            table.counts.truncates += 1;
        }
        self.last_of_round = true;
        Ok(Step::Next)
    }

    fn statement(
        &mut self,
        (database, table): (&[u8], &[u8]),
        statement: &[u8],
        changes: Option<&[u8]>,
    ) -> Result<Step, CompactError> {
        if !self.round.is_empty() {
            return Ok(self.pause_before());
        }
        let known = changes
            .map(|changes| serde_json::from_str(&text(changes)))
            .transpose()
            .map_err(|_| self.damaged(codec::CodecError::Field { field: "changes" }))?;
        // One of several tables: the others are not looked at.
        let proof = match (&known, &self.statement) {
            (Some(_), None) => Proof::Possible,
            (Some(_), Some(_)) | (None, _) => Proof::Impossible,
        };
        self.statement = Some(Staged {
            statement: Statement {
                table: TableName::new(text(database), text(table)),
                text: text(statement),
                changes: known.unwrap_or_default(),
            },
            proof,
        });
        Ok(Step::Next)
    }

    fn commit(&mut self, commit: &CommitLine<'_>, skipping: bool) -> Result<Step, CompactError> {
        let expected = self.transaction_seq();
        if commit.transaction_seq != expected {
            return Err(CompactError::Gap {
                behind: self.end().position.clone(),
                expected,
                found: commit.transaction_seq,
            });
        }
        let Some(open) = &mut self.open else {
            return Ok(Step::Next);
        };
        let lines = std::mem::take(&mut open.lines);
        open.transaction_seq += 1;
        if skipping {
            return Ok(Step::Next);
        }
        let position = self.position(commit)?;
        if lines != commit.event_count {
            return Err(CompactError::EventCount {
                position,
                expected: commit.event_count,
                found: lines,
            });
        }
        if position < self.end().position {
            return Err(CompactError::Backwards {
                position,
                behind: self.end().position.clone(),
            });
        }
        self.covered.note_gtids(commit);
        let end = Progress {
            timeline: Arc::clone(&self.end().timeline),
            position,
            gtid_set: None,
            transaction_seq: commit.transaction_seq,
            event_seq: self.open.as_ref().map_or(0, |open| open.next_event_seq - 1),
            committed_at_us: Some(commit.committed_at_us),
        };
        let staged = self.statement.take();
        self.open_round();
        if let Some(Staged { statement, proof }) = staged {
            // Rows of the statement's own transaction would need its changes first.
            if proof == Proof::Impossible || lines > 1 {
                self.covered.set_end(end);
                let end = self.covered.with_gtids();
                return Err(CompactError::Statement {
                    end: Box::new(end),
                    table: statement.table,
                    statement: statement.text,
                });
            }
            self.round.statement = Some(statement);
            self.last_of_round = true;
        }
        Ok(Step::PauseBehind(self.end_transaction(end)))
    }

    fn end_transaction(&mut self, end: Progress) -> Pause {
        let before = self.covered.overlap();
        self.covered.set_end(end);
        self.round.transactions += 1;
        self.ended = true;
        if self.reached_stop() {
            Pause::Stop
        } else if self.last_of_round
            || self.covered.overlap() != before
            || self.limits.is_full(&self.round, self.room_bytes)
        {
            Pause::MustEnd
        } else {
            Pause::MayEnd
        }
    }

    /// The round goes on with an open transaction.
    fn open_round(&mut self) {
        if self.round.first_transaction_seq == 0 {
            self.round.first_transaction_seq = self.transaction_seq();
        }
        self.ended = false;
    }

    /// A line that does not belong into the round.
    fn pause_before(&self) -> Step {
        Step::PauseBefore(if self.ended {
            Pause::MustEnd
        } else {
            Pause::Split
        })
    }

    /// The table's place in the round; `None` when the round holds another version of it.
    fn place(&mut self, definition: DefinitionId) -> Result<Option<usize>, CompactError> {
        if let Some((id, place)) = self.last_place
            && id == definition
        {
            return Ok(Some(place));
        }
        let layout =
            self.layouts
                .get(&definition)
                .ok_or_else(|| CompactError::UnknownDefinition {
                    behind: self.end().position.clone(),
                    definition,
                })?;
        let Some(slot) = self.places.get_mut(layout.table_number) else {
            return Ok(None);
        };
        let place = match *slot {
            Some((id, place)) if id == definition => place,
            Some(_) => return Ok(None),
            None => {
                let place = self.round.add_table(Arc::clone(layout));
                *slot = Some((definition, place));
                place
            }
        };
        self.last_place = Some((definition, place));
        Ok(Some(place))
    }

    fn position(&self, commit: &CommitLine<'_>) -> Result<BinlogPosition, CompactError> {
        let file: BinlogFile = if commit.file == self.end().position.file.name() {
            self.end().position.file.clone()
        } else {
            commit
                .position()
                .map_err(|source| self.damaged(source))?
                .file
        };
        Ok(BinlogPosition::new(file, commit.offset))
    }

    fn transaction_seq(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.transaction_seq)
    }

    fn damaged(&self, source: codec::CodecError) -> CompactError {
        CompactError::Damaged {
            behind: self.end().position.clone(),
            source,
        }
    }

    fn merge_error(&self, error: MergeError, definition: DefinitionId) -> CompactError {
        let behind = self.end().position.clone();
        let table = match self.layouts.get(&definition) {
            Some(layout) => layout.definition.name.clone(),
            None => return CompactError::UnknownDefinition { behind, definition },
        };
        match error {
            MergeError::Cells => CompactError::Cells { behind, table },
            MergeError::Conflict(conflict) => CompactError::Contradiction {
                behind,
                table,
                transaction_seq: self.transaction_seq(),
                conflict,
            },
        }
    }
}

/// The text of a cell.
fn text(cell: &[u8]) -> String {
    let bytes = codec::unescape(cell).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text that ends within a line.
const CUT_LINE: codec::CodecError = codec::CodecError::Field {
    field: "end of line",
};
