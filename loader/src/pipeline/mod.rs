//! The threads and what connects them.
//!
//! ```text
//! fetch ──texts──▶ compact ──rounds──▶ apply ──reports──▶ retire
//!                     ▲────spare rounds────┘
//! ```
//!
//! All channels are bounded. Two rounds exist: one is applied while the other is filled, so
//! reading and merging run one batch ahead. `apply` runs on the thread that called [`run`].
//!
//! Whatever breaks, the flow is taken down and, where a server was merely away, built up again
//! from the target's checkpoint: there is one way to start, and it is always the same. So it is
//! when an operator pauses or resumes a table or changes the table list (what asks for the state that is there is
//! answered within the flow), and when tables that catch up and the others take turns. The retire thread outlives
//! such outages, since it also reports them.

mod apply_loop;
mod begin;
mod compact_loop;
mod fetch_loop;
mod lists;
mod pace;
mod turns;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime};

use common::behind::TableState;
use common::crash::{self, Point};
use common::error::chain;
use common::metrics::{Metrics, Page};
use common::position::BinlogPosition;
use common::reload::Reload;
use common::retry::Backoff;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use common::table::TableName;
use crossbeam_channel::bounded;

use begin::Begin;
use fetch_loop::{Ends, Finished};
use lists::{InForce, Lists};
use turns::TurnEnd;

use crate::apply::Applier;
use crate::compact::{Compactor, Limits};
use crate::coverage::{Coverage, Turn};
use crate::error::{LoaderError, Server};
use crate::fetch::Fetcher;
use crate::figures::Figures;
use crate::progress::StagedPosition;
use crate::report::ProgressLog;
use crate::retire::{LoaderState, Report, Reporter, Retirer};
use crate::round::{Contradictions, Round};
use crate::standing::Standing;
use crate::target::{SessionError, TargetSession};

/// How far to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until stopped.
    Stopped,
    /// Everything that is staged at start.
    Staged,
    /// The transaction that reaches this position.
    Position(BinlogPosition),
}

/// Texts between fetch and compact: 64 KB each, or one large line.
const QUEUE_TEXTS: usize = 8;

/// How often staging is read without having been notified.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the loader.
///
/// # Errors
/// When it cannot go on; its class is the exit code.
pub fn run(
    settings: &Settings,
    until: &Until,
    shutdown: &Shutdown,
    reload: &Reload,
) -> Result<(), LoaderError> {
    let (metrics, page) = Metrics::start(
        &settings.metrics,
        &settings.task.name,
        ("listen", settings.metrics.listen.as_deref()),
    )?;
    let (retirer, reporter) = Retirer::new(
        settings.staging.clone(),
        settings.loader.keep_applied,
        Figures::new(&metrics),
    );
    let retire = spawn("retire", || retirer.run())?;
    let mut runner = Runner {
        settings,
        until,
        shutdown,
        reload,
        lists: Lists::new(settings.tables.clone()),
        turn: Turn::CatchUp,
        turned: Turned::No,
        reporter: reporter.clone(),
        session: None,
        epoch: None,
        page,
        goal: None,
        applied: AtomicBool::new(false),
        progress_log: ProgressLog::new(),
    };
    let result = runner.run();
    runner.progress_log.print();
    // Frees the task's lock before the last words.
    drop(runner);
    match &result {
        Ok(()) => reporter.state(LoaderState::Stopped),
        // The state is the other loader's.
        Err(error) if error.is_of_another_loader() => {}
        Err(error) => {
            if let Some(table) = error.table() {
                reporter.report(Report::TableFailed {
                    table: table.clone(),
                    error: chain(error),
                });
            }
            reporter.report(Report::State(LoaderState::Failed, Some(chain(error))));
        }
    }
    drop(reporter);
    let retired = retire.join();
    result?;
    retired.map_err(|_| LoaderError::Panicked { thread: "retire" })
}

fn spawn(
    thread: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, LoaderError> {
    Builder::new()
        .name(thread.into())
        .spawn(work)
        .map_err(|source| LoaderError::Thread { thread, source })
}

fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    thread: &'static str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, LoaderError> {
    Builder::new()
        .name(thread.into())
        .spawn_scoped(scope, work)
        .map_err(|source| LoaderError::Thread { thread, source })
}

struct Runner<'a> {
    settings: &'a Settings,
    until: &'a Until,
    shutdown: &'a Shutdown,
    reload: &'a Reload,
    lists: Lists,
    turn: Turn,
    turned: Turned,
    reporter: Reporter,
    /// Kept through an outage of staging: it holds the task's lock.
    session: Option<TargetSession>,
    epoch: Option<i64>,
    page: Page,
    /// Staged position to reach, with `--once`.
    goal: Option<StagedPosition>,
    /// Whether a batch was applied since the last outage.
    applied: AtomicBool,
    progress_log: ProgressLog,
}

/// Why a flow ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// As far as was asked for.
    Done,
    /// Asked to stop.
    Stopped,
    /// To begin anew: an operator asks for something.
    Again,
    /// To begin anew: it is the turn of other tables.
    Turn,
}

/// Whether a flow goes on where another has ended its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turned {
    Yes,
    No,
}

impl Runner<'_> {
    fn run(&mut self) -> Result<(), LoaderError> {
        let mut backoff = Backoff::new();
        let mut outage: Option<Outage> = None;
        loop {
            match self.flow(&mut outage, &mut backoff) {
                Ok(Ended::Again | Ended::Turn) if !self.shutdown.requested() => {
                    outage = None;
                    backoff.reset();
                    continue;
                }
                Ok(Ended::Done | Ended::Stopped | Ended::Again | Ended::Turn) => return Ok(()),
                Err(LoaderError::Session(SessionError::Stopped)) => return Ok(()),
                Err(error) => {
                    if self.applied.swap(false, Ordering::Relaxed) {
                        outage = None;
                        backoff.reset();
                    }
                    self.survive(error, &mut outage)?;
                }
            }
            if backoff.wait(self.shutdown) == Waited::Stop {
                return Ok(());
            }
        }
    }

    /// Lets an outage pass; other errors end the loader.
    fn survive(&self, error: LoaderError, outage: &mut Option<Outage>) -> Result<(), LoaderError> {
        let (server, away) = match error.unreachable() {
            Some(server) if error.is_disk_full() => (server, Away::Space),
            Some(server) => (server, Away::Server),
            // A bounded run does not wait for the miner.
            None if error.is_gap() && *self.until == Until::Stopped => {
                (Server::Staging, Away::Changes)
            }
            None => return Err(error),
        };
        let since = match outage {
            Some(outage) if (outage.server, outage.away) == (server, away) => outage.since,
            _ => {
                let whom = if away == Away::Changes {
                    "miner"
                } else {
                    "server"
                };
                log::warn!("{}: waiting for the {whom}", chain(&error));
                Instant::now()
            }
        };
        let state = match (away, server) {
            (Away::Space, _) => LoaderState::WaitingSpace,
            (Away::Changes, _) | (Away::Server, Server::Staging) => LoaderState::WaitingStaging,
            (Away::Server, Server::Target) => LoaderState::WaitingTarget,
        };
        self.reporter
            .report(Report::State(state, Some(chain(&error))));
        *outage = Some(Outage {
            server,
            away,
            since,
        });
        if *self.until == Until::Staged && since.elapsed() >= self.settings.source.connect_timeout {
            return Err(error);
        }
        Ok(())
    }

    /// From connecting to the end or an error.
    fn flow(
        &mut self,
        outage: &mut Option<Outage>,
        backoff: &mut Backoff,
    ) -> Result<Ended, LoaderError> {
        let settings = self.settings;
        if self.reload.take() {
            self.lists.read_again(settings);
        }
        let mut fetcher = Fetcher::open(&settings.staging, &settings.task.name)?;
        let mut session = self.open_session()?;
        // Whether there is space shows when a batch is applied.
        if let Some(outage) = outage.take_if(|outage| outage.away == Away::Server) {
            log::info!(
                "{} is back outage_s={}",
                outage.server,
                outage.since.elapsed().as_secs()
            );
        }
        if outage.is_none() {
            backoff.reset();
        }
        let begin = self.find_begin(&mut fetcher, &mut session);
        self.epoch = session.epoch().or(self.epoch);
        match begin {
            Ok(Some(begin)) => self.connected_flow(fetcher, session, begin),
            Ok(None) => Ok(Ended::Done),
            Err(error) => {
                self.keep(session, &error);
                Err(error)
            }
        }
    }

    /// Keeps the session, and with it the lock, when the target is not the cause.
    fn keep(&mut self, session: TargetSession, error: &LoaderError) {
        if error.unreachable() == Some(Server::Staging) || error.is_gap() {
            self.session = Some(session);
        }
    }

    fn open_session(&mut self) -> Result<TargetSession, LoaderError> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        let mut session = TargetSession::open_to_stay(
            &self.settings.target.conninfo,
            &self.settings.task,
            self.shutdown,
            self.epoch,
        )?;
        self.reporter.state(LoaderState::Starting);
        crash::point(Point::LoaderLocked);
        self.page.insist()?;
        session.create_tables()?;
        if let Some(epoch) = self.epoch {
            session.resume_epoch(epoch)?;
        }
        Ok(session)
    }

    fn connected_flow(
        &mut self,
        fetcher: Fetcher,
        mut session: TargetSession,
        begin: Begin,
    ) -> Result<Ended, LoaderError> {
        let settings = self.settings;
        let Begin {
            task,
            router,
            dead_letters,
            standing,
        } = begin;
        let takes_turns = standing.is_catching_up() && *self.until == Until::Stopped;
        let turn = takes_turns.then(|| TurnEnd::new(self.turn));
        let Standing {
            start,
            coverage,
            catch_up,
            behind,
            reached,
        } = standing;
        let level = match self.turned {
            Turned::No => log::Level::Info,
            Turned::Yes => log::Level::Debug,
        };
        log::log!(
            level,
            "applying task={} staging={} target={} position={} batch_bytes={}",
            settings.task.name,
            settings.staging.address(),
            settings.target.conninfo.address(),
            start.position,
            settings.loader.batch_bytes
        );
        session.catch_up(catch_up);
        let paused = behind
            .iter()
            .map(|shown| &shown.behind)
            .filter(|behind| behind.state == TableState::Paused)
            .map(|behind| behind.table.clone())
            .collect();
        self.reporter.report(Report::Begin {
            progress: session.shown(start.clone()),
            at: SystemTime::now(),
            behind,
            reached,
            turn: self.turn,
        });
        self.reporter.state(LoaderState::Running);
        let stop_at = match self.until {
            Until::Position(position) => Some(position.clone()),
            Until::Stopped | Until::Staged => None,
        };
        if stop_at.as_ref().is_some_and(|stop| start.position >= *stop) {
            return Ok(Ended::Done);
        }
        let compactor = Compactor::new(
            Limits {
                batch_bytes: settings.loader.batch_bytes,
                stop_at,
                contradictions: if settings.target.allow_unlogged_cascades {
                    Contradictions::LastWins
                } else {
                    Contradictions::Stop
                },
            },
            start,
        )
        .with_coverage(coverage.clone());
        let mut applier = Applier::new(
            session,
            router,
            dead_letters,
            task.staging_id,
            fetcher.known_file(),
        );
        let mut progress_log = std::mem::take(&mut self.progress_log);
        let ended = self.threads(
            (fetcher, coverage, turn),
            paused,
            compactor,
            (&mut applier, &mut progress_log),
        );
        self.progress_log = progress_log;
        self.turned = Turned::No;
        match &ended {
            Ok(Ended::Turn) => {
                self.turn = self.turn.next();
                self.turned = Turned::Yes;
            }
            Ok(_) | Err(_) => self.turn = Turn::CatchUp,
        }
        match (applier.into_session(), &ended) {
            (Ok(session), Err(error)) => self.keep(session, error),
            (Ok(session), Ok(Ended::Again | Ended::Turn)) => self.session = Some(session),
            (Ok(_), Ok(_)) | (Err(_), _) => {}
        }
        ended
    }

    fn threads(
        &self,
        (mut fetcher, coverage, turn): (Fetcher, Coverage, Option<TurnEnd>),
        paused: Vec<TableName>,
        compactor: Compactor,
        (applier, progress_log): (&mut Applier, &mut ProgressLog),
    ) -> Result<Ended, LoaderError> {
        let (texts_in, texts) = bounded(QUEUE_TEXTS);
        let (rounds_in, rounds) = bounded(1);
        let (spares_in, spares) = bounded(1);
        // The second round; the compactor has the first.
        let _ = spares_in.send(Round::default());
        let (torn_down, trigger) = Shutdown::new();
        let torn_down = Arc::new(torn_down);
        let goal = self.goal.clone();
        let loader = &self.settings.loader;
        let turn = turn.as_ref();
        std::thread::scope(|scope| {
            let fetch = spawn_scoped(scope, "fetch", {
                let torn_down = Arc::clone(&torn_down);
                let reload = self.reload;
                let in_force = InForce {
                    settings: self.settings,
                    list: self.lists.list(),
                    paused,
                };
                move || {
                    let ends = Ends {
                        goal: goal.as_ref(),
                        stop: &torn_down,
                        reload,
                        in_force: &in_force,
                        coverage: &coverage,
                        turn,
                    };
                    fetch_loop::run(&mut fetcher, &texts_in, &ends)
                }
            })?;
            let compact = spawn_scoped(scope, "compact", || {
                compact_loop::CompactLoop::new((compactor, turn), loader, texts, spares, rounds_in)
                    .run(self.shutdown)
            })?;
            // The others end in good order, and the status says so, after a panic too.
            let applied = catch_unwind(AssertUnwindSafe(|| {
                apply_loop::run(
                    applier,
                    &rounds,
                    &spares_in,
                    &self.reporter,
                    loader,
                    progress_log,
                    (&self.applied, turn),
                )
            }))
            .unwrap_or(Err(LoaderError::Panicked { thread: "apply" }));
            // The receiver's end stops the compactor, and that stops the fetcher.
            drop((rounds, spares_in));
            trigger.fire();
            let compacted = compact
                .join()
                .map_err(|_| LoaderError::Panicked { thread: "compact" })?;
            let fetched = fetch
                .join()
                .map_err(|_| LoaderError::Panicked { thread: "fetch" })?;
            // The first in the flow is the cause of what follows, save that apply's error
            // stops the others in good order.
            applied?;
            let fetched = fetched?;
            Ok(match (compacted?, fetched) {
                (Ended::Done, Finished::Asked) => Ended::Again,
                (Ended::Done, Finished::Turn) => Ended::Turn,
                (ended, _) => ended,
            })
        })
    }
}

/// What a server lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Away {
    /// It does not answer.
    Server,
    /// Its disk is full.
    Space,
    /// It does not hold what the target needs.
    Changes,
}

struct Outage {
    server: Server,
    away: Away,
    since: Instant,
}
