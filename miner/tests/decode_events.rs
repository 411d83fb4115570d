//! Every kind of event of real binlog files, as text that a person has read.
//!
//! `MYSQL2GP_BLESS=1 cargo test -p miner --test main events` writes the `.expected` files
//! anew; the diff is to be reviewed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use common::table::TableDefinition;
use miner::decode::{
    Event, EventHeader, EventParser, NulBytePolicy, RowDecoder, RowImage, RowsEvent, TableMap,
    event_name,
};

use crate::decode_golden::{catalog, data, events};

/// Prints events.
struct Printer {
    catalog: HashMap<String, TableDefinition>,
    maps: HashMap<u64, Arc<TableMap>>,
    text: String,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Printer {
    fn print(name: &str) -> String {
        let file = fs::read(data(&format!("{name}.binlog"))).unwrap();
        let mut printer = Self {
            catalog: catalog(name),
            maps: HashMap::new(),
            text: String::new(),
        };
        let mut parser = EventParser::new();
        for (header, body) in events(&file) {
            write!(printer.text, "{}", event_name(header.event_type)).unwrap();
            match parser.parse(&header, body) {
                Ok(event) => printer.event(&header, &event),
                Err(error) => write!(printer.text, " error: {error}").unwrap(),
            }
            printer.text.push('\n');
        }
        printer.text
    }

    fn event(&mut self, header: &EventHeader, event: &Event<'_>) {
        let text = match event {
            Event::FormatDescription(format) => format!(
                " {} {:?} created={} checksum={:?}",
                format.server_version,
                format.flavor,
                format.created == format.timestamp,
                format.checksum
            ),
            Event::Rotate { file, position } => format!(" {}:{position}", lossy(file)),
            Event::Query(query) => format!(
                " {:?} database={:?} error={} sql_mode={:?} ddl_xid={}",
                lossy(&query.statement),
                lossy(query.database),
                query.error_code,
                query.status.sql_mode,
                query.status.ddl_xid.is_some()
            ),
            Event::Xid(_) => String::new(),
            Event::XaPrepare(prepare) => {
                format!(" {:?} {}", prepare.phase, prepare.xid.to_sql())
            }
            Event::Gtid(gtid) => format!(
                " {} commit_time={} bytes={:?}",
                gtid.gtid,
                gtid.commit.immediate_commit_micros.is_some(),
                gtid.commit.transaction_bytes
            ),
            Event::AnonymousGtid(commit) => {
                format!(" commit_time={}", commit.immediate_commit_micros.is_some())
            }
            Event::PreviousGtids(set) | Event::MariaDbGtidList(set) => format!(" {set}"),
            Event::MariaDbGtid(gtid) => format!(
                " {} {:?} ddl={} transactional={} {:?}",
                gtid.gtid, gtid.form, gtid.ddl, gtid.transactional, gtid.alter_phase
            ),
            Event::TableMap(map) => {
                self.maps.insert(map.table_id, Arc::clone(map));
                format!(" {} {} columns", map.name, map.columns.len())
            }
            Event::Rows(rows) => self.rows(rows),
            Event::RowsQuery(statement) | Event::Annotate(statement) => {
                format!(" {:?}", lossy(statement))
            }
            Event::BinlogCheckpoint { file } => format!(" {}", lossy(file)),
            Event::UserVar { name } => format!(" {}", lossy(name)),
            other @ (Event::Stop
            | Event::PartialUpdateRows { .. }
            | Event::TransactionPayload(_)
            | Event::Heartbeat { .. }
            | Event::Incident { .. }
            | Event::StartEncryption
            | Event::Intvar { .. }
            | Event::Rand { .. }
            | Event::LoadData(_)
            | Event::GroupReplication { .. }
            | Event::Ignorable { .. }
            | Event::Unknown { .. }) => format!(" {other:?}"),
        };
        assert!(header.event_size >= 19);
        self.text.push_str(&text);
    }

    fn rows(&self, event: &RowsEvent<'_>) -> String {
        let map = &self.maps[&event.table_id];
        let mut text = format!(
            " {:?} end={:?} foreign_keys={}",
            event.operation, event.statement_end, event.foreign_keys_checked
        );
        // Tables that a later statement changed or dropped have no definition any more.
        let decoder = self
            .catalog
            .get(&map.name.table)
            .and_then(|definition| RowDecoder::new(map, definition, NulBytePolicy::Error).ok());
        let Some(decoder) = decoder else {
            return text;
        };
        let mut input: &[u8] = &event.rows;
        let mut image = RowImage::new();
        while !input.is_empty() {
            image.clear();
            for (name, present) in [("before", event.before), ("after", event.after)] {
                let Some(present) = present else { continue };
                let start = image.len();
                if let Err(error) = decoder.decode(&mut input, present, &mut image) {
                    write!(text, "\n  error: {error}").unwrap();
                    return text;
                }
                let cells: Vec<String> = image.cells().skip(start).map(lossy).collect();
                write!(text, "\n  {name}: {}", cells.join(" | ")).unwrap();
            }
        }
        text
    }
}

fn check(name: &str) {
    let found = Printer::print(name);
    let path = data(&format!("{name}.expected"));
    if std::env::var_os("MYSQL2GP_BLESS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{name} line {}", number + 1);
    }
    assert_eq!(expected.len(), found.len(), "{name}");
}

#[test]
fn events_of_mysql_5_7_are_as_expected() {
    check("mysql57_events");
}

#[test]
fn events_of_mysql_9_7_are_as_expected() {
    check("mysql97_events");
}

#[test]
fn events_of_mariadb_10_11_are_as_expected() {
    check("mariadb1011_events");
}

#[test]
fn events_of_mariadb_11_8_are_as_expected() {
    check("mariadb118_events");
}
