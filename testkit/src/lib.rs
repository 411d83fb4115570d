//! What the tests of the other crates run on: real servers, broken networks, and a
//! comparison of source and target that does not use the code under test.
//!
//! Only tests depend on this crate. It panics with a message where a program would return
//! an error, because a test that cannot set up its servers has failed. Everything that it
//! starts or creates is gone when its value is dropped, and at the latest when the test
//! process dies. It never uses a server that it has not started.
//!
//! `scripts/install_servers.sh` installs the servers; where one is missing the test fails
//! and names the script.

/// Waiting with a deadline.
mod wait;

/// Temporary directories and ports.
mod scratch;

/// Data directories made once.
mod template;

/// Child processes.
mod process;

/// Disks that become full.
mod small_disk;

/// MySQL and MariaDB.
mod mysql_server;

/// PostgreSQL.
mod pg_server;

/// A certificate authority.
mod certificates;

/// The project's own programs.
mod program;

/// A breakable TCP connection.
mod proxy;

/// Configuration files.
mod task;

/// Source against target, row by row.
mod compare;

/// Random transactions.
#[expect(
    clippy::unwrap_used,
    reason = "bookkeeping that is wrong is a test that has failed"
)]
pub mod workload;

pub use certificates::Certificates;
pub use compare::{CellRule, Comparison, Difference, Report, SourceTable, TargetTable};
pub use mysql_server::{Binlog, Flavor, MysqlBuilder, MysqlServer, RowMetadata};
pub use pg_server::{PgBuilder, PgServer};
pub use process::RunAs;
pub use program::{Launch, Program, binary};
pub use proxy::Proxy;
pub use small_disk::SmallDisk;
pub use task::{TaskBuilder, TaskFiles};
pub use wait::{holds_within, wait_until};

/// The rows of a query as the server prints them; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// Whether a server's committed data survive its being killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// They need not: nothing waits for the disk.
    Fast,
    /// They do, as on a production server.
    Durable,
}
