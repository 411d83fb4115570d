//! The progress line.

use std::time::{Duration, Instant};

use log::info;

use crate::stage::{Message, StagedEnd, UnitEnd};

/// One line of progress per interval, when there was any.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The progress line.
pub(super) struct Report {
    last: Instant,
    units: u64,
    bytes: u64,
    end: Option<StagedEnd>,
    /// Whether the last unit ended within a transaction.
    open: bool,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            units: 0,
            bytes: 0,
            end: None,
            open: false,
        }
    }

    pub(super) fn note(&mut self, message: &Message) {
        if let Message::Unit(unit) = message {
            self.units += u64::from(!unit.tuples.is_empty());
            self.bytes += unit.tuples.len() as u64;
            match &unit.end {
                UnitEnd::Staged(end) => {
                    self.end = Some((**end).clone());
                    self.open = false;
                }
                UnitEnd::Open { .. } => self.open = true,
            }
        }
    }

    pub(super) fn print_when_due(&mut self) {
        if self.units == 0 || self.last.elapsed() < REPORT_INTERVAL {
            return;
        }
        if self.open {
            info!(
                "staging a transaction that is not complete yet units={} bytes={}",
                self.units, self.bytes
            );
        } else if let Some(end) = &self.end {
            info!(
                "staged position={} transactions={} events={} units={} bytes={}",
                end.position,
                end.sequences.transaction_seq,
                end.sequences.event_seq,
                self.units,
                self.bytes
            );
        }
        self.units = 0;
        self.bytes = 0;
        self.last = Instant::now();
    }
}
