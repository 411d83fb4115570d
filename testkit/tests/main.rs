//! The test kit itself, on real servers.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

mod compare;
mod program;
mod proxy;
mod servers;
