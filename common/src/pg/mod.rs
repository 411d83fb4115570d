//! Connections to PostgreSQL: staging and target alike.
//!
//! Parses connect strings, opens sessions with the settings that exact text needs, and
//! says what an error of the server means for the program.

pub mod conninfo;
mod deadline;
mod opengauss;
mod tls;

use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, NoTls};

pub use conninfo::{Conninfo, ConninfoError, SslMode};
pub use tls::TlsError;

use crate::error::ErrorClass;

/// Why a PostgreSQL operation failed. Shows SQLSTATE, table and column, never a value.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The server cannot be reached.
    #[error("connect to {address}: {reason}")]
    Connect {
        /// Host and port.
        address: String,
        /// What went wrong, without values.
        reason: String,
        /// What it means.
        class: ErrorClass,
    },
    /// TLS cannot be set up.
    #[error("connect to {address}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// A statement failed.
    #[error("{operation}: {reason}")]
    Statement {
        /// What was being done, as "verb object".
        operation: &'static str,
        /// What went wrong, without values.
        reason: String,
        /// The SQLSTATE, when the server gave one.
        sqlstate: Option<SqlState>,
        /// What it means.
        class: ErrorClass,
    },
}

impl PgError {
    /// A failed statement; `operation` is "verb object".
    pub fn statement(operation: &'static str, error: &postgres::Error) -> Self {
        Self::Statement {
            operation,
            reason: describe(error),
            sqlstate: error.code().cloned(),
            class: class_of(error),
        }
    }

    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { class, .. } | Self::Statement { class, .. } => *class,
            Self::Tls { .. } => ErrorClass::Usage,
        }
    }

    /// The SQLSTATE, when the server gave one.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Statement { sqlstate, .. } => sqlstate.as_ref(),
            Self::Connect { .. } | Self::Tls { .. } => None,
        }
    }
}

/// Adds the operation to an error of the `postgres` crate.
pub trait Operation<T> {
    /// Names what was being done, as "verb object".
    ///
    /// # Errors
    /// The error, with its name.
    fn operation(self, operation: &'static str) -> Result<T, PgError>;
}

impl<T> Operation<T> for Result<T, postgres::Error> {
    fn operation(self, operation: &'static str) -> Result<T, PgError> {
        self.map_err(|error| PgError::statement(operation, &error))
    }
}

impl<T> Operation<T> for std::io::Result<T> {
    fn operation(self, operation: &'static str) -> Result<T, PgError> {
        self.map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<postgres::Error>());
            match inner {
                Some(inner) => PgError::statement(operation, inner),
                None => PgError::Statement {
                    operation,
                    reason: error.to_string(),
                    sqlstate: None,
                    class: ErrorClass::Unreachable,
                },
            }
        })
    }
}

/// Opens a session, within the `connect_timeout` of the connect string for each of its hosts.
///
/// # Errors
/// When the server is away ([`ErrorClass::Unreachable`]) or refuses the credentials
/// ([`ErrorClass::Usage`]).
pub fn connect(conninfo: &Conninfo, application: &str) -> Result<Client, PgError> {
    deadline::connect(
        conninfo,
        application,
        ("ordinary", |conninfo, application| {
            let config = configure(conninfo, application);
            let opened = open(conninfo, &config)?;
            prepare(opened.map_err(|error| refused(conninfo, &error))?)
        }),
    )
}

/// Opens a session on the target, which may be an openGauss with a login of its own.
///
/// # Errors
/// As [`connect`]; [`ErrorClass::Operator`] where the server asks for a login that is not
/// supported.
pub fn connect_target(conninfo: &Conninfo, application: &str) -> Result<Client, PgError> {
    deadline::connect(
        conninfo,
        application,
        ("target", |conninfo, application| {
            let config = configure(conninfo, application);
            prepare(match open(conninfo, &config)? {
                Ok(client) => client,
                Err(error) => opengauss::connect(conninfo, &config, &error)?,
            })
        }),
    )
}

fn configure(conninfo: &Conninfo, application: &str) -> postgres::Config {
    let mut config = conninfo.config.clone();
    if config.get_application_name().is_none() {
        config.application_name(application);
    }
    config.ssl_mode(match conninfo.ssl_mode {
        SslMode::Disable => postgres::config::SslMode::Disable,
        SslMode::Prefer => postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            postgres::config::SslMode::Require
        }
    });
    config
}

/// Connects as PostgreSQL wants it. The outer error: TLS cannot be set up.
fn open(
    conninfo: &Conninfo,
    config: &postgres::Config,
) -> Result<Result<Client, postgres::Error>, PgError> {
    Ok(match conninfo.ssl_mode {
        SslMode::Disable => config.connect(NoTls),
        SslMode::Prefer | SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            let connector = tls::connector(conninfo).map_err(|source| PgError::Tls {
                address: conninfo.address(),
                source,
            })?;
            config.connect(connector)
        }
    })
}

fn refused(conninfo: &Conninfo, error: &postgres::Error) -> PgError {
    let mut reason = describe(error);
    if tls::is_refusal(error) {
        reason.push_str(
            "; check sslmode, sslrootcert, sslcert and sslkey of connect_string; verify-full wants a certificate for the \
             name in host",
        );
    }
    let remedy = match error.code().map(SqlState::code) {
        Some("28P01") => "; correct user and password (connect_string, password_file or .pgpass)",
        Some("3D000") => "; create the database, or correct dbname in connect_string",
        Some("28000") => {
            "; correct user and sslmode in connect_string, or the server's pg_hba.conf"
        }
        Some(_) => "",
        None if reason.contains("password missing") => {
            "; give one (connect_string, password_file or .pgpass)"
        }
        None => "",
    };
    reason.push_str(remedy);
    PgError::Connect {
        address: session_address(conninfo),
        reason,
        class: class_of(error),
    }
}

fn session_address(conninfo: &Conninfo) -> String {
    format!(
        "{} as {} to database {}",
        conninfo.address(),
        conninfo.user(),
        conninfo.database()
    )
}

fn prepare(mut client: Client) -> Result<Client, PgError> {
    client.batch_execute(SESSION).operation("prepare session")?;
    Ok(client)
}

/// Text forms that do not depend on the server's configuration, and no JIT: planner
/// estimates of bulk statements trigger it and it costs more than the statement. Settings that
/// not every server has, or lets its users have, are looked for.
const SESSION: &str = "\
set client_min_messages = warning;
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';
set bytea_output = 'hex';
set standard_conforming_strings = on;
set statement_timeout = 0;
select set_config(name, 'off', false) from pg_settings where name = 'jit' and context = 'user';
select set_config(name, '0', false) from pg_settings where name = 'idle_in_transaction_session_timeout' and context = 'user';
select set_config(name, '3', false) from pg_settings where name = 'extra_float_digits' and context = 'user'";

/// Has the server end this session when it leaves a transaction open and idle for ten seconds:
/// the program is frozen then, or its host dead, and whoever takes over would wait for the
/// rows that it has locked. For sessions whose transactions are short.
///
/// # Errors
/// When the statement fails.
pub fn forbid_idle_transactions(client: &mut Client) -> Result<(), PgError> {
    client
        .batch_execute("set idle_in_transaction_session_timeout = '10s'")
        .operation("prepare session")
}

/// Has the server end this session within `timeout` when the program's host is dead: its
/// locks end then. On a unix socket it does nothing, and need not.
///
/// # Errors
/// When the statement fails.
pub fn set_keepalive(client: &mut Client, timeout: Duration) -> Result<(), PgError> {
    let seconds = timeout.as_secs().max(1);
    // openGauss takes no more than these.
    let (idle, interval) = ((seconds / 2).clamp(1, 3600), (seconds / 6).clamp(1, 180));
    client
        .batch_execute(&format!(
            "set tcp_keepalives_idle = {idle}; \
             set tcp_keepalives_interval = {interval}; \
             set tcp_keepalives_count = 3; \
             select set_config(name, '{}', false) from pg_settings where name = 'tcp_user_timeout' and context = 'user'",
            seconds * 1000
        ))
        .operation("set keepalive")
}

/// What the server or the connection said. A server's DETAIL quotes rows, so only the
/// primary message of known-harmless classes, SQLSTATE and object names are shown.
fn describe(error: &postgres::Error) -> String {
    let Some(db) = error.as_db_error() else {
        return crate::error::chain(error);
    };
    let mut text = if quotes_values(db.code()) {
        format!("SQLSTATE {}", db.code().code())
    } else {
        format!("{} (SQLSTATE {})", db.message(), db.code().code())
    };
    for (label, name) in [
        ("table", db.table()),
        ("column", db.column()),
        ("constraint", db.constraint()),
    ] {
        if let Some(name) = name {
            text.push_str(&format!(", {label} {name}"));
        }
    }
    if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE {
        text.push_str("; grant it to the user (`check` names the privileges that are lacking)");
    }
    text
}

/// Data exceptions (class 22) and invalid text put the value into the message; so may whoever
/// wrote a trigger (class P0).
fn quotes_values(code: &SqlState) -> bool {
    code.code().starts_with("22") || code.code().starts_with("P0")
}

/// What an error of the server or the connection means.
pub fn class_of(error: &postgres::Error) -> ErrorClass {
    let Some(code) = error.code() else {
        return if tls::is_refusal(error) {
            ErrorClass::Usage
        } else if is_connection_error(error) {
            ErrorClass::Unreachable
        } else {
            ErrorClass::Usage
        };
    };
    match code.code() {
        // Connection exceptions, resources, operator intervention, serialization, locks; Greenplum's
        // lost segments; openGauss's connections within the server and waits for locks.
        "57P01" | "57P02" | "57P03" | "57P05" | "53000" | "53100" | "53200" | "53300" | "40001"
        | "40P01" | "55P03" | "25P03" | "58030" | "58M01" | "YY001" | "YY002" | "YY003"
        | "YY004" => ErrorClass::Unreachable,
        code if code.starts_with("08") => ErrorClass::Unreachable,
        // Credentials, database, role, privileges.
        "28000" | "28P01" | "3D000" | "42501" => ErrorClass::Usage,
        _ => ErrorClass::Operator,
    }
}

fn is_connection_error(error: &postgres::Error) -> bool {
    use std::error::Error as _;
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some() {
            return true;
        }
        source = cause.source();
    }
    error.is_closed()
        || error.to_string().contains("timed out")
        || error.to_string().contains("connecting")
}

/// Quotes an identifier.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
    }
}
