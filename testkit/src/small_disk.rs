//! A small disk of a server's own, which becomes full.
//!
//! It is a tmpfs in a mount namespace that one process holds: nobody else sees it, except
//! through that process's `/proc/PID/root`, and it is gone with the process. Root mounts it;
//! another user is root in a user namespace, where the system has them, and the server a
//! user in one within that, since PostgreSQL refuses to be root.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Output, Process, RunAs};
use crate::scratch;
use crate::wait::holds_within;

const MOUNT_TIMEOUT: Duration = Duration::from_secs(20);

/// The file that takes the space away.
const FILLER: &str = "filler";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A tmpfs, unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk {
    /// Holds the namespace.
    holder: Process,
    mounted_on: PathBuf,
    _directory: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of this size on a directory.
    ///
    /// # Panics
    /// When the system does not permit it: only root may mount.
    pub fn mount(directory: &Path, bytes: u64) -> Self {
        let scratch = scratch::directory("disk");
        let log = scratch.path().join("log");
        let mut command = RunAs::Caller.command(Path::new("unshare"));
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" && echo mounted && exec sleep infinity")
            .arg("sh")
            .arg(bytes.to_string())
            .arg(directory);
        let mut holder = Process::start("the small disk", command, Output::Log, &log);
        let mounted = || fs::read_to_string(&log).is_ok_and(|text| text.contains("mounted"));
        holds_within(MOUNT_TIMEOUT, || {
            mounted() || holder.exit_status().is_some()
        });
        assert!(
            mounted(),
            "this test needs a small disk, a tmpfs of its own, and mounting one has failed. It takes root (in a \
             container: the capability SYS_ADMIN) or user namespaces. What was said:\n{}",
            holder.log_tail()
        );
        Self {
            holder,
            mounted_on: directory.to_owned(),
            _directory: scratch,
        }
    }

    /// The disk as this process sees it.
    ///
    /// # Panics
    /// When it was mounted on a relative path.
    pub fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.pid()));
        let inner = self
            .mounted_on
            .strip_prefix("/")
            .expect("temporary directories are absolute");
        root.join(inner)
    }

    /// `program` as a command that sees the disk where it is mounted.
    pub(crate) fn command(&self, run_as: RunAs, program: &Path) -> Command {
        let inner = run_as.command(program);
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.pid().to_string()]);
        if !is_root() {
            let user = rustix::process::geteuid().as_raw();
            let group = rustix::process::getegid().as_raw();
            command
                .args(["--user", "--preserve-credentials", "--"])
                .args(["unshare", "--user"])
                .arg(format!("--map-user={user}"))
                .arg(format!("--map-group={group}"));
        }
        command
            .arg("--")
            .arg(inner.get_program())
            .args(inner.get_args());
        command
    }

    /// Takes all space but this much away, besides what is taken already.
    ///
    /// # Panics
    /// When the disk is gone.
    pub fn leave(&self, bytes: u64) {
        let mut filler = File::options()
            .create(true)
            .append(true)
            .open(self.path().join(FILLER))
            .expect("the disk is ours");
        let take = self.available().saturating_sub(bytes);
        let block = vec![0; 1 << 16];
        let blocks = usize::try_from(take).expect("the disk is small") / block.len();
        for _ in 0..blocks {
            // Whoever else writes there may have taken it.
            if filler.write_all(&block).is_err() {
                break;
            }
        }
    }

    /// Gives the space back.
    pub fn free(&self) {
        // It may not be there.
        let _ = fs::remove_file(self.path().join(FILLER));
    }

    /// Bytes that can be written.
    ///
    /// # Panics
    /// When the disk is gone.
    pub fn available(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path()).expect("the disk is there");
        found.f_bavail * found.f_frsize
    }
}
