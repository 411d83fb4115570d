//! What breaks.

use std::time::{Duration, Instant};

use common::crash::Point;
use testkit::workload::Random;

use crate::holds;
use crate::refusals;
use crate::rig::{SOON, launch};
use crate::site::{Armed, Server, Site, Who};
use crate::writer::Mode;

/// Time for which a connection is stalled: longer than anything takes, shorter than what
/// takes a server for dead.
const STALL: Duration = Duration::from_millis(1500);

/// Time for which a server cannot be reached.
const CUT: Duration = Duration::from_millis(300);

/// What both programs send with a commit.
const COMMIT: &[u8] = b"; commit\0";

/// A fault besides dying at a named place by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// kill -9 of a program, wherever it is.
    Kill(Who),
    /// kill -9 of a server; staging loses its last commits.
    KillServer(Server),
    /// All connections to a server end, and new ones go through.
    Reset(Server),
    /// A server cannot be reached for a while.
    Cut(Server),
    /// Nothing moves for a while.
    Stall(Server),
    /// A server commits, and its answer is lost.
    LoseAnswer(Server),
    /// A program is frozen; a second copy says who holds the task and goes.
    Frozen(Who),
    /// A program is frozen and loses its lock; a second copy takes over; the first wakes up.
    Fenced(Who),
    /// Staging is restored from an old copy.
    Restored,
    /// The target is restored from an old copy.
    TargetRestored,
    /// The staging database is dropped and created again.
    Wiped,
    /// The loader dies while staging, which has lost commits, is mined again.
    Healing,
    /// The loader dies when it has moved the position over what is filtered out.
    Advanced,
    /// The loader dies with dead letters that the target does not have yet, and twice when it
    /// starts and finds them.
    Synced,
    /// Retries of dead letters die.
    Retried,
    /// Commands that give up dead letters die.
    Discarded,
    /// A table is paused, or resumed where it was paused; whatever breaks next finds it so.
    Held,
    /// The loader dies as it takes up that tables are paused and resumed.
    HeldDying,
}

impl Fault {
    /// Each of them, some more often.
    pub(crate) fn all() -> Vec<Self> {
        use Server::{Source, Staging, Target};
        use Who::{Loader, Miner};
        let mut faults = vec![
            Self::Frozen(Miner),
            Self::Frozen(Loader),
            Self::Fenced(Miner),
            Self::Fenced(Loader),
            Self::Restored,
            Self::TargetRestored,
            Self::Wiped,
            Self::Healing,
            Self::Advanced,
            Self::Synced,
            Self::Retried,
            Self::Discarded,
            Self::HeldDying,
        ];
        for server in [Source, Staging, Target] {
            faults.extend([
                Self::KillServer(server),
                Self::KillServer(server),
                Self::Reset(server),
                Self::Cut(server),
                Self::Stall(server),
            ]);
        }
        faults.extend([
            Self::KillServer(Staging),
            Self::KillServer(Target),
            Self::LoseAnswer(Staging),
            Self::LoseAnswer(Staging),
            Self::LoseAnswer(Target),
            Self::LoseAnswer(Target),
            Self::LoseAnswer(Target),
        ]);
        faults.extend([Self::Kill(Miner), Self::Kill(Loader)].repeat(3));
        faults.extend([Self::Held].repeat(8));
        faults
    }

    /// As it is counted.
    fn kind(self) -> String {
        match self {
            Self::Kill(who) => format!("kill -9 of {}", who.program()),
            Self::KillServer(server) => format!("kill -9 of the {server:?} server"),
            Self::Reset(server) => format!("connections to {server:?} closed"),
            Self::Cut(server) => format!("connections to {server:?} cut for a while"),
            Self::Stall(server) => format!("connections to {server:?} stalled"),
            Self::LoseAnswer(server) => format!("answer of {server:?} to a commit lost"),
            Self::Frozen(who) => format!("{} frozen, second copy started", who.program()),
            Self::Fenced(who) => format!("{} frozen and overtaken", who.program()),
            Self::Restored => "staging restored from an old copy".into(),
            Self::TargetRestored => "target restored from an old copy".into(),
            Self::Wiped => "staging dropped and created again".into(),
            Self::Healing => format!("at {}", Point::LoaderHealing.name()),
            Self::Advanced => format!("at {}", Point::LoaderAdvanced.name()),
            Self::Synced => format!("at {}", Point::LoaderLettersStaged.name()),
            Self::Retried => "retries of dead letters".into(),
            Self::Discarded => "dead letters discarded".into(),
            Self::Held => "table paused or resumed".into(),
            Self::HeldDying => format!("at {}", Point::LoaderHolding.name()),
        }
    }

    /// Breaks it, and brings back what does not come back by itself.
    pub(crate) fn inject(self, site: &mut Site) {
        // A program may be dying at a named place just now.
        site.tend();
        match self {
            // Each death is one.
            Self::Healing
            | Self::Advanced
            | Self::Synced
            | Self::Retried
            | Self::Discarded
            | Self::HeldDying => {}
            Self::Kill(_)
            | Self::KillServer(_)
            | Self::Reset(_)
            | Self::Cut(_)
            | Self::Stall(_)
            | Self::LoseAnswer(_)
            | Self::Frozen(_)
            | Self::Fenced(_)
            | Self::Restored
            | Self::TargetRestored
            | Self::Held
            | Self::Wiped => site.fault(&self.kind()),
        }
        match self {
            Self::Kill(who) => {
                site.runner(who).program.kill9();
                site.start_program(who);
            }
            Self::KillServer(server) => kill_server(site, server),
            Self::Reset(server) => site.proxy(server).reset(),
            Self::Cut(server) => {
                site.proxy(server).cut();
                pass_time(site, CUT);
                site.proxy(server).resume();
            }
            Self::Stall(server) => {
                site.proxy(server).stall();
                pass_time(site, STALL);
                site.proxy(server).resume();
            }
            Self::LoseAnswer(server) => {
                let before = site.proxy(server).answers_lost();
                site.proxy(server).lose_answer_to(COMMIT);
                site.wait("a commit", |site| {
                    site.proxy(server).answers_lost() > before
                });
            }
            Self::Frozen(who) => freeze(site, who),
            Self::Fenced(who) => overtake(site, who),
            Self::Restored => restore(site),
            Self::TargetRestored => restore_target(site),
            Self::Wiped => wipe(site),
            Self::Healing => heal(site),
            Self::Advanced => {
                die_at(site, Point::LoaderAdvanced, |site, _| {
                    site.writer.set(Mode::LeftOut);
                });
                site.writer.set(Mode::Mixed);
            }
            Self::Synced => synced(site),
            Self::Retried => refusals::retry(site),
            Self::Discarded => refusals::discard(site),
            Self::Held => holds::toggle(site),
            Self::HeldDying => holds::die(site),
        }
    }
}

/// Lets time pass, in which programs may die at named places.
fn pass_time(site: &mut Site, time: Duration) {
    let end = Instant::now() + time;
    site.wait("time", |_| Instant::now() >= end);
}

fn kill_server(site: &mut Site, server: Server) {
    match server {
        Server::Source => {
            let source = &mut site.rig.source;
            site.writer.while_away(|| {
                source.kill9();
                source.restart();
            });
        }
        Server::Staging => {
            site.rig.staging.kill9();
            site.rig.staging.restart();
        }
        Server::Target => {
            site.rig.target_mut().kill9();
            site.rig.target_mut().restart();
        }
    }
}

/// Has the loader die at this place, which `reach` makes it come by.
pub(crate) fn die_at(site: &mut Site, point: Point, reach: impl FnOnce(&mut Site, &str)) {
    let kind = format!("at {}", point.name());
    let died = site.tally.kind_count(&kind);
    let loader = &mut site.loader;
    loader.program.kill9();
    if let Some(before) = loader.armed.take() {
        loader.queue.push_front(before);
    }
    site.start_armed(Who::Loader, Some((point, 1)));
    reach(site, &kind);
    site.wait(&kind, |site| site.tally.kind_count(&kind) > died);
}

/// The loader dies with dead letters that only staging has, and when it starts and removes them.
/// Some of them are refused at the commit only.
fn synced(site: &mut Site) {
    refusals::late(site, die_with_letters);
}

fn die_with_letters(site: &mut Site) {
    let last = format!("at {}", Point::LoaderLettersSynced.name());
    let died = site.tally.kind_count(&last);
    die_at(site, Point::LoaderLettersStaged, |site, _| {
        for next in [Point::LoaderLettersSynced, Point::LoaderLettersInSync] {
            site.loader.queue.push_front((next, 1));
        }
    });
    site.wait(&last, |site| site.tally.kind_count(&last) > died);
}

/// How often staging is killed until it has lost something.
const TRIES: usize = 20;

/// Staging loses commits that are applied; while they are mined again, the loader waits.
fn heal(site: &mut Site) {
    die_at(site, Point::LoaderHealing, |site, kind| {
        let died = site.tally.kind_count(kind);
        for _ in 0..TRIES {
            // With a backlog, what is staged would be on disk before it is applied.
            site.catch_up();
            site.writer.set(Mode::Taken);
            let end = site.rig.source.binlog_end();
            site.wait("the target to go on", |site| {
                site.applied().is_some_and(|applied| applied > end)
            });
            site.tend();
            site.miner.program.sigstop();
            site.wait("the target to have what is staged", |site| {
                site.tally.kind_count(kind) > died || site.applied() >= site.staged()
            });
            kill_server(site, Server::Staging);
            if site.tally.kind_count(kind) > died || site.staged() < site.applied() {
                return;
            }
            // Something had made staging write everything to disk.
            site.miner.program.sigcont();
        }
        panic!("staging has lost nothing in {TRIES} tries");
    });
    site.miner.program.sigcont();
    site.writer.set(Mode::Mixed);
}

fn restore(site: &mut Site) {
    site.rig.staging.save();
    // What comes now is applied, and then gone from staging.
    site.wait_recovered();
    let end = site.rig.source.binlog_end();
    site.wait("the target to go on", |site| {
        site.applied().is_some_and(|applied| applied > end)
    });
    site.rig.staging.restore();
}

fn restore_target(site: &mut Site) {
    end_prepared(site);
    site.rig.target_mut().save();
    site.writer.set(Mode::Mixed);
    site.wait_recovered();
    // What comes now is gone from the target, and from staging where it was retired.
    let end = site.rig.source.binlog_end();
    site.wait("the target to go on", |site| {
        site.applied().is_some_and(|applied| applied > end)
    });
    site.rig.target_mut().restore();
}

/// A prepared transaction that only staging knows could not be mined again, neither from the
/// checkpoint on nor from where a table is that catches up.
pub(crate) fn end_prepared(site: &mut Site) {
    holds::wait_caught_up(site);
    site.writer.set(Mode::Plain);
    let end = site.rig.source.binlog_end();
    site.wait("the target to go on", |site| {
        site.applied().is_some_and(|applied| applied > end)
    });
}

fn wipe(site: &mut Site) {
    end_prepared(site);
    for who in [Who::Miner, Who::Loader] {
        site.runner(who).program.kill9();
    }
    let database = &site.task.staging;
    site.rig.staging.sql(
        "postgres",
        &format!("drop database {database} with (force)"),
    );
    site.rig.staging.create_database(database);
    // The first thing that is staged begins a log anew.
    if let Some(before) = site.miner.armed.take() {
        site.miner.queue.push_front(before);
    }
    let kind = format!("at {}", Point::MinerTimeline.name());
    let died = site.tally.kind_count(&kind);
    site.start_armed(Who::Miner, Some((Point::MinerTimeline, 1)));
    site.start_program(Who::Loader);
    site.wait(&kind, |site| site.tally.kind_count(&kind) > died);
    site.writer.set(Mode::Mixed);
}

/// Starts a program anew, so that it does not die by itself, and waits until it is at work.
fn disarm(site: &mut Site, who: Who) {
    let runner = site.runner(who);
    runner.program.kill9();
    let armed = runner.armed;
    runner.queue.extend(armed);
    site.start_armed(who, None);
    let end = site.rig.source.binlog_end();
    site.wait("the program to be at work", |site| {
        site.applied().is_some_and(|applied| applied > end)
    });
}

/// A live holder wins, even a frozen one.
fn freeze(site: &mut Site, who: Who) {
    disarm(site, who);
    let pid = site.runner(who).program.pid().to_string();
    site.runner(who).program.sigstop();
    // A configuration of its own, that waits less.
    let files = site
        .task
        .config
        .clone()
        .set("task", "lock_timeout", 1)
        .write();
    let mut second = launch(who.program(), &files, &[]).start();
    let status = second.wait_exit(SOON);
    assert_eq!(
        status.code(),
        Some(1),
        "the second copy of {}",
        who.program()
    );
    let log = second.stderr();
    assert!(
        log.contains("another") && log.contains(&pid),
        "the second copy does not say who holds the task:\n{log}"
    );
    site.runner(who).program.sigcont();
}

/// The lock of a frozen copy is lost, and another one takes over before it wakes up.
fn overtake(site: &mut Site, who: Who) {
    disarm(site, who);
    site.runner(who).program.sigstop();
    let (server, database) = match who {
        Who::Miner => (&site.rig.staging, &site.task.staging),
        Who::Loader => (site.rig.target(), &site.task.target),
    };
    server.sql(
        database,
        &format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{}' \
             and datname = current_database()",
            who.program()
        ),
    );
    let second = launch(who.program(), &site.files, &[]).start();
    let mut first = std::mem::replace(&mut site.runner(who).program, second);
    // The second one writes.
    let end = site.rig.source.binlog_end();
    site.wait("the second copy to write", |site| {
        site.applied().is_some_and(|applied| applied > end)
    });
    first.sigcont();
    site.wait("the first copy to give up", |_| {
        first.exit_status().is_some()
    });
    let status = first.wait_exit(SOON);
    assert_eq!(
        status.code(),
        Some(3),
        "the overtaken copy:\n{}",
        first.stderr()
    );
}

/// Places that a program comes by with another fault only.
const WITH_A_FAULT: &[Point] = &[
    Point::MinerTimeline,
    Point::LoaderHealing,
    Point::LoaderAdvanced,
    Point::LoaderLettersStaged,
    Point::LoaderLettersInSync,
    Point::LoaderLettersSynced,
    Point::LoaderHolding,
    Point::LoaderHeld,
    Point::LoaderCatchingUp,
    Point::LoaderCaughtUp,
];

/// Every named place that a program comes by with the workload alone, each with a pass.
pub(crate) fn points(who: Who, mixes_engines: bool, random: &mut Random) -> Vec<Armed> {
    let prefix = match who {
        Who::Miner => "miner-",
        Who::Loader => "loader-",
    };
    Point::ALL
        .iter()
        .copied()
        .filter(|point| point.name().starts_with(prefix))
        .filter(|point| !WITH_A_FAULT.contains(point))
        .filter(|point| mixes_engines || !needs_mixed_engines(*point))
        .map(|point| (point, pass(point, random)))
        .collect()
}

/// Whether a source comes by only with transactions over tables with and without them.
pub(crate) fn needs_mixed_engines(point: Point) -> bool {
    matches!(point, Point::MinerRewound | Point::MinerAbandoned)
}

/// Places that a program passes with almost every transaction.
const BUSY: &[Point] = &[
    Point::MinerBegun,
    Point::MinerBeforeCopy,
    Point::MinerInCopy,
    Point::MinerAfterCopy,
    Point::MinerBeforeCommit,
    Point::MinerAfterCommit,
    Point::LoaderFetched,
    Point::LoaderBegun,
    Point::LoaderDeleted,
    Point::LoaderInCopy,
    Point::LoaderAfterCopy,
    Point::LoaderBeforeCommit,
    Point::LoaderAfterCommit,
    Point::LoaderBeforeProgress,
    Point::LoaderInProgress,
    Point::LoaderAfterProgress,
];

/// How often a program comes by before it dies.
fn pass(point: Point, random: &mut Random) -> u64 {
    let most = if BUSY.contains(&point) { 20 } else { 1 };
    1 + random.number() % most
}

/// In another order.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

/// Waits until no program is armed any more, and both are at work.
pub(crate) fn settle(site: &mut Site) {
    // Some places are passed with all tables only.
    holds::resume_all(site);
    // One that was started anew has nothing to die of, though more may be due.
    for who in [Who::Miner, Who::Loader] {
        let runner = site.runner(who);
        if runner.armed.is_none() && !runner.queue.is_empty() {
            runner.program.kill9();
            site.start_program(who);
        }
    }
    site.wait("the last named places", |site| {
        [&site.miner, &site.loader]
            .iter()
            .all(|runner| runner.armed.is_none() && runner.queue.is_empty())
    });
    site.wait_recovered();
}
