//! The real clock and the real dice: the only place that reads them.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// How far apart two clocks are read that are read together.
const APART_MAX: Duration = Duration::from_secs(1);

/// Where the steady clock begins.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[async_trait]
impl Timer for SystemTimer {
    fn both(&self) -> (Duration, Timestamp) {
        loop {
            let (before, now, after) = (BEGAN.elapsed(), self.now(), BEGAN.elapsed());
            // Otherwise the process was stopped in between, and the two do not belong together.
            if after.saturating_sub(before) < APART_MAX {
                return (after, now);
            }
        }
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut seen = self.now();
        while seen < at {
            tokio::time::sleep(at.since(seen).min(SLEEP_MAX)).await;
            let now = self.now();
            if now < seen {
                return;
            }
            seen = now;
        }
    }

    async fn sleep_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
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
