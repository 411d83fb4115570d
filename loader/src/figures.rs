//! The loader's figures for monitoring.
//!
//! Fed by the retire thread from what it is told anyway, once a batch: applying does not wait
//! for it. What the views compute (lags, backlog) is read from them now and then.

use std::time::{Duration, Instant};

use common::behind::TableState;
use common::metrics::{Metrics, Timing, Wanted};
use common::pg::{Operation as _, PgError};
use common::position::BinlogPosition;
use postgres::Client;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec};

use crate::retire::{AppliedBatch, LoaderState, Report};

/// How often the status is read.
const STATUS_INTERVAL: Duration = Duration::from_secs(2);

const STATUS: &str = "\
select loader_lag_seconds::float8, total_lag_seconds::float8, backlog_transactions::float8, \
       backlog_rows::float8, dead_letters::float8 \
  from mysql2gp.status";

/// The loader's figures.
pub struct Figures {
    wanted: Wanted,
    state: GaugeVec,
    retries: IntCounterVec,
    file_number: Gauge,
    offset_bytes: Gauge,
    commit_time: Gauge,
    transactions: IntCounter,
    batches: IntCounter,
    events: IntCounterVec,
    rows: IntCounterVec,
    merge_ratio: Gauge,
    fetch: Timing,
    compact: Timing,
    apply: Timing,
    queued_texts: Gauge,
    queued_reports: Gauge,
    loader_lag: Gauge,
    total_lag: Gauge,
    backlog_transactions: Gauge,
    backlog_rows: Gauge,
    dead_letters: Gauge,
    paused_tables: Gauge,
    read_at: Option<Instant>,
}

impl Figures {
    /// Adds the loader's figures.
    pub fn new(metrics: &Metrics) -> Self {
        let table = &["database", "table", "operation"];
        let figures = Self {
            wanted: metrics.wanted(),
            state: metrics.gauges(
                "loader_state",
                "1 for the state that the loader is in",
                &["state"],
            ),
            retries: metrics.counters(
                "loader_retries_total",
                "attempts after something was away",
                &["state"],
            ),
            file_number: metrics.gauge(
                "applied_file_number",
                "number of the binlog file of the applied position",
            ),
            offset_bytes: metrics.gauge(
                "applied_offset_bytes",
                "offset of the applied position in its file",
            ),
            commit_time: metrics.gauge(
                "applied_commit_timestamp_seconds",
                "commit time at the source of the last applied transaction",
            ),
            transactions: metrics
                .counter("applied_transactions_total", "source transactions applied"),
            batches: metrics.counter(
                "batches_total",
                "batches applied, one target transaction each",
            ),
            events: metrics.counters(
                "applied_events_total",
                "row events applied, before merging",
                table,
            ),
            rows: metrics.counters(
                "written_rows_total",
                "rows written and deleted, after merging",
                table,
            ),
            merge_ratio: metrics.gauge(
                "merge_ratio",
                "row events to a written row in the last batch",
            ),
            fetch: metrics.timing("fetch_seconds", "reading a batch from staging"),
            compact: metrics.timing("compact_seconds", "merging a batch"),
            apply: metrics.timing(
                "apply_seconds",
                "writing a batch to the target, commit included",
            ),
            queued_texts: metrics.gauge(
                "queued_texts",
                "texts that waited for the merge when the last batch was handed over",
            ),
            queued_reports: metrics.gauge(
                "queued_reports",
                "reports that wait to be written to staging",
            ),
            loader_lag: metrics.gauge("loader_lag_seconds", "staging to target"),
            total_lag: metrics.gauge("total_lag_seconds", "source to target"),
            backlog_transactions: metrics.gauge(
                "backlog_transactions",
                "source transactions staged and not applied",
            ),
            backlog_rows: metrics.gauge("backlog_rows", "row events staged and not applied"),
            dead_letters: metrics.gauge(
                "dead_letters",
                "rows that the target refused and nobody has settled",
            ),
            paused_tables: metrics.gauge("paused_tables", "tables that are paused"),
            read_at: None,
        };
        for state in LoaderState::ALL.iter().filter(|state| state.is_waiting()) {
            figures.retries.with_label_values(&[state.as_str()]);
        }
        figures
    }

    /// Takes what a report tells.
    pub(crate) fn note(&mut self, report: &Report, waiting: usize) {
        self.queued_reports.set(gauge(waiting as u64));
        match report {
            Report::State(state, _) => self.enter(*state),
            Report::Begin {
                progress, behind, ..
            } => {
                self.position(&progress.position, progress.committed_at_us);
                let paused = behind
                    .iter()
                    .filter(|shown| shown.behind.state == TableState::Paused);
                self.paused_tables.set(gauge(paused.count() as u64));
            }
            Report::Position(progress, _) => {
                self.position(&progress.position, progress.committed_at_us);
            }
            Report::Batch(batch) => self.batch(batch),
            Report::Part { .. } | Report::TableFailed { .. } | Report::Tenure { .. } => {}
        }
    }

    fn enter(&self, state: LoaderState) {
        for other in LoaderState::ALL {
            let value = f64::from(u8::from(*other == state));
            self.state.with_label_values(&[other.as_str()]).set(value);
        }
        if state.is_waiting() {
            self.retries.with_label_values(&[state.as_str()]).inc();
        }
    }

    fn position(&self, position: &BinlogPosition, committed_at_us: Option<i64>) {
        self.file_number.set(gauge(position.file.number()));
        self.offset_bytes.set(gauge(position.offset));
        if let Some(us) = committed_at_us.and_then(|us| u64::try_from(us).ok()) {
            self.commit_time
                .set(Duration::from_micros(us).as_secs_f64());
        }
    }

    fn batch(&self, batch: &AppliedBatch) {
        self.position(&batch.progress.position, batch.progress.committed_at_us);
        self.batches.inc();
        self.transactions.inc_by(batch.transactions);
        let mut written = 0;
        for table in &batch.tables {
            let add = |counters: &IntCounterVec, operation, count| {
                let labels = [
                    table.source.database.as_str(),
                    &table.source.table,
                    operation,
                ];
                if count > 0 {
                    counters.with_label_values(&labels).inc_by(count);
                }
            };
            add(&self.events, "insert", table.counts.inserts);
            add(&self.events, "update", table.counts.updates);
            add(&self.events, "delete", table.counts.deletes);
            add(&self.events, "truncate", table.counts.truncates);
            add(&self.rows, "upsert", table.net_upserts);
            add(&self.rows, "delete", table.net_deletes);
            written += table.net_upserts + table.net_deletes;
        }
        if written > 0 {
            self.merge_ratio
                .set(gauge(batch.row_events) / gauge(written));
        }
        self.fetch.observe(batch.fetch);
        self.compact.observe(batch.compact);
        self.apply.observe(batch.apply);
        self.queued_texts.set(gauge(batch.queued_texts as u64));
    }

    /// Reads the status, when somebody looks and it is time.
    pub(crate) fn read_status(&mut self, client: &mut Client) -> Result<(), PgError> {
        let fresh = self
            .read_at
            .is_some_and(|at| at.elapsed() < STATUS_INTERVAL);
        if self.wanted == Wanted::No || fresh {
            return Ok(());
        }
        self.read_at = Some(Instant::now());
        let row = client.query_opt(STATUS, &[]).operation("read the status")?;
        let gauges = [
            &self.loader_lag,
            &self.total_lag,
            &self.backlog_transactions,
            &self.backlog_rows,
            &self.dead_letters,
        ];
        for (number, gauge) in gauges.into_iter().enumerate() {
            if let Some(value) = row
                .as_ref()
                .and_then(|row| row.get::<_, Option<f64>>(number))
            {
                gauge.set(value);
            }
        }
        Ok(())
    }
}

/// Counts and offsets are far below 2^53.
fn gauge(number: u64) -> f64 {
    number as f64
}
