//! The target server: whether it answers, what its user may do, and how far the task is there.

use std::io::Write;

use common::check::{Report, Server, answers, look_at_clock, look_at_database};
use common::checkpoint::{self, Checkpoint};
use common::error::{ErrorClass, chain};
use common::pg;
use common::settings::Settings;
use postgres::Client;

use super::{CommandError, NAME};
use crate::target::catalog::Catalog;
use crate::target::session::{ReplicaRole, SessionError};
use crate::target::{self, Dialect, conditions};

/// A target whose tables are worth looking at.
pub(super) struct Target {
    pub(super) client: Client,
    /// What it says about tables.
    pub(super) catalog: Catalog,
    /// How it is spoken to.
    pub(super) dialect: Dialect,
    /// Whether triggers and foreign keys rest, in this session too.
    pub(super) replica_role: ReplicaRole,
    /// How far the task is.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// Looks at the target server.
pub(super) fn look<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
) -> Result<Option<Target>, CommandError> {
    let conninfo = &settings.target.conninfo;
    report.asks(format!("target {}", conninfo.address()));
    let opened = pg::connect_target(conninfo, NAME);
    let answered = answers(report, Server::Target, conninfo, opened);
    let Some(mut client) = answered.map_err(of_target)? else {
        return Ok(None);
    };
    let dialect = match target::Server::ask(&mut client) {
        Ok(found) => {
            report.ok(format!("target is {}", found.name));
            found.dialect
        }
        Err(SessionError::Server { name, least }) => {
            report.fail(
                ErrorClass::Operator,
                format!("target is {name}: {least} is needed"),
            );
            return Ok(None);
        }
        Err(error) => return Err(CommandError::Session(error)),
    };
    look_at_database(report, Server::Target, conninfo, &mut client).map_err(of_target)?;
    let (replica_role, findings) =
        conditions::of_database(&mut client, dialect).map_err(of_target)?;
    report.add_all(&findings);
    report.add(&look_at_clock(&mut client, "target").map_err(of_target)?);
    let checkpoint = look_at_checkpoint(report, settings, &mut client);
    Ok(Some(Target {
        client,
        catalog: Catalog::new(dialect),
        dialect,
        replica_role,
        checkpoint,
    }))
}

/// A failed statement on the target.
pub(super) fn of_target(error: pg::PgError) -> CommandError {
    CommandError::Session(error.into())
}

fn look_at_checkpoint<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    client: &mut Client,
) -> Option<Checkpoint> {
    let configured = settings.source.start.to_string();
    match checkpoint::read(client, &settings.task.name) {
        Ok(None) => {
            report.ok("target has no checkpoint of this task: it will be a first start");
            None
        }
        Ok(Some(found)) if found.start_position == configured => {
            report.ok(format!(
                "target is at {} (started from {configured})",
                found.applied
            ));
            Some(found)
        }
        Ok(Some(found)) => {
            report.fail(
                ErrorClass::Operator,
                format!(
                    "target was started from {}, configured is {configured} (set it back, or `binlog_loader reset`)",
                    found.start_position
                ),
            );
            Some(found)
        }
        Err(error) => {
            report.fail(error.class(), format!("target: {}", chain(&error)));
            None
        }
    }
}
