//! The decoder against another one that shares no code with it: `mysql_cdc`, on real files.
//!
//! Row by row, before and after images, value by value, in the types that `mysql_cdc` 0.2.1
//! reads right. What it does not: microseconds (cut to milliseconds), negative TIME, YEAR 0,
//! text and binary strings that are not UTF-8 (the whole event is an error), BINARY(n) (not
//! padded), JSON and geometries (left as bytes), the types of MariaDB and VECTOR, compressed
//! events and transactions (unknown to it). It leaves numbers unsigned: the sign is applied
//! here.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::sync::Arc;

use common::table::{Column, ColumnType, IntegerWidth, Sign, TableDefinition};
use miner::decode::{Event, EventParser, NulBytePolicy, RowDecoder, RowImage, RowsEvent, TableMap};
use mysql_cdc::binlog_reader::BinlogReader;
use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_cdc::events::row_events::mysql_value::{DateTime, MySqlValue};
use mysql_cdc::events::row_events::row_data::RowData;

use crate::decode_golden::{catalog, data, events, unescape};

/// Events with a value that the other decoder cannot read.
const UNREAD: &str = "events that it cannot read";

/// Cells of a row image as plain bytes; `None` is NULL.
type Image = Vec<Option<Vec<u8>>>;

/// What our decoder reads of a file: images by the number of their event.
struct Ours {
    catalog: HashMap<String, TableDefinition>,
    maps: HashMap<u64, Arc<TableMap>>,
    images: BTreeMap<usize, (TableDefinition, Vec<Image>)>,
}

impl Ours {
    fn read(name: &str) -> Self {
        let file = fs::read(data(&format!("{name}.binlog"))).unwrap();
        let mut ours = Self {
            catalog: catalog(name),
            maps: HashMap::new(),
            images: BTreeMap::new(),
        };
        let mut parser = EventParser::new();
        for (number, (header, body)) in events(&file).into_iter().enumerate() {
            match parser.parse(&header, body).unwrap() {
                Event::TableMap(map) => {
                    ours.maps.insert(map.table_id, map);
                }
                Event::Rows(rows) => ours.take(number, &rows),
                _ => {}
            }
        }
        ours
    }

    /// Tables that a later statement changed, and partial images, are left out.
    fn take(&mut self, number: usize, event: &RowsEvent<'_>) {
        let map = &self.maps[&event.table_id];
        let Some(definition) = self.catalog.get(&map.name.table) else {
            return;
        };
        let Ok(decoder) = RowDecoder::new(map, definition, NulBytePolicy::Error) else {
            return;
        };
        let mut images = Vec::new();
        let mut input: &[u8] = &event.rows;
        while !input.is_empty() {
            for present in [event.before, event.after].into_iter().flatten() {
                let mut image = RowImage::new();
                if decoder.decode(&mut input, present, &mut image).is_err() {
                    return;
                }
                images.push(image.cells().map(unescape).collect());
            }
        }
        self.images.insert(number, (definition.clone(), images));
    }
}

/// What the other decoder reads of a rows event.
fn theirs(event: BinlogEvent) -> Option<Vec<RowData>> {
    match event {
        BinlogEvent::WriteRowsEvent(event) => Some(event.rows),
        BinlogEvent::DeleteRowsEvent(event) => Some(event.rows),
        BinlogEvent::UpdateRowsEvent(event) => Some(
            event
                .rows
                .into_iter()
                .flat_map(|row| [row.before_update, row.after_update])
                .collect(),
        ),
        _ => None,
    }
}

/// Compares a file; how many values of which type were equal.
fn compare(name: &str) -> BTreeMap<&'static str, usize> {
    let ours = Ours::read(name);
    let file = File::open(data(&format!("{name}.binlog"))).unwrap();
    let mut compared = BTreeMap::new();
    let mut reader = BinlogReader::new(file).unwrap();
    let last = ours.images.keys().last().copied().unwrap();
    for number in 0..=last {
        // It takes a bad event for the end of the file, and could go on.
        let result = reader.read_event();
        let Some((definition, images)) = ours.images.get(&number) else {
            continue;
        };
        // An event with a value that it cannot read.
        let Some(rows) = result.ok().and_then(|(_, event)| theirs(event)) else {
            *compared.entry(UNREAD).or_default() += 1;
            continue;
        };
        assert_eq!(rows.len(), images.len(), "{name} event {number}");
        for (row, image) in rows.iter().zip(images) {
            assert_eq!(row.cells.len(), image.len(), "{name} event {number}");
            for ((cell, value), column) in row.cells.iter().zip(image).zip(&definition.columns) {
                let Some((kind, expected)) = witness(column, cell.as_ref()) else {
                    continue;
                };
                let found = value.as_ref().map(|bytes| comparable(column, bytes));
                assert_eq!(
                    expected, found,
                    "{name} event {number} {} column {}",
                    definition.name, column.name
                );
                *compared.entry(kind).or_default() += 1;
            }
        }
    }
    compared
}

/// Floating point numbers by their bits; everything else as it is.
fn comparable(column: &Column, bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    match column.column_type {
        ColumnType::Float => text.parse::<f32>().unwrap().to_bits().to_string(),
        ColumnType::Double => text.parse::<f64>().unwrap().to_bits().to_string(),
        _ => text,
    }
}

/// The type's name, and what our value must be; `None` where the witness is not to be trusted.
fn witness(column: &Column, cell: Option<&MySqlValue>) -> Option<(&'static str, Option<String>)> {
    let Some(cell) = cell else {
        return Some(("NULL", None));
    };
    let (kind, text) = match (&column.column_type, cell) {
        (ColumnType::Integer { width, sign }, cell) => (width_name(*width), integer(cell, *sign)),
        (ColumnType::Decimal { .. }, MySqlValue::Decimal(text)) => ("DECIMAL", text.clone()),
        (ColumnType::Float, MySqlValue::Float(number)) => ("FLOAT", number.to_bits().to_string()),
        (ColumnType::Double, MySqlValue::Double(number)) => {
            ("DOUBLE", number.to_bits().to_string())
        }
        (ColumnType::Bit { .. }, MySqlValue::Bit(bits)) => (
            "BIT",
            bits.iter()
                .rev()
                .map(|bit| if *bit { '1' } else { '0' })
                .collect(),
        ),
        (ColumnType::Year, MySqlValue::Year(year)) if *year > 1900 => ("YEAR", year.to_string()),
        (ColumnType::Date, MySqlValue::Date(date)) => (
            "DATE",
            format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
        ),
        (ColumnType::DateTime { digits }, MySqlValue::DateTime(found)) if *digits <= 3 => {
            ("DATETIME", datetime(found, *digits))
        }
        (ColumnType::Timestamp { digits }, MySqlValue::Timestamp(millis))
            if *digits <= 3 && *millis > 0 =>
        {
            ("TIMESTAMP", timestamp(*millis, *digits))
        }
        (ColumnType::Time { digits }, MySqlValue::Time(time)) if *digits <= 3 => (
            "TIME",
            format!("{:02}:{:02}:{:02}", time.hour, time.minute, time.second)
                + &fraction(time.millis, *digits),
        ),
        (ColumnType::Char { .. }, MySqlValue::String(text)) => ("CHAR", text.clone()),
        (ColumnType::Varchar { .. }, MySqlValue::String(text)) => ("VARCHAR", text.clone()),
        (ColumnType::Text { charset }, MySqlValue::Blob(bytes)) if is_utf8(charset) => {
            ("TEXT", String::from_utf8(bytes.clone()).unwrap())
        }
        (ColumnType::Varbinary { .. }, MySqlValue::String(text)) => {
            ("VARBINARY", hex(text.as_bytes()))
        }
        (ColumnType::Blob, MySqlValue::Blob(bytes)) => ("BLOB", hex(bytes)),
        (ColumnType::Enum { labels }, MySqlValue::Enum(index)) => ("ENUM", label(labels, *index)),
        (ColumnType::Set { labels }, MySqlValue::Set(bits)) => ("SET", set(labels, *bits)),
        _ => return None,
    };
    let text_is_plain = match &column.column_type {
        ColumnType::Char { charset, .. } | ColumnType::Varchar { charset, .. } => is_utf8(charset),
        _ => true,
    };
    text_is_plain.then_some((kind, Some(text)))
}

fn is_utf8(charset: &str) -> bool {
    ["utf8mb4", "utf8mb3", "utf8", "ascii"].contains(&charset)
}

fn width_name(width: IntegerWidth) -> &'static str {
    match width {
        IntegerWidth::Tiny => "TINYINT",
        IntegerWidth::Small => "SMALLINT",
        IntegerWidth::Medium => "MEDIUMINT",
        IntegerWidth::Int => "INT",
        IntegerWidth::Big => "BIGINT",
    }
}

fn integer(cell: &MySqlValue, sign: Sign) -> String {
    let (number, bits) = match cell {
        MySqlValue::TinyInt(n) => (u64::from(*n), 8),
        MySqlValue::SmallInt(n) => (u64::from(*n), 16),
        MySqlValue::MediumInt(n) => (u64::from(*n), 24),
        MySqlValue::Int(n) => (u64::from(*n), 32),
        MySqlValue::BigInt(n) => (*n, 64),
        other => panic!("an integer column holds {other:?}"),
    };
    let number = i128::from(number);
    let negative = sign == Sign::Signed && number >> (bits - 1) == 1;
    let offset = if negative { 1_i128 << bits } else { 0 };
    (number - offset).to_string()
}

fn fraction(millis: u32, digits: u8) -> String {
    let text = format!(".{millis:03}");
    match digits {
        0 => String::new(),
        digits => text[..usize::from(digits) + 1].to_owned(),
    }
}

fn datetime(found: &DateTime, digits: u8) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        found.year, found.month, found.day, found.hour, found.minute, found.second
    ) + &fraction(found.millis, digits)
}

/// Days since 1970 as a date, by counting years and months.
fn timestamp(millis: u64, digits: u8) -> String {
    let seconds = millis / 1000;
    let mut days = seconds / 86_400;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = u32::try_from(millis % 1000).unwrap();
    format!(
        "{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}{}+00",
        days + 1,
        fraction(millis, digits)
    )
}

fn hex(bytes: &[u8]) -> String {
    let mut text = "\\x".to_owned();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn label(labels: &[String], index: u32) -> String {
    match usize::try_from(index).unwrap().checked_sub(1) {
        None => String::new(),
        Some(place) => labels[place].clone(),
    }
}

fn set(labels: &[String], bits: u64) -> String {
    let named: Vec<&str> = labels
        .iter()
        .enumerate()
        .filter(|(place, _)| bits >> place & 1 == 1)
        .map(|(_, label)| label.as_str())
        .collect();
    named.join(",")
}

/// Least number of equal values by type, in each server's files.
const AT_LEAST: [(&str, usize); 23] = [
    ("BIGINT", 16),
    ("BIT", 18),
    ("BLOB", 6),
    ("CHAR", 9),
    ("DATE", 6),
    ("DATETIME", 22),
    ("DECIMAL", 45),
    ("DOUBLE", 16),
    ("ENUM", 9),
    ("FLOAT", 22),
    ("INT", 100),
    ("MEDIUMINT", 16),
    ("NULL", 70),
    ("SET", 7),
    ("SMALLINT", 8),
    ("TEXT", 8),
    ("TIME", 15),
    ("TIMESTAMP", 14),
    ("TINYINT", 12),
    ("VARBINARY", 6),
    ("VARCHAR", 22),
    ("YEAR", 3),
    // In all files but the plain ones.
    (UNREAD, 39),
];

#[test]
fn another_decoder_reads_the_same_values() {
    for name in ["mysql57", "mysql97", "mariadb1011", "mariadb118"] {
        let plain = compare(&format!("{name}_plain"));
        assert_eq!(plain.get(UNREAD), None, "{name}: it reads plain values");
        let mut compared = compare(name);
        for (kind, count) in compare(&format!("{name}_events")).into_iter().chain(plain) {
            *compared.entry(kind).or_default() += count;
        }
        assert_eq!(compared.len(), AT_LEAST.len(), "{name}: {compared:?}");
        for (kind, least) in AT_LEAST {
            assert!(compared[kind] >= least, "{name} {kind}: {compared:?}");
        }
        assert!(compared[UNREAD] <= 44, "{name}: {compared:?}");
    }
}
