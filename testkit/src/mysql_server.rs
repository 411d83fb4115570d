//! Private MySQL and MariaDB servers of selectable version.
//!
//! A server starts from a copied template in a few tenths of a second, writes a row
//! format binlog from its first statement (`mysql-bin.000001`), and knows `root` without
//! password on its socket and on 127.0.0.1. By default it forgoes durability for speed;
//! a test that kills the server asks for [`Durability::Durable`].

mod flavor;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use rustix::process::Signal;
use tempfile::TempDir;

pub use self::flavor::Flavor;
use crate::process::{Output, Process, RunAs};
use crate::scratch::{self, Port};
use crate::template::template;
use crate::wait::holds_within;
use crate::{Durability, Rows};

/// Generous: a slow machine with both cores taken is no failure.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether the server writes a binlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binlog {
    /// `log_bin=mysql-bin`, `binlog_format=ROW`, `binlog_row_image=FULL`.
    On,
    /// `skip_log_bin`.
    Off,
}

/// How much a table map event tells about columns (`binlog_row_metadata`).
///
/// MySQL 5.7 has no such setting; its table maps hold the least in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowMetadata {
    /// Names, keys, charsets, signedness, ENUM and SET labels.
    Full,
    /// Signedness and charsets; on MariaDB's `NO_LOG` default not even those.
    Minimal,
}

/// What a server is started with; made by [`MysqlServer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a server starts with start()"]
pub struct MysqlBuilder {
    flavor: Flavor,
    durability: Durability,
    binlog: Binlog,
    row_metadata: RowMetadata,
    extra: Vec<String>,
}

impl MysqlBuilder {
    /// Whether the data survive a kill (default: [`Durability::Fast`]).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether there is a binlog (default: [`Binlog::On`]).
    pub fn binlog(mut self, binlog: Binlog) -> Self {
        self.binlog = binlog;
        self
    }

    /// The content of table maps (default: [`RowMetadata::Full`]).
    pub fn row_metadata(mut self, row_metadata: RowMetadata) -> Self {
        self.row_metadata = row_metadata;
        self
    }

    /// One more option for mysqld, after all others, so that it wins.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.extra.push(arg.into());
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When the server is not installed or does not come up; its log is shown.
    pub fn start(self) -> MysqlServer {
        let directory = scratch::directory(self.flavor.name());
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("the new directory is ours");
        scratch::copy_tree(&template_of(self.flavor), &data);
        let mut server = MysqlServer {
            settings: self,
            port: Port::claim(),
            process: None,
            directory,
        };
        server.start();
        server
    }
}

/// A private server, killed and removed on drop.
#[derive(Debug)]
pub struct MysqlServer {
    settings: MysqlBuilder,
    port: Port,
    // Dropped before the directory that it works in.
    process: Option<Process>,
    directory: TempDir,
}

impl MysqlServer {
    /// A server of `flavor` with the default settings.
    pub fn start_default(flavor: Flavor) -> Self {
        Self::builder(flavor).start()
    }

    /// A server of `flavor`, to be started.
    pub fn builder(flavor: Flavor) -> MysqlBuilder {
        MysqlBuilder {
            flavor,
            durability: Durability::Fast,
            binlog: Binlog::On,
            row_metadata: RowMetadata::Full,
            extra: Vec::new(),
        }
    }

    /// Which server this is.
    pub fn flavor(&self) -> Flavor {
        self.settings.flavor
    }

    /// The address that the server listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The unix socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("mysqld.sock")
    }

    /// The data directory, which holds the binlog files too.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The server's process id.
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// A new connection over TCP, as `root`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn connect(&self) -> Conn {
        self.try_connect()
            .unwrap_or_else(|error| panic!("connect to {}: {error}", self.name()))
    }

    /// A new connection over TCP, as `root`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn try_connect(&self) -> mysql::Result<Conn> {
        Conn::new(
            OptsBuilder::new()
                .ip_or_hostname(Some(self.host()))
                .tcp_port(self.port())
                .user(Some("root"))
                .prefer_socket(false)
                .tcp_connect_timeout(Some(START_TIMEOUT)),
        )
    }

    /// Runs one or more statements, separated by semicolons, in a connection of their own.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn sql(&self, statements: &str) {
        self.query(statements);
    }

    /// Runs statements like [`MysqlServer::sql`]; the rows of all results, as text.
    ///
    /// # Panics
    /// When a statement fails or a value is not UTF-8 text.
    pub fn query(&self, statements: &str) -> Rows {
        query(&mut self.connect(), statements)
    }

    /// The single value of a query.
    ///
    /// # Panics
    /// When the answer is not one row of one value, or NULL.
    pub fn value(&self, query: &str) -> String {
        let rows = self.query(query);
        match rows.as_slice() {
            [row] if row.len() == 1 => row.first().cloned().flatten(),
            _ => panic!("not one value but {rows:?}: {query}"),
        }
        .unwrap_or_else(|| panic!("NULL: {query}"))
    }

    /// The current end of the binlog: file name and offset.
    ///
    /// # Panics
    /// When there is no binlog.
    pub fn binlog_end(&self) -> (String, u64) {
        let statement = match self.flavor() {
            Flavor::Mysql97 => "show binary log status",
            Flavor::MariaDb1011 | Flavor::MariaDb118 | Flavor::Mysql57 => "show master status",
        };
        let rows = self.query(statement);
        let Some([Some(file), Some(position), ..]) = rows.first().map(Vec::as_slice) else {
            panic!("{} writes no binlog", self.name());
        };
        (
            file.clone(),
            position.parse().expect("a position is a number"),
        )
    }

    /// Ends the server with SIGKILL. Only with [`Durability::Durable`] nothing is lost.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Shuts the server down in good order.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            assert!(
                process.wait_within(STOP_TIMEOUT).is_some(),
                "{} does not stop:\n{}",
                self.name(),
                process.log_tail()
            );
        }
    }

    /// Stops the server, if it runs, and starts it on the same data and port.
    ///
    /// # Panics
    /// When it does not stop or does not come up.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Restarts with more mysqld options, which win over those so far.
    ///
    /// # Panics
    /// When it does not stop or does not come up.
    pub fn restart_with(&mut self, args: &[&str]) {
        self.settings
            .extra
            .extend(args.iter().map(|arg| (*arg).to_owned()));
        self.restart();
    }

    /// Stops the server and starts a later version of it on the same data and port.
    ///
    /// # Panics
    /// When it does not stop or does not come up.
    pub fn upgrade(&mut self, to: Flavor) {
        self.stop();
        self.settings.flavor = to;
        self.start();
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        crate::process::tail(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("mysqld.log")
    }

    fn name(&self) -> String {
        format!("{} on port {}", self.settings.flavor, self.port())
    }

    fn start(&mut self) {
        let installation = self.settings.flavor.installation();
        let mut command = RunAs::Caller.command(&installation.program);
        command
            .args(installation.args())
            .args(self.settings.server_args())
            .arg(flag("datadir", &self.data_directory()))
            .arg(flag("tmpdir", self.directory.path()))
            .arg(flag("socket", &self.socket()))
            .arg(flag("pid-file", &self.directory.path().join("mysqld.pid")))
            .arg(format!("--port={}", self.port()))
            .arg(format!("--server-id={}", self.port()))
            .args(&self.settings.extra);
        let mut process = Process::start(&self.name(), command, Output::Log, &self.log());
        let up = holds_within(START_TIMEOUT, || {
            process.exit_status().is_some() || self.try_connect().is_ok()
        });
        assert!(
            up && process.exit_status().is_none(),
            "{} does not start",
            self.name()
        );
        self.process = Some(process);
    }
}

impl MysqlBuilder {
    /// The options that do not depend on the instance.
    fn server_args(&self) -> Vec<&'static str> {
        let flavor = self.flavor;
        let mut args = vec![
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--performance-schema=OFF",
        ];
        args.extend(flavor.size_args());
        match self.durability {
            Durability::Fast => args.extend(flavor.fast_args()),
            Durability::Durable => {
                args.extend(["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"]);
            }
        }
        match self.binlog {
            Binlog::Off => args.push("--skip-log-bin"),
            Binlog::On => {
                args.extend([
                    "--log-bin=mysql-bin",
                    "--binlog-format=ROW",
                    "--binlog-row-image=FULL",
                ]);
                args.extend(flavor.gtid_args());
                args.extend(flavor.row_metadata_arg(self.row_metadata));
            }
        }
        args
    }
}

/// Runs statements; the rows of all results, as text.
pub(crate) fn query(connection: &mut Conn, statements: &str) -> Rows {
    let fail = |error: mysql::Error| -> ! { panic!("{error}: {statements}") };
    let mut rows = Vec::new();
    let mut result = connection
        .query_iter(statements)
        .unwrap_or_else(|error| fail(error));
    while let Some(set) = result.iter() {
        for row in set {
            let values = row.unwrap_or_else(|error| fail(error)).unwrap();
            rows.push(values.into_iter().map(text).collect());
        }
    }
    rows
}

/// The rows of one query by the binary protocol, which sends the bits of floating point
/// numbers; as text that reads back to the same bits.
pub(crate) fn query_binary(connection: &mut Conn, statement: &str) -> Rows {
    let rows: Vec<mysql::Row> = connection
        .exec(statement, ())
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
    rows.into_iter()
        .map(|row| row.unwrap().into_iter().map(text).collect())
        .collect()
}

/// A value as text; dates and times must be selected as text.
fn text(value: mysql::Value) -> Option<String> {
    use mysql::Value;
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => {
            Some(String::from_utf8(bytes).expect("a query of a test selects text"))
        }
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Float(number) => Some(format!("{number:e}")),
        Value::Double(number) => Some(format!("{number:e}")),
        Value::Date(..) | Value::Time(..) => panic!("select dates and times as text"),
    }
}

fn flag(name: &str, value: &Path) -> String {
    format!("--{name}={}", value.display())
}

/// The data directory that servers of `flavor` start from. It knows no binlog and no
/// server identity, so that every copy has its own.
fn template_of(flavor: Flavor) -> PathBuf {
    let installation = flavor.installation();
    template(flavor.name(), &installation.program, |data| {
        let scratch = scratch::directory("template");
        let bootstrap = scratch.path().join("bootstrap.sql");
        fs::write(&bootstrap, flavor.bootstrap_sql()).expect("the new directory is ours");
        let output = RunAs::Caller
            .command(&installation.program)
            .args(installation.args())
            .args(flavor.size_args())
            .args(flavor.fast_args())
            .arg("--skip-log-bin")
            .args(flavor.initialize_args(&bootstrap))
            .arg(flag("datadir", data))
            .stdin(File::open(&bootstrap).expect("just written"))
            .output()
            .expect("setpriv is there");
        assert!(
            output.status.success(),
            "{flavor} cannot make a data directory:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // Holds the server_uuid.
        let _ = fs::remove_file(data.join("auto.cnf"));
    })
}
