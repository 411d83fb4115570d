//! QUERY: a statement and the session settings that it needs.
//!
//! Wire: thread u32, seconds u32, length of the database name u8, error code u16, length
//! of the status variables u16, status variables, database name and 0, statement. The
//! status variables are a sequence of code and value without lengths, so reading stops
//! at the first unknown code (as the servers do).

use std::borrow::Cow;

use super::bytes::Fields;
use super::compressed::decompress_record;
use super::error::DecodeError;
use super::event::{EventBytes, code, event_name};

/// Length of the fixed part on all supported servers.
const POST_HEADER_BYTES: usize = 13;

/// More statement text than any server sends (`max_allowed_packet` is at most 1 GB).
const MAX_STATEMENT_BYTES: u64 = 1 << 30;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryEvent<'a> {
    /// Connection at the source; with the table name it identifies a temporary table.
    pub thread_id: u32,
    /// Default database, empty if none.
    pub database: &'a [u8],
    /// The statement in the client's charset ([`StatusVariables::client_collation`]).
    pub statement: EventBytes<'a>,
    /// Error that the statement ended with at the source; 0 if it succeeded.
    pub error_code: u16,
    /// Session settings.
    pub status: StatusVariables,
}

/// Session settings that a QUERY event carries, as far as they matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusVariables {
    /// `Q_FLAGS2_CODE`: option bits, such as 0x04000000 for foreign_key_checks = 0.
    pub flags2: Option<u32>,
    /// `Q_SQL_MODE_CODE`: bits of sql_mode, such as NO_BACKSLASH_ESCAPES.
    pub sql_mode: Option<u64>,
    /// `Q_CHARSET_CODE`: collation id of character_set_client.
    pub client_collation: Option<u16>,
    /// `Q_CHARSET_DATABASE_CODE`: collation id of the default database.
    pub database_collation: Option<u16>,
    /// `Q_DEFAULT_COLLATION_FOR_UTF8MB4`: what a bare `utf8mb4` means.
    pub utf8mb4_collation: Option<u16>,
    /// `Q_MICROSECONDS` or MariaDB's `Q_HRNOW`: microseconds of the header's time.
    pub microseconds: Option<u32>,
    /// `Q_DDL_LOGGED_WITH_XID` or MariaDB's `Q_XID`: the statement committed this
    /// transaction.
    pub ddl_xid: Option<u64>,
}

impl<'a> QueryEvent<'a> {
    /// Parses a plain QUERY event.
    pub(super) fn parse(body: &'a [u8], post_header: Option<usize>) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::QUERY), body);
        let mut query = Self::parse_front(&mut fields, post_header, 0)?;
        query.statement = Cow::Borrowed(fields.rest());
        Ok(query)
    }

    /// Parses MariaDB's QUERY_COMPRESSED event.
    pub(super) fn parse_compressed(
        body: &'a [u8],
        post_header: Option<usize>,
    ) -> Result<Self, DecodeError> {
        let event = event_name(code::MARIADB_QUERY_COMPRESSED);
        let mut fields = Fields::new(event, body);
        let mut query = Self::parse_front(&mut fields, post_header, 0)?;
        query.statement = Cow::Owned(decompress_record(
            event,
            fields.rest(),
            MAX_STATEMENT_BYTES,
        )?);
        Ok(query)
    }

    /// Parses EXECUTE_LOAD_QUERY: 13 further bytes (file id u32, two offsets into the
    /// statement u32, duplicate handling u8) follow the fixed part.
    pub(super) fn parse_execute_load(
        body: &'a [u8],
        post_header: Option<usize>,
    ) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::EXECUTE_LOAD_QUERY), body);
        let mut query = Self::parse_front(&mut fields, post_header, 13)?;
        query.statement = Cow::Borrowed(fields.rest());
        Ok(query)
    }

    /// Everything before the statement.
    fn parse_front(
        fields: &mut Fields<'a>,
        post_header: Option<usize>,
        further: usize,
    ) -> Result<Self, DecodeError> {
        let known = POST_HEADER_BYTES + further;
        let thread_id = fields.u32("thread id")?;
        fields.u32("seconds")?;
        let database_len = fields.u8("database length")?;
        let error_code = fields.u16("error code")?;
        let status_len = fields.u16("status variables length")?;
        fields.take(further, "load parameters")?;
        let extension = post_header.unwrap_or(known).saturating_sub(known);
        fields.take(extension, "post-header")?;
        let mut status = fields.sub(status_len.into(), "status variables")?;
        let database = fields.take(database_len.into(), "database")?;
        if fields.u8("database terminator")? != 0 {
            return Err(fields.invalid("database terminator"));
        }
        Ok(Self {
            thread_id,
            database,
            statement: Cow::Borrowed(&[]),
            error_code,
            status: StatusVariables::parse(&mut status)?,
        })
    }
}

impl StatusVariables {
    fn parse(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        const FIELD: &str = "status variable";
        let mut status = Self::default();
        while !fields.is_empty() {
            match fields.u8(FIELD)? {
                0 => status.flags2 = Some(fields.u32(FIELD)?),
                1 => status.sql_mode = Some(fields.u64(FIELD)?),
                // Q_CATALOG, which ends with a 0 outside its length.
                2 => {
                    fields.short_bytes(FIELD)?;
                    fields.u8(FIELD)?;
                }
                // Q_AUTO_INCREMENT, Q_MASTER_DATA_WRITTEN.
                3 | 10 => {
                    fields.u32(FIELD)?;
                }
                4 => {
                    status.client_collation = Some(fields.u16(FIELD)?);
                    fields.u32(FIELD)?;
                }
                // Q_TIME_ZONE, Q_CATALOG_NZ.
                5 | 6 => {
                    fields.short_bytes(FIELD)?;
                }
                // Q_LC_TIME_NAMES.
                7 => {
                    fields.u16(FIELD)?;
                }
                8 => status.database_collation = Some(fields.u16(FIELD)?),
                // Q_TABLE_MAP_FOR_UPDATE.
                9 => {
                    fields.u64(FIELD)?;
                }
                // Q_INVOKER.
                11 => {
                    fields.short_bytes(FIELD)?;
                    fields.short_bytes(FIELD)?;
                }
                12 => skip_database_names(fields)?,
                13 | 128 => {
                    let [a, b, c] = fields.array(FIELD)?;
                    status.microseconds = Some(u32::from_le_bytes([a, b, c, 0]));
                }
                // Q_EXPLICIT_DEFAULTS_FOR_TIMESTAMP, Q_SQL_REQUIRE_PRIMARY_KEY,
                // Q_DEFAULT_TABLE_ENCRYPTION.
                16 | 19 | 20 => {
                    fields.u8(FIELD)?;
                }
                17 | 129 => status.ddl_xid = Some(fields.u64(FIELD)?),
                18 => status.utf8mb4_collation = Some(fields.u16(FIELD)?),
                _ => break,
            }
        }
        Ok(status)
    }
}

/// Q_UPDATED_DB_NAMES: a count (254 stands for "too many" and has no names), then names
/// that end with 0.
fn skip_database_names(fields: &mut Fields<'_>) -> Result<(), DecodeError> {
    const FIELD: &str = "updated databases";
    const TOO_MANY: u8 = 254;
    let count = fields.u8(FIELD)?;
    if count == TOO_MANY {
        return Ok(());
    }
    for _ in 0..count {
        while fields.u8(FIELD)? != 0 {}
    }
    Ok(())
}
