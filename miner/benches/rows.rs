//! Rows of twelve columns as a server logs them, for benchmarks and for counting allocations.

use common::table::{Column, ColumnType, IntegerWidth, Key, Sign, TableDefinition, TableName};
use miner::decode::{ColumnBitmap, TableMap, WireColumn};

/// Columns of a row.
pub(crate) const COLUMNS: usize = 12;

/// Bitmap of the columns that are there: all.
const PRESENT: [u8; 2] = [0xff, 0x0f];

const TABLE_ID: u8 = 7;

/// A column: its type at the source, its type code, its metadata as the event has it, and as
/// [`WireColumn`] has it.
struct Wire(ColumnType, u8, &'static [u8], u16);

fn columns() -> [Wire; COLUMNS] {
    use IntegerWidth::{Big, Int, Small, Tiny};
    let integer = |width, sign| ColumnType::Integer { width, sign };
    let charset = || "utf8mb4".to_owned();
    let varchar = |max_chars| ColumnType::Varchar {
        max_chars,
        charset: charset(),
    };
    let decimal = ColumnType::Decimal {
        precision: 14,
        scale: 4,
    };
    let character = ColumnType::Char {
        max_chars: 20,
        charset: charset(),
    };
    [
        Wire(integer(Big, Sign::Signed), 8, &[], 0),
        Wire(integer(Int, Sign::Signed), 3, &[], 0),
        Wire(integer(Small, Sign::Signed), 2, &[], 0),
        Wire(integer(Tiny, Sign::Signed), 1, &[], 0),
        Wire(ColumnType::Double, 5, &[8], 8),
        Wire(decimal, 246, &[14, 4], 14 << 8 | 4),
        Wire(ColumnType::DateTime { digits: 3 }, 18, &[3], 3),
        Wire(ColumnType::Date, 10, &[], 0),
        Wire(ColumnType::Timestamp { digits: 0 }, 17, &[0], 0),
        Wire(varchar(40), 15, &[160, 0], 160),
        Wire(varchar(10), 15, &[40, 0], 40),
        Wire(character, 254, &[254, 80], 80),
    ]
}

/// The table as its definition.
pub(crate) fn definition() -> TableDefinition {
    let columns = (1..).zip(columns()).map(|(number, wire)| Column {
        name: format!("c{number}"),
        column_type: wire.0,
        nullable: number > 1,
        generated: false,
        unlogged: false,
    });
    TableDefinition {
        name: TableName::new("shop", "orders"),
        columns: columns.collect(),
        key: Key::Primary(vec![0]),
    }
}

/// The table as its event.
pub(crate) fn table_map() -> TableMap {
    let columns = (1..).zip(columns()).map(|(number, wire)| WireColumn {
        type_code: wire.1,
        metadata: wire.3,
        nullable: number > 1,
    });
    TableMap {
        table_id: u64::from(TABLE_ID),
        name: TableName::new("shop", "orders"),
        columns: columns.collect(),
        metadata: None,
    }
}

/// All columns.
pub(crate) fn present() -> ColumnBitmap<'static> {
    ColumnBitmap::new(&PRESENT, COLUMNS).unwrap()
}

/// So many row images, the eleventh of every twelfth row NULL.
pub(crate) fn images(count: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..count {
        let null = n % 12 == 11;
        out.extend_from_slice(&[0, if null { 0x04 } else { 0 }]);
        out.extend_from_slice(&(u64::from(n) * 7_919).to_le_bytes());
        out.extend_from_slice(&(n * 977).to_le_bytes());
        out.extend_from_slice(&[n.to_le_bytes()[0], 3, n.to_le_bytes()[1]]);
        out.extend_from_slice(&(f64::from(n) * 1.37).to_le_bytes());
        // Ten digits before the point in 1 + 4 bytes, four behind it in 2.
        out.extend_from_slice(&[0x80]);
        out.extend_from_slice(&(n % 1_000_000_000).to_be_bytes());
        out.extend_from_slice(&[0x04, 0xd2]);
        // 2024-05-17 12:34:56, then ten-thousandths.
        out.extend_from_slice(&[0x99, 0xb3, 0x62, 0xc8, 0xb8, 0x04, 0xd8]);
        // 2024-05-17.
        out.extend_from_slice(&[0xb1, 0xd0, 0x0f]);
        out.extend_from_slice(&(1_700_000_000 + n).to_be_bytes());
        out.push(24);
        out.extend_from_slice(b"some words of ordinary t");
        if !null {
            out.push(6);
            out.extend_from_slice("größe".as_bytes().get(..6).unwrap());
        }
        out.push(10);
        out.extend_from_slice(b"0123456789");
    }
    out
}

/// The TABLE_MAP event and one WRITE_ROWS event, with headers and without checksums.
pub(crate) fn events(count: u32) -> Vec<u8> {
    let mut map = vec![TABLE_ID, 0, 0, 0, 0, 0, 1, 0];
    map.extend_from_slice(b"\x04shop\0\x06orders\0\x0c");
    map.extend(columns().iter().map(|wire| wire.1));
    let metadata: Vec<u8> = columns().iter().flat_map(|wire| wire.2).copied().collect();
    map.push(u8::try_from(metadata.len()).unwrap());
    map.extend_from_slice(&metadata);
    map.extend_from_slice(&[0xfe, 0x0f]);
    let mut rows = vec![TABLE_ID, 0, 0, 0, 0, 0, 1, 0, 2, 0, 12];
    rows.extend_from_slice(&PRESENT);
    rows.extend_from_slice(&images(count));
    [event(19, &map), event(30, &rows)].concat()
}

fn event(type_code: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(19 + body.len()).unwrap();
    let mut out = vec![0, 0, 0, 0, type_code, 1, 0, 0, 0];
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(body);
    out
}
