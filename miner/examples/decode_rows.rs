//! Decodes rows of twelve columns, here or in `mysql_common`, as often as it is told; for
//! tools that count instructions. `decode_rows ours 2000`, `decode_rows theirs 2000`.
#![expect(clippy::unwrap_used, reason = "an example may panic")]

use std::hint::black_box;

use miner::decode::{NulBytePolicy, RowDecoder, RowImage};
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{EventData, RowsEventData};

#[path = "../benches/rows.rs"]
mod rows;

/// Rows of an event; a pass decodes them all.
const ROWS: u32 = 1_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let decoder = args.next();
    let passes = args.next().unwrap().parse::<u32>().unwrap() / ROWS;
    match decoder.as_deref() {
        Some("ours") => ours(passes),
        Some("theirs") => theirs(passes),
        _ => panic!("ours or theirs?"),
    }
}

fn ours(passes: u32) {
    let decoder = RowDecoder::new(
        &rows::table_map(),
        &rows::definition(),
        NulBytePolicy::Error,
    )
    .unwrap();
    let images = rows::images(ROWS);
    let mut image = RowImage::new();
    for _ in 0..passes {
        let mut input = images.as_slice();
        while !input.is_empty() {
            image.clear();
            decoder
                .decode(&mut input, rows::present(), &mut image)
                .unwrap();
            black_box(image.text());
        }
    }
}

fn theirs(passes: u32) {
    let events = rows::events(ROWS);
    let mut reader = EventStreamReader::new(BinlogVersion::Version4);
    let mut input = events.as_slice();
    reader.read(&mut input).unwrap().unwrap();
    let event = reader.read(&mut input).unwrap().unwrap();
    let Some(EventData::RowsEvent(RowsEventData::WriteRowsEvent(event))) =
        event.read_data().unwrap()
    else {
        panic!("no rows event");
    };
    let map = reader.get_tme(event.table_id()).unwrap();
    for _ in 0..passes {
        for row in event.rows(map) {
            black_box(row.unwrap());
        }
    }
}
