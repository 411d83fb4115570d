//! The stages of `binlog_miner`, in flow order.

// decode: raw events to typed ones, row images to canonical text.
pub mod decode;
