//! What staging says of the miner.

use common::check::Schema;
use common::gtid::GtidSet;
use common::pg::{Operation as _, PgError};
use common::position::{BinlogPosition, LogId};
use postgres::Client;

use crate::stage::MINER_LOCK;

/// How far the miner is.
pub(super) struct Staged {
    /// `None` when nothing is staged yet.
    pub(super) position: Option<BinlogPosition>,
    pub(super) log_id: Option<LogId>,
    pub(super) gtid_set: Option<GtidSet>,
    /// Where the task was configured to start.
    pub(super) start: Option<String>,
    /// Whether a miner of the task runs now.
    pub(super) is_running: bool,
}

impl Staged {
    pub(super) fn read(client: &mut Client, schema: Schema) -> Result<Self, PgError> {
        if schema == Schema::Absent {
            return Ok(Self {
                position: None,
                log_id: None,
                gtid_set: None,
                start: None,
                is_running: false,
            });
        }
        let row = client
            .query_one(
                "select m.staged_file, m.staged_pos, m.log_id, m.staged_gtid_set, \
                        exists (select 1 from pg_catalog.pg_locks l \
                                  join pg_catalog.pg_database d on d.oid = l.database and d.datname = current_database() \
                                 where l.locktype = 'advisory' and l.objsubid = 1 and l.granted \
                                   and l.classid::bigint = $1::bigint >> 32 and l.objid::bigint = $1::bigint & 4294967295), \
                        (select start_position from mysql2gp.task) \
                   from mysql2gp.miner m",
                &[&MINER_LOCK],
            )
            .operation("read the staged position")?;
        let file = row
            .get::<_, Option<&str>>(0)
            .and_then(|file| file.parse().ok());
        let offset = row
            .get::<_, Option<i64>>(1)
            .and_then(|offset| u64::try_from(offset).ok());
        Ok(Self {
            position: file
                .zip(offset)
                .map(|(file, offset)| BinlogPosition::new(file, offset)),
            log_id: row.get::<_, Option<String>>(2).map(LogId),
            gtid_set: row
                .get::<_, Option<&str>>(3)
                .and_then(|text| text.parse().ok()),
            is_running: row.get(4),
            start: row.get(5),
        })
    }
}
