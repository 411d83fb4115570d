//! The source transaction that is being read: its staged lines, until it commits.

use common::staging::codec::{self, RowMark};
use common::table::DefinitionId;

use crate::stage::{ChunkPacker, LineKind, Sequences};

/// Text of one line that staging takes; a PostgreSQL field ends at 1 GiB.
pub const LINE_BYTES_MAX: usize = (1 << 30) - (1 << 20);

/// Where a savepoint's lines begin.
#[derive(Clone, Debug)]
struct Savepoint {
    name: String,
    /// Lines of the transaction before it.
    lines: usize,
    /// Once everything before it is packed: where the numbers stood.
    packed: Option<Sequences>,
}

/// What ROLLBACK TO found.
#[derive(Debug, PartialEq, Eq)]
pub enum RolledBack {
    /// The lines were still here and are gone.
    Here,
    /// Lines behind these numbers were packed already and must be removed from staging.
    Packed(Sequences),
    /// No such savepoint in this transaction: nothing of it is logged.
    Unknown,
}

/// Lines of the open transaction. Lines beyond a bound are packed before the commit; then
/// `packed_lines` of them are no longer here.
#[derive(Default)]
pub struct OpenTransaction {
    lines: Vec<u8>,
    ends: Vec<usize>,
    packed_lines: usize,
    savepoints: Vec<Savepoint>,
}

impl OpenTransaction {
    /// Number of lines, packed ones included.
    pub fn event_count(&self) -> usize {
        self.packed_lines + self.ends.len()
    }

    /// Bytes of lines that are here.
    pub fn pending_bytes(&self) -> usize {
        self.lines.len()
    }

    /// Whether a part is packed already.
    pub fn is_packed(&self) -> bool {
        self.packed_lines > 0
    }

    /// Appends a row line of groups of cells.
    ///
    /// # Errors
    /// The length of the line, when it is too long.
    pub fn push_row(
        &mut self,
        mark: RowMark,
        definition: DefinitionId,
        groups: &[&[u8]],
    ) -> Result<(), usize> {
        let length: usize = groups.iter().map(|group| group.len() + 1).sum();
        if length > LINE_BYTES_MAX {
            return Err(length);
        }
        codec::begin_row(&mut self.lines, mark, definition);
        for group in groups {
            self.lines.push(b'\t');
            self.lines.extend_from_slice(group);
        }
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
        Ok(())
    }

    /// Appends a TRUNCATE line.
    pub fn push_truncate(&mut self, definition: DefinitionId) {
        codec::write_truncate(&mut self.lines, definition);
        self.ends.push(self.lines.len());
    }

    /// Appends a statement line; `changes` is what is known of it in full, as JSON.
    pub fn push_statement(
        &mut self,
        (database, table): (&str, &str),
        statement: &str,
        changes: Option<&str>,
    ) {
        codec::write_statement(&mut self.lines, database, table, statement, changes);
        self.ends.push(self.lines.len());
    }

    /// Appends lines that were parked.
    pub fn push_lines(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.lines.extend_from_slice(line);
            self.ends.push(self.lines.len());
        }
    }

    /// Takes the lines out, to park them; `None` when a part is packed already.
    pub fn take_lines(&mut self) -> Option<Vec<u8>> {
        if self.is_packed() {
            return None;
        }
        let lines = std::mem::take(&mut self.lines);
        self.clear();
        Some(lines)
    }

    /// Sets a savepoint; one of the same name is replaced, as at the source.
    pub fn savepoint(&mut self, name: String) {
        self.savepoints.retain(|savepoint| savepoint.name != name);
        let lines = self.event_count();
        self.savepoints.push(Savepoint {
            name,
            lines,
            packed: None,
        });
    }

    /// Removes the lines since the savepoint.
    pub fn rollback_to(&mut self, name: &str) -> RolledBack {
        let Some(at) = self
            .savepoints
            .iter()
            .position(|savepoint| savepoint.name.eq_ignore_ascii_case(name))
        else {
            return RolledBack::Unknown;
        };
        self.savepoints.truncate(at + 1);
        let Some(savepoint) = self.savepoints.get(at) else {
            return RolledBack::Unknown;
        };
        if let (true, Some(sequences)) = (savepoint.lines < self.packed_lines, savepoint.packed) {
            self.packed_lines = savepoint.lines;
            self.lines.clear();
            self.ends.clear();
            return RolledBack::Packed(sequences);
        }
        let keep = savepoint.lines.saturating_sub(self.packed_lines);
        let end = match keep.checked_sub(1) {
            Some(last) => self.ends.get(last).copied().unwrap_or_default(),
            None => 0,
        };
        self.ends.truncate(keep);
        self.lines.truncate(end);
        RolledBack::Here
    }

    /// Packs the lines that are here, so that a chunk begins at every savepoint.
    pub fn pack(&mut self, packer: &mut ChunkPacker, tuples: &mut Vec<u8>) {
        let mut start = 0;
        for (index, &end) in self.ends.iter().enumerate() {
            let number = self.packed_lines + index;
            for savepoint in &mut self.savepoints {
                if savepoint.lines == number && savepoint.packed.is_none() {
                    tuples.append(&mut packer.take());
                    savepoint.packed = Some(packer.sequences());
                }
            }
            if let Some(line) = self.lines.get(start..end) {
                packer.push(line, LineKind::Event);
            }
            start = end;
        }
        self.packed_lines += self.ends.len();
        self.lines.clear();
        self.ends.clear();
        if self.lines.capacity() > KEEP_CAPACITY {
            self.lines = Vec::new();
        }
    }

    /// Forgets everything: the transaction has ended.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.ends.clear();
        self.savepoints.clear();
        self.packed_lines = 0;
    }
}

/// Memory that one large row leaves behind is given back above this.
const KEEP_CAPACITY: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use common::staging::CHUNKS_PER_SEGMENT;

    fn open(lines: usize) -> OpenTransaction {
        let mut open = OpenTransaction::default();
        for _ in 0..lines {
            push(&mut open);
        }
        open
    }

    fn push(open: &mut OpenTransaction) {
        open.push_row(RowMark::Insert, DefinitionId(1), &[b"1", b"2"])
            .unwrap();
    }

    fn packer() -> ChunkPacker {
        ChunkPacker::new(Sequences {
            chunk_seq: CHUNKS_PER_SEGMENT - 1,
            transaction_seq: 0,
            event_seq: 0,
        })
    }

    #[test]
    fn a_rollback_removes_the_lines_since_its_savepoint() {
        let mut open = open(2);
        open.savepoint("s".into());
        push(&mut open);
        assert_eq!(open.rollback_to("s"), RolledBack::Here);
        assert_eq!(open.event_count(), 2);
        assert_eq!(open.lines, b"I1\t1\t2\nI1\t1\t2\n");
        assert_eq!(open.rollback_to("t"), RolledBack::Unknown);
    }

    #[test]
    fn a_rollback_past_packed_lines_says_from_where_to_remove_them() {
        let mut open = open(2);
        let (mut packer, mut tuples) = (packer(), Vec::new());
        open.savepoint("s".into());
        push(&mut open);
        open.pack(&mut packer, &mut tuples);
        push(&mut open);
        let RolledBack::Packed(sequences) = open.rollback_to("s") else {
            panic!("not packed");
        };
        assert_eq!(sequences.event_seq, 2);
        assert_eq!(sequences.chunk_seq, CHUNKS_PER_SEGMENT);
        assert_eq!(open.event_count(), 2);
    }

    #[test]
    fn a_line_too_long_for_staging_is_refused() {
        let mut open = OpenTransaction::default();
        let cells = vec![b'x'; 1 << 20];
        let groups = vec![cells.as_slice(); 1 << 10];
        assert!(
            open.push_row(RowMark::UpdateFull, DefinitionId(1), &groups)
                .is_err()
        );
        assert_eq!(open.event_count(), 0);
    }
}
