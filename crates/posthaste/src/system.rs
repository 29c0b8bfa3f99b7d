//! The real clock and the real dice: the only place that reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use posthaste_core::dice::Dice;
use posthaste_core::time::{Clock, Timestamp};
use posthaste_engine::Timer;

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemTimer;

impl Clock for SystemTimer {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The longest single sleep. The wall clock may jump while we sleep on the monotonic one; looking again this often
/// bounds how late a jump is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[async_trait]
impl Timer for SystemTimer {
    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLEEP_MAX)).await;
        }
    }
}

/// The system's random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemDice;

impl Dice for SystemDice {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system gives random bytes once it has booted");
    }
}
