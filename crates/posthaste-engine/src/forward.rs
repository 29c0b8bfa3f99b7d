//! A delivery to whoever listens: the request goes down the connection that a client opened, and what its local program
//! answers is the attempt.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Reply, Timing};
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADER_BYTES_MAX};
use posthaste_tunnel::frame::{Answer, Failed, FailedKind, Headers, Recorded, Request};
use posthaste_tunnel::listeners::{Told, Unforwarded};

use crate::Engine;
use crate::client::{Outbound, Sent};
use crate::deliver::{Slot, conclude};
use crate::request;

/// How much longer than a request timeout a delivery to a listener may take: a long body on its way to it, and what the
/// tunnel waits for beside the answer.
pub(crate) const FORWARD_SLACK: Duration = Duration::from_secs(30);
/// Characters of a client's own sentence that are kept.
const DETAIL_LENGTH_MAX: usize = 300;
/// Where receivers look for the host that a request was sent to.
const FORWARDED_HOST: &str = "x-forwarded-host";

/// Wakes the lanes of endpoints that somebody begins to listen to.
pub(crate) async fn attend(engine: Arc<Engine>) {
    loop {
        let endpoint = engine.listeners.next_joined().await;
        engine.queue.tell_listened_to(endpoint);
        engine.lanes().attend(endpoint, engine.clock.now());
        engine.refill(endpoint);
        engine.pump();
    }
}

/// Forwards a delivery and records what came of it. What did not reach anybody is no attempt: it keeps its place.
pub(crate) async fn deliver(engine: &Arc<Engine>, claimed: Claimed, slot: Slot<'_>) {
    let started_at = engine.clock.now();
    let timeout = engine.settings.request_timeout;
    let outbound = request::build(&claimed, started_at, timeout);
    let request = request_of(&claimed, outbound);
    let recorded = |status: &str| {
        let (id, attempt) = (id_of(&claimed), claimed.attempts_made + 1);
        Recorded { id, attempt, status: status.to_owned() }
    };
    let sent = match engine.listeners.forward(claimed.endpoint.id, request, timeout).await {
        Ok(told) => sent(told, timeout),
        Err(Unforwarded::Gone) => {
            engine.metrics.forwarded("gone");
            return slot.unsent(claimed);
        }
    };
    engine.metrics.forwarded(word(&sent.outcome));
    slot.over(&sent.outcome);
    let status = match conclude(engine, &claimed, sent, started_at).await {
        Verdict::Delivered => "delivered",
        Verdict::RetryAt(_) => "waiting",
        Verdict::GiveUp(_) => "failed",
    };
    engine.listeners.recorded(claimed.endpoint.id, recorded(status));
}

fn id_of(claimed: &Claimed) -> String {
    format!("{}:{}", claimed.message.id, claimed.endpoint.id)
}

fn request_of(claimed: &Claimed, outbound: Outbound) -> Request {
    let headers = outbound.headers.iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    let origin = claimed.message.origin.as_deref();
    let host =
        origin.and_then(|origin| origin.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")));
    if let Some((_, host)) = host
        && !headers.iter().any(|(name, _)| name == FORWARDED_HOST)
    {
        headers.push((FORWARDED_HOST.to_owned(), Bytes::copy_from_slice(host)));
    }
    Request {
        id: id_of(claimed),
        attempt: claimed.attempts_made + 1,
        message: claimed.message.id.to_string(),
        event_type: claimed.message.event_type.to_string(),
        method: outbound.method.to_string(),
        path: origin.map(|origin| origin.path.clone()).unwrap_or_default(),
        query: outbound.query,
        headers: Headers(headers),
        body: outbound.body,
    }
}

/// What the engine makes of what a client tells.
fn sent(told: Told, timeout: Duration) -> Sent {
    let (outcome, took) = match told {
        Told::Answered(answer) => {
            let took = Duration::from_millis(answer.duration_ms);
            (Outcome::Replied(reply(answer)), took)
        }
        Told::Failed(failed) => {
            let took = Duration::from_millis(failed.duration_ms);
            (Outcome::Failed(failure(&failed)), took)
        }
        Told::TimedOut => {
            let detail = format!("the local program did not answer within {} s", timeout.as_secs());
            (Outcome::Failed(Failure { kind: FailureKind::Timeout, detail }), timeout)
        }
    };
    // It is the client's word, and need not make sense.
    let total = took.min(timeout + FORWARD_SLACK);
    Sent { outcome, timing: Timing { total, ..Timing::default() }, remote: None }
}

fn reply(answer: Answer) -> Reply {
    let mut room = RESPONSE_HEADER_BYTES_MAX;
    let fits = |(name, value): &(String, Bytes)| {
        let left = room.checked_sub(name.len() + value.len());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let headers = answer.headers.0.into_iter().take_while(fits).collect();
    let truncated = answer.truncated || answer.body.len() > RESPONSE_BODY_BYTES_MAX;
    // A copy: the frame is longer, and would be kept as long as its part.
    let body = Bytes::copy_from_slice(&answer.body[..answer.body.len().min(RESPONSE_BODY_BYTES_MAX)]);
    Reply { status: answer.status, headers, body, truncated }
}

fn failure(failed: &Failed) -> Failure {
    let kind = match failed.kind {
        FailedKind::Connect => FailureKind::Connect,
        FailedKind::Timeout => FailureKind::Timeout,
        FailedKind::Dns => FailureKind::Dns,
        FailedKind::Tls => FailureKind::Tls,
        FailedKind::Protocol => FailureKind::Protocol,
        FailedKind::Other => FailureKind::Broken,
    };
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    Failure { kind, detail: failed.detail.chars().take(DETAIL_LENGTH_MAX).map(plain).collect() }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Replied(_) => "answered",
        Outcome::Failed(failure) if failure.kind == FailureKind::Timeout => "timeout",
        Outcome::Failed(_) => "failed",
    }
}
