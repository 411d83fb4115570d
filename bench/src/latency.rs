//! L: from the commit at the source to being visible on the target.
//!
//! One connection commits single rows at an even rate and notes when each commit returned;
//! another asks the target for the newest row, again and again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;

use crate::rig::{DATABASE, Region, Rig, program};
use crate::usage::{Usage, Watched, server_cpu};

/// Transactions per second.
const RATE: u32 = 500;

/// How often the target is asked: what the figures are exact to.
const LOOK_INTERVAL: Duration = Duration::from_micros(300);

/// Figures of the run.
pub(crate) struct Latency {
    pub(crate) transactions: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) greatest_ms: f64,
    pub(crate) source_cpu: f64,
    pub(crate) miner: Usage,
    pub(crate) loader: Usage,
}

/// Runs both programs under an even load.
pub(crate) fn run(rig: &Rig, scale: f64) -> Latency {
    eprintln!("L: {RATE} transactions a second");
    let template = "template_latency";
    rig.target.create_database(template);
    rig.target.sql(
        template,
        "create table l (id bigint primary key, v varchar(40))",
    );
    rig.source.sql(&format!(
        "create table {DATABASE}.l (id bigint primary key, v varchar(40))"
    ));
    rig.renew(template);
    let start = rig.source.binlog_end();
    let files = rig.task(&Region {
        start: start.clone(),
        end: start,
    });
    let programs = ["binlog_miner", "binlog_loader"]
        .map(|name| Watched::start(&mut program(name, &files, &[])));
    let seconds = (20.0 * scale).clamp(2.0, 60.0);
    let transactions = Duration::from_secs_f64(seconds).as_secs() * u64::from(RATE);
    let source_before = server_cpu(rig.source.pid());
    let mut latencies = load(rig, transactions);
    let source_cpu = server_cpu(rig.source.pid()) - source_before;
    // Both only read what is durable elsewhere: they may just be killed.
    let [miner, loader] = programs.map(Watched::stop);
    latencies.sort();
    let at = |share: f64| {
        let index = latencies.len() as f64 * share;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index of the list"
        )]
        let latency = latencies.get(index as usize).or(latencies.last());
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    };
    rig.source.sql(&format!("drop table {DATABASE}.l"));
    Latency {
        transactions: latencies.len(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        greatest_ms: at(1.0),
        source_cpu,
        miner,
        loader,
    }
}

/// Commits rows, and sees each arrive.
fn load(rig: &Rig, transactions: u64) -> Vec<Duration> {
    let committed = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            write(rig, transactions, &committed);
            done.store(true, Ordering::Release);
        });
        let mut client = rig.target.connect(rig.target_database());
        let newest = client
            .prepare("select coalesce(max(id), 0) from l")
            .expect("the table is there");
        let mut latencies: Vec<Duration> = Vec::new();
        let mut last_news = Instant::now();
        loop {
            let row = client.query_one(&newest, &[]).expect("the target answers");
            let seen = Instant::now();
            let newest = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
            let committed = committed.lock().expect("the writer does not panic");
            if newest > latencies.len() {
                last_news = seen;
            }
            // A row may be seen before its commit has returned at the source.
            latencies.extend((latencies.len()..newest).map(|index| {
                committed
                    .get(index)
                    .map_or(Duration::ZERO, |at| seen.saturating_duration_since(*at))
            }));
            if done.load(Ordering::Acquire) && latencies.len() >= committed.len() {
                return latencies;
            }
            drop(committed);
            assert!(
                last_news.elapsed() < Duration::from_secs(60),
                "nothing arrives at the target"
            );
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    })
}

fn write(rig: &Rig, transactions: u64, committed: &Mutex<Vec<Instant>>) {
    let mut connection = rig.source.connect();
    let insert = connection
        .prep(format!("insert into {DATABASE}.l values (?, 'some words')"))
        .expect("the table is there");
    let started = Instant::now();
    for id in 1..=transactions {
        let due = started + Duration::from_secs(1) / RATE * u32::try_from(id).unwrap_or(u32::MAX);
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        connection
            .exec_drop(&insert, (id,))
            .expect("the source takes the row");
        committed
            .lock()
            .expect("the reader does not panic")
            .push(Instant::now());
    }
}
