//! Where mining starts: behind what staging holds, else behind what the target has applied,
//! else where the configuration says.
//!
//! It goes on by file and position, and on the same log only.

use common::checkpoint::{self, Checkpoint};
use common::gtid::GtidSet;
use common::pg::connect;
use common::position::BinlogPosition;
use common::settings::{Settings, StartPoint};
use log::info;

use super::Attempt;
use crate::error::MinerError;
use crate::gtids::GtidTrack;
use crate::learn::gtids_before;
use crate::source::{Flavor, SourceError, SourceSession};
use crate::stage::{Staged, StagingSession};

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
}

/// Decides, and makes sure that the source still has it.
pub(super) fn decide(
    attempt: &Attempt<'_>,
    session: &mut StagingSession,
    staged: &Staged,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let settings = attempt.settings;
    if let (Some(position), Some(log_id)) = (&staged.position, &staged.log_id) {
        return if *log_id == source.server.log_id {
            resume(position, staged, source)
        } else {
            // Positions of two logs do not compare, and the loader goes by positions.
            Err(SourceError::NoContinuation {
                expected: log_id.clone(),
                found: source.server.log_id.clone(),
                reason: "going on at another server is not supported yet".into(),
            }
            .into())
        };
    }
    if let Some(checkpoint) = read_checkpoint(settings)? {
        return resume_from_checkpoint(attempt, &checkpoint, source);
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
            })
        }
    }
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
    })
}

fn resume_from_checkpoint(
    attempt: &Attempt<'_>,
    checkpoint: &Checkpoint,
    source: &mut SourceSession,
) -> Result<Start, MinerError> {
    let settings = attempt.settings;
    let configured = settings.source.start.to_string();
    if checkpoint.start_position != configured {
        return Err(MinerError::OtherStart {
            task: settings.task.name.clone(),
            configured,
            recorded: checkpoint.start_position.clone(),
        });
    }
    if checkpoint.log_id != source.server.log_id {
        return Err(SourceError::NoContinuation {
            expected: checkpoint.log_id.clone(),
            found: source.server.log_id.clone(),
            reason: "staging is empty, so that nothing tells which GTIDs are applied".into(),
        }
        .into());
    }
    let position = &checkpoint.applied;
    still_there(position, source)?;
    info!("resume from the target's checkpoint position={position}");
    let had = match &settings.source.start {
        StartPoint::GtidSet(set) => set.clone(),
        StartPoint::Position(_) => GtidSet::new(),
    };
    let gtids = match learn(attempt, position, source)? {
        None => GtidTrack::at_file(None, had),
        Some(logged) => {
            // What the target had before the start may come behind this position.
            let mut applied = logged.clone();
            applied.union(&had).map_err(|_| wrong_kind(&had))?;
            GtidTrack::at(applied, &logged)
        }
    };
    Ok(Start {
        from: From::Position(position.clone()),
        gtids,
        expected_created: None,
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

fn read_checkpoint(settings: &Settings) -> Result<Option<Checkpoint>, MinerError> {
    let mut target =
        connect(&settings.target.conninfo, "binlog_miner").map_err(MinerError::Target)?;
    Ok(checkpoint::read(&mut target, &settings.task.name)?)
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
