//! What the source is: version, identity, settings, log files. Refuses settings with which
//! rows would not arrive whole.

use std::collections::HashMap;

use common::position::{BinlogFile, BinlogPosition, LogId};
use mysql::prelude::Queryable as _;
use mysql::{Conn, Row};

use super::error::SourceError;

/// Which family of servers, where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MySQL and Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// The source's identity and settings.
#[derive(Clone, Debug)]
pub struct Server {
    /// Family.
    pub flavor: Flavor,
    /// Version as it reports it.
    pub version: String,
    /// Identity of its log.
    pub log_id: LogId,
    variables: HashMap<String, String>,
}

/// A setting that must have one value.
struct Needed {
    variable: &'static str,
    accepted: &'static [&'static str],
    remedy: &'static str,
}

/// Settings without which changes are missing or incomplete in the log.
const NEEDED: &[Needed] = &[
    Needed {
        variable: "log_bin",
        accepted: &["ON", "1"],
        remedy: "set log_bin in the server's configuration and restart it",
    },
    Needed {
        variable: "binlog_format",
        accepted: &["ROW"],
        remedy: "set global binlog_format = 'ROW', and reconnect the applications: sessions keep their old format",
    },
    Needed {
        variable: "binlog_row_image",
        accepted: &["FULL", "FULL_NODUP"],
        remedy: "set global binlog_row_image = 'FULL', and reconnect the applications",
    },
];

impl Server {
    /// Asks the source who it is.
    ///
    /// # Errors
    /// When the statements fail.
    pub fn inspect(conn: &mut Conn) -> Result<Self, SourceError> {
        let variables: HashMap<String, String> = conn
            .query_map(
                "show global variables where variable_name in ('version', 'server_id', 'server_uuid', 'log_bin', \
                 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'binlog_row_value_options', 'gtid_mode', \
                 'innodb_native_foreign_keys', 'binlog_checksum', 'sync_binlog', 'innodb_flush_log_at_trx_commit', \
                 'log_slave_updates', 'log_replica_updates', 'expire_logs_days', 'binlog_expire_logs_seconds', \
                 'binlog_expire_logs_auto_purge', 'max_binlog_total_size')",
                |(name, value): (String, String)| (name.to_ascii_lowercase(), value),
            )
            .map_err(SourceError::query("read server variables"))?
            .into_iter()
            .collect();
        let get = |name: &str| variables.get(name).cloned().unwrap_or_default();
        let version = get("version");
        let flavor = if version.contains("MariaDB") {
            Flavor::MariaDb
        } else {
            Flavor::MySql
        };
        let log_id = match flavor {
            Flavor::MySql => get("server_uuid"),
            Flavor::MariaDb => get("server_id"),
        };
        Ok(Self {
            flavor,
            version,
            log_id: LogId(log_id),
            variables,
        })
    }

    /// Value of a global variable read by [`Server::inspect`]; empty if the server lacks it.
    pub fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// Whether rows that a foreign key changes are logged: MySQL since it checks foreign keys
    /// above the storage engine (9.6, unless `innodb_native_foreign_keys` is on).
    pub fn logs_cascades(&self) -> bool {
        self.flavor == Flavor::MySql
            && self
                .variable("innodb_native_foreign_keys")
                .eq_ignore_ascii_case("OFF")
    }

    /// Whether transactions have GTIDs, on MySQL.
    pub fn has_gtids(&self) -> bool {
        let mode = self.variable("gtid_mode");
        !mode.is_empty() && !mode.eq_ignore_ascii_case("OFF")
    }

    /// Refuses settings with which rows would not arrive whole.
    ///
    /// # Errors
    /// The first such setting.
    pub fn require_row_images(&self) -> Result<(), SourceError> {
        self.row_images()
            .try_for_each(|(_, result)| result.map(|_| ()))
    }

    /// The settings without which rows would not arrive whole, each with its value or what is
    /// wrong with it.
    pub fn row_images(&self) -> impl Iterator<Item = (&'static str, Result<&str, SourceError>)> {
        NEEDED.iter().map(|needed| {
            let found = self.variable(needed.variable);
            // A server that lacks the variable has no other way than the needed one.
            let accepted = found.is_empty()
                || needed
                    .accepted
                    .iter()
                    .any(|value| found.eq_ignore_ascii_case(value));
            let result = if accepted {
                Ok(found)
            } else {
                Err(SourceError::Setting {
                    variable: needed.variable,
                    found: found.to_owned(),
                    needed: needed.accepted.first().copied().unwrap_or_default(),
                    remedy: needed.remedy,
                })
            };
            (needed.variable, result)
        })
    }
}

/// The source's log files, oldest first, with their sizes in bytes.
#[derive(Clone, Debug)]
pub struct LogFiles(Vec<(BinlogFile, u64)>);

impl LogFiles {
    /// Asks the source. `SHOW BINARY LOGS` works on every version, `SHOW MASTER STATUS` does not.
    ///
    /// # Errors
    /// When the statement fails or answers with what is no file name.
    pub fn read(conn: &mut Conn) -> Result<Self, SourceError> {
        let rows: Vec<Row> = conn
            .query("show binary logs")
            .map_err(SourceError::query("list binlog files"))?;
        rows.iter()
            .map(|row| {
                let name: String = row.get(0).unwrap_or_default();
                let file = name.parse().map_err(|_| SourceError::Unexpected {
                    what: "SHOW BINARY LOGS",
                    value: name.clone(),
                })?;
                Ok((file, row.get(1).unwrap_or_default()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// When there is no log.
    pub fn end(&self) -> Result<BinlogPosition, SourceError> {
        self.0
            .last()
            .map(|(file, size)| BinlogPosition::new(file.clone(), *size))
            .ok_or(SourceError::NoFiles)
    }

    /// Where the log begins.
    ///
    /// # Errors
    /// When there is no log.
    pub fn begin(&self) -> Result<BinlogPosition, SourceError> {
        self.0
            .first()
            .map(|(file, _)| BinlogPosition::new(file.clone(), BinlogPosition::FIRST_OFFSET))
            .ok_or(SourceError::NoFiles)
    }

    /// The file that follows `file`.
    pub fn after(&self, file: &BinlogFile) -> Option<BinlogFile> {
        self.0
            .iter()
            .map(|(name, _)| name)
            .find(|name| *name > file)
            .cloned()
    }

    /// Whether `position` lies in one of the files.
    pub fn contains(&self, position: &BinlogPosition) -> bool {
        self.0
            .iter()
            .any(|(file, size)| *file == position.file && position.offset <= *size)
    }

    /// The files in words.
    pub fn describe(&self) -> String {
        match (self.0.first(), self.0.last()) {
            (Some((first, _)), Some((last, _))) if first != last => {
                format!("{} files, {first} to {last}", self.0.len())
            }
            (Some((only, size)), _) => format!("only {only} with {size} bytes"),
            _ => "no files".into(),
        }
    }
}
