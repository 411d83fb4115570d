//! A source, staging and a target behind proxies, and both programs, which are started again
//! whenever they die of what they were armed with.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use common::crash::{self, Point};
use testkit::workload::{Random, SOURCE_SCHEMA, TABLE_LIST, TABLES, TARGET_SCHEMA};
use testkit::{
    Comparison, Durability, Flavor, MysqlServer, PgServer, Program, Proxy, TaskFiles, holds_within,
};

use crate::holds;
use crate::refusals;
use crate::rig::{DATABASE, Rig, SCHEMA, SOON, Task, launch};
use crate::tally::{Position, Tally};
use crate::writer::{MORE_SOURCE_TABLES, MORE_TABLES, MORE_TARGET_TABLES, Mode, Writer};

/// How often the backlog is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// SIGABRT, of which a program dies at a named place.
pub(crate) const ABORTED: i32 = 6;

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Miner,
    Loader,
}

impl Who {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Miner => "binlog_miner",
            Self::Loader => "binlog_loader",
        }
    }
}

/// One of the three servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Source,
    Staging,
    Target,
}

/// Where to die, and at which pass.
pub(crate) type Armed = (Point, u64);

/// A program that is started again and again.
pub(crate) struct Runner {
    pub(crate) program: Program,
    pub(crate) armed: Option<Armed>,
    /// Where to die next.
    pub(crate) queue: VecDeque<Armed>,
}

/// Everything.
pub(crate) struct Site {
    /// Ends first: it needs the source.
    pub(crate) writer: Writer,
    pub(crate) rig: Rig,
    pub(crate) task: Task,
    pub(crate) files: TaskFiles,
    proxies: [Proxy; 3],
    pub(crate) miner: Runner,
    pub(crate) loader: Runner,
    pub(crate) tally: Tally,
    pub(crate) random: Random,
    started: Instant,
    /// When the backlog was looked at.
    looked_at: Instant,
}

impl Site {
    /// Starts everything.
    pub(crate) fn start(flavor: Flavor, seed: u64) -> Self {
        let source = MysqlServer::builder(flavor)
            .durability(Durability::Durable)
            .start();
        let durable = || PgServer::builder().durability(Durability::Durable);
        // A staging server that is killed loses commits of some seconds. A page that goes to
        // disk would take all commits before it along, so that none does.
        let staging = durable()
            .setting("shared_buffers=512MB")
            .setting("bgwriter_lru_maxpages=0")
            .setting("synchronous_commit=off")
            .setting("wal_writer_delay=10s")
            .setting("wal_writer_flush_after=1GB")
            .setting("wal_buffers=16MB");
        let rig = Rig::with_servers(source, staging.start(), durable().start());
        let task = rig.task("crash");
        rig.source.sql(SOURCE_SCHEMA);
        rig.source.sql(MORE_SOURCE_TABLES);
        rig.source.sql(refusals::SOURCE_TABLES);
        rig.target_sql(&task, TARGET_SCHEMA);
        rig.target_sql(&task, MORE_TARGET_TABLES);
        rig.target_sql(&task, refusals::TARGET_TABLES);
        refusals::refuse(&rig, &task);
        let proxies =
            [rig.source.port(), rig.staging.port(), rig.target().port()].map(Proxy::to_port);
        let [source, staging, target] = &proxies;
        let refusing = refusals::TABLES.iter().map(|(table, _)| table);
        let lines = TABLE_LIST.iter().chain(MORE_TABLES).chain(refusing);
        let lines: Vec<&str> = lines.copied().collect();
        let mut task = task;
        task.config = task
            .config
            .tables(&lines)
            .set("src.mysql", "port", source.port())
            .set("src.mysql", "connect_timeout", 2)
            .staging(&rig.staging.connect_string_at(&task.staging, staging.port()))
            .target(
                &rig.target().connect_string_at(&task.target, target.port()),
                SCHEMA,
            )
            .set("task", "lock_timeout", 30)
            .set(
                "desc.pgsql",
                "ignore_copy_error_count_each_table",
                1_000_000,
            )
            .set("binlogloader", "keep_applied_seconds", 0)
            .set("binlogloader", "batch_bytes", 200_000);
        let files = task.config.write();
        let run = |who: Who| Runner {
            program: launch(who.program(), &files, &[]).start(),
            armed: None,
            queue: VecDeque::new(),
        };
        let (miner, loader) = (run(Who::Miner), run(Who::Loader));
        let writer = Writer::start(rig.source.port(), seed, flavor == Flavor::MariaDb1011);
        Self {
            rig,
            task,
            files,
            proxies,
            miner,
            loader,
            writer,
            tally: Tally::default(),
            random: Random::new(seed ^ 2),
            started: Instant::now(),
            looked_at: Instant::now(),
        }
    }

    pub(crate) fn proxy(&self, server: Server) -> &Proxy {
        let [source, staging, target] = &self.proxies;
        match server {
            Server::Source => source,
            Server::Staging => staging,
            Server::Target => target,
        }
    }

    pub(crate) fn runner(&mut self, who: Who) -> &mut Runner {
        match who {
            Who::Miner => &mut self.miner,
            Who::Loader => &mut self.loader,
        }
    }

    /// Seconds since the start.
    pub(crate) fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Counts a fault.
    pub(crate) fn fault(&mut self, kind: &str) {
        let end = self.rig.source.binlog_end();
        self.tally.fault(kind, end);
    }

    /// Starts a program, armed with what is next for it.
    pub(crate) fn start_program(&mut self, who: Who) {
        let runner = self.runner(who);
        if runner.armed.is_none() {
            runner.armed = runner.queue.pop_front();
        }
        let armed = runner.armed;
        self.start_armed(who, armed);
    }

    pub(crate) fn start_armed(&mut self, who: Who, armed: Option<Armed>) {
        let mut launch = launch(who.program(), &self.files, &[]);
        if let Some((point, pass)) = armed {
            launch = launch.env(crash::VARIABLE, format!("{}:{pass}", point.name()));
            if point == Point::LoaderHealing {
                // Dropping a segment makes staging write all commits to disk, and none is lost.
                launch = launch.env("MYSQL2GP__BINLOGLOADER__KEEP_APPLIED_SECONDS", "3600");
            }
        }
        let runner = self.runner(who);
        runner.armed = armed;
        runner.program = launch.start();
    }

    /// Starts programs again that died of what they were armed with.
    ///
    /// # Panics
    /// When one ended otherwise.
    pub(crate) fn tend(&mut self) {
        for who in [Who::Miner, Who::Loader] {
            let runner = self.runner(who);
            let Some(status) = runner.program.exit_status() else {
                continue;
            };
            let Some((point, _)) = runner.armed.take() else {
                panic!("{} ended by itself: {status}", who.program());
            };
            assert_eq!(
                status.signal(),
                Some(ABORTED),
                "{} armed with {} ended otherwise: {status}",
                who.program(),
                point.name()
            );
            self.fault(&format!("at {}", point.name()));
            self.start_program(who);
        }
        if let Some(applied) = self.applied() {
            self.tally.applied(&applied);
            if self.looked_at.elapsed() >= LOOK_INTERVAL {
                self.looked_at = Instant::now();
                let (file, end) = self.rig.source.binlog_end();
                let backlog = if file == applied.0 {
                    end.saturating_sub(applied.1)
                } else {
                    0
                };
                self.writer.mind_backlog(backlog);
            }
        }
    }

    /// What the target has applied, as its checkpoint says; `None` while it cannot tell.
    pub(crate) fn applied(&self) -> Option<Position> {
        let mut client = self.rig.target().try_connect(&self.task.target).ok()?;
        let row = client
            .query_opt(
                "select applied_file, applied_pos from mysql2gp.checkpoint",
                &[],
            )
            .ok()??;
        let position: i64 = row.get(1);
        Some((row.get(0), position.unsigned_abs()))
    }

    /// What the miner has staged; `None` while staging cannot tell.
    pub(crate) fn staged(&self) -> Option<Position> {
        let mut client = self.rig.staging.try_connect(&self.task.staging).ok()?;
        let row = client
            .query_one("select staged_file, staged_pos from mysql2gp.miner", &[])
            .ok()?;
        let position: i64 = row.get(1);
        Some((row.get(0), position.unsigned_abs()))
    }

    /// Waits for something, while programs die and are started again.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let done = holds_within(2 * SOON, || {
            self.tend();
            condition(self)
        });
        assert!(
            done,
            "waited in vain for {what}: miner armed with {:?}, loader with {:?}, source at {:?}, target at {:?}, \
             status {:#}",
            self.miner.armed,
            self.loader.armed,
            self.rig.source.binlog_end(),
            self.applied(),
            self.rig.status(&self.task).unwrap_or_default()
        );
    }

    /// Waits until the target has what the source has now.
    #[track_caller]
    pub(crate) fn wait_recovered(&mut self) {
        self.wait("recovery", |site| site.tally.recovering() == 0);
    }

    /// Waits until the target has what the source has now, whatever is broken.
    #[track_caller]
    pub(crate) fn wait_for_all(&mut self) {
        let end = self.rig.source.binlog_end();
        self.wait("everything to be applied", |site| {
            site.applied().is_some_and(|applied| applied >= end)
        });
    }

    /// Lets the source rest, and waits until everything is applied.
    pub(crate) fn catch_up(&mut self) {
        self.writer.set(Mode::Rest);
        self.wait_for_all();
    }

    /// Lets the source rest, and compares every row when everything is applied.
    pub(crate) fn compare(&mut self) {
        self.catch_up();
        holds::wait_caught_up(self);
        let paused = holds::paused(self);
        let tables = TABLES.iter().chain(MORE_TABLES);
        for table in tables.filter(|table| !paused.iter().any(|paused| paused == *table)) {
            let report = Comparison::between(
                self.rig.source.table(DATABASE, table),
                self.rig.target().table(&self.task.target, SCHEMA, table),
            )
            .run();
            assert!(report.is_equal(), "table {table}: {report}");
            self.tally.compared(report.source_rows);
        }
        let (rows, letters) = refusals::compare(self);
        self.tally.compared(rows);
        self.tally.letters(letters);
        self.writer.set(Mode::Mixed);
    }

    /// Stops both programs in good order.
    pub(crate) fn stop(&mut self) {
        for who in [Who::Miner, Who::Loader] {
            let program = &mut self.runner(who).program;
            program.sigterm();
            let status = program.wait_exit(Duration::from_secs(20));
            assert_eq!(status.code(), Some(0), "{}", who.program());
        }
    }
}
