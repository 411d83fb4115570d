//! Rounds of one workload: raw COPY and the pipeline in turn.

use testkit::Comparison;

use crate::rig::{DATABASE, Rig, Run};
use crate::workload::{self, Bar, Case};

/// A workload and what its rounds took.
pub(crate) struct Measured {
    pub(crate) case: Case,
    /// Raw COPY in the same rounds, of the final tables or of W1's rows; empty where the
    /// workload is compared with neither.
    pub(crate) raw: Vec<Run>,
    /// Rows that raw COPY takes.
    raw_rows: f64,
    pub(crate) pipeline: Vec<Run>,
    /// The source's statements, run on the target by psql in the same rounds; empty where
    /// they are not.
    pub(crate) statements: Vec<Run>,
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
        if case.is_reference() {
            rig.keep_reference(&raw_tables, case.events());
        }
        let raw_rows = match case.bar {
            Bar::EventsPerRawRow(_) => rig.reference_rows(),
            Bar::TimesRaw(_) | Bar::None => case.events(),
        };
        let mut measured = Self {
            case: case.clone(),
            raw: Vec::new(),
            raw_rows,
            pipeline: Vec::new(),
            statements: Vec::new(),
        };
        if case.by_psql {
            rig.keep_statements(case.statements());
        }
        for round in 1..=rounds {
            if !raw_tables.is_empty() {
                rig.renew(&template);
                measured.raw.push(rig.raw(&raw_tables));
            } else if let Bar::EventsPerRawRow(_) = case.bar {
                rig.renew_for_reference(&workload::reference_table());
                measured.raw.push(rig.raw_reference());
            }
            rig.renew(&template);
            measured.pipeline.push(rig.pipeline(&region));
            if case.by_psql {
                rig.renew(&template);
                measured.statements.push(rig.run_statements());
            }
            let last = |runs: &[Run]| {
                runs.last()
                    .map_or_else(|| "-".into(), |run| format!("{:.2} s", run.seconds))
            };
            eprintln!(
                "  round {round}: raw {} pipeline {} statements {}",
                last(&measured.raw),
                last(&measured.pipeline),
                last(&measured.statements)
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

    /// Row events for each row that raw COPY takes in the same time, round by round: neighbours
    /// share the machine's mood.
    pub(crate) fn events_per_raw_row(&self) -> f64 {
        let per_row = self.case.events() / self.raw_rows;
        let rounds = self.pipeline.iter().zip(&self.raw);
        median(rounds.map(|(pipeline, raw)| per_row * raw.seconds / pipeline.seconds)).middle
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
