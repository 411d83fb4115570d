//! What operators ask for while the loader runs: another table list, tables held back.
//!
//! Taken up between two flows, by the one way to start; what changes nothing, within a flow.

use std::collections::HashSet;

use common::error::chain;
use common::reload::Reload;
use common::settings::{ProcessEnvironment, Settings, TableList};
use common::table::TableName;

use crate::error::LoaderError;
use crate::fetch::wishes::{Asked, Taken};
use crate::fetch::{Fetcher, ReplicatedTable};
use crate::target::{Held, TargetSession, Wish};

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
        match read(settings, &self.list) {
            ListRead::Unchanged => log::debug!("{UNCHANGED}"),
            ListRead::Changed(list) => {
                log::info!("table list read again: it has changed");
                self.list = list;
            }
            ListRead::Failed => {}
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

const UNCHANGED: &str = "table list read again: unchanged";

/// What reading the list came to.
enum ListRead {
    Unchanged,
    Changed(TableList),
    /// It is said why; the old one stays in force.
    Failed,
}

fn read(settings: &Settings, list: &TableList) -> ListRead {
    match Settings::load(&settings.path, &ProcessEnvironment::current()) {
        Ok(read) if read.tables == *list => ListRead::Unchanged,
        Ok(read) => ListRead::Changed(read.tables),
        Err(error) => {
            log::error!(
                "failed to read the table list again, the old one stays in force: {}",
                chain(&error)
            );
            ListRead::Failed
        }
    }
}

/// Whether a flow goes on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Nothing that it goes by changes.
    Yes,
    /// It has to begin anew.
    No,
}

/// What a flow goes by, and what would change nothing in it: to begin anew costs what is read of
/// a large transaction, and whoever asks again and again would keep it from its end.
pub(super) struct InForce<'a> {
    pub(super) settings: &'a Settings,
    pub(super) list: &'a TableList,
    pub(super) paused: Vec<TableName>,
}

impl InForce<'_> {
    /// Takes what asks for the list to be read up, unless the list has changed.
    pub(super) fn settle_list(&self, reload: &Reload) -> Settled {
        // What changes after this is asked for after this.
        reload.take();
        match read(self.settings, self.list) {
            ListRead::Unchanged => log::info!("{UNCHANGED}"),
            ListRead::Failed => {}
            ListRead::Changed(_) => {
                reload.raise();
                return Settled::No;
            }
        }
        Settled::Yes
    }

    /// Answers, oldest first, who asks for what is so already, up to the first who does not.
    pub(super) fn settle_wishes(&self, fetcher: &mut Fetcher) -> Result<Settled, LoaderError> {
        for asked in fetcher.wishes()? {
            let held = match (asked.wish, self.paused.contains(&asked.table)) {
                (Wish::Pause, true) => Held::WasPaused,
                (Wish::Resume, false) => Held::WasNotPaused,
                (Wish::Pause, false) | (Wish::Resume, true) => return Ok(Settled::No),
            };
            if fetcher.take_up(asked.id)? == Taken::Up {
                say(&asked, held);
                fetcher.answer(asked.id, held)?;
            }
        }
        Ok(Settled::Yes)
    }
}

fn say(asked: &Asked, held: Held) {
    let table = &asked.table;
    match held {
        Held::Paused => log::info!("pause table={table}"),
        Held::Resumed => log::info!("resume table={table}"),
        Held::WasPaused | Held::WasNotPaused => log::info!(
            "asked to {} table={table}, which {}",
            asked.wish.as_str(),
            held.as_str()
        ),
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
        say(&asked, held);
        fetcher.answer(asked.id, held)?;
    }
    Ok(())
}
