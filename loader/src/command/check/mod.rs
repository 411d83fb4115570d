//! `check`: configuration, staging, target, tables; one line per check, and changes nothing.

mod tables;
mod target;

use std::collections::BTreeMap;
use std::io::Write;

use common::check::{Report, Schema, look_at_staging};
use common::error::ErrorClass;
use common::pg::{Operation as _, PgError};
use common::settings::Settings;
use common::table::{TableDefinition, TableName};
use postgres::Client;

use super::CommandError;
use crate::fetch;

/// What the servers know this program as.
const NAME: &str = "binlog_loader check";

/// Runs all checks; the class of the worst failure, if there is any.
///
/// # Errors
/// When the answer cannot be written, or a server goes away meanwhile.
pub fn run(settings: &Settings, out: &mut impl Write) -> Result<Option<ErrorClass>, CommandError> {
    let mut report = Report::new(out);
    for notice in &settings.notices {
        report.warn(notice);
    }
    report.ok(format!(
        "configuration {} (task {}, target schema {}, batch_bytes {})",
        settings.path.display(),
        settings.task.name,
        settings.target.schema,
        settings.loader.batch_bytes
    ));
    let mut staged = Staged::default();
    let staging = look_at_staging(&mut report, settings, NAME).map_err(CommandError::Staging)?;
    if let Some((mut client, Schema::Present)) = staging {
        staged = Staged::read(&mut client)?;
    }
    if let Some(mut target) = target::look(&mut report, settings)? {
        tables::look(&mut report, settings, &mut target, &staged)?;
    }
    Ok(report.finish()?)
}

/// What staging knows of tables, if the miner has run.
#[derive(Default)]
struct Staged {
    /// The newest definition of each table that has changed.
    definitions: BTreeMap<TableName, TableDefinition>,
    /// All tables that the list selects, with the names of their key columns.
    replicated: BTreeMap<TableName, Vec<String>>,
}

impl Staged {
    fn read(client: &mut Client) -> Result<Self, CommandError> {
        let definitions = fetch::definitions(client, 0)?
            .into_iter()
            .map(|(_, definition)| (definition.name.clone(), definition))
            .collect();
        Ok(Self {
            definitions,
            replicated: replicated(client).map_err(CommandError::Staging)?,
        })
    }
}

fn replicated(client: &mut Client) -> Result<BTreeMap<TableName, Vec<String>>, PgError> {
    let rows = client
        .query(
            "select database_name, table_name, key_columns from mysql2gp.replicated_table",
            &[],
        )
        .operation("read the replicated tables")?;
    Ok(rows
        .iter()
        .map(|row| {
            let name = TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1));
            (name, row.get(2))
        })
        .collect())
}
