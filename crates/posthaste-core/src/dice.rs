//! Chance as an argument: ids, secrets and jitter take their randomness from here.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes. The real one lives in the binary.
pub trait Dice: Send + Sync {
    /// Fills `bytes` with random bytes fit for secrets.
    fn fill(&self, bytes: &mut [u8]);

    /// A number in `0.0..1.0`, for jitter.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// A fixed number of random bytes.
pub fn roll<const N: usize>(dice: &dyn Dice) -> [u8; N] {
    let mut bytes = [0; N];
    dice.fill(&mut bytes);
    bytes
}

/// Dice whose throws follow from a seed: the same seed, the same throws.
#[derive(Debug)]
pub struct TestDice(AtomicU64);

impl TestDice {
    /// Dice for one test run.
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    // SplitMix64, Steele, Lea and Flood 2014.
    fn next(&self) -> u64 {
        let state = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Dice for TestDice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
