//! Programs are observed, stopped and killed.

use std::path::Path;
use std::time::Duration;

use testkit::{Launch, wait_until};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Launch {
    Launch::new("sh").arg("-c").arg(script)
}

fn process_state(pid: u32) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("State:"))?;
    line.split_whitespace().nth(1)?.chars().next()
}

#[test]
fn output_arguments_environment_and_exit_code_arrive() {
    let directory = std::env::temp_dir();
    let mut program = shell("echo out $NAME; echo \"err $1\" >&2; pwd; exit 3")
        .arg("sh")
        .arg("an argument")
        .env("NAME", "value")
        .current_dir(&directory)
        .start();
    assert_eq!(program.wait_exit(SOON).code(), Some(3));
    assert_eq!(
        program.stdout(),
        format!("out value\n{}\n", directory.display())
    );
    assert_eq!(program.stderr(), "err an argument\n");
}

#[test]
fn signals_reach_the_program() {
    let mut program = shell(
        "trap 'echo finishing >&2; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done",
    )
    .start();
    program.wait_log("ready", SOON);
    program.sigstop();
    wait_until(SOON, "the program to freeze", || {
        process_state(program.pid()) == Some('T')
    });
    program.sigcont();
    program.sigterm();
    assert_eq!(program.wait_exit(SOON).code(), Some(0));
    program.wait_log("finishing", SOON);
}

#[test]
fn a_program_is_killed_at_once_and_on_drop() {
    let mut first = shell("exec sleep 600").start();
    first.kill9();
    assert_eq!(first.exit_status().map(|status| status.code()), Some(None));

    let second = shell("exec sleep 600").start();
    let pid = second.pid();
    drop(second);
    assert!(!Path::new("/proc").join(pid.to_string()).exists());
}

#[test]
#[should_panic(expected = "ended without logging")]
fn waiting_for_a_line_ends_with_the_program() {
    shell("echo something else >&2")
        .start()
        .wait_log("ready", SOON);
}

#[test]
fn nothing_outlives_a_killed_test_process() {
    // This test again, in a process of its own that starts a server and is killed.
    const MARKER: &str = "TESTKIT_OUTLIVE_CHILD";
    if std::env::var_os(MARKER).is_some() {
        let mysql = testkit::MysqlServer::start_default(testkit::Flavor::MariaDb1011);
        let pg = testkit::PgServer::start_default();
        eprintln!("pids {} {} end", mysql.pid(), pg.pid());
        wait_until(Duration::from_secs(60), "the kill", || false);
    }
    let mut test = Launch::new(std::env::current_exe().unwrap())
        .arg("--exact")
        .arg("program::nothing_outlives_a_killed_test_process")
        .arg("--nocapture")
        .env(MARKER, "1")
        .start();
    test.wait_log(" end", Duration::from_secs(60));
    let log = test.stderr();
    let pids: Vec<u32> = log
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(pids.len(), 2, "{log}");
    assert!(pids.iter().all(|pid| process_state(*pid).is_some()));
    test.kill9();
    wait_until(SOON, "the servers to die", || {
        pids.iter()
            .all(|pid| matches!(process_state(*pid), None | Some('Z')))
    });
}
