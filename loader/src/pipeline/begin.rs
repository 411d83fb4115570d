//! Before a flow: whose the task is, what operators ask for, and where each table stands.

use std::time::Instant;

use common::behind::Behind;
use common::checkpoint::Checkpoint;
use common::crash::{self, Point};
use common::reload::Reload;

use super::lists::take_wishes;
use super::{REREAD_INTERVAL, Runner, Turned, Until, fetch_loop};
use crate::dead_letters::DeadLetters;
use crate::error::LoaderError;
use crate::fetch::{Fetcher, MinerRow, StagingTask};
use crate::progress::StagedPosition;
use crate::retire::{LoaderState, Report};
use crate::route::{Router, ValuePolicy};
use crate::standing::{self, Standing};
use crate::start::{self, Surroundings};
use crate::target::{SessionError, TargetSession};

/// Where a flow begins.
pub(super) struct Begin {
    pub(super) task: StagingTask,
    pub(super) router: Router,
    pub(super) dead_letters: DeadLetters,
    pub(super) standing: Standing,
}

/// What waiting for the miner came to.
enum Awaited {
    /// Its row.
    Miner(Box<MinerRow>),
    /// An operator asks for something meanwhile.
    Asked,
    /// A stop is asked for, or nobody waits: with `--once`.
    Nothing,
}

impl Runner<'_> {
    /// Finds where to begin; `None` when there is nothing to do.
    pub(super) fn find_begin(
        &mut self,
        fetcher: &mut Fetcher,
        session: &mut TargetSession,
    ) -> Result<Option<Begin>, LoaderError> {
        let router = Router::new(
            &self.settings.rules,
            &self.settings.target.schema,
            ValuePolicy::of(self.settings),
        );
        // Whatever is read from here on stays.
        fetcher.need_from(None)?;
        let Awaited::Miner(miner) = self.wait_for_miner(fetcher, None)? else {
            return Ok(None);
        };
        let tenure = fetcher.begin_tenure()?;
        let task = fetcher.task()?;
        self.reporter.report(Report::Tenure {
            tenure: tenure.clone(),
            staging_id: task.staging_id.clone(),
        });
        router
            .conflict(task.tables.iter().map(|table| &table.name))
            .map_err(LoaderError::Rules)?;
        let checkpoint = match session.epoch() {
            Some(_) => session.checkpoint()?.ok_or_else(|| SessionError::Fenced {
                task: self.settings.task.name.clone(),
                epoch: session.epoch().unwrap_or_default(),
            })?,
            None => {
                let surroundings = Surroundings {
                    settings: self.settings,
                    task: &task,
                    miner: &miner,
                    router: &router,
                };
                let checkpoint = start::begin(&surroundings, session, fetcher)?;
                crash::point(Point::LoaderEpochRaised);
                checkpoint
            }
        };
        self.lists
            .follow(&task.staging_id, miner.list_version, self.settings);
        fetcher.go_by_list(miner.list_version);
        let (miner, behind) = loop {
            take_wishes(fetcher, session)?;
            let mut behind = session.behind(&checkpoint)?;
            standing::forget_unlisted(session, &mut behind, self.lists.list())?;
            self.check_shared(&router, &task, &behind)?;
            match self.wait_for_miner(fetcher, Some(&checkpoint))? {
                Awaited::Miner(miner) => break (miner, behind),
                Awaited::Asked => {}
                Awaited::Nothing => return Ok(None),
            }
        };
        if *self.until == Until::Staged && self.goal.is_none() {
            self.goal = Some(miner.staged.clone());
        }
        let found = Standing::find(
            fetcher,
            session,
            &miner,
            (&checkpoint, behind),
            (&task, self.lists.list(), self.turn),
        )
        .map_err(LoaderError::from);
        let standing = match found {
            Err(error) if error.is_gap() => {
                fetcher.need_from(Some(&checkpoint.applied))?;
                return Err(error);
            }
            found => found?,
        };
        self.lists.tell(&fetcher.staged_tables()?, &task.tables);
        if self.turned == Turned::No {
            standing.tell(&task.tables);
        }
        let dead_letters = DeadLetters::open(
            &self.settings.staging,
            &self.settings.task.name,
            self.settings.target.dead_letter_limit,
            (&checkpoint, &standing.behind),
            tenure,
            &mut session.client,
        )?;
        Ok(Some(Begin {
            task,
            router,
            dead_letters,
            standing,
        }))
    }

    /// Makes sure that no table is behind one that it shares a target table with: the other may
    /// be newly listed.
    fn check_shared(
        &self,
        router: &Router,
        task: &StagingTask,
        behind: &[Behind],
    ) -> Result<(), LoaderError> {
        for Behind { table, .. } in behind {
            let replicated = task.tables.iter().map(|known| &known.name);
            let listed = replicated.filter(|name| self.lists.list().contains(name));
            if let Some((other, target)) = router.ordered_with(table, listed) {
                return Err(LoaderError::BehindShared {
                    table: table.clone(),
                    other: other.clone(),
                    target,
                });
            }
        }
        Ok(())
    }

    /// Waits until the miner has a position at or behind `reached`.
    fn wait_for_miner(
        &self,
        fetcher: &mut Fetcher,
        reached: Option<&Checkpoint>,
    ) -> Result<Awaited, LoaderError> {
        let mut told = false;
        loop {
            let miner = fetcher.miner()?;
            let staged = miner.as_ref().map(|miner| &miner.staged);
            let there = match (staged, reached) {
                (None, _) => false,
                (Some(_), None) => true,
                // The positions of two timelines do not compare.
                (Some(staged), Some(reached)) => {
                    staged.timeline_id != reached.timeline_id || staged.position >= reached.applied
                }
            };
            if let Some(miner) = miner.clone().filter(|_| there) {
                return Ok(Awaited::Miner(Box::new(miner)));
            }
            if reached.is_some() && fetcher.is_asked() {
                return Ok(Awaited::Asked);
            }
            if *self.until == Until::Staged || self.shutdown.requested() {
                log::info!(
                    "nothing to apply: staging is {}",
                    describe_staged(staged, reached)
                );
                return Ok(Awaited::Nothing);
            }
            if reached.is_some() {
                crash::point(Point::LoaderHealing);
            }
            if !told {
                log::info!(
                    "waiting for the miner: staging is {}",
                    describe_staged(staged, reached)
                );
                self.reporter.state(LoaderState::Running);
                told = true;
            }
            let until = Instant::now() + REREAD_INTERVAL;
            fetch_loop::wait(fetcher, until, self.shutdown, &Reload::default())?;
        }
    }
}

fn describe_staged(staged: Option<&StagedPosition>, reached: Option<&Checkpoint>) -> String {
    match (staged, reached) {
        (Some(staged), Some(reached)) => {
            format!("at {}, the target at {}", staged.position, reached.applied)
        }
        (Some(staged), None) => format!("at {}", staged.position),
        (None, _) => "empty".into(),
    }
}
