//! Deliveries out, attempts back in. The delivery row is the queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::attempt::Attempt;
use posthaste_core::delivery::{Claimed, DeliveryKey, Lease, Verdict};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{EndpointId, JobId};
use posthaste_core::job::{Job, Tally};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::replay::{JobFilter, NewReplay, ReplayScope, ReplayStep};

/// The engine, as the store sees it: who takes what is ready.
///
/// Called from the store's writer, so it must neither block nor call the store.
pub trait HandOver: Send + Sync {
    /// Whether this node would send a new delivery to this endpoint at once. What it has no room for stays in the
    /// store, unleased.
    fn has_room(&self, endpoint: EndpointId) -> bool;

    /// Whether this node may claim for an endpoint now; not for a listener's that is not connected to it. What is owed to
    /// one that is disabled or deleted ends all the same.
    fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        let _ = endpoint;
        true
    }

    /// Whether this node sends at all; not while it ends.
    fn is_taking(&self) -> bool {
        true
    }

    /// Deliveries that were just committed, leased to this node.
    fn take(&self, claimed: Vec<Claimed>);

    /// Something of this endpoint is due at `due` and was not handed over. A hint: sweeping finds it too.
    fn due(&self, endpoint: EndpointId, due: Timestamp);

    /// There is a job to run.
    fn job(&self);

    /// Somebody listens to this endpoint on another node since just now. A hint, too.
    fn listened_to_elsewhere(&self, endpoint: EndpointId) {
        let _ = endpoint;
    }
}

/// What is recorded of a delivery that was acted on.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which delivery.
    pub key: DeliveryKey,
    /// By which right.
    pub lease: Lease,
    /// The try, unless the delivery ended without one.
    pub attempt: Option<Attempt>,
    /// What follows.
    pub verdict: Verdict,
}

/// What came of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The lease was still ours; otherwise the attempt was kept and the delivery left alone.
    pub fenced: bool,
    /// The endpoint was disabled by this attempt.
    pub disabled_endpoint: bool,
}

/// How much is owed, from counts that are kept, not made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that wait, due or not.
    pub waiting_count: u64,
    /// Deliveries that somebody acts on.
    pub in_flight_count: u64,
}

/// How often the store committed, how much at a time, and whether it can now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Commits {
    /// Transactions.
    pub commits_count: u64,
    /// Commands in them.
    pub commands_count: u64,
    /// How often it turned out that the store could not be written.
    pub failures_count: u64,
    /// It cannot be written now.
    pub unwell: bool,
    /// Of its log: what was committed and is not yet in the database. It grows as long as somebody reads an old state.
    pub log_bytes: u64,
    /// Requests that were refused since the store was busy.
    pub shed_count: u64,
    /// How far this node's clock is ahead of the store's, where that is another machine's; behind is negative.
    pub clock_ahead_micros: i64,
}

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Messages removed with their deliveries and attempts.
    pub messages_count: u64,
    /// Bodies removed from messages that stay.
    pub bodies_count: u64,
    /// There may be more.
    pub more: bool,
}

/// Hands deliveries out and takes attempts back.
#[async_trait]
pub trait Queue: Send + Sync {
    /// From now on new deliveries are offered to `engine`, leased for `lease`.
    fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration);

    /// Claims what is due for one endpoint, oldest due first; nothing while its source is paused, or while another node
    /// owns it, or while the engine may not claim for it.
    ///
    /// Promise: no two callers hold a live lease on one delivery. The claim is committed before it returns.
    async fn claim(
        &self,
        endpoint: EndpointId,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Endpoints that have something due, in the order of their ids, after `after`; not those of paused sources.
    async fn due_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError>;

    /// When the delivery that has waited longest was due, paused ones and listeners' apart; for the metric and for waking.
    async fn oldest_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Promise: attempt, new state and the endpoint's health appear together. If the lease was lost, the attempt is
    /// kept and the state is not touched.
    async fn record(&self, record: Record, now: Timestamp) -> Result<Recorded, StoreError>;

    /// Gives claimed deliveries back untried; they keep their place before what was accepted later.
    async fn release(&self, deliveries: Vec<(DeliveryKey, Lease)>, now: Timestamp) -> Result<(), StoreError>;

    /// Whether this node may send to this endpoint now. Of one with a rate limit, its own or its app's, one node is the
    /// owner; an embedded store has one node.
    fn may_send_to(&self, endpoint: &Endpoint) -> bool {
        let _ = endpoint;
        true
    }

    /// Tells other nodes that somebody listens to this endpoint here, and no longer there; an embedded store has one node.
    fn tell_listened_to(&self, endpoint: EndpointId) {
        let _ = endpoint;
    }

    /// Gives up what this node owns: it sends no more.
    async fn let_go(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Puts deliveries with an expired lease back into the queue; at most `limit`. Safe on every node at once.
    async fn release_expired(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// Puts one delivery back into the queue, with its full retry schedule; makes it if there was none.
    async fn resend(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Writes down a job to put an endpoint's dead-lettered deliveries back into the queue.
    async fn recover(&self, recover: NewRecover, now: Timestamp) -> Result<Job, ChangeError>;

    /// Does the next step of the oldest unfinished job. `None`: there is none.
    async fn step_job(&self, now: Timestamp) -> Result<Option<Job>, StoreError>;

    /// How many deliveries a replay would put back now; it looks at
    /// [`REPLAY_COUNT_ROWS_MAX`](posthaste_core::limits::REPLAY_COUNT_ROWS_MAX) of them, or a few more.
    async fn count_replay(&self, scope: ReplayScope) -> Result<Tally, ChangeError>;

    /// Writes down a replay.
    ///
    /// Promise: each delivery that matches is put back at most once, even if a node dies in between; what is accepted
    /// after this is not touched, nor what still waits or is in flight.
    async fn replay(&self, new: NewReplay, now: Timestamp) -> Result<Job, ChangeError>;

    /// Does the next step of the replay that is due first, and that no other node is at.
    async fn step_replay(&self, now: Timestamp) -> Result<ReplayStep, StoreError>;

    /// The jobs of an environment, recoveries and replays.
    async fn jobs(
        &self,
        environment: EnvironmentId,
        filter: JobFilter,
        page: PageRequest<JobId>,
    ) -> Result<Page<Job>, StoreError>;

    /// How many deliveries to an endpoint wait, due or not; counted up to `most`, by their index.
    async fn waiting_for(&self, endpoint: EndpointId, most: u32) -> Result<Tally, StoreError>;

    /// Stops a job. What it has put back stays so; one that is over stays what it is.
    async fn cancel_job(
        &self,
        environment: EnvironmentId,
        id: JobId,
        now: Timestamp,
    ) -> Result<Job, ChangeError>;

    /// A job of this environment.
    async fn job(&self, environment: EnvironmentId, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Removes what was accepted before `before` and is owed to nobody, bodies whose own time is over, and keys, doors,
    /// refused requests, links and sessions that are past theirs; at most
    /// [`RETENTION_STEP_ROWS`](posthaste_core::limits::RETENTION_STEP_ROWS) of each, and at most one day: a store that
    /// keeps days apart removes what was kept for long by the day, and up to a day late.
    async fn forget(&self, before: Timestamp, now: Timestamp) -> Result<Forgotten, StoreError>;

    /// The clock that showed `unset` was set to `set`: moves along what was measured by it, how long endpoints have
    /// failed and until when leases last. When something is due does not move.
    ///
    /// Of a store that several nodes share this is not for one of them to say, and it times leases by its own clock: it
    /// does nothing.
    async fn clock_was_set(&self, unset: Timestamp, set: Timestamp) -> Result<(), StoreError> {
        let _ = (unset, set);
        Ok(())
    }

    /// This node delivers no more: what it still holds is due again at once, for others, who need not wait until it counts
    /// as dead. A store that only one process serves is left by closing it.
    async fn leave(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// How much is owed.
    fn backlog(&self) -> Backlog;

    /// How often the store committed.
    fn commits(&self) -> Commits;
}

/// A recovery about to be asked for.
#[derive(Debug, Clone)]
pub struct NewRecover {
    /// Our id, made by the caller.
    pub id: JobId,
    /// Whose environment.
    pub environment: EnvironmentId,
    /// Whose endpoint.
    pub app: Reference,
    /// Which endpoint.
    pub endpoint: Reference,
    /// Messages accepted from then on …
    pub since: Timestamp,
    /// … and before then.
    pub until: Timestamp,
}
