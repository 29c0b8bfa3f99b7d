//! The engine: drains what the store owes.
//!
//! It takes deliveries as they are accepted ([`HandOver`](posthaste_store::queue::HandOver)), claims the rest when
//! it is due, sends, judges and records. It never sees HTTP requests of the API, and SQL never sees it. Every loop
//! here may run on every node at once.

pub mod client;
mod clock;
mod cron;
mod deliver;
mod dispatcher;
mod forward;
mod jobs;
mod lanes;
pub mod metrics;
mod pressure;
mod refill;
mod request;
mod rescue;
mod retention;
pub mod timer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::attempt::Attempt;
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::dice::Dice;
use posthaste_core::retry::RetrySchedule;
use posthaste_fault::point;
use posthaste_store::{Queue, Sources};
use posthaste_tunnel::listeners::Listeners;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::client::{Client, Outbound, Sent};
pub use crate::lanes::LaneLimits;
use crate::lanes::Lanes;
use crate::metrics::EngineMetrics;
pub use crate::timer::{HeldTimer, Timer};

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The waits between attempts.
    pub retry_schedule: RetrySchedule,
    /// One deadline from the name lookup to the last byte of the answer.
    pub request_timeout: Duration,
    /// How long messages are kept.
    pub retention: Duration,
    /// How much this process holds and does at once.
    pub lanes: LaneLimits,
}

impl EngineSettings {
    /// How long a claim lasts: long enough to wait in a lane behind slow attempts, short enough that a dead node's
    /// deliveries do not wait long.
    pub fn lease(&self) -> Duration {
        self.request_timeout + Duration::from_secs(60)
    }
}

/// The network, as the engine sees it.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request and waits for the answer, within the request's own deadline.
    async fn send(&self, request: Outbound) -> Sent;
}

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Outbound) -> Sent {
        Self::send(self, request).await
    }
}

/// Someone who wants to see each attempt as it is made: the terminal of `posthaste dev`.
pub trait Observer: Send + Sync {
    /// An attempt was made, and this follows from it. Must not block.
    fn attempted(&self, claimed: &Claimed, attempt: &Attempt, verdict: Verdict);
}

/// Sees nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn attempted(&self, _: &Claimed, _: &Attempt, _: Verdict) {}
}

/// What the engine works with.
pub struct Parts {
    /// Where deliveries come from and attempts go to.
    pub queue: Arc<dyn Queue>,
    /// What makes messages of its own.
    pub sources: Arc<dyn Sources>,
    /// How requests leave.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Arc<dyn Timer>,
    /// Ids and jitter.
    pub dice: Arc<dyn Dice>,
    /// Counts and durations.
    pub metrics: EngineMetrics,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Who listens.
    pub listeners: Arc<Listeners>,
}

/// A running engine.
pub struct Engine {
    settings: EngineSettings,
    queue: Arc<dyn Queue>,
    sources: Arc<dyn Sources>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Timer>,
    wall: clock::Wall,
    dice: Arc<dyn Dice>,
    metrics: EngineMetrics,
    observer: Arc<dyn Observer>,
    listeners: Arc<Listeners>,
    lanes: Mutex<Lanes>,
    /// Something changed that the waker should look at: a hint, a parked lane.
    changed: Notify,
    job_written: Notify,
    claims: Semaphore,
    stopping: watch::Sender<bool>,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Engine {
    /// Starts to drain `parts.queue`. Must be called within a tokio runtime.
    pub fn start(settings: EngineSettings, parts: Parts) -> Arc<Self> {
        let engine = Arc::new(Self {
            lanes: Mutex::new(Lanes::new(settings.lanes, settings.request_timeout)),
            settings,
            queue: parts.queue,
            sources: parts.sources,
            transport: parts.transport,
            wall: clock::Wall::of(&*parts.clock),
            clock: parts.clock,
            dice: parts.dice,
            metrics: parts.metrics,
            observer: parts.observer,
            listeners: parts.listeners,
            changed: Notify::new(),
            job_written: Notify::new(),
            claims: Semaphore::new(refill::CLAIMS_MAX),
            stopping: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        });
        let hand_over = Arc::new(dispatcher::Intray(Arc::downgrade(&engine)));
        engine.queue.hand_over_to(hand_over, engine.settings.lease());
        engine.loops();
        engine
    }

    fn loops(self: &Arc<Self>) {
        self.spawn_loop(refill::wake_lanes);
        self.spawn_loop(refill::sweep);
        self.spawn_loop(rescue::release_expired);
        self.spawn_loop(jobs::run);
        self.spawn_loop(retention::forget);
        self.spawn_loop(cron::run);
        self.spawn_loop(forward::attend);
    }

    fn spawn_loop<F>(self: &Arc<Self>, body: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = body(Arc::clone(self));
        let mut stopping = self.stopping.subscribe();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    biased;
                    _ = stopping.wait_for(|stop| *stop) => {}
                    () = work => {}
                }
            },
            &self.runtime,
        );
    }

    /// Begins nothing new, gives back what was claimed and not begun, and waits for what is under way, which is at
    /// most one request timeout and one commit.
    pub async fn drain(&self) {
        self.stopping.send_replace(true);
        point!("drain.begun");
        self.give_back().await;
        point!("drain.released");
        self.tasks.close();
        self.tasks.wait().await;
        // A claim may have been under way: what it brought came after the others had gone back.
        self.give_back().await;
        if let Err(error) = self.queue.let_go().await {
            tracing::warn!(%error, "endpoints with a rate limit could not be let go of: others wait until that is over");
        }
    }

    async fn give_back(&self) {
        let claimed = self.lanes().give_back();
        self.release(claimed).await;
    }

    async fn release(&self, claimed: Vec<Claimed>) {
        let leases = claimed.iter().map(|c| (c.key(), c.lease)).collect::<Vec<_>>();
        if !leases.is_empty()
            && let Err(error) = self.queue.release(leases, self.clock.now()).await
        {
            tracing::warn!(%error, "claimed deliveries could not be given back: they wait until their lease is over");
        }
    }

    /// Attempts under way.
    pub fn in_flight(&self) -> usize {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).in_flight()
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
