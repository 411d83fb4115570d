//! Servers, tasks, and what a mistake has come to.

use std::path::Path;
use std::time::Duration;

use testkit::{
    Flavor, Launch, MysqlServer, PgServer, Program, TaskBuilder, TaskFiles, binary, wait_until,
};

/// Bounds every wait; a slow machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Every password, and a row value that is refused; nothing may ever print it.
pub(crate) const SECRET: &str = "hush-hush";

/// Servers that several groups use at a time.
pub(crate) struct Servers {
    pub(crate) source: MysqlServer,
    pub(crate) pg: PgServer,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let source = MysqlServer::start_default(Flavor::MariaDb1011);
        source.sql(&format!(
            "create user miner@'%' identified by '{SECRET}'; grant all on *.* to miner@'%'"
        ));
        Self {
            source,
            pg: PgServer::builder().password(SECRET).start(),
        }
    }

    /// A task of the group `letter`, the next of its own: a database at the source, one for
    /// staging, one for the target. `ddl` is for source and target alike.
    pub(crate) fn task(&self, name: &str, ddl: &str) -> Task {
        self.task_at(&self.source, name, ddl)
    }

    /// The same at another source.
    pub(crate) fn task_at(&self, source: &MysqlServer, name: &str, ddl: &str) -> Task {
        let task = Task::new(name);
        source.sql(&format!(
            "create database {0}; use {0}; {ddl}",
            task.database
        ));
        self.pg.create_database(&task.staging);
        self.pg.create_database(&task.target);
        self.pg.sql(&task.target, ddl);
        let (file, offset) = source.binlog_end();
        let config = TaskFiles::builder()
            .set("task", "lock_timeout", 1)
            .source(source, &task.database)
            .set("src.mysql", "user", "miner")
            .set("src.mysql", "password", SECRET)
            .set("src.mysql", "connect_timeout", 1)
            .set("src.mysql", "binlogfile", file)
            .set("src.mysql", "binlogfile_offset", offset)
            .staging(&self.pg.connect_string(&task.staging))
            .target(&self.pg.connect_string(&task.target), "public");
        Task { config, ..task }
    }

    /// Runs statements at the source, in the task's database.
    pub(crate) fn source_sql(&self, task: &Task, statements: &str) {
        self.source
            .sql(&format!("use {}; {statements}", task.database));
    }

    /// Runs statements at the target.
    pub(crate) fn target_sql(&self, task: &Task, statements: &str) {
        self.pg.sql(&task.target, statements);
    }

    /// Waits until the target has noticed that the task's programs have ended.
    pub(crate) fn wait_released(&self, task: &Task) {
        let sessions = format!(
            "select count(*) from pg_stat_activity where datname = '{}' and application_name like 'binlog%'",
            task.target
        );
        wait_until(SOON, "the programs' sessions to end", || {
            self.pg.value("postgres", &sessions) == "0"
        });
    }

    /// A role of PostgreSQL that may connect and nothing else, and the connect string for it.
    pub(crate) fn role(&self, task: &Task, database: &str) -> String {
        let role = format!("{}_user", task.database);
        self.pg.sql(
            database,
            &format!(
                "create role {role} login password '{SECRET}'; revoke create on schema public from public; \
                 revoke all on database {database} from public; grant connect, temporary on database {database} to {role}"
            ),
        );
        self.pg
            .connect_string(database)
            .replace("user=postgres", &format!("user={role}"))
    }
}

/// A task; its names are put into a common form in messages.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) database: String,
    pub(crate) staging: String,
    pub(crate) target: String,
    pub(crate) config: TaskBuilder,
}

impl Task {
    fn new(name: &str) -> Self {
        Self {
            database: format!("zq{name}"),
            staging: format!("zq{name}_staging"),
            target: format!("zq{name}_target"),
            config: TaskFiles::builder(),
        }
    }
}

/// A table of which most mistakes are made.
pub(crate) const TABLE: &str = "create table orders (id integer primary key, v varchar(20))";

/// A mistake, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) mistake: &'static str,
    pub(crate) command: String,
    pub(crate) code: i32,
    pub(crate) message: String,
}

/// What a group of mistakes has come to.
pub(crate) struct Group<'a> {
    servers: Option<&'a Servers>,
    /// Ports of more servers, and what stands for them.
    ports: Vec<(u16, &'static str)>,
    pub(crate) made: Vec<Made>,
}

impl<'a> Group<'a> {
    pub(crate) fn new(servers: Option<&'a Servers>) -> Self {
        Self {
            servers,
            ports: Vec::new(),
            made: Vec::new(),
        }
    }

    /// One more server whose port is not to be seen.
    pub(crate) fn hide(&mut self, port: u16, shown: &'static str) {
        self.ports.push((port, shown));
    }

    /// Makes the mistake: runs a program, which must end with `code` and say a line with `word`.
    #[track_caller]
    pub(crate) fn make(
        &mut self,
        mistake: &'static str,
        config: &TaskBuilder,
        command: &str,
        code: i32,
        word: &str,
    ) {
        let files = config.write();
        self.make_with(mistake, &files, command, code, word);
    }

    /// The same with files that are there.
    #[track_caller]
    pub(crate) fn make_with(
        &mut self,
        mistake: &'static str,
        files: &TaskFiles,
        command: &str,
        code: i32,
        word: &str,
    ) {
        let launch = launch(files, command);
        self.note(mistake, files.directory(), command, launch, code, word);
    }

    /// The same with any program.
    #[track_caller]
    pub(crate) fn note(
        &mut self,
        mistake: &'static str,
        directory: &Path,
        command: &str,
        launch: Launch,
        code: i32,
        word: &str,
    ) {
        let mut program = launch.start();
        let status = program.wait_exit(SOON);
        let said = said(&program);
        assert!(!said.contains(SECRET), "{mistake}: {said}");
        assert_eq!(status.code(), Some(code), "{mistake}: {said}");
        let mut lines: Vec<&str> = said.lines().filter(|line| line.contains(word)).collect();
        // The last words first.
        lines.sort_by_key(|line| !line.contains(" ERROR "));
        let line = lines
            .into_iter()
            .find(|line| !line.contains(" INFO ") && !line.starts_with("ok "))
            .unwrap_or_else(|| panic!("{mistake}: nothing is said of {word:?}: {said}"));
        let message = self.common(message_of(line), directory);
        self.made.push(Made {
            mistake,
            command: command.to_owned(),
            code,
            message,
        });
    }

    /// A message without what differs from run to run.
    fn common(&self, message: &str, directory: &Path) -> String {
        let mut text = message.replace(directory.to_str().unwrap(), "/srv/mysql2gp/shop");
        if let Some(servers) = self.servers {
            text = text.replace(
                servers.pg.socket_directory().to_str().unwrap(),
                "/run/postgresql",
            );
            text = without_port(&text, servers.pg.port(), "5432");
            text = without_port(&text, servers.source.port(), "3306");
        }
        for (port, shown) in &self.ports {
            text = without_port(&text, *port, shown);
        }
        text = after(&text, "zq", "", |rest| {
            rest.find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len())
        });
        text = text.replace("zq", "shop");
        for prefix in ["mysql-bin.000001:", "mysql-bin.000002:"] {
            text = after(&text, prefix, "1337", digits);
        }
        for prefix in ["pid ", "waited ", "waiting "] {
            text = after(&text, prefix, "1", digits);
        }
        for prefix in ["000001' at ", "000001 with ", "000002 with "] {
            text = after(&text, prefix, "1337", digits);
        }
        text = after(&text, "host ", "db1", |rest| {
            rest.find(", pid").unwrap_or(0)
        });
        text = after(&text, "since 20", "26-01-01 00:00:00", |_| 17);
        text = after(&text, "): 20", "26-01-01T00:00:00.000Z", |rest| {
            rest.find(' ').unwrap_or(0)
        });
        text = after(&text, "a file that ", "mysql2gp", |rest| {
            rest.find(" may").unwrap_or(0)
        });
        after(&text, "ended at 20", "26-01-01T00:00:00Z", |rest| {
            rest.find(' ').unwrap_or(0)
        })
    }
}

/// A number that is a port's may also be an SQLSTATE.
fn without_port(text: &str, port: u16, shown: &str) -> String {
    [":", "serverid "]
        .iter()
        .fold(text.to_owned(), |text, prefix| {
            text.replace(&format!("{prefix}{port}"), &format!("{prefix}{shown}"))
        })
}

fn digits(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len())
}

/// After each `prefix`, puts `shown` in the place of as many bytes as `length` says.
fn after(text: &str, prefix: &str, shown: &str, length: impl Fn(&str) -> usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once(prefix) {
        let (gone, left) = tail.split_at(length(tail).min(tail.len()));
        let shown = if gone.is_empty() { "" } else { shown };
        out.push_str(&format!("{head}{prefix}{shown}"));
        rest = left;
    }
    out + rest
}

/// The line without time, level and verdict.
fn message_of(line: &str) -> &str {
    for level in [" ERROR ", " WARN  "] {
        if line.starts_with("20")
            && let Some((_, rest)) = line.split_once(level)
        {
            return rest.split_once(": ").map_or(rest, |(_, message)| message);
        }
    }
    line.strip_prefix("FAIL ").unwrap_or(line)
}

/// All that a program has said.
pub(crate) fn said(program: &Program) -> String {
    program.stderr() + &program.stdout()
}

/// `binlog_loader ack FILE:POS` on the task's files.
pub(crate) fn launch(files: &TaskFiles, command: &str) -> Launch {
    let mut words = command.split(' ');
    let name = words.next().unwrap();
    let launch = Launch::new(binary(name))
        .env("RUST_LOG", "info")
        .arg("-c")
        .arg(files.config())
        .current_dir(files.directory());
    words.fold(launch, Launch::arg)
}

/// Runs a program that must succeed.
#[track_caller]
pub(crate) fn succeed(files: &TaskFiles, command: &str) {
    let mut program = launch(files, command).start();
    let status = program.wait_exit(SOON);
    assert_eq!(status.code(), Some(0), "{command}: {}", said(&program));
}
