//! A session on the source, for questions.

use common::gtid::GtidSet;
use common::position::BinlogPosition;
use common::settings::SourceSettings;
use mysql::Conn;

use super::connect::connect;
use super::error::SourceError;
use super::gtid::{GtidState, mariadb_gtids_at};
use super::server::{Flavor, LogFiles, Server};

/// A session, and what the source said about itself when it began.
pub struct SourceSession {
    conn: Conn,
    /// Version, identity, settings.
    pub server: Server,
    /// Its log files.
    pub files: LogFiles,
}

impl SourceSession {
    /// Connects and asks.
    ///
    /// # Errors
    /// When the source is away, refuses, or has settings with which rows do not arrive whole.
    pub fn open(settings: &SourceSettings) -> Result<Self, SourceError> {
        let mut conn = connect(settings)?;
        let server = Server::inspect(&mut conn)?;
        server.require_row_images()?;
        let files = LogFiles::read(&mut conn)?;
        Ok(Self {
            conn,
            server,
            files,
        })
    }

    /// What the source has executed and purged.
    ///
    /// # Errors
    /// When it does not answer with GTIDs.
    pub fn gtid_state(&mut self) -> Result<GtidState, SourceError> {
        GtidState::read(&mut self.conn, self.server.flavor)
    }

    /// MariaDB: the GTIDs before a position of the log. `None` when the server cannot tell;
    /// MySQL never can.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn gtids_at(&mut self, position: &BinlogPosition) -> Result<Option<GtidSet>, SourceError> {
        match self.server.flavor {
            Flavor::MySql => Ok(None),
            Flavor::MariaDb => mariadb_gtids_at(&mut self.conn, position),
        }
    }

    /// Refuses a GTID set from which mining cannot start.
    ///
    /// # Errors
    /// When the set is not of this source's kind or history, or what follows is purged.
    pub fn require_start(&mut self, set: &GtidSet) -> Result<(), SourceError> {
        let of_mysql = set.mysql_intervals().next().is_some();
        if !set.is_empty() && of_mysql != (self.server.flavor == Flavor::MySql) {
            return Err(SourceError::wrong_gtid_kind(set));
        }
        let bad = |reason| SourceError::GtidStart {
            set: set.to_string(),
            reason,
        };
        if self.server.flavor == Flavor::MySql && !self.server.has_gtids() {
            return Err(bad(
                "cannot be a start: the source has gtid_mode = OFF; start from a binlogfile",
            ));
        }
        let state = self.gtid_state()?;
        if !set.is_subset(&state.executed) {
            return Err(bad(
                "has transactions that the source does not have (gtid_executed, MariaDB: gtid_binlog_pos): it is not one \
                 of this source's",
            ));
        }
        if !state.purged.is_subset(set) {
            return Err(SourceError::GtidsPurged {
                set: set.to_string(),
                source: None,
            });
        }
        Ok(())
    }
}
