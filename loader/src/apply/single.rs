//! One row into its target table, by hand: the retry of a dead letter.
//!
//! The caller has opened the transaction, and holds what keeps the loader off the row.

use std::io::Write as _;

use common::pg::{Operation as _, PgError, quote_identifier};
use common::staging::codec::unescape;
use common::table::TableDefinition;
use postgres::Client;
use postgres::types::ToSql;

use super::binary::Format;
use super::error::{self, ApplyError};
use super::route_to;
use super::statements::copy_statement;
use crate::dead_letters::Refusal;
use crate::route::{Route, Router, RowError};
use crate::target::TargetSession;

/// What became of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Yes,
    /// The target has a row of its key, which is left alone.
    Occupied,
    /// The target refuses it still.
    Refused(Refusal),
}

/// Writes a row of which the target must not have the key.
///
/// # Errors
/// When the row has no route any more, or the target is away.
pub fn write_row(
    session: &mut TargetSession,
    router: &Router,
    definition: &TableDefinition,
    (key, row): (Option<&[u8]>, &[u8]),
) -> Result<Written, ApplyError> {
    let route = route_to(session, router, definition)?;
    let mut line = Vec::new();
    if let Err(error) = route.write_row(row, &mut line) {
        return Ok(Written::Refused(refused(&error)));
    }
    let client = &mut session.client;
    let written = match key {
        Some(key) => look_for(client, &route, key),
        None => Ok(Written::Yes),
    };
    let written = match written {
        Ok(Written::Yes) => copy(client, &route, &line),
        other => other,
    };
    written.or_else(|failed| match failed {
        Failed::Refused(refusal) => Ok(Written::Refused(refusal)),
        Failed::Other(error) => Err(error.into()),
    })
}

/// Why a statement failed.
enum Failed {
    Refused(Refusal),
    Other(PgError),
}

fn failed(operation: &'static str) -> impl Fn(postgres::Error) -> Failed {
    move |error| match error::refusal(&error) {
        Some(refusal) => Failed::Refused(refusal),
        None => Failed::Other(PgError::statement(operation, &error)),
    }
}

/// The refusal in an error of ours, damaged text included: it is not to be written either.
fn refused(error: &RowError) -> Refusal {
    error::refused_cell(error).unwrap_or_else(|| Refusal {
        sqlstate: "XX000".into(),
        reason: error.to_string(),
        line: None,
    })
}

/// [`Written::Yes`] when the row may be written.
fn look_for(client: &mut Client, route: &Route, key: &[u8]) -> Result<Written, Failed> {
    let mut cells: Vec<Option<String>> = Vec::new();
    let written = route.write_key(key, &mut Vec::new(), |_, cell| {
        let text = unescape(cell);
        cells.push(text.map(|text| String::from_utf8_lossy(&text).into_owned()));
    });
    if let Err(error) = written {
        return Ok(Written::Refused(refused(&error)));
    }
    let conditions: Vec<String> = (1..)
        .zip(route.key_types())
        .map(|(n, (name, type_text))| {
            format!("t.{} = ${n}::text::{type_text}", quote_identifier(name))
        })
        .collect();
    let query = format!(
        "select exists (select 1 from {} t where {})",
        route.target.quoted(),
        conditions.join(" and ")
    );
    let parameters: Vec<&(dyn ToSql + Sync)> = cells
        .iter()
        .map(|cell| cell as &(dyn ToSql + Sync))
        .collect();
    let found = client
        .query_one(&query, &parameters)
        .map_err(failed("look for the key"))?;
    Ok(if found.get(0) {
        Written::Occupied
    } else {
        Written::Yes
    })
}

fn copy(client: &mut Client, route: &Route, line: &[u8]) -> Result<Written, Failed> {
    const OPERATION: &str = "copy into target table";
    let mut writer = client
        .copy_in(copy_statement(route, Format::Text).as_str())
        .map_err(failed(OPERATION))?;
    writer
        .write_all(line)
        .operation(OPERATION)
        .map_err(Failed::Other)?;
    writer.finish().map_err(failed(OPERATION))?;
    client
        .batch_execute(route.target.dialect.check_deferred())
        .map_err(failed("check deferred constraints"))?;
    Ok(Written::Yes)
}
