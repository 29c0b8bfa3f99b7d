//! A rate as a schedule (GCRA): one instant says all there is to know.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use posthaste_core::time::Timestamp;

/// So many a second, and so many at once.
#[derive(Debug)]
pub(crate) struct Throttle {
    // All three in microseconds.
    step: i64,
    burst: i64,
    /// When the next one would be due if all came evenly.
    next: AtomicI64,
}

impl Throttle {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self::every(Duration::from_secs(1) / per_second.max(1), burst)
    }

    /// One in so long, and so many at once.
    pub(crate) fn every(step: Duration, burst: u32) -> Self {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        Self { step, burst: step.saturating_mul(i64::from(burst.max(1))), next: AtomicI64::new(0) }
    }

    /// Takes a place, or says how long to wait for one.
    pub(crate) fn take(&self, now: Timestamp) -> Result<(), Duration> {
        self.take_places(1, now)
    }

    /// Whether a place could be taken, or how long to wait for one.
    pub(crate) fn look(&self, now: Timestamp) -> Result<(), Duration> {
        let now = now.as_micros();
        let wait = self.next.load(Ordering::Relaxed).max(now) + self.step - now - self.burst;
        if wait <= 0 { Ok(()) } else { Err(Duration::from_micros(wait.unsigned_abs())) }
    }

    /// Whether it is as good as new.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        self.next.load(Ordering::Relaxed) <= now.as_micros()
    }

    /// Takes several at once; more than a burst count as a burst.
    pub(crate) fn take_places(&self, places: u32, now: Timestamp) -> Result<(), Duration> {
        let steps = self.step.saturating_mul(i64::from(places)).min(self.burst);
        let now = now.as_micros();
        let mut wait = 0;
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let next = next.max(now) + steps;
            wait = next - now - self.burst;
            (wait <= 0).then_some(next)
        });
        taken.map(|_| ()).map_err(|_| Duration::from_micros(wait.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_a_step() {
        let throttle = Throttle::new(10, 3);
        let now = Timestamp::from_secs(1_000);
        assert!(throttle.is_idle(now) && throttle.look(now).is_ok());
        assert_eq!((0..5).filter(|_| throttle.take(now).is_ok()).count(), 3);
        assert_eq!(throttle.take(now), Err(Duration::from_millis(100)));
        assert_eq!(throttle.look(now), Err(Duration::from_millis(100)));
        assert!(!throttle.is_idle(now));
        let later = now.later(Duration::from_millis(250));
        assert_eq!((0..5).filter(|_| throttle.take(later).is_ok()).count(), 2);
    }
}
