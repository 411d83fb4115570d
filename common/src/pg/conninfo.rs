//! libpq connect strings, keywords or URI, as users write them.
//!
//! The `postgres` crate reads a part of them and rejects the rest with unclear errors, so
//! they are parsed here and handed on keyword by keyword. Source: PostgreSQL manual, libpq,
//! "Connection Strings" and "The Password File".

use std::path::PathBuf;
use std::time::Duration;

use postgres::config::Host;

use crate::secret::{Secret, readable_by_others};

/// TLS as libpq's `sslmode` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server offers it, unverified.
    Prefer,
    /// Always; verified only when `sslrootcert` is given, as libpq does.
    Require,
    /// Always, certificate chain verified.
    VerifyCa,
    /// Always, certificate chain and host name verified.
    VerifyFull,
}

impl std::fmt::Display for SslMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

/// A parsed connect string with libpq's defaults filled in.
#[derive(Clone, Debug)]
pub struct Conninfo {
    pub(super) config: postgres::Config,
    /// TLS mode.
    pub ssl_mode: SslMode,
    pub(super) ssl_root_cert: Option<PathBuf>,
    pub(super) ssl_cert: Option<PathBuf>,
    pub(super) ssl_key: Option<PathBuf>,
    database: String,
}

/// Keywords that are understood; the README lists them.
pub const KEYWORDS: &[&str] = &[
    "application_name",
    "client_encoding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "options",
    "passfile",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

/// Why a connect string was refused. Values are never shown: one of them is the password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConninfoError {
    /// Quotes or `=` out of place.
    #[error(
        "syntax error near keyword {near:?}: write keyword=value, values with blanks in single quotes"
    )]
    Syntax {
        /// Last keyword read.
        near: String,
    },
    /// Not a known keyword.
    #[error("unknown keyword {keyword:?}; known are {}", KEYWORDS.join(", "))]
    Keyword {
        /// The keyword.
        keyword: String,
    },
    /// A value that the keyword does not take.
    #[error("{keyword} wants {expected}")]
    Value {
        /// The keyword.
        keyword: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// The password file named by `passfile` or `PGPASSFILE` cannot be used.
    #[error("password file {path:?}: {reason}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

/// Whether a connect string has a password in it.
pub fn holds_password(text: &str) -> bool {
    pairs(text).is_ok_and(|pairs| {
        pairs
            .iter()
            .any(|(keyword, value)| keyword == "password" && !value.is_empty())
    })
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    if text.starts_with("postgresql://") || text.starts_with("postgres://") {
        parse_uri(text)
    } else {
        parse_keywords(text)
    }
}

/// What of the environment a connect string falls back on.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Operating system user: libpq's default `user`.
    pub user: Option<String>,
    /// `PGPASSFILE`.
    pub pgpassfile: Option<PathBuf>,
    /// Home directory, for `~/.pgpass`.
    pub home: Option<PathBuf>,
    /// Where relative paths of the connect string begin: the configuration's folder.
    pub folder: PathBuf,
}

impl Conninfo {
    /// Parses `text`; `password` (from a `password_file`) wins over the string's own.
    ///
    /// # Errors
    /// When the string is malformed or names what is not supported.
    pub fn parse(
        text: &str,
        password: Option<&Secret>,
        environment: &Environment,
    ) -> Result<Self, ConninfoError> {
        let pairs = pairs(text)?;
        let mut builder = Builder::default();
        // A dead server is noticed within half a minute, not after two hours.
        builder
            .config
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        for (keyword, value) in &pairs {
            builder.set(keyword, value)?;
        }
        let paths = [
            &mut builder.password_file,
            &mut builder.ssl_root_cert,
            &mut builder.ssl_cert,
            &mut builder.ssl_key,
        ];
        for path in paths.into_iter().flatten() {
            *path = environment.folder.join(&*path);
        }
        if let Some(password) = password {
            builder.password = Some(password.expose().into());
        }
        builder.finish(environment)
    }

    /// Database name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Host and port for messages, such as `db1:5432` or `/tmp:5432`.
    pub fn address(&self) -> String {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => format!("{host}:{port}"),
            Some(Host::Unix(path)) => format!("{}:{port}", path.display()),
            None => format!("/tmp:{port}"),
        }
    }

    /// Whether the server is on this host, as the connect string names it.
    pub fn is_local(&self) -> bool {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => {
                host == "localhost"
                    || host
                        .parse()
                        .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
            Some(Host::Unix(_)) => true,
            None => self
                .config
                .get_hostaddrs()
                .first()
                .is_none_or(std::net::IpAddr::is_loopback),
        }
    }

    /// Whether TLS tells the server from one that only pretends to be it.
    pub fn verifies(&self) -> bool {
        self.ssl_mode == SslMode::VerifyFull
    }

    /// The user.
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }
}

#[derive(Default)]
struct Builder {
    hosts: Vec<String>,
    host_addresses: Vec<String>,
    ports: Vec<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    config: postgres::Config,
    connect_timeout: Option<Duration>,
}

impl Builder {
    fn set(&mut self, keyword: &str, value: &str) -> Result<(), ConninfoError> {
        match keyword {
            "host" => self.hosts = list(value),
            "hostaddr" => self.host_addresses = list(value),
            "port" => {
                self.ports = list(value)
                    .iter()
                    .map(|port| parse(port, "port", "a number from 1 to 65535"))
                    .collect::<Result<_, _>>()?;
            }
            "dbname" => self.database = Some(value.into()),
            "user" => self.user = Some(value.into()),
            "password" => self.password = Some(value.into()),
            "passfile" => self.password_file = Some(value.into()),
            "connect_timeout" => {
                let seconds: i64 = parse(value, "connect_timeout", "seconds")?;
                self.connect_timeout = u64::try_from(seconds)
                    .ok()
                    .filter(|&seconds| seconds > 0)
                    .map(Duration::from_secs);
            }
            "application_name" => {
                self.config.application_name(value);
            }
            "options" => {
                self.config.options(value);
            }
            "client_encoding" => {
                if !["utf8", "utf-8", "unicode", "auto"]
                    .contains(&value.to_ascii_lowercase().as_str())
                {
                    return Err(ConninfoError::Value {
                        keyword: "client_encoding",
                        expected: "UTF8 (rows are sent as UTF-8; the server converts)",
                    });
                }
            }
            "keepalives" => {
                self.config
                    .keepalives(parse::<u8>(value, "keepalives", "0 or 1")? != 0);
            }
            "keepalives_idle" => {
                let seconds = parse(value, "keepalives_idle", "seconds")?;
                self.config.keepalives_idle(Duration::from_secs(seconds));
            }
            "keepalives_interval" => {
                let seconds = parse(value, "keepalives_interval", "seconds")?;
                self.config
                    .keepalives_interval(Duration::from_secs(seconds));
            }
            "keepalives_count" => {
                self.config
                    .keepalives_retries(parse(value, "keepalives_count", "a number")?);
            }
            "target_session_attrs" => {
                let attrs = match value {
                    "any" => postgres::config::TargetSessionAttrs::Any,
                    "read-write" | "primary" => postgres::config::TargetSessionAttrs::ReadWrite,
                    _ => {
                        return Err(ConninfoError::Value {
                            keyword: "target_session_attrs",
                            expected: "any or read-write",
                        });
                    }
                };
                self.config.target_session_attrs(attrs);
            }
            "sslmode" => {
                self.ssl_mode = Some(match value {
                    "disable" => SslMode::Disable,
                    "allow" | "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    _ => {
                        return Err(ConninfoError::Value {
                            keyword: "sslmode",
                            expected: "disable, allow, prefer, require, verify-ca or verify-full",
                        });
                    }
                });
            }
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            _ => {
                return Err(ConninfoError::Keyword {
                    keyword: keyword.into(),
                });
            }
        }
        Ok(())
    }

    fn finish(mut self, environment: &Environment) -> Result<Conninfo, ConninfoError> {
        let user = self
            .user
            .or_else(|| environment.user.clone())
            .ok_or(ConninfoError::Value {
                keyword: "user",
                expected: "a user name",
            })?;
        let database = self.database.unwrap_or_else(|| user.clone());
        if self.hosts.is_empty() && self.host_addresses.is_empty() {
            self.hosts.push("/tmp".into());
        }
        for host in &self.hosts {
            self.config.host(host);
        }
        for address in &self.host_addresses {
            let address = parse(address, "hostaddr", "an IP address")?;
            self.config.hostaddr(address);
        }
        if self.ports.is_empty() {
            self.ports.push(5432);
        }
        for port in &self.ports {
            self.config.port(*port);
        }
        if self.password.is_none() {
            let host = self.hosts.first().or(self.host_addresses.first());
            let host = host.map(String::as_str).unwrap_or_default();
            self.password = password_from_file(
                self.password_file,
                environment,
                &[
                    if host.starts_with('/') {
                        "localhost"
                    } else {
                        host
                    },
                    &self.ports.first().copied().unwrap_or(5432).to_string(),
                    &database,
                    &user,
                ],
            )?;
        }
        if let Some(password) = &self.password {
            self.config.password(password);
        }
        self.config.user(&user);
        self.config.dbname(&database);
        self.config
            .connect_timeout(self.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT));
        Ok(Conninfo {
            config: self.config,
            ssl_mode: self.ssl_mode.unwrap_or(SslMode::Prefer),
            ssl_root_cert: self.ssl_root_cert,
            ssl_cert: self.ssl_cert,
            ssl_key: self.ssl_key,
            database,
        })
    }
}

/// libpq waits for ever; a program that retries by itself wants an answer.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}

fn parse<T: std::str::FromStr>(
    value: &str,
    keyword: &'static str,
    expected: &'static str,
) -> Result<T, ConninfoError> {
    value
        .trim()
        .parse()
        .map_err(|_| ConninfoError::Value { keyword, expected })
}

/// `keyword = value` pairs; values may be quoted, backslash escapes a character.
fn parse_keywords(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut keyword = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            keyword.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let near = || ConninfoError::Syntax {
            // What stands before a missing `=` may be part of a password.
            near: pairs
                .last()
                .map_or_else(String::new, |(keyword, _)| keyword.clone()),
        };
        if chars.next() != Some('=') {
            return Err(near());
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        if chars.next_if_eq(&'\'').is_some() {
            loop {
                match chars.next() {
                    Some('\'') => break,
                    Some('\\') => value.extend(chars.next()),
                    Some(c) => value.push(c),
                    None => return Err(near()),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                if c == '\\' {
                    value.extend(chars.next());
                } else {
                    value.push(c);
                }
            }
        }
        pairs.push((keyword, value));
    }
}

/// `postgresql://user:password@host:port,host:port/dbname?keyword=value&…`
fn parse_uri(text: &str) -> Result<Vec<(String, String)>, ConninfoError> {
    let syntax = |near: &str| ConninfoError::Syntax { near: near.into() };
    let (_, rest) = text.split_once("://").ok_or_else(|| syntax("uri"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user_info, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut pairs = Vec::new();
    let mut push = |keyword: &str, value: &str| -> Result<(), ConninfoError> {
        if !value.is_empty() {
            let value = percent_decode(value).ok_or_else(|| syntax(keyword))?;
            pairs.push((keyword.to_owned(), value));
        }
        Ok(())
    };
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    push("user", user)?;
    push("password", password)?;
    push("dbname", database)?;
    let mut host_list = Vec::new();
    let mut port_list = Vec::new();
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let port_at = host
            .rfind(':')
            .filter(|&at| !host.get(at..).is_some_and(|s| s.contains(']')));
        let (host, port) = match port_at.and_then(|at| host.split_at_checked(at)) {
            Some((host, port)) => (host, port.trim_start_matches(':')),
            None => (host, "5432"),
        };
        host_list.push(host.trim_matches(['[', ']']));
        port_list.push(port);
    }
    push("host", &host_list.join(","))?;
    push("port", &port_list.join(","))?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) = pair.split_once('=').ok_or_else(|| syntax("uri"))?;
        push(keyword, value)?;
    }
    Ok(pairs)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Looks `[host, port, database, user]` up in the password file.
fn password_from_file(
    passfile: Option<PathBuf>,
    environment: &Environment,
    wanted: &[&str; 4],
) -> Result<Option<String>, ConninfoError> {
    let named = passfile.or_else(|| environment.pgpassfile.clone());
    let is_named = named.is_some();
    let Some(path) = named.or_else(|| Some(environment.home.as_ref()?.join(".pgpass"))) else {
        return Ok(None);
    };
    let refuse = |reason| ConninfoError::PasswordFile {
        path: path.clone(),
        reason,
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if !is_named => return Ok(None),
        Err(_) => return Err(refuse("cannot be read")),
    };
    if readable_by_others(&path) {
        return Err(refuse("is readable by others; chmod 0600 it"));
    }
    Ok(text
        .lines()
        .find_map(|line| password_from_line(line, wanted)))
}

/// One `host:port:database:user:password` line; `*` matches all, `\` escapes.
fn password_from_line(line: &str, wanted: &[&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, fields.len()) {
            ('\\', _) => fields.last_mut()?.extend(chars.next()),
            (':', 1..=4) => fields.push(String::new()),
            _ => fields.last_mut()?.push(c),
        }
    }
    let password = fields.pop()?;
    let matches = fields.len() == 4
        && fields
            .iter()
            .zip(wanted)
            .all(|(field, wanted)| field == "*" || field == wanted);
    matches.then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            user: Some("me".into()),
            ..Environment::default()
        }
    }

    #[test]
    fn the_original_connect_string_is_understood() {
        let conninfo = Conninfo::parse(
            "dbname=test host=127.0.0.1 port=5433 user=test password=pgsql",
            None,
            &environment(),
        )
        .unwrap();
        assert_eq!(conninfo.address(), "127.0.0.1:5433");
        assert_eq!(conninfo.database(), "test");
        assert_eq!(conninfo.user(), "test");
        assert_eq!(conninfo.config.get_password(), Some(&b"pgsql"[..]));
    }

    #[test]
    fn without_host_the_socket_directory_is_tmp_and_the_user_is_the_callers() {
        let conninfo = Conninfo::parse("dbname=x", None, &environment()).unwrap();
        assert_eq!(conninfo.address(), "/tmp:5432");
        assert_eq!(conninfo.user(), "me");
    }

    #[test]
    fn quoted_values_and_uris_are_read() {
        let text = "user = 'a b' password='it''s' host=/var/run";
        assert!(Conninfo::parse(text, None, &environment()).is_err());
        let text = r"user = 'a b' password='it\'s' host=/var/run";
        let conninfo = Conninfo::parse(text, None, &environment()).unwrap();
        assert_eq!(conninfo.user(), "a b");
        assert_eq!(conninfo.config.get_password(), Some(&b"it's"[..]));
        let text = "postgresql://u:p%40@h:6000/d?sslmode=verify-full&connect_timeout=3";
        let conninfo = Conninfo::parse(text, None, &environment()).unwrap();
        assert_eq!(conninfo.address(), "h:6000");
        assert_eq!(conninfo.ssl_mode, SslMode::VerifyFull);
        assert_eq!(conninfo.config.get_password(), Some(&b"p@"[..]));
    }

    #[test]
    fn errors_never_show_a_value() {
        for text in [
            "password=secret sslmode=secret",
            "password secret",
            "password='secret",
            "pasword=secret",
        ] {
            let error = Conninfo::parse(text, None, &environment()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_file_is_matched_line_by_line() {
        let wanted = ["h", "5432", "d", "u"];
        assert_eq!(
            password_from_line("h:5432:d:u:a:b", &wanted),
            Some("a:b".into())
        );
        assert_eq!(
            password_from_line("*:*:*:u:x\\:y", &wanted),
            Some("x:y".into())
        );
        assert_eq!(password_from_line("h:5432:d:v:x", &wanted), None);
        assert_eq!(password_from_line("#h:5432:d:u:x", &wanted), None);
    }
}
