//! Which tables are staged, and from where on.
//!
//! The list in force is written down, so that a table that comes into it is known to be new:
//! it begins at the staged position, and the loader passes over what it may find of it before.

use common::pg::{Operation as _, PgError};
use common::settings::TableList;
use common::table::{TableDefinition, TableName};

use super::session::StagingSession;
use crate::error::MinerError;

/// What was replicated before.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The list; `None` when nothing is staged yet.
    pub list: Option<TableList>,
    /// The tables.
    pub tables: Vec<TableName>,
}

impl Listed {
    /// Whether the table is one that the list did not select before.
    pub fn adds(&self, name: &TableName) -> bool {
        self.list
            .as_ref()
            .is_some_and(|list| !list.contains(name) && !self.tables.contains(name))
    }
}

impl StagingSession {
    /// Writes what the status shows once at start, and which tables are staged from here on.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn announce(
        &mut self,
        version: &str,
        list: &TableList,
        tables: &[TableDefinition],
    ) -> Result<(), MinerError> {
        self.write_announcement(version, list, tables)
            .map_err(MinerError::Staging)
    }

    fn write_announcement(
        &mut self,
        version: &str,
        list: &TableList,
        tables: &[TableDefinition],
    ) -> Result<(), PgError> {
        let epoch = self.epoch;
        let before = self.read_listed()?;
        let mut transaction = self.client.transaction().operation("announce the source")?;
        transaction
            .execute(
                "update mysql2gp.miner \
                    set server_version = $1, state = 'running', \
                        list_version = list_version + case when table_list = $3 then 0 else 1 end, table_list = $3, last_error = null, last_error_at = null \
                  where epoch = $2",
                &[&version, &epoch, &list.to_json()],
            )
            .operation("announce the source")?;
        transaction
            .execute(
                "delete from mysql2gp.table_error where program = 'miner'",
                &[],
            )
            .operation("announce the source")?;
        let (databases, names): (Vec<_>, Vec<_>) = tables
            .iter()
            .map(|definition| (&definition.name.database, &definition.name.table))
            .unzip();
        transaction
            .execute(
                "delete from mysql2gp.replicated_table \
                  where (database_name, table_name) not in (select * from unnest($1::text[], $2::text[]))",
                &[&databases, &names],
            )
            .operation("announce tables")?;
        // What is changed while it is out of the list is not seen.
        let unlisted: Vec<i32> = transaction
            .query(
                "select definition_id, database_name, table_name from mysql2gp.definition where valid_until is null",
                &[],
            )
            .operation("announce tables")?
            .iter()
            .filter(|row| !list.contains(&TableName::new(row.get::<_, &str>(1), row.get::<_, &str>(2))))
            .map(|row| row.get(0))
            .collect();
        transaction
            .execute(
                "update mysql2gp.definition d set valid_until = m.staged_file || ':' || m.staged_pos \
                   from mysql2gp.miner m where d.definition_id = any($1)",
                &[&unlisted],
            )
            .operation("announce tables")?;
        let announce = transaction
            .prepare(
                "insert into mysql2gp.replicated_table as r \
                        (database_name, table_name, key_columns, definition, listed_behind) \
                 select $1, $2, $3, $5::text::jsonb, case when $4 then transaction_seq end from mysql2gp.miner \
                 on conflict (database_name, table_name) do update \
                    set key_columns = excluded.key_columns, definition = excluded.definition",
            )
            .operation("announce tables")?;
        for definition in tables {
            let name = &definition.name;
            let key: Vec<&str> = definition
                .key_columns()
                .iter()
                .filter_map(|i| definition.columns.get(*i))
                .map(|column| column.name.as_str())
                .collect();
            let text = serde_json::to_string(definition).unwrap_or_default();
            let new = before.adds(name);
            transaction
                .execute(&announce, &[&name.database, &name.table, &key, &new, &text])
                .operation("announce tables")?;
        }
        transaction.commit().operation("announce the source")
    }

    /// What was replicated when this was last announced.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn listed(&mut self) -> Result<Listed, MinerError> {
        self.read_listed().map_err(MinerError::Staging)
    }

    fn read_listed(&mut self) -> Result<Listed, PgError> {
        let row = self
            .client
            .query_one(
                "select table_list, staged_file is not null from mysql2gp.miner",
                &[],
            )
            .operation("read the table list in force")?;
        let rows = self
            .client
            .query(
                "select database_name, table_name from mysql2gp.replicated_table order by 1, 2",
                &[],
            )
            .operation("read the replicated tables")?;
        let list = row
            .get::<_, Option<&str>>(0)
            .filter(|_| row.get(1))
            .and_then(|text| TableList::from_json(text).ok());
        Ok(Listed {
            list,
            tables: rows
                .iter()
                .map(|row| TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
                .collect(),
        })
    }

    /// Tables that are paused on the target, as far as the loader has said so here.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn paused(&mut self) -> Result<Vec<TableName>, MinerError> {
        let rows = self
            .client
            .query(
                "select database_name, table_name from mysql2gp.behind where state = 'paused' order by 1, 2",
                &[],
            )
            .operation("look for paused tables")
            .map_err(MinerError::Staging)?;
        Ok(rows
            .iter()
            .map(|row| TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)))
            .collect())
    }
}
