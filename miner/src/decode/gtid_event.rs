//! Events that name transactions: GTID, ANONYMOUS_GTID, GTID_TAGGED, PREVIOUS_GTIDS and
//! MariaDB's GTID and GTID_LIST.
//!
//! MySQL (`control_events.h`, `Gtid_event`): flags u8, source uuid 16 bytes, number u64,
//! then since 5.7 a type byte 2 and two sequence numbers u64; since 8.0.1 the commit
//! timestamp in 7 bytes, whose bit 55 says that the original one follows; the
//! transaction's length (length-encoded), server versions and a group ticket.
//! GTID_TAGGED (8.3) carries the same as a `mysql::serialization` message.

use common::gtid::{Gtid, GtidSet, MariaDbGtid, MySqlGtid, SourceUuid, Tag};

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{code, event_name};
use super::xa::{XaId, xa_id};

/// Type byte in front of the sequence numbers.
const LOGICAL_TIMESTAMP: u8 = 2;

/// Bit in the commit timestamp: the original one follows.
const ORIGINAL_FOLLOWS: u64 = 1 << 55;

/// What a GTID event says about the transaction's commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnonymousGtid {
    /// Microseconds since 1970 of the commit on the server this log is from.
    pub immediate_commit_micros: Option<u64>,
    /// Microseconds since 1970 of the commit on the originating server.
    pub original_commit_micros: Option<u64>,
    /// Bytes of the whole transaction in the log, this event included.
    pub transaction_bytes: Option<u64>,
}

/// GTID of the transaction that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GtidEvent {
    /// The identifier.
    pub gtid: Gtid,
    /// Commit timestamps and length.
    pub commit: AnonymousGtid,
}

impl GtidEvent {
    /// Parses GTID.
    pub(super) fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::GTID), body);
        let (source, number) = parse_front(&mut fields)?;
        Ok(Self {
            gtid: mysql_gtid(&fields, source, None, number)?,
            commit: AnonymousGtid::parse_commit(&mut fields)?,
        })
    }
}

impl AnonymousGtid {
    /// Parses ANONYMOUS_GTID, whose uuid and number mean nothing.
    pub(super) fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(event_name(code::ANONYMOUS_GTID), body);
        parse_front(&mut fields)?;
        Self::parse_commit(&mut fields)
    }

    /// The part after the number, which old servers leave out from some point on.
    fn parse_commit(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        let mut commit = Self::default();
        if fields.is_empty() || fields.u8("timestamp type")? != LOGICAL_TIMESTAMP {
            return Ok(commit);
        }
        fields.u64("last committed")?;
        fields.u64("sequence number")?;
        if fields.is_empty() {
            return Ok(commit);
        }
        let immediate = fields.uint(7, "immediate commit timestamp")?;
        commit.immediate_commit_micros = known_time(immediate & !ORIGINAL_FOLLOWS);
        commit.original_commit_micros = if immediate & ORIGINAL_FOLLOWS == 0 {
            commit.immediate_commit_micros
        } else {
            known_time(fields.uint(7, "original commit timestamp")?)
        };
        if !fields.is_empty() {
            commit.transaction_bytes = Some(fields.lenenc("transaction length")?);
        }
        Ok(commit)
    }
}

/// Zero stands for an unknown time (a source older than 8.0.1).
fn known_time(micros: u64) -> Option<u64> {
    (micros != 0).then_some(micros)
}

fn parse_front(fields: &mut Fields<'_>) -> Result<(SourceUuid, u64), DecodeError> {
    fields.u8("flags")?;
    let source = SourceUuid(fields.array("source uuid")?);
    Ok((source, fields.u64("transaction number")?))
}

fn mysql_gtid(
    fields: &Fields<'_>,
    source: SourceUuid,
    tag: Option<Tag>,
    number: u64,
) -> Result<Gtid, DecodeError> {
    if number == 0 || i64::try_from(number).is_err() {
        return Err(fields.invalid("transaction number"));
    }
    Ok(Gtid::MySql(MySqlGtid {
        source,
        tag,
        number,
    }))
}

/// Either form of a GTID_TAGGED event.
pub(super) enum Tagged {
    Gtid(GtidEvent),
    Anonymous(AnonymousGtid),
}

/// Parses GTID_TAGGED.
///
/// A message (MySQL manual of sources, "MySQL Serialization Library") is its format
/// version, its size and the last field that a reader must know, then fields, each with
/// its id in front, in ascending order. All numbers are of variable length.
pub(super) fn parse_tagged(body: &[u8]) -> Result<Tagged, DecodeError> {
    let mut fields = Fields::new(event_name(code::GTID_TAGGED), body);
    if varlen(&mut fields, "format version")? != 1 {
        return Err(fields.invalid("format version"));
    }
    varlen(&mut fields, "message size")?;
    let last_needed = varlen(&mut fields, "last needed field")?;
    let mut uuid = [0; 16];
    let mut number = 0;
    let mut tag = None;
    let mut commit = AnonymousGtid::default();
    while !fields.is_empty() {
        match varlen(&mut fields, "field id")? {
            // Flags; a fixed-size byte is written like a variable one.
            0 => {
                varlen(&mut fields, "flags")?;
            }
            1 => {
                for byte in &mut uuid {
                    *byte = u8::try_from(varlen(&mut fields, "source uuid")?)
                        .map_err(|_| fields.invalid("source uuid"))?;
                }
            }
            2 => number = signed_varlen(&mut fields, "transaction number")?,
            3 => tag = parse_tag(&mut fields)?,
            4 | 5 => {
                varlen(&mut fields, "sequence number")?;
            }
            6 => {
                let micros = varlen(&mut fields, "immediate commit timestamp")?;
                commit.immediate_commit_micros = known_time(micros);
                commit.original_commit_micros = known_time(micros);
            }
            7 => {
                let micros = varlen(&mut fields, "original commit timestamp")?;
                commit.original_commit_micros = known_time(micros);
            }
            8 => commit.transaction_bytes = Some(varlen(&mut fields, "transaction length")?),
            // Server versions, group ticket; from 12 on unknown, hence of unknown size.
            id => {
                if id > last_needed {
                    break;
                }
                return Err(fields.invalid("field id"));
            }
        }
    }
    if number == 0 && uuid == [0; 16] {
        return Ok(Tagged::Anonymous(commit));
    }
    let gtid = mysql_gtid(&fields, SourceUuid(uuid), tag, number)?;
    Ok(Tagged::Gtid(GtidEvent { gtid, commit }))
}

/// A tag: length and characters; length 0 is no tag.
fn parse_tag(fields: &mut Fields<'_>) -> Result<Option<Tag>, DecodeError> {
    let len = varlen(fields, "tag")?;
    let len = usize::try_from(len).map_err(|_| fields.invalid("tag"))?;
    if len == 0 {
        return Ok(None);
    }
    let text = std::str::from_utf8(fields.take(len, "tag")?).map_err(|_| fields.invalid("tag"))?;
    text.parse().map(Some).map_err(|_| fields.invalid("tag"))
}

/// A number of 1 to 9 bytes: the count of low one bits in the first byte is the count
/// of further bytes; the value sits above those bits and one zero bit, little-endian.
fn varlen(fields: &mut Fields<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let first = fields.u8(field)?;
    let further = first.trailing_ones();
    let high = fields.uint(usize::try_from(further).unwrap_or(8), field)?;
    if further >= 7 {
        return Ok(high);
    }
    let low = u64::from(first) >> (further + 1);
    Ok(low | (high << (7 - further)))
}

/// A variable-length signed number: the sign is the lowest bit. Negative ones do not
/// occur in the fields read here.
fn signed_varlen(fields: &mut Fields<'_>, field: &'static str) -> Result<u64, DecodeError> {
    let value = varlen(fields, field)?;
    if value & 1 == 1 {
        return Err(fields.invalid(field));
    }
    Ok(value >> 1)
}

/// Parses PREVIOUS_GTIDS: a count u64, then per source its uuid, the tag (tagged form
/// only), the number of intervals u64 and per interval the first number and the one
/// after the last. In the tagged form the count sits in bits 8 to 55, between two bytes
/// with value 1 (`Gtid_set::encode` in `rpl_gtid_set.cc`).
pub(super) fn parse_previous(body: &[u8]) -> Result<GtidSet, DecodeError> {
    let event = event_name(code::PREVIOUS_GTIDS);
    let mut fields = Fields::new(event, body);
    let head = fields.u64("source count")?;
    let (tagged, sources) = match head >> 56 {
        0 => (false, head),
        1 => (true, (head & 0x00ff_ffff_ffff_ffff) >> 8),
        _ => return Err(fields.invalid("source count")),
    };
    let mut set = GtidSet::new();
    for _ in 0..sources {
        let source = SourceUuid(fields.array("source uuid")?);
        let tag = if tagged {
            parse_tag(&mut fields)?
        } else {
            None
        };
        for _ in 0..fields.u64("interval count")? {
            let first = fields.u64("interval start")?;
            let end = fields.u64("interval end")?;
            set.add_interval(source, tag.as_ref(), first, end.saturating_sub(1))
                .map_err(|source| DecodeError::Gtid { event, source })?;
        }
    }
    Ok(set)
}

/// MariaDB: what the flags say about the transaction that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MariaDbGtidEvent<'a> {
    /// The identifier.
    pub gtid: MariaDbGtid,
    /// How the transaction ends.
    pub form: MariaDbForm<'a>,
    /// `FL_DDL`: the transaction is a DDL statement.
    pub ddl: bool,
    /// `FL_TRANSACTIONAL`: only transactional tables are changed.
    pub transactional: bool,
    /// START ALTER, COMMIT ALTER or ROLLBACK ALTER (`binlog_alter_two_phase`).
    pub alter_phase: Option<AlterPhase>,
}

/// How a MariaDB transaction ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MariaDbForm<'a> {
    /// `FL_STANDALONE`: one statement (DDL), no COMMIT follows.
    Standalone,
    /// Ends with XID or COMMIT.
    Transaction,
    /// `FL_PREPARED_XA`: ends with XA_PREPARE.
    XaPrepared(XaId<'a>),
    /// `FL_COMPLETED_XA`: is the XA COMMIT or XA ROLLBACK statement.
    XaCompleted(XaId<'a>),
}

/// Part of an ALTER TABLE that is logged in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterPhase {
    /// The ALTER starts; tells nothing about its success.
    Start,
    /// The ALTER that started with this sequence number succeeded.
    Commit {
        /// Sequence number of the start.
        start_sequence: u64,
    },
    /// The ALTER that started with this sequence number failed.
    Rollback {
        /// Sequence number of the start.
        start_sequence: u64,
    },
}

impl<'a> MariaDbGtidEvent<'a> {
    /// Parses MariaDB's GTID (`log_event.h`, `Gtid_log_event`): sequence u64, domain
    /// u32, flags u8, commit id u64 if flag 2, XA id if flag 0x40 or 0x80, then further
    /// flags u8 and what they announce; padded with 0 to 19 bytes.
    pub(super) fn parse(server_id: u32, body: &'a [u8]) -> Result<Self, DecodeError> {
        const STANDALONE: u8 = 0x01;
        const GROUP_COMMIT_ID: u8 = 0x02;
        const TRANSACTIONAL: u8 = 0x04;
        const DDL: u8 = 0x20;
        const PREPARED_XA: u8 = 0x40;
        const COMPLETED_XA: u8 = 0x80;
        let mut fields = Fields::new(event_name(code::MARIADB_GTID), body);
        let sequence = fields.u64("sequence")?;
        let domain_id = fields.u32("domain")?;
        let flags = fields.u8("flags")?;
        if flags & GROUP_COMMIT_ID != 0 {
            fields.u64("commit id")?;
        }
        let form = match flags & (STANDALONE | PREPARED_XA | COMPLETED_XA) {
            0 => MariaDbForm::Transaction,
            STANDALONE => MariaDbForm::Standalone,
            PREPARED_XA => MariaDbForm::XaPrepared(parse_xid(&mut fields)?),
            _ if flags & COMPLETED_XA != 0 => MariaDbForm::XaCompleted(parse_xid(&mut fields)?),
            _ => return Err(fields.invalid("flags")),
        };
        Ok(Self {
            gtid: MariaDbGtid {
                domain_id,
                server_id,
                sequence,
            },
            form,
            ddl: flags & DDL != 0,
            transactional: flags & TRANSACTIONAL != 0,
            alter_phase: parse_alter_phase(&mut fields)?,
        })
    }
}

/// MariaDB's XA id: format u32, two lengths u8, the parts.
fn parse_xid<'a>(fields: &mut Fields<'a>) -> Result<XaId<'a>, DecodeError> {
    let format = fields.u32("format id")?;
    let global = fields.u8("gtrid length")?;
    let branch = fields.u8("bqual length")?;
    xa_id(fields, format, global.into(), branch.into())
}

fn parse_alter_phase(fields: &mut Fields<'_>) -> Result<Option<AlterPhase>, DecodeError> {
    const MULTI_ENGINE: u8 = 0x01;
    const START: u8 = 0x02;
    const COMMIT: u8 = 0x04;
    const ROLLBACK: u8 = 0x08;
    if fields.is_empty() {
        return Ok(None);
    }
    let flags = fields.u8("further flags")?;
    if flags & MULTI_ENGINE != 0 {
        fields.u8("engine count")?;
    }
    Ok(match flags & (START | COMMIT | ROLLBACK) {
        0 => None,
        START => Some(AlterPhase::Start),
        COMMIT => Some(AlterPhase::Commit {
            start_sequence: fields.u64("start sequence")?,
        }),
        ROLLBACK => Some(AlterPhase::Rollback {
            start_sequence: fields.u64("start sequence")?,
        }),
        _ => return Err(fields.invalid("further flags")),
    })
}

/// Parses MariaDB's GTID_LIST: count in the low 28 bits of a u32, then domain u32,
/// server u32 and sequence u64 each. A domain may occur once per server; the server
/// writes its most recent one last.
pub(super) fn parse_mariadb_list(body: &[u8]) -> Result<GtidSet, DecodeError> {
    let event = event_name(code::MARIADB_GTID_LIST);
    let mut fields = Fields::new(event, body);
    let count = fields.u32("count")? & 0x0fff_ffff;
    let mut set = GtidSet::new();
    for _ in 0..count {
        let gtid = MariaDbGtid {
            domain_id: fields.u32("domain")?,
            server_id: fields.u32("server")?,
            sequence: fields.u64("sequence")?,
        };
        set.add(&Gtid::MariaDb(gtid))
            .map_err(|source| DecodeError::Gtid { event, source })?;
    }
    Ok(set)
}
