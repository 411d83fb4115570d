//! From an event's header and body to an [`Event`].

use std::sync::Arc;

use hashbrown::HashMap;

use super::bytes::Fields;
use super::error::DecodeError;
use super::event::{Event, EventHeader, IGNORABLE_FLAG, LoadData, code, event_name};
use super::format::{Flavor, FormatDescription};
use super::gtid_event::{
    AnonymousGtid, GtidEvent, MariaDbGtidEvent, Tagged, parse_mariadb_list, parse_previous,
    parse_tagged,
};
use super::payload::TransactionPayload;
use super::query::QueryEvent;
use super::rows::RowsEvent;
use super::table_map::TableMap;
use super::xa::XaPrepare;

/// Length of a table id, unless the format description says that it is 4.
const TABLE_ID_BYTES: usize = 6;

/// Table maps kept; a source that writes more tables than this in turn has them parsed
/// again and again, which costs time only.
const CACHED_TABLE_MAPS: usize = 256;

/// Bodies longer than this are not kept, so that the cache stays small.
const CACHED_BODY_BYTES: usize = 32 * 1024;

/// Parses events in the order of the stream. Its only state is the last
/// FORMAT_DESCRIPTION and a cache of table maps.
#[derive(Debug, Default)]
pub struct EventParser {
    format: Option<FormatDescription>,
    table_maps: HashMap<u64, CachedTableMap>,
}

/// A table map with the bytes that it was parsed from.
#[derive(Debug)]
struct CachedTableMap {
    body: Vec<u8>,
    map: Arc<TableMap>,
}

impl EventParser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last FORMAT_DESCRIPTION.
    pub fn format(&self) -> Option<&FormatDescription> {
        self.format.as_ref()
    }

    /// Parses one event. `body` is everything after the header, without the checksum,
    /// which the caller has verified.
    ///
    /// # Errors
    /// A body that is cut or contradicts its format, or asks for something that is not
    /// supported. Unknown event types are no errors here: see [`Event::Unknown`].
    pub fn parse<'a>(
        &mut self,
        header: &EventHeader,
        body: &'a [u8],
    ) -> Result<Event<'a>, DecodeError> {
        let event_type = header.event_type;
        match event_type {
            code::FORMAT_DESCRIPTION => self.parse_format(header, body),
            code::TABLE_MAP => self.parse_table_map(body).map(Event::TableMap),
            code::QUERY => QueryEvent::parse(body, self.post_header(event_type)).map(Event::Query),
            code::GTID => GtidEvent::parse(body).map(Event::Gtid),
            code::ANONYMOUS_GTID => AnonymousGtid::parse(body).map(Event::AnonymousGtid),
            code::GTID_TAGGED => parse_tagged(body).map(|event| match event {
                Tagged::Gtid(gtid) => Event::Gtid(gtid),
                Tagged::Anonymous(commit) => Event::AnonymousGtid(commit),
            }),
            code::PREVIOUS_GTIDS => parse_previous(body).map(Event::PreviousGtids),
            code::XA_PREPARE => XaPrepare::parse(body).map(Event::XaPrepare),
            code::PARTIAL_UPDATE_ROWS => {
                RowsEvent::parse_table_id(event_type, body, self.table_id_bytes(event_type))
                    .map(|table_id| Event::PartialUpdateRows { table_id })
            }
            code::TRANSACTION_PAYLOAD => {
                TransactionPayload::parse(body).map(Event::TransactionPayload)
            }
            code::STOP => Ok(Event::Stop),
            code::TRANSACTION_CONTEXT | code::VIEW_CHANGE => {
                Ok(Event::GroupReplication { event_type })
            }
            160..=171 => self.parse_mariadb(header, body),
            _ => match self.parse_rows(event_type, body)? {
                Some(rows) => Ok(Event::Rows(rows)),
                None => self.parse_simple(header, body),
            },
        }
    }

    fn parse_format(
        &mut self,
        header: &EventHeader,
        body: &[u8],
    ) -> Result<Event<'static>, DecodeError> {
        let format = FormatDescription::parse(header, body)?;
        self.table_maps.clear();
        self.format = Some(format.clone());
        Ok(Event::FormatDescription(format))
    }

    fn parse_table_map(&mut self, body: &[u8]) -> Result<Arc<TableMap>, DecodeError> {
        let id_bytes = self.table_id_bytes(code::TABLE_MAP);
        let table_id = Fields::new(event_name(code::TABLE_MAP), body).uint(id_bytes, "table id")?;
        if let Some(cached) = self.table_maps.get(&table_id)
            && cached.body == body
        {
            return Ok(Arc::clone(&cached.map));
        }
        let map = Arc::new(TableMap::parse(body, id_bytes, self.flavor())?);
        if body.len() <= CACHED_BODY_BYTES {
            if self.table_maps.len() >= CACHED_TABLE_MAPS {
                self.table_maps.clear();
            }
            let entry = CachedTableMap {
                body: body.to_vec(),
                map: Arc::clone(&map),
            };
            self.table_maps.insert(table_id, entry);
        }
        Ok(map)
    }

    fn parse_rows<'a>(
        &self,
        event_type: u8,
        body: &'a [u8],
    ) -> Result<Option<RowsEvent<'a>>, DecodeError> {
        RowsEvent::parse(event_type, body, self.table_id_bytes(event_type))
    }

    /// Events that only MariaDB writes. MySQL does not use these numbers, so a MySQL
    /// source that sends one is newer than this program.
    fn parse_mariadb<'a>(
        &self,
        header: &EventHeader,
        body: &'a [u8],
    ) -> Result<Event<'a>, DecodeError> {
        let event_type = header.event_type;
        if self.format.is_some() && self.flavor() == Flavor::MySql {
            return Ok(unknown(header));
        }
        match event_type {
            code::MARIADB_ANNOTATE => Ok(Event::Annotate(body)),
            code::MARIADB_BINLOG_CHECKPOINT => parse_checkpoint(body),
            code::MARIADB_GTID => {
                MariaDbGtidEvent::parse(header.server_id, body).map(Event::MariaDbGtid)
            }
            code::MARIADB_GTID_LIST => parse_mariadb_list(body).map(Event::MariaDbGtidList),
            code::MARIADB_START_ENCRYPTION => Ok(Event::StartEncryption),
            code::MARIADB_QUERY_COMPRESSED => {
                QueryEvent::parse_compressed(body, self.post_header(event_type)).map(Event::Query)
            }
            _ => Ok(match self.parse_rows(event_type, body)? {
                Some(rows) => Event::Rows(rows),
                None => unknown(header),
            }),
        }
    }

    /// Events without state and with few fields.
    fn parse_simple<'a>(
        &self,
        header: &EventHeader,
        body: &'a [u8],
    ) -> Result<Event<'a>, DecodeError> {
        let mut fields = Fields::new(event_name(header.event_type), body);
        Ok(match header.event_type {
            code::ROTATE => Event::Rotate {
                position: fields.u64("position")?,
                file: fields.rest(),
            },
            code::XID => Event::Xid(fields.u64("xid")?),
            code::INTVAR => Event::Intvar {
                kind: fields.u8("kind")?,
                value: fields.u64("value")?,
            },
            code::RAND => Event::Rand {
                seed1: fields.u64("first seed")?,
                seed2: fields.u64("second seed")?,
            },
            code::USER_VAR => {
                let len = usize::try_from(fields.u32("name length")?)
                    .map_err(|_| fields.invalid("name length"))?;
                Event::UserVar {
                    name: fields.take(len, "name")?,
                }
            }
            code::INCIDENT => Event::Incident {
                code: fields.u16("incident")?,
                message: fields.short_bytes("message")?,
            },
            // Its length byte is not reliable for texts over 255 bytes.
            code::ROWS_QUERY => {
                fields.u8("length")?;
                Event::RowsQuery(fields.rest())
            }
            code::HEARTBEAT => Event::Heartbeat {
                file: fields.rest(),
                position: header.log_pos.into(),
            },
            code::HEARTBEAT_V2 => parse_heartbeat_v2(&mut fields)?,
            code::BEGIN_LOAD_QUERY => Event::LoadData(LoadData::Begin {
                file_id: fields.u32("file id")?,
            }),
            code::APPEND_BLOCK => Event::LoadData(LoadData::Append {
                file_id: fields.u32("file id")?,
            }),
            code::DELETE_FILE => Event::LoadData(LoadData::Delete {
                file_id: fields.u32("file id")?,
            }),
            code::EXECUTE_LOAD_QUERY => Event::LoadData(LoadData::Execute(
                QueryEvent::parse_execute_load(body, self.post_header(header.event_type))?,
            )),
            code::IGNORABLE => Event::Ignorable {
                event_type: header.event_type,
            },
            _ => unknown(header),
        })
    }

    /// Before the first FORMAT_DESCRIPTION, MySQL.
    fn flavor(&self) -> Flavor {
        self.format
            .as_ref()
            .map_or(Flavor::MySql, |format| format.flavor)
    }

    fn post_header(&self, event_type: u8) -> Option<usize> {
        self.format.as_ref()?.post_header_length(event_type)
    }

    /// A fixed part of 6 bytes has a table id of 4.
    fn table_id_bytes(&self, event_type: u8) -> usize {
        if self.post_header(event_type) == Some(6) {
            4
        } else {
            TABLE_ID_BYTES
        }
    }
}

fn unknown(header: &EventHeader) -> Event<'static> {
    let event_type = header.event_type;
    if header.flags & IGNORABLE_FLAG == 0 {
        Event::Unknown { event_type }
    } else {
        Event::Ignorable { event_type }
    }
}

/// BINLOG_CHECKPOINT: length u32 and file name.
fn parse_checkpoint(body: &[u8]) -> Result<Event<'_>, DecodeError> {
    let mut fields = Fields::new(event_name(code::MARIADB_BINLOG_CHECKPOINT), body);
    let len = usize::try_from(fields.u32("file name length")?)
        .map_err(|_| fields.invalid("file name length"))?;
    Ok(Event::BinlogCheckpoint {
        file: fields.take(len, "file name")?,
    })
}

/// HEARTBEAT_V2 (`codecs/binary.h`): fields of type, length, value until type 0; 1 is
/// the file name, 2 the position (length-encoded).
fn parse_heartbeat_v2<'a>(fields: &mut Fields<'a>) -> Result<Event<'a>, DecodeError> {
    let (mut file, mut position) = (None, None);
    loop {
        let kind = fields.lenenc("field type")?;
        if kind == 0 {
            break;
        }
        let len = fields.lenenc_size("field length")?;
        let mut value = fields.sub(len, "field value")?;
        match kind {
            1 => file = Some(value.rest()),
            2 => position = Some(value.lenenc("position")?),
            _ => {}
        }
    }
    Ok(Event::Heartbeat {
        file: file.ok_or_else(|| fields.cut("file name"))?,
        position: position.ok_or_else(|| fields.cut("position"))?,
    })
}
