//! Noisy neighbours in small, on a clock that the test holds: nothing here depends on how fast the machine is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Timing};
use posthaste_core::time::Clock as _;
use posthaste_engine::client::{Outbound, Sent};
use posthaste_engine::{HeldTimer, Timer as _, Transport};
use posthaste_store::Queue as _;
use tokio::sync::watch;

use crate::posthaste::{Posthaste, TIMEOUT, clock, replied};

const HEALTHY: usize = 80;
const HANGING: usize = 10;
const FAILING: usize = 10;
const MESSAGES: usize = 30;
/// How long one in distress rests, the first time.
const REST: Duration = Duration::from_millis(100);

/// Everybody's servers, by the first letter of their names: `w`ell, `h`angs, `f`ails.
struct Town {
    clock: HeldTimer,
    /// Requests under way to each that hangs.
    hanging: Mutex<HashMap<String, usize>>,
    served: watch::Sender<usize>,
}

impl Town {
    /// The most that any one of those that hang holds now.
    fn held_by_one(&self) -> usize {
        self.hanging.lock().unwrap().values().copied().max().unwrap_or(0)
    }

    fn held(&self) -> usize {
        self.hanging.lock().unwrap().values().sum()
    }
}

#[async_trait]
impl Transport for Town {
    async fn send(&self, request: Outbound) -> Sent {
        if request.url.starts_with("http://w") {
            self.served.send_modify(|count| *count += 1);
            return replied(200);
        }
        if request.url.starts_with("http://f") {
            return replied(500);
        }
        *self.hanging.lock().unwrap().entry(request.url.clone()).or_default() += 1;
        self.clock.sleep_until(self.clock.now().later(TIMEOUT)).await;
        *self.hanging.lock().unwrap().entry(request.url).or_default() -= 1;
        let failure = Failure { kind: FailureKind::Timeout, detail: String::new() };
        Sent { outcome: Outcome::Failed(failure), timing: Timing::default(), remote: None }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_endpoints_wait_for_nobody_and_each_that_hangs_is_soon_down_to_one_connection() {
    let clock = clock();
    let town =
        Arc::new(Town { clock: clock.clone(), hanging: Mutex::default(), served: watch::Sender::new(0) });
    let posthaste = Posthaste::over(clock.clone(), town.clone(), vec![]).await;
    for (letter, count) in [("h", HANGING), ("f", FAILING), ("w", HEALTHY)] {
        for number in 0..count {
            posthaste.endpoint(&format!("http://{letter}{number}/"), None).await;
        }
    }
    posthaste.accepts(MESSAGES).await;
    // The clock stands still, so nobody who hangs gets on: what arrives has waited for none of them.
    let mut served = town.served.subscribe();
    crate::soon(served.wait_for(|count| *count == HEALTHY * MESSAGES)).await.unwrap();
    crate::until(|| town.held() == 8 * HANGING).await;
    clock.advance(TIMEOUT);
    // All eight of each came back at once: it rests, and then gets one.
    crate::until(|| town.held() == 0 && posthaste.engine.in_flight() == 0).await;
    clock.advance(REST);
    crate::until(|| town.held_by_one() == 1 && town.held() == HANGING).await;
    posthaste.accepts(MESSAGES).await;
    crate::soon(served.wait_for(|count| *count == 2 * HEALTHY * MESSAGES)).await.unwrap();
    assert_eq!(town.held_by_one(), 1, "and stays there");
    let held_back = (HANGING * (2 * MESSAGES - 8)) as u64;
    let owed = || posthaste.store.backlog();
    crate::until(|| owed().waiting_count + owed().in_flight_count == held_back).await;
    assert!(
        owed().in_flight_count <= (HANGING * MESSAGES) as u64,
        "what may not begin soon stays in the store"
    );
}
