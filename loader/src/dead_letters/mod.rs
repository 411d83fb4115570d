//! Rows that the target refused.
//!
//! Beside `apply`, which finds them. A refused row is not on the target: its old version is
//! deleted, so that every row there is one that the source had. The row itself is kept in
//! staging and, with what names it ([`Identity`]), on the target.
//!
//! Invariants:
//! 1. A dead letter is in staging before the target commits its identity with the batch.
//! 2. The identity goes in the transaction that applies a later change of the same row, and
//!    before that change: whoever finds an identity on the target knows the row's last version.
//! 3. The target is the authority. At each start staging is brought into line (`sync`):
//!    what was staged for a batch that never committed is removed.
//!
//! Rows of a table without a key are their own identity: a delete of an equal row takes back
//! the dead letter first.

mod error;
mod held;
mod identity;
mod item;
mod letter;
mod locate;
mod sync;

use std::collections::{HashMap, HashSet};

use common::checkpoint::Checkpoint;
use common::crash::{self, Point};
use common::pg::{self, Conninfo, Operation as _, PgError};
use common::table::TableName;
use postgres::Client;

pub use error::DeadLetterError;
pub use identity::{Identity, Seen, Taken};
pub use item::{Item, Op, Refusal, TakenBack};
pub use letter::{Letter, StagedRow, read_letter, resolve, unresolved_ids, update_refusal};
pub use locate::Place;

use crate::coverage::Shown;
use crate::layout::Layout;
use crate::round::{Net, Round, TableChanges};
use crate::target::session::signed;
use crate::tenure::Tenure;
use held::{Held, HeldLetter, lookup};
use letter::Content;
use locate::Places;

/// The task's unresolved dead letters. See the module.
pub struct DeadLetters {
    staging: Staging,
    task: String,
    limit: u64,
    tables: HashMap<TableName, Held>,
    /// Taken off the target in the round that is being written.
    settling: HashSet<i64>,
    /// Taken off the target; staging is told once that has committed.
    settled: Vec<i64>,
    /// Staged for the batch that is being written.
    staged: Vec<i64>,
    /// How many of them are of the rounds before.
    staged_before: usize,
}

/// A connection that is made when it is needed.
struct Staging {
    conninfo: Conninfo,
    client: Option<Client>,
    tenure: Tenure,
}

impl Staging {
    /// The connection, as long as staging is this loader's: numbers of events and of dead
    /// letters mean something in this staging only.
    fn ours(&mut self) -> Result<&mut Client, DeadLetterError> {
        let tenure = self.tenure.clone();
        let client = self.client().map_err(DeadLetterError::Staging)?;
        match tenure.holds(client) {
            Ok(true) => Ok(client),
            Ok(false) => Err(DeadLetterError::Taken),
            Err(error) => Err(DeadLetterError::Staging(error)),
        }
    }

    fn client(&mut self) -> Result<&mut Client, PgError> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
        match &mut self.client {
            Some(client) => Ok(client),
            none => {
                let mut client = pg::connect(&self.conninfo, "binlog_loader dead_letters")?;
                client
                    .batch_execute("set synchronous_commit = on")
                    .operation("prepare staging session")?;
                pg::forbid_idle_transactions(&mut client)?;
                Ok(none.insert(client))
            }
        }
    }
}

impl DeadLetters {
    /// Brings staging into line with the target, where the checkpoint and the tables behind it
    /// are, and reads what is unresolved.
    ///
    /// # Errors
    /// When a server is away, or staging has lost rows that the target refused.
    pub fn open(
        conninfo: &Conninfo,
        task: &str,
        limit: u64,
        positions: (&Checkpoint, &[Shown]),
        tenure: Tenure,
        target: &mut Client,
    ) -> Result<Self, DeadLetterError> {
        let mut staging = Staging {
            conninfo: conninfo.clone(),
            client: None,
            tenure,
        };
        let client = staging.client().map_err(DeadLetterError::Staging)?;
        sync::sync(client, target, task, positions)?;
        let tables = letter::held(client)?;
        // Needed again only when a row is refused.
        staging.client = None;
        Ok(Self {
            staging,
            task: task.into(),
            limit,
            tables,
            settling: HashSet::new(),
            settled: Vec::new(),
            staged: Vec::new(),
            staged_before: 0,
        })
    }

    /// How many rows of a table may be unresolved.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How many more rows of a table may be refused.
    pub fn room(&self, table: &TableName) -> u64 {
        let held = self.tables.get(table).map_or(0, |held| {
            let letters = held.letters.values().flatten();
            letters
                .filter(|letter| !self.settling.contains(&letter.id))
                .count()
        });
        self.limit
            .saturating_sub(u64::try_from(held).unwrap_or(u64::MAX))
    }

    /// Forgets what an operator has settled meanwhile.
    ///
    /// # Errors
    /// When staging is away.
    pub fn refresh(&mut self) -> Result<(), DeadLetterError> {
        if self.tables.is_empty() {
            return Ok(());
        }
        let client = self.staging.ours()?;
        let unresolved: HashSet<i64> = unresolved_ids(client)?.into_iter().collect();
        self.retain(|letter| unresolved.contains(&letter.id));
        Ok(())
    }

    fn retain(&mut self, keep: impl Fn(&HeldLetter) -> bool) {
        for held in self.tables.values_mut() {
            held.letters.retain(|_, letters| {
                letters.retain(&keep);
                !letters.is_empty()
            });
        }
        self.tables.retain(|_, held| !held.letters.is_empty());
    }

    /// Takes what the round settles off the target, in its transaction and before its rows.
    ///
    /// # Errors
    /// When a server is away, or rows are identified otherwise than before.
    pub fn settle(
        &mut self,
        target: &mut Client,
        round: &Round,
    ) -> Result<TakenBack, DeadLetterError> {
        let mut taken_back = TakenBack::default();
        self.settling.clear();
        if self.tables.is_empty() {
            return Ok(taken_back);
        }
        for changes in round.tables() {
            let Some(held) = self.tables.get(&changes.layout.definition.name) else {
                continue;
            };
            if changes.truncated {
                for letter in held.letters.values().flatten() {
                    take(letter, target, &self.task)?;
                    self.settling.insert(letter.id);
                }
                continue;
            }
            if !held.fits(&changes.layout) {
                return Err(DeadLetterError::OtherKey {
                    table: changes.layout.definition.name.clone(),
                    count: held.count(),
                });
            }
            if changes.layout.is_keyless() {
                self.settle_rows(target, round, changes, &mut taken_back)?;
            } else {
                self.settle_keys(target, round, changes)?;
            }
        }
        if !self.settling.is_empty() {
            crash::point(Point::LoaderLettersTaken);
        }
        Ok(taken_back)
    }

    fn settle_keys(
        &mut self,
        target: &mut Client,
        round: &Round,
        changes: &TableChanges,
    ) -> Result<(), DeadLetterError> {
        let Some(held) = self.tables.get(&changes.layout.definition.name) else {
            return Ok(());
        };
        for net in round.changes(changes) {
            let (Net::Upsert { key, .. } | Net::Delete { key }) = net else {
                continue;
            };
            for letter in held.letters.get(key).into_iter().flatten() {
                take(letter, target, &self.task)?;
                self.settling.insert(letter.id);
            }
        }
        Ok(())
    }

    fn settle_rows(
        &mut self,
        target: &mut Client,
        round: &Round,
        changes: &TableChanges,
        taken_back: &mut TakenBack,
    ) -> Result<(), DeadLetterError> {
        let Some(held) = self.tables.get(&changes.layout.definition.name) else {
            return Ok(());
        };
        for net in round.changes(changes) {
            let Net::Rows { row, deletes, .. } = net else {
                continue;
            };
            let Some(candidates) = held.letters.get(&lookup(None, row)).filter(|_| deletes > 0)
            else {
                continue;
            };
            let client = self.staging.ours()?;
            let equal = letter::equal_rows(client, candidates.iter().map(|c| c.id), row)?;
            let mut left = deletes;
            for letter in candidates {
                if left == 0 || !equal.contains(&letter.id) {
                    continue;
                }
                // Not there: an operator has put the row on the target meanwhile.
                if take(letter, target, &self.task)? == Taken::Yes {
                    left -= 1;
                }
                self.settling.insert(letter.id);
            }
            taken_back.add(changes.layout.id, row, deletes - left);
        }
        Ok(())
    }

    /// Keeps refused rows: in staging at once, on the target in its transaction.
    ///
    /// # Errors
    /// When a server is away.
    pub fn record(
        &mut self,
        target: &mut Client,
        layout: &Layout,
        refused: &[(Item<'_>, Refusal)],
    ) -> Result<(), DeadLetterError> {
        if refused.is_empty() {
            return Ok(());
        }
        crash::point(Point::LoaderLettersFound);
        let definition = letter::to_json(&layout.definition)?;
        let letters = self.stage(layout, &definition, refused)?;
        self.staged
            .extend(letters.iter().map(|(letter, _)| letter.id));
        for ((letter, _), (item, refusal)) in letters.iter().zip(refused) {
            let content = Content::of(&definition, item, refusal)?;
            letter::put(target, &self.task, &letter.identity, &content)?;
        }
        crash::point(Point::LoaderLettersWritten);
        let held = self
            .tables
            .entry(layout.definition.name.clone())
            .or_default();
        for (letter, lookup) in letters {
            held.add(letter, lookup, &layout.definition);
        }
        Ok(())
    }

    fn stage(
        &mut self,
        layout: &Layout,
        definition: &str,
        refused: &[(Item<'_>, Refusal)],
    ) -> Result<Vec<(HeldLetter, Vec<u8>)>, DeadLetterError> {
        let tenure = self.staging.tenure.clone();
        let mut places = Places::default();
        let mut letters = Vec::with_capacity(refused.len());
        let client = self.staging.ours()?;
        let mut transaction = client
            .transaction()
            .operation("stage dead letters")
            .map_err(DeadLetterError::Staging)?;
        for (item, refusal) in refused {
            let place = places.of(&mut transaction, item.event_seq)?;
            let identity = Identity {
                log_id: place.log_id,
                position: place.position,
                row_number: signed(place.row_number),
                copy_number: item.copy_number,
                table: layout.definition.name.clone(),
            };
            let content = Content::of(definition, item, refusal)?;
            let event_seq = Some(signed(item.event_seq));
            let id = letter::stage(&mut transaction, &identity, event_seq, &content)?;
            letters.push((HeldLetter { id, identity }, lookup(item.key, item.row)));
        }
        let is_ours = tenure.holds(&mut transaction);
        if !is_ours.map_err(DeadLetterError::Staging)? {
            return Err(DeadLetterError::Taken);
        }
        crash::point(Point::LoaderLettersInStaging);
        transaction
            .commit()
            .operation("stage dead letters")
            .map_err(DeadLetterError::Staging)?;
        crash::point(Point::LoaderLettersStaged);
        Ok(letters)
    }

    /// The round is written again: forgets what was kept of it.
    ///
    /// # Errors
    /// When staging is away.
    pub fn round_undone(&mut self) -> Result<(), DeadLetterError> {
        self.settling.clear();
        let undone = self
            .staged
            .split_off(self.staged_before.min(self.staged.len()));
        if undone.is_empty() {
            return Ok(());
        }
        self.retain(|letter| !undone.contains(&letter.id));
        let client = self.staging.ours()?;
        letter::remove(client, &undone)
    }

    /// The round is written: what it has settled is settled once the batch commits.
    pub fn round_written(&mut self) {
        self.staged_before = self.staged.len();
        if self.settling.is_empty() {
            return;
        }
        let settling = std::mem::take(&mut self.settling);
        self.retain(|letter| !settling.contains(&letter.id));
        self.settled.extend(settling);
    }

    /// The batch is committed: tells staging. Staging may be away; it is told later then, at
    /// the latest when the loader starts again.
    pub fn committed(&mut self) {
        if !self.staged.is_empty() || !self.settled.is_empty() {
            crash::point(Point::LoaderLettersCommitted);
        }
        self.staged.clear();
        self.staged_before = 0;
        if self.settled.is_empty() {
            return;
        }
        let told = match self.staging.ours() {
            Ok(client) => resolve(client, &self.settled),
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => {
                crash::point(Point::LoaderLettersResolved);
                self.settled.clear();
            }
            Err(error) => log::debug!("failed to resolve dead letters: {error}"),
        }
    }

    /// The batch was given up before its commit: removes what was staged for it. What staging
    /// cannot be told now is removed when the loader starts again.
    pub fn given_up(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        self.staged_before = 0;
        if staged.is_empty() {
            return;
        }
        let told = match self.staging.ours() {
            Ok(client) => letter::remove(client, &staged),
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            log::debug!("failed to remove dead letters: {error}");
        }
    }

    /// Where in the source's log an event is.
    ///
    /// # Errors
    /// When staging is away or does not hold it.
    pub fn place(&mut self, event_seq: u64) -> Result<Place, DeadLetterError> {
        let client = self.staging.ours()?;
        Places::default().of(client, event_seq)
    }
}

fn take(letter: &HeldLetter, target: &mut Client, task: &str) -> Result<Taken, DeadLetterError> {
    letter
        .identity
        .take(target, task)
        .map_err(DeadLetterError::Target)
}
