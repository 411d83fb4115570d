//! The table list in force, and reading it again.
//!
//! A new list is taken up where mining stands: at the staged position, between two source
//! transactions, by the one way to start. A list that cannot be taken up (a table that it
//! names is not there) is said, and the one before stays in force.

use common::error::chain;
use common::settings::{ProcessEnvironment, Settings, TableList};
use common::table::TableName;
use log::{error, info, warn};

use crate::error::MinerError;
use crate::source::SourceError;
use crate::stage::{Staged, StagingSession};

/// The list in force.
pub(super) struct Lists {
    list: TableList,
    /// The one before, until this one is taken up.
    before: Option<TableList>,
}

/// Which list is in force once it was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InForce {
    /// The one before.
    TheSame,
    /// One that mining begins anew with.
    Another,
}

impl Lists {
    pub(super) fn new(list: TableList) -> Self {
        Self { list, before: None }
    }

    pub(super) fn list(&self) -> &TableList {
        &self.list
    }

    /// Reads the list again, after SIGHUP. Nothing else of the configuration is.
    pub(super) fn read_again(&mut self, settings: &Settings) -> InForce {
        match Settings::load(&settings.path, &ProcessEnvironment::current()) {
            Ok(read) if read.tables == self.list => info!("table list read again: unchanged"),
            Ok(read) => {
                info!("table list read again: it has changed");
                let before = std::mem::replace(&mut self.list, read.tables);
                self.before.get_or_insert(before);
                return InForce::Another;
            }
            Err(error) => error!(
                "failed to read the table list again, the old one stays in force: {}",
                chain(&error)
            ),
        }
        InForce::TheSame
    }

    /// Mining has begun with the list.
    pub(super) fn accept(&mut self) {
        self.before = None;
    }

    /// Whether it goes on with the list of before, since the new one cannot be taken up.
    pub(super) fn take_back(&mut self, error: &MinerError) -> bool {
        let of_the_list = matches!(
            error,
            MinerError::PreparedBefore { .. } | MinerError::Source(SourceError::NoSuchTable { .. })
        );
        let Some(before) = self.before.take_if(|_| of_the_list) else {
            return false;
        };
        error!(
            "failed to take up the new table list, the old one stays in force: {}",
            chain(error)
        );
        self.list = before;
        true
    }

    /// Says what the list adds and takes away, and makes sure that it can be taken up.
    pub(super) fn tell(
        &self,
        session: &mut StagingSession,
        staged: &mut Staged,
        names: &[TableName],
    ) -> Result<(), MinerError> {
        let before = session.listed()?;
        let new: Vec<TableName> = names
            .iter()
            .filter(|name| before.adds(name))
            .cloned()
            .collect();
        if !new.is_empty() && !staged.parked.is_empty() {
            return Err(MinerError::PreparedBefore { tables: new });
        }
        if let Some(position) = &staged.position {
            for name in &new {
                info!(
                    "newly listed: what comes behind the position is staged table={name} position={position}"
                );
            }
            for name in before
                .tables
                .iter()
                .filter(|name| !self.list.contains(name))
            {
                warn!(
                    "no longer listed: what comes behind the position is not staged table={name} position={position}"
                );
            }
        }
        staged
            .definitions
            .latest
            .retain(|name, _| self.list.contains(name));
        Ok(())
    }
}

/// For the message that staging is full.
pub(super) fn describe_paused(tables: &[TableName]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    format!(
        "; it must keep what waits for paused tables, resume them or take them out of the list: paused={}",
        names.join(",")
    )
}
