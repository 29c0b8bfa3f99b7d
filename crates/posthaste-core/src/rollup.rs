//! Counts over time: what charts and numbers on pages are made of. They are written in the transaction of what they count,
//! so that no page ever counts rows.

use std::time::Duration;

use crate::id::{AppId, EndpointId};
use crate::time::Timestamp;

/// Upper bounds of the classes that attempts are counted in by how long they took, in milliseconds; the last class is of
/// those that took longer still.
pub const TOOK_MS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];
/// Classes of durations.
pub const TOOK_CLASSES: usize = TOOK_MS.len() + 1;

/// What is counted, of some thing in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages accepted. Not counted by endpoint.
    pub accepted: u64,
    /// Deliveries that ended well.
    pub delivered: u64,
    /// Deliveries that ended undelivered.
    pub dead: u64,
    /// Attempts answered with 2xx.
    pub succeeded: u64,
    /// Attempts answered with anything else.
    pub refused: u64,
    /// Attempts without an answer.
    pub unanswered: u64,
    /// Attempts, by the classes of [`TOOK_MS`].
    pub took: [u64; TOOK_CLASSES],
}

impl Counts {
    /// Attempts of all outcomes.
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.refused + self.unanswered
    }

    /// Attempts that failed.
    pub fn failed(&self) -> u64 {
        self.refused + self.unanswered
    }

    /// Counts one more attempt of this duration, among the classes alone.
    pub fn note_took(&mut self, took: Duration) {
        self.took[class_of(took)] += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        for (own, others) in self.took.iter_mut().zip(other.took) {
            *own += others;
        }
    }

    /// How long `share` of the attempts took at most (0.95: 95 of 100), as exactly as the classes tell: within one, durations
    /// count as spread evenly. None without attempts. Beyond the last bound it is that bound.
    pub fn took_at_most(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.took.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = as_f64(all) * share.clamp(0.0, 1.0);
        let (mut below, mut lower) = (0_u64, 0_u64);
        for (count, upper) in self.took.iter().zip(TOOK_MS) {
            if *count > 0 && as_f64(below + count) >= wanted {
                let part = ((wanted - as_f64(below)) / as_f64(*count)).clamp(0.0, 1.0);
                return Some(Duration::from_secs_f64(
                    (as_f64(lower) + part * as_f64(upper - lower)) / 1_000.0,
                ));
            }
            below += count;
            lower = upper;
        }
        Some(Duration::from_millis(lower))
    }
}

/// Which class a duration belongs to.
pub fn class_of(took: Duration) -> usize {
    TOOK_MS.iter().position(|bound| took <= Duration::from_millis(*bound)).unwrap_or(TOOK_MS.len())
}

/// Exact below 2^53, which nobody counts to.
#[expect(clippy::cast_precision_loss, reason = "a share of a count needs no more")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Of what something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All apps of the environment; those of sources and of operational webhooks too.
    Environment,
    /// One app.
    App(AppId),
    /// One endpoint.
    Endpoint(EndpointId),
}

/// Counts of a stretch of time that begins at `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// When it begins.
    pub start: Timestamp,
    /// What was counted.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(took_ms: &[u64]) -> Counts {
        let mut counts = Counts::default();
        for ms in took_ms {
            counts.note_took(Duration::from_millis(*ms));
        }
        counts
    }

    #[test]
    fn a_duration_belongs_to_the_first_class_whose_bound_it_keeps() {
        assert_eq!(class_of(Duration::ZERO), 0);
        assert_eq!(class_of(Duration::from_millis(1)), 0);
        assert_eq!(class_of(Duration::from_micros(1_001)), 1);
        assert_eq!(class_of(Duration::from_secs(20)), TOOK_MS.len() - 1);
        assert_eq!(class_of(Duration::from_mins(1)), TOOK_MS.len());
    }

    #[test]
    fn how_long_most_took_is_told_within_a_class() {
        assert_eq!(Counts::default().took_at_most(0.5), None);
        let counts = of(&[15; 90]);
        assert_eq!(counts.took_at_most(0.5), Some(Duration::from_millis(15)), "half way from 10 to 20");
        let mut mixed = counts;
        mixed.add(&of(&[30_000; 10]));
        assert_eq!(mixed.took_at_most(0.99), Some(Duration::from_secs(20)), "as long as the classes go");
        assert_eq!(mixed.took_at_most(0.9), Some(Duration::from_millis(20)));
        assert_eq!(mixed.took.iter().sum::<u64>(), 100);
    }
}
