//! What was done, for the closing note.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where a log ends; file names of one log sort by age.
pub(crate) type Position = (String, u64);

/// Counts of faults by kind, and how long it took to be at work again.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    faults: BTreeMap<String, usize>,
    /// Faults after which the target has not yet reached what the source had then.
    recovering: Vec<(String, Instant, Position)>,
    longest: (Duration, String),
    rows: usize,
    letters: usize,
}

impl Tally {
    /// A fault that begins now; the source ends at `end`.
    pub(crate) fn fault(&mut self, kind: &str, end: Position) {
        *self.faults.entry(kind.to_owned()).or_default() += 1;
        self.recovering.push((kind.to_owned(), Instant::now(), end));
    }

    /// The target has reached this.
    pub(crate) fn applied(&mut self, position: &Position) {
        let longest = &mut self.longest;
        self.recovering.retain(|(kind, since, end)| {
            if position < end {
                return true;
            }
            if since.elapsed() > longest.0 {
                *longest = (since.elapsed(), kind.clone());
            }
            false
        });
    }

    /// Faults that are not recovered from.
    pub(crate) fn recovering(&self) -> usize {
        self.recovering.len()
    }

    /// All faults so far.
    pub(crate) fn count(&self) -> usize {
        self.faults.values().sum()
    }

    /// Faults of this kind so far.
    pub(crate) fn kind_count(&self, kind: &str) -> usize {
        self.faults.get(kind).copied().unwrap_or_default()
    }

    /// Rows that were found equal.
    pub(crate) fn compared(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Rows that were found in the dead letters, where they should be.
    pub(crate) fn letters(&mut self, letters: usize) {
        self.letters += letters;
    }

    /// All in a line. With a difference, the test has ended.
    pub(crate) fn summary(&self) -> String {
        format!(
            "faults={} rows_compared={} dead_letters={} differences=0 longest_recovery_ms={} ({})",
            self.count(),
            self.rows,
            self.letters,
            self.longest.0.as_millis(),
            self.longest.1
        )
    }

    /// Prints everything.
    #[expect(clippy::print_stdout, reason = "the result of the run")]
    pub(crate) fn print(&self, title: &str) {
        println!("{title}: {}", self.summary());
        for (kind, count) in &self.faults {
            println!("  {count:5} {kind}");
        }
    }
}
