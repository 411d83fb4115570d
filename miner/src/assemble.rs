//! From events to source transactions: decides what each event means for the transaction
//! that is open, and collects its rows as staged lines.
//!
//! A transaction is committed by XID, by a COMMIT statement, or is a single statement.
//! ROLLBACK and ROLLBACK TO remove rows: servers log both where tables without transactions
//! are involved, and MariaDB always. What cannot be carried stops with position, table and
//! remedy; nothing is passed over but what is known to change no replicated row.
//!
//! It does no I/O but to ask for definitions, and does not know how lines reach staging.

use common::gtid::{Gtid, GtidSet};
use common::position::BinlogPosition;
use common::staging::codec::RowMark;
use common::table::TableName;

use crate::decode::{
    ARTIFICIAL_FLAG, AlterPhase, Event, EventHeader, EventParser, LoadData, MariaDbForm,
    QueryEvent, RowImage, RowOperation, RowsEvent, TransactionPayload, XaPhase, event_name,
};
use crate::error::{MinerError, Place};
use crate::filter::{BeforeImage, Replicated, Tables};
use crate::gtids::{GtidTrack, Known, Outcome};
use crate::parked::{PARKED_BYTES_MAX, Parked, ParkedChanges, ParkedLines};
use crate::stage::Sequences;
use crate::statement::{self, Backslash, Statement};
use crate::transaction::{OpenTransaction, RolledBack};

/// What an event did.
#[derive(Debug)]
pub enum Step<'a> {
    /// The event holds the events of a transaction, which come next.
    Payload(TransactionPayload<'a>),
    /// Nothing that the position may follow yet: a transaction is open.
    Open,
    /// A transaction with staged lines is complete.
    Committed(Commit),
    /// Everything up to here is done and nothing was staged for it.
    Passed(Option<Commit>),
    /// The open transaction, of which a part is packed, was rolled back as a whole.
    Abandoned,
    /// The open transaction was rolled back to where the packed numbers stood so.
    Rewound(Sequences),
    /// The source has nothing more at the moment.
    Idle,
}

/// The end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its GTID, as text; empty when it has none.
    pub gtid: String,
    /// Commit time in microseconds since 1970.
    pub committed_at_us: i64,
}

/// What is known about the transaction that is being read.
#[derive(Default)]
struct Head {
    gtid: Option<Gtid>,
    commit_us: Option<i64>,
    /// Whether any event of it has come.
    begun: bool,
    /// Whether it is staged already.
    known: Known,
    ending: Ending,
}

/// How a transaction will end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    /// With its first statement.
    #[default]
    Statement,
    /// With COMMIT or XID.
    Commit,
    /// With XA PREPARE, which puts it aside: its lines stay together until then.
    Prepare,
    /// With its first statement, which changes nothing: the announcement of an ALTER TABLE
    /// that another one will complete, or the end of one that failed.
    Announcement,
}

/// Assembles transactions.
pub struct Assembler {
    parser: EventParser,
    tables: Tables,
    open: OpenTransaction,
    head: Head,
    gtids: GtidTrack,
    file_created: Option<u32>,
    parked: Parked,
    before: RowImage,
    after: RowImage,
    nul_substitutions: u64,
}

impl Assembler {
    /// Starts between two transactions, `gtids` being what is staged so far.
    pub fn new(tables: Tables, gtids: GtidTrack, parked: Parked) -> Self {
        Self {
            parser: EventParser::new(),
            tables,
            open: OpenTransaction::default(),
            head: Head::default(),
            gtids,
            file_created: None,
            parked,
            before: RowImage::new(),
            after: RowImage::new(),
            nul_substitutions: 0,
        }
    }

    /// The open transaction's lines.
    pub fn open(&mut self) -> &mut OpenTransaction {
        &mut self.open
    }

    /// The tables.
    pub fn tables(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// Prepared transactions that staging must be told of.
    pub fn take_parked_changes(&mut self) -> ParkedChanges {
        self.parked.take_changes()
    }

    /// Whether the open transaction's lines must stay together.
    pub fn keeps_together(&self) -> bool {
        self.head.ending == Ending::Prepare && self.open.pending_bytes() < PARKED_BYTES_MAX
    }

    /// GTIDs up to the last complete transaction, when known.
    pub fn gtid_set(&self) -> Option<&GtidSet> {
        self.gtids.staged()
    }

    /// What a commit line tells of the GTIDs before it, see the staged text's `C` line.
    pub fn take_passed_gtids(&mut self) -> String {
        self.gtids.take_passed()
    }

    /// Creation time of the file that is being read, seconds since 1970.
    pub fn file_created(&self) -> Option<u32> {
        self.file_created
    }

    /// How many 0x00 the policy has taken out or replaced since the last call.
    pub fn take_nul_substitutions(&mut self) -> u64 {
        std::mem::take(&mut self.nul_substitutions)
    }

    /// Takes an event that ends at `end`.
    ///
    /// # Errors
    /// When the event cannot be carried.
    pub fn handle<'a>(
        &mut self,
        header: &EventHeader,
        body: &'a [u8],
        end: &BinlogPosition,
    ) -> Result<Step<'a>, MinerError> {
        let event = self
            .parser
            .parse(header, body)
            .map_err(|source| MinerError::Decode {
                place: Place::new(end, None),
                source,
            })?;
        if self.head.known == Known::Staged
            && let Some(step) = self.pass_over(&event)
        {
            return Ok(step);
        }
        match event {
            Event::FormatDescription(format) => {
                self.file_created = Some(format.timestamp);
                Ok(self.between())
            }
            Event::Rotate { .. } | Event::Stop => {
                // The next file says when it was made.
                self.file_created = None;
                self.tables.forget_maps();
                Ok(self.between())
            }
            Event::Heartbeat { .. } => Ok(if self.head.begun {
                Step::Open
            } else {
                Step::Idle
            }),
            Event::PreviousGtids(set) | Event::MariaDbGtidList(set) => {
                // MariaDB's dump makes up lists of what it leaves out.
                if header.log_pos != 0 && header.flags & ARTIFICIAL_FLAG == 0 {
                    self.gtids.begin_file(set);
                }
                Ok(self.between())
            }
            Event::Gtid(event) => {
                let commit_micros = event.commit.immediate_commit_micros;
                self.begin(Some(event.gtid), commit_micros, end)?;
                Ok(Step::Open)
            }
            Event::AnonymousGtid(commit) => {
                self.begin(None, commit.immediate_commit_micros, end)?;
                Ok(Step::Open)
            }
            Event::MariaDbGtid(event) => {
                let ending = match (&event.alter_phase, &event.form) {
                    (Some(AlterPhase::Start | AlterPhase::Rollback { .. }), _) => {
                        Ending::Announcement
                    }
                    (_, MariaDbForm::Standalone | MariaDbForm::XaCompleted(_)) => Ending::Statement,
                    (_, MariaDbForm::Transaction) => Ending::Commit,
                    (_, MariaDbForm::XaPrepared(_)) => Ending::Prepare,
                };
                self.begin(Some(Gtid::MariaDb(event.gtid)), None, end)?;
                self.head.ending = ending;
                Ok(Step::Open)
            }
            Event::Query(query) => self.query(header, &query, end),
            Event::Xid(_) => Ok(self.commit(header)),
            Event::XaPrepare(prepare) => match prepare.phase {
                XaPhase::OnePhaseCommit => Ok(self.commit(header)),
                XaPhase::Prepared => self.park(&prepare.xid.to_sql(), header, end),
            },
            Event::TableMap(map) => {
                self.head.begun = true;
                self.tables.map(map, end)?;
                Ok(Step::Open)
            }
            Event::Rows(rows) => self.rows(&rows, end),
            Event::PartialUpdateRows { table_id } => match self.tables.get(table_id) {
                Some(None) => Ok(Step::Open),
                Some(Some(table)) => Err(refused(
                    end,
                    Some(&table.definition.name),
                    "the event holds partial JSON updates",
                    "set global binlog_row_value_options = '' at the source, load the table anew and start behind this \
                     position",
                )),
                None => Err(no_table_map(end)),
            },
            Event::TransactionPayload(payload) => Ok(Step::Payload(payload)),
            Event::Incident { .. } => Err(refused(
                end,
                None,
                "the source logged an incident: it may have lost changes",
                "load the tables anew and start behind this position",
            )),
            // The last of its events has the statement.
            Event::LoadData(LoadData::Execute(query)) => self.query(header, &query, end),
            Event::StartEncryption
            | Event::BinlogCheckpoint { .. }
            | Event::GroupReplication { .. }
            | Event::RowsQuery(_)
            | Event::Annotate(_)
            | Event::Intvar { .. }
            | Event::Rand { .. }
            | Event::UserVar { .. }
            | Event::LoadData(_)
            | Event::Ignorable { .. } => Ok(self.between()),
            Event::Unknown { event_type } => Err(refused(
                end,
                None,
                &format!(
                    "unknown event type {event_type} ({})",
                    event_name(event_type)
                ),
                "this server writes events that this version does not know: upgrade this program",
            )),
        }
    }

    /// For events that may stand between transactions or inside of one.
    fn between(&self) -> Step<'static> {
        if self.head.begun {
            Step::Open
        } else {
            Step::Passed(None)
        }
    }

    fn begin(
        &mut self,
        gtid: Option<Gtid>,
        commit_micros: Option<u64>,
        end: &BinlogPosition,
    ) -> Result<(), MinerError> {
        let known = match &gtid {
            Some(gtid) => self.gtids.begin(gtid).map_err(|gap| {
                refused(
                    end,
                    None,
                    &format!("the log does not continue what is staged: {gap}"),
                    "load the tables anew, run binlog_loader reset and start with an empty staging database",
                )
            })?,
            None => Known::New,
        };
        self.head = Head {
            gtid,
            commit_us: commit_micros.and_then(|micros| i64::try_from(micros).ok()),
            begun: true,
            known,
            ..Head::default()
        };
        Ok(())
    }

    /// Takes note of statements that open a transaction of several events.
    fn note_ending(&mut self, statement: &Statement, text: &str) {
        let creates_with_rows =
            matches!(statement, Statement::CreateTable(_)) && ends_with_start_transaction(text);
        if *statement == Statement::Begin || creates_with_rows {
            self.head.begun = true;
            self.head.ending = Ending::Commit;
        } else if *statement == Statement::XaStart {
            self.head.begun = true;
            self.head.ending = Ending::Prepare;
        }
    }

    /// Passes over an event of a transaction that is staged already; `None` when the event
    /// is not the transaction's.
    fn pass_over(&mut self, event: &Event<'_>) -> Option<Step<'static>> {
        let ended = if let Event::Query(query) = event {
            let text = String::from_utf8_lossy(&query.statement);
            let backslash = Backslash::of_sql_mode(query.status.sql_mode);
            let statement = statement::classify(&text, "", backslash);
            self.note_ending(&statement, &text);
            matches!(self.head.ending, Ending::Statement | Ending::Announcement)
                || matches!(statement, Statement::Commit | Statement::Rollback)
        } else if matches!(event, Event::Xid(_) | Event::XaPrepare(_)) {
            true
        } else if matches!(
            event,
            Event::TableMap(_)
                | Event::Rows(_)
                | Event::PartialUpdateRows { .. }
                | Event::LoadData(_)
        ) {
            false
        } else {
            return None;
        };
        if !ended {
            return Some(Step::Open);
        }
        self.head = Head::default();
        Some(Step::Passed(None))
    }

    /// Ends the transaction: its lines, if any, are complete.
    fn commit(&mut self, header: &EventHeader) -> Step<'static> {
        let head = std::mem::take(&mut self.head);
        let outcome = if self.open.event_count() == 0 {
            Outcome::LeftOut
        } else {
            Outcome::Lines
        };
        self.gtids.commit(head.gtid.as_ref(), outcome);
        let commit = Commit {
            gtid: head.gtid.map(|gtid| gtid.to_string()).unwrap_or_default(),
            committed_at_us: head
                .commit_us
                .unwrap_or_else(|| i64::from(header.timestamp) * 1_000_000),
        };
        match outcome {
            Outcome::LeftOut => Step::Passed(Some(commit)),
            Outcome::Lines => Step::Committed(commit),
        }
    }

    fn query(
        &mut self,
        header: &EventHeader,
        query: &QueryEvent<'_>,
        end: &BinlogPosition,
    ) -> Result<Step<'static>, MinerError> {
        if self.head.ending == Ending::Announcement {
            return Ok(self.commit(header));
        }
        let text = String::from_utf8_lossy(&query.statement);
        let database = String::from_utf8_lossy(query.database);
        let backslash = Backslash::of_sql_mode(query.status.sql_mode);
        let statement = statement::classify(&text, &database, backslash);
        self.note_ending(&statement, &text);
        match statement {
            Statement::Begin | Statement::XaStart => Ok(Step::Open),
            Statement::Commit => Ok(self.commit(header)),
            Statement::Rollback => Ok(self.roll_back(header)),
            Statement::Savepoint(name) => {
                self.open.savepoint(name);
                Ok(Step::Open)
            }
            Statement::RollbackTo(name) => match self.open.rollback_to(&name) {
                RolledBack::Here => Ok(Step::Open),
                RolledBack::Packed(sequences) => Ok(Step::Rewound(sequences)),
                RolledBack::Unknown => Err(refused(
                    end,
                    None,
                    "ROLLBACK TO names a savepoint that the log did not set in this transaction",
                    "load the tables anew and start behind this position",
                )),
            },
            Statement::XaCommit(id) => {
                let lines = self.unpark(&id, end)?;
                self.open.push_lines(&lines.text);
                Ok(self.commit(header))
            }
            Statement::XaRollback(id) => {
                // One that was prepared before mining began changes nothing either.
                self.parked.take(&id);
                Ok(self.commit(header))
            }
            Statement::Truncate(table) => {
                if self.tables.selects(&table) {
                    let version = self.tables.version_for_statement(&table, end)?;
                    self.open.push_truncate(version);
                    // The source gives the table another id; its definition stays.
                    self.tables.forget_map(&table);
                }
                Ok(self.end_statement(header))
            }
            Statement::Ddl(tables) => {
                for table in &tables {
                    if !self.tables.selects(table) {
                        continue;
                    }
                    let changes = match tables.as_slice() {
                        [_] => self.changes(table, &text, backslash),
                        _ => None,
                    };
                    let name = (table.database.as_str(), table.table.as_str());
                    self.open.push_statement(name, &text, changes.as_deref());
                    self.tables.supersede(table, end);
                }
                Ok(self.end_statement(header))
            }
            Statement::IndexDdl(table) => {
                self.tables.supersede(&table, end);
                Ok(self.end_statement(header))
            }
            Statement::CreateTable(table) => {
                if self.tables.selects(&table) {
                    self.tables.supersede(&table, end);
                    self.tables.add(table);
                }
                Ok(self.end_statement(header))
            }
            Statement::CreateSpecial(table) => {
                if self.tables.selects(&table) {
                    return Err(refused(
                        end,
                        Some(&table),
                        "the statement makes a sequence or a system-versioned table, whose row events do not tell \
                         current rows",
                        "name the tables to replicate without it",
                    ));
                }
                Ok(self.end_statement(header))
            }
            Statement::DropDatabase(name) => {
                if self.tables.selects_database(&name) {
                    self.open.push_statement((&name, "*"), &text, None);
                    self.tables.supersede_database(&name, end);
                }
                Ok(self.end_statement(header))
            }
            Statement::RowChange(verb) => {
                self.refuse_statement(&verb, &text, backslash, end)?;
                Ok(self.end_statement(header))
            }
            Statement::Routine(verb) => Err(refused(
                end,
                None,
                &format!(
                    "{verb} calls a stored routine and is logged as a statement, not as rows: it may change any table"
                ),
                STATEMENT_REMEDY,
            )),
            Statement::Other => Ok(self.end_statement(header)),
        }
    }

    /// What an ALTER TABLE does, as JSON, where that is known in full.
    fn changes(&self, table: &TableName, text: &str, backslash: Backslash) -> Option<String> {
        let changes = statement::changes(text, backslash, self.tables.in_force(table))?;
        serde_json::to_string(&changes).ok()
    }

    /// A statement outside of an explicit transaction is one of its own.
    fn end_statement(&mut self, header: &EventHeader) -> Step<'static> {
        match self.head.ending {
            Ending::Commit | Ending::Prepare => Step::Open,
            Ending::Statement | Ending::Announcement => self.commit(header),
        }
    }

    fn roll_back(&mut self, header: &EventHeader) -> Step<'static> {
        let packed = self.open.is_packed();
        self.open.clear();
        let passed = self.commit(header);
        if packed { Step::Abandoned } else { passed }
    }

    /// Puts a prepared transaction's lines aside.
    fn park(
        &mut self,
        id: &str,
        header: &EventHeader,
        end: &BinlogPosition,
    ) -> Result<Step<'static>, MinerError> {
        let parked = self
            .open
            .take_lines()
            .is_some_and(|text| self.parked.park(id, ParkedLines { text }).is_ok());
        if parked {
            return Ok(self.commit(header));
        }
        Err(refused(
            end,
            None,
            "prepared XA transactions hold more changes than are kept in memory",
            "commit or roll back the prepared transactions in smaller pieces; to go on, load the tables anew and start \
             behind this position",
        ))
    }

    fn unpark(&mut self, id: &str, end: &BinlogPosition) -> Result<ParkedLines, MinerError> {
        self.parked.take(id).ok_or_else(|| {
            refused(
                end,
                None,
                &format!("XA COMMIT {id} commits a transaction that was prepared before mining began"),
                "start before its XA PREPARE, or load the tables anew and start behind this position",
            )
        })
    }

    /// Statements that change rows carry none of them: they pass only when no replicated table
    /// is named.
    fn refuse_statement(
        &self,
        verb: &str,
        text: &str,
        backslash: Backslash,
        end: &BinlogPosition,
    ) -> Result<(), MinerError> {
        for name in statement::names(text, backslash) {
            if let Some(table) = self.tables.replicated_named(&name) {
                return Err(refused(
                    end,
                    Some(table),
                    &format!("{verb} is logged as a statement, not as rows"),
                    STATEMENT_REMEDY,
                ));
            }
        }
        Ok(())
    }

    fn rows(
        &mut self,
        rows: &RowsEvent<'_>,
        end: &BinlogPosition,
    ) -> Result<Step<'static>, MinerError> {
        self.head.begun = true;
        self.settle_unlogged(rows, end)?;
        let table = match self.tables.get(rows.table_id) {
            Some(Some(table)) => std::sync::Arc::clone(table),
            Some(None) => return Ok(Step::Open),
            None => return Err(no_table_map(end)),
        };
        let mut input: &[u8] = &rows.rows;
        while !input.is_empty() {
            self.row(&table, rows, &mut input, end)?;
        }
        Ok(Step::Open)
    }

    /// Where the images lack columns that may be generated ones, the table's version says so
    /// first.
    fn settle_unlogged(
        &mut self,
        rows: &RowsEvent<'_>,
        end: &BinlogPosition,
    ) -> Result<(), MinerError> {
        let bitmaps = [rows.before, rows.after];
        let lacking = bitmaps.into_iter().flatten().find(|image| !image.is_full());
        match (lacking, self.tables.get(rows.table_id)) {
            (Some(image), Some(Some(table))) if !table.decoder.suffices(image) => {
                self.tables.leave_out_generated(rows.table_id, end)
            }
            _ => Ok(()),
        }
    }

    /// Decodes one row's images and appends its line.
    fn row(
        &mut self,
        table: &Replicated,
        rows: &RowsEvent<'_>,
        input: &mut &[u8],
        end: &BinlogPosition,
    ) -> Result<(), MinerError> {
        self.before.clear();
        self.after.clear();
        let failed = |source| MinerError::Decode {
            place: Place::new(end, Some(&table.definition.name)),
            source,
        };
        if let Some(present) = rows.before {
            match table.before {
                BeforeImage::Full => table.decoder.decode(input, present, &mut self.before),
                BeforeImage::Key => table.decoder.decode_key(input, present, &mut self.before),
            }
            .map_err(failed)?;
        }
        if let Some(present) = rows.after {
            table
                .decoder
                .decode(input, present, &mut self.after)
                .map_err(failed)?;
        }
        self.nul_substitutions += self.before.nul_substitutions() + self.after.nul_substitutions();
        push_row(&mut self.open, table, rows.operation, &self.before, &self.after).map_err(|length| {
            refused(
                end,
                Some(&table.definition.name),
                &format!("a row has {length} bytes of text, more than PostgreSQL takes in one value (1 GB)"),
                "take the table out of the list",
            )
        })
    }
}

/// CREATE TABLE … SELECT of MySQL 8.0.21 and later ends so: rows and XID follow.
fn ends_with_start_transaction(text: &str) -> bool {
    text.to_ascii_uppercase()
        .trim_end()
        .strip_suffix("TRANSACTION")
        .is_some_and(|rest| rest.trim_end().ends_with("START"))
}

/// Appends the line of one row event.
fn push_row(
    open: &mut OpenTransaction,
    table: &Replicated,
    operation: RowOperation,
    before: &RowImage,
    after: &RowImage,
) -> Result<(), usize> {
    let key = table.definition.key_columns();
    let id = table.id;
    match (operation, table.before) {
        (RowOperation::Insert, _) => open.push_row(RowMark::Insert, id, &[after.text()]),
        (RowOperation::Update, BeforeImage::Full) => {
            open.push_row(RowMark::UpdateFull, id, &[after.text(), before.text()])
        }
        (RowOperation::Delete, BeforeImage::Full) => {
            open.push_row(RowMark::DeleteFull, id, &[before.text()])
        }
        (RowOperation::Update, BeforeImage::Key) => {
            if key.iter().all(|i| before.cell(*i) == after.cell(*i)) {
                open.push_row(RowMark::Update, id, &[after.text()])
            } else {
                let mut groups = vec![after.text()];
                groups.extend(key.iter().filter_map(|i| before.cell(*i)));
                open.push_row(RowMark::UpdateKey, id, &groups)
            }
        }
        (RowOperation::Delete, BeforeImage::Key) => match key {
            [single] => open.push_row(
                RowMark::Delete,
                id,
                &[before.cell(*single).unwrap_or_default()],
            ),
            key => {
                let groups: Vec<&[u8]> = key.iter().filter_map(|i| before.cell(*i)).collect();
                open.push_row(RowMark::Delete, id, &groups)
            }
        },
    }
}

/// What to do about changes that are logged as statements.
const STATEMENT_REMEDY: &str = "set global binlog_format = 'ROW' at the source and reconnect the applications, load the \
     tables anew and start behind this position";

fn refused(
    end: &BinlogPosition,
    table: Option<&TableName>,
    reason: &str,
    remedy: &'static str,
) -> MinerError {
    MinerError::Refused {
        place: Place::new(end, table),
        reason: reason.into(),
        remedy,
    }
}

fn no_table_map(end: &BinlogPosition) -> MinerError {
    refused(
        end,
        None,
        "a rows event refers to a table map that did not come",
        "the log is damaged: load the tables anew and start behind this position",
    )
}
