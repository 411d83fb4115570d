//! Integration tests of the miner.

mod decode_golden;
