//! One table's part of a round into the target.

use std::io::Write as _;

use common::crash::{self, Point};
use common::pg::{Operation as _, PgError};
use postgres::error::SqlState;
use postgres::{Client, CopyInWriter, Statement};

use super::binary::Format;
use super::error::{self, ApplyError, Place};
use super::keyless::KeylessDelete;
use super::keys::{KeyBuffers, KeysError};
use super::replace::Replace;
use super::statements::{ALLOW_SCAN, FORBID_SCAN, KeyAccess, TableStatements};
use super::{COPY_BYTES, Path, describe};
use crate::dead_letters::TakenBack;
use crate::round::{First, Net, Round, TableChanges};
use crate::route::{Route, RowError, binary};

/// What became of the COPY into a table.
pub(super) enum Copied {
    Rows(u64),
    /// A straight insert met a row that was there.
    Duplicate,
}

/// What a round does to a table, the strongest lock first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// Rows are deleted, before those of any table are written.
    Deletes,
    /// Rows replace those of their key.
    Replaces,
    /// Rows are only copied in.
    Copies,
    Nothing,
}

/// One table's changes and where they go.
pub(super) struct At<'r, 't> {
    pub(super) round: &'r Round,
    pub(super) changes: &'r TableChanges,
    pub(super) route: &'t Route,
    pub(super) path: Path,
    /// Rows that are not new replace those of their key, without a delete before.
    pub(super) replaces: bool,
    pub(super) taken_back: &'r TakenBack,
    /// How rows that stay are copied; those to delete are always text.
    pub(super) format: Format<'t>,
}

/// What lines and cells are put together in.
pub(super) struct Buffers<'b> {
    pub(super) buffer: &'b mut Vec<u8>,
    pub(super) scratch: &'b mut Vec<u8>,
}

impl<'r> At<'r, '_> {
    pub(super) fn net(&self) -> impl Iterator<Item = Net<'r>> + use<'r> {
        self.round.changes(self.changes)
    }

    /// Deletes the keys that may be on the target; returns how many go for good.
    pub(super) fn delete_keys(
        &self,
        client: &mut Client,
        statements: &mut TableStatements,
        buffers: &mut KeyBuffers,
    ) -> Result<u64, ApplyError> {
        let gone = self.net().filter(|net| matches!(net, Net::Delete { .. }));
        let net_deletes = u64::try_from(gone.count()).unwrap_or_default();
        let mut keys = self.keys_to_delete().peekable();
        let Some(delete) = statements.delete.as_mut().filter(|_| keys.peek().is_some()) else {
            return Ok(net_deletes);
        };
        let scan = statements.key_access == KeyAccess::Scan;
        if scan {
            client
                .batch_execute(ALLOW_SCAN)
                .operation("prepare delete")?;
        }
        delete
            .delete(client, self.route, keys, buffers)
            .map_err(|error| self.keys_error(error))?;
        crash::point(Point::LoaderDeleted);
        delete.end(client, self.round)?;
        if scan {
            client.batch_execute(FORBID_SCAN).operation("end delete")?;
        }
        Ok(net_deletes)
    }

    /// Keys of which the target may have a row that is not replaced.
    fn keys_to_delete(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let (path, replaces) = (self.path, self.replaces);
        self.net().filter_map(move |net| match net {
            Net::Upsert {
                first: First::Insert,
                ..
            } if path == Path::Straight => None,
            Net::Upsert { .. } if replaces => None,
            Net::Upsert { key, .. } | Net::Delete { key } => Some(key),
            Net::Rows { .. } => None,
        })
    }

    fn keys_error(&self, error: KeysError) -> ApplyError {
        const OPERATION: &str = "delete from target table";
        match error {
            KeysError::Row(error) => self.row_error(error),
            KeysError::Pg(error) => self.error(&error, OPERATION),
            KeysError::Unprepared(error) => error.into(),
            KeysError::Copy(error) => match error::server_error(&error) {
                Some(server) => self.error(server, OPERATION),
                None => error::lost(OPERATION, error),
            },
        }
    }

    /// Copies the surviving rows; returns how many.
    pub(super) fn copy_rows(
        &self,
        client: &mut Client,
        copy: &Statement,
        buffers: &mut Buffers<'_>,
    ) -> Result<Copied, ApplyError> {
        let mut rows = self
            .net()
            .filter_map(|net| match net {
                Net::Upsert {
                    first: First::Other,
                    ..
                } if self.replaces => None,
                Net::Upsert { row, .. } => Some((row, 1)),
                Net::Rows { row, inserts, .. } if inserts > 0 => Some((row, inserts)),
                Net::Rows { .. } | Net::Delete { .. } => None,
            })
            .peekable();
        if rows.peek().is_none() {
            return Ok(Copied::Rows(0));
        }
        let mut writer = client
            .copy_in(copy)
            .map_err(|error| self.error(&error, "copy into target table"))?;
        let rows = rows.flat_map(|(row, copies)| (0..copies).map(move |_| row));
        let count = self.fill_rows(&mut writer, buffers, rows)?;
        crash::point(Point::LoaderInCopy);
        match writer.finish() {
            Ok(_) => {
                crash::point(Point::LoaderAfterCopy);
                Ok(Copied::Rows(count))
            }
            Err(error)
                if self.path == Path::Straight
                    && error.code() == Some(&SqlState::UNIQUE_VIOLATION) =>
            {
                Ok(Copied::Duplicate)
            }
            Err(error) => Err(self.error(&error, "copy into target table")),
        }
    }

    /// Writes rows in the table's format; returns how many.
    fn fill_rows(
        &self,
        writer: &mut CopyInWriter<'_>,
        Buffers { buffer, scratch }: &mut Buffers<'_>,
        rows: impl Iterator<Item = &'r [u8]>,
    ) -> Result<u64, ApplyError> {
        buffer.clear();
        match self.format {
            Format::Text => self.fill(writer, buffer, rows, |row, out| {
                self.route.write_row(row, out)
            }),
            Format::Binary(encoders) => {
                buffer.extend_from_slice(binary::HEADER);
                let count = self.fill(writer, buffer, rows, |row, out| {
                    self.route.write_binary(row, encoders, scratch, out)
                })?;
                write_pieces(writer, binary::TRAILER)?;
                Ok(count)
            }
        }
    }

    /// Writes what is in the buffer, and what `write` appends for each item; returns how many.
    fn fill<T>(
        &self,
        writer: &mut CopyInWriter<'_>,
        buffer: &mut Vec<u8>,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>) -> Result<(), RowError>,
    ) -> Result<u64, ApplyError> {
        let mut count = 0;
        for item in items {
            write(item, buffer).map_err(|error| self.row_error(error))?;
            count += 1;
            if buffer.len() >= COPY_BYTES {
                write_pieces(writer, buffer)?;
                buffer.clear();
            }
        }
        write_pieces(writer, buffer)?;
        Ok(count)
    }

    /// Writes the rows that are not new in the place of those of their key; returns how many.
    pub(super) fn replace_rows(
        &self,
        client: &mut Client,
        replace: &mut Replace,
        buffers: &mut Buffers<'_>,
    ) -> Result<u64, ApplyError> {
        replace.emptying.before(client)?;
        let mut writer = client
            .copy_in(&replace.copy)
            .map_err(|error| self.error(&error, "copy rows that replace others"))?;
        let copied = self.fill_rows(&mut writer, buffers, self.replacing_rows())?;
        crash::point(Point::LoaderInCopy);
        writer
            .finish()
            .map_err(|error| self.error(&error, "copy rows that replace others"))?;
        crash::point(Point::LoaderAfterCopy);
        let failed = |error| self.error(&error, "replace rows of target table");
        let mut count = match &replace.update {
            Some(update) => update.execute(client, copied).map_err(failed)?,
            None => 0,
        };
        if count < copied {
            count = client.execute(&replace.insert, &[]).map_err(failed)?;
        }
        crash::point(Point::LoaderReplaced);
        replace.emptying.after(client, self.round)?;
        Ok(count)
    }

    /// What the round does to the table.
    pub(super) fn effect(&self) -> Effect {
        if self.changes.truncated
            || self.keys_to_delete().next().is_some()
            || self.keyless_deletes().next().is_some()
        {
            Effect::Deletes
        } else if self.replaces {
            Effect::Replaces
        } else if self.copies_at_least(1) {
            Effect::Copies
        } else {
            Effect::Nothing
        }
    }

    /// Whether at least so many rows are copied.
    pub(super) fn copies_at_least(&self, rows: usize) -> bool {
        let copied = self.net().filter(|net| match net {
            Net::Upsert { .. } => true,
            Net::Rows { inserts, .. } => *inserts > 0,
            Net::Delete { .. } => false,
        });
        copied.take(rows).count() == rows
    }

    /// Whether a key goes for good, or moves.
    pub(super) fn deletes_for_good(&self) -> bool {
        self.net().any(|net| matches!(net, Net::Delete { .. }))
    }

    /// Rows of keys that the target may have.
    pub(super) fn replacing_rows(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        self.net().filter_map(|net| match net {
            Net::Upsert {
                row,
                first: First::Other,
                ..
            } => Some(row),
            Net::Upsert { .. } | Net::Delete { .. } | Net::Rows { .. } => None,
        })
    }

    /// Keyless rows to delete from the target, with how many equal ones go.
    pub(super) fn keyless_deletes(&self) -> impl Iterator<Item = (&'r [u8], u32)> + use<'r> {
        let (definition, taken_back) = (self.changes.layout.id, self.taken_back);
        self.net().filter_map(move |net| match net {
            Net::Rows { row, deletes, .. } if deletes > 0 => {
                let left = taken_back.left(definition, row, deletes);
                (left > 0).then_some((row, left))
            }
            Net::Rows { .. } | Net::Upsert { .. } | Net::Delete { .. } => None,
        })
    }

    /// Copies the keyless rows to delete into the temporary table; how many rows they are.
    pub(super) fn copy_deletes(
        &self,
        client: &mut Client,
        keyless: &KeylessDelete,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, ApplyError> {
        let mut writer = client
            .copy_in(&keyless.copy)
            .map_err(|error| self.error(&error, "copy rows to delete"))?;
        let mut expected = 0;
        buffer.clear();
        let rows = self.keyless_deletes().enumerate();
        self.fill(
            &mut writer,
            buffer,
            rows,
            |(number, (row, deletes)), line| {
                expected += u64::from(deletes);
                line.extend_from_slice(format!("{number}\t{deletes}\t").as_bytes());
                self.route.write_row(row, line)
            },
        )?;
        writer
            .finish()
            .map_err(|error| self.error(&error, "copy rows to delete"))?;
        crash::point(Point::LoaderKeylessCopied);
        Ok(expected)
    }

    /// Deletes the rows that lie in the temporary table.
    pub(super) fn delete_rows(
        &self,
        client: &mut Client,
        keyless: &KeylessDelete,
        expected: u64,
    ) -> Result<(), ApplyError> {
        client
            .batch_execute(ALLOW_SCAN)
            .operation("prepare delete")?;
        if keyless.nests {
            client
                .batch_execute("set local enable_nestloop = on")
                .operation("prepare delete")?;
        }
        if let Some(analyze) = &keyless.analyze {
            client.batch_execute(analyze).operation("prepare delete")?;
        }
        let deleted = client
            .execute(&keyless.delete, &[])
            .map_err(|error| self.error(&error, "delete from target table"))?;
        crash::point(Point::LoaderKeylessDeleted);
        client.batch_execute(FORBID_SCAN).operation("end delete")?;
        keyless.emptying.after(client, self.round)?;
        match expected.checked_sub(deleted) {
            Some(0) => {}
            Some(missing) => log::warn!(
                "target table lacks rows that the stream deletes: it was changed by somebody else table={} rows={missing}",
                self.route.target.display(),
            ),
            None => {
                return Err(ApplyError::TooManyDeleted {
                    place: self.place(),
                    expected,
                    deleted,
                });
            }
        }
        Ok(())
    }

    pub(super) fn error(&self, error: &postgres::Error, operation: &'static str) -> ApplyError {
        match error::refusal(error) {
            Some(refusal) => ApplyError::Refused {
                place: self.place(),
                refusal,
            },
            None => PgError::statement(operation, error).into(),
        }
    }

    pub(super) fn row_error(&self, source: RowError) -> ApplyError {
        ApplyError::Row {
            place: self.place(),
            source,
        }
    }

    pub(super) fn place(&self) -> Box<Place> {
        Box::new(Place {
            source_table: self.route.source.clone(),
            target_table: self.route.target.display(),
            transactions: describe(self.round),
        })
    }
}

/// Writes the buffer in messages of bounded size: the client copies each.
fn write_pieces(writer: &mut CopyInWriter<'_>, buffer: &[u8]) -> Result<(), PgError> {
    buffer
        .chunks(4 * COPY_BYTES)
        .try_for_each(|piece| writer.write_all(piece))
        .operation("copy into target table")
}
