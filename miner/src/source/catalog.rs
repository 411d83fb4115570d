//! Table definitions from the source's catalog, asked for when needed.

use std::collections::BTreeSet;

use common::position::BinlogPosition;
use common::settings::{Settings, SourceSettings, TableList};
use common::table::{TableDefinition, TableName};
use mysql::prelude::Queryable as _;
use mysql::{Conn, Row};

use super::connect::connect;
use super::error::SourceError;
use super::half_logged::{Cascade, LogFilter, SpecialTable};
use super::server::{LogFiles, Server};
use crate::decode::{CatalogColumn, CatalogIndex, from_catalog};

/// Databases of the server's own, which are never replicated by a wildcard.
const SYSTEM_DATABASES: &str = "'mysql', 'information_schema', 'performance_schema', 'sys'";

/// ER_NO_SUCH_TABLE.
const NO_SUCH_TABLE: u16 = 1146;

/// The catalog; connects when it is first asked and again after a failure.
pub struct Catalog {
    settings: SourceSettings,
    conn: Option<Conn>,
}

impl Catalog {
    /// Nothing is asked yet.
    pub fn new(settings: &SourceSettings) -> Self {
        Self {
            settings: settings.clone(),
            conn: None,
        }
    }

    /// The table's definition as it is now; `None` when the source has no such table or hides it.
    ///
    /// # Errors
    /// When the source is away, or the definition cannot be carried.
    pub fn definition(&mut self, name: &TableName) -> Result<Option<TableDefinition>, SourceError> {
        self.ask(|conn| read_definition(conn, name))
    }

    /// Definitions of those of the tables that the source has, as they are now.
    ///
    /// # Errors
    /// As of [`Self::definition`].
    pub fn definitions(
        &mut self,
        names: &[TableName],
    ) -> Result<Vec<TableDefinition>, SourceError> {
        self.ask(|conn| {
            let definitions = names.iter().map(|name| read_definition(conn, name));
            definitions.filter_map(Result::transpose).collect()
        })
    }

    /// Tables that the list selects, as they are now.
    ///
    /// # Errors
    /// When the source is away.
    pub fn tables(&mut self, list: &TableList) -> Result<Vec<TableName>, SourceError> {
        self.ask(|conn| {
            let rows: Vec<(String, String)> = conn
                .query(format!(
                    "select table_schema, table_name from information_schema.tables \
                     where table_type in ('BASE TABLE', 'SYSTEM VERSIONED') \
                       and table_schema not in ({SYSTEM_DATABASES}) \
                     order by table_schema, table_name"
                ))
                .map_err(SourceError::query("list tables"))?;
            Ok(rows
                .into_iter()
                .map(|(database, table)| TableName::new(database, table))
                .filter(|name| list.contains(name))
                .collect())
        })
    }

    /// Tables that the list selects and whose row events do not tell their current rows.
    ///
    /// # Errors
    /// When the source is away.
    pub fn special_tables(&mut self, list: &TableList) -> Result<Vec<SpecialTable>, SourceError> {
        self.ask(|conn| {
            let rows: Vec<(String, String, String)> = conn
                .query(format!(
                    "select table_schema, table_name, table_type from information_schema.tables \
                     where table_type in ('SEQUENCE', 'SYSTEM VERSIONED') \
                       and table_schema not in ({SYSTEM_DATABASES})"
                ))
                .map_err(SourceError::query("list sequences and versioned tables"))?;
            Ok(rows
                .into_iter()
                .map(|(database, table, kind)| SpecialTable {
                    name: TableName::new(database, table),
                    kind,
                })
                .filter(|special| list.contains(&special.name))
                .collect())
        })
    }

    /// Foreign keys by which a change of the parent changes rows of a selected child table.
    ///
    /// Read from SHOW CREATE TABLE: `information_schema.referential_constraints` hides them from
    /// a user who may only select.
    ///
    /// # Errors
    /// When the source is away, or the user may not see a table's definition.
    pub fn cascades(&mut self, list: &TableList) -> Result<Vec<Cascade>, SourceError> {
        let tables = self.tables(list)?;
        self.ask(|conn| {
            conn.query_drop("set session sql_quote_show_create = 1")
                .map_err(SourceError::query("prepare session"))?;
            let mut found = Vec::new();
            for table in tables {
                let asked = conn.query_first::<(String, String), _>(format!(
                    "show create table {}.{}",
                    quote(&table.database),
                    quote(&table.table)
                ));
                match asked {
                    Ok(row) => {
                        let text = row.map(|(_, text)| text).unwrap_or_default();
                        found.extend(Cascade::in_definition(&table, &text));
                    }
                    // Dropped since it was listed.
                    Err(mysql::Error::MySqlError(error)) if error.code == NO_SUCH_TABLE => {}
                    Err(error) => return Err(SourceError::query("read foreign keys")(error)),
                }
            }
            Ok(found)
        })
    }

    /// Databases of selected tables whose changes the source does not log.
    ///
    /// # Errors
    /// When the source is away.
    pub fn not_logged(&mut self, list: &TableList) -> Result<Vec<String>, SourceError> {
        let tables = self.tables(list)?;
        let databases: BTreeSet<String> = tables
            .into_iter()
            .chain(list.named())
            .map(|table| table.database)
            .collect();
        let filter = self.ask(|conn| Ok(LogFilter::read(conn)))?;
        Ok(databases
            .into_iter()
            .filter(|database| filter.hides(database))
            .collect())
    }

    /// Refuses databases, tables and foreign keys of which the log does not tell every change.
    ///
    /// # Errors
    /// The first kind of them, or when the source is away.
    pub fn require_whole_log(
        &mut self,
        list: &TableList,
        server: &Server,
        unlogged: Unlogged,
    ) -> Result<(), SourceError> {
        let databases = self.not_logged(list)?;
        if !databases.is_empty() {
            return Err(SourceError::NotLogged { databases });
        }
        let tables = self.special_tables(list)?;
        if !tables.is_empty() {
            return Err(SourceError::SpecialTables { tables });
        }
        if unlogged == Unlogged::Refused && !server.logs_cascades() {
            let keys = self.cascades(list)?;
            if !keys.is_empty() {
                return Err(SourceError::UnloggedCascades { keys });
            }
        }
        Ok(())
    }

    /// Where the source's log ends now.
    ///
    /// # Errors
    /// When the source is away.
    pub fn log_end(&mut self) -> Result<BinlogPosition, SourceError> {
        self.ask(|conn| LogFiles::read(conn)?.end())
    }

    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Conn) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        // An idle session may have been ended by the source.
        let alive = self
            .conn
            .take()
            .and_then(|mut conn| conn.ping().is_ok().then_some(conn));
        let mut conn = match alive {
            Some(conn) => conn,
            None => connect(&self.settings)?,
        };
        let answer = question(&mut conn)?;
        self.conn = Some(conn);
        Ok(answer)
    }
}

/// What happens to foreign keys whose cascades are not logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlogged {
    /// They are refused.
    Refused,
    /// They are the operator's concern.
    Accepted,
}

impl Unlogged {
    /// As `allow_unlogged_cascades` says.
    pub fn of_settings(settings: &Settings) -> Self {
        if settings.target.allow_unlogged_cascades {
            Self::Accepted
        } else {
            Self::Refused
        }
    }
}

fn read_definition(
    conn: &mut Conn,
    name: &TableName,
) -> Result<Option<TableDefinition>, SourceError> {
    let rows: Vec<Row> = conn
        .exec(
            "select column_name, ordinal_position, data_type, column_type, is_nullable, character_set_name, extra \
               from information_schema.columns where table_schema = ? and table_name = ? order by ordinal_position",
            (&name.database, &name.table),
        )
        .map_err(SourceError::query("read columns"))?;
    if rows.is_empty() {
        return Ok(None);
    }
    let columns: Vec<CatalogColumn> = rows
        .iter()
        .map(|row| CatalogColumn {
            name: text(row, 0),
            ordinal: row.get(1).unwrap_or_default(),
            data_type: text(row, 2),
            column_type: text(row, 3),
            nullable: text(row, 4) == "YES",
            charset: row.get::<Option<String>, _>(5).flatten(),
            extra: text(row, 6),
        })
        .collect();
    let rows: Vec<Row> = conn
        .query(format!(
            "show index from {} from {}",
            quote(&name.table),
            quote(&name.database)
        ))
        .map_err(SourceError::query("read indexes"))?;
    let indexes: Vec<CatalogIndex> = rows
        .iter()
        .map(|row| CatalogIndex {
            name: text_of(row, "Key_name"),
            unique: row.get::<u64, _>("Non_unique") == Some(0),
            sequence: row.get("Seq_in_index").unwrap_or_default(),
            column: row.get::<Option<String>, _>("Column_name").flatten(),
        })
        .collect();
    from_catalog(name.clone(), &columns, &indexes)
        .map(Some)
        .map_err(|source| SourceError::Definition {
            table: name.clone(),
            source,
        })
}

fn text(row: &Row, index: usize) -> String {
    row.get::<Option<String>, _>(index)
        .flatten()
        .unwrap_or_default()
}

fn text_of(row: &Row, column: &str) -> String {
    row.get::<Option<String>, _>(column)
        .flatten()
        .unwrap_or_default()
}

fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
