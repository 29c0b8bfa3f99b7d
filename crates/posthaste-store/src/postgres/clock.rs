//! PostgreSQL's clock, as this node knows it.
//!
//! Leases are written and judged by it. A node's own clock may be wrong, or set while it runs: it would take leases for
//! over that are not, and what others are sending would be sent again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use posthaste_core::time::{Clock, Timestamp};

/// By how much a node's clock may be wrong before that is said: what it writes as due is due as much too early or late.
const WRONG_MAX: Duration = Duration::from_secs(5);
/// An answer that took so long says too little about when it was given.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// What PostgreSQL's clock showed, and when that was by a clock that nobody can set.
#[derive(Clone, Copy)]
struct Seen {
    micros: i64,
    at: Instant,
}

/// Moves instants between the two clocks. A store of a test, which holds its clock, has none: its instants are both.
pub(super) struct DatabaseClock {
    own: Option<Arc<dyn Clock>>,
    seen: Mutex<Option<Seen>>,
    /// How far this node's clock was ahead when it was last looked at; behind is negative.
    ahead_micros: AtomicI64,
}

/// A look at the clock under way.
pub(super) struct Look {
    began: Instant,
    own: Option<Timestamp>,
}

impl DatabaseClock {
    pub(super) fn new(own: Option<Arc<dyn Clock>>) -> Self {
        Self { own, seen: Mutex::default(), ahead_micros: AtomicI64::default() }
    }

    /// To be called before PostgreSQL is asked what its clock shows.
    pub(super) fn look(&self) -> Look {
        Look { began: Instant::now(), own: self.own.as_ref().map(|clock| clock.now()) }
    }

    /// What it showed; somewhere in the middle between question and answer.
    pub(super) fn saw(&self, look: &Look, micros: i64) {
        let took = look.began.elapsed();
        let Some(own) = look.own.filter(|_| took <= ROUND_TRIP_MAX) else { return };
        let seen = Seen { micros, at: look.began + took / 2 };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        let ahead = own.later(took / 2).as_micros().saturating_sub(micros);
        self.ahead_micros.store(ahead, Ordering::Relaxed);
    }

    /// What PostgreSQL's clock shows when this node's shows `instant`; `now` is what that shows now.
    pub(super) fn moved(&self, instant: Timestamp, now: Timestamp) -> i64 {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seen { micros, at }) = seen else { return instant.as_micros() };
        let since = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        let from_now = instant.as_micros().saturating_sub(now.as_micros());
        micros.saturating_add(since).saturating_add(from_now)
    }

    pub(super) fn ahead_micros(&self) -> i64 {
        self.ahead_micros.load(Ordering::Relaxed)
    }

    /// Says it if this node's clock is wrong.
    pub(super) fn complain(&self) {
        let ahead = self.ahead_micros();
        if u128::from(ahead.unsigned_abs()) > WRONG_MAX.as_micros() {
            let (seconds, direction) =
                (ahead.unsigned_abs() / 1_000_000, if ahead > 0 { "ahead of" } else { "behind" });
            tracing::warn!(
                "this node's clock is {seconds} s {direction} PostgreSQL's: retries and schedules are as much too early or \
                 too late; set the clocks of all machines by NTP"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use posthaste_core::time::TestClock;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_lease_lasts_as_long_by_postgresqls_clock_whatever_this_nodes_clock_shows() {
        let true_now = Timestamp::from_secs(1_790_000_000);
        let own = Arc::new(TestClock::at(true_now.later(HOUR)));
        let clock = DatabaseClock::new(Some(own.clone()));
        clock.saw(&clock.look(), true_now.as_micros());
        let lease = Duration::from_secs(75);
        for _ in 0..2 {
            let now = own.now();
            let until = clock.moved(now.later(lease), now) - true_now.as_micros();
            assert!((75_000_000..80_000_000).contains(&until), "{until}");
            // Set again while it runs, before anybody has looked.
            own.advance(HOUR);
        }
        assert!((3_595_000_000..=3_605_000_000).contains(&clock.ahead_micros()), "{}", clock.ahead_micros());
    }

    #[test]
    fn a_clock_that_is_held_is_the_stores_too() {
        let clock = DatabaseClock::new(None);
        clock.saw(&clock.look(), 5);
        let now = Timestamp::from_secs(1_790_000_000);
        assert_eq!(clock.moved(now.later(HOUR), now), now.later(HOUR).as_micros());
        assert_eq!(clock.ahead_micros(), 0);
    }
}
