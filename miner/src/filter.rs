//! Which tables are kept, and under which definition their rows are decoded.
//!
//! Every rows event refers to a table map, every table map to a definition version. With
//! `binlog_row_metadata=FULL` the definition comes from the event; what the event leaves out,
//! and everything without it, comes from the source's catalog and must fit the event.
//! A definition from the catalog is used only when no DDL statement on the table lies between
//! the event and the moment it was fetched; it then stays in force until one passes.
//! A version gets its number here and is staged with the first row that uses it.

use std::sync::Arc;

use common::position::BinlogPosition;
use common::settings::{NulByte, Settings, TableList};
use common::table::{Column, ColumnType, DefinitionId, Key, TableDefinition, TableName};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use log::{info, warn};

use crate::decode::{DecodeError, NulBytePolicy, RowDecoder, TableMap, check_fit, from_metadata};
use crate::error::{MinerError, Place};
use crate::history::History;
use crate::source::{Catalog, Flavor};

/// What an update or delete stages of the old row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeImage {
    /// The key alone.
    Key,
    /// The whole row.
    Full,
}

/// A replicated table under one definition.
pub struct Replicated {
    /// Version that staged lines name.
    pub id: DefinitionId,
    /// The definition.
    pub definition: TableDefinition,
    /// Decodes its row images.
    pub decoder: RowDecoder,
    /// What is staged of old rows.
    pub before: BeforeImage,
}

/// A version that staging does not have yet.
#[derive(Clone, Debug)]
pub struct NewDefinition {
    /// Its number.
    pub id: DefinitionId,
    /// Position from which rows use it.
    pub valid_from: BinlogPosition,
    /// The definition.
    pub definition: TableDefinition,
}

/// A table whose version in force ends: a DDL statement has passed.
#[derive(Clone, Debug)]
pub struct Superseded {
    /// The table.
    pub name: TableName,
    /// End of the statement.
    pub valid_until: BinlogPosition,
}

/// What staging must know of definitions with the next unit.
#[derive(Clone, Debug, Default)]
pub struct DefinitionChanges {
    /// Versions that end.
    pub superseded: Vec<Superseded>,
    /// Versions that begin.
    pub fresh: Vec<NewDefinition>,
}

impl DefinitionChanges {
    /// Adds later changes.
    pub fn append(&mut self, mut later: Self) {
        self.superseded.append(&mut later.superseded);
        self.fresh.append(&mut later.fresh);
    }
}

/// Definition versions that staging has: those in force by table, and the highest number.
#[derive(Clone, Debug, Default)]
pub struct KnownDefinitions {
    /// Version in force by table.
    pub latest: HashMap<TableName, (DefinitionId, TableDefinition)>,
    /// Highest number in use.
    pub last_id: u32,
}

/// The settings that decide about tables.
#[derive(Clone)]
pub struct FilterSettings {
    list: TableList,
    nul_byte: NulBytePolicy,
    stage_before_image: BeforeImage,
    keyless: Keyless,
}

/// What happens to tables without a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyless {
    Keep,
    LeaveOut,
}

impl FilterSettings {
    /// The part of the settings that the filter needs.
    pub fn new(settings: &Settings, list: &TableList) -> Self {
        Self {
            list: list.clone(),
            nul_byte: match settings.miner.nul_byte {
                NulByte::Error => NulBytePolicy::Error,
                NulByte::Strip => NulBytePolicy::Strip,
                NulByte::Replace => NulBytePolicy::Replace,
            },
            stage_before_image: if settings.miner.stage_before_image {
                BeforeImage::Full
            } else {
                BeforeImage::Key
            },
            keyless: if settings.loader.skip_no_pk_table {
                Keyless::LeaveOut
            } else {
                Keyless::Keep
            },
        }
    }
}

/// A table map in force.
struct Mapped {
    map: Arc<TableMap>,
    table: Option<Arc<Replicated>>,
}

/// The tables of the stream.
pub struct Tables {
    settings: FilterSettings,
    flavor: Flavor,
    catalog: Catalog,
    history: History,
    /// Tables that exist, or did when the stream was last told.
    replicated: Vec<TableName>,
    maps: HashMap<u64, Mapped>,
    known: KnownDefinitions,
    changes: DefinitionChanges,
}

impl Tables {
    /// Tables of the source, as the catalog shows them now.
    pub fn new(
        settings: FilterSettings,
        flavor: Flavor,
        catalog: Catalog,
        history: History,
        replicated: Vec<TableName>,
        known: KnownDefinitions,
    ) -> Self {
        Self {
            settings,
            flavor,
            catalog,
            history,
            replicated,
            maps: HashMap::new(),
            known,
            changes: DefinitionChanges::default(),
        }
    }

    /// Takes note of a table map.
    ///
    /// # Errors
    /// When the table is replicated and no definition fits it.
    pub fn map(&mut self, map: Arc<TableMap>, position: &BinlogPosition) -> Result<(), MinerError> {
        if let Entry::Occupied(entry) = self.maps.entry(map.table_id) {
            if Arc::ptr_eq(&entry.get().map, &map) {
                return Ok(());
            }
            entry.remove();
        }
        let table = if self.settings.list.contains(&map.name) {
            self.resolve(&map, position)?
        } else {
            None
        };
        self.maps.insert(map.table_id, Mapped { map, table });
        Ok(())
    }

    /// The table that a rows event refers to: unknown, left out, or replicated.
    pub fn get(&self, table_id: u64) -> Option<Option<&Arc<Replicated>>> {
        self.maps.get(&table_id).map(|mapped| mapped.table.as_ref())
    }

    /// Finds the table's version anew because a row image of it lacks columns: MariaDB 11
    /// leaves the generated ones out of updates and deletes. From here on no row of the table
    /// carries them, inserts included, so that equal rows look the same.
    ///
    /// Which columns are generated is in no event; the catalog tells. A table without such
    /// columns stays as it is, and so do those of MySQL, which logs them all.
    ///
    /// # Errors
    /// When the catalog cannot be read, or is not of this position any more.
    pub fn leave_out_generated(
        &mut self,
        table_id: u64,
        position: &BinlogPosition,
    ) -> Result<(), MinerError> {
        let Some(Mapped {
            map,
            table: Some(table),
        }) = self.maps.get(&table_id)
        else {
            return Ok(());
        };
        if self.flavor == Flavor::MySql {
            return Ok(());
        }
        let map = Arc::clone(map);
        let mut definition = table.definition.clone();
        if !definition.columns.iter().any(|column| column.generated)
            && let Some(catalog) = self.catalog_definition(&map.name, position)?
        {
            check_fit(&map, &catalog).map_err(|source| refuse(&map, position, source))?;
            for (column, found) in definition.columns.iter_mut().zip(catalog.columns) {
                column.generated = found.generated;
            }
        }
        for column in &mut definition.columns {
            column.unlogged = column.generated;
        }
        let table = self.replicated(&map, definition, position)?;
        self.maps.insert(table_id, Mapped { map, table });
        Ok(())
    }

    /// Whether the list selects the table.
    pub fn selects(&self, name: &TableName) -> bool {
        self.settings.list.contains(name)
    }

    /// Whether the list may select tables of the database.
    pub fn selects_database(&self, database: &str) -> bool {
        self.settings.list.touches_database(database)
    }

    /// A replicated table of that name, in any database: for texts that cannot be told apart.
    pub fn replicated_named(&self, name: &str) -> Option<&TableName> {
        self.replicated
            .iter()
            .find(|table| table.table.eq_ignore_ascii_case(name))
    }

    /// A table that the stream says was made.
    pub fn add(&mut self, name: TableName) {
        if !self.replicated.contains(&name) {
            self.replicated.push(name);
        }
    }

    /// The version in force, if rows of the table have passed.
    pub fn in_force(&self, name: &TableName) -> Option<&TableDefinition> {
        self.known
            .latest
            .get(name)
            .map(|(_, definition)| definition)
    }

    /// Ends the version in force: a DDL statement that ends at `position` has passed. The next
    /// table map finds a definition anew.
    pub fn supersede(&mut self, name: &TableName, position: &BinlogPosition) {
        self.forget_map(name);
        if self.known.latest.remove(name).is_some() {
            self.changes.superseded.push(Superseded {
                name: name.clone(),
                valid_until: position.clone(),
            });
        }
    }

    /// Ends the versions in force of a database's tables.
    pub fn supersede_database(&mut self, database: &str, position: &BinlogPosition) {
        let names: Vec<TableName> = self
            .known
            .latest
            .keys()
            .filter(|name| name.database == database)
            .cloned()
            .collect();
        for name in names {
            self.supersede(&name, position);
        }
    }

    /// Forgets the table's map; the next one comes before its next rows.
    pub fn forget_map(&mut self, name: &TableName) {
        self.maps.retain(|_, mapped| mapped.map.name != *name);
    }

    /// Forgets table maps; those of the next transaction come first.
    pub fn forget_maps(&mut self) {
        self.maps.clear();
    }

    /// The version in force, for a statement on the table.
    ///
    /// # Errors
    /// When the catalog cannot be read or has a definition that cannot be carried.
    pub fn version_for_statement(
        &mut self,
        name: &TableName,
        position: &BinlogPosition,
    ) -> Result<DefinitionId, MinerError> {
        if let Some((id, _)) = self.known.latest.get(name) {
            return Ok(*id);
        }
        match self.catalog_definition(name, position)? {
            Some(definition) => Ok(self.number(definition, position)),
            None => Err(MinerError::Refused {
                place: Place::new(position, Some(name)),
                reason: "a statement empties the table, and the source no longer has it".into(),
                remedy: "take the table out of the list, or create it again at the source",
            }),
        }
    }

    /// What has to be staged with the next unit.
    pub fn take_changes(&mut self) -> DefinitionChanges {
        std::mem::take(&mut self.changes)
    }

    fn resolve(
        &mut self,
        map: &TableMap,
        position: &BinlogPosition,
    ) -> Result<Option<Arc<Replicated>>, MinerError> {
        let definition = self.definition(map, position)?;
        self.replicated(map, definition, position)
    }

    fn replicated(
        &mut self,
        map: &TableMap,
        definition: TableDefinition,
        position: &BinlogPosition,
    ) -> Result<Option<Arc<Replicated>>, MinerError> {
        if definition.key == Key::None && self.settings.keyless == Keyless::LeaveOut {
            warn!(
                "leave out table={} which has no key: skip_no_pk_table is set",
                map.name
            );
            return Ok(None);
        }
        let decoder = RowDecoder::new(map, &definition, self.settings.nul_byte)
            .map_err(|source| refuse(map, position, source))?;
        let before = match definition.key {
            Key::None => BeforeImage::Full,
            Key::Primary(_) | Key::Unique(_) => self.settings.stage_before_image,
        };
        let id = self.number(definition.clone(), position);
        self.add(definition.name.clone());
        Ok(Some(Arc::new(Replicated {
            id,
            definition,
            decoder,
            before,
        })))
    }

    /// From the event as far as it goes, else the version in force, else from the catalog.
    fn definition(
        &mut self,
        map: &TableMap,
        position: &BinlogPosition,
    ) -> Result<TableDefinition, MinerError> {
        let has_names = map
            .metadata
            .as_ref()
            .is_some_and(|metadata| metadata.has_names());
        let told = if has_names {
            Some(from_metadata(map, None).map_err(|source| refuse(map, position, source))?)
        } else {
            None
        };
        if let Some(told) = &told
            && self.is_complete(told)
        {
            // What is known besides stays: which columns are generated.
            return Ok(match self.known.latest.get(&map.name) {
                Some((_, known)) if differs_in_generated_columns_only(told, known) => known.clone(),
                Some(_) | None => told.clone(),
            });
        }
        if let Some((_, known)) = self.known.latest.get(&map.name)
            && check_fit(map, known).is_ok()
        {
            return Ok(known.clone());
        }
        let Some(catalog) = self.catalog_definition(&map.name, position)? else {
            return Err(MinerError::Refused {
                place: Place::new(position, Some(&map.name)),
                reason: "the source no longer has the table, or hides it, and the event does not tell its definition"
                    .into(),
                remedy: "grant select on the table to the user of [src.mysql], take it out of the list, or start \
                         behind this position",
            });
        };
        let definition = match told {
            Some(_) => from_metadata(map, Some(&catalog)),
            None => check_fit(map, &catalog).map(|()| catalog),
        };
        definition.map_err(|source| refuse(map, position, source))
    }

    /// Whether the event told everything that matters: not which unique index serves as a key,
    /// and on MariaDB not whether binary columns are INET, UUID or VECTOR.
    fn is_complete(&self, told: &TableDefinition) -> bool {
        let ambiguous = |column: &Column| {
            matches!(
                column.column_type,
                ColumnType::Binary { .. } | ColumnType::Varbinary { .. }
            )
        };
        told.key != Key::None
            && (self.flavor == Flavor::MySql || !told.columns.iter().any(ambiguous))
    }

    /// The catalog's definition, if it is the one in force at `position`.
    fn catalog_definition(
        &mut self,
        name: &TableName,
        position: &BinlogPosition,
    ) -> Result<Option<TableDefinition>, MinerError> {
        let definition = self.catalog.definition(name)?;
        let end = self.catalog.log_end()?;
        match self.history.first_change(name, position, &end)? {
            None => Ok(definition),
            Some(change) => Err(MinerError::Refused {
                place: Place::new(position, Some(name)),
                reason: format!(
                    "the table's definition at this position is not known: the log does not tell it, and a DDL \
                     statement at {change} has changed it since"
                ),
                remedy: "load the table anew and start behind that statement, or take the table out of the list; with \
                         binlog_row_metadata = FULL the log tells definitions",
            }),
        }
    }

    /// The version's number: the known one if nothing changed, else the next.
    fn number(&mut self, definition: TableDefinition, position: &BinlogPosition) -> DefinitionId {
        if let Some((id, known)) = self.known.latest.get(&definition.name)
            && *known == definition
        {
            return *id;
        }
        self.known.last_id += 1;
        let id = DefinitionId(self.known.last_id);
        info!(
            "found definition table={} version={id} columns={} key={:?} position={position}",
            definition.name,
            definition.columns.len(),
            definition
                .key_columns()
                .iter()
                .filter_map(|i| definition.columns.get(*i))
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
        );
        self.known
            .latest
            .insert(definition.name.clone(), (id, definition.clone()));
        self.changes.fresh.push(NewDefinition {
            id,
            valid_from: position.clone(),
            definition,
        });
        id
    }
}

/// Whether the two are the same save for which columns are generated.
fn differs_in_generated_columns_only(told: &TableDefinition, known: &TableDefinition) -> bool {
    let same = |(told, known): (&Column, &Column)| {
        told.name == known.name
            && told.column_type == known.column_type
            && told.nullable == known.nullable
    };
    told.name == known.name
        && told.key == known.key
        && told.columns.len() == known.columns.len()
        && told.columns.iter().zip(&known.columns).all(same)
}

fn refuse(map: &TableMap, position: &BinlogPosition, source: DecodeError) -> MinerError {
    MinerError::Decode {
        place: Place::new(position, Some(&map.name)),
        source,
    }
}
