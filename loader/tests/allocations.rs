//! Nothing is allocated per row on the way from staged text to COPY data.

use loader::round::{Net, Round};

#[path = "../benches/staged_rows.rs"]
mod staged_rows;

const ROWS: u32 = 2_000;

/// For each transaction: its position, its file's name.
const PER_TRANSACTION: u64 = 20;

#[test]
fn merging_rows_allocates_nothing_for_them() {
    let mut merger = staged_rows::Merger::new();
    let mut spare = Round::default();
    for keys in [ROWS, 10] {
        // Memory grows to what a round needs, in each of the rounds that take turns.
        for number in 0..6 {
            let number = number + if keys == ROWS { 1 } else { 7 };
            let text = staged_rows::text(number, ROWS, keys);
            let mut round = Round::default();
            let counted = allocation_counter::measure(|| {
                round = merger.merge(&text, std::mem::take(&mut spare));
                assert_eq!(
                    round.tables().iter().flat_map(|t| round.changes(t)).count(),
                    keys as usize
                );
                round.clear(1 << 24);
            });
            spare = round;
            if number % 6 > 2 {
                assert!(counted.count_total <= PER_TRANSACTION, "{counted:?}");
            }
        }
    }
}

#[test]
fn writing_rows_allocates_nothing() {
    let text = staged_rows::text(1, ROWS, ROWS);
    let round = staged_rows::Merger::new().merge(&text, Round::default());
    let (route, encoders) = (staged_rows::route(), staged_rows::encoders());
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    let mut pass = || {
        out.clear();
        for net in round.tables().iter().flat_map(|table| round.changes(table)) {
            let Net::Upsert { row, .. } = net else {
                panic!("updates only");
            };
            route.write_row(row, &mut out).unwrap();
            route
                .write_binary(row, &encoders, &mut scratch, &mut out)
                .unwrap();
        }
        out.len()
    };
    let bytes = pass();
    assert!(bytes > 300_000, "{bytes}");
    let counted = allocation_counter::measure(|| {
        assert_eq!(pass(), bytes);
    });
    assert_eq!(counted.count_total, 0);
}
