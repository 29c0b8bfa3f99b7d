//! The vocabulary of the promises: a small world with an environment, and verbs for what happens in it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use posthaste_core::Secret;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::attempt::{Attempt, Failure, FailureKind, Outcome, Reply, Timing};
use posthaste_core::delivery::{Claimed, DeliveryState, Verdict};
use posthaste_core::dice::{Dice, TestDice, roll};
use posthaste_core::endpoint::{Endpoint, EndpointChange, Filter, NewEndpoint};
use posthaste_core::id::{AppId, AttemptId, EndpointId, Id, Kind, MessageId};
use posthaste_core::name::EventTypeName;
use posthaste_core::origin::Origin;
use posthaste_core::source::{Config, Door, NewSource, Rules, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::{Clock as _, TestClock, Timestamp};

use crate::Store;
use crate::directory::Owner;
use crate::history::{AttemptFilter, AttemptRow, Destination};
use crate::intake::{IdempotencyKey, NewMessage};
use crate::page::{Order, PageRequest};
use crate::queue::{HandOver, Record, Recorded};
use crate::source::{DedupeKey, NewReceived, Received};

/// How long leases last here.
pub const LEASE: Duration = Duration::from_secs(60);

/// One environment in an empty store, and a clock that stands still.
pub struct World {
    /// What is looked at.
    pub store: Arc<dyn Store>,
    /// Ids and nonces.
    pub dice: TestDice,
    /// The environment that things happen in.
    pub environment: EnvironmentId,
    clock: TestClock,
}

impl World {
    /// A world with one environment.
    pub async fn new(store: Arc<dyn Store>) -> Self {
        let clock = TestClock::at(Timestamp::from_secs(1_800_000_000));
        let environment = store.environment("acme", clock.now()).await.unwrap().id;
        Self { store, dice: TestDice::seeded(42), environment, clock }
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// An id made now. The clock moves on by a microsecond, so that ids come in the order in which they are made.
    pub fn id<K: Kind>(&self) -> Id<K> {
        self.advance(Duration::from_micros(1));
        Id::fresh(self.now(), &self.dice)
    }

    /// A reference to anything that has an id.
    pub fn to<K: Kind>(id: Id<K>) -> Reference {
        Reference::new(id.to_string())
    }

    /// An app about to be made.
    pub fn new_app(&self, uid: Option<&str>) -> NewApp {
        NewApp {
            id: self.id(),
            uid: uid.map(|uid| posthaste_core::name::Uid::parse(uid).unwrap()),
            name: "An app".to_owned(),
            rate_per_second: None,
            metadata: std::collections::BTreeMap::new(),
        }
    }

    /// Makes an app.
    pub async fn app(&self) -> AppId {
        let new = self.new_app(None);
        let id = new.id;
        self.store.create_app(self.environment, new, false, self.now()).await.unwrap();
        id
    }

    /// An endpoint about to be made; it wants everything.
    pub fn new_endpoint(&self) -> NewEndpoint {
        NewEndpoint {
            id: self.id(),
            uid: None,
            url: "https://receiver.example.com/hooks".to_owned(),
            description: String::new(),
            rate_per_second: None,
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: std::collections::BTreeMap::new(),
            secret: self.secret(),
        }
    }

    /// A fresh secret.
    pub fn secret(&self) -> Secret {
        Secret::hmac(&roll::<24>(&self.dice)).unwrap()
    }

    /// Makes an endpoint that wants everything.
    pub async fn endpoint(&self, app: AppId) -> EndpointId {
        self.endpoint_with(app, |_| {}).await.id
    }

    /// Makes an endpoint that differs from the usual one.
    pub async fn endpoint_with(&self, app: AppId, differ: impl FnOnce(&mut NewEndpoint)) -> Endpoint {
        let mut new = self.new_endpoint();
        differ(&mut new);
        self.store.create_endpoint(self.environment, &Owner::App(app.into()), new, self.now()).await.unwrap()
    }

    /// Makes an endpoint for operational webhooks.
    pub async fn operational_endpoint(&self) -> EndpointId {
        let new = self.new_endpoint();
        let made = self.store.create_endpoint(self.environment, &Owner::Operational, new, self.now()).await;
        made.unwrap().id
    }

    /// Changes an endpoint.
    pub async fn changes(&self, app: AppId, endpoint: EndpointId, change: EndpointChange) -> Endpoint {
        let (owner, endpoint) = (Owner::App(app.into()), Self::to(endpoint));
        self.store.change_endpoint(self.environment, &owner, &endpoint, change, self.now()).await.unwrap()
    }

    /// Disables an endpoint, or enables it again.
    pub async fn disables(&self, app: AppId, endpoint: EndpointId, disabled: bool) {
        self.changes(app, endpoint, EndpointChange { disabled: Some(disabled), ..Default::default() }).await;
    }

    /// Deletes an endpoint.
    pub async fn deletes(&self, app: AppId, endpoint: EndpointId) {
        let (owner, endpoint) = (Owner::App(app.into()), Self::to(endpoint));
        self.store.delete_endpoint(self.environment, &owner, &endpoint, self.now()).await.unwrap();
    }

    /// A source about to be made.
    pub fn new_source(&self) -> NewSource {
        NewSource {
            id: self.id(),
            app: self.id(),
            uid: None,
            name: "A source".to_owned(),
            provider: "github".to_owned(),
            config: Config::new("{\"secret\":\"a-provider-secret\"}".to_owned()),
            door: Door::fresh(&self.dice),
            rules: Rules::default(),
            paused: false,
            metadata: std::collections::BTreeMap::new(),
        }
    }

    /// Makes a source.
    pub async fn source(&self) -> Source {
        self.source_with(|_| {}).await
    }

    /// Makes a source that differs from the usual one.
    pub async fn source_with(&self, differ: impl FnOnce(&mut NewSource)) -> Source {
        let mut new = self.new_source();
        differ(&mut new);
        self.store.create_source(self.environment, new, self.now()).await.unwrap()
    }

    /// Pauses a source, or lets it go on.
    pub async fn pauses(&self, source: &Source, paused: bool) {
        let change = SourceChange { paused: Some(paused), ..SourceChange::default() };
        let id = Self::to(source.id);
        let changed = self.store.change_source(self.environment, &id, change, self.now()).await;
        assert_eq!(changed.unwrap().paused, paused);
    }

    /// A request that passed the door of a source.
    pub fn received(&self, source: &Source) -> NewReceived {
        let headers = vec![("Content-Type".to_owned(), b"application/json".to_vec())];
        NewReceived {
            source: source.id,
            app: source.app,
            environment: self.environment,
            id: self.id(),
            event_type: EventTypeName::parse("push").unwrap(),
            tags: vec![],
            origin: Origin { method: "POST".to_owned(), path: String::new(), query: String::new(), headers },
            body: Bytes::from_static(b"{\"ref\":\"main\"}"),
            expunge_at: None,
            dedupe: None,
        }
    }

    /// A request that is known again by this number for an hour.
    pub fn received_as(&self, source: &Source, number: u8) -> NewReceived {
        let dedupe = Some(DedupeKey { hash: [number; 32], window: Duration::from_hours(1) });
        NewReceived { dedupe, ..self.received(source) }
    }

    /// Takes a request in that is new.
    pub async fn receives(&self, source: &Source) -> MessageId {
        match self.store.receive(self.received(source), self.now()).await.unwrap() {
            Received::New { message, .. } => message,
            Received::Repeated { .. } => panic!("it is new"),
        }
    }

    /// A message about to be accepted.
    pub fn message(&self, app: AppId) -> NewMessage {
        NewMessage {
            environment: self.environment,
            app: app.into(),
            create_app: None,
            id: self.id(),
            event_type: EventTypeName::parse("invoice.paid").unwrap(),
            event_id: None,
            channels: vec![],
            tags: vec![],
            body: Bytes::from_static(b"{\"amount\":1}"),
            expunge_at: None,
            deliver_at: None,
            only: None,
            idempotency: None,
        }
    }

    /// A message with something special about it.
    pub fn message_with(&self, app: AppId, differ: impl FnOnce(&mut NewMessage)) -> NewMessage {
        let mut new = self.message(app);
        differ(&mut new);
        new
    }

    /// Takes a message in.
    pub async fn accepts(&self, app: AppId) -> MessageId {
        self.accepts_with(app, |_| {}).await
    }

    /// Takes a message in that has something special about it.
    pub async fn accepts_with(&self, app: AppId, differ: impl FnOnce(&mut NewMessage)) -> MessageId {
        let new = self.message_with(app, differ);
        self.store.accept(new, self.now()).await.unwrap().message.id
    }

    /// A key that was used for a request.
    pub fn key(&self) -> IdempotencyKey {
        IdempotencyKey { key: roll(&self.dice), fingerprint: roll(&self.dice) }
    }

    /// Claims all that is due for an endpoint.
    pub async fn claims(&self, endpoint: EndpointId) -> Vec<Claimed> {
        self.store.claim(endpoint, 1_000, LEASE, self.now()).await.unwrap()
    }

    /// Claims the only delivery that is due for an endpoint.
    pub async fn claims_one(&self, endpoint: EndpointId) -> Claimed {
        let mut claimed = self.claims(endpoint).await;
        assert_eq!(claimed.len(), 1, "one delivery is due");
        claimed.remove(0)
    }

    /// An attempt of what was claimed, begun now.
    pub fn attempt(&self, claimed: &Claimed, status: u16) -> Attempt {
        Attempt {
            id: self.id::<posthaste_core::id::AttemptKind>(),
            message: claimed.message.id,
            endpoint: claimed.endpoint.id,
            url: claimed.endpoint.url.clone(),
            trigger: claimed.trigger,
            started_at: self.now(),
            timing: Timing { total: Duration::from_millis(12), ..Timing::default() },
            remote: Some(([192, 0, 2, 1], 443).into()),
            outcome: outcome(status),
        }
    }

    /// Records what came of a delivery.
    pub async fn records(&self, claimed: &Claimed, attempt: Option<Attempt>, verdict: Verdict) -> Recorded {
        let record = Record { key: claimed.key(), lease: claimed.lease, attempt, verdict };
        self.store.record(record, self.now()).await.unwrap()
    }

    /// Tries what was claimed and is answered with `status`; 0 for no answer.
    pub async fn tries(&self, claimed: &Claimed, status: u16, verdict: Verdict) -> AttemptId {
        let attempt = self.attempt(claimed, status);
        let id = attempt.id;
        assert!(self.records(claimed, Some(attempt), verdict).await.fenced, "the lease is still ours");
        id
    }

    /// A message's deliveries.
    pub async fn destinations(&self, app: AppId, message: MessageId) -> Vec<Destination> {
        let page = PageRequest::first(Order::Ascending);
        let found = self.store.destinations(self.environment, &app.into(), &Self::to(message), page).await;
        found.unwrap().rows
    }

    /// To which endpoints a message is owed.
    pub async fn owed_to(&self, app: AppId, message: MessageId) -> Vec<EndpointId> {
        self.destinations(app, message).await.into_iter().map(|d| d.endpoint.id).collect()
    }

    /// Where the only delivery of a message stands.
    pub async fn state(&self, app: AppId, message: MessageId) -> DeliveryState {
        let mut found = self.destinations(app, message).await;
        assert_eq!(found.len(), 1, "it is owed to one endpoint");
        found.remove(0).state
    }

    /// A message's attempts, oldest first.
    pub async fn attempts(&self, app: AppId, message: MessageId) -> Vec<AttemptRow> {
        let page = PageRequest::first(Order::Ascending);
        let (app, message) = (app.into(), Self::to(message));
        let filter = AttemptFilter::default();
        let found = self.store.attempts_of_message(self.environment, &app, &message, &filter, page).await;
        found.unwrap().rows
    }

    /// Puts a delivery back into the queue.
    pub async fn resends(&self, app: AppId, message: MessageId, endpoint: EndpointId) {
        let (message, endpoint) = (Self::to(message), Self::to(endpoint));
        let resent = self.store.resend(self.environment, &app.into(), &message, &endpoint, self.now()).await;
        resent.unwrap();
    }

    /// An engine that takes what it is handed.
    pub fn desk(&self, has_room: bool) -> Arc<Desk> {
        let desk = Arc::new(Desk { room: AtomicBool::new(has_room), ..Desk::default() });
        self.store.hand_over_to(desk.clone(), LEASE);
        desk
    }

    /// A number below `limit`.
    pub fn roll(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.dice.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    /// What the operational endpoint is owed now: event types by name, since what happens in one instant has no order.
    pub async fn told(&self, endpoint: EndpointId) -> Vec<String> {
        let claimed = self.claims(endpoint).await;
        for one in &claimed {
            self.tries(one, 200, Verdict::Delivered).await;
        }
        let mut told: Vec<_> = claimed.iter().map(|c| c.message.event_type.to_string()).collect();
        told.sort();
        told
    }
}

/// What was answered; nothing if `status` is 0.
pub fn outcome(status: u16) -> Outcome {
    if status == 0 {
        return Outcome::Failed(Failure { kind: FailureKind::Connect, detail: "nobody is there".to_owned() });
    }
    let headers = vec![("Content-Type".to_owned(), Bytes::from_static(b"text/plain"))];
    Outcome::Replied(Reply { status, headers, body: Bytes::from_static(b"thanks"), truncated: false })
}

/// An engine that notes what it is told and does nothing.
#[derive(Default)]
pub struct Desk {
    room: AtomicBool,
    listening: AtomicBool,
    taken: Mutex<Vec<Claimed>>,
    due: Mutex<Vec<(EndpointId, Timestamp)>>,
    jobs: AtomicU64,
}

impl Desk {
    fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
        held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody listens, to every listener.
    pub fn listens(&self) {
        self.listening.store(true, Ordering::SeqCst);
    }

    /// What was handed over since the last look.
    pub fn taken(&self) -> Vec<Claimed> {
        std::mem::take(&mut *Self::lock(&self.taken))
    }

    /// What was hinted at since the last look.
    pub fn due(&self) -> Vec<(EndpointId, Timestamp)> {
        std::mem::take(&mut *Self::lock(&self.due))
    }

    /// How often it was told of a job.
    pub fn jobs_count(&self) -> u64 {
        self.jobs.load(Ordering::SeqCst)
    }
}

impl HandOver for Desk {
    fn may_claim_for(&self, endpoint: &Endpoint) -> bool {
        !endpoint.is_listener() || self.listening.load(Ordering::SeqCst)
    }

    fn has_room(&self, _: EndpointId) -> bool {
        self.room.load(Ordering::SeqCst)
    }

    fn take(&self, claimed: Vec<Claimed>) {
        Self::lock(&self.taken).extend(claimed);
    }

    fn due(&self, endpoint: EndpointId, due: Timestamp) {
        Self::lock(&self.due).push((endpoint, due));
    }

    fn job(&self) {
        self.jobs.fetch_add(1, Ordering::SeqCst);
    }
}
