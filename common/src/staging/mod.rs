//! The contract between miner and loader: the staging database.
//!
//! The miner appends chunks of lines ([`codec`]) and its position in one transaction; the
//! loader reads chunks in order. Each writes only its own tables; the views of schema
//! `mysql2gp` are the public interface. [`migrate`] brings a database to the version that
//! this program knows.

pub mod codec;

pub mod migrate;

/// Channel on which the miner notifies at each staging commit.
pub const NOTIFY_CHANNEL: &str = "mysql2gp_staged";

/// Chunk numbers within one segment: segment `n` holds `n * CHUNKS_PER_SEGMENT ..
/// (n + 1) * CHUNKS_PER_SEGMENT`. A segment is closed by size long before it is full.
pub const CHUNKS_PER_SEGMENT: i64 = 1 << 20;

/// The segment that a chunk lies in.
pub fn segment_of(chunk_seq: i64) -> i64 {
    chunk_seq / CHUNKS_PER_SEGMENT
}

/// Table of a segment, schema included.
pub fn segment_table(segment_no: i64) -> String {
    format!("mysql2gp.chunk_{segment_no}")
}
