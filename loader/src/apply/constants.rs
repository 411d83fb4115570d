//! Columns that rules add: what the target makes of their values.
//!
//! A value that the target would change or refuse is found before the first row. What keeps
//! the rows of several sources apart is compared as the target has it: `1` and `01` are one
//! integer.

use common::pg::{PgError, quote_identifier};
use common::settings::{Keys, Role};
use postgres::Client;

use super::error::ApplyError;
use crate::route::{KeptApart, Route, RouteError};
use crate::target::session::quote_literal;

/// Asks the target about the route's added columns; what keeps its rows apart from others.
///
/// # Errors
/// When the target would refuse or change a value, or is away.
pub fn look(client: &mut Client, route: &Route) -> Result<KeptApart, ApplyError> {
    let mut columns = Vec::new();
    for (constant, column) in route.constant_columns() {
        let refused = |sqlstate: String| RouteError::Constant {
            source_table: Box::new(route.source.clone()),
            target_table: route.target.display(),
            column: column.name.clone(),
            sqlstate,
        };
        let (base, whole) = (&column.base_type_text, &column.type_text);
        // A cast to a type with a length cuts, where COPY refuses.
        let query = format!("select $1::text::{base}::text, $1::text::{base}::{whole}::text");
        let row = client
            .query_one(&query, &[&constant.value])
            .map_err(|error| match error.code() {
                Some(code) if code.code().starts_with("22") => {
                    ApplyError::from(refused(code.code().into()))
                }
                _ => PgError::statement("look at a value that a rule adds", &error).into(),
            })?;
        let (value, stored): (Option<String>, Option<String>) = (row.get(0), row.get(1));
        let Some(value) = value.filter(|value| stored.as_ref() == Some(value)) else {
            return Err(refused("22001".into()).into());
        };
        if constant.role == Role::Key {
            columns.push((column.name.clone(), value));
        }
    }
    Ok(KeptApart::new(columns, route.keys))
}

/// What empties a source table's part of its target table; `None` where that cannot be told
/// from the rows of other sources.
pub(super) fn truncate_statement(route: &Route) -> Option<String> {
    let conditions: Vec<String> = route
        .constant_columns()
        .filter(|(constant, _)| constant.role == Role::Key)
        .map(|(constant, column)| {
            format!(
                "{} = {}::{}",
                quote_identifier(&column.name),
                quote_literal(&constant.value),
                column.base_type_text
            )
        })
        .collect();
    match (conditions.is_empty(), route.keys) {
        (false, _) => Some(format!(
            "delete from {} where {}",
            route.target.quoted(),
            conditions.join(" and ")
        )),
        (true, Keys::OfEachTable) => Some(format!("truncate table {}", route.target.quoted())),
        (true, Keys::Disjoint) => None,
    }
}
