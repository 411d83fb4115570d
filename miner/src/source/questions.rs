//! What `check` asks the source and mining does not need to know.
//!
//! Reads only. What a user may not ask is answered with `None`: the answer is then not known,
//! which is no failure.

use common::check::{Clock, Finding};
use common::settings::SourceSettings;
use mysql::prelude::Queryable as _;
use mysql::{Conn, Row};

use super::connect::connect;
use super::error::SourceError;
use super::gtid::GtidState;
use super::server::{Flavor, LogFiles, Server};

/// A session on the source that refuses no setting.
pub struct Questions {
    conn: Conn,
    /// Version, identity, settings.
    pub server: Server,
}

/// What the user may do with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    /// It is granted.
    Yes,
    /// It is not.
    No,
    /// A role may grant it.
    ByARole,
}

impl Questions {
    /// Connects and asks who the source is.
    ///
    /// # Errors
    /// When the source is away or refuses.
    pub fn open(settings: &SourceSettings) -> Result<Self, SourceError> {
        let mut conn = connect(settings)?;
        let server = Server::inspect(&mut conn)?;
        Ok(Self { conn, server })
    }

    /// Its log files.
    ///
    /// # Errors
    /// When the user may not list them.
    pub fn files(&mut self) -> Result<LogFiles, SourceError> {
        LogFiles::read(&mut self.conn)
    }

    /// What it has executed and purged.
    ///
    /// # Errors
    /// When it does not answer with GTIDs.
    pub fn gtid_state(&mut self) -> Result<GtidState, SourceError> {
        GtidState::read(&mut self.conn, self.server.flavor)
    }

    /// Compares its clock with this host's.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn clock(&mut self) -> Result<Finding, SourceError> {
        let clock = Clock::ask();
        let seconds: Option<f64> = self
            .conn
            .query_first("select cast(unix_timestamp(now(6)) as char) + 0e0")
            .map_err(SourceError::query("ask for the time"))?;
        Ok(clock.compare("source", seconds.unwrap_or_default()))
    }

    /// The cipher of this session; empty without TLS.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn cipher(&mut self) -> Result<String, SourceError> {
        let row: Option<(String, String)> = self
            .conn
            .query_first("show session status like 'Ssl_cipher'")
            .map_err(SourceError::query("read the session's cipher"))?;
        Ok(row.map(|(_, cipher)| cipher).unwrap_or_default())
    }

    /// Whether a database exists, as far as the user may see.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn has_database(&mut self, name: &str) -> Result<bool, SourceError> {
        let found: Option<u8> = self
            .conn
            .exec_first(
                "select 1 from information_schema.schemata where schema_name = ?",
                (name,),
            )
            .map_err(SourceError::query("look for the database"))?;
        Ok(found.is_some())
    }

    /// Whether the user may read the log.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn may_read_the_log(&mut self) -> Result<Granted, SourceError> {
        let grants: Vec<String> = self
            .conn
            .query("show grants")
            .map_err(SourceError::query("read the user's privileges"))?;
        Ok(granted(&grants))
    }

    /// Whether the source itself replicates from another server; `None` when the user may not
    /// ask.
    pub fn is_replica(&mut self) -> Option<bool> {
        if self.server.flavor == Flavor::MariaDb {
            // Only some users may ask for replicas that are stopped, too.
            if let Ok(rows) = self.conn.query::<Row, _>("show all slaves status") {
                return Some(!rows.is_empty());
            }
            let row: Option<(String, u32)> = self
                .conn
                .query_first("show global status like 'Slaves_running'")
                .ok()?;
            return row.map(|(_, running)| running > 0);
        }
        let rows: Vec<Row> = self
            .conn
            .query("show replica status")
            .or_else(|_| self.conn.query("show slave status"))
            .ok()?;
        Some(!rows.is_empty())
    }

    /// Server ids of its replicas, those that have just ended included; `None` when the user may
    /// not ask, or the server has the older SHOW SLAVE HOSTS only, whose answer MySQL 5.7 breaks
    /// off in the middle of a row where a replica has no uuid.
    pub fn replicas(&mut self) -> Option<Vec<u32>> {
        let rows: Vec<Row> = self.conn.query("show replicas").ok()?;
        Some(rows.iter().filter_map(|row| row.get(0)).collect())
    }
}

/// What the lines of SHOW GRANTS say of REPLICATION SLAVE.
fn granted(grants: &[String]) -> Granted {
    let of_log = |grant: &String| {
        let Some((privileges, _)) = grant.split_once(" ON *.* TO ") else {
            return false;
        };
        let names = privileges.trim_start_matches("GRANT ").split(", ");
        names.into_iter().any(|name| {
            ["ALL PRIVILEGES", "REPLICATION SLAVE", "REPLICATION REPLICA"].contains(&name)
        })
    };
    if grants.iter().any(of_log) {
        Granted::Yes
    } else if grants.iter().any(|grant| !grant.contains(" ON ")) {
        Granted::ByARole
    } else {
        Granted::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_tell_who_may_read_the_log() {
        let says = |lines: &[&str]| {
            granted(
                &lines
                    .iter()
                    .map(|line| (*line).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            says(&["GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `u`@`%`"]),
            Granted::Yes
        );
        assert_eq!(
            says(&[
                "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*1'"
            ]),
            Granted::Yes
        );
        assert_eq!(
            says(&["GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' WITH GRANT OPTION"]),
            Granted::Yes
        );
        assert_eq!(
            says(&[
                "GRANT USAGE ON *.* TO `u`@`%`",
                "GRANT ALL PRIVILEGES ON `a`.* TO `u`@`%`"
            ]),
            Granted::No
        );
        assert_eq!(
            says(&["GRANT USAGE ON *.* TO `u`@`%`", "GRANT `r`@`%` TO `u`@`%`"]),
            Granted::ByARole
        );
    }
}
