//! From a lane to a task: starts what may start, whenever something was pushed, finished or freed.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use posthaste_core::attempt::Outcome;
use posthaste_core::delivery::Claimed;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::EndpointId;
use posthaste_core::time::Timestamp;
use posthaste_store::queue::HandOver;

use crate::Engine;
use crate::deliver::deliver;
use crate::lanes::Lanes;

/// Where the store puts what it just committed. Holds the engine weakly: the store outlives it.
pub(crate) struct Intray(pub(crate) Weak<Engine>);

impl HandOver for Intray {
    fn has_room(&self, endpoint: EndpointId) -> bool {
        self.0.upgrade().is_some_and(|engine| !engine.is_stopping() && engine.lanes().has_room(endpoint))
    }

    fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        endpoint.disabled || self.0.upgrade().is_none_or(|engine| engine.has_listener(endpoint))
    }

    fn is_taking(&self) -> bool {
        self.0.upgrade().is_some_and(|engine| !engine.is_stopping())
    }

    fn take(&self, claimed: Vec<Claimed>) {
        if let Some(engine) = self.0.upgrade() {
            engine.push(claimed);
        }
    }

    fn due(&self, endpoint: EndpointId, due: Timestamp) {
        if let Some(engine) = self.0.upgrade() {
            let now = engine.clock.now();
            engine.lanes().note_due(endpoint, due, now);
            if due <= now {
                engine.refill(endpoint);
            } else {
                engine.changed.notify_one();
            }
        }
    }

    fn listened_to_elsewhere(&self, endpoint: EndpointId) {
        if let Some(engine) = self.0.upgrade() {
            engine.listeners.replaced(endpoint);
        }
    }

    fn job(&self) {
        if let Some(engine) = self.0.upgrade() {
            engine.job_written.notify_one();
        }
    }
}

impl Engine {
    /// The lanes, for the few instructions that a caller needs them. Their state is plain counters: a panic in
    /// another holder cannot leave them half changed in a way that matters, so poison is ignored.
    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody is there to send to. To endpoints that are dialled, always.
    pub(crate) fn has_listener(&self, endpoint: &Endpoint) -> bool {
        !endpoint.is_listener() || self.listeners.is_listened_to(endpoint.id)
    }

    pub(crate) fn push(self: &Arc<Self>, claimed: Vec<Claimed>) {
        let mut lanes = self.lanes();
        for one in claimed {
            lanes.push(one);
        }
        drop(lanes);
        self.pump();
    }

    /// An attempt to `endpoint` is over.
    pub(crate) fn finished(self: &Arc<Self>, endpoint: EndpointId, outcome: Option<&Outcome>) {
        self.lanes().finished(endpoint, outcome, self.clock.now());
        self.refill(endpoint);
        self.pump();
    }

    /// Puts back what could not begin. What a listener is owed is claimed again only when all of it is there.
    async fn give_up(self: Arc<Self>, stale: Vec<Claimed>) {
        let listeners: BTreeSet<_> =
            stale.iter().filter(|one| one.endpoint.is_listener()).map(|one| one.endpoint.id).collect();
        self.release(stale).await;
        for endpoint in listeners {
            self.lanes().returned(endpoint);
            self.refill(endpoint);
        }
        self.pump();
    }

    /// Starts everything whose turn it is.
    pub(crate) fn pump(self: &Arc<Self>) {
        if self.is_stopping() {
            return;
        }
        let now = self.clock.now();
        let mut lanes = self.lanes();
        let parked_before = lanes.next_wake();
        let mut starting = Vec::new();
        let may_send_to =
            |endpoint: &Endpoint| self.has_listener(endpoint) && self.queue.may_send_to(endpoint);
        while let Some(claimed) = lanes.next(now, &may_send_to) {
            starting.push(claimed);
        }
        let parked = lanes.next_wake() != parked_before;
        let stale = lanes.take_stale();
        drop(lanes);
        if !stale.is_empty() {
            self.metrics.let_go.inc_by(stale.len() as u64);
            let engine = Arc::clone(self);
            self.tasks.spawn_on(async move { engine.give_up(stale).await }, &self.runtime);
        }
        if parked {
            self.changed.notify_one();
        }
        for claimed in starting {
            let engine = Arc::clone(self);
            self.tasks.spawn_on(async move { deliver(&engine, claimed).await }, &self.runtime);
        }
    }
}
