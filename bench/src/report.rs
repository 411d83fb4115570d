//! The table, and the same as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::latency::Latency;
use crate::measure::{Measured, Spread, median};
use crate::others::Others;
use crate::rig::Run;
use crate::usage::Usage;
use crate::workload::Bar;

/// The run's figures against what is asked.
struct Verdict {
    figure: f64,
    unit: &'static str,
    met: bool,
}

/// Judges a workload; `None` where nothing is asked.
fn verdict(measured: &Measured, bar: Bar) -> Option<Verdict> {
    match bar {
        Bar::None => None,
        Bar::TimesRaw(most) => {
            // Pair by pair: neighbours share the machine's mood.
            let ratios = measured
                .pipeline
                .iter()
                .zip(&measured.raw)
                .map(|(pipeline, raw)| pipeline.seconds / raw.seconds);
            let figure = median(ratios).middle;
            Some(Verdict {
                figure,
                unit: "x raw",
                met: figure <= most,
            })
        }
        Bar::EventsPerRawRow(least) => {
            let figure = measured.events_per_raw_row();
            Some(Verdict {
                figure,
                unit: "events per raw row",
                met: figure >= least,
            })
        }
    }
}

/// One line per workload, for a person; Markdown.
pub(crate) fn table(
    results: &[Measured],
    latency: Option<&Latency>,
    others: Option<&Others>,
) -> String {
    let mut text = String::from(
        "| | work | events | raw s | statements by psql s | pipeline s (least to greatest) | events/s | figure | bar | met | \
         CPU s: source, miner, staging, loader, target | peak MB: miner, loader |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|\n",
    );
    for measured in results {
        let case = &measured.case;
        let seconds = seconds(&measured.pipeline);
        let middle = |runs: &[Run]| {
            if runs.is_empty() {
                String::new()
            } else {
                format!("{:.2}", self::seconds(runs).middle)
            }
        };
        let (figure, met) = match verdict(measured, case.bar) {
            None => (String::new(), ""),
            Some(verdict) => (
                format!("{:.2} {}", verdict.figure, verdict.unit),
                if verdict.met { "yes" } else { "**no**" },
            ),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:.2} ({:.2} to {:.2}) | {:.0} | {figure} | {} | {met} | {} | {} |",
            case.name,
            case.title,
            case.events(),
            middle(&measured.raw),
            middle(&measured.statements),
            seconds.middle,
            seconds.least,
            seconds.greatest,
            measured.events_per_second(),
            bar_text(case.bar),
            cpu_text(&measured.pipeline),
            peak_text(&measured.pipeline),
        );
    }
    if let Some(latency) = latency {
        let met = latency.p50_ms <= 5.0 && latency.p99_ms <= 20.0;
        let _ = writeln!(
            text,
            "| L | commit to visible, 500 transactions/s | {} | | | p50 {:.1} ms, p99 {:.1} ms, greatest {:.1} ms | | | \
             5 / 20 ms | {} | {:.2}, {:.2}, , {:.2}, | {:.0}, {:.0} |",
            latency.transactions,
            latency.p50_ms,
            latency.p99_ms,
            latency.greatest_ms,
            if met { "yes" } else { "**no**" },
            latency.source_cpu,
            latency.miner.cpu_seconds,
            latency.loader.cpu_seconds,
            megabytes(latency.miner),
            megabytes(latency.loader),
        );
    }
    if let Some(others) = others {
        let _ = write!(
            text,
            "\n| {} rows, each once | s | CPU s of source, target |\n|---|---:|---:|\n",
            others.rows
        );
        for (name, run) in others.runs() {
            let _ = writeln!(
                text,
                "| {name} | {:.2} | {:.2}, {:.2} |",
                run.seconds, run.source_cpu, run.target_cpu
            );
        }
    }
    text
}

fn bar_text(bar: Bar) -> String {
    match bar {
        Bar::TimesRaw(most) => format!("<= {most}"),
        Bar::EventsPerRawRow(least) => format!(">= {least}"),
        Bar::None => String::new(),
    }
}

fn seconds(runs: &[Run]) -> Spread {
    median(runs.iter().map(|run| run.seconds))
}

fn cpu_text(runs: &[Run]) -> String {
    let figures: [fn(&Run) -> f64; 5] = [
        |run| run.source_cpu,
        |run| run.miner.cpu_seconds,
        |run| run.staging_cpu,
        |run| run.loader.cpu_seconds,
        |run| run.target_cpu,
    ];
    figures
        .map(|figure| format!("{:.2}", median(runs.iter().map(figure)).middle))
        .join(", ")
}

fn peak_text(runs: &[Run]) -> String {
    let most = |figure: fn(&Run) -> Usage| median(runs.iter().map(|run| megabytes(figure(run))));
    format!(
        "{:.0}, {:.0}",
        most(|run| run.miner).greatest,
        most(|run| run.loader).greatest
    )
}

fn megabytes(usage: Usage) -> f64 {
    f64::from(u32::try_from(usage.peak_bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

/// Everything that was measured.
pub(crate) fn json(
    settings: &str,
    results: &[Measured],
    latency: Option<&Latency>,
    others: Option<&Others>,
) -> Value {
    let cases: Vec<Value> = results
        .iter()
        .map(|measured| {
            let case = &measured.case;
            let judged = |bar| {
                verdict(measured, bar).map(|verdict| {
                    json!({"figure": verdict.figure, "unit": verdict.unit, "bar": bar_text(bar), "met": verdict.met})
                })
            };
            json!({
                "name": case.name,
                "title": case.title,
                "events": case.events(),
                "bar": judged(case.bar),
                "stretch": judged(case.stretch),
                "raw": measured.raw.iter().map(run_json).collect::<Vec<_>>(),
                "statements": measured.statements.iter().map(run_json).collect::<Vec<_>>(),
                "pipeline": measured.pipeline.iter().map(run_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "settings": settings,
        "workloads": cases,
        "latency": latency.map(|latency| json!({
            "transactions": latency.transactions,
            "p50_ms": latency.p50_ms,
            "p99_ms": latency.p99_ms,
            "greatest_ms": latency.greatest_ms,
            "miner": usage_json(latency.miner),
            "loader": usage_json(latency.loader),
        })),
        "others": others.map(|others| json!({
            "rows": others.rows,
            "runs": others.runs().map(|(name, run)| json!({"name": name, "run": run_json(run)})),
        })),
    })
}

fn run_json(run: &Run) -> Value {
    json!({
        "seconds": run.seconds,
        "source_cpu_seconds": run.source_cpu,
        "staging_cpu_seconds": run.staging_cpu,
        "target_cpu_seconds": run.target_cpu,
        "miner": usage_json(run.miner),
        "loader": usage_json(run.loader),
    })
}

fn usage_json(usage: Usage) -> Value {
    json!({"cpu_seconds": usage.cpu_seconds, "peak_bytes": usage.peak_bytes})
}
