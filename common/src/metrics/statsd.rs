//! The same figures as statsd datagrams, once a second.
//!
//! Counters go as what was added, values as they are, each duration by itself. A name is the
//! Prometheus name without `mysql2gp_`, then the values of its labels, dots between them. What
//! cannot be sent is left out: nothing waits for the statsd host.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use cadence::{BufferedUdpMetricSink, Counted, Gauged, MetricResult, StatsdClient, Timed};
use log::{debug, warn};
use prometheus::Registry;
use prometheus::proto::{Metric, MetricType};

use super::{PREFIX, Times};
use crate::settings::StatsdSettings;

/// How often figures are sent.
const INTERVAL: Duration = Duration::from_secs(1);

/// After how many rounds of figures the host's name is looked up again.
const RESOLVE_ROUNDS: u32 = 60;

/// Sends from a thread of its own until the process ends.
pub(super) fn start(
    registry: Registry,
    settings: StatsdSettings,
    times: Times,
) -> std::io::Result<()> {
    thread::Builder::new()
        .name("statsd".into())
        .spawn(move || {
            let mut sender = Sender {
                settings,
                client: None,
                sent: HashMap::new(),
                rounds: 0,
                warned: false,
            };
            // Nobody sends: this is a wait.
            let (_keep, never) = crossbeam_channel::bounded::<()>(0);
            loop {
                let _ = never.recv_timeout(INTERVAL);
                sender.send(&registry, &times);
            }
        })?;
    Ok(())
}

struct Sender {
    settings: StatsdSettings,
    client: Option<StatsdClient>,
    /// Counters as they were last sent.
    sent: HashMap<String, u64>,
    /// Rounds since the host's name was looked up.
    rounds: u32,
    warned: bool,
}

impl Sender {
    fn send(&mut self, registry: &Registry, times: &Times) {
        let times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
        self.rounds += 1;
        if self.client.is_none() || self.rounds >= RESOLVE_ROUNDS {
            self.rounds = 0;
            match connect(&self.settings) {
                Ok(client) => self.client = Some(client),
                Err(error) if self.warned => debug!("failed to reach statsd: {error}"),
                Err(error) => {
                    warn!("statsd cannot be reached, figures are not sent there for now: {error}");
                    self.warned = true;
                }
            }
        }
        let Some(client) = &self.client else { return };
        let mut sent = Ok(());
        for family in registry.gather() {
            let name = family.name().strip_prefix(PREFIX).unwrap_or_default();
            for metric in family.get_metric() {
                let name = full_name(name, metric);
                let one = match family.get_field_type() {
                    MetricType::COUNTER => {
                        let value = whole(metric.get_counter().get_value());
                        let before = self.sent.insert(name.clone(), value).unwrap_or(0);
                        send_count(client, &name, value.saturating_sub(before))
                    }
                    MetricType::GAUGE => {
                        let value = metric.get_gauge().get_value();
                        client.gauge(&name, value).map(|_| ())
                    }
                    MetricType::HISTOGRAM | MetricType::SUMMARY | MetricType::UNTYPED => Ok(()),
                };
                sent = sent.and(one);
            }
        }
        for (name, time) in times {
            sent = sent.and(client.time(name, time).map(|_| ()));
        }
        if let Err(error) = sent.and(client.flush()) {
            debug!("failed to send to statsd: {error}");
        }
    }
}

fn send_count(client: &StatsdClient, name: &str, added: u64) -> MetricResult<()> {
    match added {
        0 => Ok(()),
        added => client.count(name, added).map(|_| ()),
    }
}

fn connect(settings: &StatsdSettings) -> MetricResult<StatsdClient> {
    let address = (settings.host.as_str(), settings.port)
        .to_socket_addrs()?
        .next()
        .ok_or(std::io::ErrorKind::NotFound)
        .map_err(std::io::Error::from)?;
    // A socket sends to addresses of its own kind.
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind("0.0.0.0:0")?,
        SocketAddr::V6(_) => UdpSocket::bind("[::]:0")?,
    };
    socket.set_nonblocking(true)?;
    let sink = BufferedUdpMetricSink::from(address, socket)?;
    Ok(StatsdClient::from_sink(&settings.prefix, sink))
}

/// Counters are whole numbers, which the text format carries as floating-point ones.
fn whole(value: f64) -> u64 {
    format!("{value:.0}").parse().unwrap_or(0)
}

fn full_name(name: &str, metric: &Metric) -> String {
    // They come by name: the table stands before what is done to it.
    let (last, first): (Vec<_>, Vec<_>) = metric
        .get_label()
        .iter()
        // The prefix tells tasks apart.
        .filter(|label| label.name() != "task")
        .partition(|label| label.name() == "operation");
    first
        .into_iter()
        .chain(last)
        .fold(name.to_owned(), |name, label| {
            format!("{name}.{}", clean(label.value()))
        })
}

/// Characters that mean something in a statsd line, and others that servers dislike, as `_`.
fn clean(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.chars()
        .map(|c| if kept(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_characters_of_the_protocol() {
        assert_eq!(clean("a.b:c|d@e#f g-h_ü"), "a_b_c_d_e_f_g-h_ü");
        assert_eq!(whole(1e15), 1_000_000_000_000_000);
    }
}
