//! `check`: configuration, servers, tables; one line per check, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use common::checkpoint;
use common::error::{ErrorClass, chain};
use common::pg::{self, Conninfo, Operation as _, PgError};
use common::settings::Settings;
use common::table::{TableDefinition, TableName};
use postgres::Client;

use super::CommandError;
use crate::apply::look_at_constants;
use crate::fetch;
use crate::route::{Router, ValuePolicy};
use crate::target::findings::{self, Finding, Severity};
use crate::target::session::{ReplicaRole, set_replica_role};
use crate::target::{Dialect, Server, SessionError, catalog};

/// Collects answers; the worst is the result.
struct Checks<'a, W> {
    out: &'a mut W,
    worst: Option<ErrorClass>,
}

impl<W: Write> Checks<'_, W> {
    fn ok(&mut self, text: &str) -> Result<(), CommandError> {
        Ok(writeln!(self.out, "ok   {text}")?)
    }

    fn warn(&mut self, text: &str) -> Result<(), CommandError> {
        Ok(writeln!(self.out, "warn {text}")?)
    }

    fn findings(&mut self, findings: &[Finding]) -> Result<(), CommandError> {
        findings
            .iter()
            .try_for_each(|finding| match finding.severity {
                Severity::Ok => self.ok(&finding.text),
                Severity::Warn => self.warn(&finding.text),
                Severity::Fail(class) => self.fail(class, &finding.text),
            })
    }

    fn fail(&mut self, class: ErrorClass, text: &str) -> Result<(), CommandError> {
        let exit = |class| match class {
            ErrorClass::Unreachable | ErrorClass::Failed => 1,
            ErrorClass::Usage => 2,
            ErrorClass::Operator => 3,
        };
        if self.worst.is_none_or(|worst| exit(worst) < exit(class)) {
            self.worst = Some(class);
        }
        Ok(writeln!(self.out, "FAIL {text}")?)
    }
}

/// Runs all checks; the class of the worst failure, if there is any.
///
/// # Errors
/// When the answer cannot be written, or a server goes away meanwhile.
pub fn run(settings: &Settings, out: &mut impl Write) -> Result<Option<ErrorClass>, CommandError> {
    let mut checks = Checks { out, worst: None };
    checks.ok(&format!(
        "configuration {} (task {}, target schema {}, batch_bytes {})",
        settings.path.display(),
        settings.task.name,
        settings.target.schema,
        settings.loader.batch_bytes
    ))?;
    let staging = pg::connect(&settings.staging, NAME);
    let staging = connected(&mut checks, "staging", &settings.staging, staging)?;
    let target = pg::connect_target(&settings.target.conninfo, NAME);
    let target = connected(&mut checks, "target", &settings.target.conninfo, target)?;
    let mut staged = Staged::default();
    if let Some((mut staging, _)) = staging {
        staged = check_staging(&mut checks, settings, &mut staging)?;
    }
    if let Some((mut target, dialect)) = target {
        check_target(&mut checks, settings, &mut target, dialect)?;
        check_tables(&mut checks, settings, (&mut target, dialect), &staged)?;
    }
    Ok(checks.worst)
}

/// What the servers know this program as.
const NAME: &str = "binlog_loader check";

fn connected<W: Write>(
    checks: &mut Checks<'_, W>,
    server: &str,
    conninfo: &Conninfo,
    opened: Result<Client, PgError>,
) -> Result<Option<(Client, Dialect)>, CommandError> {
    let mut client = match opened {
        Ok(client) => client,
        Err(error) => {
            checks.fail(error.class(), &format!("{server}: {}", chain(&error)))?;
            return Ok(None);
        }
    };
    let text = format!(
        "{server} {} database {}",
        conninfo.address(),
        conninfo.database()
    );
    let found = match Server::ask(&mut client) {
        Ok(found) => found,
        Err(SessionError::Server { name, least }) => {
            let needed = format!("{text}: {name}: {least} is needed");
            checks.fail(ErrorClass::Operator, &needed)?;
            return Ok(None);
        }
        Err(error) => return Err(CommandError::Session(error)),
    };
    if server == "staging" && found.dialect != Dialect::PostgreSql {
        checks.fail(
            ErrorClass::Operator,
            &format!("{text}: {}: PostgreSQL 12 or later is needed", found.name),
        )?;
        return Ok(None);
    }
    checks.ok(&format!("{text}: {}", found.name))?;
    Ok(Some((client, found.dialect)))
}

fn one<T: for<'a> postgres::types::FromSql<'a>>(
    client: &mut Client,
    query: &str,
) -> Result<T, PgError> {
    Ok(client.query_one(query, &[]).operation("check")?.get(0))
}

/// What staging knows of tables, if the miner has run.
#[derive(Default)]
struct Staged {
    /// The newest definition of each table that has changed.
    definitions: BTreeMap<TableName, TableDefinition>,
    /// All tables that the list selects.
    replicated: Vec<TableName>,
}

fn check_staging<W: Write>(
    checks: &mut Checks<'_, W>,
    settings: &Settings,
    client: &mut Client,
) -> Result<Staged, CommandError> {
    let exists: bool = one(client, "select to_regclass('mysql2gp.task') is not null")
        .map_err(CommandError::Staging)?;
    if !exists {
        let may: bool = one(
            client,
            "select has_database_privilege(current_database(), 'create')",
        )
        .map_err(CommandError::Staging)?;
        if may {
            checks.ok("staging is empty: its schema is created at the first start")?;
        } else {
            checks.fail(
                ErrorClass::Usage,
                "staging: the user may not create schema mysql2gp (grant create on the database to it)",
            )?;
        }
        return Ok(Staged::default());
    }
    let name: String =
        one(client, "select name from mysql2gp.task").map_err(CommandError::Staging)?;
    if name == settings.task.name {
        checks.ok(&format!("staging serves task {name}"))?;
    } else {
        checks.fail(
            ErrorClass::Usage,
            &format!("staging serves task {name}, not {} (set name in [task], or use another staging database)", settings.task.name),
        )?;
    }
    Ok(Staged {
        definitions: fetch::definitions(client, 0)?
            .into_iter()
            .map(|(_, definition)| (definition.name.clone(), definition))
            .collect(),
        replicated: client
            .query(
                "select database_name, table_name from mysql2gp.replicated_table",
                &[],
            )
            .operation("read the replicated tables")
            .map_err(CommandError::Staging)?
            .iter()
            .map(|row| TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
            .collect(),
    })
}

fn check_target<W: Write>(
    checks: &mut Checks<'_, W>,
    settings: &Settings,
    client: &mut Client,
    dialect: Dialect,
) -> Result<(), CommandError> {
    let said = findings::of_server(client, dialect);
    checks.findings(&said.map_err(|error| CommandError::Session(error.into()))?)?;
    match set_replica_role(client, dialect).map_err(|error| CommandError::Session(error.into()))? {
        ReplicaRole::NotPermitted if dialect.is_distributed() => {}
        ReplicaRole::Set => checks.ok("target: session_replication_role can be set: triggers and foreign keys stay out of the way")?,
        ReplicaRole::NotPermitted => checks.warn(
            "target: session_replication_role cannot be set: tables with triggers, cascading or non-deferrable foreign \
             keys are refused (run as superuser, or: grant set on parameter session_replication_role)",
        )?,
    }
    let result = checkpoint::read(client, &settings.task.name);
    let configured = settings.source.start.to_string();
    match result {
        Ok(None) => checks.ok("target has no checkpoint of this task: it will be a first start"),
        Ok(Some(found)) if found.start_position == configured => checks.ok(&format!(
            "target is at {} (started from {configured})",
            found.applied
        )),
        Ok(Some(found)) => checks.fail(
            ErrorClass::Operator,
            &format!(
                "target was started from {}, configured is {configured} (set it back, or `binlog_loader reset`)",
                found.start_position
            ),
        ),
        Err(error) => checks.fail(error.class(), &format!("target: {}", chain(&error))),
    }
}

fn check_tables<W: Write>(
    checks: &mut Checks<'_, W>,
    settings: &Settings,
    (client, dialect): (&mut Client, Dialect),
    staged: &Staged,
) -> Result<(), CommandError> {
    let router = Router::new(
        &settings.rules,
        &settings.target.schema,
        ValuePolicy::of(settings),
    );
    let replica = one::<String>(client, "show session_replication_role")
        .map_err(|error| CommandError::Session(error.into()))?
        == "replica";
    let definitions = &staged.definitions;
    let named: BTreeSet<TableName> = settings.tables.named().collect();
    let known = definitions.keys().chain(&staged.replicated);
    let tables: BTreeSet<&TableName> = known.chain(&named).collect();
    if let Err(error) = router.conflict(tables.into_iter()) {
        checks.fail(error.class(), &error.to_string())?;
    }
    for definition in definitions.values() {
        check_table(checks, &router, (client, dialect), definition, replica)?;
    }
    for name in settings.tables.named() {
        if definitions.contains_key(&name) {
            continue;
        }
        let address = router.address(&name);
        let found = catalog::find_tables(client, dialect, &address.schema, &address.table)
            .map_err(|error| CommandError::Session(error.into()))?;
        match router.choose(&name, &address, found) {
            Ok(target) => checks.warn(&format!(
                "table {name} -> {}: its columns are checked once the miner has met it",
                target.display()
            ))?,
            Err(error) => checks.fail(error.class(), &error.to_string())?,
        }
    }
    Ok(())
}

fn check_table<W: Write>(
    checks: &mut Checks<'_, W>,
    router: &Router,
    (client, dialect): (&mut Client, Dialect),
    definition: &TableDefinition,
    replica: bool,
) -> Result<(), CommandError> {
    let name = &definition.name;
    let address = router.address(name);
    let found = catalog::find_tables(client, dialect, &address.schema, &address.table)
        .map_err(|error| CommandError::Session(error.into()))?;
    let route = router
        .choose(name, &address, found)
        .and_then(|target| router.route(definition, target));
    let route = match route {
        Ok(route) => route,
        Err(error) => return checks.fail(error.class(), &error.to_string()),
    };
    let target = route.target.display();
    if !replica && !route.target.hazards.is_empty() {
        return checks.fail(
            ErrorClass::Operator,
            &format!(
                "table {name} -> {target}: {} ({})",
                route.target.hazards.join(", "),
                dialect.remedy_for_hazards()
            ),
        );
    }
    checks.ok(&format!("table {name} -> {target}"))?;
    checks.findings(&findings::of_table(&route))?;
    let key = route.key_names();
    if key.is_empty() {
        checks.warn(&format!(
            "table {name} has no key: rows are applied as a multiset, and every batch that deletes reads the target table, unless an \
             index there tells its rows apart"
        ))?;
    } else if !route.target.has_unique_index(&key) {
        checks.warn(&format!(
            "target table {target} has no unique index on the key ({}) (alter table {} add primary key ({}))",
            key.join(", "),
            route.target.quoted(),
            key.join(", ")
        ))?;
    }
    if let Err(error) = look_at_constants(client, &route) {
        checks.fail(error.class(), &chain(&error))?;
    }
    let gone = router.columns_not_there(definition);
    if !gone.is_empty() {
        checks.warn(&format!(
            "the [[rule]] of table {name} speaks of columns that it lacks: {}",
            gone.join(", ")
        ))?;
    }
    if !route.target.truncatable {
        checks.warn(&format!(
            "target table {target}: the user may not truncate it (grant truncate on {} to it)",
            route.target.quoted()
        ))?;
    }
    let extra = route.target_only_columns();
    if !extra.is_empty() {
        checks.warn(&format!(
            "target table {target} has columns that the source lacks: {}; they get their default whenever a row is replaced",
            extra.join(", ")
        ))?;
    }
    Ok(())
}
