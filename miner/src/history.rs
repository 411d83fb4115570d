//! Which tables' definitions changed between two positions of the log.
//!
//! A definition fetched from the catalog is the one of the moment it is fetched; the event
//! that needs it is older. It may be used only when no DDL statement on the table lies in
//! between, so that part of the log is read ahead, for its statements alone. Read once: what
//! is covered stays covered while the stream moves on.

use common::position::BinlogPosition;
use common::settings::SourceSettings;
use common::shutdown::Shutdown;
use common::table::TableName;
use log::info;

use crate::decode::{Event, EventParser};
use crate::error::{MinerError, Place};
use crate::source::{EventStream, Server, scan_server_id};
use crate::statement::{Backslash, Statement, classify};

/// What a DDL statement was about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Table(TableName),
    Database(String),
}

/// DDL statements of the part of the log that was read ahead.
pub struct History {
    settings: SourceSettings,
    server: Server,
    shutdown: Shutdown,
    covered_to: Option<BinlogPosition>,
    changes: Vec<(BinlogPosition, Subject)>,
}

impl History {
    /// Nothing is read yet.
    pub fn new(settings: &SourceSettings, server: &Server, shutdown: &Shutdown) -> Self {
        Self {
            settings: settings.clone(),
            server: server.clone(),
            shutdown: shutdown.clone(),
            covered_to: None,
            changes: Vec::new(),
        }
    }

    /// The first DDL statement on the table that ends behind `from` and not behind `to`.
    ///
    /// # Errors
    /// When the source is away, the log is damaged, or a stop is asked for.
    pub fn first_change(
        &mut self,
        table: &TableName,
        from: &BinlogPosition,
        to: &BinlogPosition,
    ) -> Result<Option<BinlogPosition>, MinerError> {
        self.cover(from, to)?;
        Ok(self
            .changes
            .iter()
            .filter(|(position, _)| position > from && position <= to)
            .find(|(_, subject)| match subject {
                Subject::Table(changed) => changed == table,
                Subject::Database(dropped) => *dropped == table.database,
            })
            .map(|(position, _)| position.clone()))
    }

    /// Reads what is not covered yet.
    fn cover(&mut self, from: &BinlogPosition, to: &BinlogPosition) -> Result<(), MinerError> {
        let start = match &self.covered_to {
            Some(covered) if covered >= to => return Ok(()),
            Some(covered) if covered > from => covered.clone(),
            _ => from.clone(),
        };
        self.changes.retain(|(position, _)| position > from);
        if start < *to {
            info!("read ahead for DDL statements from={start} to={to}");
            self.read(&start, to)?;
        }
        self.covered_to = Some(to.clone());
        Ok(())
    }

    fn read(&mut self, start: &BinlogPosition, to: &BinlogPosition) -> Result<(), MinerError> {
        let server_id = scan_server_id(&self.settings);
        let mut stream = EventStream::open(&self.settings, server_id, &self.server, start.clone())?;
        let mut parser = EventParser::new();
        loop {
            let event = stream.next_event()?;
            if self.shutdown.requested() {
                return Err(MinerError::Stopping);
            }
            let parsed = parser
                .parse(&event.header, event.body())
                .map_err(|source| MinerError::Decode {
                    place: Place::new(&event.end, None),
                    source,
                })?;
            if let Event::Query(query) = parsed
                && event.end > *start
            {
                let text = String::from_utf8_lossy(&query.statement);
                let database = String::from_utf8_lossy(query.database);
                let backslash = Backslash::of_sql_mode(query.status.sql_mode);
                for subject in subjects(classify(&text, &database, backslash)) {
                    self.changes.push((event.end.clone(), subject));
                }
            }
            if !event.is_artificial() && event.end >= *to {
                return Ok(());
            }
        }
    }
}

/// What a statement changes the definition or the key of.
fn subjects(statement: Statement) -> Vec<Subject> {
    match statement {
        Statement::Ddl(tables) => tables.into_iter().map(Subject::Table).collect(),
        Statement::IndexDdl(table)
        | Statement::CreateTable(table)
        | Statement::CreateSpecial(table) => vec![Subject::Table(table)],
        Statement::DropDatabase(name) => vec![Subject::Database(name)],
        Statement::Begin
        | Statement::Commit
        | Statement::Rollback
        | Statement::Savepoint(_)
        | Statement::RollbackTo(_)
        | Statement::XaStart
        | Statement::XaCommit(_)
        | Statement::XaRollback(_)
        | Statement::Truncate(_)
        | Statement::RowChange(_)
        | Statement::Routine(_)
        | Statement::Other => Vec::new(),
    }
}
