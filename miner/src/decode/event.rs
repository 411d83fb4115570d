//! What an event is: its header, its kinds and the small ones' contents.
//!
//! [`super::EventParser`] makes these from bytes. Wire layouts are those of MySQL's
//! `libs/mysql/binlog/event/` headers (event classes' documentation) and MariaDB's
//! knowledge base, "Replication Protocol"; MariaDB's own kinds start at 160.

use std::borrow::Cow;
use std::sync::Arc;

use common::gtid::GtidSet;

use super::format::FormatDescription;
use super::gtid_event::{AnonymousGtid, GtidEvent, MariaDbGtidEvent};
use super::payload::TransactionPayload;
use super::query::QueryEvent;
use super::rows::RowsEvent;
use super::table_map::TableMap;
use super::xa::XaPrepare;

/// Flag in [`EventHeader::flags`]: a reader that does not know the event may skip it
/// (`LOG_EVENT_IGNORABLE_F`; MariaDB: `LOG_EVENT_SKIP_REPLICATION_F` is 0x8000).
pub const IGNORABLE_FLAG: u16 = 0x80;

/// Flag in [`EventHeader::flags`]: the event is not in the log file, the dump thread
/// made it up (`LOG_EVENT_ARTIFICIAL_F`).
pub const ARTIFICIAL_FLAG: u16 = 0x20;

/// The common header of every event (19 bytes on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHeader {
    /// Seconds since 1970 at which the statement started.
    pub timestamp: u32,
    /// Kind of event, see [`event_name`].
    pub event_type: u8,
    /// Server that originated the event.
    pub server_id: u32,
    /// Size of the event with header and checksum, in bytes.
    pub event_size: u32,
    /// Low 32 bits of the position after the event; 0 in artificial events.
    pub log_pos: u32,
    /// Flags, see [`IGNORABLE_FLAG`] and [`ARTIFICIAL_FLAG`].
    pub flags: u16,
}

impl EventHeader {
    /// Bytes of a header.
    pub const LEN: usize = 19;

    /// The header as it was on the wire.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields: [&[u8]; 6] = [
            &self.timestamp.to_le_bytes(),
            &[self.event_type],
            &self.server_id.to_le_bytes(),
            &self.event_size.to_le_bytes(),
            &self.log_pos.to_le_bytes(),
            &self.flags.to_le_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.iter().copied().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// Whether the event is one of those that make up a transaction, so that more of it
    /// follows: GTIDs, table maps, rows and what annotates them. Not all are told.
    pub fn is_within_transaction(&self) -> bool {
        matches!(
            self.event_type,
            code::GTID
                | code::GTID_TAGGED
                | code::MARIADB_GTID
                | code::TABLE_MAP
                | code::ROWS_QUERY
                | code::MARIADB_ANNOTATE
                | code::WRITE_ROWS_V1
                | code::UPDATE_ROWS_V1
                | code::DELETE_ROWS_V1
                | code::WRITE_ROWS
                | code::UPDATE_ROWS
                | code::DELETE_ROWS
        )
    }

    /// Reads a header: timestamp, type, server id, size, position, flags.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [
            t0,
            t1,
            t2,
            t3,
            kind,
            s0,
            s1,
            s2,
            s3,
            z0,
            z1,
            z2,
            z3,
            p0,
            p1,
            p2,
            p3,
            f0,
            f1,
        ] = *bytes;
        Self {
            timestamp: u32::from_le_bytes([t0, t1, t2, t3]),
            event_type: kind,
            server_id: u32::from_le_bytes([s0, s1, s2, s3]),
            event_size: u32::from_le_bytes([z0, z1, z2, z3]),
            log_pos: u32::from_le_bytes([p0, p1, p2, p3]),
            flags: u16::from_le_bytes([f0, f1]),
        }
    }
}

/// One event. Borrowed parts point into the body given to the parser.
#[derive(Debug)]
pub enum Event<'a> {
    /// First event of a file, and after a reconnect.
    FormatDescription(FormatDescription),
    /// The log goes on in another file; also the first event of a dump (artificial).
    Rotate {
        /// File name.
        file: &'a [u8],
        /// Position in that file, 64 bits.
        position: u64,
    },
    /// The file ends because the server stopped.
    Stop,
    /// A statement; also BEGIN, COMMIT, SAVEPOINT, XA statements.
    Query(QueryEvent<'a>),
    /// Commit of an InnoDB transaction, with the source's internal transaction id.
    Xid(u64),
    /// XA PREPARE, or XA COMMIT ... ONE PHASE.
    XaPrepare(XaPrepare<'a>),
    /// GTID of the next MySQL transaction, tagged or not.
    Gtid(GtidEvent),
    /// The next MySQL transaction has no GTID.
    AnonymousGtid(AnonymousGtid),
    /// MySQL GTIDs of all earlier files.
    PreviousGtids(GtidSet),
    /// GTID of the next MariaDB transaction, which also begins it.
    MariaDbGtid(MariaDbGtidEvent<'a>),
    /// MariaDB's binlog state at the start of a file; the last GTID listed for a domain
    /// is its position.
    MariaDbGtidList(GtidSet),
    /// Maps a table id to a table for the rows events that follow. Shared: the same
    /// bytes give the same `Arc` while they stay in the parser's cache.
    TableMap(Arc<TableMap>),
    /// Row changes of one table.
    Rows(RowsEvent<'a>),
    /// Row changes with partial JSON (`binlog_row_value_options`).
    PartialUpdateRows {
        /// Table id of the preceding table map.
        table_id: u64,
    },
    /// A whole transaction, compressed.
    TransactionPayload(TransactionPayload<'a>),
    /// Sent when the log is idle; the source's position.
    Heartbeat {
        /// Current file.
        file: &'a [u8],
        /// Current position; 64 bits in the second version.
        position: u64,
    },
    /// The source may have lost changes.
    Incident {
        /// 1 is `LOST_EVENTS`.
        code: u16,
        /// The source's words.
        message: &'a [u8],
    },
    /// Text of the statement that made the following row changes (MySQL).
    RowsQuery(&'a [u8]),
    /// Text of the statement that made the following row changes (MariaDB).
    Annotate(&'a [u8]),
    /// MariaDB: recovery need not look before this file.
    BinlogCheckpoint {
        /// File name.
        file: &'a [u8],
    },
    /// MariaDB: the rest of the file is encrypted (never seen over the network).
    StartEncryption,
    /// LAST_INSERT_ID or INSERT_ID of the next statement.
    Intvar {
        /// 1 LAST_INSERT_ID, 2 INSERT_ID.
        kind: u8,
        /// Its value.
        value: u64,
    },
    /// Seeds of RAND() in the next statement.
    Rand {
        /// First seed.
        seed1: u64,
        /// Second seed.
        seed2: u64,
    },
    /// A user variable used by the next statement.
    UserVar {
        /// Name, without the `@`.
        name: &'a [u8],
    },
    /// LOAD DATA logged as a statement, with its file's content.
    LoadData(LoadData<'a>),
    /// Group replication's certification and membership events; nothing to apply.
    GroupReplication {
        /// Event type, 36 or 37.
        event_type: u8,
    },
    /// Unknown here, and marked as ignorable by the source.
    Ignorable {
        /// Event type.
        event_type: u8,
    },
    /// Unknown here, and not ignorable.
    Unknown {
        /// Event type.
        event_type: u8,
    },
}

/// Parts of a LOAD DATA in statement format.
#[derive(Debug, PartialEq, Eq)]
pub enum LoadData<'a> {
    /// First block of the file.
    Begin {
        /// Ties the parts together.
        file_id: u32,
    },
    /// A further block.
    Append {
        /// Ties the parts together.
        file_id: u32,
    },
    /// Run the statement.
    Execute(QueryEvent<'a>),
    /// Forget the file.
    Delete {
        /// Ties the parts together.
        file_id: u32,
    },
}

/// Event type codes.
pub(super) mod code {
    pub(in crate::decode) const QUERY: u8 = 2;
    pub(in crate::decode) const STOP: u8 = 3;
    pub(in crate::decode) const ROTATE: u8 = 4;
    pub(in crate::decode) const INTVAR: u8 = 5;
    pub(in crate::decode) const APPEND_BLOCK: u8 = 9;
    pub(in crate::decode) const DELETE_FILE: u8 = 11;
    pub(in crate::decode) const RAND: u8 = 13;
    pub(in crate::decode) const USER_VAR: u8 = 14;
    pub(in crate::decode) const FORMAT_DESCRIPTION: u8 = 15;
    pub(in crate::decode) const XID: u8 = 16;
    pub(in crate::decode) const BEGIN_LOAD_QUERY: u8 = 17;
    pub(in crate::decode) const EXECUTE_LOAD_QUERY: u8 = 18;
    pub(in crate::decode) const TABLE_MAP: u8 = 19;
    pub(in crate::decode) const WRITE_ROWS_V1: u8 = 23;
    pub(in crate::decode) const UPDATE_ROWS_V1: u8 = 24;
    pub(in crate::decode) const DELETE_ROWS_V1: u8 = 25;
    pub(in crate::decode) const INCIDENT: u8 = 26;
    pub(in crate::decode) const HEARTBEAT: u8 = 27;
    pub(in crate::decode) const IGNORABLE: u8 = 28;
    pub(in crate::decode) const ROWS_QUERY: u8 = 29;
    pub(in crate::decode) const WRITE_ROWS: u8 = 30;
    pub(in crate::decode) const UPDATE_ROWS: u8 = 31;
    pub(in crate::decode) const DELETE_ROWS: u8 = 32;
    pub(in crate::decode) const GTID: u8 = 33;
    pub(in crate::decode) const ANONYMOUS_GTID: u8 = 34;
    pub(in crate::decode) const PREVIOUS_GTIDS: u8 = 35;
    pub(in crate::decode) const TRANSACTION_CONTEXT: u8 = 36;
    pub(in crate::decode) const VIEW_CHANGE: u8 = 37;
    pub(in crate::decode) const XA_PREPARE: u8 = 38;
    pub(in crate::decode) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(in crate::decode) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(in crate::decode) const HEARTBEAT_V2: u8 = 41;
    pub(in crate::decode) const GTID_TAGGED: u8 = 42;
    pub(in crate::decode) const MARIADB_ANNOTATE: u8 = 160;
    pub(in crate::decode) const MARIADB_BINLOG_CHECKPOINT: u8 = 161;
    pub(in crate::decode) const MARIADB_GTID: u8 = 162;
    pub(in crate::decode) const MARIADB_GTID_LIST: u8 = 163;
    pub(in crate::decode) const MARIADB_START_ENCRYPTION: u8 = 164;
    pub(in crate::decode) const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub(in crate::decode) const MARIADB_WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub(in crate::decode) const MARIADB_UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub(in crate::decode) const MARIADB_DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub(in crate::decode) const MARIADB_WRITE_ROWS_COMPRESSED: u8 = 169;
    pub(in crate::decode) const MARIADB_UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub(in crate::decode) const MARIADB_DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// The server's name of an event type, for messages.
pub fn event_name(event_type: u8) -> &'static str {
    match event_type {
        1 => "Start_v3",
        code::QUERY => "Query",
        code::STOP => "Stop",
        code::ROTATE => "Rotate",
        code::INTVAR => "Intvar",
        6 => "Load",
        8 => "Create_file",
        code::APPEND_BLOCK => "Append_block",
        10 => "Exec_load",
        code::DELETE_FILE => "Delete_file",
        12 => "New_load",
        code::RAND => "Rand",
        code::USER_VAR => "User_var",
        code::FORMAT_DESCRIPTION => "Format_desc",
        code::XID => "Xid",
        code::BEGIN_LOAD_QUERY => "Begin_load_query",
        code::EXECUTE_LOAD_QUERY => "Execute_load_query",
        code::TABLE_MAP => "Table_map",
        20 => "Write_rows_event_old",
        21 => "Update_rows_event_old",
        22 => "Delete_rows_event_old",
        code::WRITE_ROWS_V1 => "Write_rows_v1",
        code::UPDATE_ROWS_V1 => "Update_rows_v1",
        code::DELETE_ROWS_V1 => "Delete_rows_v1",
        code::INCIDENT => "Incident",
        code::HEARTBEAT => "Heartbeat",
        code::IGNORABLE => "Ignorable",
        code::ROWS_QUERY => "Rows_query",
        code::WRITE_ROWS => "Write_rows",
        code::UPDATE_ROWS => "Update_rows",
        code::DELETE_ROWS => "Delete_rows",
        code::GTID => "Gtid",
        code::ANONYMOUS_GTID => "Anonymous_Gtid",
        code::PREVIOUS_GTIDS => "Previous_gtids",
        code::TRANSACTION_CONTEXT => "Transaction_context",
        code::VIEW_CHANGE => "View_change",
        code::XA_PREPARE => "XA_prepare",
        code::PARTIAL_UPDATE_ROWS => "Update_rows_partial",
        code::TRANSACTION_PAYLOAD => "Transaction_payload",
        code::HEARTBEAT_V2 => "Heartbeat_v2",
        code::GTID_TAGGED => "Gtid_tagged",
        code::MARIADB_ANNOTATE => "Annotate_rows",
        code::MARIADB_BINLOG_CHECKPOINT => "Binlog_checkpoint",
        code::MARIADB_GTID => "MariaDB Gtid",
        code::MARIADB_GTID_LIST => "Gtid_list",
        code::MARIADB_START_ENCRYPTION => "Start_encryption",
        code::MARIADB_QUERY_COMPRESSED => "Query_compressed",
        code::MARIADB_WRITE_ROWS_COMPRESSED_V1 => "Write_rows_compressed_v1",
        code::MARIADB_UPDATE_ROWS_COMPRESSED_V1 => "Update_rows_compressed_v1",
        code::MARIADB_DELETE_ROWS_COMPRESSED_V1 => "Delete_rows_compressed_v1",
        code::MARIADB_WRITE_ROWS_COMPRESSED => "Write_rows_compressed",
        code::MARIADB_UPDATE_ROWS_COMPRESSED => "Update_rows_compressed",
        code::MARIADB_DELETE_ROWS_COMPRESSED => "Delete_rows_compressed",
        _ => "Unknown",
    }
}

/// Bytes that are either the event's own or decompressed from it.
pub type EventBytes<'a> = Cow<'a, [u8]>;
