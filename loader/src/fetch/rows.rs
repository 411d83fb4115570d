//! Rows of the contract as values.

use common::pg::Operation as _;
use common::position::{BinlogFile, BinlogPosition, LogId, TimelineId};
use common::table::{DefinitionId, TableDefinition};
use postgres::{Client, Row};

use super::FetchError;
use crate::progress::{LogFile, StagedPosition, StagedTimeline};

/// The miner's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinerRow {
    /// Staged position.
    pub staged: StagedPosition,
    /// The staged position's file, when its age is known.
    pub(super) file: Option<LogFile>,
    /// Last staged chunk.
    pub chunk_seq: i64,
    /// Which of the miner's table lists is in force.
    pub list_version: i64,
    /// Number of the newest definition.
    pub(super) last_definition: i32,
}

/// All timelines, in order.
///
/// # Errors
/// When they cannot be read.
pub(super) fn timelines(client: &mut Client) -> Result<Vec<StagedTimeline>, FetchError> {
    let rows = client
        .query(
            "select timeline_id::text, log_id, start_file || ':' || start_pos, start_gtid_set, source_end, \
                    previous_id::text, previous_end, dropped \
               from mysql2gp.timeline order by timeline_no",
            &[],
        )
        .operation("read timelines")?;
    let position = |text: &str| {
        text.parse().map_err(|_| FetchError::Malformed {
            what: "mysql2gp.timeline",
        })
    };
    rows.iter()
        .map(|row| {
            let previous = row
                .get::<_, Option<String>>(5)
                .zip(row.get::<_, Option<&str>>(6));
            Ok(StagedTimeline {
                id: TimelineId(row.get(0)),
                log_id: LogId(row.get(1)),
                start: position(row.get(2))?,
                start_gtid_set: row.get(3),
                source_end: position(row.get(4))?,
                continues: previous
                    .map(|(id, end)| Ok::<_, FetchError>((TimelineId(id), position(end)?)))
                    .transpose()?,
                dropped: row.get(7),
            })
        })
        .collect()
}

/// All definitions behind a number, in order.
///
/// # Errors
/// When they cannot be read.
pub fn definitions(
    client: &mut Client,
    behind: i32,
) -> Result<Vec<(DefinitionId, TableDefinition)>, FetchError> {
    let rows = client
        .query(
            "select definition_id, definition::text from mysql2gp.definition \
              where definition_id > $1 order by definition_id",
            &[&behind],
        )
        .operation("read table definitions")?;
    let malformed = || FetchError::Malformed {
        what: "mysql2gp.definition.definition",
    };
    rows.iter()
        .map(|row| {
            let id = u32::try_from(row.get::<_, i32>(0)).map_err(|_| malformed())?;
            let definition = serde_json::from_str(row.get(1)).map_err(|_| malformed())?;
            Ok((DefinitionId(id), definition))
        })
        .collect()
}

/// Definitions of all tables that the list selects, as the source's catalog had them at the
/// miner's last start.
///
/// # Errors
/// When they cannot be read.
pub fn listed_definitions(client: &mut Client) -> Result<Vec<TableDefinition>, FetchError> {
    let rows = client
        .query(
            "select definition::text from mysql2gp.replicated_table",
            &[],
        )
        .operation("read the replicated tables")?;
    rows.iter()
        .map(|row| {
            serde_json::from_str(row.get(0)).map_err(|_| FetchError::Malformed {
                what: "mysql2gp.replicated_table.definition",
            })
        })
        .collect()
}

/// The miner's row; `None` while it has no position.
pub(super) fn miner_row(row: &Row) -> Result<Option<MinerRow>, FetchError> {
    let malformed = |what| FetchError::Malformed { what };
    let (Some(timeline_id), Some(file)) = (
        row.get::<_, Option<String>>("timeline_id"),
        row.get::<_, Option<&str>>("staged_file"),
    ) else {
        return Ok(None);
    };
    let file: BinlogFile = file
        .parse()
        .map_err(|_| malformed("mysql2gp.miner.staged_file"))?;
    let offset: i64 = row.get("staged_pos");
    let offset = u64::try_from(offset).map_err(|_| malformed("mysql2gp.miner.staged_pos"))?;
    let transaction_seq = u64::try_from(row.get::<_, i64>("transaction_seq"))
        .map_err(|_| malformed("mysql2gp.miner.transaction_seq"))?;
    let event_seq = u64::try_from(row.get::<_, i64>("event_seq"))
        .map_err(|_| malformed("mysql2gp.miner.event_seq"))?;
    let timeline_id = TimelineId(timeline_id);
    let created: Option<i64> = row.get("file_created");
    Ok(Some(MinerRow {
        file: created.map(|created| LogFile {
            timeline_id: timeline_id.clone(),
            file: file.clone(),
            created,
        }),
        staged: StagedPosition {
            timeline_id,
            position: BinlogPosition::new(file, offset),
            gtid_set: row.get("staged_gtid_set"),
            transaction_seq,
            event_seq,
            committed_at_us: row.get("staged_commit_us"),
        },
        chunk_seq: row.get("staged_chunk_seq"),
        list_version: row.get("list_version"),
        last_definition: row.get("last_definition"),
    }))
}
