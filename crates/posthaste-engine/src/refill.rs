//! Claims from the store what lanes have room for: when a hint says so, when a lane runs low, and by sweeping,
//! which needs no hint and makes it certain.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::id::EndpointId;
use posthaste_fault::point;
use posthaste_store::StoreError;

use crate::Engine;

/// Claims under way at once. Claims that wait together are committed together, so more would gain nothing.
pub(crate) const CLAIMS_MAX: usize = 64;
/// How often the whole queue is swept for work that no hint told of.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Endpoints that one sweep looks at; the next one goes on from there.
const SWEEP_ENDPOINTS_MAX: u32 = 512;

impl Engine {
    /// Claims for this endpoint, if its lane has room and the store has something.
    pub(crate) fn refill(self: &Arc<Self>, endpoint: EndpointId) {
        if self.is_stopping() {
            return;
        }
        let Some(room) = self.lanes().wants_refill(endpoint) else { return };
        let engine = Arc::clone(self);
        self.tasks.spawn_on(async move { engine.claim(endpoint, room).await }, &self.runtime);
    }

    async fn claim(self: Arc<Self>, endpoint: EndpointId, room: usize) {
        let refilling = Refilling { engine: &self, endpoint, is_over: false };
        let Ok(_permit) = self.claims.acquire().await else { return };
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        // A clock that was set is noticed first: a lease that began after it would be moved along with those from before,
        // be over at once, and its delivery be sent twice.
        self.look_at_clock().await;
        match self.queue.claim(endpoint, limit, self.settings.lease(), self.clock.now()).await {
            Ok(claimed) => {
                point!("claim.committed");
                let more = claimed.len() >= room;
                let overtaken = self.lanes().take_in(endpoint, claimed, more);
                if let Some(overtaken) = overtaken {
                    self.release(overtaken).await;
                    refilling.over(true);
                } else {
                    refilling.end();
                }
                self.pump();
                self.refill(endpoint);
            }
            Err(error) => {
                // Each endpoint would say it each second: the store has told of its disk once.
                if !matches!(error, StoreError::Unwell(_)) {
                    tracing::warn!(%endpoint, %error, "due deliveries could not be claimed, the next sweep tries again");
                }
                refilling.over(false);
            }
        }
    }
}

/// A claim under way for a lane. It ends whatever happens, a panic included: a lane that waits for a claim asks for no
/// other, and would never again take anything from the store.
struct Refilling<'a> {
    engine: &'a Engine,
    endpoint: EndpointId,
    is_over: bool,
}

impl Refilling<'_> {
    /// The lane knows.
    fn end(mut self) {
        self.is_over = true;
    }

    /// `more`: the store may have more for this lane.
    fn over(mut self, more: bool) {
        self.is_over = true;
        self.engine.lanes().refilled(self.endpoint, more);
    }
}

impl Drop for Refilling<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.engine.lanes().refilled(self.endpoint, true);
        }
    }
}

/// Sleeps until a parked lane may go on or a hinted delivery is due.
pub(crate) async fn wake_lanes(engine: Arc<Engine>) {
    loop {
        let next = engine.lanes().next_wake();
        let Some(at) = next else {
            engine.changed.notified().await;
            continue;
        };
        tokio::select! {
            biased;
            () = engine.clock.sleep_until(at) => {}
            () = engine.changed.notified() => continue,
        }
        let due = engine.lanes().wake(engine.clock.now());
        for endpoint in due {
            engine.refill(endpoint);
        }
        engine.pump();
    }
}

/// Goes round all endpoints that have something due.
pub(crate) async fn sweep(engine: Arc<Engine>) {
    let mut after = None;
    loop {
        engine.look_at_clock().await;
        let now = engine.clock.now();
        match engine.queue.due_endpoints(after, SWEEP_ENDPOINTS_MAX, now).await {
            Ok(endpoints) => {
                let more = endpoints.len() >= SWEEP_ENDPOINTS_MAX as usize;
                after = endpoints.last().copied().filter(|_| more);
                for endpoint in endpoints {
                    engine.lanes().note_due(endpoint, now, now);
                    engine.refill(endpoint);
                }
            }
            Err(error) => tracing::warn!(%error, "the queue could not be swept, trying again"),
        }
        engine.metrics.set_oldest_due(engine.queue.oldest_due().await.ok().flatten(), now);
        engine.clock.sleep_for(SWEEP_INTERVAL).await;
    }
}
