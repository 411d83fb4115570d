//! Free space, where the server's directory is on this host.

use std::path::Path;

/// Bytes that are free on the file system of a directory; `None` where it cannot be told.
pub(super) fn free_bytes(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes for a person.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 10_240 {
            break;
        }
        value /= 1024;
        unit = next;
    }
    format!("{value} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes_text(512), "512 bytes");
        assert_eq!(bytes_text(8_895 * 1024), "8895 KB");
        assert_eq!(bytes_text(20 << 30), "20 GB");
        assert_eq!(bytes_text(100 << 30), "100 GB");
    }

    #[test]
    fn the_free_space_of_a_directory_is_known_and_of_none_is_not() {
        assert!(free_bytes(Path::new("/")).is_some());
        assert_eq!(free_bytes(Path::new("/nowhere/at/all")), None);
    }
}
