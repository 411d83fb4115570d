//! Logging in to openGauss.
//!
//! openGauss speaks PostgreSQL's protocol but for the login: with its default,
//! `password_encryption_type = 2`, it asks for a sha256 proof under a code that PostgreSQL has
//! for SASL, and the `postgres` client fails. So a connection to the target that fails in a way
//! in which PostgreSQL never answers is tried once more: [`connector`] is handed the raw socket,
//! [`startup`] does the start-up with [`login`]'s answers, and [`stream`] lets the client
//! believe that it has logged in itself.
//!
//! Invariants: what PostgreSQL and Greenplum answer is never tried again; a server that turns
//! out to be no openGauss leaves the first error in force; whatever a server sends ends in an
//! error or a session, not in a panic.
//!
//! Not here: sm3 passwords (code 13), IAM, Kerberos; they are refused by name. Unix sockets: the
//! client hands out no raw one.

mod connector;
mod login;
mod startup;
mod stream;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::io;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use postgres::config::{Host, SslMode as ClientSslMode, SslNegotiation};
use postgres::error::SqlState;
use postgres::{Client, Config};

use self::connector::{Connector, Encryption};
use self::login::Md5Form;
use self::startup::{Login, Progress, Seen};
use super::conninfo::{Conninfo, SslMode};
use super::{PgError, describe, refused, session_address, tls};
use crate::error::{ErrorClass, chain};

/// The minor version of protocol 3 that openGauss's own clients name: the server tells the
/// iteration count then, which need not be the default.
const MINOR_VERSION: u16 = 51;

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    /// The server hung up, or TLS failed.
    #[error("connection lost during the login")]
    Io(#[from] io::Error),
    /// It answers as PostgreSQL or something else does.
    #[error("the server does not ask for openGauss's login")]
    NotOpenGauss,
    /// The server breaks the protocol.
    #[error("openGauss's login: the server sent what cannot be read: {what}")]
    Damaged { what: &'static str },
    /// Code 13.
    #[error(
        "openGauss's login: the server asks for sm3 (code 13), which is not supported: set password_encryption_type = \
         2 and give the user its password again"
    )]
    Sm3,
    /// Another code.
    #[error(
        "openGauss's login: the server asks for authentication code {code}, which is not supported: let pg_hba.conf \
         ask this user for sha256"
    )]
    Code { code: i32 },
    /// Code 10 for a password that is not stored as sha256.
    #[error(
        "openGauss's login: the server has stored the password by method {method}, not as sha256 (2): set \
         password_encryption_type = 2 and give the user its password again"
    )]
    Method { method: i32 },
    /// The server cannot know the password.
    #[error(
        "openGauss's login: the server's signature does not fit the password: the password is wrong, or this is not \
         the server that it claims to be"
    )]
    Signature,
    /// None in the connect string, nor in a file.
    #[error("openGauss's login: the server asks for a password, and there is none")]
    NoPassword,
    /// `sslmode` asks for TLS.
    #[error("openGauss's login: the server does not offer TLS, which sslmode asks for")]
    NoTls,
    /// A parameter that cannot be sent.
    #[error("connect string: {name} has a 0x00")]
    Parameter { name: &'static str },
}

impl LoginError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Io(_) => ErrorClass::Unreachable,
            Self::NotOpenGauss
            | Self::Damaged { .. }
            | Self::Sm3
            | Self::Code { .. }
            | Self::Method { .. } => ErrorClass::Operator,
            Self::Signature | Self::NoPassword | Self::NoTls | Self::Parameter { .. } => {
                ErrorClass::Usage
            }
        }
    }
}

/// Connects the openGauss way where `first`, the error of the ordinary way, leaves it possible
/// that this is one; else that error stays.
pub(super) fn connect(
    conninfo: &Conninfo,
    config: &Config,
    first: &postgres::Error,
) -> Result<Client, PgError> {
    let Some(config) = over_tcp(config) else {
        if !is_misunderstood(first) {
            return Err(refused(conninfo, first));
        }
        return Err(PgError::Connect {
            address: session_address(conninfo),
            reason: format!(
                "{}; if this is an openGauss, name a host instead of a socket directory",
                describe(first)
            ),
            class: ErrorClass::Usage,
        });
    };
    // Of several addresses the error is the last one's, which need not be the one that asked.
    let may_be = is_misunderstood(first)
        || (first.as_db_error().is_none() && has_several_addresses(&config));
    may_be
        .then(|| log_in(conninfo, &config, MINOR_VERSION))
        .transpose()?
        .flatten()
        .ok_or_else(|| refused(conninfo, first))
}

/// Whether the client could not make sense of what a server has sent. PostgreSQL sends what it
/// can, or an error of its own.
fn is_misunderstood(error: &postgres::Error) -> bool {
    let text = error.to_string();
    if error.as_db_error().is_some() || text.contains("connecting") || text.contains("TLS") {
        return false;
    }
    match error.source() {
        // A message at a place where it does not belong: code 11.
        None => !error.is_closed(),
        // What cannot be parsed: codes 10, 13 and those that PostgreSQL has not.
        Some(cause) => cause.downcast_ref::<io::Error>().is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            )
        }),
    }
}

fn has_several_addresses(config: &Config) -> bool {
    let count = config.get_hosts().len().max(config.get_hostaddrs().len());
    match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        _ if count > 1 => true,
        (Some(Host::Tcp(name)), None) => (name.as_str(), 0)
            .to_socket_addrs()
            .is_ok_and(|addresses| addresses.count() > 1),
        _ => false,
    }
}

/// `None` where the server does not ask for openGauss's login; `config` is of [`over_tcp`].
fn log_in(conninfo: &Conninfo, config: &Config, minor: u16) -> Result<Option<Client>, PgError> {
    let encryption = encryption(conninfo)?;
    let mut last = None;
    for form in Md5Form::ALL {
        let progress = Arc::new(Progress::new());
        let result = config.connect(Connector {
            encryption: encryption.clone(),
            login: Arc::new(login(config, minor, form)),
            progress: Arc::clone(&progress),
        });
        let error = match result {
            Ok(client) => return Ok(Some(client)),
            Err(error) => error,
        };
        let reason = error
            .source()
            .and_then(|cause| cause.downcast_ref::<LoginError>());
        match (reason, progress.seen()) {
            (Some(LoginError::NotOpenGauss), _)
            | (Some(LoginError::Io(_)) | None, Seen::Nothing) => return Ok(None),
            (Some(reason), _) => {
                return Err(PgError::Connect {
                    address: session_address(conninfo),
                    reason: chain(reason),
                    class: reason.class(),
                });
            }
            (None, Seen::Md5OfSha256) if error.code() == Some(&SqlState::INVALID_PASSWORD) => {
                last = Some(refused(conninfo, &error));
            }
            (None, _) => return Err(refused(conninfo, &error)),
        }
    }
    last.map_or(Ok(None), Err)
}

/// The client hands the raw socket over when it believes that TLS comes first, which needs a
/// host's name or address. `None` where there is none.
fn over_tcp(config: &Config) -> Option<Config> {
    let mut config = config.clone();
    config
        .ssl_mode(ClientSslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    if config.get_hosts().is_empty() {
        for address in config.get_hostaddrs().to_vec() {
            config.host(&address.to_string());
        }
    }
    let is_tcp = |host: &Host| matches!(host, Host::Tcp(_));
    config.get_hosts().iter().any(is_tcp).then_some(config)
}

fn encryption(conninfo: &Conninfo) -> Result<Encryption, PgError> {
    let connector = || {
        tls::connector(conninfo).map_err(|source| PgError::Tls {
            address: conninfo.address(),
            source,
        })
    };
    Ok(match conninfo.ssl_mode {
        SslMode::Disable => Encryption::Never,
        SslMode::Prefer => Encryption::IfOffered(connector()?),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            Encryption::Always(connector()?)
        }
    })
}

fn login(config: &Config, minor: u16, form: Md5Form) -> Login {
    Login {
        user: config.get_user().unwrap_or_default().into(),
        database: config.get_dbname().map(Into::into),
        options: config.get_options().map(Into::into),
        application_name: config.get_application_name().map(Into::into),
        password: config.get_password().map(Into::into),
        minor,
        form,
    }
}
