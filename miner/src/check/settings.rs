//! The source's version, settings and what its user may do.

use std::io::Write;

use common::check::Report;
use common::error::ErrorClass;
use common::settings::{Settings, SourceSslMode};

use super::staged::Staged;
use crate::error::MinerError;
use crate::source::{Flavor, Granted, Questions};

/// Looks at everything that does not depend on tables or positions.
pub(super) fn look<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
    staged: Option<&Staged>,
) -> Result<(), MinerError> {
    report.ok(format!(
        "source {} answers, version {}, log {}",
        settings.source.address(),
        source.server.version,
        source.server.log_id
    ));
    look_at_version(report, source);
    look_at_tls(report, settings, source)?;
    look_at_images(report, source);
    look_at_metadata(report, source);
    look_at_durability(report, source);
    look_at_gtids(report, source);
    look_at_chain(report, source);
    look_at_privileges(report, settings, source)?;
    look_at_server_id(report, settings, source, staged);
    report.add(&source.clock()?);
    let zone = settings.source.time_zone_minutes;
    report.ok(format!(
        "time_zone in [src.mysql] is {}{:02}:{:02}: TIMESTAMP is written so into target columns without time zone, and \
         exactly into those with one",
        if zone < 0 { '-' } else { '+' },
        zone.abs() / 60,
        zone.abs() % 60
    ));
    Ok(())
}

fn look_at_version<W: Write>(report: &mut Report<W>, source: &Questions) {
    let server = &source.server;
    let mut numbers = server
        .version
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or_default());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let (least, product) = match server.flavor {
        Flavor::MySql => ((5, 7), "MySQL 5.7"),
        Flavor::MariaDb => ((10, 5), "MariaDB 10.5"),
    };
    if version < least {
        report.warn(format!(
            "source is older than {product}, the oldest version that this program is made for (upgrade it)"
        ));
    }
}

fn look_at_tls<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
) -> Result<(), MinerError> {
    if settings.source.is_local() {
        return Ok(());
    }
    let cipher = source.cipher()?;
    let verified = matches!(settings.source.ssl_mode, SourceSslMode::VerifyIdentity);
    match (cipher.is_empty(), verified) {
        (true, _) => report.warn(
            "source: rows travel without TLS from another host (ssl_mode = verify_identity with ssl_ca in [src.mysql])",
        ),
        (false, true) => report.ok(format!("source: TLS, verified, {cipher}")),
        (false, false) => report.warn(
            "source: TLS to a server that is not verified (ssl_mode = verify_identity with ssl_ca in [src.mysql])",
        ),
    }
    Ok(())
}

fn look_at_images<W: Write>(report: &mut Report<W>, source: &Questions) {
    for (variable, result) in source.server.row_images() {
        match result {
            Ok(value) => report.ok(format!("source has {variable} = {value}")),
            Err(error) => report.fail_by(error.class(), &error),
        }
    }
    let options = source.server.variable("binlog_row_value_options");
    if !options.is_empty() {
        report.fail(
            ErrorClass::Operator,
            format!(
                "source has binlog_row_value_options = {options}: an update of a JSON column is logged in part (set \
                 global binlog_row_value_options = '', and reconnect the applications)"
            ),
        );
    }
    if source.server.variable("binlog_checksum") == "NONE" {
        report.warn(
            "source has binlog_checksum = NONE: a damaged event may pass unnoticed (set global binlog_checksum = 'CRC32')",
        );
    }
}

fn look_at_metadata<W: Write>(report: &mut Report<W>, source: &Questions) {
    let server = &source.server;
    match server.variable("binlog_row_metadata") {
        value if value.eq_ignore_ascii_case("FULL") => {
            report.ok("source logs column names (binlog_row_metadata = FULL)");
        }
        "" => report.warn(
            "source cannot log column names (binlog_row_metadata comes with MySQL 8.0.1 and MariaDB 10.5): definitions \
             come from information_schema, and a DDL statement between an event and its reading stops the miner",
        ),
        _ => report.warn(
            "source does not log column names: definitions come from information_schema; \
             set global binlog_row_metadata = 'FULL', and reconnect the applications",
        ),
    }
}

/// What a crash of the source's host may take from its log.
fn look_at_durability<W: Write>(report: &mut Report<W>, source: &Questions) {
    let lacking: Vec<&str> = ["sync_binlog", "innodb_flush_log_at_trx_commit"]
        .into_iter()
        .filter(|name| !["", "1"].contains(&source.server.variable(name)))
        .collect();
    if !lacking.is_empty() {
        report.warn(format!(
            "source has {} other than 1: after a crash of its host, what was mined already may be lost there \
             (set global {} = 1)",
            lacking.join(" and "),
            lacking.join(" = 1; set global ")
        ));
    }
}

fn look_at_gtids<W: Write>(report: &mut Report<W>, source: &Questions) {
    match source.server.flavor {
        Flavor::MariaDb => report.ok("source has GTIDs: another server of its group can take its place"),
        Flavor::MySql if source.server.has_gtids() => report.ok(format!(
            "source has gtid_mode = {}: another server of its group can take its place",
            source.server.variable("gtid_mode")
        )),
        Flavor::MySql => report.warn(
            "source has gtid_mode = OFF: no other server can take its place without loading anew (gtid_mode = ON and \
             enforce_gtid_consistency = ON)",
        ),
    }
}

fn look_at_chain<W: Write>(report: &mut Report<W>, source: &mut Questions) {
    let off = |name: &str| {
        let value = source.server.variable(name);
        value.eq_ignore_ascii_case("OFF") || value == "0"
    };
    if (off("log_slave_updates") || off("log_replica_updates")) && source.is_replica() == Some(true)
    {
        report.fail(
            ErrorClass::Operator,
            "source is a replica itself and does not log what it replicates: set log_slave_updates (MySQL 8: \
             log_replica_updates) in its configuration and restart it, or mine its primary",
        );
    }
}

fn look_at_privileges<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
) -> Result<(), MinerError> {
    let user = &settings.source.user;
    match source.may_read_the_log()? {
        Granted::Yes => report.ok(format!("source: user {user} may read the binlog")),
        Granted::No => report.fail(
            ErrorClass::Usage,
            format!(
                "source: user {user} may not read the binlog (grant replication slave, replication client on *.* to it)"
            ),
        ),
        Granted::ByARole => report.warn(format!(
            "source: user {user} may read the binlog only by a role: it must be a default role of the user (set default \
             role), or grant replication slave, replication client on *.* to it"
        )),
    }
    Ok(())
}

fn look_at_server_id<W: Write>(
    report: &mut Report<W>,
    settings: &Settings,
    source: &mut Questions,
    staged: Option<&Staged>,
) {
    let id = settings.source.server_id;
    if source.server.variable("server_id") == id.to_string() {
        report.fail(
            ErrorClass::Operator,
            format!(
                "serverid {id} is the source's own: set serverid in [src.mysql] to a number that no server of the \
                 replication group has"
            ),
        );
        return;
    }
    let runs = staged.is_some_and(|staged| staged.is_running);
    match source.replicas() {
        Some(ids) if !runs && ids.contains(&id) => report.warn(format!(
            "serverid {id} is registered at the source: unless that was this task's miner, which has just ended, another \
             replica has it (set serverid in [src.mysql] to a number that no other replica has)"
        )),
        Some(_) => report.ok(format!("serverid {id} is no other replica's")),
        None => report.ok(format!(
            "serverid {id} is not the source's; whether another replica has it shows when the miner runs"
        )),
    }
}
