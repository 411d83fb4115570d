//! Staging databases, tasks, and miners that run on them.

use std::time::Duration;

use testkit::{Launch, MysqlServer, PgServer, Program, TaskBuilder, TaskFiles, binary, wait_until};

/// Bounds every wait; a slow machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The database at the source.
const DATABASE: &str = "app";

/// Staging for the tasks of one test.
pub(crate) struct Rig {
    pub(crate) pg: PgServer,
}

/// How a miner ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) log: String,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self {
            pg: PgServer::start_default(),
        }
    }

    /// A task with an empty staging database of this name, without a start position.
    pub(crate) fn task(&self, name: &str, source: &MysqlServer) -> TaskBuilder {
        self.pg.create_database(name);
        TaskFiles::builder()
            .set("task", "name", name)
            .set("src.mysql", "host", source.host())
            .set("src.mysql", "port", source.port())
            .set("src.mysql", "user", "root")
            .set("src.mysql", "password", "")
            .set("src.mysql", "db", DATABASE)
            .set("src.mysql", "connect_timeout", 5)
            .staging(&self.pg.connect_string(name))
            .target(&self.pg.connect_string("postgres"), "public")
    }

    /// Ids of the rows inserted into `app.t`, in the order in which they are staged.
    pub(crate) fn staged_ids(&self, name: &str) -> String {
        self.pg.value(
            name,
            "select coalesce(string_agg(after ->> 'id', ' ' order by event_seq), '') \
               from mysql2gp.events where table_name = 't' and op = 'insert'",
        )
    }

    /// A column of `mysql2gp.miner`.
    pub(crate) fn miner(&self, name: &str, column: &str) -> String {
        self.pg.value(
            name,
            &format!("select coalesce({column}::text, '') from mysql2gp.miner"),
        )
    }

    /// Waits until these ids are staged; others must not come.
    #[track_caller]
    pub(crate) fn wait_ids(&self, name: &str, expected: &str) {
        wait_until(SOON, &format!("{expected} in {name}"), || {
            let mut ready = self.pg.connect(name);
            let exists: bool = ready
                .query_one("select to_regclass('mysql2gp.events') is not null", &[])
                .unwrap()
                .get(0);
            exists && self.staged_ids(name).len() >= expected.len()
        });
        assert_eq!(self.staged_ids(name), expected, "{name}");
    }
}

/// A table to insert ids into.
pub(crate) fn create_table(source: &MysqlServer) {
    source.sql("create database app; create table app.t (id int primary key, v varchar(100))");
}

/// One transaction for each id.
pub(crate) fn insert(source: &MysqlServer, ids: std::ops::RangeInclusive<u32>) {
    for id in ids {
        source.sql(&format!("insert into app.t values ({id}, 'row')"));
    }
}

/// Leaves the source only its newest log file.
#[track_caller]
pub(crate) fn purge(source: &MysqlServer) {
    let file = source.binlog_end().0;
    // MariaDB keeps a file, without a word, while a recovery would need it.
    wait_until(SOON, "the purge", || {
        source.sql(&format!("purge binary logs to '{file}'"));
        source.query("show binary logs").len() == 1
    });
}

/// A miner that runs, and the files that it reads.
pub(crate) struct Miner {
    pub(crate) program: Program,
    _files: TaskFiles,
}

impl Miner {
    pub(crate) fn start(task: &TaskBuilder, args: &[&str]) -> Self {
        let files = task.write();
        let launch = Launch::new(binary("binlog_miner"))
            .arg("-c")
            .arg(files.config());
        let program = args
            .iter()
            .fold(launch, |launch, arg| launch.arg(arg))
            .start();
        Self {
            program,
            _files: files,
        }
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let status = self.program.wait_exit(SOON);
        Ended {
            code: status.code().unwrap(),
            log: self.program.stderr(),
        }
    }

    /// Stops it in good order.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.program.sigterm();
        let ended = self.ended();
        assert_eq!(ended.code, 0, "{}", ended.log);
    }
}

/// Stages what there is.
#[track_caller]
pub(crate) fn mine(task: &TaskBuilder) {
    let ended = Miner::start(task, &["--once"]).ended();
    assert_eq!(ended.code, 0, "{}", ended.log);
}

/// Runs a miner that must end by itself with this code, and say this.
#[track_caller]
pub(crate) fn refused(task: &TaskBuilder, code: i32, words: &[&str]) {
    said(&Miner::start(task, &["--once"]).ended(), code, words);
}

/// How it ended, and that its log has these words.
#[track_caller]
pub(crate) fn said(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{}", ended.log);
    for word in words {
        assert!(ended.log.contains(word), "no {word:?} in {}", ended.log);
    }
}
