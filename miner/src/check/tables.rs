//! The tables of the list: there, with a key, of types that are carried, logged whole.

use std::io::Write;

use common::check::Report;
use common::error::ErrorClass;
use common::settings::Settings;
use common::table::TableName;

use super::fail;
use crate::decode::check_supported;
use crate::error::MinerError;
use crate::source::{Catalog, Questions, SourceError, Unlogged};

/// Looks at every table that the list selects.
pub(super) fn look<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
) -> Result<(), MinerError> {
    let database = &settings.source.database;
    if settings.tables.touches_database(database) && !source.has_database(database)? {
        report.fail(
            ErrorClass::Usage,
            format!(
                "the source has no database {database}, or user {} may not see it: correct db in [src.mysql], or grant \
                 select on {database}.* to it",
                settings.source.user
            ),
        );
    }
    let mut catalog = Catalog::new(&settings.source);
    look_at_log(report, settings, source, &mut catalog)?;
    let names = catalog.tables(&settings.tables)?;
    for name in settings.tables.named().filter(|name| !names.contains(name)) {
        let error = SourceError::NoSuchTable {
            tables: vec![name],
            user: settings.source.user.clone(),
        };
        report.fail_by(error.class(), &error);
    }
    if names.is_empty() {
        report.warn(
            "the table list selects no table of the source: correct loader_table_list, [[source]] or db, unless tables \
             are to be created later",
        );
    }
    for name in names {
        look_at_table(report, settings, &mut catalog, &name);
    }
    Ok(())
}

/// Whether the log tells every change of the tables.
fn look_at_log<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &Questions,
    catalog: &mut Catalog,
) -> Result<(), MinerError> {
    let databases = catalog.not_logged(&settings.tables)?;
    let tables = catalog.special_tables(&settings.tables)?;
    let keys = if source.server.logs_cascades() {
        Vec::new()
    } else {
        catalog.cascades(&settings.tables)?
    };
    if databases.is_empty() && tables.is_empty() && keys.is_empty() {
        report.ok(
            "the log tells every change of the tables (no filter, no sequence, no system-versioned table, no cascade)",
        );
    }
    if !databases.is_empty() {
        fail(report, &SourceError::NotLogged { databases }.into());
    }
    if !tables.is_empty() {
        fail(report, &SourceError::SpecialTables { tables }.into());
    }
    if !keys.is_empty() {
        let error = SourceError::UnloggedCascades { keys };
        match Unlogged::of_settings(settings) {
            Unlogged::Refused => fail(report, &error.into()),
            Unlogged::Accepted => report.warn(format!(
                "accepted by allow_unlogged_cascades: {}",
                common::error::chain(&error)
            )),
        }
    }
    Ok(())
}

fn look_at_table<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    catalog: &mut Catalog,
    name: &TableName,
) {
    let definition = catalog.definition(name);
    if let Ok(Some(definition)) = &definition
        && let Err(source) = check_supported(definition)
    {
        let table = name.clone();
        fail(report, &SourceError::Definition { table, source }.into());
        return;
    }
    match definition {
        Ok(Some(definition)) if definition.key_columns().is_empty() => {
            if settings.loader.skip_no_pk_table {
                report.warn(format!(
                    "table {name} has no key and is left out (skip_no_pk_table)"
                ));
            } else {
                report.warn(format!(
                    "table {name} has no key: it is applied row by row and needs an exact start (give it a primary key, \
                     or leave such tables out with skip_no_pk_table)"
                ));
            }
        }
        Ok(Some(definition)) => {
            let key: Vec<&str> = definition
                .key_columns()
                .iter()
                .filter_map(|number| definition.columns.get(*number))
                .map(|column| column.name.as_str())
                .collect();
            report.ok(format!(
                "table {name}, {} columns, key {}",
                definition.columns.len(),
                key.join(", ")
            ));
        }
        Ok(None) => {}
        Err(error) => fail(report, &error.into()),
    }
}
