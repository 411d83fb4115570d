//! `check`: configuration, staging, target, tables; one line per check, and changes nothing.

mod tables;
mod target;

use std::collections::BTreeMap;
use std::io::Write;

use common::check::{Report, Schema, look_at_staging};
use common::error::ErrorClass;
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
    /// Of each table that has changed the newest definition; of the others the catalog's, as it
    /// was at the miner's start.
    definitions: BTreeMap<TableName, TableDefinition>,
}

impl Staged {
    fn read(client: &mut Client) -> Result<Self, CommandError> {
        let listed = fetch::listed_definitions(client)?;
        let met = fetch::definitions(client, 0)?;
        let definitions = listed
            .into_iter()
            .chain(met.into_iter().map(|(_, definition)| definition))
            .map(|definition| (definition.name.clone(), definition))
            .collect();
        Ok(Self { definitions })
    }
}
