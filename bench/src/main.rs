//! `bench`: how long the pipeline takes, beside raw COPY of the same rows.
//!
//! ```text
//! workload: binlog, target before, raw file ──▶ measure: rounds, alternating ──▶ report
//! ```
//!
//! One run makes three private servers with their durable defaults, the source's binlog of
//! each workload, and then alternates in rounds: raw COPY, pipeline, raw COPY, pipeline, … Only
//! what was measured in one run is compared. Run by `scripts/bench.sh`.
//!
//! A bench has nobody to report to: whatever goes wrong is a panic that says what.

mod latency;
mod measure;
mod others;
mod report;
mod rig;
mod usage;
mod workload;

use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;

use crate::measure::Measured;
use crate::rig::Rig;
use crate::workload::Case;

/// Times binlog_miner and binlog_loader beside `psql \copy` of the same rows.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// Share of the full sizes (1,000,000 rows in W1).
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Rounds of each workload.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// W1 and W5 at other sizes, and W1 in 20 and 200 tables, besides.
    #[arg(long)]
    scaling: bool,
    /// pgloader and pg_chameleon on a tenth of W1, besides; the latter is installed in this
    /// virtual environment, which any user can read.
    #[arg(long, value_name = "VENV")]
    others: Option<PathBuf>,
    /// Workloads, of W1 to W6 and L; all without any.
    workloads: Vec<String>,
}

fn main() {
    let args = Args::parse();
    let wanted = |name: &str| {
        args.workloads.is_empty()
            || args
                .workloads
                .iter()
                .any(|workload| workload.eq_ignore_ascii_case(name))
    };
    let mut rig = Rig::start();
    let mut results = Vec::new();
    for case in Case::all(args.scale, args.scaling) {
        // W1's raw COPY is what the others are compared with.
        if wanted(case.name) || case.is_reference() {
            eprintln!("{}: {}", case.name, case.title);
            results.push(Measured::run(&mut rig, &case, args.rounds));
        }
    }
    let latency = wanted("L").then(|| latency::run(&rig, args.scale));
    let others = args.others.map(|venv| others::run(&rig, args.scale, &venv));
    let text = if args.json {
        let settings = format!("scale {} rounds {}", args.scale, args.rounds);
        format!(
            "{:#}\n",
            report::json(&settings, &results, latency.as_ref(), others.as_ref())
        )
    } else {
        report::table(&results, latency.as_ref(), others.as_ref())
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .expect("standard output takes the report");
}
