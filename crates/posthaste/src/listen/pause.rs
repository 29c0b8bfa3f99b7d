//! How long to wait before the next try: soon at first, then rarely, and never all at the same instant.

use std::time::Duration;

use posthaste_core::dice::{Dice, roll};

/// Before each try to reconnect; the last one stays.
const RECONNECT_MS: [u32; 6] = [0, 100, 1_000, 2_000, 5_000, 10_000];
/// Before each try of a local program that is down; the last one stays.
const LOCAL_MS: [u32; 5] = [100, 200, 500, 1_000, 2_000];

/// Before try `attempt` of a connection, counted from 1: up to a fifth more or less, since a server that comes back has
/// many who waited for it.
pub(crate) fn before_reconnect(attempt: u32, dice: &dyn Dice) -> Duration {
    let base_ms = nth(&RECONNECT_MS, attempt);
    let fifth_ms = base_ms / 5;
    let extra_ms = u32::from_be_bytes(roll(dice)) % (2 * fifth_ms + 1);
    Duration::from_millis(u64::from(base_ms - fifth_ms + extra_ms))
}

/// Before a local program is tried again, counted from 1.
pub(crate) fn before_local(attempt: u32) -> Duration {
    Duration::from_millis(u64::from(nth(&LOCAL_MS, attempt)))
}

fn nth(all_ms: &[u32], attempt: u32) -> u32 {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(all_ms.len() - 1);
    all_ms[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dies(u8);

    impl Dice for Dies {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn tries_come_soon_and_then_rarely() {
        assert_eq!(before_reconnect(1, &Dies(0)), Duration::ZERO);
        for (attempt, base_ms) in [(2, 100), (3, 1_000), (4, 2_000), (5, 5_000), (6, 10_000), (9_999, 10_000)]
        {
            for face in [0, 1, 77, 128, 200, 255] {
                let wait_ms = before_reconnect(attempt, &Dies(face)).as_millis();
                assert!((base_ms * 4 / 5..=base_ms * 6 / 5).contains(&wait_ms), "{attempt}: {wait_ms}");
            }
        }
        assert_eq!(before_local(1), Duration::from_millis(100));
        assert_eq!(before_local(50), Duration::from_secs(2));
    }
}
