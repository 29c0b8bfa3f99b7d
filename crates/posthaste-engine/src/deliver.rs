//! One delivery from top to bottom: sign, send, judge, record.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::{Attempt, Outcome};
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::id::{AttemptId, EndpointId};
use posthaste_core::retry;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use posthaste_store::StoreError;
use posthaste_store::queue::Record;

use crate::Engine;
use crate::client::Sent;
use crate::forward;
use crate::request;

/// The first wait before a record that failed is written again; doubled each time.
const RECORD_RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest such wait: shorter than between two looks for leases that are over, so that a record is there first.
const RECORD_RETRY_MAX: Duration = Duration::from_secs(1);
/// How long after the lease an attempt waits for a disk that cannot be written.
const RECORD_PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Acts on a claimed delivery and writes down what came of it.
///
/// Nothing is locked and no transaction is open while the receiver is talked to. If the process dies anywhere in
/// here, the lease runs out and the delivery is tried again: at least once, never not at all.
pub(crate) async fn deliver(engine: &Arc<Engine>, claimed: Claimed) {
    let endpoint = claimed.endpoint.id;
    let slot = Slot::of(engine, endpoint);
    if let Some(why) = claimed.undeliverable() {
        drop(slot);
        return record(engine, &claimed, None, Verdict::GiveUp(why)).await;
    }
    let started_at = engine.clock.now();
    if claimed.endpoint.is_listener() {
        return forward::deliver(engine, claimed, slot).await;
    }
    if claimed.lease.until < started_at.later(engine.settings.request_timeout) {
        // It waited too long in its lane. Somebody else may hold it before we are done: leave it to them.
        engine.metrics.let_go.inc();
        return;
    }
    point!("send.claimed");
    let outbound = request::build(&claimed, started_at, engine.settings.request_timeout);
    let sent = engine.transport.send(outbound).await; // the only await here that can be slow
    slot.over(&sent.outcome);
    conclude(engine, &claimed, sent, started_at).await;
}

/// Judges what came of an attempt, and records it.
pub(crate) async fn conclude(
    engine: &Arc<Engine>,
    claimed: &Claimed,
    sent: Sent,
    started_at: Timestamp,
) -> Verdict {
    engine.look_at_clock().await;
    let now = engine.clock.now();
    let attempts_made = claimed.attempts_made + 1;
    let chance = engine.dice.unit();
    let judge = if claimed.endpoint.is_listener() { retry::judge_listener } else { retry::judge };
    let verdict = judge(&sent.outcome, attempts_made, &engine.settings.retry_schedule, now, chance);
    let attempt = Attempt {
        id: AttemptId::fresh(started_at, &*engine.dice),
        message: claimed.message.id,
        endpoint: claimed.endpoint.id,
        url: claimed.endpoint.url.clone(),
        trigger: claimed.trigger,
        started_at,
        timing: sent.timing,
        remote: sent.remote,
        outcome: sent.outcome,
    };
    engine.metrics.attempted(claimed, &attempt, verdict, now);
    engine.observer.attempted(claimed, &attempt, verdict);
    record(engine, claimed, Some(attempt), verdict).await;
    verdict
}

/// The place that an attempt has among those under way. It is given back whatever happens, a panic included: a lane
/// whose places leak is a lane that sends nothing more.
pub(crate) struct Slot<'a> {
    engine: &'a Arc<Engine>,
    endpoint: EndpointId,
    is_over: bool,
}

impl<'a> Slot<'a> {
    fn of(engine: &'a Arc<Engine>, endpoint: EndpointId) -> Self {
        Self { engine, endpoint, is_over: false }
    }

    /// The attempt was made, and the lane learns from it.
    pub(crate) fn over(mut self, outcome: &Outcome) {
        self.is_over = true;
        self.engine.finished(self.endpoint, Some(outcome));
    }

    /// There was none: it goes back into its lane.
    pub(crate) fn unsent(mut self, claimed: Claimed) {
        self.is_over = true;
        self.engine.lanes().unsent(claimed);
        self.engine.pump();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.engine.finished(self.endpoint, None);
        }
    }
}

/// Writes until it is written or the lease is over. A store that is away for a moment costs no second attempt.
///
/// While nothing can be written nobody else can claim the delivery either: then the end of its lease means nothing, and
/// whoever gave up would only make sure that the receiver sees it twice. Nothing piles up: what was not claimed before
/// cannot be claimed now.
async fn record(engine: &Engine, claimed: &Claimed, attempt: Option<Attempt>, verdict: Verdict) {
    let record = Record { key: claimed.key(), lease: claimed.lease, attempt, verdict };
    let mut wait = RECORD_RETRY_MIN;
    loop {
        point!("record.before");
        let now = engine.clock.now();
        match engine.queue.record(record.clone(), now).await {
            Ok(recorded) => {
                point!("record.committed");
                if recorded.disabled_endpoint {
                    tracing::warn!(endpoint = %claimed.endpoint.id, "endpoint disabled: it failed for too long, or is gone");
                }
                return;
            }
            Err(StoreError::Unwell(why)) if now < claimed.lease.until.later(RECORD_PATIENCE) => {
                tracing::debug!(message = %record.key.message, why, "an attempt waits to be recorded");
            }
            Err(error) if now < claimed.lease.until => {
                tracing::warn!(message = %record.key.message, %error, "an attempt could not be recorded, trying again");
            }
            Err(error) => {
                tracing::error!(message = %record.key.message, %error, "an attempt was not recorded: the delivery will be repeated");
                return;
            }
        }
        engine.clock.sleep_for(wait).await;
        wait = (wait * 2).min(RECORD_RETRY_MAX);
    }
}
