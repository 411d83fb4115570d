//! The page that Prometheus scrapes: `GET /metrics`.

use std::io;
use std::thread;

use log::{debug, info};
use prometheus::Registry;
use tiny_http::{Header, Request, Response, Server};

use super::{MetricsError, text};

/// A page that is not there yet: its address was in use.
pub(super) struct Waiting {
    registry: Registry,
    key: &'static str,
    address: String,
}

/// Listens, and answers from a thread of its own until the process ends. An address that is in
/// use is tried again by [`Waiting::start`].
pub(super) fn start(
    registry: Registry,
    key: &'static str,
    address: &str,
) -> Result<Option<Waiting>, MetricsError> {
    match bind(key, address) {
        Ok(server) => serve(server, registry, address).map(|()| None),
        Err(MetricsError::InUse { .. }) => {
            debug!("address={address} of {key} is in use");
            Ok(Some(Waiting {
                registry,
                key,
                address: address.into(),
            }))
        }
        Err(error) => Err(error),
    }
}

impl Waiting {
    /// Listens now.
    pub(super) fn start(self) -> Result<(), MetricsError> {
        serve(bind(self.key, &self.address)?, self.registry, &self.address)
    }
}

fn bind(key: &'static str, address: &str) -> Result<Server, MetricsError> {
    Server::http(address).map_err(|error| {
        let reason = error.to_string();
        let address = address.into();
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::AddrInUse) => MetricsError::InUse {
                key,
                address,
                reason,
            },
            Some(_) | None => MetricsError::Listen {
                key,
                address,
                reason,
            },
        }
    })
}

fn serve(server: Server, registry: Registry, address: &str) -> Result<(), MetricsError> {
    info!("metrics are served address={address} path=/metrics");
    thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            for request in server.incoming_requests() {
                answer(&registry, request);
            }
        })
        .map(|_| ())
        .map_err(MetricsError::Thread)
}

fn answer(registry: &Registry, request: Request) {
    // What a scraper adds as parameters asks for nothing else.
    let path = request.url().split('?').next().unwrap_or_default();
    let answered = match (path, text(registry)) {
        ("/" | "/metrics", Ok(text)) => {
            let response = Response::from_string(text);
            // Source: Prometheus, exposition formats, text-based format.
            let format = Header::from_bytes("Content-Type", "text/plain; version=0.0.4");
            match format {
                Ok(format) => request.respond(response.with_header(format)),
                Err(()) => request.respond(response),
            }
        }
        ("/" | "/metrics", Err(_)) => request.respond(Response::empty(500)),
        _ => request.respond(Response::empty(404)),
    };
    if let Err(error) = answered {
        debug!("failed to answer a scrape: {error}");
    }
}
