//! A task on private servers: staging, target, configuration, the program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postgres::Client;
use testkit::{Launch, PgServer, Program, Rows, TaskBuilder, TaskFiles};

use crate::staged::{DATABASE, FILE, Staged};

/// Long enough for a loaded machine; only failures wait that long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// One server for all tests; each has databases of its own.
pub(crate) fn server() -> &'static PgServer {
    static SERVER: OnceLock<PgServer> = OnceLock::new();
    SERVER.get_or_init(|| PgServer::builder().setting("max_connections=300").start())
}

/// A task: a staging database, a target database, a configuration.
pub(crate) struct Bench {
    pub(crate) name: String,
    pub(crate) staged: Staged,
    pub(crate) target: Client,
    builder: TaskBuilder,
}

impl Bench {
    /// A task whose target has these tables, as SQL.
    pub(crate) fn new(target_tables: &str) -> Self {
        Self::on(server(), target_tables, server().port())
    }

    /// The same on a server of the test's own, which the program reaches through this port.
    pub(crate) fn on(server: &PgServer, target_tables: &str, port: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("task{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (staging, target) = (format!("{name}_staging"), format!("{name}_target"));
        server.create_database(&staging);
        server.create_database(&target);
        let mut target_client = server.connect(&target);
        target_client.batch_execute(target_tables).unwrap();
        let builder = TaskFiles::builder()
            .set("src.mysql", "host", "127.0.0.1")
            .set("src.mysql", "user", "nobody")
            .set("src.mysql", "db", DATABASE)
            .set("src.mysql", "binlogfile", FILE)
            .set("src.mysql", "connect_timeout", 2)
            .set("task", "name", &name)
            .set("task", "lock_timeout", 1)
            .staging(&server.connect_string_at(&staging, port))
            .target(&server.connect_string_at(&target, port), "public");
        Self {
            staged: Staged::new(server.connect(&staging), &name),
            name,
            target: target_client,
            builder,
        }
    }

    /// The test's own connections again, after a restart of its server.
    pub(crate) fn reconnect(&mut self, server: &PgServer) {
        self.staged.client = server.connect(&format!("{}_staging", self.name));
        self.target = server.connect(&format!("{}_target", self.name));
    }

    /// Another connection to the target.
    pub(crate) fn connect_target(&self) -> Client {
        server().connect(&format!("{}_target", self.name))
    }

    /// Another connection to staging.
    pub(crate) fn connect_staging(&self) -> Client {
        server().connect(&format!("{}_staging", self.name))
    }

    /// Sets a key of the configuration.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: impl ToString) {
        self.builder = self.builder.clone().set(section, key, value);
    }

    /// Adds text to the configuration.
    pub(crate) fn raw(&mut self, text: &str) {
        self.builder = self.builder.clone().raw(text);
    }

    /// The program with these arguments, started.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let files = self.builder.write();
        let mut launch = Launch::new(env!("CARGO_BIN_EXE_binlog_loader"))
            .arg("-c")
            .arg(files.config())
            .env("RUST_LOG", "debug");
        for arg in args {
            launch = launch.arg(arg);
        }
        Running {
            program: launch.start(),
            _files: files,
        }
    }

    /// Runs the program to its end; exit code and log.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String) {
        self.start(args).finish()
    }

    /// Runs the program to its end; exit code and standard output.
    pub(crate) fn run_for_output(&self, args: &[&str]) -> (i32, String) {
        let mut running = self.start(args);
        let status = running.program.wait_exit(TIMEOUT);
        (status.code().unwrap_or(-1), running.program.stdout())
    }

    /// Applies what is staged; must end well.
    #[track_caller]
    pub(crate) fn once(&self) {
        let (code, log) = self.run(&["--once"]);
        assert_eq!(code, 0, "{log}");
    }

    /// Rows of a query on the target, cells joined by `|`.
    pub(crate) fn rows(&mut self, query: &str) -> Vec<String> {
        rows(&mut self.target, query)
    }

    /// Changes the target by hand.
    pub(crate) fn change(&mut self, statements: &str) {
        self.target.batch_execute(statements).unwrap();
    }

    /// Rows of a query on staging, cells joined by `|`.
    pub(crate) fn staging_rows(&mut self, query: &str) -> Vec<String> {
        rows(&mut self.staged.client, query)
    }

    /// The target's applied position.
    pub(crate) fn applied(&mut self) -> String {
        self.rows("select applied_file || ':' || applied_pos from mysql2gp.checkpoint")
            .join(",")
    }
}

/// Rows of a query, cells joined by `|`.
pub(crate) fn rows(client: &mut Client, query: &str) -> Vec<String> {
    let mut rows = Rows::new();
    for message in client.simple_query(query).unwrap() {
        if let postgres::SimpleQueryMessage::Row(row) = message {
            let cells = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
            rows.push(cells.collect());
        }
    }
    rows.into_iter()
        .map(|row| {
            row.into_iter()
                .map(|cell| cell.unwrap_or_else(|| "NULL".into()))
                .collect::<Vec<_>>()
                .join("|")
        })
        .collect()
}

/// A running program and its configuration.
pub(crate) struct Running {
    pub(crate) program: Program,
    _files: TaskFiles,
}

impl Running {
    /// Waits for the end; exit code and log.
    #[track_caller]
    pub(crate) fn finish(mut self) -> (i32, String) {
        let status = self.program.wait_exit(TIMEOUT);
        (status.code().unwrap_or(-1), self.program.stderr())
    }
}
