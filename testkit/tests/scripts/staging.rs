//! The private staging server.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use postgres::{Client, Config, NoTls};
use rustix::process::Signal;
use testkit::{Flavor, Launch, MysqlServer, PgServer, Program, TaskFiles, wait_until};

use crate::rig::{Ran, SOON, Site, runs, script, signal};

/// The value in quotes of the line that `init` and `status` print.
fn connect_string(ran: &Ran) -> String {
    let line = ran
        .stdout
        .lines()
        .find(|line| line.contains("connect_string"));
    line.unwrap().split('"').nth(1).unwrap().to_owned()
}

fn try_connect(connect_string: &str) -> Result<Client, postgres::Error> {
    connect_string.parse::<Config>().unwrap().connect(NoTls)
}

fn value(connect_string: &str, query: &str) -> String {
    let row = try_connect(connect_string)
        .unwrap()
        .query_one(query, &[])
        .unwrap();
    row.get(0)
}

#[test]
fn a_staging_server_lives_as_long_as_it_should() {
    let site = Site::new(&TaskFiles::builder());
    let staging_db = |args: &[&str]| site.run("staging_db.sh", args);
    staging_db(&["start"]).assert(1, &["staging_db.sh init"]);

    let made = staging_db(&["init", "--database", "shop_staging"]);
    made.assert(0, &["PostgreSQL", "[local.pgsql]"]);
    let server = connect_string(&made);
    assert!(
        server.starts_with("dbname=shop_staging host='/"),
        "{server}"
    );
    staging_db(&["init"]).assert(1, &["is there already"]);
    staging_db(&["status"]).assert(1, &["does not run"]);
    staging_db(&["start"]).assert(0, &["started, pid"]);
    staging_db(&["start"]).assert(0, &["runs already"]);
    staging_db(&["status"]).assert(0, &["answers", &server]);

    // What a staging server must be.
    for (setting, expected) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
    ] {
        let query = format!("select current_setting('{setting}')");
        assert_eq!(value(&server, &query), expected, "{setting}");
    }
    let folder = fs::metadata(site.directory().join("staging_db")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o777,
        0o700
    );

    // Killed, and lost with its machine: committed data are there again.
    let mut client = try_connect(&server).unwrap();
    client
        .batch_execute("create table kept as select 'here' as v")
        .unwrap();
    site.kill9("staging_db");
    site.monitor().assert(0, &["staging_db", "started again"]);
    wait_until(SOON, "the server to answer", || {
        try_connect(&server).is_ok()
    });
    site.lose("staging_db");
    let mut stranger = give_its_pid_away(&site);
    // PostgreSQL refuses as long as the system shows a trace of the old one: cron tries again.
    wait_until(SOON, "the server to be started again", || {
        site.monitor();
        try_connect(&server).is_ok()
    });
    assert_eq!(value(&server, "select v from kept"), "here");
    assert!(stranger.exit_status().is_none());

    // Lost before what they hold was on disk.
    site.lose("staging_db");
    for name in LOCK_FILES {
        fs::write(site.directory().join(name), "").unwrap();
    }
    wait_until(SOON, "the server to be started again", || {
        site.monitor();
        try_connect(&server).is_ok()
    });
    assert_eq!(value(&server, "select v from kept"), "here");

    // Stopped on purpose, with a client that is connected.
    let _client = try_connect(&server).unwrap();
    staging_db(&["stop"]).assert(0, &["stopped"]);
    site.monitor().assert(0, &[]);
    staging_db(&["status"]).assert(1, &["stopped on purpose"]);
    assert!(try_connect(&server).is_err());

    staging_db(&["start"]).assert(0, &["started"]);
    assert_eq!(value(&server, "select v from kept"), "here");
    staging_db(&["destroy"]).assert(1, &["Type yes", "left as it is"]);
    assert_eq!(value(&server, "select v from kept"), "here");

    // While destroy waits for an answer monitor.sh does its work.
    let said = site.directory().join("said");
    let mut destroy = Command::new(script("staging_db.sh"))
        .arg("destroy")
        .arg(site.directory())
        .stdin(Stdio::piped())
        .stdout(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    wait_until(SOON, "the question", || {
        site.read("said").contains("Type yes")
    });
    site.kill9("staging_db");
    site.monitor().assert(0, &["staging_db", "started again"]);
    let pid = site.pid("staging_db");
    let mut answer = destroy.stdin.take().unwrap();
    answer.write_all(b"yes\n").unwrap();
    assert!(destroy.wait().unwrap().success());
    assert!(site.read("said").contains("is gone"));
    assert!(!runs(pid) && !site.exists("staging_db"));
    site.monitor().assert(0, &[]);

    staging_db(&["init"]).assert(0, &[]);
    staging_db(&["start"]).assert(0, &["started"]);
    let pid = site.pid("staging_db");
    staging_db(&["destroy", "--yes"]).assert(0, &["is gone"]);
    assert!(!runs(pid) && !site.exists("staging_db"));
    site.monitor().assert(0, &[]);
}

/// Whatever a hung server's processes do, they are gone, and what was committed is there.
#[test]
fn a_staging_server_that_hangs_is_killed_with_its_processes() {
    let site = Site::new(&TaskFiles::builder());
    let made = site.run("staging_db.sh", &["init"]);
    made.assert(0, &[]);
    let server = connect_string(&made);
    let start = || {
        site.run("staging_db.sh", &["start"])
            .assert(0, &["started, pid"]);
    };
    let stop = || site.run("staging_db.sh", &["stop", "--timeout", "1"]);
    start();
    let mut client = try_connect(&server).unwrap();
    client
        .batch_execute("create table kept as select 'here' as v")
        .unwrap();
    let of_client = |client: &mut Client| -> i32 {
        let row = client.query_one("select pg_backend_pid()", &[]).unwrap();
        row.get(0)
    };
    let (postmaster, backend) = (site.pid("staging_db"), of_client(&mut client));
    for pid in [backend, postmaster] {
        signal(pid, Signal::STOP);
    }
    stop().assert(
        0,
        &[
            "after 1 seconds: SIGQUIT",
            "after 11 seconds: SIGKILL",
            "stopped",
        ],
    );
    assert!(!runs(postmaster) && !runs(backend));
    site.wait_exit("staging_db", 137);

    // The server has died, and one of its processes hangs and keeps the lock.
    start();
    let mut client = try_connect(&server).unwrap();
    let backend = of_client(&mut client);
    signal(backend, Signal::STOP);
    site.lose("staging_db");
    stop().assert(0, &["SIGKILL", "stopped"]);
    assert!(!runs(backend));

    start();
    assert_eq!(value(&server, "select v from kept"), "here");
}

/// The files by which PostgreSQL knows that it runs already.
const LOCK_FILES: [&str; 2] = [
    "staging_db/data/postmaster.pid",
    "staging_db/.s.PGSQL.5432.lock",
];

/// As after a reboot: another process of the same user has the pid that PostgreSQL has left.
fn give_its_pid_away(site: &Site) -> Program {
    let files = LOCK_FILES.map(|name| site.directory().join(name));
    let owner = fs::metadata(&files[0]).unwrap();
    let stranger = Launch::new("setpriv")
        .arg(format!("--reuid={}", owner.uid()))
        .arg(format!("--regid={}", owner.gid()))
        .arg("--keep-groups")
        .arg("--")
        .arg("sleep")
        .arg("600")
        .start();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let rest = text.split_once('\n').unwrap().1;
        fs::write(&file, format!("{}\n{rest}", stranger.pid())).unwrap();
    }
    stranger
}

#[test]
fn what_staging_db_has_not_made_it_does_not_touch() {
    let site = Site::new(&TaskFiles::builder());
    let foreign = site.directory().join("staging_db");
    let precious = foreign.join("data");
    fs::create_dir(&foreign).unwrap();
    fs::write(&precious, "precious").unwrap();
    for args in [&["init"][..], &["start"], &["stop"], &["destroy", "--yes"]] {
        site.run("staging_db.sh", args)
            .assert(1, &["not made by staging_db.sh"]);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    // Nor through a link, into what another task has made.
    let other = Site::new(&TaskFiles::builder());
    other.run("staging_db.sh", &["init"]).assert(0, &[]);
    fs::rename(&foreign, site.directory().join("kept")).unwrap();
    std::os::unix::fs::symlink(other.directory().join("staging_db"), &foreign).unwrap();
    site.run("staging_db.sh", &["destroy", "--yes"])
        .assert(1, &["not made by staging_db.sh"]);
    assert!(other.exists("staging_db/data/PG_VERSION"));
    // A path that no socket can have.
    let deep = site.directory().join("x".repeat(90));
    fs::create_dir(&deep).unwrap();
    fs::write(deep.join("my.cfg"), "").unwrap();
    site.run("staging_db.sh", &["status"]).assert(1, &[]);
    let ran = Ran::wait(
        Launch::new(script("staging_db.sh"))
            .arg("init")
            .arg("--database")
            .arg("staging")
            .arg(&deep)
            .start(),
    );
    ran.assert(1, &["too long"]);
    assert!(!Path::new(&deep).join("staging_db").exists());
}

#[test]
fn a_task_runs_on_its_own_staging_server_and_comes_back_with_it() {
    let source = MysqlServer::start_default(Flavor::MariaDb1011);
    source.sql("create database shop; create table shop.t (id int primary key)");
    let target = PgServer::start_default();
    target.create_database("target");
    target.sql("target", "create table t (id integer primary key)");
    let site = Site::new(
        &TaskFiles::builder()
            .source(&source, "shop")
            .staging("dbname=shop_staging host=SITE/staging_db user=mysql2gp")
            .target(&target.connect_string("target"), "public"),
    );
    let assert_replicates = |id: u32| {
        source.sql(&format!("insert into shop.t values ({id})"));
        wait_until(SOON, "the row on the target", || {
            target.value("target", &format!("select count(*) from t where id = {id}")) == "1"
        });
    };
    site.run("staging_db.sh", &["init", "--database", "shop_staging"])
        .assert(0, &[]);
    // start.sh starts the server, too.
    site.start(&[]).assert(0, &["staging_db of", "runs, pid"]);
    assert_replicates(1);
    site.run("staging_db.sh", &["destroy", "--yes"])
        .assert(1, &["stop it first"]);

    // The machine goes down and comes back.
    for name in ["staging_db", "miner", "loader"] {
        site.lose(name);
    }
    wait_until(SOON, "everything to run again", || {
        site.monitor();
        site.run("staging_db.sh", &["status"]).code == Some(0)
    });
    for name in ["staging_db", "miner", "loader"] {
        assert!(
            site.read("monitor.log")
                .contains(&format!(" {name} was gone: started again"))
        );
    }
    assert_replicates(2);
    site.run("stop.sh", &["--staging-db"])
        .assert(0, &["miner of", "the staging database of", "stopped"]);
    site.monitor().assert(0, &[]);
    assert!(!runs(site.pid("staging_db")));
}
