//! Real binlog files decode to what the server that wrote them selects.
//!
//! The files in `data/` are made by `scripts/make_golden.sh`, which describes them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use common::table::{ColumnType, TableDefinition, TableName};
use miner::decode::{
    CatalogColumn, CatalogIndex, Event, EventHeader, EventParser, NulBytePolicy, RowDecoder,
    RowImage, RowsEvent, TableMap, check_fit, from_catalog, from_metadata,
};

/// Where the golden files are.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Every event of a file: header and body without checksum.
pub(crate) fn events(file: &[u8]) -> Vec<(EventHeader, &[u8])> {
    let mut rest = file.strip_prefix(b"\xfebin").expect("binlog magic");
    let mut events = Vec::new();
    while let Some((head, _)) = rest.split_first_chunk::<{ EventHeader::LEN }>() {
        let header = EventHeader::from_bytes(head);
        let size = usize::try_from(header.event_size).unwrap();
        let (event, tail) = rest.split_at(size);
        events.push((header, &event[EventHeader::LEN..size - 4]));
        rest = tail;
    }
    events
}

fn unhex(hex: &str) -> String {
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    String::from_utf8(bytes).unwrap()
}

/// Definitions from a `.catalog` file, by table.
pub(crate) fn catalog(name: &str) -> HashMap<String, TableDefinition> {
    let text = fs::read_to_string(data(&format!("{name}.catalog"))).unwrap();
    let mut tables: HashMap<String, (Vec<CatalogColumn>, Vec<CatalogIndex>)> = HashMap::new();
    for line in text.lines() {
        let f: Vec<&str> = line.split('\t').collect();
        let table = tables.entry(f[1].to_owned()).or_default();
        match f[0] {
            "C" => table.0.push(CatalogColumn {
                ordinal: f[2].parse().unwrap(),
                name: unhex(f[3]),
                data_type: f[4].to_owned(),
                column_type: unhex(f[5]),
                nullable: f[6] == "1",
                charset: (!f[7].is_empty()).then(|| f[7].to_owned()),
                extra: f[8].to_owned(),
            }),
            "I" => table.1.push(CatalogIndex {
                name: unhex(f[2]),
                unique: f[3] == "1",
                sequence: f[4].parse().unwrap(),
                column: (!f[5].is_empty()).then(|| unhex(f[5])),
            }),
            other => panic!("unknown line {other}"),
        }
    }
    tables
        .into_iter()
        .map(|(table, (columns, indexes))| {
            let name = TableName::new("golden", &table);
            let definition = from_catalog(name, &columns, &indexes).unwrap();
            (table, definition)
        })
        .collect()
}

/// A file under decoding.
struct Replay {
    catalog: HashMap<String, TableDefinition>,
    maps: HashMap<u64, std::sync::Arc<TableMap>>,
    /// Rows by table, cells unescaped.
    rows: HashMap<String, Vec<Vec<Option<Vec<u8>>>>>,
    /// Rows events of tables whose labels the catalog cannot spell.
    refused: usize,
}

impl Replay {
    fn run(name: &str) -> Self {
        let file = fs::read(data(&format!("{name}.binlog"))).unwrap();
        let mut replay = Self {
            catalog: catalog(name),
            maps: HashMap::new(),
            rows: HashMap::new(),
            refused: 0,
        };
        let mut parser = EventParser::new();
        for (header, body) in events(&file) {
            replay.take(&mut parser, &header, body);
        }
        replay
    }

    fn take(&mut self, parser: &mut EventParser, header: &EventHeader, body: &[u8]) {
        match parser.parse(header, body).unwrap() {
            Event::TableMap(map) => {
                self.maps.insert(map.table_id, map);
            }
            Event::Rows(rows) => self.take_rows(&rows),
            Event::TransactionPayload(payload) => {
                let mut events = payload.events(1 << 20).unwrap();
                while let Some((header, body)) = events.next_event().unwrap() {
                    self.take(parser, &header, body);
                }
            }
            Event::Unknown { event_type } => panic!("unknown event {event_type}"),
            _ => {}
        }
    }

    fn take_rows(&mut self, event: &RowsEvent<'_>) {
        let map = &self.maps[&event.table_id];
        let mut definition = self.catalog[&map.name.table].clone();
        if map.metadata.as_ref().is_some_and(|m| m.has_names()) {
            let own = from_metadata(map, Some(&definition)).unwrap();
            if map.name.table.starts_with("unspelled") {
                definition = own;
            } else {
                assert_eq!(own, definition, "event and catalog agree");
            }
        } else if map.name.table.starts_with("unspelled") {
            assert!(check_fit(map, &definition).is_err());
            self.refused += 1;
            return;
        }
        check_fit(map, &definition).unwrap();
        let decoder = RowDecoder::new(map, &definition, NulBytePolicy::Error).unwrap();
        let mut input: &[u8] = &event.rows;
        let (mut image, mut keys) = (RowImage::new(), RowImage::new());
        let present = event.after.expect("golden files only insert");
        let rows = self.rows.entry(map.name.table.clone()).or_default();
        while !input.is_empty() {
            image.clear();
            keys.clear();
            let mut passed_over = input;
            decoder.decode(&mut input, present, &mut image).unwrap();
            // What is not of the key may be passed over, which ends at the same byte.
            decoder
                .decode_key(&mut passed_over, present, &mut keys)
                .unwrap();
            assert_eq!(passed_over, input);
            let in_key = |column| definition.key_columns().contains(&column);
            for (column, cell) in image.cells().enumerate() {
                let kept = keys.cell(column).unwrap();
                assert_eq!(kept, if in_key(column) { cell } else { b"" });
            }
            rows.push(image.cells().map(unescape).collect());
        }
    }
}

/// A COPY or client cell as bytes; `None` is NULL.
pub(crate) fn unescape(cell: &[u8]) -> Option<Vec<u8>> {
    if cell == b"\\N" {
        return None;
    }
    let mut plain = Vec::new();
    let mut bytes = cell.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next().unwrap() {
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                b'0' => 0,
                other => *other,
            },
            other => *other,
        });
    }
    Some(plain)
}

/// What the server selected, by table; the client prints NULL as `NULL`.
fn selected(name: &str) -> HashMap<String, Vec<Vec<Vec<u8>>>> {
    let text = fs::read(data(&format!("{name}.select"))).unwrap();
    let mut tables: HashMap<String, Vec<Vec<Vec<u8>>>> = HashMap::new();
    for line in text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
        let mut cells = line.split(|byte| *byte == b'\t').skip(1);
        let table = String::from_utf8(cells.next().unwrap().to_vec()).unwrap();
        let cells = cells.map(|cell| unescape(cell).unwrap()).collect();
        tables.entry(table).or_default().push(cells);
    }
    tables
}

/// The server's text of a value in our canonical form.
fn canonical(column_type: &ColumnType, selected: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(selected.to_vec()).unwrap();
    match column_type {
        ColumnType::Float | ColumnType::Double => {
            text.parse::<f64>().unwrap().to_bits().to_string().into()
        }
        ColumnType::Json => without_point_zero(&text).into(),
        ColumnType::Geometry => ewkb(&text).into(),
        ColumnType::Vector => vector_bits(&text).into(),
        _ => text.into(),
    }
}

/// Our value in the same form.
fn comparable(column_type: &ColumnType, decoded: &[u8]) -> Vec<u8> {
    let text = || std::str::from_utf8(decoded).unwrap();
    match column_type {
        ColumnType::Float => f64::from(text().parse::<f32>().unwrap())
            .to_bits()
            .to_string()
            .into(),
        ColumnType::Double => text().parse::<f64>().unwrap().to_bits().to_string().into(),
        ColumnType::Json => without_point_zero(text()).into(),
        ColumnType::Vector => text()
            .trim_matches(['[', ']'])
            .split(',')
            .map(|number| {
                format!(
                    "{:08x}",
                    number.parse::<f32>().unwrap().to_bits().swap_bytes()
                )
            })
            .collect::<String>()
            .into(),
        _ => decoded.to_vec(),
    }
}

/// JSON without the `.0` of whole doubles, which MySQL 5.7 does not print.
fn without_point_zero(json: &str) -> String {
    [",", "]", "}"]
        .iter()
        .fold(json.to_owned(), |json, end| {
            json.replace(&format!(".0{end}"), end)
        })
        .trim_end_matches(".0")
        .to_owned()
}

/// `\x` SRID and WKB as EWKB.
fn ewkb(hex: &str) -> String {
    let (srid, wkb) = hex.strip_prefix("\\x").unwrap().split_at(8);
    let (order, rest) = wkb.split_at(2);
    let (kind, rest) = rest.split_at(8);
    assert_eq!(order, "01");
    if srid == "00000000" {
        return format!("\\x{wkb}");
    }
    assert!(kind.ends_with("000000"));
    format!("\\x{order}{}20{srid}{rest}", &kind[..6])
}

fn vector_bits(hex: &str) -> String {
    hex.strip_prefix("\\x").unwrap().to_owned()
}

/// Compares all rows; returns how many values that were.
fn compare(name: &str) -> usize {
    let replay = Replay::run(name);
    let mut selected = selected(name);
    let mut compared = 0;
    for (table, rows) in &replay.rows {
        let types: Vec<_> = replay.catalog[table]
            .columns
            .iter()
            .map(|column| &column.column_type)
            .collect();
        let mut expected: Vec<Vec<Vec<u8>>> = selected
            .remove(table)
            .unwrap_or_else(|| panic!("{table} was not selected"))
            .into_iter()
            .map(|row| {
                row.iter()
                    .zip(&types)
                    .map(|(cell, column_type)| match cell.as_slice() {
                        b"NULL" => b"NULL".to_vec(),
                        cell => canonical(column_type, cell),
                    })
                    .collect()
            })
            .collect();
        let mut found: Vec<Vec<Vec<u8>>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .zip(&types)
                    .map(|(cell, column_type)| match cell {
                        None => b"NULL".to_vec(),
                        Some(cell) => comparable(column_type, cell),
                    })
                    .collect()
            })
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(expected.len(), found.len(), "{name} {table}");
        for (expected, found) in expected.iter().zip(&found) {
            for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
                assert_eq!(
                    String::from_utf8_lossy(expected),
                    String::from_utf8_lossy(found),
                    "{name} {table} column {i}"
                );
                compared += 1;
            }
        }
    }
    assert_eq!(selected.len(), replay.refused, "{:?}", selected.keys());
    compared
}

#[test]
fn golden_mariadb_10_11_equals_its_select() {
    assert!(compare("mariadb1011") > 400);
}

#[test]
fn golden_mariadb_11_8_equals_its_select() {
    assert!(compare("mariadb118") > 400);
}

#[test]
fn golden_mysql_5_7_equals_its_select() {
    assert!(compare("mysql57") > 400);
}

#[test]
fn golden_mysql_9_7_equals_its_select() {
    assert!(compare("mysql97") > 400);
}

#[test]
fn golden_mysql_compressed_transactions_equal_their_select() {
    assert_eq!(compare("mysql97_compressed"), 14);
}

#[test]
fn golden_mariadb_compressed_events_equal_their_select() {
    assert_eq!(compare("mariadb1011_compressed"), 10);
}

#[test]
fn golden_mariadb_old_temporal_formats_equal_their_select() {
    assert_eq!(compare("mariadb1011_old_temporals"), 92);
}
