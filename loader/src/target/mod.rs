//! The target PostgreSQL: its catalog, the loader's session on it, and the checkpoint.

pub mod behind;

pub mod catalog;

mod lock;

pub mod session;

pub use behind::{CatchUp, Held, Wish};
pub use lock::holder;
pub use session::{CommitRefused, SessionError, TargetSession};
