//! Programs that run on a task's files.

use std::time::Duration;

use testkit::{Launch, TaskFiles, binary};

/// Bounds every wait; a slow machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// How a program ended, and all that it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// `binlog_loader check` on the task's files.
pub(crate) fn launch(files: &TaskFiles, command: &str) -> Launch {
    let mut words = command.split(' ');
    let launch = Launch::new(binary(words.next().unwrap()))
        .env("RUST_LOG", "trace")
        .arg("-c")
        .arg(files.config())
        // Paths are relative to the configuration.
        .current_dir("/");
    words.fold(launch, Launch::arg)
}

pub(crate) fn run(files: &TaskFiles, command: &str) -> Ran {
    let mut program = launch(files, command).start();
    let status = program.wait_exit(SOON);
    Ran {
        code: status.code(),
        said: program.stderr() + &program.stdout(),
    }
}

/// Runs a program that must end with this code and say these words.
#[track_caller]
pub(crate) fn ends(files: &TaskFiles, command: &str, code: i32, words: &[&str]) {
    let ran = run(files, command);
    assert_eq!(ran.code, Some(code), "{command}: {}", ran.said);
    for word in words {
        assert!(
            ran.said.contains(word),
            "{command}: no {word:?} in {}",
            ran.said
        );
    }
}
