//! Notices when somebody set the wall clock, by holding it against the steady one.
//!
//! Whatever was measured by the wall before has to be moved along: how long an endpoint has been failing, until when a
//! lease lasts, when a rate limit lets the next one through. A machine that slept is no different: what it could not try
//! has not failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use posthaste_core::time::Timestamp;
use tokio::sync::Mutex;

use crate::{Engine, Timer};

/// By how much the clocks must have come apart: far more than they ever drift between two looks.
const SET_MIN: Duration = Duration::from_secs(60);

/// What the wall clock showed when the steady one began, as far as we know: in microseconds since 1970.
#[derive(Debug)]
pub(crate) struct Wall {
    known: AtomicI64,
    /// Held while the store is told, so that nothing is recorded in between by a clock that was set.
    telling: Mutex<()>,
}

fn beginning(clock: &dyn Timer) -> i64 {
    let (steady, now) = clock.both();
    now.earlier(steady).as_micros()
}

impl Wall {
    pub(crate) fn of(clock: &dyn Timer) -> Self {
        Self { known: AtomicI64::new(beginning(clock)), telling: Mutex::default() }
    }

    /// By how many microseconds it was set, if it was; back is negative.
    fn was_set_by(&self, clock: &dyn Timer) -> Option<i64> {
        let by = beginning(clock).saturating_sub(self.known.load(Ordering::Acquire));
        (u128::from(by.unsigned_abs()) >= SET_MIN.as_micros()).then_some(by)
    }
}

impl Engine {
    /// Looks whether the clock was set, and if so moves along what was measured by it.
    pub(crate) async fn look_at_clock(self: &Arc<Self>) {
        if self.wall.was_set_by(&*self.clock).is_none() {
            return;
        }
        let _telling = self.wall.telling.lock().await;
        let Some(by) = self.wall.was_set_by(&*self.clock) else { return };
        let seconds = by / 1_000_000;
        tracing::warn!(seconds, "the clock was set: what was measured by it moves along");
        let now = self.clock.now();
        let unset = Timestamp::from_micros(now.as_micros().saturating_sub(by));
        if let Err(error) = self.queue.clock_was_set(unset, now).await {
            tracing::warn!(%error, "the store could not follow the clock, trying again");
            return;
        }
        self.wall.known.fetch_add(by, Ordering::AcqRel);
        if by < 0 {
            self.lanes().clock_was_set_back();
            self.pump();
        }
    }
}
