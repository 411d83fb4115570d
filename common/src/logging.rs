//! One log line format for both programs: UTC time, level, module, prose, `key=value`.

use std::io::Write as _;

/// Sets the logger up: stderr, level INFO unless `RUST_LOG` says otherwise.
pub fn init() {
    // The PostgreSQL client logs every notice of a server at INFO.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .filter_module("postgres", log::LevelFilter::Warn)
        .filter_module("tokio_postgres", log::LevelFilter::Warn)
        .format(|out, record| {
            let module = record.target().rsplit("::").next().unwrap_or_default();
            writeln!(
                out,
                "{} {:5} {}: {}",
                out.timestamp_millis(),
                record.level(),
                module,
                record.args()
            )
        })
        .target(env_logger::Target::Stderr)
        .init();
}
