//! Writes units of staged chunks and the position behind them, each unit with its position in
//! one staging transaction.
//!
//! Invariant: the staged position and its rows commit together, and only while this
//! miner's epoch is the current one. A transaction larger than a unit spans several units in
//! one staging transaction. Any failure is the caller's signal to start over from the
//! position that staging then holds: nothing is kept here.

mod chunk;
mod forget;
mod listed;
mod session;
mod timeline;
mod writer;

pub use chunk::{ChunkPacker, LineKind, Sequences};
pub use forget::Forgotten;
pub use listed::Listed;
pub use session::{LOCK as MINER_LOCK, Staged, StagingSession};
pub use timeline::{Continued, NewTimeline};
pub use writer::{CaughtUp, Message, StagedEnd, Stager, Unit, UnitEnd};
