//! Staging: schema, privileges, durability, space.

use std::io::Write;
use std::path::Path;

use postgres::Client;

use super::disk::{bytes_text, free_bytes};
use super::server::{Server, answers, look_at_database};
use super::{Report, look_at_clock};
use crate::error::ErrorClass;
use crate::pg::{self, Operation as _, PgError, quote_identifier};
use crate::settings::Settings;
use crate::staging::migrate::SCHEMA_VERSION;

/// PostgreSQL versions that can be staging begin here.
const LEAST_VERSION: i32 = 120_000;

/// Looks at the staging server; the session, and whether the task's schema is there.
///
/// # Errors
/// When it goes away meanwhile.
pub fn look_at_staging<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    application: &str,
) -> Result<Option<(Client, Schema)>, PgError> {
    report.asks(format!("staging {}", settings.staging.address()));
    let opened = pg::connect(&settings.staging, application);
    let Some(mut client) = answers(report, Server::Staging, &settings.staging, opened)? else {
        return Ok(None);
    };
    if !look_at_product(report, &mut client)? {
        return Ok(None);
    }
    look_at_database(report, Server::Staging, &settings.staging, &mut client)?;
    let schema = look_at_schema(report, settings, &mut client)?;
    look_at_durability(report, &mut client)?;
    look_at_space(report, settings, &mut client)?;
    report.add(&look_at_clock(&mut client, "staging")?);
    Ok(Some((client, schema)))
}

/// Whether it is a PostgreSQL that can be staging, and none of its relatives.
fn look_at_product<W: Write>(report: &mut Report<W>, client: &mut Client) -> Result<bool, PgError> {
    let row = client
        .query_one(
            "select version(), current_setting('server_version_num')::integer",
            &[],
        )
        .operation("ask for the version")?;
    let (version, number): (&str, i32) = (row.get(0), row.get(1));
    let relative = ["Greenplum", "Greengage", "Cloudberry", "openGauss"]
        .into_iter()
        .find(|name| version.contains(name));
    if relative.is_some() || number < LEAST_VERSION {
        let name = relative.unwrap_or("PostgreSQL");
        report.fail(
            ErrorClass::Operator,
            format!(
                "staging is {name}, version {}.{}: PostgreSQL 12 or later is needed",
                number / 10_000,
                number % 10_000
            ),
        );
        return Ok(false);
    }
    report.ok(format!(
        "staging is PostgreSQL {}.{}",
        number / 10_000,
        number % 10_000
    ));
    Ok(true)
}

/// What of the task's schema is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Nothing yet, or nothing that may be read.
    Absent,
    /// This task's.
    Present,
}

fn look_at_schema<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    client: &mut Client,
) -> Result<Schema, PgError> {
    let row = client
        .query_one(
            "select exists (select 1 from pg_catalog.pg_namespace where nspname = 'mysql2gp'), \
                has_database_privilege(current_database(), 'create'), \
                current_database()::text, current_user::text",
            &[],
        )
        .operation("look for the staging schema")?;
    let (exists, may_create): (bool, bool) = (row.get(0), row.get(1));
    let (database, user): (String, String) = (row.get(2), row.get(3));
    if !exists {
        if may_create {
            report.ok("staging is empty: its schema is created when binlog_miner starts first");
        } else {
            report.fail(
                ErrorClass::Usage,
                format!(
                    "staging: user {user} may not create schema mysql2gp (grant create on database {} to {})",
                    quote_identifier(&database),
                    quote_identifier(&user)
                ),
            );
        }
        return Ok(Schema::Absent);
    }
    if let Some(owner) = foreign_owner(client)? {
        report.fail(
            ErrorClass::Usage,
            format!(
                "staging: schema mysql2gp belongs to {owner}, and user {user} does not act for it (grant {} to {}, or \
                 connect as {owner})",
                quote_identifier(&owner),
                quote_identifier(&user)
            ),
        );
        return Ok(Schema::Absent);
    }
    look_at_task(report, settings, client)
}

/// Who owns the schema or a table in it, where that is a role that the user does not act for:
/// partitions are made and dropped by the owner only.
fn foreign_owner(client: &mut Client) -> Result<Option<String>, PgError> {
    let row = client.query_opt(
        "select r.rolname::text \
           from (select n.nspowner as owner from pg_catalog.pg_namespace n where n.nspname = 'mysql2gp' \
                  union \
                 select c.relowner \
                   from pg_catalog.pg_class c \
                   join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname = 'mysql2gp') o \
           join pg_catalog.pg_roles r on r.oid = o.owner \
          where not pg_catalog.pg_has_role(current_user, o.owner, 'usage') \
          order by 1 limit 1",
        &[],
    ).operation("read the staging schema's owner")?;
    Ok(row.map(|row| row.get(0)))
}

fn look_at_task<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    client: &mut Client,
) -> Result<Schema, PgError> {
    let known: bool = client
        .query_one(
            "select to_regclass('mysql2gp.schema_version') is not null and to_regclass('mysql2gp.task') is not null",
            &[],
        )
        .operation("look for the staging schema")?
        .get(0);
    if !known {
        report.fail(
            ErrorClass::Operator,
            "staging has a schema mysql2gp that is not of this program: use an empty database",
        );
        return Ok(Schema::Absent);
    }
    let version: i32 = client
        .query_one(
            "select coalesce(max(version), 0) from mysql2gp.schema_version",
            &[],
        )
        .operation("read the staging version")?
        .get(0);
    if version > SCHEMA_VERSION {
        report.fail(
            ErrorClass::Operator,
            format!("staging has schema version {version}, this program knows {SCHEMA_VERSION}: upgrade this program"),
        );
        return Ok(Schema::Absent);
    }
    let name: Option<String> = client
        .query_opt("select name from mysql2gp.task", &[])
        .operation("read the task's name")?
        .map(|row| row.get(0));
    match name {
        Some(name) if name != settings.task.name => {
            report.fail(
                ErrorClass::Usage,
                format!(
                    "staging serves task {name}, not {} (set name in [task], or use another staging database)",
                    settings.task.name
                ),
            );
            Ok(Schema::Absent)
        }
        _ => {
            report.ok(format!(
                "staging serves task {}, schema version {version}{}",
                settings.task.name,
                if version < SCHEMA_VERSION {
                    format!(" (brought to {SCHEMA_VERSION} when a program starts)")
                } else {
                    String::new()
                }
            ));
            Ok(Schema::Present)
        }
    }
}

/// The target's checkpoint outlives staging, so that this costs time only, never rows.
fn look_at_durability<W: Write>(
    report: &mut Report<W>,
    client: &mut Client,
) -> Result<(), PgError> {
    let rows = client.query(
        "select name, setting from pg_catalog.pg_settings \
          where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off' order by name",
        &[],
    ).operation("read staging's settings")?;
    let off: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let names = off.join(", ");
    if off.iter().any(|name| name != "synchronous_commit") {
        report.warn(format!(
            "staging runs with {names} off: a crash of its host can damage it, and everything not applied is mined \
             again from the source (alter system set fsync = on; alter system set full_page_writes = on; select \
             pg_reload_conf())"
        ));
    } else if off.is_empty() {
        report.ok("staging is durable (fsync, full_page_writes, synchronous_commit)");
    } else {
        report.ok(
            "staging is durable but for its last moment (synchronous_commit is off): what a crash loses is mined again",
        );
    }
    Ok(())
}

fn look_at_space<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    client: &mut Client,
) -> Result<(), PgError> {
    let used: i64 = client
        .query_one("select pg_database_size(current_database())", &[])
        .operation("read the size of staging")?
        .get(0);
    let used = u64::try_from(used).unwrap_or_default();
    let miner = &settings.miner;
    let text = format!(
        "staging holds {}, staging_soft_limit {}, staging_hard_limit {}",
        bytes_text(used),
        bytes_text(miner.staging_soft_limit),
        bytes_text(miner.staging_hard_limit)
    );
    if used >= miner.staging_hard_limit {
        report.fail(
            ErrorClass::Operator,
            format!("{text}: start binlog_loader, or raise staging_hard_limit in [binlogminer]"),
        );
        return Ok(());
    }
    if used >= miner.staging_soft_limit {
        report.warn(format!(
            "{text}: the miner waits until the loader has applied some of it"
        ));
        return Ok(());
    }
    match free(settings, client)? {
        None => report.ok(format!("{text}; its free disk space is not visible from here")),
        Some(free) if used.saturating_add(free) < miner.staging_soft_limit => report.warn(format!(
            "{text}; only {} are free on its disk, which is full before the limit: the miner waits then until there \
             is space (set staging_soft_limit below {} in [binlogminer], or make room)",
            bytes_text(free),
            bytes_text(used.saturating_add(free))
        )),
        Some(free) => report.ok(format!("{text}; {} are free on its disk", bytes_text(free))),
    }
    Ok(())
}

/// Free space on the server's disk, where the server is on this host and says where its data
/// are (a superuser and members of pg_read_all_settings are told).
fn free(settings: &Settings, client: &mut Client) -> Result<Option<u64>, PgError> {
    if !settings.staging.is_local() {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "select setting from pg_catalog.pg_settings where name = 'data_directory'",
            &[],
        )
        .operation("read staging's data directory")?;
    Ok(row
        .and_then(|row| row.get::<_, Option<String>>(0))
        .and_then(|directory| free_bytes(Path::new(&directory))))
}
