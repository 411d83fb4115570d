//! Servers, tasks and running programs.

use std::time::Duration;

use mysql::prelude::Queryable;
use serde_json::Value;
use testkit::{
    Comparison, Flavor, Launch, MysqlServer, PgServer, Program, TaskBuilder, TaskFiles, binary,
    holds_within, wait_until,
};

/// Bounds every wait; a slow machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// How long a program is watched that must not end.
pub(crate) const A_WHILE: Duration = Duration::from_millis(1500);

/// The database at the source.
pub(crate) const DATABASE: &str = testkit::workload::DATABASE;

/// The schema of the target tables.
pub(crate) const SCHEMA: &str = "copy";

/// A source, a staging server and a target server, which may be the same as staging's.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) source: MysqlServer,
    pub(crate) staging: PgServer,
    own_target: Option<PgServer>,
}

impl Rig {
    /// One PostgreSQL server is staging and target.
    pub(crate) fn new(source: MysqlServer) -> Self {
        Self {
            source,
            staging: PgServer::start_default(),
            own_target: None,
        }
    }

    /// For tests in which the version of the source does not matter.
    pub(crate) fn start() -> Self {
        Self::new(MysqlServer::start_default(Flavor::MariaDb1011))
    }

    /// Staging and target on servers of their own.
    pub(crate) fn with_servers(source: MysqlServer, staging: PgServer, target: PgServer) -> Self {
        Self {
            source,
            staging,
            own_target: Some(target),
        }
    }

    pub(crate) fn target(&self) -> &PgServer {
        self.own_target.as_ref().unwrap_or(&self.staging)
    }

    /// The target server, where it is one of its own.
    pub(crate) fn target_mut(&mut self) -> &mut PgServer {
        self.own_target
            .as_mut()
            .expect("this rig has a target server of its own")
    }

    /// A new task with empty databases: `NAME_staging` and `NAME_target`, which has the
    /// schema [`SCHEMA`]. Its configuration replicates every table of [`DATABASE`].
    pub(crate) fn task(&self, name: &str) -> Task {
        let (staging, target) = (format!("{name}_staging"), format!("{name}_target"));
        self.staging.create_database(&staging);
        self.target().create_database(&target);
        self.target()
            .sql(&target, &format!("create schema {SCHEMA}"));
        let config = TaskFiles::builder()
            .set("task", "lock_timeout", 5)
            .source(&self.source, DATABASE)
            .set("src.mysql", "connect_timeout", 5)
            .staging(&self.staging.connect_string(&staging))
            .target(&self.target().connect_string(&target), SCHEMA);
        Task {
            staging,
            target,
            config,
        }
    }

    /// A task of one small table, `t (id, v)`, with nothing in it yet.
    pub(crate) fn small_task(&self, name: &str) -> Task {
        let task = self.task(name);
        self.source.sql(&format!(
            "create database if not exists {DATABASE} character set utf8mb4; \
             create table if not exists {DATABASE}.t (id int primary key, v varchar(20))"
        ));
        self.target_sql(
            &task,
            "create table t (id integer primary key, v varchar(20))",
        );
        task
    }

    /// Runs statements on the source, in [`DATABASE`].
    pub(crate) fn source_sql(&self, statements: &[&str]) {
        let mut connection = self.source.connect();
        connection.query_drop(format!("use {DATABASE}")).unwrap();
        for statement in statements {
            connection
                .query_drop(statement)
                .unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }

    /// Runs statements on the target, in [`SCHEMA`].
    pub(crate) fn target_sql(&self, task: &Task, statements: &str) {
        let statements = format!("set search_path = {SCHEMA}; {statements}");
        self.target().sql(&task.target, &statements);
    }

    /// The value of a query on the target, in [`SCHEMA`].
    pub(crate) fn target_value(&self, task: &Task, query: &str) -> String {
        let query = format!("set search_path = {SCHEMA}; {query}");
        self.target().value(&task.target, &query)
    }

    /// The row of `mysql2gp.status`; `None` while staging cannot tell.
    pub(crate) fn status(&self, task: &Task) -> Option<Value> {
        let mut client = self.staging.try_connect(&task.staging).ok()?;
        let row = client
            .query_one("select to_jsonb(s)::text from mysql2gp.status s", &[])
            .ok()?;
        serde_json::from_str(row.get(0)).ok()
    }

    /// One column of `mysql2gp.status`; [`Value::Null`] while staging cannot tell.
    pub(crate) fn status_of(&self, task: &Task, column: &str) -> Value {
        self.status(task)
            .and_then(|status| status.get(column).cloned())
            .unwrap_or(Value::Null)
    }

    /// Waits until everything that the source has committed is applied, as the status says.
    ///
    /// # Panics
    /// When it is not in time, or one of the programs ends.
    #[track_caller]
    pub(crate) fn wait_applied(&self, task: &Task, programs: &mut [&mut Program]) {
        let mut ended = None;
        let applied = holds_within(SOON, || {
            // The source may write on by itself: MariaDB's checkpoints come late.
            let (file, position) = self.source.binlog_end();
            ended = programs
                .iter_mut()
                .find_map(|program| program.exit_status());
            ended.is_some()
                || self.status(task).is_some_and(|status| {
                    status.get("applied_file").and_then(Value::as_str) == Some(&file)
                        && status.get("applied_pos").and_then(Value::as_u64) == Some(position)
                        && status.get("total_lag_seconds").and_then(Value::as_f64) == Some(0.0)
                })
        });
        assert!(
            applied && ended.is_none(),
            "source ends at {:?}, program ended: {ended:?}, status {:#}",
            self.source.binlog_end(),
            self.status(task).unwrap_or_default()
        );
    }

    /// Waits until everything that the source has committed is staged.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub(crate) fn wait_staged(&self, task: &Task) {
        let (file, position) = self.source.binlog_end();
        wait_until(SOON, "the staged position", || {
            self.status(task).is_some_and(|status| {
                status.get("staged_file").and_then(Value::as_str) == Some(&file)
                    && status.get("staged_pos").and_then(Value::as_u64) == Some(position)
            })
        });
    }

    /// Compares every row of these tables.
    ///
    /// # Panics
    /// With the first differences.
    #[track_caller]
    pub(crate) fn assert_equal(&self, task: &Task, tables: &[&str]) {
        for table in tables {
            let report = Comparison::between(
                self.source.table(DATABASE, table),
                self.target().table(&task.target, SCHEMA, table),
            )
            .run();
            assert!(report.is_equal(), "table {table}: {report}");
        }
    }
}

/// A staging database, a target database, and a configuration between them.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) staging: String,
    pub(crate) target: String,
    pub(crate) config: TaskBuilder,
}

/// [`miner`] or [`loader`].
pub(crate) type Run = fn(&TaskFiles, &[&str]) -> Program;

/// Starts `binlog_miner` on the task's files.
pub(crate) fn miner(files: &TaskFiles, args: &[&str]) -> Program {
    launch("binlog_miner", files, args).start()
}

/// Starts `binlog_loader` on the task's files.
pub(crate) fn loader(files: &TaskFiles, args: &[&str]) -> Program {
    launch("binlog_loader", files, args).start()
}

/// A program on the task's files, to be started.
pub(crate) fn launch(name: &str, files: &TaskFiles, args: &[&str]) -> Launch {
    let launch = Launch::new(binary(name))
        .env("RUST_LOG", "info")
        .arg("-c")
        .arg(files.config());
    args.iter().fold(launch, Launch::arg)
}

/// Waits for a program to end with this code and to have said all of `words` in its log.
#[track_caller]
pub(crate) fn assert_ends(program: &mut Program, code: i32, words: &[&str]) {
    let status = program.wait_exit(SOON);
    assert_eq!(status.code(), Some(code), "exit code");
    assert_says(program, words);
}

/// The program has said all of `words` in its log.
#[track_caller]
pub(crate) fn assert_says(program: &Program, words: &[&str]) {
    let log = program.stderr();
    for word in words {
        assert!(log.contains(word), "the log does not say {word:?}:\n{log}");
    }
}

/// Lines of the program's log that tell of trouble and contain `word`.
pub(crate) fn warnings(program: &Program, word: &str) -> usize {
    let log = program.stderr();
    log.lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .filter(|line| line.contains(word))
        .count()
}

/// Waits until the program warns of something that contains `word`.
#[track_caller]
pub(crate) fn wait_warning(program: &mut Program, word: &str) {
    let mut ended = None;
    let warned = holds_within(SOON, || {
        ended = program.exit_status();
        warnings(program, word) > 0 || ended.is_some()
    });
    assert!(
        warned && ended.is_none(),
        "no warning of {word:?}, ended: {ended:?}"
    );
}

/// The program does not end for a while.
#[track_caller]
pub(crate) fn assert_keeps_running(program: &mut Program) {
    let ended = holds_within(A_WHILE, || program.exit_status().is_some());
    assert!(!ended, "ended with {:?}", program.exit_status());
}

/// The program ends with 0 on SIGTERM.
#[track_caller]
pub(crate) fn assert_stops(program: &mut Program) {
    program.sigterm();
    assert_ends(program, 0, &[]);
}

/// The program has warned of nothing but what contains one of `expected`.
#[track_caller]
pub(crate) fn assert_calm(program: &Program, expected: &[&str]) {
    let log = program.stderr();
    let unexpected: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.contains(" WARN ") || line.contains(" ERROR ") || line.contains("panicked")
        })
        .filter(|line| !expected.iter().any(|word| line.contains(word)))
        .collect();
    assert!(
        unexpected.is_empty(),
        "unexpected in the log: {unexpected:#?}"
    );
}
