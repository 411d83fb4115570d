//! One source, one PostgreSQL server for staging and target, tasks between them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mysql::Conn;
use mysql::prelude::Queryable;
use testkit::{Flavor, Launch, MysqlServer, PgServer, Program, TaskBuilder, TaskFiles, binary};

/// Bounds every run; a slow machine is no failure.
const SOON: Duration = Duration::from_secs(120);

/// The session in which values are written: nothing is refused, time is UTC.
const SESSION: &str = "set names utf8mb4, time_zone = '+00:00', \
     sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'";

/// PostgreSQL for all tests of this program.
pub(crate) fn postgres() -> &'static PgServer {
    static SERVER: OnceLock<PgServer> = OnceLock::new();
    SERVER.get_or_init(PgServer::start_default)
}

/// A source that takes values of 64 MiB.
pub(crate) fn source(flavor: Flavor) -> MysqlServer {
    let server = MysqlServer::builder(flavor)
        .arg("--max-allowed-packet=256M")
        // Hundreds of tables are created.
        .arg("--innodb-file-per-table=0");
    if flavor.is_mariadb() {
        server.arg("--sync-frm=0").start()
    } else {
        server.start()
    }
}

/// A connection to the source, to write with.
pub(crate) fn writer(source: &MysqlServer) -> Conn {
    let mut connection = source.connect();
    execute(&mut connection, SESSION);
    connection
}

/// Runs one statement.
#[track_caller]
pub(crate) fn execute(connection: &mut Conn, statement: &str) {
    if let Err(error) = connection.query_drop(statement) {
        let shown: String = statement.chars().take(2000).collect();
        panic!("{error}: {shown}");
    }
}

/// A staging database, a target database, and a configuration between them.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) target: String,
    pub(crate) config: TaskBuilder,
}

impl Task {
    /// A task that replicates these databases of the source, each into the schema of its
    /// name, from the source's current binlog file on.
    pub(crate) fn new(name: &str, source: &MysqlServer, databases: &[&str]) -> Self {
        let postgres = postgres();
        let staging = format!("{name}_staging");
        let target = format!("{name}_target");
        postgres.create_database(&staging);
        postgres.create_database(&target);
        let mut config = TaskFiles::builder()
            .source(source, databases.first().expect("at least one"))
            .set("src.mysql", "binlogfile", source.binlog_end().0)
            .staging(&postgres.connect_string(&staging))
            .target(&postgres.connect_string(&target), "public");
        let mut lines = Vec::new();
        for database in databases {
            postgres.sql(&target, &format!("create schema {database}"));
            config = config.raw(&format!(
                "[[rule]]\nschema = \"{database}\"\ntable = \"*\"\npg_schema = \"{database}\""
            ));
            lines.push(format!("{database}.*"));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        Self {
            target,
            config: config.tables(&lines),
        }
    }

    /// Sets a key of a section.
    pub(crate) fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        self.config = self.config.set(section, key, value);
        self
    }

    /// Carries everything that the source has committed to the target.
    #[track_caller]
    pub(crate) fn carry(&self) {
        let files = self.config.write();
        for program in ["binlog_miner", "binlog_loader"] {
            let start = Instant::now();
            end(run(program, &files), 0);
            eprintln!("{}: {program} {:?}", self.target, start.elapsed());
        }
    }

    /// The log of the miner, which must stop for an operator.
    #[track_caller]
    pub(crate) fn miner_refuses(&self) -> String {
        end(run("binlog_miner", &self.config.write()), 3)
    }

    /// The log of the loader, which must stop for an operator.
    #[track_caller]
    pub(crate) fn loader_refuses(&self) -> String {
        let files = self.config.write();
        end(run("binlog_miner", &files), 0);
        end(run("binlog_loader", &files), 3)
    }

    /// What `binlog_loader check` says, which must be that an operator has to act.
    #[track_caller]
    pub(crate) fn check_refuses(&self) -> String {
        let files = self.config.write();
        let mut program = launch("binlog_loader", &files, "check").start();
        let status = program.wait_exit(SOON);
        let said = program.stdout() + &program.stderr();
        assert_eq!(status.code(), Some(3), "exit code of check:\n{said}");
        said
    }

    /// A query on the target gives this value.
    #[track_caller]
    pub(crate) fn assert_value(&self, query: &str, expected: &str) {
        assert_eq!(postgres().value(&self.target, query), expected, "{query}");
    }

    /// Runs statements on the target.
    pub(crate) fn target_sql(&self, statements: &str) {
        postgres().sql(&self.target, statements);
    }
}

fn run(program: &str, files: &TaskFiles) -> Program {
    launch(program, files, "--once").start()
}

fn launch(program: &str, files: &TaskFiles, argument: &str) -> Launch {
    Launch::new(binary(program))
        .env("RUST_LOG", "info")
        .arg("-c")
        .arg(files.config())
        .arg(argument)
}

/// Waits for the end with this code; the log.
#[track_caller]
fn end(mut program: Program, code: i32) -> String {
    let status = program.wait_exit(SOON);
    let log = program.stderr();
    assert_eq!(status.code(), Some(code), "exit code; log:\n{log}");
    log
}
