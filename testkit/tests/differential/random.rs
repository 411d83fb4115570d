//! Seeded random numbers: the same seed gives the same tables.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that gives a seed back to a run.
const VARIABLE: &str = "MYSQL2GP_SEED";

/// The seed of this run: from the environment, else the time.
pub(crate) fn seed() -> u64 {
    match std::env::var_os(VARIABLE) {
        Some(seed) => seed
            .to_str()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| panic!("{VARIABLE} is not a number")),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos()
            .into(),
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        eprintln!("random values: {VARIABLE}={seed} repeats them");
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    pub(crate) fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        let count = u64::try_from(items.len()).unwrap();
        let index = usize::try_from(self.below(count)).unwrap();
        items.get(index).expect("below the length")
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.bits().to_le_bytes()[0]).collect()
    }

    /// So many decimal digits.
    pub(crate) fn digits(&mut self, count: u64) -> String {
        (0..count).map(|_| self.below(10).to_string()).collect()
    }
}
