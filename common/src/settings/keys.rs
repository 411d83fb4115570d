//! Which keys there are, and the nearest one to a misspelt one.

use std::collections::HashMap;

/// Every section and key. `etc/my.cfg` documents them; a test compares the two.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("task", &["name", "lock_timeout", "keepalive_timeout"]),
    (
        "src.mysql",
        &[
            "host",
            "port",
            "user",
            "password",
            "password_file",
            "db",
            "encoding",
            "encodingdir",
            "binlogfile",
            "binlogfile_offset",
            "gtid_set",
            "consistent_from",
            "serverid",
            "ssl_mode",
            "ssl_ca",
            "ssl_cert",
            "ssl_key",
            "server_public_key",
            "connect_timeout",
            "time_zone",
        ],
    ),
    ("local.pgsql", &["connect_string", "password_file"]),
    (
        "desc.pgsql",
        &[
            "connect_string",
            "password_file",
            "target_schema",
            "ignore_copy_error_count_each_table",
            "allow_unlogged_cascades",
            "empty_string",
            "ddl",
        ],
    ),
    (
        "binlogminer",
        &[
            "stage_batch_bytes",
            "queue_bytes",
            "staging_soft_limit",
            "staging_hard_limit",
            "nul_byte",
            "stage_before_image",
        ],
    ),
    (
        "binlogloader",
        &[
            "loader_table_list",
            "load_batch",
            "load_batch_gap",
            "keep_applied_seconds",
            "batch_bytes",
            "zero_date",
            "skip_no_pk_table",
            "concurrent_size",
            "concurrent_ack_win",
        ],
    ),
    (
        "rule",
        &["schema", "table", "pg_schema", "pg_table", "disjoint_keys"],
    ),
    ("rule.columns", &["rename", "drop", "add", "add_to_key"]),
    ("source", &["schema", "tables"]),
    ("statsd", &["host", "port", "prefix"]),
    ("metrics", &["listen", "miner_listen"]),
];

/// Keys of the file that are not known, each with its nearest neighbour.
pub(super) fn unknown_keys(file: &toml::Table) -> Vec<String> {
    let mut problems = Vec::new();
    walk(file, &mut Vec::new(), &mut problems);
    problems
}

fn walk<'a>(table: &'a toml::Table, path: &mut Vec<&'a str>, problems: &mut Vec<String>) {
    for (key, value) in table {
        path.push(key);
        let section = path.join(".");
        if let Some(inner) = value.as_table() {
            // The original's section for full loads may hold anything; column names are the user's.
            if is_map(&section) {
                problems.extend(check_key(path));
            } else if section != "src.pgsql" {
                walk_section(&section, inner, path, problems);
            }
        } else if let (Some(items), "rule" | "source") = (value.as_array(), section.as_str()) {
            for item in items {
                match item.as_table() {
                    Some(inner) => walk(inner, path, problems),
                    None => problems.push(format!("{section} wants tables: write [[{section}]]")),
                }
            }
        } else {
            problems.extend(check_key(path));
        }
        path.pop();
    }
}

fn walk_section<'a>(
    section: &str,
    table: &'a toml::Table,
    path: &mut Vec<&'a str>,
    problems: &mut Vec<String>,
) {
    if is_section_prefix(section) {
        walk(table, path, problems);
    } else {
        problems.extend(check_key(path));
    }
}

/// Keys whose value is a table of the user's own names.
fn is_map(path: &str) -> bool {
    matches!(
        path,
        "rule.columns.rename" | "rule.columns.add" | "rule.columns.add_to_key"
    )
}

fn is_section_prefix(path: &str) -> bool {
    KEYS.iter()
        .any(|(section, _)| *section == path || section.starts_with(&format!("{path}.")))
}

fn check_key(path: &[&str]) -> Option<String> {
    let (key, section) = path.split_last()?;
    let section = section.join(".");
    let known = KEYS
        .iter()
        .find(|(name, _)| *name == section)
        .map(|(_, keys)| *keys);
    match known {
        Some(keys) if keys.contains(key) => None,
        Some(keys) => Some(format!(
            "unknown key {key:?} in [{section}]{}",
            nearest(key, keys.iter().copied())
        )),
        None => {
            let name = path.join(".");
            let sections = KEYS.iter().map(|(section, _)| *section);
            Some(format!(
                "unknown section or key {name:?}{}",
                nearest(&name, sections)
            ))
        }
    }
}

/// Environment variables that name no key.
pub(super) fn unknown_variables(overrides: &HashMap<String, String>) -> Vec<String> {
    overrides
        .keys()
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let path: Vec<&str> = lower.split("__").skip(1).collect();
            check_key(&path).map(|problem| format!("environment variable {name}: {problem}"))
        })
        .collect()
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, candidate)| {
            format!(": did you mean {candidate:?}?")
        })
}
