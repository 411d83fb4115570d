//! Threads and channels, and starting over.
//!
//! ```text
//! source thread --events, bounded in bytes--> assembly thread --units--> this thread: staging
//! ```
//!
//! There is one way to recover from anything: drop the threads, and begin again at the
//! position that staging holds. A server that is away is tried again with backoff; other
//! errors end the program.

mod assembly;
mod bound;
mod outage;
mod queue;
mod relist;
mod report;
mod start;

pub use bound::Bound;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use common::error::{ErrorClass, chain};
use common::metrics::{Metrics, Page};
use common::position::{BinlogPosition, LogId};
use common::reload::Reload;
use common::settings::Settings;
use common::shutdown::{Shutdown, Waited};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use log::{info, warn};

use crate::assemble::Assembler;
use crate::error::MinerError;
use crate::figures::{Figures, UnitFigures};
use crate::filter::{FilterSettings, Tables};
use crate::history::History;
use crate::source::{Catalog, EventStream, SourceError, SourceSession, Unlogged};
use crate::stage::{Message, NewTimeline, Stager, StagingSession};

use assembly::{Assembly, AssemblySettings, Channels};
use outage::Outage;
use queue::{Gauge, LotSender, Peer, Received, Urgency};
use relist::{InForce, Lists};
use report::{REPORT_INTERVAL, Report};
use start::From;

/// How often staging is asked for its size, at least.
const WAIT_STEP: Duration = Duration::from_secs(1);

/// Mines until the bound is reached or a stop is asked for.
///
/// # Errors
/// Whatever trying again does not help; with `--once` also servers that stay away.
pub fn run(
    settings: &Settings,
    bound: &Bound,
    shutdown: &Shutdown,
    reload: &Reload,
) -> Result<(), MinerError> {
    announce(settings);
    let mut lists = Lists::new(settings.tables.clone());
    let (metrics, mut page) = Metrics::start(
        &settings.metrics,
        &settings.task.name,
        ("miner_listen", settings.metrics.miner_listen.as_deref()),
    )?;
    let mut figures = Figures::new(&metrics);
    figures.enter("starting");
    let mut bound = bound.clone();
    let mut session = None;
    let mut outage = Outage::default();
    let mut epoch = None;
    while !shutdown.requested() {
        if reload.take() {
            lists.read_again(settings);
        }
        let attempt = Attempt {
            settings,
            lists: &mut lists,
            shutdown,
            reload,
            outage: &mut outage,
            epoch: &mut epoch,
            figures: &mut figures,
            page: &mut page,
        };
        let mut error = match attempt.run(&mut session, &mut bound) {
            Ok(()) => break,
            Err(MinerError::AskedBack | MinerError::Relist) => continue,
            Err(error) if lists.take_back(&error) => continue,
            Err(error) => error,
        };
        if outage.is_taking_turns(&error) {
            let server_id = settings.source.server_id;
            error = SourceError::ServerIdClash { server_id }.into();
        }
        if shutdown.requested() {
            info!("stop in spite of: {}", chain(&error));
            break;
        }
        if error.class() != ErrorClass::Unreachable {
            figures.enter("failed");
            report_failure(&mut session, "failed", &error);
            if let (Some(open), Some(table)) = (&mut session, error.table()) {
                // The program's own words say the same.
                let _ = open.mark_failed(table, &chain(&error));
            }
            return Err(error);
        }
        figures.enter(waiting_state(&error));
        report_failure(&mut session, waiting_state(&error), &error);
        if outage.wait(settings, &bound, &error, shutdown)? == Waited::Stop {
            break;
        }
    }
    figures.enter("stopped");
    if let Some(session) = &mut session {
        session.set_state("stopped", None)?;
    }
    info!("stopped");
    Ok(())
}

fn announce(settings: &Settings) {
    for notice in &settings.notices {
        warn!("{notice}");
    }
    info!(
        "start version={} task={} source={} server_id={} staging={}/{} start={} config={}",
        env!("CARGO_PKG_VERSION"),
        settings.task.name,
        settings.source.address(),
        settings.source.server_id,
        settings.staging.address(),
        settings.staging.database(),
        settings.source.start,
        settings.path.display(),
    );
    let miner = &settings.miner;
    info!(
        "settings ssl_mode={} stage_batch_bytes={} queue_bytes={} staging_soft_limit={} staging_hard_limit={} nul_byte={} \
         stage_before_image={} skip_no_pk_table={} allow_unlogged_cascades={}",
        settings.source.ssl_mode,
        miner.stage_batch_bytes,
        miner.queue_bytes,
        miner.staging_soft_limit,
        miner.staging_hard_limit,
        miner.nul_byte,
        miner.stage_before_image,
        settings.loader.skip_no_pk_table,
        settings.target.allow_unlogged_cascades,
    );
}

fn waiting_state(error: &MinerError) -> &'static str {
    if matches!(error, MinerError::Source(_)) {
        "waiting_source"
    } else if error.is_disk_full() {
        "waiting_space"
    } else if matches!(error, MinerError::Staging(_) | MinerError::Migrate(_)) {
        "waiting_staging"
    } else {
        "starting"
    }
}

/// Shows the error in the status, as far as staging can be reached.
fn report_failure(session: &mut Option<StagingSession>, state: &str, error: &MinerError) {
    if matches!(error, MinerError::Fenced { .. } | MinerError::Held { .. }) {
        return;
    }
    if let Some(open) = session
        && open.set_state(state, Some(&chain(error))).is_err()
    {
        *session = None;
    }
}

/// One life of the threads.
struct Attempt<'a> {
    settings: &'a Settings,
    lists: &'a mut Lists,
    shutdown: &'a Shutdown,
    reload: &'a Reload,
    outage: &'a mut Outage,
    /// Of the last session on staging.
    epoch: &'a mut Option<i64>,
    figures: &'a mut Figures,
    page: &'a mut Page,
}

impl Attempt<'_> {
    /// Runs until the bound, the shutdown or an error; leaves the staging session in `session`
    /// unless staging itself failed.
    fn run(
        mut self,
        session: &mut Option<StagingSession>,
        bound: &mut Bound,
    ) -> Result<(), MinerError> {
        let open = match session {
            Some(open) => open,
            None => session.insert(StagingSession::open(
                self.settings,
                self.shutdown,
                *self.epoch,
            )?),
        };
        *self.epoch = Some(open.epoch());
        self.page.insist()?;
        let mut prepared = match self.prepare(open, bound) {
            Ok(prepared) => prepared,
            Err(error) => {
                if matches!(error, MinerError::Staging(_)) {
                    *session = None;
                }
                return Err(error);
            }
        };
        self.outage.connected();
        self.lists.accept();
        self.figures.begin(prepared.sequences);
        self.figures.enter("running");
        let Some(open) = session.take() else {
            return Ok(());
        };
        let (result, kept) = self.pump(
            Stager::new(open, prepared.log_id.clone(), prepared.new_timeline.take()),
            prepared,
            bound,
        );
        *session = kept;
        result
    }

    /// Everything up to the first event.
    fn prepare(
        &self,
        session: &mut StagingSession,
        bound: &mut Bound,
    ) -> Result<Prepared, MinerError> {
        let source = &self.settings.source;
        let mut asked = SourceSession::open(source)?;
        let end = asked.files.end()?;
        *bound = bound.fix(&end);
        let mut staged = session.staged()?;
        let start = match start::go_back(self, session, &staged, &mut asked)? {
            Some(start) => {
                staged = session.staged()?;
                start
            }
            None => start::decide(self, session, &staged, &mut asked)?,
        };
        let SourceSession { server, files, .. } = asked;
        let mut catalog = Catalog::new(source);
        catalog.require_whole_log(
            self.lists.list(),
            &server,
            Unlogged::of_settings(self.settings),
        )?;
        let names = catalog.tables(self.lists.list())?;
        let missing: Vec<_> = self
            .lists
            .list()
            .named()
            .filter(|name| !names.contains(name))
            .collect();
        if !missing.is_empty() {
            return Err(SourceError::NoSuchTable {
                tables: missing,
                user: source.user.clone(),
            }
            .into());
        }
        if names.is_empty() {
            warn!(
                "the table list selects no table of the source: correct loader_table_list, [[source]] or db, unless tables \
                 are to be created later"
            );
        }
        let shown = catalog.definitions(&names)?;
        self.lists.tell(session, &mut staged, &names)?;
        session.announce(&server.version, self.lists.list(), &shown)?;
        info!(
            "connected to source version={} log={} end={end} tables={}",
            server.version,
            server.log_id,
            names.len()
        );
        let tables = Tables::new(
            FilterSettings::new(self.settings, self.lists.list()),
            server.flavor,
            catalog,
            History::new(source, &server, self.shutdown),
            names,
            staged.definitions,
        );
        let stream = match start.from {
            From::Position(position) => {
                EventStream::open(source, source.server_id, &server, position)?
            }
            From::Gtids(set) => {
                EventStream::open_after(source, source.server_id, &server, &set, files.begin()?)?
            }
        };
        let new_timeline = start.timeline.map(|begin| NewTimeline {
            log_id: server.log_id.clone(),
            id: begin.id,
            start: stream.position().clone(),
            gtid_set: start.gtids.staged().map(ToString::to_string),
            source_end: end,
            continues: begin.continues,
        });
        Ok(Prepared {
            start: stream.position().clone(),
            new_timeline,
            log_id: server.log_id.clone(),
            stream,
            assembler: Assembler::new(tables, start.gtids, staged.parked),
            sequences: staged.sequences,
            expected_created: start.expected_created,
        })
    }

    /// Runs the threads; gives the session back when it can be used again.
    fn pump(
        &mut self,
        mut stager: Stager,
        prepared: Prepared,
        bound: &Bound,
    ) -> (Result<(), MinerError>, Option<StagingSession>) {
        let (event_sender, events) = queue::queue(self.settings.miner.queue_bytes);
        let queued = events.gauge();
        let (unit_sender, units) = bounded(1);
        let (idle_sender, writer_idle) = bounded(1);
        if let Err(error) = spawn_source(prepared.stream, event_sender) {
            return (Err(error), Some(stager.into_session()));
        }
        let result = thread::scope(|scope| {
            let assembly = Assembly::new(
                prepared.assembler,
                prepared.start,
                prepared.expected_created,
                prepared.sequences,
                AssemblySettings {
                    stage_batch_bytes: self.settings.miner.stage_batch_bytes,
                },
                Channels {
                    events,
                    units: unit_sender,
                    writer_idle: &writer_idle,
                },
                bound,
            );
            let shutdown = self.shutdown;
            let thread = thread::Builder::new()
                .name("assembly".into())
                .spawn_scoped(scope, move || assembly.run(shutdown))
                .map_err(|_| MinerError::Thread { name: "assembly" })?;
            // The status says so after a panic, too.
            let staged = catch_unwind(AssertUnwindSafe(|| {
                self.stage(&mut stager, &units, &idle_sender, &queued)
            }))
            .unwrap_or(Err(MinerError::Thread { name: "staging" }));
            // The assembly thread may be waiting to hand something over.
            drop(units);
            drop(idle_sender);
            let assembled = thread
                .join()
                .unwrap_or(Err(MinerError::Thread { name: "assembly" }));
            staged.and(assembled)
        });
        let session = match &result {
            // The session is as good as before, and the status can be written, as a rule.
            Err(error) if error.is_disk_full() => Some(stager.into_session()),
            Err(MinerError::Staging(_) | MinerError::Fenced { .. }) => None,
            _ => Some(stager.into_session()),
        };
        (result, session)
    }

    /// Writes units until the assembly thread ends.
    fn stage(
        &mut self,
        stager: &mut Stager,
        units: &Receiver<Message>,
        writer_idle: &Sender<()>,
        queued: &Gauge<Received>,
    ) -> Result<(), MinerError> {
        let mut report = Report::new();
        loop {
            let message = match units.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    // A full channel means that the assembly thread knows already.
                    let _ = writer_idle.try_send(());
                    match units.recv_timeout(REPORT_INTERVAL) {
                        Ok(message) => message,
                        Err(RecvTimeoutError::Timeout) => {
                            self.look_at_list(stager)?;
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
            };
            report.note(&message);
            self.figures.queued(queued.bytes(), units.len());
            let (unit, started) = (UnitFigures::of(&message), Instant::now());
            stager.handle(message)?;
            self.figures.staged(unit, started.elapsed());
            self.outage.staged();
            self.wait_for_space(stager)?;
            report.print_when_due();
            self.look_at_list(stager)?;
        }
    }

    /// Starts over with another list, between two source transactions. One that has not changed
    /// costs nothing: what is read of the log stays.
    fn look_at_list(&mut self, stager: &Stager) -> Result<(), MinerError> {
        if self.reload.requested() && !stager.is_open() && self.reload.take() {
            match self.lists.read_again(self.settings) {
                InForce::TheSame => {}
                InForce::Another => return Err(MinerError::Relist),
            }
        }
        Ok(())
    }

    /// Above the soft limit, waits until the loader has made room.
    fn wait_for_space(&self, stager: &mut Stager) -> Result<(), MinerError> {
        let miner = &self.settings.miner;
        let mut waiting = false;
        loop {
            let Some(bytes) = stager.staging_bytes()? else {
                if !waiting {
                    return Ok(());
                }
                if self.shutdown.wait(WAIT_STEP) == Waited::Stop || self.reload.requested() {
                    return Ok(());
                }
                continue;
            };
            self.figures.staging_bytes(bytes);
            if bytes >= miner.staging_hard_limit {
                return Err(MinerError::StagingFull {
                    bytes,
                    limit: miner.staging_hard_limit,
                });
            }
            if bytes < miner.staging_soft_limit {
                if waiting {
                    info!("go on staging_bytes={bytes}");
                    self.figures.enter("running");
                    stager.session().set_state("running", None)?;
                }
                return Ok(());
            }
            if !waiting {
                waiting = true;
                warn!(
                    "wait for the loader: staging holds bytes={bytes} staging_soft_limit={}{}",
                    miner.staging_soft_limit,
                    relist::describe_paused(&stager.session().paused()?)
                );
                self.figures.enter("waiting_space");
                stager.session().set_state("waiting_space", None)?;
            }
        }
    }
}

/// What the threads start with.
struct Prepared {
    stream: EventStream,
    assembler: Assembler,
    /// Where the stream begins.
    start: BinlogPosition,
    log_id: LogId,
    new_timeline: Option<NewTimeline>,
    sequences: crate::stage::Sequences,
    expected_created: Option<u32>,
}

/// Reads the source until it fails or nobody listens any more. Not joined: it may be waiting
/// for the source, at most for its read timeout.
fn spawn_source(
    mut stream: EventStream,
    mut events: LotSender<Received>,
) -> Result<(), MinerError> {
    thread::Builder::new()
        .name("source".into())
        .spawn(move || {
            // Whether a transaction may have ended in what is kept back.
            let mut ended = false;
            loop {
                let received = stream.next_event();
                let bytes = received.as_ref().map_or(0, |event| event.body().len());
                ended |= !matches!(&received, Ok(event) if event.header.is_within_transaction());
                let failed = received.is_err();
                // What has come in already follows without a wait.
                let urgency = if failed || (ended && !stream.has_more()) {
                    ended = false;
                    Urgency::Now
                } else {
                    Urgency::Later
                };
                if events.send(received, bytes, urgency) == Peer::Gone || failed {
                    return;
                }
            }
        })
        .map(|_| ())
        .map_err(|_| MinerError::Thread { name: "source" })
}
