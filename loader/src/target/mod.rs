//! The target: which server it is and how it is spoken to, its catalog, the loader's session on
//! it, and the checkpoint.

pub mod behind;

mod catch_up;

pub mod catalog;

pub mod conditions;

pub mod dialect;

pub mod findings;

mod lock;

pub mod placement;

mod server;

pub mod session;

pub use behind::{Held, Wish};
pub use catch_up::CatchUp;
pub use dialect::Dialect;
pub use lock::holder;
pub use server::Server;
pub use session::{CommitRefused, SessionError, TargetSession};
