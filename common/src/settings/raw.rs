//! `my.cfg` as users write it: every key optional, numbers quoted or not.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;

use crate::pg::conninfo;

use super::error::ParseError;
use super::keys::{unknown_keys, unknown_variables};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub(super) task: RawTask,
    pub(super) src: RawSrc,
    pub(super) local: RawPgsql<RawLocal>,
    pub(super) desc: RawPgsql<RawDesc>,
    pub(super) binlogminer: RawMiner,
    pub(super) binlogloader: RawLoader,
    pub(super) rule: Vec<RawRule>,
    pub(super) source: Vec<RawSource>,
    pub(super) statsd: RawStatsd,
    pub(super) metrics: RawMetrics,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTask {
    pub(super) name: Option<String>,
    pub(super) lock_timeout: Option<u64>,
    pub(super) keepalive_timeout: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSrc {
    pub(super) mysql: RawMysql,
    pub(super) pgsql: Option<config::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPgsql<T> {
    pub(super) pgsql: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMysql {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) db: Option<String>,
    pub(super) binlogfile: Option<String>,
    pub(super) binlogfile_offset: Option<u64>,
    pub(super) gtid_set: Option<String>,
    pub(super) consistent_from: Option<String>,
    pub(super) serverid: Option<u32>,
    pub(super) ssl_mode: Option<String>,
    pub(super) ssl_ca: Option<PathBuf>,
    pub(super) ssl_cert: Option<PathBuf>,
    pub(super) ssl_key: Option<PathBuf>,
    pub(super) server_public_key: Option<PathBuf>,
    pub(super) connect_timeout: Option<u64>,
    pub(super) time_zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLocal {
    pub(super) connect_string: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawDesc {
    pub(super) connect_string: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) target_schema: Option<String>,
    pub(super) ignore_copy_error_count_each_table: Option<u64>,
    pub(super) allow_unlogged_cascades: Option<bool>,
    pub(super) empty_string: Option<String>,
    pub(super) ddl: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMiner {
    pub(super) stage_batch_bytes: Option<usize>,
    pub(super) queue_bytes: Option<usize>,
    pub(super) staging_soft_limit: Option<u64>,
    pub(super) staging_hard_limit: Option<u64>,
    pub(super) nul_byte: Option<String>,
    pub(super) stage_before_image: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLoader {
    pub(super) loader_table_list: Option<PathBuf>,
    pub(super) load_batch: Option<u64>,
    pub(super) load_batch_gap: Option<u64>,
    pub(super) keep_applied_seconds: Option<u64>,
    pub(super) batch_bytes: Option<usize>,
    pub(super) zero_date: Option<String>,
    pub(super) skip_no_pk_table: Option<bool>,
    pub(super) concurrent_size: Option<config::Value>,
    pub(super) concurrent_ack_win: Option<config::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRule {
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
    pub(super) pg_schema: Option<String>,
    pub(super) pg_table: Option<String>,
    pub(super) disjoint_keys: Option<bool>,
    pub(super) columns: RawColumns,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawColumns {
    pub(super) rename: BTreeMap<String, String>,
    pub(super) drop: Vec<String>,
    pub(super) add: BTreeMap<String, String>,
    pub(super) add_to_key: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawStatsd {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) prefix: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawMetrics {
    pub(super) listen: Option<String>,
    pub(super) miner_listen: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSource {
    pub(super) schema: Option<String>,
    pub(super) tables: Vec<String>,
}

/// Prefix of overriding environment variables; levels are joined by two underscores.
const ENVIRONMENT_PREFIX: &str = "MYSQL2GP";

/// Parses the file's text and puts the environment over it.
pub(super) fn parse(text: &str, variables: &HashMap<String, String>) -> Result<Raw, ParseError> {
    // Parsed once by `toml` itself: its error knows the place, and the error of `config`
    // would quote the line.
    let file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        let line = text
            .bytes()
            .take(offset)
            .filter(|&byte| byte == b'\n')
            .count()
            + 1;
        ParseError::Syntax { line }
    })?;
    let overrides: HashMap<String, String> = variables
        .iter()
        .filter(|(name, _)| name.starts_with(&format!("{ENVIRONMENT_PREFIX}__")))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut problems = unknown_keys(&file);
    problems.extend(unknown_variables(&overrides));
    if !problems.is_empty() {
        return Err(ParseError::Keys(problems));
    }
    Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix(ENVIRONMENT_PREFIX)
                .prefix_separator("__")
                .separator("__")
                .source(Some(overrides)),
        )
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| ParseError::Keys(vec![describe(&error)]))
}

/// Whether the file's text has a password in it, in whichever section.
pub(super) fn holds_password(text: &str) -> bool {
    let Ok(raw) = parse(text, &HashMap::new()) else {
        return false;
    };
    let strings = [
        raw.local.pgsql.connect_string,
        raw.desc.pgsql.connect_string,
    ];
    raw.src
        .mysql
        .password
        .is_some_and(|password| !password.is_empty())
        || strings
            .iter()
            .flatten()
            .any(|text| conninfo::holds_password(text))
}

/// The key and what it takes; `config`'s own text shows the value.
fn describe(error: &config::ConfigError) -> String {
    if let config::ConfigError::Type { key, expected, .. } = error {
        return format!("{} wants {expected}", key.as_deref().unwrap_or("a key"));
    }
    if let config::ConfigError::At { error, key, .. } = error {
        let text = describe(error);
        return match key {
            Some(key) if text.starts_with("a key ") => text.replacen("a key", key, 1),
            _ => text,
        };
    }
    "a value has the wrong type".into()
}
