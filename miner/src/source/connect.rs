//! Sessions on the source.

use std::time::Duration;

use common::settings::{SourceSettings, SourceSslMode};
use log::warn;
use mysql::prelude::Queryable as _;
use mysql::{Conn, Opts, OptsBuilder, SslOpts};

use super::error::SourceError;

/// Largest event plus its packet header; the server's own limit is 1 GiB.
const MAX_PACKET_BYTES: usize = 1 << 30;

/// Without an event or heartbeat for this long the connection is taken for dead.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens a session with UTC times, UTF-8 texts and a plain `sql_mode`.
///
/// # Errors
/// When the source is away, refuses the credentials or TLS fails.
pub fn connect(settings: &SourceSettings) -> Result<Conn, SourceError> {
    let connect = |ssl: Option<SslOpts>| {
        Conn::new(options(settings, ssl)).map_err(|source| SourceError::Connect {
            address: settings.address(),
            user: settings.user.clone(),
            source,
        })
    };
    let mut conn = match settings.ssl_mode {
        SourceSslMode::Disabled => connect(None)?,
        SourceSslMode::Preferred if settings.host.starts_with('/') => connect(None)?,
        SourceSslMode::Preferred => match connect(Some(ssl_options(settings))) {
            Err(error) if error.is_tls_unavailable() => connect(None)?,
            result => result?,
        },
        SourceSslMode::Required | SourceSslMode::VerifyCa | SourceSslMode::VerifyIdentity => {
            connect(Some(ssl_options(settings)))?
        }
    };
    conn.query_drop("set time_zone = '+00:00', names utf8mb4, session sql_mode = ''")
        .map_err(SourceError::query("prepare session"))?;
    Ok(conn)
}

fn options(settings: &SourceSettings, ssl: Option<SslOpts>) -> Opts {
    let is_socket = settings.host.starts_with('/');
    OptsBuilder::new()
        .ip_or_hostname((!is_socket).then(|| settings.host.clone()))
        .tcp_port(settings.port)
        .socket(is_socket.then(|| settings.host.clone()))
        .prefer_socket(false)
        .user(Some(settings.user.clone()))
        .pass(Some(settings.password.expose()))
        .max_allowed_packet(Some(MAX_PACKET_BYTES))
        .tcp_connect_timeout(Some(settings.connect_timeout))
        .read_timeout(Some(READ_TIMEOUT))
        .write_timeout(Some(READ_TIMEOUT))
        .server_key_path(settings.server_public_key.clone())
        .ssl_opts(ssl)
        .into()
}

fn ssl_options(settings: &SourceSettings) -> SslOpts {
    let verify = matches!(
        settings.ssl_mode,
        SourceSslMode::VerifyCa | SourceSslMode::VerifyIdentity
    );
    let mut ssl = SslOpts::default()
        .with_danger_accept_invalid_certs(!verify)
        .with_danger_skip_domain_validation(settings.ssl_mode != SourceSslMode::VerifyIdentity);
    if let Some(ca) = settings.ssl_ca.clone() {
        ssl = ssl.with_root_cert_path(Some(ca));
    }
    match (&settings.ssl_cert, &settings.ssl_key) {
        (Some(cert), Some(key)) => {
            ssl = ssl
                .with_client_identity(Some(mysql::ClientIdentity::new(cert.clone(), key.clone())));
        }
        (None, None) => {}
        _ => warn!("ssl_cert and ssl_key go together: neither is used"),
    }
    ssl
}
