//! Brings staging to the version that this program knows.

use postgres::Client;

use crate::pg::{Operation as _, PgError};

/// Migrations in order; number `i + 1` each. Immutable once released.
const MIGRATIONS: &[&str] = &[include_str!("../../../sql/staging/0001_base.sql")];

/// The version that this program works with.
pub const SCHEMA_VERSION: i32 = 1;

/// Advisory lock that serializes migrations; "m2gp" as a number.
const LOCK: i64 = 0x6d32_6770;

/// Why staging cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A statement failed.
    #[error(transparent)]
    Pg(#[from] PgError),
    /// Another task's staging.
    #[error(
        "staging database {database} serves task {found:?}, not {task:?}: give each task a staging database of its own, \
         or set name in [task]"
    )]
    OtherTask {
        /// The staging database.
        database: String,
        /// Its task.
        found: String,
        /// This task.
        task: String,
    },
    /// Written by a later program.
    #[error("staging has schema version {found}, this program knows {known}: upgrade this program")]
    TooNew {
        /// Version in the database.
        found: i32,
        /// Latest version known.
        known: i32,
    },
}

impl MigrateError {
    /// What to do about it.
    pub fn class(&self) -> crate::error::ErrorClass {
        match self {
            Self::Pg(error) => error.class(),
            Self::OtherTask { .. } => crate::error::ErrorClass::Usage,
            Self::TooNew { .. } => crate::error::ErrorClass::Operator,
        }
    }
}

/// Runs what is missing and makes sure that the database is this task's.
///
/// # Errors
/// When the database is another task's or too new, or a statement fails.
pub fn migrate(client: &mut Client, task: &str) -> Result<(), MigrateError> {
    let mut transaction = client.transaction().operation("migrate staging")?;
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
        .operation("lock staging for migration")?;
    let has_versions: bool = transaction
        .query_one(
            "select to_regclass('mysql2gp.schema_version') is not null",
            &[],
        )
        .operation("look for the staging schema")?
        .get(0);
    let version: i32 = if has_versions {
        transaction
            .query_one(
                "select coalesce(max(version), 0) from mysql2gp.schema_version",
                &[],
            )
            .operation("read the staging version")?
            .get(0)
    } else {
        0
    };
    if version > SCHEMA_VERSION {
        return Err(MigrateError::TooNew {
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    for (number, sql) in (1..)
        .zip(MIGRATIONS)
        .filter(|(number, _)| *number > version)
    {
        transaction
            .batch_execute(sql)
            .operation("migrate staging")?;
        transaction
            .execute(
                "insert into mysql2gp.schema_version (version) values ($1)",
                &[&number],
            )
            .operation("record the staging version")?;
    }
    transaction
        .execute(
            "insert into mysql2gp.task (name) values ($1) on conflict do nothing",
            &[&task],
        )
        .operation("name the task")?;
    let found: String = transaction
        .query_one("select name from mysql2gp.task", &[])
        .operation("read the task's name")?
        .get(0);
    if found != task {
        let database = transaction
            .query_one("select current_database()::text", &[])
            .operation("read the database's name")?
            .get(0);
        return Err(MigrateError::OtherTask {
            database,
            found,
            task: task.into(),
        });
    }
    transaction.commit().operation("migrate staging")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_counts_the_migrations() {
        assert_eq!(i32::try_from(MIGRATIONS.len()), Ok(SCHEMA_VERSION));
    }
}
