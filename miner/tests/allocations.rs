//! Decoding allocates nothing per row.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use miner::decode::{NulBytePolicy, RowDecoder, RowImage};

#[path = "../benches/rows.rs"]
#[expect(dead_code, reason = "the benchmark needs more of it")]
mod rows;

#[test]
fn decoding_rows_allocates_nothing() {
    let decoder = RowDecoder::new(
        &rows::table_map(),
        &rows::definition(),
        NulBytePolicy::Error,
    );
    let decoder = decoder.unwrap();
    let images = rows::images(1_000);
    let mut image = RowImage::new();
    let mut pass = || {
        let mut input = images.as_slice();
        let mut bytes = 0;
        while !input.is_empty() {
            image.clear();
            decoder
                .decode(&mut input, rows::present(), &mut image)
                .unwrap();
            bytes += image.text().len();
        }
        bytes
    };
    // The image grows to the longest row once.
    let text_bytes = pass();
    assert!(text_bytes > 100_000, "{text_bytes}");
    let counted = allocation_counter::measure(|| {
        assert_eq!(pass(), text_bytes);
    });
    assert_eq!(counted.count_total, 0);
}
