//! Decoding costs no more instructions than it did, beside `mysql_common` on the same rows.
//!
//! Valgrind counts them, so the figure is that of the program and not of the machine or its
//! load. What is counted is `examples/decode_rows.rs`, built as the tests are.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;

/// How many times as many instructions the other decoder needs at least. Without optimisation
/// ours is not optimised, and the other one is, as all dependencies are.
const LEAST_RATIO: f64 = if cfg!(debug_assertions) { 1.1 } else { 5.0 };

/// Rows that are counted, besides the start of the program.
const ROWS: u64 = 3_000;

fn example() -> PathBuf {
    // target/debug/deps/main-…
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/decode_rows")
}

fn instructions(decoder: &str, rows: u64) -> u64 {
    let example = example();
    assert!(
        example.exists(),
        "{} is not built: cargo build --example decode_rows",
        example.display()
    );
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cachegrind-out-file=/dev/null"])
        .args(["--cache-sim=no"])
        .arg(example)
        .args([decoder, &rows.to_string()])
        .output()
        .expect("valgrind is missing: scripts/install_servers.sh installs it");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let (_, count) = log.split_once("refs:").unwrap_or_else(|| panic!("{log}"));
    let line = count.lines().next().unwrap();
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{log}"))
}

fn per_row(decoder: &str) -> u64 {
    (instructions(decoder, ROWS) - instructions(decoder, 0)) / ROWS
}

#[test]
fn decoding_a_row_takes_a_bounded_part_of_the_instructions_of_another_decoder() {
    let (ours, theirs) = (per_row("ours"), per_row("theirs"));
    println!("instructions per row of 12 columns: ours {ours}, mysql_common {theirs}");
    assert!(ours > 100 && theirs > 100, "{ours} {theirs}");
    let ours = u32::try_from(ours).unwrap();
    let theirs = u32::try_from(theirs).unwrap();
    let ratio = f64::from(theirs) / f64::from(ours);
    assert!(ratio >= LEAST_RATIO, "{theirs} / {ours} = {ratio}");
}
