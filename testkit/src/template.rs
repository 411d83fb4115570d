//! Data directories that are made once and copied for every server.
//!
//! They live in the servers' cache folder (`$MYSQL2GP_SERVERS`, see
//! `scripts/install_servers.sh`) and are named after the program that made them, so a new
//! server version gets a new one. A template takes its name only when it is complete.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Part of every template's name: a change of how templates are made changes it.
const RECIPE: u32 = 1;

/// The folder that `scripts/install_servers.sh` fills.
pub(crate) fn servers_directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("MYSQL2GP_SERVERS") {
        return directory.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("HOME is set");
            Path::new(&home).join(".cache")
        },
        PathBuf::from,
    );
    cache.join("mysql2gp-servers")
}

/// The template called `name` of the server `program`, made by `build` unless it exists.
///
/// `build` gets an empty directory. Test processes and threads that ask for the same
/// template at once wait for the first.
pub(crate) fn template(name: &str, program: &Path, build: impl FnOnce(&Path)) -> PathBuf {
    let metadata = fs::metadata(program).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: run scripts/install_servers.sh --all first",
            program.display()
        )
    });
    let user = rustix::process::geteuid().as_raw();
    let root = servers_directory().join("templates").join(user.to_string());
    fs::create_dir_all(&root).expect("the cache folder is writable");

    let name = format!(
        "{name}-{:x}-{:x}-{RECIPE}",
        metadata.len(),
        metadata.mtime()
    );
    let ready = root.join(&name);
    let lock = File::create(root.join(format!("{name}.lock"))).expect("the cache folder is ours");
    flock(&lock, FlockOperation::LockExclusive).expect("a file of ours can be locked");
    if !ready.exists() {
        let partial = root.join(format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).expect("what an interrupted run left is ours");
        }
        fs::create_dir(&partial).expect("the cache folder is writable");
        build(&partial);
        fs::rename(&partial, &ready).expect("both names are in one folder");
    }
    ready
}
