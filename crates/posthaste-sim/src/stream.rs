//! Chance from one seed, in a stream for each part of the world: what one part draws does not change the others.

use std::time::Duration;

use posthaste_core::dice::{Dice, TestDice, roll};

/// Numbers that follow from a seed.
pub(crate) struct Stream(TestDice);

impl Stream {
    /// The stream of one part of the world.
    pub(crate) fn of(seed: u64, part: &str) -> Self {
        // FNV-1a: parts get streams that have nothing to do with each other.
        let folded = part.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(TestDice::seeded(folded ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    pub(crate) fn number(&self) -> u64 {
        u64::from_le_bytes(roll(&self.0))
    }

    /// In `0..end`; 0 if that is empty.
    pub(crate) fn below(&self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % end).unwrap_or(0)
    }

    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    /// A time in `from..until`.
    pub(crate) fn between(&self, from: Duration, until: Duration) -> Duration {
        let width = u64::try_from(until.saturating_sub(from).as_micros()).unwrap_or(u64::MAX).max(1);
        from + Duration::from_micros(self.number() % width)
    }
}

impl Dice for Stream {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
