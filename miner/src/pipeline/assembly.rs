//! The middle thread: events in, units of packed chunks out.
//!
//! A unit is handed over at a transaction end, when the writer is idle or enough is packed.
//! A transaction that outgrows a unit is handed over in parts.

use std::time::{Duration, Instant};

use common::position::BinlogPosition;
use common::shutdown::Shutdown;
use common::staging::codec::{CommitLine, Passed};
use crossbeam_channel::{Receiver, Sender, select};
use log::warn;

use super::Bound;
use super::queue::{LotReceiver, Received};
use crate::assemble::{Assembler, Commit, Step};
use crate::decode::TransactionPayload;
use crate::error::{MinerError, Place};
use crate::source::RawEvent;
use crate::stage::{
    CaughtUp, ChunkPacker, LineKind, Message, Sequences, StagedEnd, Stager, StagingSession, Unit,
    UnitEnd,
};

/// Bytes of an open transaction that are kept back; beyond, it is handed over in parts.
const OPEN_BYTES: usize = 1 << 20;

/// How often an idle or filtered stream confirms its position.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// Largest event within a compressed transaction; the largest that a source can send.
const INNER_EVENT_BYTES_MAX: u32 = 1 << 30;

/// The thread's channels.
pub(super) struct Channels<'a> {
    pub(super) events: LotReceiver<Received>,
    pub(super) units: Sender<Message>,
    pub(super) writer_idle: &'a Receiver<()>,
}

/// Whether to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

/// The thread's state.
pub(super) struct Assembly<'a> {
    assembler: Assembler,
    packer: ChunkPacker,
    settings: AssemblySettings,
    channels: Channels<'a>,
    bound: &'a Bound,
    /// End of the last event.
    position: BinlogPosition,
    /// Creation time that the first file must have, when it was read before.
    expected_file: Option<(BinlogPosition, u32)>,
    tuples: Vec<u8>,
    /// Position behind the last complete transaction, while it is not handed over.
    end: Option<StagedEnd>,
    segment_no: i64,
    segment_bytes: u64,
    /// Where the numbers stood before the open transaction's first part.
    before_open: Option<Sequences>,
    writer_idle: bool,
    last_handed_over: Instant,
    last_committed_at_us: Option<i64>,
}

/// The settings that the thread needs.
pub(super) struct AssemblySettings {
    pub(super) stage_batch_bytes: usize,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(
        assembler: Assembler,
        start: BinlogPosition,
        expected_created: Option<u32>,
        sequences: Sequences,
        settings: AssemblySettings,
        channels: Channels<'a>,
        bound: &'a Bound,
    ) -> Self {
        let segment_no = StagingSession::next_segment(&sequences);
        let mut packer = ChunkPacker::new(sequences);
        packer.next_segment(segment_no);
        Self {
            assembler,
            packer,
            settings,
            channels,
            bound,
            expected_file: expected_created.map(|created| (start.clone(), created)),
            position: start,
            tuples: Vec::new(),
            end: None,
            segment_no,
            segment_bytes: 0,
            before_open: None,
            writer_idle: false,
            last_handed_over: Instant::now(),
            last_committed_at_us: None,
        }
    }

    /// Runs until the bound, the shutdown, or the end of either neighbour.
    pub(super) fn run(mut self, shutdown: &Shutdown) -> Result<(), MinerError> {
        if self.bound.reached(&self.position) {
            return Ok(());
        }
        let result = self.assemble(shutdown);
        if result.is_err() {
            // What is complete before a refused event is staged: the operator goes on from there.
            self.hand_over_end();
        }
        result
    }

    fn assemble(&mut self, shutdown: &Shutdown) -> Result<(), MinerError> {
        loop {
            match self.next(shutdown) {
                Next::Event(received) => {
                    let event = received?;
                    if self.event(&event)? == Flow::Stop {
                        return Ok(());
                    }
                }
                Next::WriterIdle => {
                    self.writer_idle = true;
                    if self.has_rows() && self.hand_over_end() == Flow::Stop {
                        return Ok(());
                    }
                }
                Next::SourceFailed => return Err(MinerError::Thread { name: "source" }),
                Next::Stop => {
                    self.hand_over_end();
                    return Ok(());
                }
            }
        }
    }

    /// Prefers events that are there already: waiting on several channels costs more.
    fn next(&mut self, shutdown: &Shutdown) -> Next {
        loop {
            if shutdown.requested() {
                return Next::Stop;
            }
            if let Some(received) = self.channels.events.next() {
                return Next::Event(received);
            }
            select! {
                recv(self.channels.events.bell()) -> rung => if rung.is_err() {
                    // What it sent last may have come since. It ends with an error, or fails.
                    return self.channels.events.next().map_or(Next::SourceFailed, Next::Event);
                },
                recv(self.channels.writer_idle) -> idle => return match idle {
                    Ok(()) => Next::WriterIdle,
                    Err(_) => Next::Stop,
                },
                recv(shutdown.channel()) -> _ => return Next::Stop,
            }
        }
    }

    fn event(&mut self, event: &RawEvent) -> Result<Flow, MinerError> {
        self.position = event.end.clone();
        let artificial = event.is_artificial();
        let step = self
            .assembler
            .handle(&event.header, event.body(), &event.end)?;
        self.check_file()?;
        if let Step::Idle = step
            && event
                .source_reader()
                .is_some_and(|reader| self.bound.reached(&reader))
        {
            // What is left of the log is known already, so that no event of it comes.
            self.idle();
            self.hand_over_end();
            return Ok(Flow::Stop);
        }
        if let Step::Payload(payload) = step {
            self.payload(&payload, artificial)
        } else {
            self.step(step, artificial)
        }
    }

    /// The events of a compressed transaction, one by one.
    fn payload(
        &mut self,
        payload: &TransactionPayload<'_>,
        artificial: bool,
    ) -> Result<Flow, MinerError> {
        let end = self.position.clone();
        let fail = |source| MinerError::Decode {
            place: Place::new(&end, None),
            source,
        };
        let mut events = payload.events(INNER_EVENT_BYTES_MAX).map_err(fail)?;
        while let Some((header, body)) = events.next_event().map_err(fail)? {
            let step = self.assembler.handle(&header, body, &end)?;
            if self.step(step, artificial)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    /// Does what an event came to.
    fn step(&mut self, step: Step<'_>, artificial: bool) -> Result<Flow, MinerError> {
        let ended = !matches!(step, Step::Open | Step::Rewound(_));
        let flow = match step {
            Step::Open => self.keep_open_small(),
            Step::Committed(commit) => self.committed(&commit),
            Step::Passed(commit) => self.passed(commit.as_ref()),
            Step::Idle => self.idle(),
            Step::Rewound(sequences) => self.rewound(sequences),
            Step::Abandoned => self.abandoned(),
            Step::Payload(_) => {
                return Err(MinerError::Refused {
                    place: Place::new(&self.position, None),
                    reason: "a compressed transaction within another".into(),
                    remedy: "the log is damaged: load the tables anew and start behind this position",
                });
            }
        };
        if ended && !artificial && self.bound.reached(&self.position) {
            self.hand_over_end();
            return Ok(Flow::Stop);
        }
        Ok(flow)
    }

    /// A file that was read before must be the same file: a reset log begins its names anew.
    fn check_file(&mut self) -> Result<(), MinerError> {
        let (Some((start, expected)), Some(found)) =
            (&self.expected_file, self.assembler.file_created())
        else {
            return Ok(());
        };
        if *expected != found {
            return Err(MinerError::reset_log(start));
        }
        self.expected_file = None;
        Ok(())
    }

    fn committed(&mut self, commit: &Commit) -> Flow {
        let open = self.assembler.open();
        let event_count = open.event_count() as u64;
        open.pack(&mut self.packer, &mut self.tuples);
        open.clear();
        let passed = self.assembler.take_passed_gtids();
        let mut line = Vec::with_capacity(128);
        CommitLine {
            transaction_seq: self.packer.sequences().transaction_seq + 1,
            file: self.position.file.name(),
            offset: self.position.offset,
            gtid: &commit.gtid,
            committed_at_us: commit.committed_at_us,
            event_count,
            passed: Passed::parse(&passed),
        }
        .write(&mut line);
        self.packer.push(&line, LineKind::Commit);
        self.before_open = None;
        self.set_end(Some(commit), CaughtUp::Unknown);
        let packed = self.tuples.len() + self.packer.pending_bytes();
        if packed >= self.settings.stage_batch_bytes || self.is_writer_idle() {
            self.hand_over_end()
        } else {
            Flow::Continue
        }
    }

    /// Nothing of it is staged, but the position moves on.
    fn passed(&mut self, commit: Option<&Commit>) -> Flow {
        self.set_end(commit, CaughtUp::Unknown);
        if !self.has_rows()
            && self.last_handed_over.elapsed() >= CONFIRM_INTERVAL
            && self.is_writer_idle()
        {
            return self.hand_over_end();
        }
        Flow::Continue
    }

    fn idle(&mut self) -> Flow {
        self.set_end(None, CaughtUp::Yes);
        if self.has_rows() || self.last_handed_over.elapsed() >= CONFIRM_INTERVAL {
            return self.hand_over_end();
        }
        Flow::Continue
    }

    fn set_end(&mut self, commit: Option<&Commit>, caught_up: CaughtUp) {
        if let Some(commit) = commit {
            self.last_committed_at_us = Some(commit.committed_at_us);
        }
        self.end = Some(StagedEnd {
            position: self.position.clone(),
            file_created: self.assembler.file_created(),
            gtid_set: None,
            committed_at_us: self.last_committed_at_us,
            sequences: self.packer.sequences(),
            caught_up,
        });
    }

    fn has_rows(&self) -> bool {
        self.tuples.len() + self.packer.pending_bytes() > 0 && self.end.is_some()
    }

    fn is_writer_idle(&mut self) -> bool {
        if !self.writer_idle && self.channels.writer_idle.try_recv().is_ok() {
            self.writer_idle = true;
        }
        self.writer_idle
    }

    /// Hands an open transaction's lines over when they are many.
    fn keep_open_small(&mut self) -> Flow {
        if self.assembler.open().pending_bytes() < OPEN_BYTES || self.assembler.keeps_together() {
            return Flow::Continue;
        }
        if self.before_open.is_none() {
            // What is complete must not wait for, or be rolled back with, the open one.
            if self.end.is_some() && self.hand_over_end() == Flow::Stop {
                return Flow::Stop;
            }
            self.before_open = Some(self.packer.sequences());
        }
        self.assembler
            .open()
            .pack(&mut self.packer, &mut self.tuples);
        let event_seq = self.packer.sequences().event_seq;
        self.hand_over(UnitEnd::Open { event_seq })
    }

    /// Chunk numbers may have gone on into another segment since, so the next chunk begins one
    /// of its own.
    fn rewound(&mut self, sequences: Sequences) -> Flow {
        self.take_back(sequences, self.segment_no + 1);
        self.send(Message::Rewind(sequences))
    }

    /// Takes the numbers back, and goes on in this segment.
    fn take_back(&mut self, sequences: Sequences, segment_no: i64) {
        self.packer.rewind(sequences);
        self.tuples.clear();
        self.begin_segment(segment_no);
    }

    fn begin_segment(&mut self, segment_no: i64) {
        self.segment_no = segment_no;
        self.segment_bytes = 0;
        self.packer.next_segment(segment_no);
    }

    /// The segments that the transaction began are gone with it, and their numbers are used
    /// again: a first segment that is not the first number would look like one that was dropped.
    fn abandoned(&mut self) -> Flow {
        if let Some(sequences) = self.before_open.take() {
            self.take_back(sequences, StagingSession::next_segment(&sequences));
        }
        if self.send(Message::Abandon) == Flow::Stop {
            return Flow::Stop;
        }
        self.passed(None)
    }

    /// Hands over what is complete.
    fn hand_over_end(&mut self) -> Flow {
        let Some(mut end) = self.end.take() else {
            return Flow::Continue;
        };
        self.tuples.append(&mut self.packer.take());
        end.sequences = self.packer.sequences();
        end.gtid_set = self.assembler.gtid_set().map(ToString::to_string);
        self.hand_over(UnitEnd::Staged(Box::new(end)))
    }

    fn hand_over(&mut self, end: UnitEnd) -> Flow {
        self.tuples.append(&mut self.packer.take());
        let tuples = std::mem::take(&mut self.tuples);
        let substitutions = self.assembler.take_nul_substitutions();
        if substitutions > 0 {
            warn!(
                "substituted 0x00 in text count={substitutions} position={}",
                self.position
            );
        }
        self.segment_bytes += tuples.len() as u64;
        let unit = Unit {
            segment_no: self.segment_no,
            tuples,
            definitions: self.assembler.tables().take_changes(),
            parked: self.assembler.take_parked_changes(),
            end,
        };
        if self.segment_bytes >= Stager::segment_bytes() {
            self.begin_segment(self.segment_no + 1);
        }
        self.writer_idle = false;
        self.last_handed_over = Instant::now();
        self.send(Message::Unit(unit))
    }

    fn send(&mut self, message: Message) -> Flow {
        match self.channels.units.send(message) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Stop,
        }
    }
}

enum Next {
    Event(Received),
    WriterIdle,
    /// The source thread is gone without an error.
    SourceFailed,
    Stop,
}
