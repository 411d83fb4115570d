//! What `check` tells of the target that depends on the kind of server, and what its user may
//! do: the one place that `check` asks.
//!
//! Reads only.

use common::check::Finding;
use common::error::ErrorClass;
use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::Client;

use super::catalog::TargetTable;
use super::session::{ReplicaRole, set_replica_role};
use super::{Dialect, findings};

const DATABASE: &str = include_str!("../../../sql/query/check_target_database.sql");
const TABLE: &str = include_str!("../../../sql/query/check_target_table.sql");

/// What the target's user may do in the database, and whether triggers rest. The session rests
/// its triggers from then on, where it may.
///
/// # Errors
/// When a statement fails.
pub fn of_database(
    client: &mut Client,
    dialect: Dialect,
) -> Result<(ReplicaRole, Vec<Finding>), PgError> {
    let mut findings = findings::of_server(client, dialect)?;
    findings.extend(privileges(client)?);
    let role = set_replica_role(client, dialect)?;
    findings.extend(match role {
        ReplicaRole::NotPermitted if dialect.is_distributed() => None,
        ReplicaRole::Set => Some(Finding::ok(
            "target: session_replication_role can be set: triggers and foreign keys stay out of the way",
        )),
        ReplicaRole::NotPermitted => Some(Finding::warn(format!(
            "target: tables with triggers, cascading or non-deferrable foreign keys are refused: {}",
            dialect.remedy_for_hazards()
        ))),
    });
    Ok((role, findings))
}

fn privileges(client: &mut Client) -> Result<Vec<Finding>, PgError> {
    let row = client
        .query_one(DATABASE, &[])
        .operation("read the user's privileges on the target")?;
    let user = quote_identifier(row.get(0));
    let database = quote_identifier(row.get(1));
    let mut findings = Vec::new();
    let exists: bool = row.get(2);
    if !exists && !row.get::<_, bool>(3) {
        findings.push(Finding::fail(
            ErrorClass::Usage,
            format!(
                "target: the user may not create schema mysql2gp, which holds the checkpoint (grant create on database \
                 {database} to {user})"
            ),
        ));
    }
    if !row.get::<_, bool>(4) {
        findings.push(Finding::fail(
            ErrorClass::Usage,
            format!("target: the user may not make temporary tables (grant temporary on database {database} to {user})"),
        ));
    }
    let lacking: Option<String> = row.get(5);
    match lacking {
        Some(what) => findings.push(Finding::fail(
            ErrorClass::Usage,
            format!(
                "target: the user may not write the checkpoint ({what}): connect as the user that made schema mysql2gp, \
                 or grant usage on schema mysql2gp to {user}; grant select, insert, update, delete on all tables in \
                 schema mysql2gp to {user}"
            ),
        )),
        None if exists => {
            findings.push(Finding::ok("target: the user may write the checkpoint"));
        }
        None => {}
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "target: the user may create schema mysql2gp and temporary tables",
        ));
    }
    Ok(findings)
}

/// What the target's user may not do with a table.
///
/// # Errors
/// When the statement fails.
pub fn of_table(client: &mut Client, table: &TargetTable) -> Result<Vec<Finding>, PgError> {
    let row = client
        .query_one(TABLE, &[&table.oid])
        .operation("read the user's privileges on a target table")?;
    let user = quote_identifier(row.get(0));
    let schema = quote_identifier(&table.schema);
    let mut findings = Vec::new();
    if !row.get::<_, bool>(1) {
        findings.push(Finding::fail(
            ErrorClass::Usage,
            format!(
                "target table {}: the user may not use its schema (grant usage on schema {schema} to {user})",
                table.display()
            ),
        ));
    }
    let lacking: Vec<&str> = row.get(2);
    for privilege in lacking {
        let text = format!(
            "target table {}: the user may not {privilege} (grant {privilege} on {} to {user})",
            table.display(),
            table.quoted()
        );
        findings.push(match privilege {
            // Only a TRUNCATE at the source needs it.
            "truncate" => {
                Finding::warn(format!("{text}: a TRUNCATE of the source stops the loader"))
            }
            // Replacing rows in one pass is faster than deleting and inserting them.
            "update" => Finding::warn(format!("{text}: batches of many updates take longer")),
            _ => Finding::fail(ErrorClass::Operator, text),
        });
    }
    Ok(findings)
}
