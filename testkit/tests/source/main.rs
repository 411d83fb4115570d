//! The miner at its source, on real servers: where it starts, how it goes on, how it connects.
//!
//! What is staged is read through the public views; the miner is run as its users run it.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the way to say what went wrong"
)]

mod clash;
mod connection;
mod failover;
mod gtid_start;
mod outage;
mod resume;
mod rig;
