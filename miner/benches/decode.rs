//! Row images to canonical text, beside the row values of `mysql_common`.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may panic, and its macros make public functions"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use miner::decode::{NulBytePolicy, RowDecoder, RowImage};
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{EventData, RowsEventData};

#[path = "rows.rs"]
mod rows;

const ROWS: u32 = 1_000;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode a row of 12 columns");
    group.throughput(Throughput::Elements(u64::from(ROWS)));

    let decoder = RowDecoder::new(
        &rows::table_map(),
        &rows::definition(),
        NulBytePolicy::Error,
    );
    let decoder = decoder.unwrap();
    let images = rows::images(ROWS);
    let mut image = RowImage::new();
    group.bench_function("to text", |b| {
        b.iter(|| {
            let mut input = images.as_slice();
            while !input.is_empty() {
                image.clear();
                decoder
                    .decode(&mut input, rows::present(), &mut image)
                    .unwrap();
                black_box(image.text());
            }
        });
    });

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
    assert_eq!(event.rows(map).count(), usize::try_from(ROWS).unwrap());
    group.bench_function("to values of mysql_common", |b| {
        b.iter(|| {
            for row in event.rows(map) {
                black_box(row.unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
