//! Staged text on its way through the loader: parsed, merged, and made binary COPY data.
#![expect(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark may panic, and its macros make public functions"
)]

use std::hint::black_box;

use common::staging::codec::parse_line;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loader::round::{Net, Round};

#[path = "staged_rows.rs"]
mod staged_rows;

const ROWS: u32 = 1_000;

fn parse(criterion: &mut Criterion) {
    let text = staged_rows::text(1, ROWS, ROWS);
    let mut group = criterion.benchmark_group("parse staged lines");
    group.throughput(Throughput::Elements(u64::from(ROWS)));
    group.bench_function("of 12 columns", |b| {
        b.iter(|| {
            for line in memchr::memchr_iter(b'\n', &text).scan(0, |start, end| {
                let line = text.get(*start..end);
                *start = end + 1;
                line
            }) {
                black_box(parse_line(line).unwrap());
            }
        });
    });
    group.finish();
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge updates");
    group.throughput(Throughput::Elements(u64::from(ROWS)));
    for (name, keys) in [("of as many keys", ROWS), ("of few keys", 10)] {
        let mut merger = staged_rows::Merger::new();
        let mut spare = Round::default();
        let mut number = 0;
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    number += 1;
                    staged_rows::text(number, ROWS, keys)
                },
                |text| {
                    let mut round = merger.merge(&text, std::mem::take(&mut spare));
                    black_box(&round);
                    round.clear(1 << 24);
                    spare = round;
                },
                criterion::BatchSize::NumIterations(1),
            );
        });
    }
    group.finish();
}

fn copy(criterion: &mut Criterion) {
    let text = staged_rows::text(1, ROWS, ROWS);
    let mut merger = staged_rows::Merger::new();
    let round = merger.merge(&text, Round::default());
    let (route, encoders) = (staged_rows::route(), staged_rows::encoders());
    let rows = || {
        let nets = round.tables().iter().flat_map(|table| round.changes(table));
        nets.filter_map(|net| match net {
            Net::Upsert { row, .. } => Some(row),
            Net::Delete { .. } | Net::Rows { .. } => None,
        })
    };
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    let mut group = criterion.benchmark_group("COPY data of 12 columns");
    group.throughput(Throughput::Elements(u64::from(ROWS)));
    group.bench_function("text", |b| {
        b.iter(|| {
            out.clear();
            rows().for_each(|row| route.write_row(row, &mut out).unwrap());
            black_box(&out);
        });
    });
    group.bench_function("binary", |b| {
        b.iter(|| {
            out.clear();
            for row in rows() {
                let written = route.write_binary(row, &encoders, &mut scratch, &mut out);
                written.unwrap();
            }
            black_box(&out);
        });
    });
    group.finish();
}

criterion_group!(benches, parse, merge, copy);
criterion_main!(benches);
