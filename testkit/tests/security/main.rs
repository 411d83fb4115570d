//! Who may do what, and who sees what: TLS, privileges, secrets. On real servers.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]
