//! Where mining starts: behind what staging holds, else behind what the target has applied,
//! else where the configuration says.

use common::checkpoint::{self, Checkpoint};
use common::gtid::GtidSet;
use common::pg::connect;
use common::position::{BinlogPosition, LogId};
use common::settings::{Settings, StartPoint};
use log::info;

use crate::error::MinerError;
use crate::source::{LogFiles, Server, SourceError};
use crate::stage::{Staged, StagingSession};

/// The first position to read.
pub(super) struct Start {
    pub(super) position: BinlogPosition,
    pub(super) gtid_set: Option<GtidSet>,
}

/// Decides, and makes sure that the source still has it.
pub(super) fn decide(
    settings: &Settings,
    session: &mut StagingSession,
    staged: &Staged,
    server: &Server,
    files: &LogFiles,
) -> Result<Start, MinerError> {
    if let (Some(position), Some(log_id)) = (&staged.position, &staged.log_id) {
        same_log(log_id, server)?;
        still_there(position, files)?;
        info!("resume from staging position={position}");
        return Ok(Start {
            position: position.clone(),
            gtid_set: staged.gtid_set.clone(),
        });
    }
    if let Some(checkpoint) = read_checkpoint(settings)? {
        let recorded = &checkpoint.start_position;
        let configured = settings.source.start.to_string();
        if *recorded != configured {
            return Err(MinerError::OtherStart {
                task: settings.task.name.clone(),
                configured,
                recorded: recorded.clone(),
            });
        }
        same_log(&checkpoint.log_id, server)?;
        still_there(&checkpoint.applied, files)?;
        info!(
            "resume from the target's checkpoint position={}",
            checkpoint.applied
        );
        return Ok(Start {
            position: checkpoint.applied,
            gtid_set: checkpoint
                .applied_gtid_set
                .and_then(|text| text.parse().ok()),
        });
    }
    let StartPoint::Position(position) = &settings.source.start else {
        return Err(MinerError::Unsupported {
            key: "src.mysql.gtid_set",
            remedy: "start from a binlogfile",
        });
    };
    if !files.contains(position) {
        return Err(SourceError::NoSuchFile {
            file: position.to_string(),
            available: files.describe(),
        }
        .into());
    }
    info!(
        "start as configured position={position} first_start={}",
        session.start_position()?
    );
    Ok(Start {
        position: position.clone(),
        gtid_set: None,
    })
}

fn read_checkpoint(settings: &Settings) -> Result<Option<Checkpoint>, MinerError> {
    let mut target =
        connect(&settings.target.conninfo, "binlog_miner").map_err(MinerError::Target)?;
    Ok(checkpoint::read(&mut target, &settings.task.name)?)
}

fn same_log(expected: &LogId, server: &Server) -> Result<(), MinerError> {
    if *expected == server.log_id {
        return Ok(());
    }
    Err(SourceError::OtherServer {
        expected: expected.clone(),
        found: server.log_id.clone(),
    }
    .into())
}

fn still_there(position: &BinlogPosition, files: &LogFiles) -> Result<(), MinerError> {
    if files.contains(position) {
        return Ok(());
    }
    Err(SourceError::Purged {
        position: position.clone(),
        available: files.describe(),
    }
    .into())
}
