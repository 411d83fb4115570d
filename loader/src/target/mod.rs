//! The target PostgreSQL: its catalog, the loader's session on it, and the checkpoint.

pub mod behind;

mod catch_up;

pub mod catalog;

mod lock;

pub mod session;

pub use behind::{Held, Wish};
pub use catch_up::CatchUp;
pub use lock::holder;
pub use session::{CommitRefused, SessionError, TargetSession};
