//! The miner's figures for monitoring, changed once a staged unit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use common::metrics::{Metrics, Timing};
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec};

use crate::stage::{CaughtUp, Message, Sequences, StagedEnd, UnitEnd};

/// States that the status shows.
const STATES: &[&str] = &[
    "starting",
    "running",
    "waiting_source",
    "waiting_staging",
    "waiting_space",
    "stopped",
    "failed",
];

/// A miner that lives confirms its position every second.
const SILENCE: Duration = Duration::from_secs(10);

/// The miner's figures.
pub struct Figures {
    state: GaugeVec,
    retries: IntCounterVec,
    file_number: Gauge,
    offset_bytes: Gauge,
    commit_time: Gauge,
    transactions: IntCounter,
    events: IntCounter,
    bytes: IntCounter,
    units: IntCounter,
    stage: Timing,
    staging_bytes: Gauge,
    queued_bytes: Gauge,
    queued_units: Gauge,
    /// Where the numbers stood.
    sequences: Sequences,
    moment: Arc<Mutex<Moment>>,
}

/// What the lag is computed from.
#[derive(Default)]
struct Moment {
    running: bool,
    caught_up: bool,
    committed_at_us: Option<u64>,
    staged_at: Option<Instant>,
}

impl Moment {
    /// As `mysql2gp.status` has it.
    fn lag(&self) -> Duration {
        let Some(staged_at) = self.staged_at else {
            return Duration::ZERO;
        };
        let silent = staged_at.elapsed();
        match (self.caught_up, self.committed_at_us) {
            (true, _) if self.running && silent < SILENCE => Duration::ZERO,
            (false, Some(us)) => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH + Duration::from_micros(us))
                .unwrap_or_default(),
            (true, _) | (false, None) => silent,
        }
    }
}

/// What a unit comes to.
pub struct UnitFigures {
    bytes: u64,
    end: Option<StagedEnd>,
}

impl UnitFigures {
    /// Of a message that is to be written.
    pub fn of(message: &Message) -> Self {
        let Message::Unit(unit) = message else {
            return Self {
                bytes: 0,
                end: None,
            };
        };
        Self {
            bytes: unit.tuples.len() as u64,
            end: match &unit.end {
                UnitEnd::Staged(end) => Some((**end).clone()),
                UnitEnd::Open { .. } => None,
            },
        }
    }
}

impl Figures {
    /// Adds the miner's figures.
    pub fn new(metrics: &Metrics) -> Self {
        let moment = Arc::new(Mutex::new(Moment::default()));
        let shared = Arc::clone(&moment);
        metrics.computed("miner_lag_seconds", "source to staging", move || {
            let moment = shared.lock().unwrap_or_else(PoisonError::into_inner);
            moment.lag().as_secs_f64()
        });
        let figures = Self {
            state: metrics.gauges(
                "miner_state",
                "1 for the state that the miner is in",
                &["state"],
            ),
            retries: metrics.counters(
                "miner_retries_total",
                "attempts after something was away",
                &["state"],
            ),
            file_number: metrics.gauge(
                "staged_file_number",
                "number of the binlog file of the staged position",
            ),
            offset_bytes: metrics.gauge(
                "staged_offset_bytes",
                "offset of the staged position in its file",
            ),
            commit_time: metrics.gauge(
                "staged_commit_timestamp_seconds",
                "commit time at the source of the last transaction read",
            ),
            transactions: metrics
                .counter("staged_transactions_total", "source transactions staged"),
            events: metrics.counter("staged_events_total", "row events and statements staged"),
            bytes: metrics.counter("staged_bytes_total", "bytes written to staging"),
            units: metrics.counter("staged_units_total", "writes to staging that had rows"),
            stage: metrics.timing("stage_seconds", "one write to staging that had rows"),
            staging_bytes: metrics.gauge("staging_bytes", "size of the staging database"),
            queued_bytes: metrics.gauge(
                "queued_event_bytes",
                "bytes of events that are read and not assembled",
            ),
            queued_units: metrics.gauge("queued_units", "assembled units that wait to be written"),
            sequences: Sequences {
                chunk_seq: 0,
                transaction_seq: 0,
                event_seq: 0,
            },
            moment,
        };
        for state in STATES.iter().filter(|state| state.starts_with("waiting")) {
            figures.retries.with_label_values(&[*state]);
        }
        figures
    }

    /// The miner enters a state.
    pub fn enter(&self, state: &str) {
        for other in STATES {
            let value = f64::from(u8::from(*other == state));
            self.state.with_label_values(&[*other]).set(value);
        }
        if state.starts_with("waiting") {
            self.retries.with_label_values(&[state]).inc();
        }
        self.moment().running = state == "running";
    }

    /// Staging goes on behind these numbers.
    pub fn begin(&mut self, sequences: Sequences) {
        self.sequences = sequences;
    }

    /// A unit is written.
    pub fn staged(&mut self, unit: UnitFigures, time: Duration) {
        if unit.bytes > 0 {
            self.units.inc();
            self.bytes.inc_by(unit.bytes);
            self.stage.observe(time);
        }
        let Some(end) = unit.end else { return };
        let before = std::mem::replace(&mut self.sequences, end.sequences);
        self.transactions.inc_by(
            end.sequences
                .transaction_seq
                .saturating_sub(before.transaction_seq),
        );
        self.events
            .inc_by(end.sequences.event_seq.saturating_sub(before.event_seq));
        self.file_number.set(gauge(end.position.file.number()));
        self.offset_bytes.set(gauge(end.position.offset));
        let committed_at_us = end.committed_at_us.and_then(|us| u64::try_from(us).ok());
        if let Some(us) = committed_at_us {
            self.commit_time
                .set(Duration::from_micros(us).as_secs_f64());
        }
        let mut moment = self.moment();
        moment.caught_up = end.caught_up == CaughtUp::Yes;
        moment.committed_at_us = committed_at_us.or(moment.committed_at_us);
        moment.staged_at = Some(Instant::now());
    }

    /// How much waits in the queues.
    pub fn queued(&self, bytes: usize, units: usize) {
        self.queued_bytes.set(gauge(bytes as u64));
        self.queued_units.set(gauge(units as u64));
    }

    /// The size of staging.
    pub fn staging_bytes(&self, bytes: u64) {
        self.staging_bytes.set(gauge(bytes));
    }

    fn moment(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.moment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts and offsets are far below 2^53.
fn gauge(number: u64) -> f64 {
    number as f64
}
