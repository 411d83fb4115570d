//! Net changes: what `compact` makes of staged rows and what `apply` writes.
//!
//! A round is one pass of the merge: for each key of each table the net change and the
//! first operation that was seen on it. Usually a round is a batch; a source transaction
//! that is too large for memory takes several rounds, of which only the last has an `end`.
//!
//! Rows and keys lie as staged text in one arena; nothing is allocated per row, and a round
//! is reused once it has been applied. This module knows no operation of the stream (that is
//! `compact`) and no SQL (that is `apply`).

use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;

use common::table::TableName;
use common::table_change::TableChange;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::layout::Layout;
use crate::progress::Progress;

/// Whether the target may already hold changes of this part of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It holds exactly what was applied.
    #[default]
    Exact,
    /// An earlier load overlaps: before `consistent_from`.
    Overlapping,
}

/// What to do where the stream contradicts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contradictions {
    /// Stop: something is lost.
    #[default]
    Stop,
    /// The last operation wins: the source has cascades that it does not log.
    LastWins,
}

/// An ALTER TABLE of which everything is known that it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The table.
    pub table: TableName,
    /// The statement.
    pub text: String,
    /// What it did to columns and rows; nothing, where it is about indexes, defaults and the like.
    pub changes: Vec<TableChange>,
}

/// A statement on one line, at most 200 characters, for messages.
pub fn shorten(statement: &str) -> String {
    let one_line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", one_line.get(..end).unwrap_or_default()),
        None => one_line,
    }
}

/// The first operation on a key within a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The key was new.
    Insert,
    /// The key was there.
    Other,
}

/// A net change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net<'a> {
    /// The row is to be as given.
    Upsert {
        /// Key cells.
        key: &'a [u8],
        /// All cells.
        row: &'a [u8],
        /// First operation on the key.
        first: First,
    },
    /// No row is to have the key.
    Delete {
        /// Key cells.
        key: &'a [u8],
    },
    /// Keyless: so many equal rows come, and so many of those that were there go.
    Rows {
        /// All cells.
        row: &'a [u8],
        /// Copies to add.
        inserts: u32,
        /// Copies to remove.
        deletes: u32,
    },
}

/// Row events of one table, before merging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inserts.
    pub inserts: u64,
    /// Updates.
    pub updates: u64,
    /// Deletes.
    pub deletes: u64,
    /// TRUNCATEs.
    pub truncates: u64,
}

/// A change that the state of its key does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// An insert of a key that the stream has inserted and not deleted.
    InsertOnInsert,
    /// An update or a delete of a key that the stream has deleted.
    ChangeOfDeleted,
    /// More changes than a round can number.
    TooMany,
}

/// One table's part of a round.
#[derive(Debug)]
pub struct TableChanges {
    /// The table.
    pub layout: Arc<Layout>,
    /// Row events before merging.
    pub counts: Counts,
    /// Whether the table is emptied before the changes.
    pub truncated: bool,
    order: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Upsert {
        first: First,
        room: Room,
        /// Bytes of the row, which begins where the room does.
        len: u32,
    },
    Delete {
        /// Room for a row, should the key come back.
        room: Room,
    },
    /// Of a keyless table: copies to add and to remove. The entry's key is the row.
    Rows { inserts: u32, deletes: u32 },
}

/// A key, or one of possibly equal rows. Kept small: there are hundreds of thousands of them, found
/// in no order.
#[derive(Debug)]
struct Entry {
    hash: u32,
    table: u32,
    state: State,
    key: Key,
    /// The last event on the key; of equal rows, the last that added one.
    event_seq: u64,
}

/// Bytes of keys that lie in their entry: most numbers are that short.
const SHORT_KEY: usize = 14;

/// A key's bytes. A short key lies in its entry, so that it is found without a look at the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Bytes behind `len` are 0.
    Short {
        len: u8,
        bytes: [u8; SHORT_KEY],
    },
    Long(Slice),
}

impl Key {
    /// `None` where it is too long.
    fn short(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT_KEY];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        let len = u8::try_from(key.len()).ok()?;
        Some(Self::Short { len, bytes })
    }
}

/// Bytes of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    at: u32,
    len: u32,
}

/// Bytes of the arena that a row may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    at: u32,
    capacity: u32,
}

impl State {
    /// The row's bytes; none where it is deleted.
    fn row(self) -> Slice {
        match self {
            Self::Upsert { room, len, .. } => Slice { at: room.at, len },
            Self::Delete { .. } | Self::Rows { .. } => Slice::default(),
        }
    }
}

/// Net bytes that a change costs besides its key and row: entry, index and order.
const ENTRY_BYTES: usize = size_of::<Entry>() + 24;

/// Net changes of a run of source transactions.
#[derive(Debug, Default)]
pub struct Round {
    /// The statement that the round consists of, if the target may show that it has been
    /// repeated there.
    pub statement: Option<Statement>,
    /// Whether the target may already hold changes of this part of the stream.
    pub overlap: Overlap,
    /// What to do where the stream contradicts itself.
    pub contradictions: Contradictions,
    /// Source transactions that end in the round.
    pub transactions: u64,
    /// Row events before merging.
    pub row_events: u64,
    /// First source transaction.
    pub first_transaction_seq: u64,
    /// The event that is being merged.
    pub event_seq: u64,
    /// The last transaction's end; `None` where the round ends within one, and until it is taken
    /// to be applied.
    pub end: Option<Progress>,
    /// Keys of which the target has a row.
    old_keys: u64,
    arena: Vec<u8>,
    live_bytes: usize,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    tables: Vec<TableChanges>,
    order: Vec<(u32, u64, u32)>,
}

impl Round {
    /// Forgets everything; keeps the memory of a round up to this size.
    pub fn clear(&mut self, keep_bytes: usize) {
        if self.net_bytes() > keep_bytes || self.arena.capacity() > 2 * keep_bytes {
            *self = Self::default();
            return;
        }
        self.statement = None;
        self.overlap = Overlap::Exact;
        self.contradictions = Contradictions::Stop;
        self.transactions = 0;
        self.row_events = 0;
        self.first_transaction_seq = 0;
        self.event_seq = 0;
        self.end = None;
        self.old_keys = 0;
        self.arena.clear();
        self.live_bytes = 0;
        self.entries.clear();
        self.index.clear();
        self.tables.clear();
        self.order.clear();
    }

    /// Whether there is nothing to apply.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.tables.iter().any(|table| table.truncated)
    }

    /// What the round holds, in bytes of memory.
    pub fn net_bytes(&self) -> usize {
        self.live_bytes + self.entries.len() * ENTRY_BYTES
    }

    /// Whether one event of sixteen or more changes what another one has changed, so that the
    /// target has less to do for a longer round: the longer it is, the more of them merge.
    pub fn merges(&self) -> bool {
        let keys = self.entries.len() as u64;
        self.row_events.saturating_mul(15) >= keys.saturating_mul(16)
    }

    /// Whether most keys are those of rows that are there, so that the target has less to do for a
    /// longer round: more of them lie on each page that is read.
    pub fn changes_rows(&self) -> bool {
        self.old_keys.saturating_mul(2) > self.entries.len() as u64
    }

    /// Adds a table; its number is for the calls below.
    pub fn add_table(&mut self, layout: Arc<Layout>) -> usize {
        self.tables.push(TableChanges {
            layout,
            counts: Counts::default(),
            truncated: false,
            order: 0..0,
        });
        self.tables.len() - 1
    }

    /// The tables, by number.
    pub fn tables(&self) -> &[TableChanges] {
        &self.tables
    }

    /// A table by number.
    pub fn table_mut(&mut self, table: usize) -> Option<&mut TableChanges> {
        self.tables.get_mut(table)
    }

    /// Merges an insert or an update.
    ///
    /// # Errors
    /// When the state of the key does not allow it.
    pub fn upsert(
        &mut self,
        table: usize,
        key: &[u8],
        row: &[u8],
        first: First,
    ) -> Result<(), Conflict> {
        let table = u32::try_from(table).map_err(|_| Conflict::TooMany)?;
        let hash = self.hash(table, key);
        let Some(number) = self.find(hash, table, key) else {
            let number = self.insert_entry(
                hash,
                table,
                State::Delete {
                    room: Room::default(),
                },
                key,
            )?;
            self.old_keys += u64::from(first == First::Other);
            return self.put_row(number, first, row);
        };
        let strict = self.is_strict();
        let first = match (self.entry(number).state, first) {
            (State::Upsert { .. }, First::Insert) if strict => {
                return Err(Conflict::InsertOnInsert);
            }
            (State::Delete { .. }, First::Other) if strict => {
                return Err(Conflict::ChangeOfDeleted);
            }
            // The key comes back after a delete; the target may hold the row of before it.
            (State::Delete { .. }, _) => First::Other,
            (State::Upsert { first, .. }, _) => first,
            (State::Rows { .. }, _) => return Err(Conflict::TooMany),
        };
        self.entry_mut(number).event_seq = self.event_seq;
        self.put_row(number, first, row)
    }

    /// Merges a delete.
    ///
    /// # Errors
    /// When the state of the key does not allow it.
    pub fn delete(&mut self, table: usize, key: &[u8]) -> Result<(), Conflict> {
        let table = u32::try_from(table).map_err(|_| Conflict::TooMany)?;
        let hash = self.hash(table, key);
        let Some(number) = self.find(hash, table, key) else {
            let room = Room::default();
            self.insert_entry(hash, table, State::Delete { room }, key)?;
            self.old_keys += 1;
            return Ok(());
        };
        let strict = self.is_strict();
        let room = match self.entry(number).state {
            State::Upsert { room, len, .. } => {
                self.live_bytes -= widen(len);
                room
            }
            State::Delete { .. } if strict => return Err(Conflict::ChangeOfDeleted),
            State::Delete { room } => room,
            State::Rows { .. } => return Err(Conflict::TooMany),
        };
        let event_seq = self.event_seq;
        let entry = self.entry_mut(number);
        entry.state = State::Delete { room };
        entry.event_seq = event_seq;
        Ok(())
    }

    /// Adds one of possibly equal rows of a keyless table.
    ///
    /// # Errors
    /// When there are too many.
    pub fn add_row(&mut self, table: usize, row: &[u8]) -> Result<(), Conflict> {
        self.count_row(table, row, |inserts, deletes| {
            Some((inserts.checked_add(1)?, deletes))
        })
    }

    /// Removes one of possibly equal rows of a keyless table: one that the round has added,
    /// else one of the target's.
    ///
    /// # Errors
    /// When there are too many.
    pub fn remove_row(&mut self, table: usize, row: &[u8]) -> Result<(), Conflict> {
        self.count_row(table, row, |inserts, deletes| {
            match inserts.checked_sub(1) {
                Some(inserts) => Some((inserts, deletes)),
                None => Some((0, deletes.checked_add(1)?)),
            }
        })
    }

    fn count_row(
        &mut self,
        table: usize,
        row: &[u8],
        change: impl FnOnce(u32, u32) -> Option<(u32, u32)>,
    ) -> Result<(), Conflict> {
        let table = u32::try_from(table).map_err(|_| Conflict::TooMany)?;
        let hash = self.hash(table, row);
        let found = self.find(hash, table, row);
        let before = match found.map(|number| self.entry(number).state) {
            Some(State::Rows { inserts, deletes }) => (inserts, deletes),
            Some(State::Upsert { .. } | State::Delete { .. }) | None => (0, 0),
        };
        let (inserts, deletes) = change(before.0, before.1).ok_or(Conflict::TooMany)?;
        let state = State::Rows { inserts, deletes };
        let event_seq = self.event_seq;
        match found {
            Some(number) => {
                let entry = self.entry_mut(number);
                entry.state = state;
                // Events that add rows name them; each adds one.
                if inserts > before.0 {
                    entry.event_seq = event_seq;
                }
                Ok(())
            }
            // The row is its own key.
            None => self.insert_entry(hash, table, state, row).map(|_| ()),
        }
    }

    /// Groups the changes by table, in key order; rows of keyless tables stay in source order.
    pub fn seal(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend((0..).zip(&self.entries).map(|(number, entry)| {
            let prefix = self
                .layout(entry.table)
                .map_or(0, |layout| layout.key_prefix(self.key(entry)));
            (entry.table, prefix, number)
        }));
        let compare = |a: &(u32, u64, u32), b: &(u32, u64, u32)| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| {
                match self.layout(a.0) {
                    Some(layout) => {
                        let key = |number| self.key(self.entry(number));
                        layout.compare_keys(key(a.2), key(b.2))
                    }
                    None => std::cmp::Ordering::Equal,
                }
                .then(a.2.cmp(&b.2))
            })
        };
        if !order.is_sorted_by(|a, b| compare(a, b).is_le()) {
            order.sort_unstable_by(compare);
        }
        let mut start = 0;
        for (number, table) in (0_u32..).zip(&mut self.tables) {
            let rest = order.get(start..).unwrap_or_default();
            let count = rest.partition_point(|item| item.0 <= number);
            table.order = start..start + count;
            start += count;
        }
        self.order = order;
    }

    /// A table's net changes, once sealed.
    pub fn changes<'a>(&'a self, table: &TableChanges) -> impl Iterator<Item = Net<'a>> {
        self.changes_with_events(table).map(|(net, _)| net)
    }

    /// A table's net changes, once sealed, each with the event that brought its row: the last
    /// one on the key, or the last one that added an equal row.
    pub fn changes_with_events<'a>(
        &'a self,
        table: &TableChanges,
    ) -> impl Iterator<Item = (Net<'a>, u64)> {
        self.order
            .get(table.order.clone())
            .unwrap_or_default()
            .iter()
            .map(|&(_, _, number)| {
                let entry = self.entry(number);
                let key = self.key(entry);
                let net = match entry.state {
                    State::Upsert { first, .. } => Net::Upsert {
                        key,
                        row: self.bytes(entry.state.row()),
                        first,
                    },
                    State::Delete { .. } => Net::Delete { key },
                    State::Rows { inserts, deletes } => Net::Rows {
                        row: key,
                        inserts,
                        deletes,
                    },
                };
                (net, entry.event_seq)
            })
    }

    /// Whether the stream must make sense on its own.
    fn is_strict(&self) -> bool {
        self.overlap == Overlap::Exact && self.contradictions == Contradictions::Stop
    }

    fn layout(&self, table: u32) -> Option<&Layout> {
        self.tables
            .get(usize::try_from(table).ok()?)
            .map(|table| &*table.layout)
            .filter(|layout| !layout.is_keyless())
    }

    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits of it do")]
    fn hash(&self, table: u32, key: &[u8]) -> u32 {
        self.hasher.hash_one((table, key)) as u32
    }

    fn find(&self, hash: u32, table: u32, key: &[u8]) -> Option<u32> {
        let short = Key::short(key);
        self.index
            .find(spread(hash), |&number| {
                let entry = self.entry(number);
                entry.hash == hash
                    && entry.table == table
                    && match short {
                        Some(short) => entry.key == short,
                        None => self.key(entry) == key,
                    }
            })
            .copied()
    }

    fn insert_entry(
        &mut self,
        hash: u32,
        table: u32,
        state: State,
        key: &[u8],
    ) -> Result<u32, Conflict> {
        let number = u32::try_from(self.entries.len()).map_err(|_| Conflict::TooMany)?;
        let key = match Key::short(key) {
            Some(key) => key,
            None => {
                self.live_bytes += key.len();
                Key::Long(self.push(key)?)
            }
        };
        self.entries.push(Entry {
            hash,
            table,
            state,
            key,
            event_seq: self.event_seq,
        });
        let entries = &self.entries;
        self.index.insert_unique(spread(hash), number, |&number| {
            let entry = entries.get(widen(number));
            entry.map_or(0, |entry| spread(entry.hash))
        });
        Ok(number)
    }

    fn put_row(&mut self, number: u32, first: First, row: &[u8]) -> Result<(), Conflict> {
        let len = u32::try_from(row.len()).map_err(|_| Conflict::TooMany)?;
        let (room, old_len) = match self.entry(number).state {
            State::Upsert { room, len, .. } => (room, len),
            State::Delete { room } => (room, 0),
            State::Rows { .. } => return Err(Conflict::TooMany),
        };
        let room = if len <= room.capacity {
            let at = widen(room.at);
            if let Some(place) = self.arena.get_mut(at..at + row.len()) {
                place.copy_from_slice(row);
            }
            room
        } else {
            let slice = self.push(row)?;
            // Room to grow: a row that grew once often does again.
            let more = if room.capacity == 0 { 0 } else { len / 8 };
            self.arena.resize(self.arena.len() + widen(more), 0);
            Room {
                at: slice.at,
                capacity: len.checked_add(more).ok_or(Conflict::TooMany)?,
            }
        };
        self.entry_mut(number).state = State::Upsert { first, room, len };
        self.live_bytes = self.live_bytes - widen(old_len) + row.len();
        if self.arena.len() > 2 * self.live_bytes + ARENA_SLACK_BYTES {
            self.rebuild_arena();
        }
        Ok(())
    }

    /// Leaves the outgrown rows behind.
    fn rebuild_arena(&mut self) {
        let mut arena: Vec<u8> = Vec::with_capacity(self.live_bytes);
        let mut copy = |slice: Slice| {
            // The old arena is no smaller, and its places have 32 bits.
            let at = u32::try_from(arena.len()).unwrap_or(u32::MAX);
            let from = widen(slice.at);
            let bytes = self.arena.get(from..from + widen(slice.len));
            arena.extend_from_slice(bytes.unwrap_or_default());
            Slice { at, len: slice.len }
        };
        for entry in &mut self.entries {
            if let Key::Long(key) = &mut entry.key {
                *key = copy(*key);
            }
            let Slice { at, len } = copy(entry.state.row());
            let place = Room { at, capacity: len };
            match &mut entry.state {
                State::Upsert { room, .. } | State::Delete { room } => *room = place,
                State::Rows { .. } => {}
            }
        }
        self.arena = arena;
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Slice, Conflict> {
        let at = u32::try_from(self.arena.len()).map_err(|_| Conflict::TooMany)?;
        let len = u32::try_from(bytes.len()).map_err(|_| Conflict::TooMany)?;
        self.arena.extend_from_slice(bytes);
        Ok(Slice { at, len })
    }

    fn key<'a>(&'a self, entry: &'a Entry) -> &'a [u8] {
        match &entry.key {
            Key::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Key::Long(key) => self.bytes(*key),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "slices of the arena are made by push only"
    )]
    fn bytes(&self, slice: Slice) -> &[u8] {
        &self.arena[widen(slice.at)..widen(slice.at) + widen(slice.len)]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "entry numbers are made by insert_entry only"
    )]
    fn entry(&self, number: u32) -> &Entry {
        &self.entries[widen(number)]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "entry numbers are made by insert_entry only"
    )]
    fn entry_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[widen(number)]
    }
}

/// All 64 bits of a hash of which 32 are kept: the index looks at the uppermost and the lowest.
fn spread(hash: u32) -> u64 {
    // 2^64 divided by the golden ratio (Fibonacci hashing; Knuth, volume 3, 6.4).
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A place in memory.
fn widen(number: u32) -> usize {
    number as usize
}

/// Outgrown rows that are left in the arena at least before it is rebuilt.
const ARENA_SLACK_BYTES: usize = 1 << 20;
