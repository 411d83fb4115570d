//! A PostgreSQL that answers: version, encoding, whether it can be written, TLS.

use std::io::Write;

use postgres::Client;

use super::Report;
use crate::error::{ErrorClass, chain};
use crate::pg::{Conninfo, Operation as _, PgError};

/// Which server is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// `[local.pgsql]`.
    Staging,
    /// `[desc.pgsql]`.
    Target,
}

impl Server {
    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Target => "target",
        }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Staging => "[local.pgsql]",
            Self::Target => "[desc.pgsql]",
        }
    }
}

/// Prints whether the server answers; the session if it does.
///
/// # Errors
/// When it goes away meanwhile.
pub fn answers<W: Write>(
    report: &mut Report<W>,
    server: Server,
    conninfo: &Conninfo,
    opened: Result<Client, PgError>,
) -> Result<Option<Client>, PgError> {
    let mut client = match opened {
        Ok(client) => client,
        Err(error) => {
            report.fail(error.class(), refusal(server, conninfo, &error));
            return Ok(None);
        }
    };
    let row = client
        .query_one("select current_user::text", &[])
        .operation("ask for the user")?;
    report.ok(format!(
        "{} {} database {} answers user {}",
        server.name(),
        conninfo.address(),
        conninfo.database(),
        row.get::<_, String>(0)
    ));
    Ok(Some(client))
}

fn refusal(server: Server, conninfo: &Conninfo, error: &PgError) -> String {
    let text = format!("{}: {}", server.name(), chain(error));
    match error.class() {
        ErrorClass::Usage => format!("{text} (in {})", server.section()),
        ErrorClass::Unreachable => format!(
            "{text} (start the server, or correct the address {} in {}; the programs wait for it)",
            conninfo.address(),
            server.section()
        ),
        ErrorClass::Failed | ErrorClass::Operator => text,
    }
}

/// What a database must be to hold rows: writable, UTF8, reached over TLS.
///
/// # Errors
/// When it goes away meanwhile.
pub fn look_at_database<W: Write>(
    report: &mut Report<W>,
    server: Server,
    conninfo: &Conninfo,
    client: &mut Client,
) -> Result<(), PgError> {
    let row = client
        .query_one(
            "select current_setting('server_encoding'), \
                    pg_is_in_recovery() or current_setting('transaction_read_only') = 'on', \
                    exists (select 1 \
                              from pg_catalog.pg_class c \
                              join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                             where n.nspname = 'pg_catalog' and c.relname = 'pg_stat_ssl')",
            &[],
        )
        .operation("read the server's settings")?;
    if row.get(1) {
        report.fail(
            ErrorClass::Operator,
            format!(
                "{} is read-only: name its primary in {}, or set default_transaction_read_only = off there",
                server.name(),
                server.section()
            ),
        );
    }
    look_at_encoding(report, server, conninfo, row.get(0));
    if row.get(2) && !conninfo.is_local() {
        look_at_tls(report, server, conninfo, client)?;
    }
    Ok(())
}

fn look_at_encoding<W: Write>(
    report: &mut Report<W>,
    server: Server,
    conninfo: &Conninfo,
    encoding: &str,
) {
    let text = format!(
        "{} database {} has encoding {encoding}",
        server.name(),
        conninfo.database()
    );
    match (encoding, server) {
        ("UTF8", _) => report.ok(text),
        (_, Server::Staging) => report.fail(
            ErrorClass::Operator,
            format!("{text}: staged rows are UTF8 (create database ... encoding 'UTF8' template template0)"),
        ),
        ("SQL_ASCII", Server::Target) => report.warn(format!(
            "{text}: texts are stored as UTF-8 bytes, and nothing tells its readers so"
        )),
        (_, Server::Target) => report.warn(format!(
            "{text}: a text that has a character which {encoding} lacks is refused"
        )),
    }
}

/// Over a network, passwords and rows should not travel in the clear.
fn look_at_tls<W: Write>(
    report: &mut Report<W>,
    server: Server,
    conninfo: &Conninfo,
    client: &mut Client,
) -> Result<(), PgError> {
    let row = client
        .query_one(
            "select coalesce(bool_or(ssl), false), max(version) from pg_catalog.pg_stat_ssl where pid = pg_backend_pid()",
            &[],
        )
        .operation("read the session's TLS")?;
    let name = server.name();
    if !row.get::<_, bool>(0) {
        report.warn(format!(
            "{name}: rows travel without TLS to another host (switch ssl on there, and add sslmode=verify-full \
             sslrootcert=FILE to the connect_string of {})",
            server.section()
        ));
    } else if conninfo.verifies() {
        report.ok(format!(
            "{name}: TLS, verified, {}",
            row.get::<_, Option<String>>(1).unwrap_or_default()
        ));
    } else {
        report.warn(format!(
            "{name}: TLS to a server that is not verified (add sslmode=verify-full sslrootcert=FILE to the \
             connect_string of {})",
            server.section()
        ));
    }
    Ok(())
}
