//! Integration tests of the miner.

mod allocations;
mod decode_damage;
mod decode_events;
mod decode_golden;
mod instructions;
mod second_witness;
