//! A task in a directory, the scripts run on it, and what runs because of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Launch, Program, TaskBuilder, TaskFiles, binary, wait_until};

/// Bounds every wait; a slow machine is no failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The path of a script, `start.sh`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../scripts")
        .join(name)
        .canonicalize()
        .unwrap()
}

/// A task's directory; everything in it is stopped on drop.
#[derive(Debug)]
pub(crate) struct Site {
    // Dropped before the directory.
    _guard: Guard,
    files: TaskFiles,
}

/// Stops what runs in a task's directory when the test ends, also when it is killed: the
/// shell waits for the end of its standard input.
#[derive(Debug)]
struct Guard {
    shell: Child,
}

impl Guard {
    fn new(directory: &Path) -> Self {
        let shell = Command::new("sh")
            .arg("-c")
            .arg("trap '' INT TERM HUP; read -r _; exec \"$0\" --timeout 2 --staging-db \"$1\"")
            .arg(script("stop.sh"))
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { shell }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// What a script has said, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Waits for a script to end.
    #[track_caller]
    pub(crate) fn wait(mut program: Program) -> Self {
        let status = program.wait_exit(SOON);
        Self {
            code: status.code(),
            stdout: program.stdout(),
            stderr: program.stderr(),
        }
    }

    /// The exit code is this one, and all of `words` have been said.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for word in words {
            assert!(
                self.stdout.contains(word) || self.stderr.contains(word),
                "nothing is said of {word:?}: {self:#?}"
            );
        }
    }
}

impl Site {
    /// Writes the files of a task. `SITE` in its configuration becomes its directory.
    pub(crate) fn new(config: &TaskBuilder) -> Self {
        let files = config.write();
        let text = fs::read_to_string(files.config()).unwrap();
        let text = text.replace("SITE", files.directory().to_str().unwrap());
        fs::write(files.config(), text).unwrap();
        Self {
            _guard: Guard::new(files.directory()),
            files,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.files.directory()
    }

    /// A file of the task, `run/miner.exit`, which may be a link to its own text; empty when
    /// there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.directory().join(name);
        fs::read_link(&path)
            .map(|text| text.to_str().unwrap().to_owned())
            .or_else(|_| fs::read_to_string(&path))
            .unwrap_or_default()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.directory().join(name)).is_ok()
    }

    /// A folder with programs in place of both that write to their logs, run until the task has
    /// a file `miner.code` or `loader.code`, and end with the exit code in it.
    pub(crate) fn stand_ins(&self) -> String {
        let folder = self.directory().join("bin");
        fs::create_dir(&folder).unwrap();
        for name in ["miner", "loader"] {
            let path = folder.join(format!("binlog_{name}"));
            let text = format!(
                "#!/bin/sh\necho begun >>{name}.begun\ncat {name}.says\n\
                 until [ -e {name}.code ]; do sleep 0.05; done\nexit $(cat {name}.code)\n"
            );
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            self.write(&format!("{name}.says"), "");
        }
        folder.to_str().unwrap().to_owned()
    }

    /// Writes a file of the task, whole.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory().join(name);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.directory().join(name)).unwrap();
    }

    /// Runs a script with these arguments, the task's directory the last of them.
    #[track_caller]
    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Ran {
        Ran::wait(self.launch(name, args).start())
    }

    fn launch(&self, name: &str, args: &[&str]) -> Launch {
        args.iter()
            .fold(Launch::new(script(name)), Launch::arg)
            .arg(self.directory())
    }

    /// Runs start.sh on the programs under test.
    #[track_caller]
    pub(crate) fn start(&self, args: &[&str]) -> Ran {
        let miner = binary("binlog_miner");
        let folder = miner.parent().unwrap().to_str().unwrap();
        self.run("start.sh", &[&["--bin", folder][..], args].concat())
    }

    /// Starts monitor.sh as cron does: in another directory, without the user's environment.
    pub(crate) fn cron(&self) -> Program {
        Launch::new("/usr/bin/env")
            .arg("-i")
            .arg("PATH=/usr/bin:/bin")
            .arg("HOME=/")
            .arg(script("monitor.sh"))
            .arg(self.directory())
            .current_dir("/")
            .start()
    }

    #[track_caller]
    pub(crate) fn monitor(&self) -> Ran {
        Ran::wait(self.cron())
    }

    /// The pid that the scripts have written down for `miner`, `loader` or `staging_db`.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        let text = self.read(&format!("run/{name}.pid"));
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Kills a program as a crash would, and waits until its wrapper has noticed.
    pub(crate) fn kill9(&self, name: &str) {
        signal(self.pid(name), Signal::KILL);
        self.wait_exit(name, 137);
    }

    /// Kills a program and its wrapper, as the end of the machine would.
    pub(crate) fn lose(&self, name: &str) {
        let pid = self.pid(name);
        signal(parent(pid).unwrap(), Signal::KILL);
        signal(pid, Signal::KILL);
        wait_until(SOON, "the killed program to be gone", || !runs(pid));
    }

    /// Waits until a program's end with this exit code is on record.
    #[track_caller]
    pub(crate) fn wait_exit(&self, name: &str, code: i32) {
        let file = format!("run/{name}.exit");
        wait_until(SOON, "the end of the program", || self.exists(&file));
        let end = self.read(&file);
        assert_eq!(end.split(' ').next(), Some(&*code.to_string()), "{end}");
    }

    /// How many copies of a program run in the task's directory.
    pub(crate) fn copies(&self, name: &str) -> usize {
        let program = binary(&format!("binlog_{name}"));
        let program = program.to_str().unwrap().as_bytes();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                let is_program = fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| line.split(|byte| *byte == 0).next() == Some(program));
                is_program
                    && fs::read_link(entry.path().join("cwd"))
                        .is_ok_and(|folder| folder == self.directory())
            })
            .count()
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether a process exists and is no zombie.
pub(crate) fn runs(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}

/// The process that has started `pid`, while that exists.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` from the third, the state, on.
pub(crate) fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit_once(')')?.1;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
