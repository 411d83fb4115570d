//! The page that Prometheus scrapes: `GET /metrics`.

use std::thread;

use log::{debug, info};
use prometheus::Registry;
use tiny_http::{Header, Request, Response, Server};

use super::{MetricsError, text};

/// Listens, and answers from a thread of its own until the process ends.
pub(super) fn start(
    registry: Registry,
    key: &'static str,
    address: &str,
) -> Result<(), MetricsError> {
    let server = Server::http(address).map_err(|error| MetricsError::Listen {
        key,
        address: address.into(),
        reason: error.to_string(),
    })?;
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
