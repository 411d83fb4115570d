//! Starting, stopping and watching both programs.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::fs::{FlockOperation, flock};
use testkit::{
    Flavor, Launch, MysqlServer, PgServer, SmallDisk, TaskBuilder, TaskFiles, binary, holds_within,
    wait_until,
};

use crate::rig::{Ran, SOON, Site, runs, script, stat};

const DATABASE: &str = "shop";

/// A source with a table of two columns, and a server that is staging and target.
#[derive(Debug)]
struct Servers {
    source: MysqlServer,
    pg: PgServer,
}

impl Servers {
    fn start() -> Self {
        let source = MysqlServer::start_default(Flavor::MariaDb1011);
        source.sql("create database shop; create table shop.t (id int primary key, v varchar(20))");
        let pg = PgServer::start_default();
        pg.create_database("staging");
        pg.create_database("target");
        pg.sql(
            "target",
            "create table t (id integer primary key, v varchar(20))",
        );
        Self { source, pg }
    }

    fn config(&self) -> TaskBuilder {
        TaskFiles::builder()
            .set("task", "lock_timeout", 1)
            .source(&self.source, DATABASE)
            .staging(&self.pg.connect_string("staging"))
            .target(&self.pg.connect_string("target"), "public")
    }

    /// A new row arrives: both programs are at work.
    #[track_caller]
    fn assert_replicates(&self, id: u32) {
        self.source
            .sql(&format!("insert into shop.t (id, v) values ({id}, 'x')"));
        let query = format!("select count(*) from t where id = {id}");
        wait_until(SOON, "the row on the target", || {
            self.pg.value("target", &query) == "1"
        });
    }
}

#[test]
fn what_was_killed_is_started_again_once_and_what_was_stopped_is_not() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    site.monitor().assert(1, &["start.sh has not been run"]);

    site.start(&[])
        .assert(0, &["miner of", "loader of", "runs, pid"]);
    servers.assert_replicates(1);
    site.run("status.sh", &[]).assert(
        0,
        &["miner      runs since", "task      staging", "backlog"],
    );
    // A second start leaves alone what runs.
    let pid = site.pid("miner");
    site.start(&[]).assert(0, &["runs already"]);
    assert_eq!(site.pid("miner"), pid);
    site.monitor().assert(0, &[]);
    assert!(!site.exists("monitor.log"));

    for _ in 0..3 {
        site.kill9("miner");
        site.kill9("loader");
        site.run("status.sh", &["--brief"])
            .assert(1, &["SIGKILL", "waits for monitor.sh"]);
        let together = [site.cron(), site.cron(), site.cron()].map(Ran::wait);
        let said: String = together.iter().map(|ran| ran.stdout.as_str()).collect();
        assert_eq!(said.matches("started again").count(), 2, "{together:#?}");
        assert_eq!((site.copies("miner"), site.copies("loader")), (1, 1));
    }
    servers.assert_replicates(2);
    assert_eq!(
        site.read("monitor.log").matches("started again").count(),
        6,
        "{}",
        site.read("monitor.log")
    );

    site.run("stop.sh", &[]).assert(0, &["stopped"]);
    for name in ["miner", "loader"] {
        site.wait_exit(name, 0);
        assert_eq!(site.copies(name), 0);
    }
    site.monitor().assert(0, &[]);
    assert_eq!((site.copies("miner"), site.copies("loader")), (0, 0));
    site.run("status.sh", &["--brief"])
        .assert(0, &["a clean end", "stopped"]);
}

#[test]
fn a_changed_table_list_is_taken_up_on_reload() {
    let servers = Servers::start();
    servers
        .source
        .sql("create table shop.u (id int primary key)");
    servers
        .pg
        .sql("target", "create table u (id integer primary key)");
    let site = Site::new(&servers.config().tables(&["t"]));
    let reload = || site.run("reload.sh", &[]);
    reload().assert(1, &["start.sh has not been run"]);
    site.start(&[]).assert(0, &[]);
    servers.assert_replicates(1);

    site.write("loader_table_list.txt", "t\nu\n");
    reload().assert(0, &["miner of", "loader of", "reads its table list again"]);
    for name in ["miner.log", "loader.log"] {
        wait_until(SOON, "the list to be read again", || {
            site.read(name)
                .contains("table list read again: it has changed")
        });
    }
    wait_until(SOON, "the new table to be mined", || {
        site.read("miner.log").contains("newly listed")
    });
    servers.source.sql("insert into shop.u values (1)");
    wait_until(SOON, "the new table's row on the target", || {
        servers.pg.value("target", "select count(*) from u") == "1"
    });

    // One is told though the other does not run.
    site.run("stop.sh", &["--only", "miner"]).assert(0, &[]);
    site.write("loader_table_list.txt", "t\n");
    reload().assert(1, &["miner of", "does not run", "loader of"]);
    wait_until(SOON, "the list to be read a second time", || {
        site.read("loader.log").matches("it has changed").count() == 2
    });
    assert_eq!(site.copies("loader"), 1);
}

#[test]
fn an_end_that_needs_an_operator_is_told_once_and_waits_for_start() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    site.start(&[]).assert(0, &[]);
    servers.assert_replicates(1);
    servers
        .source
        .sql("alter table shop.t add column w int not null default 7");
    site.wait_exit("loader", 3);

    let first = site.monitor();
    first.assert(1, &["exit code 3", "until start.sh", "ack"]);
    let second = site.monitor();
    second.assert(1, &[]);
    assert_eq!(second.stdout, "");
    assert_eq!((site.copies("miner"), site.copies("loader")), (1, 0));
    site.run("status.sh", &["--brief"])
        .assert(1, &["an operator must act", "waits for start.sh", "ack"]);

    // start.sh tries, and says what is still wrong; that is a new end, told anew.
    site.start(&[]).assert(1, &["exit code 3", "ack"]);
    site.monitor().assert(1, &["exit code 3"]);

    servers.pg.sql(
        "target",
        "alter table t add column w integer not null default 7",
    );
    let log = site.read("loader.log");
    let position = log
        .split_whitespace()
        .skip_while(|word| *word != "ack")
        .nth(1)
        .unwrap()
        .trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut ack = Launch::new(binary("binlog_loader"))
        .arg("ack")
        .arg(position)
        .current_dir(site.directory())
        .start();
    assert!(ack.wait_exit(SOON).success());
    site.start(&["--only", "loader"]).assert(0, &["runs, pid"]);
    servers.assert_replicates(2);
    site.monitor().assert(0, &[]);
}

#[test]
fn a_wrong_configuration_is_told_by_start_and_once_by_monitor() {
    let site = Site::new(&TaskFiles::builder().set("src.mysql", "hots", "x"));
    site.start(&[]).assert(1, &["exit code 2", "hots"]);
    site.monitor().assert(1, &["miner", "loader", "hots"]);
    let second = site.monitor();
    second.assert(1, &[]);
    assert_eq!(second.stdout, "");
}

/// The folder `run` is on the disk; the rest of the task is not, for the test's own files.
#[test]
fn an_end_on_a_full_disk_is_on_record() {
    let mounted_on = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(mounted_on.path(), 1 << 20);
    let site = Site::new(&TaskFiles::builder());
    std::os::unix::fs::symlink(disk.path(), site.directory().join("run")).unwrap();
    let bin = site.stand_ins();
    site.run("start.sh", &["--bin", &bin])
        .assert(0, &["runs, pid"]);

    let filler = disk.path().join("all_of_it");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    site.write("miner.code", "3");
    site.write("loader.code", "1");
    site.wait_exit("miner", 3);
    site.wait_exit("loader", 1);
    site.remove("loader.code");
    site.monitor().assert(
        1,
        &[
            "exit code 3",
            "until start.sh",
            "loader ended",
            "exit code 1",
            "started again",
        ],
    );
    let second = site.monitor();
    second.assert(1, &[]);
    assert_eq!(second.stdout, "");
    assert_eq!(site.read("miner.begun").lines().count(), 1);
    assert_eq!(site.read("loader.begun").lines().count(), 2);
    site.run("status.sh", &["--brief"])
        .assert(1, &["waits for start.sh", "loader     runs since 2"]);
    let pid = site.pid("loader");
    site.run("stop.sh", &[])
        .assert(0, &["loader of", "stopped"]);
    assert!(!runs(pid));
    site.run("start.sh", &[])
        .assert(1, &["miner of", "exit code 3", "loader of", "runs, pid"]);

    drop(file);
    fs::remove_file(&filler).unwrap();
    site.remove("miner.code");
    site.run("start.sh", &[]).assert(0, &["runs, pid"]);
    assert!(fs::read_to_string(site.directory().join("run/miner.pid")).is_ok());
}

#[test]
fn a_folder_without_both_programs_is_refused() {
    let site = Site::new(&TaskFiles::builder());
    let bin = site.stand_ins();
    site.remove("bin/binlog_loader");
    let start = || site.run("start.sh", &["--bin", &bin, "--only", "miner"]);
    start().assert(2, &[&bin, "there is no binlog_loader"]);
    fs::create_dir(site.directory().join("bin/binlog_loader")).unwrap();
    start().assert(2, &[&bin, "there is no binlog_loader"]);
    assert!(!site.exists("run"));
}

#[test]
fn only_what_was_logged_since_the_start_is_quoted() {
    let site = Site::new(&TaskFiles::builder());
    let bin = site.stand_ins();
    let old = "2026-01-01T00:00:00.000Z ERROR binlog_miner: of last week\n";
    site.write("miner.log", old);
    site.write("miner.code", "2");
    let start = |says: &str, quoted: &str| {
        site.write("miner.says", says);
        let args = ["--bin", &bin, "--only", "miner", "--log-size", "1K"];
        for ran in [site.run("start.sh", &args), site.monitor()] {
            ran.assert(1, &["exit code 2", quoted]);
            let said = ran.stdout + &ran.stderr;
            assert!(!said.contains("last week"), "{said}");
        }
        site.run("status.sh", &["--brief"]).assert(1, &[quoted]);
    };
    start("", "nothing in");
    start("a note\nanother one\n", "another one");
    let more = "2026-01-01T00:00:00.000Z INFO binlog_miner: and so on\n".repeat(100);
    let error = "2026-01-01T00:00:00.000Z ERROR binlog_miner: of today\n";
    // Rotated since, as often as the log has more than 1 KB.
    start(&format!("{error}{more}"), "of today");
    assert!(site.exists("miner.log.4"));
    start("once more\n", "once more");
}

#[test]
fn what_another_user_may_not_read_is_not_taken_for_stopped() {
    let site = Site::new(&TaskFiles::builder());
    let bin = site.stand_ins();
    site.run("start.sh", &["--bin", &bin])
        .assert(0, &["runs, pid"]);
    fs::create_dir(site.directory().join("staging_db")).unwrap();
    let as_other = |name: &str, arg: &str| {
        let launch = if rustix::process::geteuid().is_root() {
            Launch::new("setpriv")
                .arg("--reuid=65534")
                .arg("--regid=65534")
                .arg("--clear-groups")
                .arg("--")
                .arg(script(name))
        } else {
            Launch::new(script(name))
        };
        Ran::wait(launch.arg(arg).arg(site.directory()).start())
    };
    let shut = |name: &str, mode: u32| {
        let path = site.directory().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Root is another user; everybody else is shut out of his own folder.
    let closed = if rustix::process::geteuid().is_root() {
        0o700
    } else {
        0
    };
    for (folder, script, arg, what) in [
        ("run", "status.sh", "--brief", "run/ of "),
        ("staging_db", "staging_db.sh", "status", "staging_db"),
        ("", "status.sh", "--brief", ""),
    ] {
        let mode = fs::metadata(site.directory().join(folder)).unwrap().mode();
        shut(folder, closed);
        let ran = as_other(script, arg);
        shut(folder, mode);
        ran.assert(1, &[what, "cannot be read by", "run this as its owner"]);
        assert_eq!(ran.stdout, "");
    }
    fs::remove_dir(site.directory().join("staging_db")).unwrap();
    site.run("status.sh", &["--brief"])
        .assert(0, &["miner      runs since"]);
}

#[test]
fn a_copy_that_was_started_by_hand_is_waited_for() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    let mut by_hand = Launch::new(binary("binlog_miner"))
        .current_dir(site.directory())
        .start();
    wait_until(SOON, "the miner to hold the task", || {
        by_hand.stderr().contains("start version")
    });
    servers
        .source
        .sql("insert into shop.t (id, v) values (0, 'x')");
    wait_until(SOON, "the miner to be at work", || {
        servers.pg.try_connect("staging").is_ok_and(|mut client| {
            client
                .query_one(
                    "select 1 from mysql2gp.status where miner_state = 'running'",
                    &[],
                )
                .is_ok()
        })
    });

    let _ = site.start(&["--only", "miner"]);
    site.wait_exit("miner", 1);
    for _ in 0..2 {
        site.monitor()
            .assert(0, &["exit code 1", "a restart may help", "started again"]);
        site.wait_exit("miner", 1);
    }
    by_hand.kill9();
    site.monitor().assert(0, &["started again"]);
    site.start(&["--only", "loader"]).assert(0, &[]);
    servers.assert_replicates(1);
}

/// Field 22 of `/proc/PID/stat`, of which [`stat`] leaves out two.
const START_TIME: usize = 19;

#[test]
fn a_pid_that_another_process_has_got_is_left_alone() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    site.start(&["--only", "miner"]).assert(0, &[]);
    site.lose("miner");

    let mut stranger = Launch::new("sleep").arg("600").start();
    let stranger_pid = i32::try_from(stranger.pid()).unwrap();
    let old = site.read("run/miner.pid");
    let written_down = old.trim_end().split_once(' ').unwrap().1;
    fs::write(
        site.directory().join("run/miner.pid"),
        format!("{stranger_pid} {written_down}\n"),
    )
    .unwrap();
    site.run("status.sh", &["--brief"])
        .assert(1, &["gone", "waits for monitor.sh"]);

    // Something holds the lock, and the pid on record is a stranger's: nobody is killed.
    let lock = File::open(site.directory().join("run/miner.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    site.run("stop.sh", &["--timeout", "0", "--only", "miner"])
        .assert(1, &["still held"]);
    drop(lock);
    assert!(stranger.exit_status().is_none());

    // With the right start time it would have been killed.
    let born = stat(stranger_pid).unwrap();
    assert_ne!(
        born.get(START_TIME).unwrap(),
        written_down.split(' ').next().unwrap()
    );
    site.start(&["--only", "miner"]).assert(0, &["runs, pid"]);
    assert_ne!(site.pid("miner"), stranger_pid);
    assert!(runs(stranger_pid));
    stranger.kill9();
}

#[test]
fn a_program_without_its_wrapper_goes_on_alone_and_can_be_stopped() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    site.start(&[]).assert(0, &[]);
    let pid = site.pid("miner");
    let wrapper = crate::rig::parent(pid).unwrap();
    crate::rig::signal(wrapper, rustix::process::Signal::KILL);
    wait_until(SOON, "the wrapper to be gone", || !runs(wrapper));
    for _ in 0..2 {
        site.monitor().assert(0, &[]);
    }
    assert_eq!(site.copies("miner"), 1);
    servers.assert_replicates(1);
    site.run("stop.sh", &[]).assert(0, &["miner of"]);
    assert!(!runs(pid));
}

#[test]
fn a_program_that_does_not_stop_is_killed_after_the_time_limit() {
    let servers = Servers::start();
    let site = Site::new(&servers.config());
    site.start(&[]).assert(0, &[]);
    let pid = site.pid("miner");
    crate::rig::signal(pid, rustix::process::Signal::STOP);
    site.run("stop.sh", &["--timeout", "1"])
        .assert(0, &["after 1 seconds: SIGKILL"]);
    assert!(!runs(pid));
    site.wait_exit("miner", 137);
    site.monitor().assert(0, &[]);
    assert_eq!(site.copies("miner"), 0);
}

#[test]
fn several_tasks_are_run_by_one_command_line_and_a_bad_one_is_named() {
    let servers = Servers::start();
    servers.pg.create_database("other");
    let config = servers.config();
    let first = Site::new(&config);
    let second = Site::new(&config.staging(&servers.pg.connect_string("other")));
    let bin = binary("binlog_miner");
    let run = |name: &str, args: &[&str]| {
        let launch = args.iter().fold(Launch::new(script(name)), Launch::arg);
        let launch = launch
            .env("MYSQL2GP_BIN", bin.parent().unwrap())
            .arg(first.directory())
            .arg("/nowhere")
            .arg(second.directory());
        Ran::wait(launch.start())
    };
    run("start.sh", &[]).assert(1, &["/nowhere is no directory"]);
    servers.assert_replicates(1);
    let gone = |site: &Site| site.copies("miner") + site.copies("loader") == 0;
    assert!(!gone(&first) && !gone(&second));
    first.kill9("miner");
    second.kill9("loader");
    run("monitor.sh", &[]).assert(1, &["miner", "loader", "/nowhere"]);
    run("status.sh", &["--brief"]).assert(1, &["/nowhere"]);
    run("stop.sh", &[]).assert(1, &["/nowhere"]);
    assert!(holds_within(SOON, || gone(&first) && gone(&second)));
}

#[test]
fn every_script_explains_itself_and_refuses_what_it_does_not_know() {
    for name in [
        "start.sh",
        "stop.sh",
        "monitor.sh",
        "status.sh",
        "reload.sh",
        "staging_db.sh",
        "rotate_log.sh",
    ] {
        let help = Ran::wait(Launch::new(script(name)).arg("--help").start());
        help.assert(0, &[&format!("usage: {name}"), "--help"]);
        assert_eq!(help.stderr, "");
        Ran::wait(Launch::new(script(name)).arg("--nonsense").start()).assert(2, &["--nonsense"]);
    }
}
