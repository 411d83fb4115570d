//! One loader per task: the advisory lock, and who holds it.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use common::pg::Operation as _;
use common::shutdown::{Shutdown, Waited};

use super::session::{SessionError, TargetSession};

/// How often a newcomer tries again; the lock of a dead session is free at once.
const LOCK_RETRY: Duration = Duration::from_millis(250);

/// Takes the task's lock, waiting up to `lock_timeout` for its holder; not for one that has
/// taken the task over since the epoch `before`.
pub(super) fn take(
    session: &mut TargetSession,
    lock_timeout: Duration,
    shutdown: &Shutdown,
    before: Option<i64>,
) -> Result<(), SessionError> {
    let key = lock_key(&session.task);
    let started = Instant::now();
    let mut told = false;
    loop {
        let taken: bool = session
            .client
            .query_one("select pg_try_advisory_lock($1)", &[&key])
            .operation("lock the task")?
            .get(0);
        if taken {
            return Ok(());
        }
        if let Some(epoch) = before {
            session.check_not_overtaken(epoch)?;
        }
        let holder = holder_of_lock(session, key)?;
        if started.elapsed() >= lock_timeout {
            return Err(SessionError::Held {
                task: session.task.clone(),
                holder,
                waited_seconds: started.elapsed().as_secs(),
            });
        }
        if !told {
            log::warn!(
                "task is held by another loader: waiting up to lock_timeout task={} holder={holder:?} lock_timeout_s={}",
                session.task,
                lock_timeout.as_secs()
            );
            told = true;
        }
        let left = lock_timeout.saturating_sub(started.elapsed());
        if shutdown.wait(LOCK_RETRY.min(left)) == Waited::Stop {
            return Err(SessionError::Stopped);
        }
    }
}

/// What the checkpoint says of its writer, else where the lock's session comes from.
fn holder_of_lock(session: &mut TargetSession, key: i64) -> Result<String, SessionError> {
    if session.has_table("checkpoint")? {
        let row = session
            .client
            .query_opt(
                "select holder from mysql2gp.checkpoint where task = $1",
                &[&session.task],
            )
            .operation("read the task's holder")?;
        if let Some(row) = row {
            return Ok(row.get(0));
        }
    }
    let row = session
        .client
        .query_opt(
            "select coalesce(host(a.client_addr), 'local') || ', backend ' || a.pid \
                        || ', since ' || date_trunc('second', a.backend_start) \
                   from pg_catalog.pg_locks l \
                   join pg_catalog.pg_stat_activity a on a.pid = l.pid \
                  where l.locktype = 'advisory' and l.granted and l.objsubid = 1 \
                    and (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint",
            &[&key],
        )
        .operation("read the task's holder")?;
    Ok(row.map_or_else(|| "unknown".into(), |row| row.get(0)))
}

/// FNV-1a, 64 bits, over a prefix of ours and the task's name.
fn lock_key(task: &str) -> i64 {
    let hash = b"mysql2gp loader "
        .iter()
        .copied()
        .chain(task.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    i64::from_ne_bytes(hash.to_ne_bytes())
}

/// This process, for whoever finds the task held.
pub fn holder() -> &'static str {
    static HOLDER: OnceLock<String> = OnceLock::new();
    HOLDER.get_or_init(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        format!(
            "host {}, pid {}, since {}",
            host.trim(),
            std::process::id(),
            utc(since)
        )
    })
}

/// Seconds since 1970 as `YYYY-MM-DD HH:MM:SSZ`.
fn utc(seconds: u64) -> String {
    let days = i64::try_from(seconds / 86_400).unwrap_or_default();
    let (year, month, day) = crate::calendar::civil_from_days(days);
    let of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_locks_of_their_own() {
        assert_ne!(lock_key("a"), lock_key("b"));
        assert_eq!(lock_key("a"), lock_key("a"));
    }

    #[test]
    fn seconds_print_as_utc() {
        assert_eq!(utc(1_700_000_000), "2023-11-14 22:13:20Z");
    }
}
