//! Where mining starts: behind what staging holds, else (or where the loader asks for it) behind
//! what the target has applied, else where the configuration says.
//!
//! On the same log it goes on by file and position, on another server's only by GTIDs, and
//! only where that server continues exactly what is staged or applied.

use common::behind::Needed;
use common::checkpoint::Checkpoint;
use common::gtid::GtidSet;
use common::pg::connect_target;
use common::position::{BinlogPosition, LogId, TimelineId};
use common::settings::StartPoint;
use log::{info, warn};

use super::Attempt;
use crate::error::MinerError;
use crate::gtids::GtidTrack;
use crate::learn::{file_created, gtids_before};
use crate::source::{Flavor, SourceError, SourceSession};
use crate::stage::{Continued, Forgotten, Staged, StagingSession};

/// What to ask the source for.
pub(super) enum From {
    /// Everything from here on.
    Position(BinlogPosition),
    /// Everything that is not in this set.
    Gtids(GtidSet),
}

/// How mining starts.
pub(super) struct Start {
    pub(super) from: From,
    pub(super) gtids: GtidTrack,
    /// Creation time that the first file must have, when it was read before.
    pub(super) expected_created: Option<u32>,
    /// The timeline that begins; `None` where the staged one goes on.
    pub(super) timeline: Option<BeginTimeline>,
}

/// A timeline that begins.
#[derive(Default)]
pub(super) struct BeginTimeline {
    /// Its name, where the target's checkpoint has it already.
    pub(super) id: Option<TimelineId>,
    /// What it continues.
    pub(super) continues: Option<Continued>,
}

/// Decides, and makes sure that the source still has it.
pub(super) fn decide(
    attempt: &Attempt<'_>,
    session: &mut StagingSession,
    staged: &Staged,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let settings = attempt.settings;
    if let (Some(position), Some(log_id), Some(timeline_id)) =
        (&staged.position, &staged.log_id, &staged.timeline_id)
    {
        return if *log_id == source.server.log_id {
            resume(position, staged, source)
        } else {
            let left = Continued {
                id: timeline_id.clone(),
                end: position.clone(),
            };
            switch_server(log_id, left, staged.gtid_set.as_ref(), source)
        };
    }
    if let Some(needed) = read_needed(attempt)? {
        return resume_from_target(attempt, &needed, source);
    }
    let first_start = session.start_position()?;
    match &settings.source.start {
        StartPoint::Position(position) => {
            info!("start as configured position={position} first_start={first_start}");
            start_at(attempt, position, source)
        }
        StartPoint::GtidSet(set) => {
            info!("start as configured gtid_set={set} first_start={first_start}");
            source.require_start(set)?;
            Ok(Start {
                from: From::Gtids(set.clone()),
                gtids: GtidTrack::new(Some(set.clone())),
                expected_created: None,
                timeline: Some(BeginTimeline::default()),
            })
        }
    }
}

/// Behind what the target has applied, though staging holds something: the target was restored
/// from a copy older than what staging reaches back to, and the loader has asked for what is
/// missing; or staging was restored from a copy so old that the source has purged what comes
/// next, and the target has it. What is staged is forgotten then, once it is certain that the
/// source has what is needed.
pub(super) fn go_back(
    attempt: &Attempt<'_>,
    session: &mut StagingSession,
    staged: &Staged,
    source: &mut SourceSession,
) -> Result<Option<Start>, MinerError> {
    let asked = session.asked_back()?;
    let needed = match &asked {
        Some(_) => read_needed(attempt)?,
        None if is_purged(staged, source)? => read_needed(attempt)?.filter(|needed| {
            needed.elsewhere().next().is_none()
                && is_ahead(needed.least(), staged)
                && source.files.contains(&needed.least().applied)
        }),
        None => None,
    };
    let Some(needed) = needed else {
        return Ok(None);
    };
    check_same_log(attempt, staged, source)?;
    let start = resume_from_target(attempt, &needed, source)?;
    Ok(match session.forget_staged(asked.as_deref())? {
        Forgotten::Yes => {
            warn!(
                "what is staged does not join on to the target's checkpoint: staging is emptied, to mine again position={}",
                needed.least().applied
            );
            Some(start)
        }
        Forgotten::TakenBack => None,
    })
}

/// Whether the source has purged what comes behind the staged position.
fn is_purged(staged: &Staged, source: &SourceSession) -> Result<bool, MinerError> {
    let begin = source.files.begin()?;
    Ok(staged.log_id.as_ref() == Some(&source.server.log_id)
        && staged
            .position
            .as_ref()
            .is_some_and(|position| position.file < begin.file))
}

/// A log that was reset since it was mined begins its names anew; the staged file tells, and is
/// the last thing that does before staging is emptied.
fn check_same_log(
    attempt: &Attempt<'_>,
    staged: &Staged,
    source: &SourceSession,
) -> Result<(), MinerError> {
    let (Some(position), Some(expected)) = (&staged.position, staged.file_created) else {
        return Ok(());
    };
    let begin = BinlogPosition::new(position.file.clone(), BinlogPosition::FIRST_OFFSET);
    let same_server = staged.log_id.as_ref() == Some(&source.server.log_id);
    if !same_server || !source.files.contains(&begin) {
        return Ok(());
    }
    let settings = &attempt.settings.source;
    if file_created(settings, &source.server, begin)? == Some(expected) {
        return Ok(());
    }
    Err(MinerError::reset_log(position))
}

/// Whether the target has everything that is staged, and more.
fn is_ahead(checkpoint: &Checkpoint, staged: &Staged) -> bool {
    staged.timeline_id.as_ref() == Some(&checkpoint.timeline_id)
        && staged.position.as_ref() < Some(&checkpoint.applied)
}

/// On the log that staging holds.
fn resume(
    position: &BinlogPosition,
    staged: &Staged,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    still_there(position, source)?;
    info!("resume from staging position={position}");
    let staged_set = staged.gtid_set.clone();
    let gtids = if position.offset <= BinlogPosition::FIRST_OFFSET {
        GtidTrack::at_file(staged_set, GtidSet::new())
    } else if let Some(set) = staged_set {
        match source.gtids_at(position)? {
            Some(logged) => GtidTrack::at(set, &logged),
            None => GtidTrack::new(Some(set)),
        }
    } else {
        GtidTrack::new(None)
    };
    Ok(Start {
        from: From::Position(position.clone()),
        gtids,
        expected_created: staged.file_created,
        timeline: None,
    })
}

/// The source is another server than the one that was mined: one of its replication group that
/// took its place. `had` is staged, or applied where staging is empty.
fn switch_server(
    mined: &LogId,
    left: Continued,
    had: Option<&GtidSet>,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let found = source.server.log_id.clone();
    let refuse = |reason: String| {
        MinerError::Source(SourceError::NoContinuation {
            expected: mined.clone(),
            found: found.clone(),
            reason,
        })
    };
    let Some(had) = had.filter(|set| !set.is_empty()) else {
        return Err(refuse(
            "what was mined so far has no GTIDs by which another server could go on".into(),
        ));
    };
    let state = source.gtid_state()?;
    if !had.is_subset(&state.executed) {
        return Err(refuse(format!(
            "that server's log has {}, which lacks some of the GTIDs mined so far, {had}",
            or_none(&state.executed)
        )));
    }
    if !state.purged.is_subset(had) {
        return Err(SourceError::GtidsPurged {
            set: had.to_string(),
            source: None,
        }
        .into());
    }
    info!("go on at another server by GTID from={mined} to={found} gtid_set={had}");
    Ok(Start {
        from: From::Gtids(had.clone()),
        gtids: GtidTrack::new(Some(had.clone())),
        expected_created: None,
        timeline: Some(BeginTimeline {
            id: None,
            continues: Some(left),
        }),
    })
}

fn or_none(set: &GtidSet) -> String {
    if set.is_empty() {
        "no GTIDs".into()
    } else {
        set.to_string()
    }
}

/// Where every table that is replicated can be completed: at the checkpoint, or where the table
/// that is the furthest behind stands.
fn resume_from_target(
    attempt: &Attempt<'_>,
    needed: &Needed,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let Needed { checkpoint, behind } = needed;
    for behind in behind {
        info!(
            "table is behind the target's checkpoint: mining it again table={} position={} checkpoint={}",
            behind.table, behind.at.applied, checkpoint.applied
        );
    }
    let mut elsewhere = needed.elsewhere();
    let same_log = checkpoint.log_id == source.server.log_id;
    let Some(first) = elsewhere.next() else {
        let least = needed.least();
        // By GTID alone, only one position can be found again.
        if !same_log && least.applied != checkpoint.applied {
            return Err(refuse_elsewhere(needed));
        }
        return resume_from_checkpoint(attempt, least, source);
    };
    let place = |at: &Checkpoint| (at.timeline_id.clone(), at.applied.clone());
    if !same_log || elsewhere.any(|behind| place(&behind.at) != place(&first.at)) {
        return Err(refuse_elsewhere(needed));
    }
    check_start(attempt, checkpoint)?;
    let left = Continued {
        id: first.at.timeline_id.clone(),
        end: first.at.applied.clone(),
    };
    let had = applied_set(&first.at);
    let mut start = switch_server(&first.at.log_id, left, had.as_ref(), source)?;
    // The checkpoint's positions are found again in what is mined now.
    if let Some(timeline) = &mut start.timeline {
        timeline.id = Some(checkpoint.timeline_id.clone());
    }
    Ok(start)
}

fn refuse_elsewhere(needed: &Needed) -> MinerError {
    MinerError::Elsewhere {
        tables: needed
            .behind
            .iter()
            .map(|behind| behind.table.clone())
            .collect(),
    }
}

fn applied_set(checkpoint: &Checkpoint) -> Option<GtidSet> {
    checkpoint
        .applied_gtid_set
        .as_deref()
        .and_then(|text| text.parse().ok())
}

fn check_start(attempt: &Attempt<'_>, checkpoint: &Checkpoint) -> Result<(), MinerError> {
    let settings = attempt.settings;
    let configured = settings.source.start.to_string();
    if checkpoint.start_position != configured {
        return Err(MinerError::OtherStart {
            task: settings.task.name.clone(),
            configured,
            recorded: checkpoint.start_position.clone(),
        });
    }
    Ok(())
}

fn resume_from_checkpoint(
    attempt: &Attempt<'_>,
    checkpoint: &Checkpoint,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let settings = attempt.settings;
    check_start(attempt, checkpoint)?;
    let applied_set = applied_set(checkpoint);
    if checkpoint.log_id != source.server.log_id {
        let left = Continued {
            id: checkpoint.timeline_id.clone(),
            end: checkpoint.applied.clone(),
        };
        return switch_server(&checkpoint.log_id, left, applied_set.as_ref(), source);
    }
    let position = &checkpoint.applied;
    still_there(position, source)?;
    info!("resume from the target's checkpoint position={position}");
    let had = match &settings.source.start {
        StartPoint::GtidSet(set) => set.clone(),
        StartPoint::Position(_) => GtidSet::new(),
    };
    let gtids = match (learn(attempt, position, source)?, applied_set) {
        (None, applied) => GtidTrack::at_file(applied, had),
        (Some(logged), Some(applied)) => GtidTrack::at(applied, &logged),
        (Some(logged), None) => {
            // What the target had before the start may come behind this position.
            let mut applied = logged.clone();
            applied.union(&had).map_err(|_| wrong_kind(&had))?;
            GtidTrack::at(applied, &logged)
        }
    };
    Ok(Start {
        from: From::Position(position.clone()),
        gtids,
        expected_created: checkpoint.file_created,
        timeline: Some(BeginTimeline {
            id: Some(checkpoint.timeline_id.clone()),
            continues: None,
        }),
    })
}

fn start_at(
    attempt: &Attempt<'_>,
    position: &BinlogPosition,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    if !source.files.contains(position) {
        return Err(SourceError::NoSuchFile {
            file: position.to_string(),
            available: source.files.describe(),
        }
        .into());
    }
    Ok(Start {
        from: From::Position(position.clone()),
        gtids: GtidTrack::new(learn(attempt, position, source)?),
        expected_created: None,
        timeline: Some(BeginTimeline::default()),
    })
}

/// GTIDs before a position that is not the beginning of a file, which tells them itself.
fn learn(
    attempt: &Attempt<'_>,
    position: &BinlogPosition,
    source: &mut SourceSession,
) -> Result<Option<GtidSet>, MinerError> {
    if position.offset <= BinlogPosition::FIRST_OFFSET {
        return Ok(None);
    }
    match source.server.flavor {
        Flavor::MariaDb => Ok(source.gtids_at(position)?),
        Flavor::MySql if source.server.has_gtids() => gtids_before(
            &attempt.settings.source,
            &source.server,
            position,
            attempt.shutdown,
        ),
        Flavor::MySql => Ok(None),
    }
}

fn wrong_kind(set: &GtidSet) -> MinerError {
    MinerError::Source(SourceError::wrong_gtid_kind(set))
}

fn read_needed(attempt: &Attempt<'_>) -> Result<Option<Needed>, MinerError> {
    let settings = attempt.settings;
    let mut target =
        connect_target(&settings.target.conninfo, "binlog_miner").map_err(MinerError::Target)?;
    Ok(Needed::read(
        &mut target,
        &settings.task.name,
        attempt.lists.list(),
    )?)
}

fn still_there(position: &BinlogPosition, source: &SourceSession) -> Result<(), MinerError> {
    if source.files.contains(position) {
        return Ok(());
    }
    Err(SourceError::Purged {
        position: position.clone(),
        available: source.files.describe(),
    }
    .into())
}
