//! Source tables to target tables: names, columns, and what is done to each cell.
//!
//! Stands before `apply`. A route is made once per table definition, from the definition,
//! the rules and the target's catalog; what does not fit is an error that names what to
//! create or change. Rows then pass by [`Route::write_row`], or by [`Route::write_binary`] where
//! all columns have an encoder.

pub mod binary;

pub mod cell;

mod error;

mod sharing;

pub mod types;

use common::pg::quote_identifier;
use common::settings::{ColumnRules, Keys, Role, Rule};
use common::staging::codec;
use common::table::{Column, TableDefinition, TableName};

pub use binary::{Encoder, NotBinary};
pub use cell::{Adapter, CellError};
pub use error::{RouteError, RowError};
pub use sharing::{KeptApart, Sharing};
pub use types::ValuePolicy;

use crate::target::catalog::{Fill, RelationKind, TargetColumn, TargetTable};
use crate::target::placement::Distribution;

/// Where tables go.
#[derive(Clone, Debug)]
pub struct Router {
    rules: Vec<Rule>,
    schema: String,
    policy: ValuePolicy,
}

/// Where a table's rows are looked for on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Schema.
    pub schema: String,
    /// Table, up to letter case.
    pub table: String,
}

/// One table's way to the target.
#[derive(Debug)]
pub struct Route {
    /// The source table.
    pub source: TableName,
    /// The target table.
    pub target: TargetTable,
    /// What the rules say of rows of other sources in the same target table.
    pub keys: Keys,
    cells: Vec<Cell>,
    /// Columns that the rules add; rows have them behind the others.
    constants: Vec<ConstantCell>,
    verbatim: bool,
    key: Vec<KeyColumn>,
}

/// A column that has the same value in all rows of one source table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstantCell {
    /// Whether it belongs to the key.
    pub role: Role,
    /// The value.
    pub value: String,
    target: usize,
    /// As COPY text.
    escaped: Vec<u8>,
}

#[derive(Debug)]
struct Cell {
    /// Number of the column in the definition.
    source: usize,
    source_name: String,
    /// `None` when a rule drops the column.
    target: Option<usize>,
    adapter: Adapter,
}

#[derive(Debug)]
struct KeyColumn {
    name: String,
    /// Type without modifier, to cast key texts to: a modifier would cut them.
    base_type_text: String,
    adapter: Adapter,
}

impl Router {
    /// A router with the configuration's rules; `schema` has the tables without one.
    pub fn new(rules: &[Rule], schema: &str, policy: ValuePolicy) -> Self {
        Self {
            rules: rules.to_vec(),
            schema: schema.to_owned(),
            policy,
        }
    }

    /// What the configuration says about values.
    pub fn policy(&self) -> &ValuePolicy {
        &self.policy
    }

    /// The rule that decides about a table.
    fn rule(&self, source: &TableName) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(source))
    }

    /// The name that a source column has on the target; `None` when a rule drops it.
    pub fn column_name<'a>(&'a self, source: &TableName, column: &'a str) -> Option<&'a str> {
        match self.rule(source) {
            Some(rule) => rule.columns.target_name(column),
            None => Some(column),
        }
    }

    /// Columns that the table's rule speaks of and the table does not have.
    pub fn columns_not_there(&self, definition: &TableDefinition) -> Vec<&str> {
        let has = |name: &str| {
            let mut columns = definition.columns.iter();
            columns.any(|column| column.name.to_lowercase() == name)
        };
        self.rule(&definition.name)
            .into_iter()
            .flat_map(|rule| rule.columns.named())
            .filter(|name| !has(name))
            .collect()
    }

    /// Where the rules send a table.
    pub fn address(&self, source: &TableName) -> Address {
        let rule = self.rule(source);
        Address {
            schema: rule
                .and_then(|rule| rule.pg_schema.clone())
                .unwrap_or_else(|| self.schema.clone()),
            table: rule
                .and_then(|rule| rule.pg_table.clone())
                .unwrap_or_else(|| source.table.clone()),
        }
    }

    /// The one of the `found` tables that is meant.
    ///
    /// # Errors
    /// When there is none, or several differ in letter case only.
    pub fn choose(
        &self,
        source: &TableName,
        address: &Address,
        found: Vec<TargetTable>,
    ) -> Result<TargetTable, RouteError> {
        let missing = || RouteError::NoTable {
            source_table: source.clone(),
            schema: address.schema.clone(),
            table: address.table.clone(),
        };
        let position = unique_match(&address.table, found.iter().map(|table| &table.name))
            .map_err(|candidates| RouteError::AmbiguousTable {
                source_table: source.clone(),
                candidates,
            })?
            .ok_or_else(missing)?;
        found.into_iter().nth(position).ok_or_else(missing)
    }

    /// Makes the route of a table.
    ///
    /// # Errors
    /// When rows of the definition do not fit the target table; all reasons at once.
    pub fn route(
        &self,
        definition: &TableDefinition,
        target: TargetTable,
    ) -> Result<Route, RouteError> {
        let mut problems = Vec::new();
        if target.kind == RelationKind::Other {
            problems.push("it is not a table".into());
        }
        if !target.writable {
            problems.push("grant select, insert and delete on it to the loader's user".into());
        }
        if definition.key_columns().is_empty() && is_replicated(&target) {
            problems.push(format!(
                "it has every row on every segment (distributed replicated), where equal rows cannot be told apart, and \
                 the source table has no key: alter table {} set distributed randomly",
                target.quoted()
            ));
        }
        let no_rules = ColumnRules::default();
        let rule = self.rule(&definition.name);
        let rules = rule.map_or(&no_rules, |rule| &rule.columns);
        let mut cells: Vec<Cell> = definition
            .columns
            .iter()
            .enumerate()
            .filter_map(
                |(number, column)| match self.cell(number, column, rules, &target) {
                    Ok(cell) => Some(cell),
                    Err(problem) => {
                        problems.push(problem);
                        None
                    }
                },
            )
            .collect();
        problems.extend(dropped_key_columns(definition, rules));
        let constants = self.constants(definition, rules, &target, &mut problems);
        problems.extend(written_twice(&target, &cells, &constants));
        for column in target_only(&target, &cells, &constants) {
            if column.not_null && column.fill == Fill::Null {
                problems.push(format!(
                    "its column {} is not null and has no default, and the source lacks it: alter table {} alter column {} set default ...",
                    column.name,
                    target.quoted(),
                    quote_identifier(&column.name)
                ));
            }
        }
        let key_cells = definition
            .key_columns()
            .iter()
            .filter_map(|column| cells.iter().find(|cell| cell.source == *column));
        let key_targets = key_cells
            .filter_map(|cell| cell.target)
            .chain(key_constants(&constants).map(|constant| constant.target));
        for column in key_targets.filter_map(|number| target.columns.get(number)) {
            if !column.deterministic {
                problems.push(format!(
                    "key column {name} has a collation that takes different texts for equal, and would take one row for \
                     another: alter table {} alter column {} type {} collate \"C\"",
                    target.quoted(),
                    quote_identifier(&column.name),
                    column.type_text,
                    name = column.name,
                ));
            }
        }
        if !problems.is_empty() {
            return Err(RouteError::Misfit {
                source_table: definition.name.clone(),
                target_table: target.display(),
                problems,
            });
        }
        // A substitute for a key value would name another row, or none.
        for &column in definition.key_columns() {
            if let Some(cell) = cells.get_mut(column) {
                cell.adapter = cell.adapter.for_key();
            }
        }
        let key = definition
            .key_columns()
            .iter()
            .filter_map(|&column| cells.get(column))
            .filter_map(|cell| key_column(cell, &target))
            .collect();
        let verbatim =
            constants.is_empty() && cells.iter().all(|cell| cell.adapter == Adapter::Verbatim);
        Ok(Route {
            source: definition.name.clone(),
            target,
            keys: rule.map_or(Keys::OfEachTable, |rule| rule.keys),
            cells,
            constants,
            verbatim,
            key,
        })
    }

    /// The columns that the rules add; what does not fit goes to `problems`.
    fn constants(
        &self,
        definition: &TableDefinition,
        rules: &ColumnRules,
        target: &TargetTable,
        problems: &mut Vec<String>,
    ) -> Vec<ConstantCell> {
        let mut constants = Vec::new();
        for constant in rules.constants() {
            let names = target.columns.iter().map(|column| &column.name);
            let number = unique_match(&constant.column, names).ok().flatten();
            let Some((number, column)) =
                number.and_then(|number| Some((number, target.columns.get(number)?)))
            else {
                problems.push(format!(
                    "it lacks column {}, which a rule adds: alter table {} add column {} text",
                    constant.column,
                    target.quoted(),
                    quote_identifier(&constant.column),
                ));
                continue;
            };
            if column.fill == Fill::Generated {
                problems.push(format!("column {} is generated there", column.name));
            }
            if constant.role == Role::Key && !types::tells_apart(column) {
                problems.push(format!(
                    "column {} is {}, which a rule adds to the key: make it text, varchar, an integer, uuid or an enum",
                    column.name, column.type_text
                ));
            }
            let value = constant.value(&definition.name);
            let mut escaped = Vec::new();
            codec::escape(value.as_bytes(), &mut escaped);
            constants.push(ConstantCell {
                role: constant.role,
                target: number,
                escaped,
                value,
            });
        }
        constants
    }

    fn cell(
        &self,
        number: usize,
        column: &Column,
        rules: &ColumnRules,
        target: &TargetTable,
    ) -> Result<Cell, String> {
        let Some(name) = rules.target_name(&column.name) else {
            return Ok(Cell {
                source: number,
                source_name: column.name.clone(),
                target: None,
                adapter: Adapter::Skip,
            });
        };
        let names = target.columns.iter().map(|column| &column.name);
        let found = unique_match(name, names).map_err(|candidates| {
            format!(
                "column {} matches several columns: {}",
                column.name,
                candidates.join(", ")
            )
        })?;
        let missing = || {
            format!(
                "it lacks column {}: alter table {} add column {} {}",
                name,
                target.quoted(),
                quote_identifier(name),
                types::default_type(&column.column_type, target.dialect)
            )
        };
        let position = found.ok_or_else(missing)?;
        let target_column = target.columns.get(position).ok_or_else(missing)?;
        let adapter = if target_column.fill == Fill::Generated {
            Adapter::Skip
        } else if column.unlogged {
            return Err(format!(
                "column {} is generated at the source, whose log leaves it out of updates and deletes: make the \
                 target's a generated one too, alter table {} drop column {quoted}, add column {quoted} {} generated \
                 always as (...) stored",
                target_column.name,
                target.quoted(),
                target_column.type_text,
                quoted = quote_identifier(&target_column.name),
            ));
        } else {
            let dialect = target.dialect;
            let source = &column.column_type;
            types::adapter(source, target_column, dialect, &self.policy).ok_or_else(|| {
                format!(
                    "column {} is {} and would not hold every {} value: make it {}",
                    target_column.name,
                    target_column.type_text,
                    types::source_type(source),
                    types::default_type(source, dialect)
                )
            })?
        };
        Ok(Cell {
            source: number,
            source_name: column.name.clone(),
            target: Some(position),
            adapter,
        })
    }
}

fn is_replicated(target: &TargetTable) -> bool {
    let placement = target.placement.as_ref();
    let distribution = placement.and_then(|placement| placement.distribution.as_ref());
    distribution == Some(&Distribution::Replicated)
}

/// What tells rows apart cannot be left out.
fn dropped_key_columns<'a>(
    definition: &'a TableDefinition,
    rules: &'a ColumnRules,
) -> impl Iterator<Item = String> + use<'a> {
    definition
        .key_columns()
        .iter()
        .filter_map(|&column| definition.columns.get(column))
        .filter(|column| rules.target_name(&column.name).is_none())
        .map(|column| {
            format!(
                "a rule drops column {}, which belongs to the key of the source table: rows could not be told apart; take \
                 it out of columns.drop",
                column.name
            )
        })
}

/// Target columns that several columns of a row would go to.
fn written_twice(target: &TargetTable, cells: &[Cell], constants: &[ConstantCell]) -> Vec<String> {
    let written = |number: usize| {
        cells
            .iter()
            .filter(|cell| cell.target == Some(number))
            .count()
            + constants
                .iter()
                .filter(|constant| constant.target == number)
                .count()
    };
    let columns = target.columns.iter().enumerate();
    columns
        .filter(|(number, _)| written(*number) > 1)
        .map(|(_, column)| {
            format!(
                "several columns go to its column {}: rename or drop one of them in the [[rule]]",
                column.name
            )
        })
        .collect()
}

fn key_constants(constants: &[ConstantCell]) -> impl Iterator<Item = &ConstantCell> {
    constants
        .iter()
        .filter(|constant| constant.role == Role::Key)
}

/// Columns that no source column goes to, and that the target does not compute.
fn target_only<'a>(
    target: &'a TargetTable,
    cells: &'a [Cell],
    constants: &'a [ConstantCell],
) -> impl Iterator<Item = &'a TargetColumn> {
    (0..)
        .zip(&target.columns)
        .filter(|(number, column)| {
            column.fill != Fill::Generated
                && !cells.iter().any(|cell| cell.target == Some(*number))
                && !constants.iter().any(|constant| constant.target == *number)
        })
        .map(|(_, column)| column)
}

fn key_column(cell: &Cell, target: &TargetTable) -> Option<KeyColumn> {
    let column = target.columns.get(cell.target?)?;
    Some(KeyColumn {
        name: column.name.clone(),
        base_type_text: column.base_type_text.clone(),
        adapter: cell.adapter.clone(),
    })
}

/// The name that equals `name`, else the only one that equals it up to letter case.
pub(crate) fn unique_match<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a String>,
) -> Result<Option<usize>, Vec<String>> {
    let mut folded = Vec::new();
    let lower = name.to_lowercase();
    for (number, candidate) in candidates.enumerate() {
        if candidate == name {
            return Ok(Some(number));
        }
        if candidate.to_lowercase() == lower {
            folded.push((number, candidate));
        }
    }
    match folded.as_slice() {
        [] => Ok(None),
        [(number, _)] => Ok(Some(*number)),
        several => Err(several.iter().map(|(_, name)| (*name).clone()).collect()),
    }
}

impl Route {
    /// The columns that COPY writes, in the order of [`Route::write_row`]'s cells.
    pub fn copy_columns(&self) -> impl Iterator<Item = &TargetColumn> {
        self.cells
            .iter()
            .filter(|cell| cell.adapter != Adapter::Skip)
            .filter_map(|cell| cell.target)
            .chain(self.constants.iter().map(|constant| constant.target))
            .filter_map(|number| self.target.columns.get(number))
    }

    /// Names of the key columns on the target, in key order; none for a keyless table.
    pub fn key_names(&self) -> Vec<&str> {
        self.key_types().map(|(name, _)| name).collect()
    }

    /// Key columns with the types that key texts are cast to, those that a rule adds last.
    pub fn key_types(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.key.iter();
        let added = self
            .constant_columns()
            .filter(|(constant, _)| constant.role == Role::Key && !self.key.is_empty());
        own.map(|column| (column.name.as_str(), column.base_type_text.as_str()))
            .chain(added.map(|(_, column)| (column.name.as_str(), column.base_type_text.as_str())))
    }

    /// Columns that a rule adds, with their value.
    pub fn constant_columns(&self) -> impl Iterator<Item = (&ConstantCell, &TargetColumn)> {
        self.constants
            .iter()
            .filter_map(|constant| Some((constant, self.target.columns.get(constant.target)?)))
    }

    /// Target columns that the source lacks: they get their default whenever a row is
    /// replaced.
    pub fn target_only_columns(&self) -> Vec<&str> {
        target_only(&self.target, &self.cells, &self.constants)
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Target columns that take no NULL, while the source's may hold one.
    pub fn not_null_columns(&self, definition: &TableDefinition) -> Vec<&str> {
        self.cells
            .iter()
            .filter(|cell| {
                definition
                    .columns
                    .get(cell.source)
                    .is_some_and(|column| column.nullable)
            })
            .filter_map(|cell| self.target.columns.get(cell.target?))
            .filter(|column| column.not_null && column.fill != Fill::Generated)
            .map(|column| column.name.as_str())
            .collect()
    }

    /// Columns of which the target cannot take the empty string.
    pub fn columns_that_refuse_empty_texts(&self) -> Vec<&str> {
        self.cells
            .iter()
            .filter(|cell| cell.adapter == Adapter::NoEmpty)
            .map(|cell| cell.source_name.as_str())
            .collect()
    }

    /// Appends a staged row as a COPY line for the target.
    ///
    /// # Errors
    /// When the target cannot take a value, or the row has not one cell per column.
    pub fn write_row(&self, row: &[u8], out: &mut Vec<u8>) -> Result<(), RowError> {
        if self.verbatim {
            out.extend_from_slice(row);
            out.push(b'\n');
            return Ok(());
        }
        let mut values = row.split(|&byte| byte == b'\t');
        let mut first = true;
        for cell in &self.cells {
            let value = values.next().ok_or(RowError::CellCount)?;
            if cell.adapter == Adapter::Skip {
                continue;
            }
            if !first {
                out.push(b'\t');
            }
            first = false;
            cell.adapter
                .write(value, out)
                .map_err(|error| RowError::Cell {
                    column: cell.source_name.clone(),
                    error,
                })?;
        }
        if values.next().is_some() {
            return Err(RowError::CellCount);
        }
        for constant in &self.constants {
            if !first {
                out.push(b'\t');
            }
            first = false;
            out.extend_from_slice(&constant.escaped);
        }
        out.push(b'\n');
        Ok(())
    }

    /// Appends a staged row in COPY's binary format, with an encoder for each column that COPY
    /// writes; `scratch` is for cells on their way.
    ///
    /// # Errors
    /// As [`Route::write_row`], and when a value has to go as text. Part of the row may have
    /// been appended.
    pub fn write_binary(
        &self,
        row: &[u8],
        encoders: &[Encoder],
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let fields = i16::try_from(encoders.len()).map_err(|_| RowError::CellCount)?;
        out.extend_from_slice(&fields.to_be_bytes());
        let mut encoders = encoders.iter();
        let mut ends = memchr::memchr_iter(b'\t', row).chain([row.len()]);
        let mut start = 0;
        for cell in &self.cells {
            let end = ends.next().ok_or(RowError::CellCount)?;
            let value = row.get(start..end).ok_or(RowError::CellCount)?;
            start = end + 1;
            if cell.adapter == Adapter::Skip {
                continue;
            }
            let encoder = encoders.next().ok_or(RowError::CellCount)?;
            let adapted = cell
                .adapter
                .adapt(value, scratch)
                .map_err(|error| RowError::Cell {
                    column: cell.source_name.clone(),
                    error,
                })?;
            encoder
                .write(adapted, out)
                .map_err(|NotBinary| RowError::NotBinary {
                    column: cell.source_name.clone(),
                })?;
        }
        for (constant, column) in self.constant_columns() {
            let encoder = encoders.next().ok_or(RowError::CellCount)?;
            encoder
                .write(&constant.escaped, out)
                .map_err(|NotBinary| RowError::NotBinary {
                    column: column.name.clone(),
                })?;
        }
        match (ends.next(), encoders.next()) {
            (None, None) => Ok(()),
            _ => Err(RowError::CellCount),
        }
    }

    /// Calls `take` with each key column's number and its cell as COPY text for the target.
    ///
    /// # Errors
    /// When the target cannot take a value, or the key has not one cell per column.
    pub fn write_key(
        &self,
        key: &[u8],
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(usize, &[u8]),
    ) -> Result<(), RowError> {
        let mut values = key.split(|&byte| byte == b'\t');
        for (number, column) in self.key.iter().enumerate() {
            let value = values.next().ok_or(RowError::CellCount)?;
            let adapted = column
                .adapter
                .adapt(value, scratch)
                .map_err(|error| RowError::Cell {
                    column: column.name.clone(),
                    error,
                })?;
            take(number, adapted);
        }
        for (number, constant) in (self.key.len()..).zip(key_constants(&self.constants)) {
            take(number, &constant.escaped);
        }
        match values.next() {
            None => Ok(()),
            Some(_) => Err(RowError::CellCount),
        }
    }
}

#[cfg(test)]
mod tests;
