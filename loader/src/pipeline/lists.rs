//! What operators ask for while the loader runs: another table list, tables held back.
//!
//! Taken up between two flows, by the one way to start.

use std::collections::HashSet;

use common::error::chain;
use common::settings::{ProcessEnvironment, Settings, TableList};
use common::table::TableName;

use crate::error::LoaderError;
use crate::fetch::wishes::Taken;
use crate::fetch::{Fetcher, ReplicatedTable};
use crate::target::{Held, TargetSession};

/// The table list in force.
pub(super) struct Lists {
    list: TableList,
    /// The miner's list that this one was read after, and the staging that it is of.
    read_after: Option<(String, i64)>,
    /// Tables that staging has changes of and that are left out, as far as said.
    left_out: HashSet<TableName>,
}

impl Lists {
    pub(super) fn new(list: TableList) -> Self {
        Self {
            list,
            read_after: None,
            left_out: HashSet::new(),
        }
    }

    pub(super) fn list(&self) -> &TableList {
        &self.list
    }

    /// Reads the list again where the miner has taken up another one: what it stages from there
    /// on may be of tables that are new in it.
    pub(super) fn follow(&mut self, staging_id: &str, version: i64, settings: &Settings) {
        let of_miner = (staging_id.to_owned(), version);
        if self.read_after.as_ref() != Some(&of_miner) {
            self.read_again(settings);
            self.read_after = Some(of_miner);
        }
    }

    /// Reads the list again, after SIGHUP or when staging has changes of a table that it does
    /// not select. Nothing else of the configuration is.
    pub(super) fn read_again(&mut self, settings: &Settings) {
        match Settings::load(&settings.path, &ProcessEnvironment::current()) {
            Ok(read) if read.tables == self.list => {
                log::debug!("table list read again: unchanged");
            }
            Ok(read) => {
                log::info!("table list read again: it has changed");
                self.list = read.tables;
            }
            Err(error) => log::error!(
                "failed to read the table list again, the old one stays in force: {}",
                chain(&error)
            ),
        }
    }

    /// Says, once, what of the staged tables is left out, and what no longer is. The miner goes
    /// on staging `replicated`; others are a matter of the past.
    pub(super) fn tell(&mut self, staged: &[TableName], replicated: &[ReplicatedTable]) {
        for table in staged {
            if self.list.contains(table) {
                if self.left_out.remove(table) {
                    log::info!("listed again: changes of the table are applied table={table}");
                }
            } else if self.left_out.insert(table.clone()) {
                let level = if replicated.iter().any(|known| known.name == *table) {
                    log::Level::Warn
                } else {
                    log::Level::Info
                };
                log::log!(
                    level,
                    "the table list does not select the table: what is staged of it is left out table={table}"
                );
            }
        }
    }
}

/// Does what operators ask for.
pub(super) fn take_wishes(
    fetcher: &mut Fetcher,
    session: &mut TargetSession,
) -> Result<(), LoaderError> {
    for asked in fetcher.wishes()? {
        if fetcher.take_up(asked.id)? == Taken::Back {
            continue;
        }
        let held = session.hold(asked.wish, &asked.table)?;
        match held {
            Held::Paused => log::info!("pause table={}", asked.table),
            Held::Resumed => log::info!("resume table={}", asked.table),
            Held::WasPaused | Held::WasNotPaused => {
                log::info!(
                    "asked to {} table={}, which {}",
                    asked.wish.as_str(),
                    asked.table,
                    held.as_str()
                );
            }
        }
        fetcher.answer(asked.id, held)?;
    }
    Ok(())
}
