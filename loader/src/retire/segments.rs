//! Dropping applied segments.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use common::crash::{self, Point};
use common::pg::{Operation as _, PgError};
use common::staging::segment_table;
use postgres::Client;
use postgres::error::SqlState;

use crate::target::session::signed;

const APPLIED_SEGMENTS: &str = include_str!("../../../sql/query/applied_segments.sql");

/// Dropping a partition locks the parent against everybody, so it may wait only briefly.
const LOCK_TIMEOUT: &str = "set local lock_timeout = '10ms'";

/// Which segments are applied, and since when.
pub(super) struct Segments {
    keep: Duration,
    applied_since: HashMap<i64, Instant>,
}

impl Segments {
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            keep,
            applied_since: HashMap::new(),
        }
    }

    /// Drops segments that have been applied for long enough.
    pub(super) fn retire(
        &mut self,
        client: &mut Client,
        applied: Option<u64>,
    ) -> Result<(), PgError> {
        let Some(applied) = applied else {
            return Ok(());
        };
        let rows = client
            .query(APPLIED_SEGMENTS, &[&signed(applied)])
            .operation("look for applied segments")?;
        let numbers: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        self.applied_since
            .retain(|number, _| numbers.contains(number));
        let keep = match space(client)? {
            Space::Enough => self.keep,
            Space::Short => Duration::ZERO,
        };
        for number in numbers {
            let since = *self
                .applied_since
                .entry(number)
                .or_insert_with(Instant::now);
            if since.elapsed() < keep {
                continue;
            }
            match drop_segment(client, number) {
                Ok(()) => log::info!("dropped applied segment segment={number}"),
                // Somebody reads it: later.
                Err(error) if error.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                    log::debug!("segment is in use segment={number}");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether staging has room for what is applied.
enum Space {
    Enough,
    /// The miner waits.
    Short,
}

fn space(client: &mut Client) -> Result<Space, PgError> {
    let row = client
        .query_one("select state = 'waiting_space' from mysql2gp.miner", &[])
        .operation("read the miner's state")?;
    Ok(if row.get(0) {
        Space::Short
    } else {
        Space::Enough
    })
}

fn drop_segment(client: &mut Client, number: i64) -> Result<(), PgError> {
    crash::point(Point::LoaderBeforeDrop);
    let mut transaction = client.transaction().operation("drop a segment")?;
    transaction
        .batch_execute(LOCK_TIMEOUT)
        .operation("drop a segment")?;
    transaction
        .batch_execute(&format!("drop table if exists {}", segment_table(number)))
        .operation("drop a segment")?;
    transaction
        .execute(
            "with gone as (delete from mysql2gp.segment where segment_no = $1 returning timeline_id) \
             update mysql2gp.timeline t set dropped = true from gone where t.timeline_id = gone.timeline_id",
            &[&number],
        )
        .operation("drop a segment")?;
    crash::point(Point::LoaderInDrop);
    transaction.commit().operation("drop a segment")?;
    crash::point(Point::LoaderAfterDrop);
    Ok(())
}
