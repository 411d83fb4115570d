//! What can go wrong at the source, and what it means.

use std::path::PathBuf;

use common::error::ErrorClass;
use common::gtid::GtidSet;
use common::position::{BinlogPosition, LogId};
use common::settings::SourceSettings;
use common::table::TableName;
use mysql_common::proto::codec::error::PacketCodecError;

use super::half_logged::{Cascade, SpecialTable};
use crate::decode::DecodeError;

/// Why the source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source is away or refuses the login.
    #[error("connect to source {address} as {user}{}", login_remedy(source))]
    Connect {
        /// Host and port.
        address: String,
        /// User.
        user: String,
        /// Why.
        source: mysql::Error,
    },
    /// TLS fails.
    #[error(
        "establish TLS with source {address}: check ssl_mode, ssl_ca, ssl_cert and ssl_key in [src.mysql]; \
         verify_identity wants a certificate for the name in host"
    )]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        source: rustls::Error,
    },
    /// A password that could be read on the way.
    #[error(
        "log in to source {address} as {user}: without TLS the password must be encrypted with the server's RSA key: use TLS \
         (ssl_mode), or set server_public_key in [src.mysql] to a file with that key (SHOW STATUS LIKE \
         'Caching_sha2_password_rsa_public_key')"
    )]
    NeedsPublicKey {
        /// Host and port.
        address: String,
        /// User.
        user: String,
    },
    /// The client library could not take the handshake apart.
    #[error(
        "log in to source {address}: its handshake is malformed, or server_public_key does not hold an RSA public key in PEM"
    )]
    Handshake {
        /// Host and port.
        address: String,
    },
    /// A file of `[src.mysql]` cannot be read.
    #[error("read {} of {key} in [src.mysql]", path.display())]
    File {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A statement failed.
    #[error("{operation} on the source{}", stream_remedy(source))]
    Query {
        /// What was being done, as "verb object".
        operation: &'static str,
        /// Why.
        source: mysql::Error,
    },
    /// The binlog stream broke or was refused.
    #[error("read the binlog at {position}{}", stream_remedy(source))]
    Stream {
        /// Where.
        position: BinlogPosition,
        /// Why.
        source: mysql::Error,
    },
    /// The source ended the stream, as it does when it stops or ends this connection.
    #[error("the source ended the binlog stream at {position}")]
    Ended {
        /// Where.
        position: BinlogPosition,
    },
    /// An event's checksum does not fit its bytes.
    #[error(
        "binlog event at {position} is damaged: its CRC32 does not fit; look at the source with mysqlbinlog \
         --verify-binlog-checksum"
    )]
    Checksum {
        /// Where.
        position: BinlogPosition,
    },
    /// The client library could not take the event's bytes apart.
    #[error(
        "binlog event at {position} is damaged: {reason}; look at it with mysqlbinlog at the source; if the log is damaged, \
         load the tables anew, then run binlog_loader reset and start with an empty staging database"
    )]
    Damaged {
        /// Where.
        position: BinlogPosition,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A server setting with which the binlog cannot be carried exactly.
    #[error("source has {variable} = {found}, needed is {needed}: {remedy}")]
    Setting {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        needed: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The configured file was never there or is gone.
    #[error(
        "the start {file} is not on the source, which has {available}: correct binlogfile and binlogfile_offset"
    )]
    NoSuchFile {
        /// What was asked for.
        file: String,
        /// What there is.
        available: String,
    },
    /// The position to resume from is gone.
    #[error(
        "binlog position {position} is no longer on the source, which has {available}: the changes in between are \
         lost to replication; load the tables anew, then run binlog_loader reset and start with an empty staging database"
    )]
    Purged {
        /// The position to resume from.
        position: BinlogPosition,
        /// What there is.
        available: String,
    },
    /// Another server, which does not continue what is staged.
    #[error(
        "the source is {found}, but staging holds the log of {expected}, and {reason}: point [src.mysql] at the server \
         that was mined or at one that has all of its transactions, or run binlog_loader reset and start with an empty \
         staging database"
    )]
    NoContinuation {
        /// Log that was mined.
        expected: LogId,
        /// Log of the server that answers.
        found: LogId,
        /// Why not.
        reason: String,
    },
    /// The transactions that come next are gone from the source's log.
    #[error(
        "the source has purged transactions that follow GTIDs {set}, which are staged or configured as the start: the \
         changes in between are lost to replication; load the tables anew, then run binlog_loader reset and start with an \
         empty staging database"
    )]
    GtidsPurged {
        /// What was asked to be left out.
        set: String,
        /// Why; absent when it was found before asking.
        source: Option<mysql::Error>,
    },
    /// A GTID set of the other kind of server, or with what the server has not executed.
    #[error("src.mysql.gtid_set {set} {reason}")]
    GtidStart {
        /// The set.
        set: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another replica has the same server id.
    #[error(
        "another replica of the source uses serverid {server_id}, and the source serves only one of them: set serverid in \
         [src.mysql] to a number that no other replica has"
    )]
    ServerIdClash {
        /// The id.
        server_id: u32,
    },
    /// Tables of the list that do not exist.
    #[error(
        "the table list names {}, which the source does not have or user {user} may not see: correct the list or \
         grant select on it",
        names(tables)
    )]
    NoSuchTable {
        /// The tables.
        tables: Vec<TableName>,
        /// User.
        user: String,
    },
    /// A table whose definition cannot be carried.
    #[error(
        "table {table} cannot be carried (take it out of the list, or change the column at the source)"
    )]
    Definition {
        /// The table.
        table: TableName,
        /// Why.
        source: DecodeError,
    },
    /// Databases that the log leaves out.
    #[error(
        "the source does not log changes of {} (binlog_do_db, binlog_ignore_db): take these options out of the server's \
         configuration and restart it, or take the tables out of the list",
        databases.join(", ")
    )]
    NotLogged {
        /// The databases.
        databases: Vec<String>,
    },
    /// Sequences or system-versioned tables.
    #[error(
        "the table list selects {}, whose row events do not tell current rows: name the tables to replicate without them",
        special(tables)
    )]
    SpecialTables {
        /// The tables.
        tables: Vec<SpecialTable>,
    },
    /// Foreign keys whose cascades are not in the log.
    #[error(
        "the source does not log rows that foreign keys change: {}; drop these rules at the source and do their work \
         in the application, take the tables out of the list, or set allow_unlogged_cascades = true in [desc.pgsql] if \
         parents are never deleted and their keys never change",
        cascades(keys)
    )]
    UnloggedCascades {
        /// The foreign keys.
        keys: Vec<Cascade>,
    },
    /// No binlog file at all.
    #[error(
        "the source has no binlog files: SHOW BINARY LOGS is empty (set log_bin in its configuration and \
         restart it)"
    )]
    NoFiles,
    /// A value of the source that cannot be read.
    #[error(
        "the source answers {what} with {value:?}, which this program does not know: is the server older or newer than those \
         that the README lists?"
    )]
    Unexpected {
        /// What was asked.
        what: &'static str,
        /// The answer.
        value: String,
    },
}

fn special(tables: &[SpecialTable]) -> String {
    let names: Vec<String> = tables
        .iter()
        .map(|table| format!("{} ({})", table.name, table.kind.to_lowercase()))
        .collect();
    names.join(", ")
}

fn cascades(keys: &[Cascade]) -> String {
    let names: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                "{} of {} (on delete {}, on update {})",
                key.constraint,
                key.child,
                key.on_delete.to_lowercase(),
                key.on_update.to_lowercase()
            )
        })
        .collect();
    names.join(", ")
}

fn names(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// ER_ACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR and their like.
const ACCESS_DENIED: &[u16] = &[1044, 1045, 1142, 1227, 1698, 1820, 1862, 3118, 3159];
/// ER_UNKNOWN_DATABASE, ER_NOT_SUPPORTED_AUTH_MODE, ER_HOST_NOT_PRIVILEGED, ER_HOST_IS_BLOCKED.
const WRONG_ADDRESS: &[u16] = &[1049, 1251, 1130, 1129];
/// ER_CON_COUNT_ERROR, ER_SERVER_SHUTDOWN, ER_NORMAL_SHUTDOWN, ER_QUERY_INTERRUPTED,
/// ER_OUT_OF_RESOURCES, ER_TOO_MANY_USER_CONNECTIONS, ER_CONNECTION_KILLED (MariaDB).
const BUSY: &[u16] = &[1040, 1041, 1053, 1077, 1317, 1203, 1226, 1927];
/// ER_MASTER_FATAL_ERROR_READING_BINLOG.
const FATAL_READING_BINLOG: u16 = 1236;

/// ER_SLAVE_SAME_ID (MariaDB).
const SLAVE_SAME_ID: u16 = 4052;
/// How both families begin to say that a later dump has this one's server id.
const SAME_SERVER_ID: &str = "same server_uuid/server_id";

fn login_remedy(error: &mysql::Error) -> &'static str {
    if matches!(error, mysql::Error::MySqlError(error) if ACCESS_DENIED.contains(&error.code)) {
        " (correct user, password or password_file in [src.mysql], or create the user at the source)"
    } else if matches!(
        error,
        mysql::Error::DriverError(mysql::DriverError::TlsNotSupported)
    ) {
        " (switch TLS on at the source, or set ssl_mode = preferred in [src.mysql])"
    } else {
        ""
    }
}

fn stream_remedy(error: &mysql::Error) -> &'static str {
    let mysql::Error::MySqlError(error) = error else {
        return "";
    };
    if ACCESS_DENIED.contains(&error.code) {
        " (grant replication slave, replication client on *.* to the user of [src.mysql])"
    } else if error.code == FATAL_READING_BINLOG {
        " (the position is not, or no longer, one of this source's log: correct binlogfile_offset if it is wrong, and start \
         with an empty staging database; else load the tables anew, then run binlog_loader reset and start with an empty \
         staging database)"
    } else {
        ""
    }
}

fn io_error(error: &mysql::Error) -> Option<&std::io::Error> {
    if let mysql::Error::IoError(error) | mysql::Error::CodecError(PacketCodecError::Io(error)) =
        error
    {
        Some(error)
    } else {
        None
    }
}

fn class_of(error: &mysql::Error) -> ErrorClass {
    match error {
        mysql::Error::IoError(_) | mysql::Error::CodecError(_) => ErrorClass::Unreachable,
        mysql::Error::MySqlError(error) => match error.code {
            code if BUSY.contains(&code) => ErrorClass::Unreachable,
            code if ACCESS_DENIED.contains(&code) || WRONG_ADDRESS.contains(&code) => {
                ErrorClass::Usage
            }
            FATAL_READING_BINLOG => ErrorClass::Operator,
            _ => ErrorClass::Failed,
        },
        mysql::Error::DriverError(
            mysql::DriverError::TlsNotSupported
            | mysql::DriverError::UnknownAuthPlugin(_)
            | mysql::DriverError::OldMysqlPasswordDisabled
            | mysql::DriverError::CleartextPluginDisabled,
        ) => ErrorClass::Usage,
        // The rest is what a broken or half-open connection looks like.
        mysql::Error::DriverError(_) => ErrorClass::Unreachable,
        mysql::Error::UrlError(_) | mysql::Error::TlsError(_) => ErrorClass::Usage,
        mysql::Error::FromValueError(_) | mysql::Error::FromRowError(_) => ErrorClass::Failed,
    }
}

impl SourceError {
    /// Wraps an error of a statement.
    pub(super) fn query(operation: &'static str) -> impl FnOnce(mysql::Error) -> Self {
        move |source| Self::Query { operation, source }
    }

    /// A GTID set of the other family of servers.
    pub(crate) fn wrong_gtid_kind(set: &GtidSet) -> Self {
        Self::GtidStart {
            set: set.to_string(),
            reason: "is not of the source's kind: MySQL has uuid:1-77, MariaDB 0-1-270",
        }
    }

    /// What a failure to connect means.
    pub(super) fn connect(settings: &SourceSettings, source: mysql::Error) -> Self {
        let address = settings.address();
        let user = settings.user.clone();
        let Some(error) = io_error(&source) else {
            return Self::Connect {
                address,
                user,
                source,
            };
        };
        // The only directory of this name is the stand-in for the key's file.
        if error.kind() == std::io::ErrorKind::NotADirectory {
            return Self::NeedsPublicKey { address, user };
        }
        let tls = error.get_ref().and_then(|error| error.downcast_ref());
        match tls.cloned() {
            Some(source) => Self::Tls { address, source },
            None => Self::Connect {
                address,
                user,
                source,
            },
        }
    }

    /// What a failure of the stream means.
    pub(super) fn stream(server_id: u32, position: BinlogPosition, source: mysql::Error) -> Self {
        if let mysql::Error::MySqlError(error) = &source
            && (error.code == FATAL_READING_BINLOG || error.code == SLAVE_SAME_ID)
            && error.message.contains(SAME_SERVER_ID)
        {
            return Self::ServerIdClash { server_id };
        }
        Self::Stream { position, source }
    }

    /// The same, where the stream was asked for what comes after a GTID set.
    pub(super) fn of_gtid_start(self, set: &GtidSet) -> Self {
        if let Self::Stream {
            source: mysql::Error::MySqlError(error),
            ..
        } = &self
            && error.code == FATAL_READING_BINLOG
        {
            return Self::GtidsPurged {
                set: set.to_string(),
                source: Some(mysql::Error::MySqlError(error.clone())),
            };
        }
        self
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { source, .. }
            | Self::Query { source, .. }
            | Self::Stream { source, .. } => class_of(source),
            Self::Ended { .. } => ErrorClass::Unreachable,
            Self::Tls { .. }
            | Self::NeedsPublicKey { .. }
            | Self::Handshake { .. }
            | Self::File { .. }
            | Self::NoSuchFile { .. }
            | Self::NoSuchTable { .. }
            | Self::GtidStart { .. } => ErrorClass::Usage,
            Self::Checksum { .. }
            | Self::Damaged { .. }
            | Self::Setting { .. }
            | Self::Purged { .. }
            | Self::NoContinuation { .. }
            | Self::GtidsPurged { .. }
            | Self::ServerIdClash { .. }
            | Self::Definition { .. }
            | Self::SpecialTables { .. }
            | Self::NotLogged { .. }
            | Self::UnloggedCascades { .. }
            | Self::NoFiles
            | Self::Unexpected { .. } => ErrorClass::Operator,
        }
    }

    /// Whether the server simply does not offer TLS.
    pub(super) fn is_tls_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Connect {
                source: mysql::Error::DriverError(mysql::DriverError::TlsNotSupported),
                ..
            }
        )
    }
}
