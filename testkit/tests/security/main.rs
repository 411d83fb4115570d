//! Who may do what, and who sees what: TLS, privileges, secrets. On real servers.
#![expect(
    clippy::unwrap_used,
    reason = "all of this is test code; the lint's own exception covers only test functions"
)]

/// Servers, tasks and running programs.
mod rig;

/// TLS to staging and target.
mod tls;

/// The README's grants, and nothing but them.
mod grants;

/// Passwords and row values.
mod secrets;
