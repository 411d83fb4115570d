//! Running the project's own programs.
//!
//! A [`Program`] is started from a [`Launch`], writes its output to files, can be killed,
//! stopped and continued, and is killed at the latest when it is dropped.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Output, Process, RunAs};
use crate::scratch;
use crate::wait::holds_within;

/// The path of one of the workspace's programs, built with the same profile as the test.
///
/// # Panics
/// When it is not built: cargo builds another package's programs for no test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the system knows the test's executable");
    // target/PROFILE/deps/TEST
    let path = test
        .parent()
        .and_then(Path::parent)
        .expect("cargo puts tests two folders deep")
        .join(name);
    assert!(
        path.exists(),
        "{} is absent: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// A program to be started: path, arguments, environment, working directory.
#[derive(Clone, Debug)]
#[must_use = "a program starts with start()"]
pub struct Launch {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    current_dir: Option<PathBuf>,
}

impl Launch {
    /// The program at `path`, which may also be a name to be searched in `PATH`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            current_dir: None,
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The working directory (default: the test's).
    pub fn current_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(path.into());
        self
    }

    /// Starts the program.
    ///
    /// # Panics
    /// When it cannot be started. A path that does not exist shows as exit code 127.
    pub fn start(&self) -> Program {
        let directory = scratch::directory("program");
        let name = self.path.file_name().map_or_else(
            || self.path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        let mut command = RunAs::Caller.command(&self.path);
        command.args(&self.args).envs(self.env.iter().cloned());
        if let Some(current_dir) = &self.current_dir {
            command.current_dir(current_dir);
        }
        let stdout = directory.path().join("stdout");
        let process = Process::start(
            &name,
            command,
            Output::File(&stdout),
            &directory.path().join("stderr"),
        );
        Program {
            process,
            stdout,
            _directory: directory,
        }
    }
}

/// A running or finished program, killed on drop. Its standard error is shown when the
/// test panics.
#[derive(Debug)]
pub struct Program {
    // Dropped before the directory that holds its output.
    process: Process,
    stdout: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The most memory that the program has used at a time.
    ///
    /// # Panics
    /// When the program has ended.
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the program runs, or is a zombie");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line
            .and_then(|line| line.split_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok())
            .expect("a program that runs uses memory");
        kilobytes * 1024
    }

    /// SIGKILL; returns when the program is gone.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Asks the program to finish (SIGTERM).
    pub fn sigterm(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Has the program read its table list again (SIGHUP).
    pub fn sighup(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// Freezes the program, as a paused virtual machine would be (SIGSTOP).
    pub fn sigstop(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets a frozen program go on (SIGCONT).
    pub fn sigcont(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// The exit status, once the program has ended.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Waits for the program to end by itself.
    ///
    /// # Panics
    /// When it still runs after `timeout`.
    #[track_caller]
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        match self.process.wait_within(timeout) {
            Some(status) => status,
            None => panic!("{} still runs after {timeout:?}", self.process.name()),
        }
    }

    /// Waits until `pattern` occurs in the standard error.
    ///
    /// # Panics
    /// When it does not within `timeout`, or the program ends without having written it.
    #[track_caller]
    pub fn wait_log(&mut self, pattern: &str, timeout: Duration) {
        let mut ended = false;
        let found = holds_within(timeout, || {
            // In this order: what a program wrote before its end is there.
            ended = self.process.exit_status().is_some();
            self.stderr().contains(pattern) || ended
        });
        assert!(
            found && self.stderr().contains(pattern),
            "{} {} without logging {pattern:?}",
            self.process.name(),
            if ended { "ended" } else { "runs" }
        );
    }

    /// What the program has written to standard output so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What the program has written to standard error, its log, so far.
    pub fn stderr(&self) -> String {
        read_lossy(self.process.log_path())
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
