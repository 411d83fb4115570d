//! The progress line: one per interval in which something was applied.

use std::time::{Duration, Instant, SystemTime};

use common::position::BinlogPosition;

use crate::retire::AppliedBatch;

/// How often progress is logged.
const INTERVAL: Duration = Duration::from_secs(10);

/// Adds batches up and logs them once per interval, also when no other one follows; it outlives
/// the flows.
pub struct ProgressLog {
    since: Instant,
    batches: u64,
    transactions: u64,
    row_events: u64,
    net_changes: u64,
    /// The end of the last batch, and its commit time at the source.
    end: Option<(BinlogPosition, Option<i64>)>,
}

impl ProgressLog {
    /// Starts an interval.
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            batches: 0,
            transactions: 0,
            row_events: 0,
            net_changes: 0,
            end: None,
        }
    }

    /// Adds a batch; logs when the interval is over.
    pub fn batch(&mut self, batch: &AppliedBatch) {
        let net: u64 = batch
            .tables
            .iter()
            .map(|table| table.net_upserts + table.net_deletes)
            .sum();
        log::debug!(
            "applied batch position={} transactions={} row_events={} net_changes={net} fetch_ms={} compact_ms={} apply_ms={}",
            batch.progress.position,
            batch.transactions,
            batch.row_events,
            batch.fetch.as_millis(),
            batch.compact.as_millis(),
            batch.apply.as_millis()
        );
        self.batches += 1;
        self.transactions += batch.transactions;
        self.row_events += batch.row_events;
        self.net_changes += net;
        let end = &batch.progress;
        self.end = Some((end.position.clone(), end.committed_at_us));
        self.print_when_due();
    }

    /// A part of a large transaction is written and not committed; logs when the interval is
    /// over.
    pub fn part(&mut self, transaction_seq: u64, row_events: u64) {
        if self.since.elapsed() >= INTERVAL {
            self.print();
            log::info!(
                "applying a large transaction transaction_seq={transaction_seq} row_events={row_events}"
            );
            *self = Self::new();
        }
    }

    /// When there is something to log; `None` while nothing is.
    pub fn due(&self) -> Option<Instant> {
        self.end.as_ref().map(|_| self.since + INTERVAL)
    }

    /// Logs what was added, when the interval is over.
    pub fn print_when_due(&mut self) {
        if self.since.elapsed() >= INTERVAL {
            self.print();
        }
    }

    /// Logs what was added, and starts an interval.
    pub fn print(&mut self) {
        if let Some((position, committed_at_us)) = self.end.take() {
            self.log(&position, committed_at_us);
            *self = Self::new();
        }
    }

    fn log(&self, position: &BinlogPosition, committed_at_us: Option<i64>) {
        let lag = committed_at_us
            .and_then(|us| u64::try_from(us).ok())
            .and_then(|us| {
                SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH + Duration::from_micros(us))
                    .ok()
            })
            .unwrap_or_default();
        log::info!(
            "applied position={position} transactions={} row_events={} net_changes={} batches={} elapsed_s={} lag_s={:.1}",
            self.transactions,
            self.row_events,
            self.net_changes,
            self.batches,
            self.since.elapsed().as_secs(),
            lag.as_secs_f64()
        );
    }
}

impl Default for ProgressLog {
    fn default() -> Self {
        Self::new()
    }
}
