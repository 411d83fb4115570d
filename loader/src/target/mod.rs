//! The target PostgreSQL: its catalog, the loader's session on it, and the checkpoint.

pub mod catalog;

pub mod session;

pub use session::{SessionError, TargetSession};
