//! Deletes by many keys at once.
//!
//! Where the server takes arrays apart next to one another, the keys are parameters of one
//! statement. Elsewhere they are copied into a temporary table, which on Greenplum lies as the
//! target does where the key tells the segment; where it does not, the server sends every key to
//! every segment, so that a row is found wherever its old version is.

use std::io::Write as _;

use common::pg::{Operation as _, PgError, quote_identifier};
use postgres::types::ToSql;
use postgres::{Client, CopyInWriter, Statement};

use super::COPY_BYTES;
use super::statements::list;
use super::temporary::Emptying;
use super::text_array::TextArray;
use crate::round::Round;
use crate::route::{Route, RowError};
use crate::target::dialect::{KeysBy, Spread};

/// What deletes one table's rows by key.
pub(super) enum KeyDelete {
    /// Takes one `text[]` per key column; prepared when it is first needed.
    Arrays(Option<Statement>),
    /// The temporary table is made when it is first needed; the number names it.
    Table(u32, Option<KeyTable>),
}

/// A temporary table of keys and what uses it.
pub(super) struct KeyTable {
    emptying: Emptying,
    copy: Statement,
    delete: Statement,
}

/// Why keys could not be deleted.
pub(super) enum KeysError {
    /// A key that the target cannot hold.
    Row(RowError),
    /// The target refuses.
    Pg(postgres::Error),
    /// The connection is lost, or the target has refused before all keys were copied.
    Copy(std::io::Error),
    /// The statement cannot be prepared, or the temporary table made or emptied.
    Unprepared(PgError),
}

impl From<RowError> for KeysError {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

impl From<postgres::Error> for KeysError {
    fn from(error: postgres::Error) -> Self {
        Self::Pg(error)
    }
}

/// What is reused from one delete to the next.
#[derive(Default)]
pub(super) struct KeyBuffers {
    arrays: Vec<TextArray>,
    lines: Vec<u8>,
    scratch: Vec<u8>,
}

impl KeyDelete {
    /// `None` for a table without a key; `number` names what is made for it.
    pub(super) fn of(route: &Route, number: u32) -> Option<Self> {
        if route.key_names().is_empty() {
            return None;
        }
        Some(match route.target.dialect.keys_by() {
            KeysBy::Arrays => Self::Arrays(None),
            KeysBy::Table => Self::Table(number, None),
        })
    }

    /// Forgets a temporary table that a rollback has undone.
    pub(super) fn undo(&mut self) {
        match self {
            Self::Table(_, table) => *table = None,
            Self::Arrays(_) => {}
        }
    }

    /// Deletes the rows of these keys.
    pub(super) fn delete<'k>(
        &mut self,
        client: &mut Client,
        route: &Route,
        keys: impl Iterator<Item = &'k [u8]>,
        buffers: &mut KeyBuffers,
    ) -> Result<(), KeysError> {
        match self {
            Self::Arrays(delete) => {
                let delete = match delete {
                    Some(delete) => delete,
                    none => {
                        let prepared = client.prepare(&delete_by_arrays(route));
                        let prepared = prepared.operation("prepare delete");
                        none.insert(prepared.map_err(KeysError::Unprepared)?)
                    }
                };
                by_arrays(client, delete, route, keys, buffers)
            }
            Self::Table(number, table) => {
                let table = match table {
                    Some(table) => table,
                    none => none.insert(
                        KeyTable::prepare(client, route, *number).map_err(KeysError::Unprepared)?,
                    ),
                };
                table.delete(client, route, keys, buffers)
            }
        }
    }

    /// The round has deleted all of its keys.
    pub(super) fn end(&self, client: &mut Client, round: &Round) -> Result<(), PgError> {
        match self {
            Self::Table(_, Some(table)) => table.emptying.after(client, round),
            Self::Table(_, None) | Self::Arrays(_) => Ok(()),
        }
    }
}

fn by_arrays<'k>(
    client: &mut Client,
    delete: &Statement,
    route: &Route,
    keys: impl Iterator<Item = &'k [u8]>,
    KeyBuffers {
        arrays, scratch, ..
    }: &mut KeyBuffers,
) -> Result<(), KeysError> {
    let columns = route.key_names().len();
    arrays.resize_with(arrays.len().max(columns), TextArray::default);
    arrays.iter_mut().for_each(TextArray::clear);
    for key in keys {
        route.write_key(key, scratch, |number, cell| {
            if let Some(array) = arrays.get_mut(number) {
                array.push_cell(cell);
            }
        })?;
    }
    let parameters: Vec<&(dyn ToSql + Sync)> = arrays
        .iter()
        .take(columns)
        .map(|array| array as &(dyn ToSql + Sync))
        .collect();
    client.execute(delete, &parameters)?;
    Ok(())
}

impl KeyTable {
    fn prepare(client: &mut Client, route: &Route, number: u32) -> Result<Self, PgError> {
        let name = table_name(number);
        client
            .batch_execute(&create_table(route, &name))
            .operation("create temporary table")?;
        Ok(Self {
            emptying: Emptying::of(route.target.dialect, &name),
            copy: client
                .prepare(&format!("copy pg_temp.{name} from stdin"))
                .operation("prepare copy")?,
            delete: client
                .prepare(&delete_by_table(route, &name))
                .operation("prepare delete")?,
        })
    }

    fn delete<'k>(
        &mut self,
        client: &mut Client,
        route: &Route,
        keys: impl Iterator<Item = &'k [u8]>,
        KeyBuffers { lines, scratch, .. }: &mut KeyBuffers,
    ) -> Result<(), KeysError> {
        self.emptying
            .before(client)
            .map_err(KeysError::Unprepared)?;
        let mut writer = client.copy_in(&self.copy)?;
        lines.clear();
        for key in keys {
            route.write_key(key, scratch, |number, cell| {
                if number > 0 {
                    lines.push(b'\t');
                }
                lines.extend_from_slice(cell);
            })?;
            lines.push(b'\n');
            if lines.len() >= COPY_BYTES {
                write(&mut writer, lines)?;
                lines.clear();
            }
        }
        write(&mut writer, lines)?;
        writer.finish()?;
        client.execute(&self.delete, &[])?;
        Ok(())
    }
}

/// Writes in messages of bounded size; the server may have refused an earlier one already.
fn write(writer: &mut CopyInWriter<'_>, lines: &[u8]) -> Result<(), KeysError> {
    for piece in lines.chunks(4 * COPY_BYTES) {
        writer.write_all(piece).map_err(KeysError::Copy)?;
    }
    Ok(())
}

pub(super) fn table_name(number: u32) -> String {
    format!("mysql2gp_keys_{number}")
}

pub(super) fn create_table(route: &Route, name: &str) -> String {
    let keys = route.key_names();
    let target = &route.target;
    let columns = list(keys.iter().map(|name| quote_identifier(name)));
    target.dialect.temporary_table(
        name,
        &format!("select {columns} from {}", target.quoted()),
        Spread::As(target.placement.as_ref(), &keys),
    )
}

/// Deletes by keys given as arrays. A generic plan takes an array for ten rows, so it looks
/// keys up one by one, whatever the statistics say.
pub(super) fn delete_by_arrays(route: &Route) -> String {
    let columns: Vec<(usize, &str, &str)> = (1..)
        .zip(route.key_types())
        .map(|(number, (name, type_text))| (number, name, type_text))
        .collect();
    let arrays = columns
        .iter()
        .map(|(number, _, type_text)| format!("${number}::text[]::{type_text}[]"));
    let names = columns.iter().map(|(number, ..)| format!("k{number}"));
    let conditions: Vec<String> = columns
        .iter()
        .map(|(number, name, _)| format!("t.{} = k.k{number}", quote_identifier(name)))
        .collect();
    format!(
        "delete from {} t using unnest({}) as k ({}) where {}",
        route.target.quoted(),
        list(arrays),
        list(names),
        conditions.join(" and ")
    )
}

/// Deletes by the keys in the temporary table.
pub(super) fn delete_by_table(route: &Route, name: &str) -> String {
    let conditions: Vec<String> = route
        .key_names()
        .into_iter()
        .map(quote_identifier)
        .map(|column| format!("t.{column} = k.{column}"))
        .collect();
    format!(
        "delete from {} t using pg_temp.{name} k where {}",
        route.target.quoted(),
        conditions.join(" and ")
    )
}
