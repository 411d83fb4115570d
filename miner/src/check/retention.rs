//! Whether the log still has what comes next, and for how long.

use std::io::Write;
use std::time::{Duration, SystemTime};

use common::check::Report;
use common::error::chain;
use common::position::BinlogPosition;
use common::settings::{Settings, StartPoint};

use super::fail;
use super::staged::Staged;
use crate::error::MinerError;
use crate::learn::file_created;
use crate::source::{LogFiles, Questions, SourceError, SourceSession};

/// A source that keeps its log for less than this leaves little time for a repair.
const SHORT: Duration = Duration::from_secs(86_400);

/// Looks at what comes next, staged or configured, and at how long it stays.
pub(super) fn look<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
    files: &LogFiles,
    staged: Option<&Staged>,
) -> Result<(), MinerError> {
    let kept = look_at_expiry(report, source);
    look_at_recorded_start(report, settings, staged);
    let position = staged.and_then(|staged| Some((staged, staged.position.as_ref()?)));
    let Some((staged, position)) = position else {
        return look_at_start(report, settings, files);
    };
    if staged.log_id.as_ref() != Some(&source.server.log_id) {
        return look_at_other_server(report, source, staged);
    }
    if !files.contains(position) {
        let error = SourceError::Purged {
            position: position.clone(),
            available: files.describe(),
        };
        report.fail_by(error.class(), &error);
        return Ok(());
    }
    report.ok(format!("staged position {position} is there"));
    if let Some(kept) = kept {
        look_at_time_left(report, settings, source, files, position, kept);
    }
    Ok(())
}

/// How long the source keeps a file of its log; `None` for ever.
fn look_at_expiry<W: Write>(report: &mut Report<W>, source: &Questions) -> Option<Duration> {
    let number = |name: &str| {
        source
            .server
            .variable(name)
            .parse::<f64>()
            .unwrap_or_default()
    };
    let days = number("expire_logs_days") * 86_400.0;
    let seconds = number("binlog_expire_logs_seconds");
    let seconds = if seconds > 0.0 { seconds } else { days };
    let by_size = number("max_binlog_total_size");
    if by_size > 0.0 {
        report.warn(format!(
            "source purges its binlogs above max_binlog_total_size = {by_size:.0} bytes, however old: an outage in which \
             it writes more than that loses changes"
        ));
    }
    let off = source
        .server
        .variable("binlog_expire_logs_auto_purge")
        .eq_ignore_ascii_case("OFF");
    if seconds <= 0.0 || off {
        report.ok("source keeps its binlogs until they are purged by hand");
        return None;
    }
    let kept = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let text = format!("source keeps its binlogs for {}", span(kept));
    if kept < SHORT {
        report.warn(format!(
            "{text}: an outage that takes longer loses changes (set global binlog_expire_logs_seconds = 604800; before \
             MySQL 8.0 and MariaDB 10.6: expire_logs_days = 7)"
        ));
    } else {
        report.ok(text);
    }
    Some(kept)
}

/// The start counts once; another one later is a mistake.
fn look_at_recorded_start<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    staged: Option<&Staged>,
) {
    let configured = settings.source.start.to_string();
    if let Some(recorded) = staged.and_then(|staged| staged.start.clone())
        && recorded != configured
    {
        let error = MinerError::OtherStart {
            task: settings.task.name.clone(),
            configured,
            recorded,
        };
        fail(report, &error);
    }
}

fn look_at_start<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    files: &LogFiles,
) -> Result<(), MinerError> {
    let start = &settings.source.start;
    match start {
        StartPoint::Position(position) if files.contains(position) => {
            report.ok(format!("configured start {position} is there"));
        }
        StartPoint::Position(_) => report.warn(format!(
            "configured start {start} is not there, the source has {}: set binlogfile to one of them, unless the target \
             has a checkpoint of this task to go on from",
            files.describe()
        )),
        // Settings that are refused are told already.
        StartPoint::GtidSet(set) => match SourceSession::open(&settings.source)
            .and_then(|mut session| session.require_start(set))
        {
            Ok(()) => report.ok(format!("configured start {start} is there")),
            Err(error @ SourceError::GtidsPurged { .. }) => report.warn(chain(&error)),
            Err(error) => fail(report, &error.into()),
        },
    }
    Ok(())
}

fn look_at_other_server<W: Write>(
    report: &mut Report<W>,
    source: &mut Questions,
    staged: &Staged,
) -> Result<(), MinerError> {
    let found = source.server.log_id.clone();
    let Some(expected) = staged.log_id.clone() else {
        return Ok(());
    };
    let state = source.gtid_state()?;
    let had = staged.gtid_set.as_ref().filter(|set| !set.is_empty());
    match had {
        Some(had) if had.is_subset(&state.executed) && state.purged.is_subset(had) => {
            report.warn(format!(
                "source is another server ({found}) than the one that was mined ({expected}): the miner goes on there by \
                 GTID"
            ));
        }
        _ => {
            let error = SourceError::NoContinuation {
                expected,
                found,
                reason: "its GTIDs do not continue what was mined".into(),
            };
            report.fail_by(error.class(), &error);
        }
    }
    Ok(())
}

/// A file expires when its last change is too old, which is when the next one was created.
fn look_at_time_left<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &Questions,
    files: &LogFiles,
    position: &BinlogPosition,
    kept: Duration,
) {
    let Some(next) = files.after(&position.file) else {
        report.ok(format!(
            "the staged position is in the newest binlog: {} are left for an outage",
            span(kept)
        ));
        return;
    };
    let begin = BinlogPosition::new(next, BinlogPosition::FIRST_OFFSET);
    let Ok(Some(created)) = file_created(&settings.source, &source.server, begin) else {
        return;
    };
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(created)) + kept;
    let left = expires
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let text = format!(
        "the source may purge {}, which holds the staged position, in {}",
        position.file,
        span(left)
    );
    if left < kept / 4 {
        report.warn(format!(
            "{text} (start binlog_miner, or raise binlog_expire_logs_seconds or expire_logs_days at the source)"
        ));
    } else {
        report.ok(text);
    }
}

/// A length of time for a person.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_readable() {
        let text = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(text(90), "90 s");
        assert_eq!(text(3600), "60 minutes");
        assert_eq!(text(86_400), "24 hours");
        assert_eq!(text(2_592_000), "30 days");
    }
}
