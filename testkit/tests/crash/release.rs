//! The places at which programs die are in debug builds only.

use std::path::Path;
use std::process::Command;

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../common/src/crash.rs");
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// Whether the compiled module knows the variable.
fn can_be_armed(directory: &Path, flags: &[&str]) -> bool {
    let program = directory.join("program");
    let main = directory.join("main.rs");
    let source = format!(
        "#[path = {MODULE:?}] mod crash; fn main() {{ crash::point(crash::Point::MinerBegun); }}"
    );
    std::fs::write(&main, source).unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "-A", "warnings"])
        .args(flags)
        .arg("-o")
        .arg(&program)
        .arg(&main)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let status = Command::new(&program)
        .env(common::crash::VARIABLE, "miner-begun")
        .status()
        .unwrap();
    let bytes = std::fs::read(&program).unwrap();
    let named = bytes
        .windows(common::crash::VARIABLE.len())
        .any(|window| window == common::crash::VARIABLE.as_bytes());
    assert_eq!(named, !status.success(), "what is read can kill");
    named
}

#[test]
fn a_release_build_cannot_be_made_to_die() {
    let directory = tempfile::tempdir().unwrap();
    assert!(!can_be_armed(directory.path(), &["-O"]));
    assert!(can_be_armed(
        directory.path(),
        &["-C", "debug-assertions=on"]
    ));

    // What cargo's release profile is by default.
    let manifest = std::fs::read_to_string(WORKSPACE).unwrap();
    let release = manifest.split("[profile.release]").nth(1).unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(!release.contains("debug-assertions"));
}
