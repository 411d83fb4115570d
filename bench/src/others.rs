//! Other tools beside ours, on the same servers and rows: pgloader (Debian), which copies the
//! table as it is, and pg_chameleon (PyPI), which replays the binlog.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::RunAs;

use crate::rig::{DATABASE, Rig, Run};
use crate::workload::Case;

/// What they log in with at the source: neither takes `root` without a password.
const USER: &str = "other";

/// The target's schema that `pg_chameleon` makes and fills.
const CHAMELEON_SCHEMA: &str = "chameleon";

/// Names the one source of the configuration.
const SOURCE: [&str; 2] = ["--source", "mysql"];

/// Far above what the slowest takes for these rows.
const CHAMELEON_TIMEOUT: Duration = Duration::from_secs(900);

/// Runs of the same rows.
pub(crate) struct Others {
    pub(crate) rows: f64,
    /// psql's raw COPY into the table.
    pub(crate) raw: Run,
    pub(crate) ours: Run,
    pub(crate) pgloader: Run,
    /// Only the time is known: its processes are many.
    pub(crate) chameleon: Run,
}

impl Others {
    /// Each with its name.
    pub(crate) fn runs(&self) -> [(&'static str, &Run); 4] {
        [
            ("psql, raw COPY", &self.raw),
            (
                "binlog_miner and binlog_loader, from the binlog",
                &self.ours,
            ),
            ("pgloader, from the table", &self.pgloader),
            ("pg_chameleon, from the binlog", &self.chameleon),
        ]
    }
}

/// Times each once: they differ by far more than the machine's speed does.
pub(crate) fn run(rig: &Rig, scale: f64, venv: &Path) -> Others {
    let case = Case::beside_others(scale);
    eprintln!("{}: {}", case.name, case.title);
    rig.source.sql(&format!(
        "create user {USER}@'%' identified by '{USER}'; grant all on *.* to {USER}@'%'"
    ));
    let template = case.prepare(rig);
    rig.renew(&template);
    let chameleon = Chameleon::install(rig, venv);
    let region = rig.generate(case.statements());
    let chameleon = chameleon.replay(rig, &case);
    rig.renew(&template);
    let pgloader = rig.by_program(&mut pgloader(rig));
    check(rig, "public", &case);
    rig.renew(&template);
    let ours = rig.pipeline(&region);
    check(rig, "public", &case);
    rig.export(&case.raw_tables());
    rig.renew(&template);
    let raw = rig.raw(&case.raw_tables());
    case.clean_up(rig, &template);
    Others {
        rows: case.events(),
        raw,
        ours,
        pgloader,
        chameleon,
    }
}

/// Every row has arrived.
fn check(rig: &Rig, schema: &str, case: &Case) {
    let count = count(rig, schema);
    assert_eq!(count, case.events().to_string(), "rows in {schema}.t1");
}

fn count(rig: &Rig, schema: &str) -> String {
    rig.target_value(&format!("select count(*) from {schema}.t1"))
}

fn pgloader(rig: &Rig) -> Command {
    let load = rig.files.path().join("t1.load");
    let text = format!(
        "LOAD DATABASE
           FROM mysql://{USER}:{USER}@{}:{}/{DATABASE}
           INTO pgsql://postgres@{}:{}/{}
         WITH data only
         INCLUDING ONLY TABLE NAMES MATCHING 't1'
         ALTER SCHEMA '{DATABASE}' RENAME TO 'public';\n",
        rig.source.host(),
        rig.source.port(),
        rig.target.host(),
        rig.target.port(),
        rig.target_database(),
    );
    fs::write(&load, text).expect("the temporary directory is ours");
    let mut command = Command::new("pgloader");
    // Its reports of progress, and the summary.
    command
        .args(["--quiet", "--root-dir"])
        .arg(rig.files.path().join("pgloader"))
        .arg(load)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A configuration of `pg_chameleon`, which does not run as root.
struct Chameleon {
    user: RunAs,
    home: tempfile::TempDir,
    program: PathBuf,
}

impl Chameleon {
    /// Copies the tables as they are, which are empty, and notes the binlog position.
    fn install(rig: &Rig, venv: &Path) -> Self {
        let this = Self {
            user: RunAs::unprivileged(),
            home: tempfile::tempdir().expect("the temporary directory is writable"),
            program: venv.join("bin").join("chameleon"),
        };
        this.user.own(this.home.path());
        let folder = this.home.path().join(".pg_chameleon");
        for folder in [
            folder.clone(),
            folder.join("configuration"),
            folder.join("logs"),
            folder.join("pid"),
        ] {
            fs::create_dir(&folder).expect("the temporary directory is ours");
            this.user.own(&folder);
        }
        let configuration = folder.join("configuration").join("default.yml");
        fs::write(configuration, this.configuration(rig)).expect("the temporary directory is ours");
        for (step, of_source) in [
            ("create_replica_schema", false),
            ("add_source", true),
            ("init_replica", true),
        ] {
            let mut command = this.command(step);
            if of_source {
                command.args(SOURCE);
            }
            let output = command
                .output()
                .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
            assert!(
                output.status.success(),
                "pg_chameleon {step}: {}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        this
    }

    /// In JSON, which is YAML: its sample's settings but for the addresses.
    fn configuration(&self, rig: &Rig) -> String {
        serde_json::json!({
            "pid_dir": "~/.pg_chameleon/pid/",
            "log_dir": "~/.pg_chameleon/logs/",
            "log_dest": "file",
            "log_level": "info",
            "log_days_keep": 10,
            "rollbar_key": "",
            "rollbar_env": "",
            "type_override": {},
            "pg_conn": {
                "host": rig.target.host(),
                "port": rig.target.port().to_string(),
                "user": "postgres",
                // Not asked for, but an empty one would swallow the port.
                "password": USER,
                "database": rig.target_database(),
                "charset": "utf8",
            },
            "sources": {"mysql": {
                "readers": 1,
                "writers": 1,
                "db_conn": {
                    "host": rig.source.host(),
                    "port": rig.source.port().to_string(),
                    "user": USER,
                    "password": USER,
                    "charset": "utf8mb4",
                    "connect_timeout": 10,
                },
                "schema_mappings": {DATABASE: CHAMELEON_SCHEMA},
                "limit_tables": [],
                "skip_tables": [],
                "grant_select_to": [],
                "lock_timeout": "120s",
                "my_server_id": 100,
                "replica_batch_size": 10000,
                "replay_max_rows": 10000,
                "batch_retention": "1 day",
                "copy_max_memory": "300M",
                "copy_mode": "file",
                "out_dir": self.home.path(),
                "sleep_loop": 1,
                "on_error_replay": "continue",
                "on_error_read": "continue",
                "auto_maintenance": "disabled",
                "gtid_enable": false,
                "type": "mysql",
                "keep_existing_schema": false,
            }},
        })
        .to_string()
    }

    /// In the foreground: its daemon would outlive a bench that is stopped.
    fn command(&self, step: &str) -> Command {
        let mut command = self.user.command(&self.program);
        command
            .args([step, "--debug"])
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// From its start until the last row is there.
    fn replay(self, rig: &Rig, case: &Case) -> Run {
        let wanted = case.events().to_string();
        let started = Instant::now();
        let mut program = Group(
            self.command("start_replica")
                .args(SOURCE)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it has just run"),
        );
        while count(rig, CHAMELEON_SCHEMA) != wanted {
            let ended = program.0.try_wait().expect("the program is our child");
            assert!(ended.is_none(), "pg_chameleon has ended: {ended:?}");
            assert!(
                started.elapsed() < CHAMELEON_TIMEOUT,
                "pg_chameleon has not brought {wanted} rows, but {}",
                count(rig, CHAMELEON_SCHEMA)
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let seconds = started.elapsed().as_secs_f64();
        drop(program);
        Run {
            seconds,
            ..Run::default()
        }
    }
}

/// A program with the processes that it has started, which are its process group.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        // What has ended needs no end.
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}
