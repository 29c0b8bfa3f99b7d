//! Waiting, as a port: the real timer lives in the binary, a held one in tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::time::{Clock, TestClock, Timestamp};
use tokio::sync::watch;

/// A clock that one can wait on.
#[async_trait]
pub trait Timer: Clock {
    /// Returns when the clock shows `at` or later.
    async fn sleep_until(&self, at: Timestamp);
}

/// A clock that stands still until a test moves it, and wakes those who wait on it.
#[derive(Debug, Clone)]
pub struct HeldTimer {
    clock: Arc<TestClock>,
    moved: watch::Sender<()>,
}

impl HeldTimer {
    /// A timer that shows `at`.
    pub fn at(at: Timestamp) -> Self {
        Self { clock: Arc::new(TestClock::at(at)), moved: watch::Sender::new(()) }
    }

    /// Moves the clock forward and wakes whoever waited for that.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
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
    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        while self.now() < at {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }
}
