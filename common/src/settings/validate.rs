//! From what users write to what the programs work with: defaults, and all that is wrong said
//! at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{Raw, RawDesc, RawLoader, RawMetrics, RawMiner, RawMysql, RawSource, RawStatsd};
use super::{
    EmptyString, LoaderSettings, MetricsSettings, MinerSettings, NulByte, ProcessEnvironment,
    Settings, SourceSettings, SourceSslMode, StartPoint, StatsdSettings, TableList, TargetSettings,
    TaskSettings, ZeroDate, default_server_id, rules, start_position,
};
use crate::pg::Conninfo;
use crate::position::BinlogPosition;
use crate::secret::{Secret, readable_by_others};

/// A batch's rows lie at places of 32 bits, and it may grow to several times this.
const MOST_BATCH_BYTES: usize = 128 << 20;

impl Raw {
    /// Fills in the defaults and checks values and what belongs together.
    pub(super) fn validate(
        self,
        path: &Path,
        environment: &ProcessEnvironment,
    ) -> Result<Settings, Vec<String>> {
        let mut check = Check {
            folder: path.parent().unwrap_or_else(|| Path::new("")).to_owned(),
            problems: Vec::new(),
            notices: Vec::new(),
        };
        self.note_ignored(&mut check);
        let local_secret =
            check.password_file("local.pgsql", self.local.pgsql.password_file.as_deref());
        let staging = check.conninfo(
            "local.pgsql",
            self.local.pgsql.connect_string.as_deref(),
            local_secret.as_ref(),
            environment,
        );
        let task = TaskSettings {
            name: self
                .task
                .name
                .clone()
                .or_else(|| {
                    staging
                        .as_ref()
                        .map(|staging| staging.database().to_owned())
                })
                .unwrap_or_default(),
            lock_timeout: Duration::from_secs(self.task.lock_timeout.unwrap_or(60)),
            keepalive_timeout: Duration::from_secs(self.task.keepalive_timeout.unwrap_or(30)),
        };
        let source = self.src.mysql.validate(&task.name, &mut check);
        let target = self.desc.pgsql.validate(environment, &mut check);
        let miner = self.binlogminer.validate(&mut check);
        let database = source
            .as_ref()
            .map(|source| source.database.clone())
            .unwrap_or_default();
        let tables = check.table_list(&self.binlogloader, &self.source, &database);
        let loader = self.binlogloader.validate(&mut check);
        let rules = rules::validate(self.rule, &mut check.problems);
        let metrics = metrics(self.metrics, self.statsd, &mut check);
        let Check {
            problems, notices, ..
        } = check;
        match (source, staging, target, tables) {
            (Some(source), Some(staging), Some(target), Some(tables)) if problems.is_empty() => {
                Ok(Settings {
                    path: path.into(),
                    task,
                    source,
                    staging,
                    target,
                    miner,
                    loader,
                    tables,
                    rules,
                    metrics,
                    notices,
                })
            }
            _ => Err(problems),
        }
    }

    fn note_ignored(&self, check: &mut Check) {
        if self.src.pgsql.is_some() {
            check.notices.push(
                "[src.pgsql] is ignored: it belongs to the full loads of the original tool".into(),
            );
        }
        let loader = &self.binlogloader;
        if loader.concurrent_size.is_some() || loader.concurrent_ack_win.is_some() {
            check.notices.push(
                "concurrent_size and concurrent_ack_win are ignored: a batch is applied by one connection"
                    .into(),
            );
        }
    }
}

/// Collects what is wrong, so that all of it is said at once.
struct Check {
    folder: PathBuf,
    problems: Vec<String>,
    notices: Vec<String>,
}

impl Check {
    fn required<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems.push(format!("{key} is missing"));
        }
        value
    }

    fn one_of<T: Copy>(
        &mut self,
        key: &str,
        value: Option<&str>,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let Some(value) = value else { return default };
        match choices.iter().find(|(name, _)| *name == value) {
            Some((_, choice)) => *choice,
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                self.problems
                    .push(format!("{key} wants one of {}", names.join(", ")));
                default
            }
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    fn password_file(&mut self, section: &str, path: Option<&Path>) -> Option<Secret> {
        let path = self.resolve(path?);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                if readable_by_others(&path) {
                    self.notices.push(format!(
                        "{section}.password_file {} is readable by others: chmod 0600 it",
                        path.display()
                    ));
                }
                Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
            }
            Err(error) => {
                self.problems.push(format!(
                    "{section}.password_file {}: {error}",
                    path.display()
                ));
                None
            }
        }
    }

    fn conninfo(
        &mut self,
        section: &str,
        text: Option<&str>,
        password: Option<&Secret>,
        environment: &ProcessEnvironment,
    ) -> Option<Conninfo> {
        let text = self.required(&format!("{section}.connect_string"), text)?;
        match Conninfo::parse(text, password, &environment.conninfo(&self.folder)) {
            Ok(conninfo) => Some(conninfo),
            Err(error) => {
                self.problems
                    .push(format!("{section}.connect_string: {error}"));
                None
            }
        }
    }

    fn table_list(
        &mut self,
        loader: &RawLoader,
        sources: &[RawSource],
        database: &str,
    ) -> Option<TableList> {
        if loader.loader_table_list.is_some() && !sources.is_empty() {
            self.problems
                .push("binlogloader.loader_table_list and [[source]] exclude each other".into());
            return None;
        }
        let list = match &loader.loader_table_list {
            None if sources.is_empty() => return Some(TableList::all_of(database)),
            None => {
                let mut list = TableList::empty();
                for source in sources {
                    for table in &source.tables {
                        list.push(source.schema.as_deref().unwrap_or(database), table);
                    }
                }
                list
            }
            Some(path) => {
                let path = self.resolve(path);
                match TableList::read(&path, database) {
                    Ok(list) => list,
                    Err(error) => {
                        self.problems.push(format!(
                            "binlogloader.loader_table_list {}: {error}",
                            path.display()
                        ));
                        return None;
                    }
                }
            }
        };
        if list.is_empty() {
            self.problems.push(
                "the table list names no table: leave it out to replicate every table of db".into(),
            );
        }
        Some(list)
    }
}

impl RawMysql {
    fn validate(self, task: &str, check: &mut Check) -> Option<SourceSettings> {
        let host = check.required("src.mysql.host", self.host);
        let user = check.required("src.mysql.user", self.user);
        let database = check.required("src.mysql.db", self.db);
        let password = check
            .password_file("src.mysql", self.password_file.as_deref())
            .unwrap_or_else(|| Secret::new(self.password.unwrap_or_default()));
        let start = start_point(
            self.binlogfile.as_deref(),
            self.binlogfile_offset,
            self.gtid_set,
            check,
        );
        let consistent_from = self.consistent_from.and_then(|text| {
            let position = text.parse::<BinlogPosition>();
            if position.is_err() {
                check
                    .problems
                    .push("src.mysql.consistent_from wants FILE:POS".into());
            }
            position.ok()
        });
        let ssl_mode = check.one_of(
            "src.mysql.ssl_mode",
            self.ssl_mode.as_deref(),
            &[
                ("preferred", SourceSslMode::Preferred),
                ("disabled", SourceSslMode::Disabled),
                ("required", SourceSslMode::Required),
                ("verify_ca", SourceSslMode::VerifyCa),
                ("verify_identity", SourceSslMode::VerifyIdentity),
            ],
            SourceSslMode::Preferred,
        );
        if matches!(
            ssl_mode,
            SourceSslMode::VerifyCa | SourceSslMode::VerifyIdentity
        ) && self.ssl_ca.is_none()
        {
            check
                .problems
                .push("src.mysql.ssl_mode verify_ca and verify_identity need ssl_ca".into());
        }
        let time_zone = self.time_zone.as_deref().unwrap_or("+00:00");
        let time_zone_minutes = parse_offset(time_zone);
        if time_zone_minutes.is_none() {
            check
                .problems
                .push("src.mysql.time_zone wants an offset such as +00:00 or -05:30".into());
        }
        let is_socket = host
            .as_deref()
            .is_some_and(|host: &str| host.starts_with('/'));
        if is_socket && !matches!(ssl_mode, SourceSslMode::Preferred | SourceSslMode::Disabled) {
            check.problems.push(
                "src.mysql.ssl_mode must be preferred or disabled over a socket, which needs no TLS"
                    .into(),
            );
        }
        if self.ssl_cert.is_some() != self.ssl_key.is_some() {
            check
                .problems
                .push("src.mysql.ssl_cert and ssl_key go together".into());
        }
        if self.serverid == Some(0) {
            check
                .problems
                .push("src.mysql.serverid must not be 0".into());
        }
        let port = self.port.unwrap_or(3306);
        let (host, start) = (host?, start?);
        let server_id = self
            .serverid
            .unwrap_or_else(|| default_server_id(&format!("{host}:{port}"), task));
        Some(SourceSettings {
            host,
            port,
            user: user?,
            password,
            database: database?,
            start,
            consistent_from,
            server_id,
            ssl_mode,
            ssl_ca: self.ssl_ca.map(|path| check.resolve(&path)),
            ssl_cert: self.ssl_cert.map(|path| check.resolve(&path)),
            ssl_key: self.ssl_key.map(|path| check.resolve(&path)),
            server_public_key: self.server_public_key.map(|path| check.resolve(&path)),
            connect_timeout: Duration::from_secs(self.connect_timeout.unwrap_or(10).max(1)),
            time_zone_minutes: time_zone_minutes?,
        })
    }
}

fn start_point(
    file: Option<&str>,
    offset: Option<u64>,
    gtid_set: Option<String>,
    check: &mut Check,
) -> Option<StartPoint> {
    match (file, gtid_set) {
        (Some(_), Some(_)) => {
            check
                .problems
                .push("src.mysql.binlogfile and gtid_set exclude each other".into());
            None
        }
        (None, Some(set)) => match set.parse() {
            Ok(set) => Some(StartPoint::GtidSet(set)),
            Err(error) => {
                check.problems.push(format!(
                    "src.mysql.gtid_set wants a set such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77 (MySQL) or a \
                     position such as 0-1-270 (MariaDB): {error}"
                ));
                None
            }
        },
        (Some(file), None) => {
            let position = start_position(file, offset);
            if position.is_none() {
                check.problems.push(
                    "src.mysql.binlogfile wants a binlog file name such as mysql-bin.000001".into(),
                );
            }
            position.map(StartPoint::Position)
        }
        (None, None) => {
            check.problems.push(
                "src.mysql.binlogfile is missing: name the binlog file to start from (SHOW BINARY LOGS lists them); \
                 a configuration of rds_dbsync has none, and its full loads are not part of this tool"
                    .into(),
            );
            None
        }
    }
}

/// `+HH:MM` or `-HH:MM` as minutes east of UTC, to 14 hours either way.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then(|| sign * (i32::from(hours) * 60 + i32::from(minutes)))
}

impl RawDesc {
    fn validate(
        self,
        environment: &ProcessEnvironment,
        check: &mut Check,
    ) -> Option<TargetSettings> {
        let secret = check.password_file("desc.pgsql", self.password_file.as_deref());
        let conninfo = check.conninfo(
            "desc.pgsql",
            self.connect_string.as_deref(),
            secret.as_ref(),
            environment,
        );
        let empty_string = check.one_of(
            "desc.pgsql.empty_string",
            self.empty_string.as_deref(),
            &[("keep", EmptyString::Keep), ("null", EmptyString::Null)],
            EmptyString::Keep,
        );
        match self.ddl.as_deref() {
            None | Some("stop") => {}
            Some("apply") => check
                .problems
                .push("desc.pgsql.ddl = \"apply\" is reserved: use \"stop\"".into()),
            Some(_) => check.problems.push("desc.pgsql.ddl wants stop".into()),
        }
        Some(TargetSettings {
            conninfo: conninfo?,
            schema: self.target_schema.unwrap_or_else(|| "public".into()),
            dead_letter_limit: self.ignore_copy_error_count_each_table.unwrap_or(0),
            allow_unlogged_cascades: self.allow_unlogged_cascades.unwrap_or(false),
            empty_string,
        })
    }
}

impl RawMiner {
    fn validate(self, check: &mut Check) -> MinerSettings {
        let settings = MinerSettings {
            stage_batch_bytes: self.stage_batch_bytes.unwrap_or(1024 * 1024).max(1),
            queue_bytes: self.queue_bytes.unwrap_or(2 * 1024 * 1024).max(1),
            staging_soft_limit: self.staging_soft_limit.unwrap_or(20 << 30),
            staging_hard_limit: self.staging_hard_limit.unwrap_or(100 << 30),
            nul_byte: check.one_of(
                "binlogminer.nul_byte",
                self.nul_byte.as_deref(),
                &[
                    ("error", NulByte::Error),
                    ("strip", NulByte::Strip),
                    ("replace", NulByte::Replace),
                ],
                NulByte::Error,
            ),
            stage_before_image: self.stage_before_image.unwrap_or(false),
        };
        if settings.staging_soft_limit > settings.staging_hard_limit {
            check
                .problems
                .push("binlogminer.staging_soft_limit must not exceed staging_hard_limit".into());
        }
        settings
    }
}

fn metrics(metrics: RawMetrics, statsd: RawStatsd, check: &mut Check) -> MetricsSettings {
    let addresses = [
        ("listen", &metrics.listen),
        ("miner_listen", &metrics.miner_listen),
    ];
    for (key, address) in addresses {
        let port = address.as_deref().map(|address| address.rsplit_once(':'));
        let is_address = port.is_none_or(|split| {
            split.is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        });
        if !is_address {
            check.problems.push(format!(
                "metrics.{key} wants HOST:PORT such as 127.0.0.1:9187"
            ));
        }
    }
    if metrics.listen.is_some() && metrics.listen == metrics.miner_listen {
        check.problems.push(
            "metrics.listen and miner_listen must differ: loader and miner each have a port".into(),
        );
    }
    if statsd.host.is_none() && (statsd.port.is_some() || statsd.prefix.is_some()) {
        check.problems.push("statsd.host is missing".into());
    }
    MetricsSettings {
        listen: metrics.listen,
        miner_listen: metrics.miner_listen,
        statsd: statsd.host.map(|host| StatsdSettings {
            host,
            port: statsd.port.unwrap_or(8125),
            prefix: statsd.prefix.unwrap_or_else(|| "mysql2gp".into()),
        }),
    }
}

impl RawLoader {
    fn validate(self, check: &mut Check) -> LoaderSettings {
        LoaderSettings {
            load_batch: self.load_batch.unwrap_or(1).max(1),
            load_batch_gap: Duration::from_secs(self.load_batch_gap.unwrap_or(0)),
            keep_applied: Duration::from_secs(self.keep_applied_seconds.unwrap_or(3600)),
            batch_bytes: self
                .batch_bytes
                .unwrap_or(12 * 1024 * 1024)
                .clamp(1, MOST_BATCH_BYTES),
            zero_date: match self.zero_date.as_deref() {
                None | Some("null") => ZeroDate::Null,
                Some("error") => ZeroDate::Error,
                Some(date) if is_date(date) => ZeroDate::StandIn(date.into()),
                Some(_) => {
                    check.problems.push(
                        "binlogloader.zero_date wants null, error or a date such as 0001-01-01"
                            .into(),
                    );
                    ZeroDate::Null
                }
            },
            skip_no_pk_table: self.skip_no_pk_table.unwrap_or(false),
        }
    }
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut next = |length, range: std::ops::RangeInclusive<u16>| {
        parts
            .next()
            .filter(|part| part.len() == length)
            .and_then(|part| part.parse::<u16>().ok())
            .is_some_and(|number| range.contains(&number))
    };
    next(4, 1..=9999) && next(2, 1..=12) && next(2, 1..=31) && parts.next().is_none()
}
