//! Tables that are behind the target's checkpoint: paused, or catching up since.
//!
//! Rows of `mysql2gp.checkpoint_tables`, written by the loader in the transactions that write
//! the checkpoint; read by the miner when its staging is empty. A table without a row is where
//! the checkpoint is. A row bounds: every change of its table that ends at or before its
//! position is on the target, none behind it is.

use postgres::Client;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::pg::Operation as _;
use crate::position::{BinlogPosition, LogId, TimelineId};
use crate::settings::TableList;
use crate::table::TableName;

/// Why a table is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// An operator holds it back.
    Paused,
    /// It was resumed, and is not yet where the others are.
    CatchingUp,
}

impl TableState {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::CatchingUp => "catching_up",
        }
    }
}

/// A table that is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The source table.
    pub table: TableName,
    /// Why.
    pub state: TableState,
    /// The checkpoint as it would be if all tables were where this one is.
    pub at: Checkpoint,
    /// When the state began, microseconds since 1970.
    pub changed_at_us: i64,
}

/// The tables of a task that are behind `checkpoint`, by name.
///
/// # Errors
/// When the statement fails or a row does not hold a position.
pub fn read(
    client: &mut Client,
    task: &str,
    checkpoint: &Checkpoint,
) -> Result<Vec<Behind>, CheckpointError> {
    let rows = client
        .query(
            "select database_name, table_name, state, timeline_id, log_id, file_created, applied_file, applied_pos, \
                    applied_gtid_set, consistent_from, (extract(epoch from changed_at) * 1000000)::bigint as changed_at_us \
               from mysql2gp.checkpoint_tables where task = $1 order by database_name, table_name",
            &[&task],
        )
        .operation("read the positions of tables")?;
    let malformed = |column| CheckpointError::MalformedTable { column };
    rows.iter()
        .map(|row| {
            Ok(Behind {
                table: TableName::new(row.get::<_, &str>(0), row.get::<_, &str>(1)),
                state: match row.get(2) {
                    "paused" => TableState::Paused,
                    "catching_up" => TableState::CatchingUp,
                    _ => return Err(malformed("state")),
                },
                at: Checkpoint {
                    timeline_id: TimelineId(row.get("timeline_id")),
                    log_id: LogId(row.get("log_id")),
                    file_created: row
                        .get::<_, Option<i64>>("file_created")
                        .and_then(|created| u32::try_from(created).ok()),
                    applied: BinlogPosition::new(
                        row.get::<_, &str>("applied_file")
                            .parse()
                            .map_err(|_| malformed("applied_file"))?,
                        u64::try_from(row.get::<_, i64>("applied_pos"))
                            .map_err(|_| malformed("applied_pos"))?,
                    ),
                    // As in the checkpoint.
                    applied_gtid_set: row
                        .get::<_, Option<&str>>("applied_gtid_set")
                        .map(|set| set.trim().to_owned()),
                    consistent_from: row
                        .get::<_, Option<&str>>("consistent_from")
                        .map(str::parse)
                        .transpose()
                        .map_err(|_| malformed("consistent_from"))?,
                    ..checkpoint.clone()
                },
                changed_at_us: row.get("changed_at_us"),
            })
        })
        .collect()
}

/// Where mining has to go on for every table of a task to be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The task's checkpoint.
    pub checkpoint: Checkpoint,
    /// Tables that are behind it and still replicated.
    pub behind: Vec<Behind>,
}

impl Needed {
    /// Reads it from the target; `None` when there is no checkpoint yet.
    ///
    /// # Errors
    /// When a statement fails or a row does not hold a position.
    pub fn read(
        client: &mut Client,
        task: &str,
        listed: &TableList,
    ) -> Result<Option<Self>, CheckpointError> {
        let Some(checkpoint) = crate::checkpoint::read(client, task)? else {
            return Ok(None);
        };
        let mut behind = read(client, task, &checkpoint)?;
        behind.retain(|behind| listed.contains(&behind.table));
        Ok(Some(Self { checkpoint, behind }))
    }

    /// The least position in the checkpoint's own timeline.
    pub fn least(&self) -> &Checkpoint {
        self.behind
            .iter()
            .map(|behind| &behind.at)
            .filter(|at| at.timeline_id == self.checkpoint.timeline_id)
            .chain([&self.checkpoint])
            .min_by(|a, b| a.applied.cmp(&b.applied))
            .unwrap_or(&self.checkpoint)
    }

    /// Tables at positions of earlier timelines.
    pub fn elsewhere(&self) -> impl Iterator<Item = &Behind> {
        self.behind
            .iter()
            .filter(|behind| behind.at.timeline_id != self.checkpoint.timeline_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timeline: &str, offset: u64) -> Checkpoint {
        Checkpoint {
            timeline_id: TimelineId(timeline.into()),
            log_id: LogId("log".into()),
            file_created: None,
            start_position: "bin.000001:4".into(),
            applied: BinlogPosition::new("bin.000001".parse().unwrap(), offset),
            applied_gtid_set: None,
            staging_id: "s".into(),
            transaction_seq: 7,
            event_seq: 7,
            consistent_from: None,
        }
    }

    fn behind(table: &str, at: Checkpoint) -> Behind {
        Behind {
            table: TableName::new("app", table),
            state: TableState::Paused,
            at,
            changed_at_us: 0,
        }
    }

    #[test]
    fn the_least_position_of_the_same_log_counts() {
        let mut needed = Needed {
            checkpoint: at("b", 900),
            behind: vec![],
        };
        assert_eq!(needed.least().applied.offset, 900);
        needed.behind = vec![
            behind("t", at("b", 500)),
            behind("u", at("b", 300)),
            behind("old", at("a", 100)),
        ];
        assert_eq!(needed.least().applied.offset, 300);
        let elsewhere: Vec<_> = needed.elsewhere().map(|b| b.table.table.clone()).collect();
        assert_eq!(elsewhere, ["old"]);
    }
}
