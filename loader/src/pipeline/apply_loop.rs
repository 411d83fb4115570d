//! The apply thread's loop: rounds in, reports out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use common::settings::LoaderSettings;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::compact_loop::{Took, Work, kept_bytes};
use super::turns::{Behind, TurnEnd};
use crate::apply::{Applier, Outcome};
use crate::error::LoaderError;
use crate::progress::Progress;
use crate::report::ProgressLog;
use crate::retire::{AppliedBatch, Report, Reporter};
use crate::round::{Overlap, Round};

/// Applies until no work comes any more; says in `applied` whether a batch was committed.
pub(super) fn run(
    applier: &mut Applier,
    rounds: &Receiver<Work>,
    spares: &Sender<Round>,
    reporter: &Reporter,
    loader: &LoaderSettings,
    progress_log: &mut ProgressLog,
    (applied, turn): (&AtomicBool, Option<&TurnEnd>),
) -> Result<(), LoaderError> {
    let was_behind = applier.is_catching_up();
    let note_commit = |applier: &Applier| {
        if let Some(turn) = turn {
            let caught_up = was_behind && !applier.is_catching_up();
            turn.note_commit(if caught_up { Behind::No } else { Behind::Yes });
        }
    };
    let mut open = OpenBatch::default();
    while let Some(work) = next(rounds, progress_log) {
        match work {
            Work::Round(mut round, took) => {
                let started = Instant::now();
                let outcome = applier.apply(&round)?;
                if outcome == Outcome::Committed {
                    applied.store(true, Ordering::Relaxed);
                    note_commit(applier);
                }
                open.add(&round, took, started);
                if outcome == Outcome::Committed
                    && let Some(progress) = round.end.take()
                {
                    let progress = applier.shown(progress);
                    let batch = std::mem::take(&mut open).finish(applier, progress);
                    progress_log.batch(&batch);
                    reporter.report(Report::Batch(Box::new(batch)));
                } else {
                    progress_log.part(round.first_transaction_seq, open.row_events);
                    reporter.report(Report::Part {
                        event_seq: round.event_seq,
                    });
                }
                round.clear(kept_bytes(loader.batch_bytes));
                // The compactor may be gone already.
                let _ = spares.send(*round);
            }
            Work::Advance(progress) => {
                applier.advance(&progress)?;
                note_commit(applier);
                let progress = applier.shown(progress);
                reporter.report(Report::Position(progress, SystemTime::now()));
            }
        }
    }
    Ok(())
}

/// The next work; what is to be logged meanwhile does not wait for it.
fn next(rounds: &Receiver<Work>, progress_log: &mut ProgressLog) -> Option<Work> {
    while let Some(due) = progress_log.due() {
        match rounds.recv_deadline(due) {
            Ok(work) => return Some(work),
            Err(RecvTimeoutError::Timeout) => progress_log.print_when_due(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    rounds.recv().ok()
}

/// What the rounds of a batch add up to.
#[derive(Default)]
struct OpenBatch {
    first_transaction_seq: Option<u64>,
    transactions: u64,
    row_events: u64,
    overlapping: bool,
    took: Took,
    apply: std::time::Duration,
}

impl OpenBatch {
    fn add(&mut self, round: &Round, took: Took, started: Instant) {
        self.first_transaction_seq
            .get_or_insert(round.first_transaction_seq);
        self.transactions += round.transactions;
        self.row_events += round.row_events;
        self.overlapping = round.overlap == Overlap::Overlapping;
        self.took.fetch += took.fetch;
        self.took.compact += took.compact;
        self.took.queued_texts = took.queued_texts;
        self.apply += started.elapsed();
    }

    fn finish(self, applier: &Applier, progress: Progress) -> AppliedBatch {
        AppliedBatch {
            applied_at: SystemTime::now(),
            first_transaction_seq: self.first_transaction_seq.unwrap_or_default(),
            transactions: self.transactions,
            row_events: self.row_events,
            overlapping: self.overlapping,
            tables: applier.applied().to_vec(),
            fetch: self.took.fetch,
            compact: self.took.compact,
            apply: self.apply,
            queued_texts: self.took.queued_texts,
            progress,
        }
    }
}
