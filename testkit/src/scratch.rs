//! Temporary directories and TCP ports, each private to one server or task.
//!
//! A directory goes when its owner is dropped. A test process that was killed leaves its
//! directories behind; the next one that starts removes them, since the name tells whose
//! they were.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

const PREFIX: &str = "mysql2gp-";

/// The data directory of a PostgreSQL server within its directory.
pub(crate) const PG_DATA: &str = "data";

/// Ports below the range from which the kernel takes those of outgoing connections
/// (32768 and up by default), so that a stopped server finds its port free again.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// Makes a new directory that everybody may enter (a server may run as another user).
///
/// The path is short: a unix socket's may have 107 bytes at most.
pub(crate) fn directory(purpose: &str) -> TempDir {
    static CLEANED: Once = Once::new();
    CLEANED.call_once(remove_stale);
    let directory = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-{purpose}-", std::process::id()))
        .tempdir()
        .expect("the temporary directory is writable");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
        .expect("the new directory is ours");
    directory
}

/// Removes what test processes that no longer exist have left.
fn remove_stale() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove_shared_memory(&entry.path());
            // Another test process may be removing it at the same time, or it is another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Frees the shared memory segment that a killed postmaster has left, unless somebody uses
/// it. The directory tells which: line 7 of `postmaster.pid` is its key and its id.
pub(crate) fn remove_shared_memory(directory: &Path) {
    let pid_file = directory.join(PG_DATA).join("postmaster.pid");
    let content = fs::read_to_string(pid_file).unwrap_or_default();
    let Some((key, id)) = content
        .lines()
        .nth(6)
        .and_then(|line| line.trim().split_once(char::is_whitespace))
    else {
        return;
    };
    // key shmid perms size cpid lpid nattch ...
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let unused = segments.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.next() == Some(key) && fields.next() == Some(id.trim()) && fields.nth(4) == Some("0")
    });
    if unused {
        // Gone meanwhile when another process was faster.
        let _ = Command::new("ipcrm").args(["-m", id.trim()]).output();
    }
}

/// Copies a directory's content, keeping owners and modes.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let output = Command::new("cp")
        .args(["-a", "--reflink=auto", "--sparse=always"])
        .arg(from.join("."))
        .arg(to)
        .output()
        .expect("cp is there");
    assert!(
        output.status.success(),
        "cp from {} to {}: {}",
        from.display(),
        to.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A TCP port of 127.0.0.1 that no other server of the tests gets while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Locked as long as the file is open, against other test processes too.
    _claim: File,
}

impl Port {
    /// Claims a port that nothing listens on.
    pub(crate) fn claim() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let claims = claims_directory();
        // Processes start at different places, so that they seldom meet.
        let span = PORTS.end - PORTS.start;
        let first = u16::try_from(std::process::id().wrapping_mul(61) % u32::from(span))
            .expect("the remainder is below the span");
        for _ in 0..span {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % span;
            let number = PORTS.start + (first + step) % span;
            if let Some(claim) = try_claim(&claims, number) {
                return Self {
                    number,
                    _claim: claim,
                };
            }
        }
        panic!("no free TCP port in {PORTS:?}");
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn try_claim(claims: &Path, number: u16) -> Option<File> {
    let file = File::create(claims.join(number.to_string())).expect("the folder is ours");
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    TcpListener::bind(("127.0.0.1", number)).ok()?;
    Some(file)
}

fn claims_directory() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let path = std::env::temp_dir().join(format!("mysql2gp.ports.{user}"));
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            panic!("create {}: {error}", path.display())
        }
        _ => path,
    }
}
