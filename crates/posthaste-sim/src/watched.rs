//! The queue as one node sees it: it can be held up, and what is claimed and recorded through it is looked at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::delivery::{Claimed, DeliveryKey, Lease};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{EndpointId, JobId};
use posthaste_core::job::{Job, Tally};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::page::{Page, PageRequest};
use posthaste_store::queue::{Backlog, Commits, Forgotten, HandOver, NewRecover, Record, Recorded};
use posthaste_store::replay::{JobFilter, NewReplay, ReplayScope, ReplayStep};
use posthaste_store::{ChangeError, Queue, StoreError};
use posthaste_trials::judge::What;

use crate::book::{SharedBook, open};
use crate::stream::Stream;
use crate::time::{Face, NodeClock, Time};
use crate::timing::Timing;

/// How long a record may be held up: most of such times are longer than a lease.
const STALL: (Duration, Duration) = (Duration::from_secs(40), Duration::from_secs(600));

/// A node's way to the queue.
pub(crate) struct Watched {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: NodeClock,
    pub(crate) time: Arc<Time>,
    pub(crate) timing: Arc<Mutex<Timing>>,
    pub(crate) book: SharedBook,
    pub(crate) dice: Stream,
    /// Of a thousand records, so many are held up.
    pub(crate) stalls: usize,
}

impl Watched {
    fn timing(&self) -> MutexGuard<'_, Timing> {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that wanted to record stands still, now and then.
    async fn stall(&self, record: &Record) {
        if self.dice.below(1_000) < self.stalls {
            let from = self.time.now(Face::Steady);
            let until = from.later(self.dice.between(STALL.0, STALL.1));
            let endpoint = record.key.endpoint.to_string();
            open(&self.book).fault(What::Pause, Some(&endpoint), from, until);
            self.time.sleep(Face::Steady, until).await;
        }
    }
}

#[async_trait]
impl Queue for Watched {
    fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        let watched = WatchedHandOver { engine, timing: Arc::clone(&self.timing) };
        self.queue.hand_over_to(Arc::new(watched), lease);
    }

    async fn claim(
        &self,
        endpoint: EndpointId,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.clock.thawed().await;
        let claimed = self.queue.claim(endpoint, limit, lease, now).await?;
        self.timing().claimed(&claimed);
        self.clock.thawed().await;
        Ok(claimed)
    }

    async fn due_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        self.queue.due_endpoints(after, limit, now).await
    }

    async fn oldest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.queue.oldest_due().await
    }

    async fn record(&self, record: Record, now: Timestamp) -> Result<Recorded, StoreError> {
        let judged = self.time.now(Face::Steady);
        self.stall(&record).await;
        self.clock.thawed().await;
        let recorded = self.queue.record(record.clone(), now).await?;
        let mut timing = self.timing();
        timing.recorded(&record, recorded, now);
        timing.waits(&record, recorded, judged);
        Ok(recorded)
    }

    async fn release(&self, deliveries: Vec<(DeliveryKey, Lease)>, now: Timestamp) -> Result<(), StoreError> {
        self.clock.thawed().await;
        self.queue.release(deliveries, now).await
    }

    async fn release_expired(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        self.clock.thawed().await;
        self.queue.release_expired(limit, now).await
    }

    async fn resend(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        self.queue.resend(environment, app, message, endpoint, now).await
    }

    async fn recover(&self, recover: NewRecover, now: Timestamp) -> Result<Job, ChangeError> {
        self.queue.recover(recover, now).await
    }

    async fn step_job(&self, now: Timestamp) -> Result<Option<Job>, StoreError> {
        self.clock.thawed().await;
        self.queue.step_job(now).await
    }

    async fn count_replay(&self, scope: ReplayScope) -> Result<Tally, ChangeError> {
        self.queue.count_replay(scope).await
    }

    async fn replay(&self, new: NewReplay, now: Timestamp) -> Result<Job, ChangeError> {
        self.queue.replay(new, now).await
    }

    async fn step_replay(&self, now: Timestamp) -> Result<ReplayStep, StoreError> {
        self.clock.thawed().await;
        self.queue.step_replay(now).await
    }

    async fn jobs(
        &self,
        environment: EnvironmentId,
        filter: JobFilter,
        page: PageRequest<JobId>,
    ) -> Result<Page<Job>, StoreError> {
        self.queue.jobs(environment, filter, page).await
    }

    async fn cancel_job(
        &self,
        environment: EnvironmentId,
        id: JobId,
        now: Timestamp,
    ) -> Result<Job, ChangeError> {
        self.queue.cancel_job(environment, id, now).await
    }

    async fn job(&self, environment: EnvironmentId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.queue.job(environment, id).await
    }

    async fn waiting_for(&self, endpoint: EndpointId, most: u32) -> Result<Tally, StoreError> {
        self.queue.waiting_for(endpoint, most).await
    }

    async fn forget(&self, before: Timestamp, now: Timestamp) -> Result<Forgotten, StoreError> {
        self.queue.forget(before, now).await
    }

    async fn clock_was_set(&self, unset: Timestamp, set: Timestamp) -> Result<(), StoreError> {
        self.queue.clock_was_set(unset, set).await
    }

    fn backlog(&self) -> Backlog {
        self.queue.backlog()
    }

    fn commits(&self) -> Commits {
        self.queue.commits()
    }
}

/// Sees what is handed over already leased.
struct WatchedHandOver {
    engine: Arc<dyn HandOver>,
    timing: Arc<Mutex<Timing>>,
}

impl HandOver for WatchedHandOver {
    fn has_room(&self, endpoint: EndpointId) -> bool {
        self.engine.has_room(endpoint)
    }

    fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        self.engine.may_claim_for(endpoint)
    }

    fn is_taking(&self) -> bool {
        self.engine.is_taking()
    }

    fn take(&self, claimed: Vec<Claimed>) {
        self.timing.lock().unwrap_or_else(PoisonError::into_inner).claimed(&claimed);
        self.engine.take(claimed);
    }

    fn due(&self, endpoint: EndpointId, due: Timestamp) {
        self.engine.due(endpoint, due);
    }

    fn job(&self) {
        self.engine.job();
    }

    fn listened_to_elsewhere(&self, endpoint: EndpointId) {
        self.engine.listened_to_elsewhere(endpoint);
    }
}
