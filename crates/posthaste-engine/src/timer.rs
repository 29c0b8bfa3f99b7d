//! Waiting, as a port: the real timer lives in the binary, a held one in tests.
//!
//! There are two clocks. The wall clock says when something is due, and what a signature's time is; somebody may set it.
//! The steady one only says how long something takes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::time::{Clock, TestClock, Timestamp};
use tokio::sync::watch;

/// A clock that one can wait on.
#[async_trait]
pub trait Timer: Clock {
    /// Both clocks at one instant: how long it is since some other instant, by a clock that nobody sets, and what the
    /// wall clock shows.
    fn both(&self) -> (Duration, Timestamp);

    /// Returns when the clock shows `at` or later, or was set back meanwhile: whoever waits looks again.
    async fn sleep_until(&self, at: Timestamp);

    /// Returns after so long, whatever the wall clock shows.
    async fn sleep_for(&self, time: Duration);
}

/// A clock that stands still until a test moves it, and wakes those who wait on it.
#[derive(Debug, Clone)]
pub struct HeldTimer {
    clock: Arc<TestClock>,
    steady: Arc<TestClock>,
    /// Held while both move.
    moving: Arc<Mutex<()>>,
    moved: watch::Sender<()>,
}

impl HeldTimer {
    /// A timer that shows `at`.
    pub fn at(at: Timestamp) -> Self {
        let steady = Arc::new(TestClock::at(Timestamp::EPOCH));
        Self {
            clock: Arc::new(TestClock::at(at)),
            steady,
            moving: Arc::default(),
            moved: watch::Sender::new(()),
        }
    }

    /// Lets time pass and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        let moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        self.steady.advance(by);
        self.clock.advance(by);
        drop(moving);
        self.moved.send_replace(());
    }

    fn steady(&self) -> Duration {
        self.steady.now().since(Timestamp::EPOCH)
    }

    /// Sets the clock, while no time passes.
    pub fn set_forward(&self, by: Duration) {
        self.clock.advance(by);
        self.moved.send_replace(());
    }

    /// Sets the clock back, while no time passes.
    pub fn set_back(&self, by: Duration) {
        self.clock.set_back(by);
        self.moved.send_replace(());
    }
}

impl Clock for HeldTimer {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[async_trait]
impl Timer for HeldTimer {
    fn both(&self) -> (Duration, Timestamp) {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        (self.steady(), self.now())
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        let mut seen = self.now();
        while seen < at {
            if moved.changed().await.is_err() {
                return;
            }
            let now = self.now();
            if now < seen {
                return;
            }
            seen = now;
        }
    }

    async fn sleep_for(&self, time: Duration) {
        let mut moved = self.moved.subscribe();
        let until = self.steady() + time;
        while self.steady() < until {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }
}
