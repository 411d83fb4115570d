//! `my.cfg` and its environment: read once, validated once, handed out as small structs.
//!
//! Layers: defaults, then the file, then the environment (`MYSQL2GP__SECTION__KEY`).
//! `raw` holds what users write, this module what the programs work with; nothing below
//! `main` sees the raw form. No error shows a value of the file: one of them is a password.

mod error;
mod keys;
mod raw;
mod rules;
mod tables;
mod validate;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::SettingsError;
pub use rules::{ColumnRules, Constant, Keys, Role, Rule};
pub use tables::{Pattern, TableList};

use crate::gtid::GtidSet;
use crate::pg::conninfo::{self, Conninfo};
use crate::position::{BinlogFile, BinlogPosition};
use crate::secret::{Secret, readable_by_others};

/// Everything the two programs are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file that was read.
    pub path: PathBuf,
    /// The task.
    pub task: TaskSettings,
    /// `[src.mysql]`.
    pub source: SourceSettings,
    /// `[local.pgsql]`.
    pub staging: Conninfo,
    /// `[desc.pgsql]`.
    pub target: TargetSettings,
    /// `[binlogminer]`.
    pub miner: MinerSettings,
    /// `[binlogloader]`.
    pub loader: LoaderSettings,
    /// Which source tables are replicated.
    pub tables: TableList,
    /// `[[rule]]`, in file order; the first that matches decides.
    pub rules: Vec<Rule>,
    /// `[metrics]` and `[statsd]`.
    pub metrics: MetricsSettings,
    /// What a person should know about the file: ignored sections and keys, permissions.
    pub notices: Vec<String>,
}

/// `[task]`.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Keys the checkpoint and the locks.
    pub name: String,
    /// How long a newcomer waits for the holder of the task's lock.
    pub lock_timeout: Duration,
    /// After how long a server gives up the connection, and with it the lock, of a dead host.
    pub keepalive_timeout: Duration,
}

/// How to start mining, the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartPoint {
    /// `binlogfile` and `binlogfile_offset`.
    Position(BinlogPosition),
    /// `gtid_set`: what the target has already; everything else comes.
    GtidSet(GtidSet),
}

impl fmt::Display for StartPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::GtidSet(set) => write!(f, "gtid_set {set}"),
        }
    }
}

/// TLS to the source, as MySQL's clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSslMode {
    /// Never.
    Disabled,
    /// When the server offers it, unverified.
    Preferred,
    /// Always, unverified.
    Required,
    /// Always, chain verified.
    VerifyCa,
    /// Always, chain and host name verified.
    VerifyIdentity,
}

impl fmt::Display for SourceSslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::VerifyCa => "verify_ca",
            Self::VerifyIdentity => "verify_identity",
        })
    }
}

/// `[src.mysql]`.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Host name, address, or a socket path that starts with `/`.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password, possibly empty.
    pub password: Secret,
    /// Database of unqualified names in the table list.
    pub database: String,
    /// Where mining starts when nothing is staged yet.
    pub start: StartPoint,
    /// Position up to which the target may already hold changes, as configured.
    pub consistent_from: Option<BinlogPosition>,
    /// Replica server id, unique among the source's replicas.
    pub server_id: u32,
    /// TLS.
    pub ssl_mode: SourceSslMode,
    /// CA certificates, PEM.
    pub ssl_ca: Option<PathBuf>,
    /// Client certificate, PEM.
    pub ssl_cert: Option<PathBuf>,
    /// Client key, PEM.
    pub ssl_key: Option<PathBuf>,
    /// RSA public key of the server, for caching_sha2_password without TLS.
    pub server_public_key: Option<PathBuf>,
    /// How long one connection attempt, and `--once` as a whole, may wait.
    pub connect_timeout: Duration,
    /// Offset from UTC in minutes, for TIMESTAMP in target columns without time zone.
    pub time_zone_minutes: i32,
}

impl SourceSettings {
    /// Whether `host` is a unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether nobody but this host's own processes can answer.
    pub fn is_local(&self) -> bool {
        self.is_socket()
            || self.host == "localhost"
            || self
                .host
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }

    /// Host and port for messages.
    pub fn address(&self) -> String {
        if self.is_socket() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What happens to the empty string, for targets on which it is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyString {
    /// Stays as it is.
    Keep,
    /// Becomes NULL.
    Null,
}

/// `[desc.pgsql]`.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// How to connect.
    pub conninfo: Conninfo,
    /// Schema of target tables without a rule.
    pub schema: String,
    /// Rows per table that may go to the dead letters before the loader stops.
    pub dead_letter_limit: u64,
    /// Whether cascades that the source does not log are the operator's concern.
    pub allow_unlogged_cascades: bool,
    /// Empty strings.
    pub empty_string: EmptyString,
}

impl fmt::Display for EmptyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Null => "null",
        })
    }
}

/// What happens to 0x00 in text, which PostgreSQL cannot store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NulByte {
    /// Stop.
    Error,
    /// Leave it out.
    Strip,
    /// Put U+FFFD in its place.
    Replace,
}

impl fmt::Display for NulByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Strip => "strip",
            Self::Replace => "replace",
        })
    }
}

/// `[binlogminer]`.
#[derive(Clone, Debug)]
pub struct MinerSettings {
    /// Staged text after which a staging commit is due at the next transaction end.
    pub stage_batch_bytes: usize,
    /// Bytes of events read ahead of the writer.
    pub queue_bytes: usize,
    /// Size of staging above which the miner waits for the loader.
    pub staging_soft_limit: u64,
    /// Size of staging at which the miner stops.
    pub staging_hard_limit: u64,
    /// 0x00 in text.
    pub nul_byte: NulByte,
    /// Whether every update and delete carries the full before image.
    pub stage_before_image: bool,
}

/// What becomes of zero and partial dates on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZeroDate {
    /// NULL.
    Null,
    /// Stop.
    Error,
    /// This date.
    StandIn(String),
}

impl fmt::Display for ZeroDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Error => "error",
            Self::StandIn(date) => date,
        })
    }
}

/// `[binlogloader]`.
#[derive(Clone, Debug)]
pub struct LoaderSettings {
    /// Row events after which a waiting batch is applied at once.
    pub load_batch: u64,
    /// Longest wait for `load_batch` row events.
    pub load_batch_gap: Duration,
    /// How long applied events stay in staging.
    pub keep_applied: Duration,
    /// Net bytes after which a batch ends at the next transaction; at most 128 MiB.
    pub batch_bytes: usize,
    /// Zero and partial dates.
    pub zero_date: ZeroDate,
    /// Whether tables without a key are left out.
    pub skip_no_pk_table: bool,
}

/// `[metrics]` and `[statsd]`.
#[derive(Clone, Debug, Default)]
pub struct MetricsSettings {
    /// Where the loader serves its figures.
    pub listen: Option<String>,
    /// Where the miner does.
    pub miner_listen: Option<String>,
    /// Where both send theirs.
    pub statsd: Option<StatsdSettings>,
}

/// `[statsd]`.
#[derive(Clone, Debug)]
pub struct StatsdSettings {
    /// Host name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// What names begin with, before a dot.
    pub prefix: String,
}

/// What of the process environment the settings depend on.
#[derive(Clone, Debug, Default)]
pub struct ProcessEnvironment {
    variables: HashMap<String, String>,
}

impl ProcessEnvironment {
    /// The environment of this process; variables that are not Unicode are left out.
    pub fn current() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn conninfo(&self, folder: &Path) -> conninfo::Environment {
        conninfo::Environment {
            user: self
                .get("PGUSER")
                .or_else(|| self.get("USER"))
                .or_else(|| self.get("LOGNAME"))
                .map(str::to_owned),
            pgpassfile: self.get("PGPASSFILE").map(PathBuf::from),
            home: self.get("HOME").map(PathBuf::from),
            folder: folder.into(),
        }
    }
}

impl FromIterator<(String, String)> for ProcessEnvironment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }
}

/// The configuration file to read: `-c FILE`, else `$MYSQL2GP_CONFIG`, else `my.cfg`, else
/// `my.cnf` in the working directory.
pub fn config_path(flag: Option<&Path>, environment: &ProcessEnvironment) -> PathBuf {
    if let Some(path) = flag {
        return path.into();
    }
    if let Some(path) = environment.get("MYSQL2GP_CONFIG") {
        return path.into();
    }
    let cnf = Path::new("my.cnf");
    if !Path::new("my.cfg").exists() && cnf.exists() {
        return cnf.into();
    }
    "my.cfg".into()
}

impl Settings {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// All that is wrong with it, in one error.
    pub fn load(path: &Path, environment: &ProcessEnvironment) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.into(),
            source,
        })?;
        let raw = raw::parse(&text, &environment.variables).map_err(|error| error.in_file(path))?;
        let mut settings =
            raw.validate(path, environment)
                .map_err(|problems| SettingsError::Invalid {
                    path: path.into(),
                    problems,
                })?;
        if raw::holds_password(&text) && readable_by_others(path) {
            settings.notices.push(format!(
                "{} holds a password and is readable by others: chmod 0600 it, or use password_file",
                path.display()
            ));
        }
        Ok(settings)
    }
}

/// A replica server id that differs from task to task and from source to source, far from
/// the small numbers that people give their servers. FNV-1a, 32 bits.
fn default_server_id(address: &str, task: &str) -> u32 {
    let hash = address
        .bytes()
        .chain([0])
        .chain(task.bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    hash | 0x4000_0000
}

/// `FILE` with `.000001`-style suffix, at `offset`.
fn start_position(file: &str, offset: Option<u64>) -> Option<BinlogPosition> {
    let file: BinlogFile = file.parse().ok()?;
    Some(BinlogPosition::new(
        file,
        offset
            .unwrap_or(BinlogPosition::FIRST_OFFSET)
            .max(BinlogPosition::FIRST_OFFSET),
    ))
}

#[cfg(test)]
mod tests;
