//! The loader against real servers: staging is written as the miner would, the target is
//! compared with what the stream says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is test code; the lints' own exceptions cover only test functions"
)]

mod allocations;
mod apply;
mod bench;
mod binary_copy;
mod compact_model;
mod dead_letters;
mod dead_letters_random;
mod dialects;
mod dialects_random;
mod refusals;
mod replace;
mod running;
mod shapes;
mod spoken;
mod staged;
mod timelines;
mod wishes;
