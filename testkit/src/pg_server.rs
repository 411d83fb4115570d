//! Private PostgreSQL servers.
//!
//! A server is the newest PostgreSQL that Debian has installed, started from a copied
//! template, on a unix socket and on 127.0.0.1. It refuses to run as root, so root's tests
//! run it as another user. The superuser is `postgres`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::{Client, NoTls, SimpleQueryMessage};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Output, Process, RunAs};
use crate::scratch::{self, Port};
use crate::small_disk::SmallDisk;
use crate::template::template;
use crate::wait::holds_within;
use crate::{Durability, Rows};

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// An immediate shutdown only has to signal the children.
const IMMEDIATE_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server is started with; made by [`PgServer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a server starts with start()"]
pub struct PgBuilder {
    durability: Durability,
    password: Option<String>,
    settings: Vec<String>,
    disk_bytes: Option<u64>,
    wal: WalDisk,
    files: Vec<(String, String)>,
}

/// Where a server with a disk of its own writes its WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WalDisk {
    Own,
    Elsewhere,
}

impl PgBuilder {
    /// Whether the data survive a kill (default: [`Durability::Fast`]).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Makes TCP connections need this password, by scram-sha-256. The socket stays open
    /// to everybody.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// One more setting, `name=value`, which wins over those before it.
    pub fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// One more file in the data directory, which only the server may read: `pg_hba.conf`, a
    /// certificate. It wins over what the server has.
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// Offers TLS with the certificates' server certificate and authority; `login` is what
    /// pg_hba.conf asks of everybody over TCP, which is refused without TLS.
    pub fn tls(self, certificates: &Certificates, login: &str) -> Self {
        ["ca.pem", "server.pem", "server.key"]
            .into_iter()
            .fold(self, |server, name| {
                server.file(name, certificates.text(name))
            })
            .setting("ssl=on")
            .setting("ssl_ca_file=ca.pem")
            .setting("ssl_cert_file=server.pem")
            .setting("ssl_key_file=server.key")
            .file(
                "pg_hba.conf",
                format!("local all all trust\nhostssl all all 127.0.0.1/32 {login}\n"),
            )
    }

    /// Keeps the data on a disk of its own, of this size.
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Keeps the WAL off the disk of its own: a full disk ends a server that cannot write it.
    pub fn wal_elsewhere(mut self) -> Self {
        self.wal = WalDisk::Elsewhere;
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not come up; its log is shown. With a disk of
    /// its own, when none can be mounted.
    pub fn start(self) -> PgServer {
        let bin = bin_directory();
        let run_as = RunAs::unprivileged();
        let directory = scratch::directory("pg");
        let data = directory.path().join(scratch::PG_DATA);
        fs::create_dir(&data).expect("the new directory is ours");
        let disk = self.disk_bytes.map(|bytes| SmallDisk::mount(&data, bytes));
        let data = disk.as_ref().map_or(data, SmallDisk::path);
        scratch::copy_tree(&template_of(&bin, run_as), &data);
        if self.wal == WalDisk::Elsewhere {
            let (wal, moved) = (data.join("pg_wal"), directory.path().join("wal"));
            fs::create_dir(&moved).expect("the new directory is ours");
            scratch::copy_tree(&wal, &moved);
            fs::remove_dir_all(&wal).expect("the copy is ours");
            std::os::unix::fs::symlink(&moved, &wal).expect("the copy is ours");
        }
        if self.password.is_some() {
            // Written in place: the file keeps its owner.
            fs::write(
                data.join("pg_hba.conf"),
                "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
            )
            .expect("the copy is ours");
        }
        for (name, text) in &self.files {
            let path = data.join(name);
            fs::write(&path, text).expect("the copy is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .expect("the copy is ours");
            run_as.own(&path);
        }
        // For the socket.
        run_as.own(directory.path());
        let mut server = PgServer {
            builder: self,
            bin,
            run_as,
            port: Port::claim(),
            process: None,
            disk,
            directory,
        };
        server.start();
        if let Some(password) = &server.builder.password {
            let password = password.replace('\'', "''");
            server.sql(
                "postgres",
                &format!("alter role postgres password '{password}'"),
            );
        }
        server
    }
}

/// A private server, killed and removed on drop.
#[derive(Debug)]
pub struct PgServer {
    builder: PgBuilder,
    bin: PathBuf,
    run_as: RunAs,
    port: Port,
    process: Option<Process>,
    disk: Option<SmallDisk>,
    directory: TempDir,
}

impl PgServer {
    /// A server with the default settings.
    pub fn start_default() -> Self {
        Self::builder().start()
    }

    /// A server to be started.
    pub fn builder() -> PgBuilder {
        PgBuilder {
            durability: Durability::Fast,
            password: None,
            settings: Vec::new(),
            disk_bytes: None,
            wal: WalDisk::Own,
            files: Vec::new(),
        }
    }

    /// The TCP address that the server listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port, which also names the socket; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The directory of the unix socket.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// The postmaster's process id.
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// libpq keywords for a TCP connection to `database`, as `postgres`, with the password
    /// if there is one.
    pub fn connect_string(&self, database: &str) -> String {
        self.connect_string_at(database, self.port())
    }

    /// The same through another port of 127.0.0.1, a [`Proxy`](crate::Proxy)'s.
    pub fn connect_string_at(&self, database: &str, port: u16) -> String {
        let mut text = format!(
            "host={} port={port} user=postgres dbname={}",
            self.host(),
            keyword_value(database)
        );
        if let Some(password) = &self.builder.password {
            text.push_str(" password=");
            text.push_str(&keyword_value(password));
        }
        text
    }

    /// A new connection through the socket, as `postgres`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn connect(&self, database: &str) -> Client {
        self.try_connect(database)
            .unwrap_or_else(|error| panic!("connect to {} on {database}: {error:?}", self.name()))
    }

    /// A new connection through the socket, as `postgres`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn try_connect(&self, database: &str) -> Result<Client, postgres::Error> {
        postgres::Config::new()
            .host_path(self.socket_directory())
            .port(self.port())
            .user("postgres")
            .dbname(database)
            .connect(NoTls)
    }

    /// Creates a database.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn create_database(&self, name: &str) {
        self.sql("postgres", &format!("create database {}", quote(name)));
    }

    /// Runs one or more statements, separated by semicolons, in a connection of their own.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn sql(&self, database: &str, statements: &str) {
        self.connect(database)
            .batch_execute(statements)
            .unwrap_or_else(|error| panic!("{error:?}: {statements}"));
    }

    /// Runs statements like [`PgServer::sql`]; the rows of all results, as text.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn query(&self, database: &str, statements: &str) -> Rows {
        query(&mut self.connect(database), statements)
    }

    /// The single value of a query.
    ///
    /// # Panics
    /// When the answer is not one row of one value, or NULL.
    pub fn value(&self, database: &str, query: &str) -> String {
        let rows = self.query(database, query);
        match rows.as_slice() {
            [row] if row.len() == 1 => row.first().cloned().flatten(),
            _ => panic!("not one value but {rows:?}: {query}"),
        }
        .unwrap_or_else(|| panic!("NULL: {query}"))
    }

    /// Ends the whole server with SIGKILL. Only with [`Durability::Durable`] nothing is
    /// lost.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9_with_children();
        }
    }

    /// Freezes the postmaster (SIGSTOP): connections are accepted, and nobody answers. Those
    /// that are there go on.
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn sigstop(&mut self) {
        self.process
            .as_mut()
            .expect("the server runs")
            .signal(Signal::STOP);
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn sigcont(&mut self) {
        self.process
            .as_mut()
            .expect("the server runs")
            .signal(Signal::CONT);
    }

    /// Shuts the server down in good order, ending its connections.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::INT);
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

    /// Keeps a copy of the data as they are now, for [`PgServer::restore`]; the server is
    /// restarted.
    ///
    /// # Panics
    /// When the server does not stop or come up, or has a disk of its own.
    pub fn save(&mut self) {
        assert!(self.disk.is_none(), "a small disk has no room for a copy");
        self.stop();
        let _ = fs::remove_dir_all(self.saved());
        fs::create_dir(self.saved()).expect("the directory is ours");
        scratch::copy_tree(&self.data(), &self.saved());
        self.start();
    }

    /// Puts the copy of [`PgServer::save`] in the place of the data; the server is restarted.
    ///
    /// # Panics
    /// When the server does not stop or come up, or there is no copy.
    pub fn restore(&mut self) {
        self.stop();
        fs::remove_dir_all(self.data()).expect("the directory is ours");
        fs::create_dir(self.data()).expect("the directory is ours");
        scratch::copy_tree(&self.saved(), &self.data());
        self.start();
    }

    fn saved(&self) -> PathBuf {
        self.directory.path().join("saved")
    }

    /// Starts the server if it has ended by itself.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn revive(&mut self) {
        if self
            .process
            .as_mut()
            .is_none_or(|process| process.exit_status().is_some())
        {
            self.process = None;
            self.start();
        }
    }

    /// The server's own disk.
    ///
    /// # Panics
    /// When it has none.
    pub fn disk(&self) -> &SmallDisk {
        self.disk
            .as_ref()
            .expect("the server was built with disk_bytes()")
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        crate::process::tail(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("postgres.log")
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join(scratch::PG_DATA)
    }

    fn name(&self) -> String {
        format!("PostgreSQL on port {}", self.port())
    }

    fn start(&mut self) {
        let postgres = self.bin.join("postgres");
        let mut command = match &self.disk {
            None => self.run_as.command(&postgres),
            Some(disk) => disk.command(self.run_as, &postgres),
        };
        command
            .current_dir("/")
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.socket_directory())
            .args(["-p", &self.port().to_string()]);
        let fixed = ["listen_addresses=127.0.0.1"];
        let fast = [
            "shared_buffers=32MB",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ];
        let durability: &[&str] = match self.builder.durability {
            Durability::Fast => &fast,
            Durability::Durable => &[],
        };
        let settings = fixed
            .iter()
            .chain(durability)
            .copied()
            .chain(self.builder.settings.iter().map(String::as_str));
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut process = Process::start(&self.name(), command, Output::Log, &self.log());
        let up = holds_within(START_TIMEOUT, || {
            process.exit_status().is_some() || self.try_connect("postgres").is_ok()
        });
        assert!(
            up && process.exit_status().is_none(),
            "{} does not start",
            self.name()
        );
        self.process = Some(process);
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // An immediate shutdown takes the children along and frees the shared memory.
            process.signal(Signal::QUIT);
            if process.wait_within(IMMEDIATE_STOP_TIMEOUT).is_none() {
                process.kill9_with_children();
            }
        }
        scratch::remove_shared_memory(self.directory.path());
    }
}

/// Runs statements; the rows of all results, as text.
pub(crate) fn query(client: &mut Client, statements: &str) -> Rows {
    let messages = client
        .simple_query(statements)
        .unwrap_or_else(|error| panic!("{error:?}: {statements}"));
    let mut rows = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
            rows.push(values.collect());
        }
    }
    rows
}

/// Quotes an identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a value of a libpq connect string, where it needs it.
fn keyword_value(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The programs of the newest PostgreSQL that Debian has installed.
fn bin_directory() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").map(|entries| {
        entries
            .flatten()
            .filter(|entry| entry.path().join("bin/postgres").exists())
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .max()
    });
    match versions {
        Ok(Some(version)) => Path::new("/usr/lib/postgresql")
            .join(version.to_string())
            .join("bin"),
        _ => panic!("no PostgreSQL server is installed: run scripts/install_servers.sh first"),
    }
}

fn template_of(bin: &Path, run_as: RunAs) -> PathBuf {
    template("postgresql", &bin.join("postgres"), |template| {
        // The user that the server runs as may not be able to enter the cache folder.
        let scratch = scratch::directory("template");
        run_as.own(scratch.path());
        let data = scratch.path().join("data");
        let output = run_as
            .command(&bin.join("initdb"))
            .current_dir("/")
            .arg("-D")
            .arg(&data)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync"])
            .output()
            .expect("setpriv is there");
        assert!(
            output.status.success(),
            "initdb fails:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        scratch::copy_tree(&data, template);
    })
}
