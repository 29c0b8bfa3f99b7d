//! Somebody sets the clock: an hour either way, or a month. Nothing is lost, nothing is sent in a storm, and nobody is
//! given up on early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::delivery::{DeadLetter, DeliveryState};
use posthaste_core::time::Clock as _;
use posthaste_engine::client::{Outbound, Sent};
use posthaste_engine::{HeldTimer, Transport};
use posthaste_store::Queue as _;
use tokio::sync::{Notify, watch};

use crate::posthaste::{DEADLINE, LEASE, Posthaste, clock, replied};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The waits of these tests: short ones and long ones.
fn waits() -> Vec<Duration> {
    vec![Duration::from_secs(5), 5 * MINUTE, 30 * MINUTE, 2 * HOUR]
}

/// What somebody does to the clock.
#[derive(Debug, Clone, Copy)]
enum Set {
    Not,
    Forward(Duration),
    Back(Duration),
}

impl Set {
    fn apply(self, clock: &HeldTimer) {
        match self {
            Self::Not => {}
            Self::Forward(by) => clock.set_forward(by),
            Self::Back(by) => clock.set_back(by),
        }
    }
}

/// Everybody's server: answers with this status, and counts.
struct Answering {
    status: u16,
    count: watch::Sender<usize>,
}

impl Answering {
    fn with(status: u16) -> Arc<Self> {
        Arc::new(Self { status, count: watch::Sender::new(0) })
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until so many requests came.
    async fn got(&self, count: usize) {
        let mut changed = self.count.subscribe();
        crate::soon(changed.wait_for(|came| *came >= count)).await.unwrap();
    }
}

#[async_trait]
impl Transport for Answering {
    async fn send(&self, _: Outbound) -> Sent {
        self.count.send_modify(|count| *count += 1);
        replied(self.status)
    }
}

/// How many attempts ten messages get before they are given up, if the clock is set after the second one of each.
async fn attempts_until_dead(set: Set) -> usize {
    let (clock, receiver) = (clock(), Answering::with(500));
    let posthaste = Posthaste::over(clock.clone(), receiver.clone(), waits()).await;
    let endpoint = posthaste.endpoint("http://a/", None).await;
    let messages = posthaste.accepts(10).await;
    posthaste.settles_with_waiting(10).await;
    clock.advance(Duration::from_secs(6));
    receiver.got(20).await;
    posthaste.settles_with_waiting(10).await;
    set.apply(&clock);
    let ending = tokio::time::timeout(DEADLINE, async {
        while posthaste.store.backlog().waiting_count + posthaste.store.backlog().in_flight_count > 0 {
            // Not while something is due or under way: the engine must keep pace with the clock.
            let due = posthaste.store.oldest_due().await.unwrap();
            if posthaste.store.backlog().in_flight_count == 0 && due.is_some_and(|due| due > clock.now()) {
                clock.advance(MINUTE);
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(ending.await.is_ok(), "{set:?}: still owed: {:?}", posthaste.store.backlog());
    for message in messages {
        let state = posthaste.state(message).await;
        assert_eq!(state, DeliveryState::DeadLettered { why: DeadLetter::Exhausted }, "{set:?}");
    }
    assert!(!posthaste.is_disabled(endpoint).await, "{set:?}: it has failed for some hours");
    receiver.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_costs_no_delivery_an_attempt_and_starts_no_storm() {
    let control = attempts_until_dead(Set::Not).await;
    assert_eq!(control, 50, "five attempts for each of ten");
    for set in [Set::Forward(HOUR), Set::Back(HOUR), Set::Forward(30 * DAY)] {
        assert_eq!(attempts_until_dead(set).await, control, "{set:?}: attempts");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_failed_once_is_not_disabled_by_a_clock_that_jumps_a_month() {
    let (clock, receiver) = (clock(), Answering::with(500));
    let posthaste = Posthaste::over(clock.clone(), receiver.clone(), vec![DAY; 20]).await;
    let endpoint = posthaste.endpoint("http://a/", None).await;
    posthaste.accepts(1).await;
    posthaste.settles_with_waiting(1).await;
    clock.set_forward(30 * DAY);
    clock.advance(Duration::from_secs(1));
    receiver.got(2).await;
    posthaste.settles_with_waiting(1).await;
    assert!(!posthaste.is_disabled(endpoint).await, "it has failed for a second");
    clock.set_back(30 * DAY);
    clock.advance(32 * DAY);
    receiver.got(3).await;
    posthaste.settles_with_waiting(1).await;
    assert!(posthaste.is_disabled(endpoint).await, "it has failed for a month");
}

/// Answers when it is told to.
#[derive(Default)]
struct Held {
    count: AtomicUsize,
    came: Notify,
    go: Notify,
}

#[async_trait]
impl Transport for Held {
    async fn send(&self, _: Outbound) -> Sent {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.came.notify_one();
        self.go.notified().await;
        replied(200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_while_the_clock_is_set_is_not_sent_again() {
    for set in [Set::Forward(HOUR), Set::Back(HOUR), Set::Forward(30 * DAY)] {
        let (clock, receiver) = (clock(), Arc::new(Held::default()));
        let posthaste = Posthaste::over(clock.clone(), receiver.clone(), waits()).await;
        posthaste.endpoint("http://a/", None).await;
        let message = posthaste.accepts(1).await[0];
        crate::soon(receiver.came.notified()).await;
        set.apply(&clock);
        // The loop that looks for expired leases comes round.
        for _ in 0..3 {
            clock.advance(Duration::from_secs(6));
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
        }
        receiver.go.notify_one();
        posthaste.settles_with_waiting(0).await;
        assert_eq!(posthaste.state(message).await, DeliveryState::Delivered, "{set:?}");
        assert_eq!(receiver.count.load(Ordering::SeqCst), 1, "{set:?}: requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_messages_and_limited_endpoints_do_not_wait_for_a_clock_that_was_set_back() {
    let (clock, receiver) = (clock(), Answering::with(200));
    let posthaste = Posthaste::over(clock.clone(), receiver.clone(), waits()).await;
    posthaste.endpoint("http://a/", Some(1)).await;
    posthaste.accepts(3).await;
    receiver.got(1).await;
    clock.set_back(HOUR);
    // One more each second, as before: what was parked goes on.
    for sent in 2..=3 {
        clock.advance(Duration::from_millis(1_100));
        receiver.got(sent).await;
    }
    posthaste.settles_with_waiting(0).await;
    posthaste.accepts(1).await;
    clock.advance(Duration::from_millis(1_100));
    receiver.got(4).await;
    posthaste.settles_with_waiting(0).await;
}

/// Panics at the first request, and answers all others.
#[derive(Default)]
struct PanicsOnce(AtomicUsize);

#[async_trait]
impl Transport for PanicsOnce {
    async fn send(&self, _: Outbound) -> Sent {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a bug of ours");
        replied(200)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_when_it_would_have_though_the_clock_was_set_back() {
    let clock = clock();
    let posthaste = Posthaste::over(clock.clone(), Arc::new(PanicsOnce::default()), waits()).await;
    posthaste.endpoint("http://a/", None).await;
    let message = posthaste.accepts(1).await[0];
    crate::until(|| posthaste.engine.in_flight() == 0).await;
    clock.set_back(HOUR);
    let mut passed = Duration::ZERO;
    crate::soon(async {
        while posthaste.store.backlog().in_flight_count + posthaste.store.backlog().waiting_count > 0 {
            if passed < LEASE {
                passed += Duration::from_secs(1);
                clock.advance(Duration::from_secs(1));
            }
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    assert_eq!(posthaste.state(message).await, DeliveryState::Delivered);
}
