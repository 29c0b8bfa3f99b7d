//! All receivers that misbehave at once, beside healthy ones, through the whole engine: real sockets and a real store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_engine::Transport;
use posthaste_engine::client::{Outbound, Sent};

use crate::hostile::cases;
use crate::posthaste::{LEASE, Posthaste, clock, replied};
use crate::receiver::{OK, Receiver, Step, client};

/// Receives so many requests, each with another `webhook-id`.
async fn got(receiver: &mut Receiver, count: usize) {
    let mut ids = std::collections::HashSet::new();
    for _ in 0..count {
        let request = receiver.request().await;
        let id = request.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap();
        assert!(ids.insert(id.to_owned()), "{id} came twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_misbehave_at_once_slow_no_other_and_leave_nothing_behind() {
    let client = client();
    let posthaste = Posthaste::over(clock(), Arc::new(client.clone()), vec![]).await;
    let (mut hostile, mut healthy) = (Vec::new(), Vec::new());
    for case in cases() {
        let receiver = Receiver::running(vec![case.steps]).await;
        posthaste.endpoint(&receiver.url("/"), None).await;
        hostile.push(receiver);
        if hostile.len() % 10 == 0 {
            let receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
            posthaste.endpoint(&receiver.url("/"), None).await;
            healthy.push(receiver);
        }
    }
    posthaste.endpoint("http://10.0.0.1/", None).await;
    let messages = 9;
    posthaste.accepts(messages).await;
    // While some still hang: those take eight places each, and four seconds for each attempt.
    for receiver in &mut healthy {
        got(receiver, messages).await;
    }
    assert!(posthaste.engine.in_flight() > 0, "nobody waited for those that hang");
    // Those in distress rest between attempts, on the clock that the test holds.
    posthaste.ends(Duration::from_millis(500)).await;
    crate::until(|| client.open_connections() == client.idle_connections()).await;
}

/// Panics, hangs up or answers, in turns.
struct Unsteady(AtomicU64);

#[async_trait]
impl Transport for Unsteady {
    async fn send(&self, _: Outbound) -> Sent {
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        assert!(!turn.is_multiple_of(4), "a bug of ours");
        replied(if turn.is_multiple_of(3) { 500 } else { 200 })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_panics_gives_its_place_back_and_is_made_again_when_its_lease_is_over() {
    let posthaste = Posthaste::over(clock(), Arc::new(Unsteady(AtomicU64::new(0))), vec![LEASE; 20]).await;
    posthaste.endpoint("http://a/", None).await;
    posthaste.accepts(400).await;
    posthaste.ends(LEASE).await;
}
