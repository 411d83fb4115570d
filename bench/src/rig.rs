//! The three servers, and one run of both programs or of psql between them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use mysql::prelude::Queryable;
use testkit::{Durability, Flavor, MysqlServer, PgServer, TaskFiles};

use crate::usage::{Usage, Watched, server_cpu, wait_all};

/// Database at the source, and the target's with the tables as they are before a run.
pub(crate) const DATABASE: &str = "bench";
const STAGING: &str = "staging";
const TARGET: &str = "target";

/// Table whose raw COPY other workloads are compared with: W1's rows.
pub(crate) const REFERENCE: &str = "reference";

pub(crate) struct Rig {
    pub(crate) source: MysqlServer,
    pub(crate) staging: PgServer,
    pub(crate) target: PgServer,
    /// Files for raw COPY.
    pub(crate) files: tempfile::TempDir,
    reference_rows: f64,
}

/// A part of the source's binlog.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) start: (String, u64),
    pub(crate) end: (String, u64),
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) source_cpu: f64,
    pub(crate) staging_cpu: f64,
    pub(crate) target_cpu: f64,
    /// The miner, or another program.
    pub(crate) miner: Usage,
    pub(crate) loader: Usage,
}

impl Rig {
    pub(crate) fn start() -> Self {
        let rig = Self {
            source: MysqlServer::builder(Flavor::MariaDb1011)
                .durability(Durability::Durable)
                .arg("--max-allowed-packet=1G")
                .start(),
            staging: PgServer::builder().durability(Durability::Durable).start(),
            target: PgServer::builder().durability(Durability::Durable).start(),
            files: tempfile::tempdir().expect("the temporary directory is writable"),
            reference_rows: 0.0,
        };
        rig.source.sql(&format!("create database {DATABASE}"));
        rig
    }

    /// Runs statements at the source, not durably: the binlog is what counts.
    pub(crate) fn generate(&self, statements: impl Iterator<Item = String>) -> Region {
        // In a file of its own: the server reads a file up to where a dump is to begin.
        self.source.sql(
            "set global sync_binlog = 0; set global innodb_flush_log_at_trx_commit = 0; flush binary logs",
        );
        let start = self.source.binlog_end();
        let mut connection = self.source.connect();
        connection
            .query_drop(format!("use {DATABASE}"))
            .expect("the database is there");
        for statement in statements {
            connection.query_drop(&statement).unwrap_or_else(|error| {
                let head: String = statement.chars().take(200).collect();
                panic!("{error}: {head}")
            });
        }
        self.source
            .sql("set global sync_binlog = 1; set global innodb_flush_log_at_trx_commit = 1");
        Region {
            start,
            end: self.source.binlog_end(),
        }
    }

    /// A new target database from the one that has the tables as they were, and an empty
    /// staging database; everything on disk.
    pub(crate) fn renew(&self, template: &str) {
        for (server, database, from) in [
            (&self.target, TARGET, template),
            (&self.staging, STAGING, "template1"),
        ] {
            server.sql("postgres", &format!("drop database if exists {database}"));
            server.sql(
                "postgres",
                &format!("create database {database} template {from}"),
            );
            server.sql("postgres", "checkpoint");
        }
    }

    /// Both programs, from start to end, on this part of the binlog.
    pub(crate) fn pipeline(&self, region: &Region) -> Run {
        let files = self.task(region);
        let until = format!("{}:{}", region.end.0, region.end.1);
        let before = self.server_cpus();
        let started = Instant::now();
        let programs = ["binlog_miner", "binlog_loader"]
            .map(|name| Watched::start(&mut program(name, &files, &["--until", &until])));
        let usages = wait_all(programs.into());
        let seconds = started.elapsed().as_secs_f64();
        self.run(
            seconds,
            before,
            usages.first().copied().unwrap_or_default(),
            usages.get(1).copied().unwrap_or_default(),
        )
    }

    /// Keeps the exported table for raw COPY beside other workloads.
    pub(crate) fn keep_reference(&mut self, tables: &[String], rows: f64) {
        let [table] = tables else {
            panic!("the reference is one table");
        };
        std::fs::copy(self.raw_file(table), self.raw_file(REFERENCE))
            .expect("the temporary directory has room");
        self.reference_rows = rows;
    }

    /// Rows of the table that is kept.
    pub(crate) fn reference_rows(&self) -> f64 {
        self.reference_rows
    }

    /// A new target database with nothing but an empty table for the reference.
    pub(crate) fn renew_for_reference(&self, create: &str) {
        self.renew("template1");
        self.target.sql(TARGET, create);
        self.target.sql("postgres", "checkpoint");
    }

    /// `psql \copy` of the reference.
    pub(crate) fn raw_reference(&self) -> Run {
        self.raw(&[REFERENCE.to_owned()])
    }

    /// `psql \copy` of a file per table into the target's tables.
    pub(crate) fn raw(&self, tables: &[String]) -> Run {
        let mut command = self.psql(TARGET);
        for table in tables {
            let path = self.raw_file(table);
            command
                .arg("-c")
                .arg(format!("\\copy {table} from '{}'", path.display()));
        }
        self.by_program(&mut command)
    }

    /// What one program takes.
    pub(crate) fn by_program(&self, command: &mut Command) -> Run {
        let before = self.server_cpus();
        let started = Instant::now();
        let usages = wait_all(vec![Watched::start(command)]);
        let seconds = started.elapsed().as_secs_f64();
        let usage = usages.first().copied().unwrap_or_default();
        self.run(seconds, before, usage, Usage::default())
    }

    /// Keeps statements that the target understands, too, for psql.
    pub(crate) fn keep_statements(&self, statements: impl Iterator<Item = String>) {
        let file = File::create(self.statements_file()).expect("the temporary directory is ours");
        let mut writer = BufWriter::new(file);
        for statement in statements {
            writeln!(writer, "{statement};").expect("the temporary directory has room");
        }
        writer.flush().expect("the temporary directory has room");
    }

    /// The statements that are kept, each a transaction, by psql.
    pub(crate) fn run_statements(&self) -> Run {
        let mut command = self.psql(TARGET);
        command.arg("-f").arg(self.statements_file());
        self.by_program(&mut command)
    }

    /// Writes the target's tables into the files for raw COPY, in key order.
    pub(crate) fn export(&self, tables: &[String]) {
        let mut command = self.psql(TARGET);
        for table in tables {
            let path = self.raw_file(table);
            command.arg("-c").arg(format!(
                "\\copy (select * from {table} order by id) to '{}'",
                path.display()
            ));
        }
        wait_all(vec![Watched::start(&mut command)]);
    }

    /// The value of a query on the target as it is after a run.
    pub(crate) fn target_value(&self, query: &str) -> String {
        self.target.value(TARGET, query)
    }

    /// The target's database after a run.
    pub(crate) fn target_database(&self) -> &'static str {
        TARGET
    }

    pub(crate) fn task(&self, region: &Region) -> TaskFiles {
        let (file, offset) = &region.start;
        TaskFiles::builder()
            .source(&self.source, DATABASE)
            .set("src.mysql", "binlogfile", file)
            .set("src.mysql", "binlogfile_offset", offset)
            // The target has exactly what was before.
            .set("src.mysql", "consistent_from", format!("{file}:{offset}"))
            .staging(&self.staging.connect_string(STAGING))
            .target(&self.target.connect_string(TARGET), "public")
            .write()
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.target.connect_string(database))
            .stdin(Stdio::null());
        command
    }

    fn statements_file(&self) -> PathBuf {
        self.files.path().join("statements.sql")
    }

    fn raw_file(&self, table: &str) -> PathBuf {
        self.files.path().join(format!("{table}.copy"))
    }

    fn server_cpus(&self) -> [f64; 3] {
        [self.source.pid(), self.staging.pid(), self.target.pid()].map(server_cpu)
    }

    fn run(&self, seconds: f64, before: [f64; 3], miner: Usage, loader: Usage) -> Run {
        let [source, staging, target] = self.server_cpus();
        let [source_before, staging_before, target_before] = before;
        Run {
            seconds,
            source_cpu: source - source_before,
            staging_cpu: staging - staging_before,
            target_cpu: target - target_before,
            miner,
            loader,
        }
    }
}

/// One of the programs, built beside this one.
pub(crate) fn program(name: &str, files: &TaskFiles, args: &[&str]) -> Command {
    let own = std::env::current_exe().expect("the system knows this program's path");
    let directory = own.parent().unwrap_or(Path::new("."));
    let log = File::create(files.directory().join(format!("{name}.log")))
        .expect("the task's directory is ours");
    let mut command = Command::new(directory.join(name));
    command
        .arg("-c")
        .arg(files.config())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}
