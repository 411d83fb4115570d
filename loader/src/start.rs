//! Where to begin: the target's checkpoint, or a first start.
//!
//! Runs with the task's lock held and before the first batch. Refuses whatever could leave a
//! hole or apply something twice, and says what to do.

use common::checkpoint::Checkpoint;
use common::position::BinlogPosition;
use common::settings::Settings;
use common::table::TableName;

use crate::error::LoaderError;
use crate::fetch::{Fetcher, MinerRow, ReplicatedTable, StagingTask};
use crate::progress::StagedTimeline;
use crate::route::Router;
use crate::target::TargetSession;
use crate::target::catalog::{self, Filling};

/// What there is to begin with.
pub struct Surroundings<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// The staging incarnation.
    pub task: &'a StagingTask,
    /// The miner's position.
    pub miner: &'a MinerRow,
    /// Where tables go.
    pub router: &'a Router,
}

/// A replicated table on the target.
struct Found {
    table: TableName,
    keyless: bool,
    target: String,
    filling: Filling,
}

/// The task's checkpoint, made at a first start; the epoch is this loader's then.
///
/// # Errors
/// When a person must act first, or a server is away.
pub fn begin(
    surroundings: &Surroundings<'_>,
    session: &mut TargetSession,
    fetcher: &mut Fetcher,
) -> Result<Checkpoint, LoaderError> {
    let configured = surroundings.settings.source.start.to_string();
    let Some(checkpoint) = session.checkpoint()? else {
        return first_start(surroundings, session, fetcher, configured);
    };
    if checkpoint.start_position != configured {
        return Err(LoaderError::OtherStart {
            configured,
            recorded: checkpoint.start_position,
        });
    }
    check_not_emptied(surroundings, session, &checkpoint)?;
    session.raise_epoch()?;
    Ok(checkpoint)
}

fn first_start(
    surroundings: &Surroundings<'_>,
    session: &mut TargetSession,
    fetcher: &mut Fetcher,
    configured: String,
) -> Result<Checkpoint, LoaderError> {
    let Surroundings {
        settings,
        task,
        miner,
        ..
    } = surroundings;
    if let Some(recorded) = &task.start_position
        && *recorded != configured
    {
        return Err(LoaderError::OtherStart {
            configured,
            recorded: recorded.clone(),
        });
    }
    let (timeline, applied) = first_position(settings, miner, fetcher)?;
    let consistent_from = overlap_end(surroundings, session, &timeline)?
        // An overlap that ends before the start is none.
        .filter(|until| *until > applied);
    let checkpoint = Checkpoint {
        timeline_id: timeline.id,
        log_id: timeline.log_id,
        start_position: configured,
        file_created: None,
        // The first staged transaction tells what was before it; what is left out until then
        // would be missing.
        applied_gtid_set: timeline
            .start_gtid_set
            .filter(|_| applied == timeline.start),
        applied,
        staging_id: task.staging_id.clone(),
        transaction_seq: 0,
        event_seq: 0,
        consistent_from,
    };
    session.insert_checkpoint(&checkpoint)?;
    log::info!(
        "first start: wrote the checkpoint position={} consistent_from={}",
        checkpoint.applied,
        checkpoint
            .consistent_from
            .as_ref()
            .map_or_else(|| "start".into(), BinlogPosition::to_string)
    );
    Ok(checkpoint)
}

/// The position before the first staged transaction, and its timeline.
fn first_position(
    settings: &Settings,
    miner: &MinerRow,
    fetcher: &mut Fetcher,
) -> Result<(StagedTimeline, BinlogPosition), LoaderError> {
    let first = fetcher.retained_from(miner)?;
    if fetcher.is_whole()? {
        return Ok(first);
    }
    Err(LoaderError::StagingWithoutCheckpoint {
        task: settings.task.name.clone(),
        retained: first.1,
    })
}

/// Up to where an earlier load overlaps the stream.
fn overlap_end(
    surroundings: &Surroundings<'_>,
    session: &mut TargetSession,
    timeline: &StagedTimeline,
) -> Result<Option<BinlogPosition>, LoaderError> {
    let mut filled = Vec::new();
    for table in &surroundings.task.tables {
        let found = find_table(surroundings, session, table)?;
        filled.extend(found.filter(|found| found.filling == Filling::Rows));
    }
    if let Some(table) = filled.iter().find(|table| table.keyless) {
        return Err(LoaderError::KeylessOverlap {
            table: table.table.clone(),
            target: table.target.clone(),
        });
    }
    let configured = surroundings.settings.source.consistent_from.clone();
    if configured.is_some() {
        return Ok(configured);
    }
    let Some(first) = filled.first() else {
        return Ok(None);
    };
    let end = timeline.source_end.clone();
    log::warn!(
        "target tables hold rows: taking them for an earlier load that overlaps the stream table={} consistent_from={end}",
        first.target
    );
    Ok(Some(end))
}

fn check_not_emptied(
    surroundings: &Surroundings<'_>,
    session: &mut TargetSession,
    checkpoint: &Checkpoint,
) -> Result<(), LoaderError> {
    if checkpoint.event_seq == 0 {
        return Ok(());
    }
    let mut none_found = true;
    for table in &surroundings.task.tables {
        if let Some(found) = find_table(surroundings, session, table)? {
            if found.filling == Filling::Rows {
                return Ok(());
            }
            none_found = false;
        }
    }
    if none_found {
        return Ok(());
    }
    // Where this staging has counted what was applied, tables that are rightly empty show.
    let same_staging = checkpoint.staging_id == surroundings.task.staging_id;
    let should_hold_rows = surroundings
        .task
        .tables
        .iter()
        .any(|table| table.counted_rows.is_some_and(|rows| rows > 0));
    if same_staging && !should_hold_rows {
        return Ok(());
    }
    Err(LoaderError::TargetEmptied {
        applied: checkpoint.applied.clone(),
    })
}

/// A replicated table on the target, if it is there.
fn find_table(
    surroundings: &Surroundings<'_>,
    session: &mut TargetSession,
    table: &ReplicatedTable,
) -> Result<Option<Found>, LoaderError> {
    let address = surroundings.router.address(&table.name);
    let candidates = session
        .catalog
        .find_tables(&mut session.client, &address.schema, &address.table)
        .map_err(LoaderError::Target)?;
    // A missing table is an error when its first row comes, or at `check`.
    let Ok(target) = surroundings
        .router
        .choose(&table.name, &address, candidates)
    else {
        log::warn!(
            "replicated table has no target yet table={} target={}.{}",
            table.name,
            address.schema,
            address.table
        );
        return Ok(None);
    };
    let filling = catalog::filling(&mut session.client, &target).map_err(LoaderError::Target)?;
    Ok(Some(Found {
        table: table.name.clone(),
        keyless: table.key_columns.is_empty(),
        target: target.display(),
        filling,
    }))
}
