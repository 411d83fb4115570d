//! One row into its target table, by hand: the retry of a dead letter.
//!
//! The caller has opened the transaction, and holds what keeps the loader off the row.

use common::pg::{Operation as _, quote_identifier};
use common::table::TableDefinition;

use super::error::{self, ApplyError};
use super::route_to;
use super::statements::TableStatements;
use crate::dead_letters::Refusal;
use crate::route::Router;
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
        return Ok(match error::refused_cell(&error) {
            Some(refusal) => Written::Refused(refusal),
            None => Written::Refused(Refusal {
                sqlstate: "XX000".into(),
                reason: error.to_string(),
                line: None,
            }),
        });
    }
    let client = &mut session.client;
    if let Some(key) = key {
        let mut cells: Vec<Option<String>> = Vec::new();
        let _ = route.write_key(key, &mut Vec::new(), |_, cell| {
            let text = common::staging::codec::unescape(cell);
            cells.push(text.map(|text| String::from_utf8_lossy(&text).into_owned()));
        });
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
        let parameters: Vec<&(dyn postgres::types::ToSql + Sync)> = cells
            .iter()
            .map(|cell| cell as &(dyn postgres::types::ToSql + Sync))
            .collect();
        match client.query_one(&query, &parameters) {
            Ok(found) if found.get(0) => return Ok(Written::Occupied),
            Ok(_) => {}
            Err(error) => {
                return match error::refusal(&error) {
                    Some(refusal) => Ok(Written::Refused(refusal)),
                    None => Err(common::pg::PgError::statement("look for the key", &error).into()),
                };
            }
        }
    }
    let statements = TableStatements::prepare(client, &route)?;
    let mut writer = client
        .copy_in(&statements.copy)
        .operation("copy into target table")?;
    std::io::Write::write_all(&mut writer, &line).operation("copy into target table")?;
    match writer.finish() {
        Ok(_) => Ok(Written::Yes),
        Err(error) => match error::refusal(&error) {
            Some(refusal) => Ok(Written::Refused(refusal)),
            None => Err(common::pg::PgError::statement("copy into target table", &error).into()),
        },
    }
}
