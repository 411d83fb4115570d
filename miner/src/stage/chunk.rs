//! Packs staged lines into chunks, written as tuples of PostgreSQL's binary COPY format.
//!
//! A chunk holds whole lines and fills one page of staging; a line that does not fit a
//! page has a chunk of its own. Source of the format: PostgreSQL manual, COPY, "Binary
//! Format".

use common::staging::CHUNKS_PER_SEGMENT;

/// Bytes of lines in one chunk: what fits one 8 KB page beside the page header (24), line
/// pointer (4), tuple header (24), four numbers (28) and the text's own length (4), rounded
/// down for alignment.
const CHUNK_BYTES: usize = 8000;

/// Columns that tuples are written for, in this order.
pub(super) const COLUMNS: &str =
    "chunk_seq, first_transaction_seq, first_event_seq, commits, payload, big_payload";

/// Header of a binary COPY: signature, flags, length of the extension.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a binary COPY.
pub(super) const COPY_TRAILER: &[u8] = b"\xff\xff";

/// The numbers that go on from chunk to chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// Last chunk.
    pub chunk_seq: i64,
    /// Last complete transaction.
    pub transaction_seq: u64,
    /// Last event.
    pub event_seq: u64,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A row event or statement.
    Event,
    /// The end of a transaction.
    Commit,
}

/// Packs lines.
pub struct ChunkPacker {
    sequences: Sequences,
    payload: Vec<u8>,
    first_transaction_seq: u64,
    first_event_seq: u64,
    commits: u32,
    tuples: Vec<u8>,
}

impl ChunkPacker {
    /// Goes on behind `sequences`.
    pub fn new(sequences: Sequences) -> Self {
        let mut packer = Self {
            sequences,
            payload: Vec::with_capacity(CHUNK_BYTES),
            first_transaction_seq: 0,
            first_event_seq: 0,
            commits: 0,
            tuples: Vec::new(),
        };
        packer.begin_chunk();
        packer
    }

    /// Where the numbers stand.
    pub fn sequences(&self) -> Sequences {
        self.sequences
    }

    /// Bytes packed and not taken yet.
    pub fn pending_bytes(&self) -> usize {
        self.tuples.len() + self.payload.len()
    }

    /// Appends a line, its newline included.
    pub fn push(&mut self, line: &[u8], kind: LineKind) {
        if self.payload.len() + line.len() > CHUNK_BYTES {
            self.end_chunk();
        }
        self.payload.extend_from_slice(line);
        match kind {
            LineKind::Event => self.sequences.event_seq += 1,
            LineKind::Commit => {
                self.sequences.transaction_seq += 1;
                self.commits += 1;
            }
        }
    }

    /// Ends the open chunk and hands out the tuples.
    pub fn take(&mut self) -> Vec<u8> {
        self.end_chunk();
        std::mem::take(&mut self.tuples)
    }

    /// Goes on in the next segment: the next chunk is its first. Only between units.
    pub fn next_segment(&mut self, segment_no: i64) {
        self.sequences.chunk_seq = segment_no * CHUNKS_PER_SEGMENT - 1;
    }

    /// Takes the numbers back to where they stood, for a transaction that is rolled back.
    pub fn rewind(&mut self, sequences: Sequences) {
        self.tuples.clear();
        self.sequences = sequences;
        self.begin_chunk();
    }

    fn begin_chunk(&mut self) {
        self.payload.clear();
        self.first_transaction_seq = self.sequences.transaction_seq + 1;
        self.first_event_seq = self.sequences.event_seq + 1;
        self.commits = 0;
    }

    fn end_chunk(&mut self) {
        if self.payload.is_empty() {
            self.begin_chunk();
            return;
        }
        self.sequences.chunk_seq += 1;
        let out = &mut self.tuples;
        out.extend_from_slice(&6_i16.to_be_bytes());
        put_bigint(out, self.sequences.chunk_seq);
        put_bigint(out, self.first_transaction_seq.cast_signed());
        put_bigint(out, self.first_event_seq.cast_signed());
        put_field(out, &self.commits.to_be_bytes());
        if self.payload.len() <= CHUNK_BYTES {
            put_field(out, &self.payload);
            put_null(out);
        } else {
            put_null(out);
            put_field(out, &self.payload);
            // Not kept: one large row would be paid for ever after.
            self.payload = Vec::with_capacity(CHUNK_BYTES);
        }
        self.begin_chunk();
    }
}

fn put_bigint(out: &mut Vec<u8>, value: i64) {
    put_field(out, &value.to_be_bytes());
}

fn put_null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    // A line is bounded by LINE_BYTES_MAX, far below 2 GiB.
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Sequences {
        Sequences {
            chunk_seq: CHUNKS_PER_SEGMENT - 1,
            transaction_seq: 0,
            event_seq: 0,
        }
    }

    #[test]
    fn lines_fill_a_page_and_are_never_split() {
        let mut packer = ChunkPacker::new(start());
        let line = [b'x'; 3000];
        for _ in 0..5 {
            packer.push(&line, LineKind::Event);
        }
        packer.push(b"C\n", LineKind::Commit);
        let tuples = packer.take();
        assert_eq!(packer.sequences().chunk_seq, CHUNKS_PER_SEGMENT + 2);
        assert_eq!(packer.sequences().event_seq, 5);
        assert_eq!(packer.sequences().transaction_seq, 1);
        assert_eq!(tuples.len(), 3 * (2 + 3 * 12 + 8 + 4 + 4) + 5 * 3000 + 2);
    }

    #[test]
    fn a_line_larger_than_a_page_has_its_own_chunk() {
        let mut packer = ChunkPacker::new(start());
        packer.push(b"a\n", LineKind::Event);
        packer.push(&vec![b'x'; 20_000], LineKind::Event);
        packer.push(b"b\n", LineKind::Event);
        packer.take();
        assert_eq!(packer.sequences().chunk_seq, CHUNKS_PER_SEGMENT + 2);
    }

    #[test]
    fn nothing_pushed_is_no_chunk() {
        let mut packer = ChunkPacker::new(start());
        assert!(packer.take().is_empty());
        assert_eq!(packer.sequences(), start());
    }
}
