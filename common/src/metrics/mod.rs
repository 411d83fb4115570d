//! Figures for monitoring: Prometheus text over HTTP, and statsd datagrams.
//!
//! Beside the flow. A program makes its [`Metrics`] once, adds figures by name and changes
//! them once a batch, from a thread that nothing waits for. Scrapes and datagrams are the work
//! of threads of their own: neither a slow scraper nor a statsd host that is away is noticed
//! by replication.
//!
//! It knows no figure: names and meanings are in the programs' modules.

mod http;
mod statsd;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, PullingGauge,
    Registry, TextEncoder,
};

use crate::error::ErrorClass;
use crate::settings::{MetricsSettings, StatsdSettings};

/// Upper bounds of the histograms, in seconds: from a small batch to a large transaction.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// What every name begins with.
const PREFIX: &str = "mysql2gp_";

/// Times that wait for the next datagrams; more are left out.
const TIMES_MAX: usize = 1000;

/// Why figures cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Another program has the address, for now or for ever.
    #[error(
        "cannot listen on {key} = \"{address}\" of [metrics]: {reason}; another program has the port: stop it, or choose \
         another port"
    )]
    InUse {
        /// The key.
        key: &'static str,
        /// As configured.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The address is not one that this host can listen on.
    #[error("cannot listen on {key} = \"{address}\" of [metrics]: {reason}")]
    Listen {
        /// The key.
        key: &'static str,
        /// As configured.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("start thread metrics")]
    Thread(#[source] std::io::Error),
}

impl MetricsError {
    /// What to do about it. A port that is in use may be free a moment later.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InUse { .. } | Self::Thread(_) => ErrorClass::Failed,
            Self::Listen { .. } => ErrorClass::Usage,
        }
    }
}

/// The page with the figures.
///
/// It is there from the start where its address is free. Where it is not, another copy may
/// serve the task, and who that is is to be said first: so only a program that holds the task
/// insists on it.
pub struct Page(Option<http::Waiting>);

impl Page {
    /// Makes sure that the page is there.
    ///
    /// # Errors
    /// When the address is still in use.
    pub fn insist(&mut self) -> Result<(), MetricsError> {
        match self.0.take() {
            Some(waiting) => waiting.start(),
            None => Ok(()),
        }
    }
}

/// A program's figures.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Times of single batches, for statsd.
    times: Option<Times>,
    wanted: Wanted,
}

/// Whether anybody looks at figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Somebody may.
    Yes,
    /// Nobody can.
    No,
}

type Times = Arc<Mutex<Vec<(&'static str, Duration)>>>;

/// Durations of one kind.
#[derive(Clone)]
pub struct Timing {
    name: &'static str,
    histogram: Histogram,
    times: Option<Times>,
}

impl Timing {
    /// Adds a duration.
    pub fn observe(&self, time: Duration) {
        self.histogram.observe(time.as_secs_f64());
        if let Some(times) = &self.times {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            if times.len() < TIMES_MAX {
                times.push((self.name, time));
            }
        }
    }
}

impl Metrics {
    /// Starts what the configuration asks for; `listen` is this program's key and address.
    ///
    /// # Errors
    /// When the address cannot be listened on, other than because it is in use.
    pub fn start(
        settings: &MetricsSettings,
        task: &str,
        (key, listen): (&'static str, Option<&str>),
    ) -> Result<(Self, Page), MetricsError> {
        let registry = Registry::new_custom(None, Some([("task".into(), task.into())].into()))
            .expect("the label's name is a constant");
        let waiting = match listen {
            Some(address) => http::start(registry.clone(), key, address)?,
            None => None,
        };
        let times = match &settings.statsd {
            Some(statsd) => Some(start_statsd(&registry, statsd)?),
            None => None,
        };
        let metrics = Self {
            registry,
            wanted: if listen.is_some() || times.is_some() {
                Wanted::Yes
            } else {
                Wanted::No
            },
            times,
        };
        Ok((metrics, Page(waiting)))
    }

    /// Figures that nobody looks at.
    pub fn unwanted() -> Self {
        Self {
            registry: Registry::new(),
            times: None,
            wanted: Wanted::No,
        }
    }

    /// Whether anybody looks at them.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(options(name, help)))
    }

    /// A counter by labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(options(name, help), labels))
    }

    /// A value.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(options(name, help)))
    }

    /// A value by labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(options(name, help), labels))
    }

    /// A value that is computed when it is looked at.
    pub fn computed(
        &self,
        name: &str,
        help: &str,
        compute: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let name = format!("{PREFIX}{name}");
        self.add(PullingGauge::new(name, help, Box::new(compute)));
    }

    /// Durations, in seconds.
    pub fn timing(&self, name: &'static str, help: &str) -> Timing {
        let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(SECONDS.into());
        Timing {
            name,
            histogram: self.add(Histogram::with_opts(options)),
            times: self.times.clone(),
        }
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("names are constants");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("each name is added once");
        collector
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}{name}"), help)
}

fn start_statsd(registry: &Registry, settings: &StatsdSettings) -> Result<Times, MetricsError> {
    let times = Times::default();
    statsd::start(registry.clone(), settings.clone(), Arc::clone(&times))
        .map_err(MetricsError::Thread)?;
    Ok(times)
}

/// Everything as Prometheus reads it.
fn text(registry: &Registry) -> Result<String, prometheus::Error> {
    TextEncoder::new().encode_to_string(&registry.gather())
}
