//! Sessions on the source.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use common::settings::{SourceSettings, SourceSslMode};
use log::warn;
use mysql::prelude::Queryable as _;
use mysql::{Conn, Opts, OptsBuilder, SslOpts};

use super::error::SourceError;

/// Largest event plus its packet header; the server's own limit is 1 GiB.
pub(super) const MAX_PACKET_BYTES: usize = 1 << 30;

/// Without an event or heartbeat for this long the connection is taken for dead.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A path that cannot exist: in place of the server's RSA key, where asking for that key would
/// hand the password to whoever answers. Reading it fails before anything is sent.
const NO_KEY: &str = "/dev/null/server_public_key";

/// The warning is for the operator, not for each of many sessions.
static UNVERIFIED: Once = Once::new();

/// What a session's bytes look like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    Tls,
}

/// Opens a session with UTC times, UTF-8 texts and a plain `sql_mode`.
///
/// # Errors
/// When the source is away, refuses the credentials or TLS fails.
pub fn connect(settings: &SourceSettings) -> Result<Conn, SourceError> {
    connect_by(settings).map(|(conn, _)| conn)
}

/// The same, with how its bytes travel.
pub(super) fn connect_by(settings: &SourceSettings) -> Result<(Conn, Wire), SourceError> {
    require_files(settings)?;
    let plain = || open(settings, None).map(|conn| (conn, Wire::Plain));
    let tls = || open(settings, Some(ssl_options(settings))).map(|conn| (conn, Wire::Tls));
    let (mut conn, wire) = match settings.ssl_mode {
        SourceSslMode::Disabled => plain()?,
        SourceSslMode::Preferred if settings.is_socket() => plain()?,
        SourceSslMode::Preferred => match tls() {
            Err(error) if error.is_tls_unavailable() => plain()?,
            result => warned(settings, result?),
        },
        SourceSslMode::Required => warned(settings, tls()?),
        SourceSslMode::VerifyCa | SourceSslMode::VerifyIdentity => tls()?,
    };
    conn.query_drop("set time_zone = '+00:00', names utf8mb4, session sql_mode = ''")
        .map_err(SourceError::query("prepare session"))?;
    Ok((conn, wire))
}

fn warned(settings: &SourceSettings, session: (Conn, Wire)) -> (Conn, Wire) {
    if !settings.password.expose().is_empty() {
        UNVERIFIED.call_once(|| {
            warn!(
                "the password of [src.mysql] travels over TLS to a server that is not verified: set ssl_ca and \
                 ssl_mode = verify_ca or verify_identity source={}",
                settings.address()
            );
        });
    }
    session
}

fn open(settings: &SourceSettings, ssl: Option<SslOpts>) -> Result<Conn, SourceError> {
    let attempt = || {
        // The client library panics on some malformed handshakes and key files.
        catch_unwind(AssertUnwindSafe(|| {
            Conn::new(options(settings, ssl.clone()))
        }))
        .map_err(|_| SourceError::Handshake {
            address: settings.address(),
        })
    };
    let first = attempt()?;
    // The client library takes a zero at the end of the server's random bytes for padding, so
    // that one login of 256 with ed25519 fails whatever the password is.
    let opened = match first {
        Err(mysql::Error::MySqlError(error)) if error.code == ER_ACCESS_DENIED => attempt()?,
        other => other,
    };
    opened.map_err(|error| SourceError::connect(settings, error))
}

/// Source: MySQL `share/messages_to_clients.txt`, ER_ACCESS_DENIED_ERROR.
const ER_ACCESS_DENIED: u16 = 1045;

/// A file that cannot be read is a mistake in the configuration, not a server that is away.
fn require_files(settings: &SourceSettings) -> Result<(), SourceError> {
    for (key, path) in [
        ("ssl_ca", &settings.ssl_ca),
        ("ssl_cert", &settings.ssl_cert),
        ("ssl_key", &settings.ssl_key),
        ("server_public_key", &settings.server_public_key),
    ] {
        let Some(path) = path else { continue };
        File::open(path).map_err(|source| SourceError::File {
            key,
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

/// The RSA key for a full caching_sha2_password login without TLS. `None` lets the client
/// library ask the server for it.
fn server_key(settings: &SourceSettings) -> Option<PathBuf> {
    settings
        .server_public_key
        .clone()
        .or_else(|| (!settings.is_local()).then(|| NO_KEY.into()))
}

fn options(settings: &SourceSettings, ssl: Option<SslOpts>) -> Opts {
    let is_socket = settings.is_socket();
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
        .server_key_path(server_key(settings))
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
    if let (Some(cert), Some(key)) = (&settings.ssl_cert, &settings.ssl_key) {
        ssl = ssl.with_client_identity(Some(mysql::ClientIdentity::new(cert.clone(), key.clone())));
    }
    ssl
}
