//! Child processes that never outlive the test.
//!
//! Every process is started through `setpriv --pdeathsig KILL`: the kernel kills it when
//! the thread that started it ends. Test threads come and go, so one thread that lives as
//! long as the test process starts them all. A [`Process`] is killed and reaped on drop;
//! an unreaped server would keep its locks.
//!
//! Output goes to a file, which is shown when the test panics.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::holds_within;

/// How many bytes of a log are shown.
const TAIL_BYTES: usize = 8_000;

/// The user that a server runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The user of the test.
    Caller,
    /// A user that the test, run by root, changes to.
    Other {
        /// Numeric user id.
        uid: u32,
        /// Numeric id of its primary group.
        gid: u32,
    },
}

impl RunAs {
    /// A user for a program that refuses to run as root: `postgres`, else `nobody`.
    ///
    /// # Panics
    /// When the system has neither.
    pub fn unprivileged() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Caller;
        }
        let passwd = fs::read_to_string("/etc/passwd").expect("every system has /etc/passwd");
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| lookup_user(&passwd, name))
            .expect("a Debian system has the user nobody")
    }

    /// `program` as a command that dies with the thread that starts it and, in the same
    /// step, changes the user (a change of user after it would undo the first).
    #[must_use]
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Self::Other { uid, gid } = self {
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups");
        }
        command.arg("--").arg(program);
        command
    }

    /// Gives a file or directory to this user.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn own(self, path: &Path) {
        if let Self::Other { uid, gid } = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .expect("root may give its own directory away");
        }
    }
}

fn lookup_user(passwd: &str, name: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(RunAs::Other { uid, gid })
    })
}

struct Request {
    command: Command,
    reply: SyncSender<io::Result<Child>>,
}

/// Starts `command` from the long-lived thread.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for mut request in receiver {
                    // Only a caller that panicked no longer waits for the answer; its
                    // child is then dropped and dies with this thread.
                    let _ = request.reply.send(request.command.spawn());
                }
            })
            .expect("a thread can be started");
        sender
    });
    let (reply, answer) = mpsc::sync_channel(1);
    spawner
        .send(Request { command, reply })
        .expect("the spawner never ends");
    answer.recv().expect("the spawner answers every request")
}

/// Where a process writes its standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    /// Into the log, with standard error.
    Log,
    /// Into a file of its own.
    File(&'a Path),
}

/// A running or finished child process.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, which appends its standard error to the file `log`.
    ///
    /// # Panics
    /// When the files or the process cannot be created.
    pub(crate) fn start(name: &str, mut command: Command, output: Output<'_>, log: &Path) -> Self {
        let open = |path: &Path| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap_or_else(|error| panic!("open {}: {error}", path.display()))
        };
        let stdout = match output {
            Output::Log => open(log),
            Output::File(path) => open(path),
        };
        command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(open(log))
            .process_group(0);
        let child = spawn(command).unwrap_or_else(|error| panic!("start {name}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once the process has ended.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("the child is ours and not reaped elsewhere")
    }

    /// Sends `signal` unless the process has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // A child that is not reaped keeps its pid, so this cannot hit a stranger.
        if self.exit_status().is_none() {
            kill_process(Pid::from_child(&self.child), signal)
                .unwrap_or_else(|error| panic!("signal {}: {error}", self.name));
        }
    }

    /// Waits for the end of the process; `None` when it still runs after `timeout`.
    pub(crate) fn wait_within(&mut self, timeout: Duration) -> Option<ExitStatus> {
        holds_within(timeout, || self.exit_status().is_some());
        self.exit_status()
    }

    /// SIGKILL, and reaps.
    pub(crate) fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("the child is ours");
    }

    /// SIGKILL for the process and its children, which may be in sessions of their own
    /// (those of PostgreSQL are); returns when all of them are gone.
    pub(crate) fn kill9_with_children(&mut self) {
        if self.exit_status().is_some() {
            return;
        }
        // Stopped, it can start no more of them while they are collected.
        self.signal(Signal::STOP);
        let children = children_of(self.pid());
        for pid in &children {
            // One that has just ended is no failure.
            let _ = kill_process(*pid, Signal::KILL);
        }
        self.kill9();
        let gone = holds_within(Duration::from_secs(10), || {
            children.iter().all(|pid| !is_running(*pid))
        });
        assert!(gone, "{}: children survived SIGKILL", self.name);
    }

    /// The end of the log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.name, self.log_tail());
        }
    }
}

/// The last lines of a file, for a message; empty when there is none.
pub(crate) fn tail(path: &Path) -> String {
    let content = fs::read(path).unwrap_or_default();
    let start = content.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(content.get(start..).unwrap_or_default()).into_owned()
}

fn children_of(parent: u32) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("Linux has /proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Whether a process exists and is not a zombie, which holds no resources any more.
pub(crate) fn is_running(pid: Pid) -> bool {
    stat(pid.as_raw_nonzero().get()).is_some_and(|stat| stat.state != 'Z')
}

struct Stat {
    state: char,
    parent: u32,
}

/// Reads `/proc/PID/stat`: `pid (name) state parent ...`; the name may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent })
}
