//! Rounds of one workload: raw COPY and the pipeline in turn.

use testkit::Comparison;

use crate::rig::{DATABASE, Rig, Run};
use crate::workload::Case;

/// A workload and what its rounds took.
pub(crate) struct Measured {
    pub(crate) case: Case,
    /// Raw COPY of the final tables; empty where the workload has no such reference.
    pub(crate) raw: Vec<Run>,
    pub(crate) pipeline: Vec<Run>,
}

impl Measured {
    /// Makes the workload and runs it; the first run of all is not counted: its result is
    /// compared with the source row by row, and gives the files for raw COPY.
    pub(crate) fn run(rig: &mut Rig, case: &Case, rounds: usize) -> Self {
        let template = case.prepare(rig);
        let region = rig.generate(case.statements());
        rig.renew(&template);
        rig.pipeline(&region);
        for table in case.tables() {
            let report = Comparison::between(
                rig.source.table(DATABASE, &table),
                rig.target.table(rig.target_database(), "public", &table),
            )
            .run();
            assert!(report.is_equal(), "{}: table {table}: {report}", case.name);
        }
        let raw_tables = case.raw_tables();
        rig.export(&raw_tables);
        let mut measured = Self {
            case: case.clone(),
            raw: Vec::new(),
            pipeline: Vec::new(),
        };
        for round in 1..=rounds {
            if !raw_tables.is_empty() {
                rig.renew(&template);
                measured.raw.push(rig.raw(&raw_tables));
            }
            rig.renew(&template);
            measured.pipeline.push(rig.pipeline(&region));
            eprintln!(
                "  round {round}: raw {} pipeline {:.2} s",
                measured
                    .raw
                    .last()
                    .map_or_else(|| "-".into(), |run| format!("{:.2} s", run.seconds)),
                measured.pipeline.last().map_or(0.0, |run| run.seconds)
            );
        }
        for table in case.tables() {
            let count = rig.target_value(&format!("select count(*) from {table}"));
            assert_ne!(count, "0", "{}: table {table} is empty", case.name);
        }
        case.clean_up(rig, &template);
        measured
    }

    /// Row events per second of the median round.
    pub(crate) fn events_per_second(&self) -> f64 {
        self.case.events() / median(self.pipeline.iter().map(|run| run.seconds)).middle
    }

    /// Rows per second of raw COPY's median round.
    pub(crate) fn raw_rows_per_second(&self) -> Option<f64> {
        (!self.raw.is_empty())
            .then(|| self.case.events() / median(self.raw.iter().map(|run| run.seconds)).middle)
    }
}

/// Middle, least and greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) middle: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

/// The spread of figures, of which there is at least one.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Spread {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    let half = figures.len() / 2;
    Spread {
        middle: if figures.len() % 2 == 1 {
            at(half)
        } else {
            f64::midpoint(at(half.wrapping_sub(1)), at(half))
        },
        least: at(0),
        greatest: at(figures.len().wrapping_sub(1)),
    }
}
