//! The target PostgreSQL: its catalog, the loader's session on it, and the checkpoint.

pub mod catalog;

pub mod conditions;

mod lock;

pub mod session;

pub use lock::holder;
pub use session::{CommitRefused, SessionError, TargetSession};
