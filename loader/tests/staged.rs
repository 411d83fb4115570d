//! Writes staging as the miner would.

use std::io::Write as _;

use common::staging::codec::{self, CommitLine, Passed, RowMark};
use common::staging::{CHUNKS_PER_SEGMENT, NOTIFY_CHANNEL, migrate, segment_table};
use common::table::{
    Column, ColumnType, DefinitionId, IntegerWidth, Key, Sign, TableDefinition, TableName,
};
use postgres::Client;
use postgres::error::SqlState;

/// Database of the source.
pub(crate) const DATABASE: &str = "shop";
/// The only binlog file.
pub(crate) const FILE: &str = "mysql-bin.000001";

/// The first timeline; the same in each incarnation, as a miner takes it from the checkpoint.
pub(crate) const TIMELINE: &str = "00000000-0000-4000-8000-000000000001";

/// A staging database and the miner's counters.
pub(crate) struct Staged {
    pub(crate) client: Client,
    pub(crate) offset: u64,
    file: String,
    /// Written on every commit line.
    pub(crate) passed: String,
    transaction_seq: u64,
    event_seq: u64,
    segment: i64,
    chunk: i64,
    definitions: u32,
}

/// A source transaction that is being written.
#[derive(Default)]
pub(crate) struct Lines {
    text: Vec<Vec<u8>>,
}

impl Lines {
    pub(crate) fn insert(&mut self, table: DefinitionId, row: &str) -> &mut Self {
        self.row(RowMark::Insert, table, &[row])
    }
    pub(crate) fn update(&mut self, table: DefinitionId, row: &str) -> &mut Self {
        self.row(RowMark::Update, table, &[row])
    }
    pub(crate) fn update_key(
        &mut self,
        table: DefinitionId,
        row: &str,
        old_key: &str,
    ) -> &mut Self {
        self.row(RowMark::UpdateKey, table, &[row, old_key])
    }
    pub(crate) fn delete(&mut self, table: DefinitionId, key: &str) -> &mut Self {
        self.row(RowMark::Delete, table, &[key])
    }
    pub(crate) fn update_full(
        &mut self,
        table: DefinitionId,
        after: &str,
        before: &str,
    ) -> &mut Self {
        self.row(RowMark::UpdateFull, table, &[after, before])
    }
    pub(crate) fn delete_full(&mut self, table: DefinitionId, before: &str) -> &mut Self {
        self.row(RowMark::DeleteFull, table, &[before])
    }
    pub(crate) fn truncate(&mut self, table: DefinitionId) -> &mut Self {
        let mut line = Vec::new();
        codec::write_truncate(&mut line, table);
        self.text.push(line);
        self
    }
    pub(crate) fn statement(&mut self, table: &str, statement: &str) -> &mut Self {
        let mut line = Vec::new();
        codec::write_statement(&mut line, DATABASE, table, statement, None);
        self.text.push(line);
        self
    }

    fn row(&mut self, mark: RowMark, table: DefinitionId, groups: &[&str]) -> &mut Self {
        let mut line = Vec::new();
        codec::begin_row(&mut line, mark, table);
        for group in groups {
            line.push(b'\t');
            line.extend_from_slice(group.as_bytes());
        }
        line.push(b'\n');
        self.text.push(line);
        self
    }
}

impl Staged {
    /// A fresh staging database, mined from the start of the first file.
    pub(crate) fn new(mut client: Client, task: &str) -> Self {
        begin(&mut client, task);
        Self {
            client,
            offset: 4,
            file: FILE.into(),
            passed: String::new(),
            transaction_seq: 0,
            event_seq: 0,
            segment: 0,
            chunk: 0,
            definitions: 0,
        }
    }

    /// A new incarnation of the same staging database, mined from the start again.
    pub(crate) fn renew(&mut self) {
        let task: String = self
            .client
            .query_one("select name from mysql2gp.task", &[])
            .unwrap()
            .get(0);
        // A loader that reads at the same time may deadlock with it.
        while let Err(error) = self.client.batch_execute("drop schema mysql2gp cascade") {
            assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED));
        }
        begin(&mut self.client, &task);
        self.offset = 4;
        self.file = FILE.into();
        self.transaction_seq = 0;
        self.event_seq = 0;
        self.segment = 0;
        self.chunk = 0;
        self.definitions = 0;
    }

    /// A table; `columns` are names with types, `key` the names of the key columns.
    pub(crate) fn define(
        &mut self,
        name: &str,
        columns: &[(&str, ColumnType)],
        key: &[&str],
    ) -> DefinitionId {
        self.definitions += 1;
        let key: Vec<usize> = key
            .iter()
            .map(|name| columns.iter().position(|column| column.0 == *name).unwrap())
            .collect();
        let definition = TableDefinition {
            name: TableName::new(DATABASE, name),
            columns: columns
                .iter()
                .enumerate()
                .map(|(number, (name, column_type))| Column {
                    name: (*name).into(),
                    column_type: column_type.clone(),
                    nullable: !key.contains(&number),
                    generated: false,
                    unlogged: false,
                })
                .collect(),
            key: if key.is_empty() {
                Key::None
            } else {
                Key::Primary(key.clone())
            },
        };
        let key_names: Vec<&str> = key.iter().map(|&number| columns[number].0).collect();
        self.client
            .execute(
                "insert into mysql2gp.definition (definition_id, database_name, table_name, valid_from, definition) \
                 values ($1, $2, $3, $4, $5::text::jsonb)",
                &[
                    &i32::try_from(self.definitions).unwrap(),
                    &DATABASE,
                    &name,
                    &self.position(),
                    &serde_json::to_string(&definition).unwrap(),
                ],
            )
            .unwrap();
        self.client
            .execute(
                "insert into mysql2gp.replicated_table values ($1, $2, $3, $4::text::jsonb) \
                 on conflict (database_name, table_name) do update \
                    set key_columns = excluded.key_columns, definition = excluded.definition",
                &[
                    &DATABASE,
                    &name,
                    &key_names,
                    &serde_json::to_string(&definition).unwrap(),
                ],
            )
            .unwrap();
        DefinitionId(self.definitions)
    }

    /// Stages one source transaction in a staging transaction of its own; its end position.
    pub(crate) fn transaction(&mut self, write: impl FnOnce(&mut Lines)) -> String {
        let mut lines = Lines::default();
        write(&mut lines);
        self.commit(vec![lines])
    }

    /// Stages several source transactions in one staging transaction; the last end position.
    pub(crate) fn commit(&mut self, transactions: Vec<Lines>) -> String {
        if self.segment == 0 {
            self.next_segment();
        }
        let mut chunks = Chunks::new(self.transaction_seq + 1, self.event_seq + 1);
        for lines in transactions {
            let events = lines.text.len() as u64;
            for line in &lines.text {
                chunks.line(line, self.transaction_seq + 1, self.event_seq + 1);
                self.event_seq += 1;
            }
            self.offset += 100;
            self.transaction_seq += 1;
            let now_us = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_micros();
            let mut line = Vec::new();
            CommitLine {
                transaction_seq: self.transaction_seq,
                file: &self.file,
                offset: self.offset,
                gtid: "",
                committed_at_us: i64::try_from(now_us).unwrap(),
                event_count: events,
                passed: Passed::parse(&self.passed),
            }
            .write(&mut line);
            chunks.commit_line(&line, self.transaction_seq, self.event_seq + 1);
        }
        self.write(chunks.finish());
        self.position()
    }

    /// End of what is staged.
    pub(crate) fn position(&self) -> String {
        format!("{}:{}", self.file, self.offset)
    }

    /// What a miner does that goes on at another server: a new timeline from `start` on.
    pub(crate) fn switch_server(&mut self, timeline: &str, log_id: &str, start: (&str, u64)) {
        let left = self.position();
        (self.file, self.offset) = (start.0.into(), start.1);
        let end = format!("{}:{}", start.0, start.1 + 10_000);
        self.client
            .batch_execute(&format!(
                "begin; \
                 insert into mysql2gp.timeline (timeline_no, timeline_id, log_id, start_file, start_pos, source_end, \
                        start_gtid_set, previous_id, previous_end) \
                 select (select max(timeline_no) + 1 from mysql2gp.timeline), '{timeline}', '{log_id}', '{}', {}, \
                        '{end}', staged_gtid_set, timeline_id, '{left}' from mysql2gp.miner; \
                 update mysql2gp.miner set timeline_id = '{timeline}', log_id = '{log_id}', staged_file = '{}', \
                        staged_pos = {}; \
                 commit",
                start.0, start.1, start.0, start.1
            ))
            .unwrap();
        self.next_segment();
    }

    /// Moves the position without a row, as filtered traffic does.
    pub(crate) fn pass_over(&mut self, bytes: u64) -> String {
        self.offset += bytes;
        self.write(Vec::new());
        self.position()
    }

    /// What a miner does that starts again: it stages its position with the number before the
    /// next segment's first chunk, and begins the segment with that chunk.
    pub(crate) fn restart_miner(&mut self) {
        self.client
            .execute(
                "update mysql2gp.miner set chunk_seq = $1, staged_pos = $2",
                &[
                    &((self.segment + 1) * CHUNKS_PER_SEGMENT - 1),
                    &i64::try_from(self.offset).unwrap(),
                ],
            )
            .unwrap();
    }

    /// Begins a new segment.
    pub(crate) fn next_segment(&mut self) {
        self.segment += 1;
        self.chunk = self.segment * CHUNKS_PER_SEGMENT;
        self.client
            .batch_execute(&format!(
                "create table {} partition of mysql2gp.chunk for values from ({}) to ({}); \
                 insert into mysql2gp.segment (segment_no, timeline_id, first_transaction_seq, first_position) \
                 select {}, timeline_id, {}, '{}' from mysql2gp.miner",
                segment_table(self.segment),
                self.segment * CHUNKS_PER_SEGMENT,
                (self.segment + 1) * CHUNKS_PER_SEGMENT,
                self.segment,
                self.transaction_seq + 1,
                self.position()
            ))
            .unwrap();
    }

    fn write(&mut self, chunks: Vec<Chunk>) {
        let mut transaction = self.client.transaction().unwrap();
        for chunk in chunks {
            let text = String::from_utf8(chunk.text).unwrap();
            let (payload, big) = if text.len() > 8000 {
                (None, Some(text))
            } else {
                (Some(text), None)
            };
            transaction
                .execute(
                    &format!(
                        "insert into {} values ($1, $2, $3, $4, $5, $6)",
                        segment_table(self.segment)
                    ),
                    &[
                        &self.chunk,
                        &i64::try_from(chunk.transaction_seq).unwrap(),
                        &i64::try_from(chunk.event_seq).unwrap(),
                        &chunk.commits,
                        &payload,
                        &big,
                    ],
                )
                .unwrap();
            self.chunk += 1;
        }
        transaction
            .execute(
                "update mysql2gp.miner set staged_pos = $1, staged_at = now(), staged_commit_time = now(), \
                        transaction_seq = $2, event_seq = $3, chunk_seq = $4",
                &[
                    &i64::try_from(self.offset).unwrap(),
                    &i64::try_from(self.transaction_seq).unwrap(),
                    &i64::try_from(self.event_seq).unwrap(),
                    &(self.chunk - 1).max(0),
                ],
            )
            .unwrap();
        transaction
            .batch_execute(&format!("notify {NOTIFY_CHANNEL}"))
            .unwrap();
        transaction.commit().unwrap();
    }
}

struct Chunk {
    transaction_seq: u64,
    event_seq: u64,
    commits: i32,
    text: Vec<u8>,
}

struct Chunks {
    done: Vec<Chunk>,
    open: Chunk,
}

impl Chunks {
    fn new(transaction_seq: u64, event_seq: u64) -> Self {
        Self {
            done: Vec::new(),
            open: Chunk {
                transaction_seq,
                event_seq,
                commits: 0,
                text: Vec::new(),
            },
        }
    }

    fn line(&mut self, line: &[u8], transaction_seq: u64, event_seq: u64) {
        if self.open.text.len() + line.len() > 8000 && !self.open.text.is_empty() {
            self.cut(transaction_seq, event_seq);
        }
        self.open.text.write_all(line).unwrap();
    }

    fn commit_line(&mut self, line: &[u8], transaction_seq: u64, next_event_seq: u64) {
        self.line(line, transaction_seq, next_event_seq);
        self.open.commits += 1;
        if self.open.text.len() > 7000 {
            self.cut(transaction_seq + 1, next_event_seq);
        }
    }

    fn cut(&mut self, transaction_seq: u64, event_seq: u64) {
        let next = Chunk {
            transaction_seq,
            event_seq,
            commits: 0,
            text: Vec::new(),
        };
        self.done.push(std::mem::replace(&mut self.open, next));
    }

    fn finish(mut self) -> Vec<Chunk> {
        if !self.open.text.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }
}

pub(crate) fn int() -> ColumnType {
    ColumnType::Integer {
        width: IntegerWidth::Int,
        sign: Sign::Signed,
    }
}

pub(crate) fn varchar(max_chars: u32) -> ColumnType {
    ColumnType::Varchar {
        max_chars,
        charset: "utf8mb4".into(),
    }
}

/// The schema, and a miner's row at the start of the first file.
fn begin(client: &mut Client, task: &str) {
    migrate::migrate(client, task).unwrap();
    client
            .batch_execute(&format!(
                "update mysql2gp.task set start_position = '{FILE}:4'; \
                 insert into mysql2gp.timeline (timeline_no, timeline_id, log_id, start_file, start_pos, source_end) \
                 values (1, '{TIMELINE}', 'log-1', '{FILE}', 4, '{FILE}:4'); \
                 update mysql2gp.miner set state = 'running', source = 'test', log_id = 'log-1', \
                        timeline_id = '{TIMELINE}', \
                        staged_file = '{FILE}', staged_pos = 4, staged_at = now(), caught_up = true, \
                        staged_commit_time = now()"
            ))
            .unwrap();
}
