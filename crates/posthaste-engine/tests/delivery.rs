//! The engine over a real store, on a clock that tests hold. Only the network is played: a receiver that answers as it
//! is told, and remembers what came.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::attempt::{Outcome, Reply, Timing};
use posthaste_core::delivery::{DeadLetter, DeliveryState};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::{Endpoint, EndpointChange, Filter, NewEndpoint};
use posthaste_core::id::{AppId, EndpointId, JobId, MessageId, SourceId};
use posthaste_core::name::EventTypeName;
use posthaste_core::origin::Origin;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::source::{Config, Door, NewSource, Rules, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_engine::client::{Outbound, Sent};
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, HeldTimer, LaneLimits, NoObserver, Parts, Transport};
use posthaste_signature::Secret;
use posthaste_signature::standard::{Signed, Verifier, verify};
use posthaste_store::directory::Owner;
use posthaste_store::history::AttemptFilter;
use posthaste_store::intake::NewMessage;
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::queue::NewRecover;
use posthaste_store::source::{NewReceived, Received};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, History as _, Intake as _, Queue as _, Sources as _};
use posthaste_tunnel::frame::{self, Failed, FailedKind, FromClient, FromServer, Got, Headers};
use posthaste_tunnel::listeners::Listeners;
use posthaste_tunnel::session::Session;
use tokio::sync::{Notify, watch};

/// How long a test waits, in real time, for something that must happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// How a URL answers.
#[derive(Clone)]
enum Behaviour {
    /// With these statuses, then with 200.
    Statuses(VecDeque<u16>),
    /// With this status, always.
    Always(u16),
    /// Never.
    Hangs,
    /// With 200, once it may.
    Waits(Arc<Notify>),
}

/// Everybody's servers.
struct Receivers {
    behaviours: Mutex<HashMap<String, Behaviour>>,
    requests: Mutex<Vec<Outbound>>,
    count: watch::Sender<usize>,
}

impl Receivers {
    fn behave(&self, url: &str, behaviour: Behaviour) {
        self.behaviours.lock().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), behaviour);
    }

    /// Waits until `url` got so many requests, and returns them.
    async fn got(&self, url: &str, count: usize) -> Vec<Outbound> {
        let mut changed = self.count.subscribe();
        let came = || {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.iter().filter(|request| request.url == url).cloned().collect::<Vec<_>>()
        };
        let waiting = tokio::time::timeout(DEADLINE, async {
            while came().len() < count {
                changed.changed().await.unwrap();
            }
        });
        assert!(waiting.await.is_ok(), "{url} got {} of {count} requests", came().len());
        came()
    }
}

#[async_trait]
impl Transport for Receivers {
    async fn send(&self, request: Outbound) -> Sent {
        let behaviour = {
            let mut behaviours = self.behaviours.lock().unwrap_or_else(PoisonError::into_inner);
            match behaviours.get_mut(&request.url) {
                Some(Behaviour::Statuses(statuses)) => Behaviour::Always(statuses.pop_front().unwrap_or(200)),
                Some(behaviour) => behaviour.clone(),
                None => Behaviour::Always(200),
            }
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.count.send_modify(|count| *count += 1);
        let status = match behaviour {
            Behaviour::Always(status) => status,
            Behaviour::Waits(until) => {
                until.notified().await;
                200
            }
            Behaviour::Hangs | Behaviour::Statuses(_) => std::future::pending().await,
        };
        let reply = Reply { status, headers: vec![], body: Bytes::from_static(b"ok"), truncated: false };
        Sent { outcome: Outcome::Replied(reply), timing: Timing::default(), remote: None }
    }
}

/// A running engine on a store of its own.
struct Posthaste {
    store: Arc<SqliteStore>,
    receivers: Arc<Receivers>,
    listeners: Arc<Listeners>,
    clock: HeldTimer,
    dice: Arc<TestDice>,
    environment: EnvironmentId,
    app: AppId,
    engine: Arc<Engine>,
    dir: PathBuf,
}

impl Drop for Posthaste {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Posthaste {
    async fn start() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("posthaste-engine-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let dice = Arc::new(TestDice::seeded(number));
        let clock = HeldTimer::at(Timestamp::from_secs(1_790_000_000));
        let options = SqliteOptions {
            path: dir.join("posthaste.db"),
            main_secret: "main".to_owned().into(),
            dice: dice.clone(),
            serving: true,
        };
        let store = SqliteStore::open(options).unwrap();
        let receivers = Arc::new(Receivers {
            behaviours: Mutex::default(),
            requests: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let listeners = Listeners::new();
        let settings = EngineSettings {
            retry_schedule: RetrySchedule::new(vec![Duration::from_secs(5); 6]),
            request_timeout: Duration::from_secs(15),
            retention: Duration::from_hours(90 * 24),
            lanes: LaneLimits::default(),
        };
        let parts = Parts {
            queue: store.clone(),
            sources: store.clone(),
            transport: receivers.clone(),
            clock: Arc::new(clock.clone()),
            dice: dice.clone(),
            metrics: EngineMetrics::unregistered(),
            observer: Arc::new(NoObserver),
            listeners: listeners.clone(),
        };
        let engine = Engine::start(settings, parts);
        let environment = store.environment("default", clock.now()).await.unwrap().id;
        let app = AppId::fresh(clock.now(), &*dice);
        let new = NewApp {
            id: app,
            uid: None,
            name: "A".to_owned(),
            rate_per_second: None,
            metadata: std::collections::BTreeMap::default(),
        };
        store.create_app(environment, new, false, clock.now()).await.unwrap();
        Self { store, receivers, listeners, clock, dice, environment, app, engine, dir }
    }

    fn owner(&self) -> Owner {
        Owner::App(Reference::from(self.app))
    }

    async fn endpoint(&self, owner: &Owner, url: &str, rate: Option<u16>) -> Endpoint {
        let new = NewEndpoint {
            id: EndpointId::fresh(self.clock.now(), &*self.dice),
            uid: None,
            url: url.to_owned(),
            description: String::new(),
            rate_per_second: rate.and_then(NonZeroU16::new),
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: std::collections::BTreeMap::default(),
            secret: Secret::hmac(&[9; 24]).unwrap(),
        };
        self.store.create_endpoint(self.environment, owner, new, self.clock.now()).await.unwrap()
    }

    async fn source(&self) -> Source {
        let now = self.clock.now();
        let new = NewSource {
            id: SourceId::fresh(now, &*self.dice),
            app: AppId::fresh(now, &*self.dice),
            uid: None,
            name: "A".to_owned(),
            provider: "github".to_owned(),
            config: Config::new("{}".to_owned()),
            door: Door::fresh(&*self.dice),
            rules: Rules::default(),
            paused: false,
            metadata: std::collections::BTreeMap::default(),
        };
        self.store.create_source(self.environment, new, now).await.unwrap()
    }

    async fn pauses(&self, source: &Source, paused: bool) {
        let change = SourceChange { paused: Some(paused), ..SourceChange::default() };
        let reference = Reference::new(source.id.to_string());
        self.store.change_source(self.environment, &reference, change, self.clock.now()).await.unwrap();
    }

    async fn receives(&self, source: &Source) {
        let now = self.clock.now();
        let headers = vec![("Host".to_owned(), b"in".to_vec()), ("X-Bytes".to_owned(), b"\xFF".to_vec())];
        let new = NewReceived {
            source: source.id,
            app: source.app,
            environment: self.environment,
            id: MessageId::fresh(now, &*self.dice),
            event_type: EventTypeName::parse("push").unwrap(),
            tags: vec![],
            origin: Origin {
                method: "PUT".to_owned(),
                path: String::new(),
                query: "a=b".to_owned(),
                headers,
            },
            body: Bytes::from_static(b"as it came"),
            expunge_at: None,
            dedupe: None,
        };
        assert!(matches!(self.store.receive(new, now).await.unwrap(), Received::New { .. }));
    }

    async fn accepts(&self, event_type: &str) -> MessageId {
        let now = self.clock.now();
        let id = MessageId::fresh(now, &*self.dice);
        let new = NewMessage {
            environment: self.environment,
            app: Reference::from(self.app),
            create_app: None,
            id,
            event_type: EventTypeName::parse(event_type).unwrap(),
            event_id: None,
            channels: vec![],
            tags: vec![],
            body: Bytes::from_static(br#"{"a": 1.0}"#),
            expunge_at: None,
            deliver_at: None,
            only: None,
            idempotency: None,
        };
        self.store.accept(new, now).await.unwrap();
        id
    }

    fn listens(&self, endpoint: &Endpoint) -> Session {
        let session = self.listeners.admit(self.environment, endpoint.id).unwrap();
        session.begin();
        session
    }

    /// Waits until nothing is in flight and so many deliveries wait: what was sent is also recorded.
    async fn settles_with_waiting(&self, waiting: u64) {
        let settling = tokio::time::timeout(DEADLINE, async {
            loop {
                let backlog = self.store.backlog();
                if backlog.in_flight_count == 0 && backlog.waiting_count == waiting {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        assert!(settling.await.is_ok(), "it settled with {:?}", self.store.backlog());
    }

    async fn state(&self, message: MessageId) -> DeliveryState {
        let app = Reference::from(self.app);
        let message = Reference::new(message.to_string());
        let page = PageRequest::first(Order::Ascending);
        self.store.destinations(self.environment, &app, &message, page).await.unwrap().rows[0].state
    }

    /// Waits until the store says that it can (not) be written.
    async fn becomes_ready(&self, ready: bool) {
        let changing = tokio::time::timeout(DEADLINE, async {
            while self.store.ping().await.is_ok() != ready {
                tokio::task::yield_now().await;
            }
        });
        assert!(changing.await.is_ok(), "ready: {}", !ready);
    }

    /// Waits until the store, which is not well, has looked at its files once more: half a second, in which all that
    /// the clock woke has run.
    async fn is_looked_at_again(&self) {
        let looks = || self.store.commits().failures_count;
        let seen = looks();
        let looking = tokio::time::timeout(DEADLINE, async {
            while looks() < seen + 2 {
                tokio::task::yield_now().await;
            }
        });
        assert!(looking.await.is_ok());
    }

    async fn is_disabled(&self, endpoint: &Endpoint) -> bool {
        let reference = Reference::new(endpoint.id.to_string());
        self.store.endpoint(self.environment, &self.owner(), &reference).await.unwrap().disabled
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_arrives_byte_for_byte_and_signed() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    let id = posthaste.accepts("user.created").await;
    let request = posthaste.receivers.got("http://a/", 1).await.remove(0);
    assert_eq!(&*request.body, br#"{"a": 1.0}"#);
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("webhook-id"), Some(id.to_string().as_str()));
    let key = Verifier::from(&Secret::hmac(&[9; 24]).unwrap());
    let signed = Signed::from_headers(header).unwrap();
    let now = posthaste.clock.now().as_secs();
    verify(&signed, &request.body, &[key], now, Some(Duration::from_secs(1))).unwrap();
    posthaste.settles_with_waiting(0).await;
    assert_eq!(posthaste.state(id).await, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_source_received_arrives_as_it_came_also_when_it_is_tried_again() {
    let posthaste = Posthaste::start().await;
    let source = posthaste.source().await;
    posthaste.endpoint(&Owner::Source(Reference::new(source.id.to_string())), "http://a/", None).await;
    posthaste.receivers.behave("http://a/", Behaviour::Statuses([500].into()));
    posthaste.receives(&source).await;
    posthaste.receivers.got("http://a/", 1).await;
    posthaste.settles_with_waiting(1).await;
    posthaste.clock.advance(Duration::from_secs(6));
    for request in posthaste.receivers.got("http://a/", 2).await {
        assert_eq!((request.method.as_str(), &*request.query), ("PUT", "a=b"));
        assert_eq!(request.headers["x-bytes"].as_bytes(), b"\xFF");
        assert!(!request.headers.contains_key("host"));
        assert!(request.headers.contains_key("webhook-signature"));
        assert_eq!(&*request.body, b"as it came");
    }
    posthaste.settles_with_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_paused_source_arrives_until_it_goes_on_and_then_all_of_it() {
    let posthaste = Posthaste::start().await;
    let source = posthaste.source().await;
    posthaste.endpoint(&Owner::Source(Reference::new(source.id.to_string())), "http://a/", None).await;
    posthaste.endpoint(&posthaste.owner(), "http://b/", None).await;
    posthaste.pauses(&source, true).await;
    for _ in 0..300 {
        posthaste.receives(&source).await;
    }
    for sent in 1..=5 {
        // Sweeps and claims go round for others meanwhile.
        posthaste.accepts("a.b").await;
        posthaste.receivers.got("http://b/", sent).await;
        posthaste.clock.advance(Duration::from_secs(60));
    }
    posthaste.settles_with_waiting(300).await;
    assert!(posthaste.receivers.got("http://a/", 0).await.is_empty());
    posthaste.pauses(&source, false).await;
    assert_eq!(posthaste.receivers.got("http://a/", 300).await.len(), 300);
    posthaste.settles_with_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_attempt_is_tried_again_when_its_time_comes_and_not_before() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    posthaste.receivers.behave("http://a/", Behaviour::Statuses([500].into()));
    let id = posthaste.accepts("a.b").await;
    posthaste.receivers.got("http://a/", 1).await;
    posthaste.settles_with_waiting(1).await;
    let DeliveryState::Waiting { due } = posthaste.state(id).await else { panic!("it does not wait") };
    let wait = due.since(posthaste.clock.now());
    assert!((Duration::from_secs(4)..=Duration::from_secs(6)).contains(&wait), "{wait:?}");
    posthaste.clock.advance(Duration::from_secs(6));
    posthaste.receivers.got("http://a/", 2).await;
    posthaste.settles_with_waiting(0).await;
    assert_eq!(posthaste.state(id).await, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_out_of_attempts_is_dead_lettered_told_and_can_be_recovered() {
    let posthaste = Posthaste::start().await;
    let told = "http://team/";
    posthaste.endpoint(&Owner::Operational, told, None).await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    posthaste.receivers.behave("http://a/", Behaviour::Statuses([500; 7].into()));
    let before = posthaste.clock.now();
    let id = posthaste.accepts("a.b").await;
    for attempt in 1..=7 {
        posthaste.receivers.got("http://a/", attempt).await;
        posthaste.settles_with_waiting(u64::from(attempt < 7)).await;
        posthaste.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(posthaste.state(id).await, DeliveryState::DeadLettered { why: DeadLetter::Exhausted });
    let events: Vec<String> = posthaste
        .receivers
        .got(told, 3)
        .await
        .iter()
        .map(|r| {
            serde_json::from_slice::<serde_json::Value>(&r.body).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(events, ["endpoint.created", "message.attempt.failing", "message.attempt.exhausted"]);
    let recover = NewRecover {
        id: JobId::fresh(posthaste.clock.now(), &*posthaste.dice),
        environment: posthaste.environment,
        app: Reference::from(posthaste.app),
        endpoint: Reference::new(endpoint.id.to_string()),
        since: before,
        until: posthaste.clock.now(),
    };
    posthaste.store.recover(recover, posthaste.clock.now()).await.unwrap();
    posthaste.receivers.got("http://a/", 8).await;
    posthaste.settles_with_waiting(0).await;
    assert_eq!(posthaste.state(id).await, DeliveryState::Delivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_410_disables_the_endpoint_and_ends_what_waited_for_it() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    posthaste.receivers.behave("http://a/", Behaviour::Statuses([500, 410].into()));
    let first = posthaste.accepts("a.b").await;
    posthaste.receivers.got("http://a/", 1).await;
    posthaste.settles_with_waiting(1).await;
    let second = posthaste.accepts("a.b").await;
    posthaste.receivers.got("http://a/", 2).await;
    posthaste.settles_with_waiting(1).await;
    assert!(posthaste.is_disabled(&endpoint).await);
    assert_eq!(posthaste.state(second).await, DeliveryState::DeadLettered { why: DeadLetter::Gone });
    posthaste.clock.advance(Duration::from_secs(6));
    posthaste.settles_with_waiting(0).await;
    let ended = DeliveryState::DeadLettered { why: DeadLetter::EndpointDisabled };
    assert_eq!(posthaste.state(first).await, ended);
    assert_eq!(posthaste.receivers.got("http://a/", 2).await.len(), 2, "nothing was sent after the 410");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_days_of_failing_disable_an_endpoint() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    posthaste.receivers.behave("http://a/", Behaviour::Always(500));
    posthaste.accepts("a.b").await;
    posthaste.receivers.got("http://a/", 1).await;
    posthaste.settles_with_waiting(1).await;
    assert!(!posthaste.is_disabled(&endpoint).await);
    posthaste.clock.advance(Duration::from_hours(5 * 24));
    posthaste.receivers.got("http://a/", 2).await;
    posthaste.settles_with_waiting(1).await;
    assert!(posthaste.is_disabled(&endpoint).await);
    let reference = Reference::new(endpoint.id.to_string());
    let enable = EndpointChange { disabled: Some(false), ..EndpointChange::default() };
    let now = posthaste.clock.now();
    let enabled = posthaste
        .store
        .change_endpoint(posthaste.environment, &posthaste.owner(), &reference, enable, now)
        .await;
    assert_eq!(enabled.unwrap().failing_since, None, "enabling forgets how long it has failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_hangs_delays_no_other() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://hangs/", None).await;
    posthaste.endpoint(&posthaste.owner(), "http://well/", None).await;
    posthaste.receivers.behave("http://hangs/", Behaviour::Hangs);
    for _ in 0..300 {
        posthaste.accepts("a.b").await;
    }
    posthaste.receivers.got("http://well/", 300).await;
    let stuck = posthaste.receivers.got("http://hangs/", 1).await.len();
    assert!(stuck <= 8, "{stuck} attempts hang at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_spreads_messages_over_time() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://slow/", Some(2)).await;
    for _ in 0..4 {
        posthaste.accepts("a.b").await;
    }
    for sent in 1..=4 {
        assert_eq!(posthaste.receivers.got("http://slow/", sent).await.len(), sent);
        posthaste.clock.advance(Duration::from_millis(500));
    }
    posthaste.settles_with_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_lane_holds_waits_in_the_store_and_still_arrives() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    let accepts = (0..1_000).map(|_| posthaste.accepts("a.b"));
    futures_util::future::join_all(accepts).await;
    let requests = posthaste.receivers.got("http://a/", 1_000).await;
    posthaste.settles_with_waiting(0).await;
    let ids: std::collections::HashSet<_> =
        requests.iter().map(|r| r.headers["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), requests.len()), (1_000, 1_000), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_cannot_be_recorded_is_not_made_again_until_it_can_and_is_not_lost() {
    let posthaste = Posthaste::start().await;
    posthaste.endpoint(&posthaste.owner(), "http://a/", None).await;
    let may_answer = Arc::new(Notify::new());
    posthaste.receivers.behave("http://a/", Behaviour::Waits(Arc::clone(&may_answer)));
    let id = posthaste.accepts("user.created").await;
    posthaste.receivers.got("http://a/", 1).await;
    // Nothing can be written to a store whose file is gone.
    let (file, away) = (posthaste.dir.join("posthaste.db"), posthaste.dir.join("away"));
    std::fs::rename(&file, &away).unwrap();
    posthaste.becomes_ready(false).await;
    may_answer.notify_one();
    posthaste.receivers.behave("http://a/", Behaviour::Always(200));
    // Long past the lease: sweeps, rescues and claims go round meanwhile.
    for _ in 0..10 {
        posthaste.clock.advance(Duration::from_secs(30));
        posthaste.is_looked_at_again().await;
    }
    assert_eq!(posthaste.receivers.got("http://a/", 1).await.len(), 1, "sent again though it was delivered");
    std::fs::rename(&away, &file).unwrap();
    posthaste.becomes_ready(true).await;
    // The record comes before the next look for leases that are over.
    posthaste.clock.advance(Duration::from_secs(1));
    posthaste.settles_with_waiting(0).await;
    assert_eq!(posthaste.state(id).await, DeliveryState::Delivered);
    posthaste.clock.advance(Duration::from_secs(60));
    let other = posthaste.accepts("user.created").await;
    posthaste.settles_with_waiting(0).await;
    assert_eq!(posthaste.state(other).await, DeliveryState::Delivered);
    assert_eq!(posthaste.receivers.got("http://a/", 2).await.len(), 2, "one each");
}

#[tokio::test]
async fn what_is_claimed_while_the_engine_drains_is_given_back() {
    // The claim and the drain race: of so many rounds some have the claim in the middle of the drain.
    for _ in 0..30 {
        let posthaste = Posthaste::start().await;
        let url = "https://a.example/";
        let endpoint = posthaste.endpoint(&posthaste.owner(), url, None).await;
        let message = posthaste.accepts("a.b").await;
        posthaste.receivers.got(url, 1).await;
        posthaste.settles_with_waiting(0).await;
        let app = Reference::from(posthaste.app);
        let (message, to) = (Reference::new(message.to_string()), Reference::new(endpoint.id.to_string()));
        let now = posthaste.clock.now();
        posthaste.store.resend(posthaste.environment, &app, &message, &to, now).await.unwrap();
        posthaste.engine.drain().await;
        assert_eq!(posthaste.store.backlog().in_flight_count, 0, "a lease was left behind");
    }
}

/// The next request that a listener gets.
async fn gets(session: &mut Session) -> frame::Request {
    loop {
        match tokio::time::timeout(DEADLINE, session.next()).await.expect("nothing came") {
            Some(FromServer::Request(request)) => return request,
            Some(FromServer::Recorded(_)) => {}
            other => panic!("heard {other:?}"),
        }
    }
}

/// Waits until an answer is written down, and says how it stands.
async fn is_recorded(session: &mut Session) -> String {
    match tokio::time::timeout(DEADLINE, session.next()).await.expect("nothing came") {
        Some(FromServer::Recorded(recorded)) => recorded.status,
        other => panic!("heard {other:?}"),
    }
}

fn got(request: &frame::Request) -> FromClient {
    FromClient::Got(Got { id: request.id.clone(), attempt: request.attempt })
}

fn answers(session: &Session, request: &frame::Request, status: u16) {
    session.take(got(request)).unwrap();
    let answer = frame::Answer {
        id: request.id.clone(),
        attempt: request.attempt,
        status,
        headers: Headers(vec![("x-local".to_owned(), Bytes::from_static(b"\xFF"))]),
        duration_ms: 12,
        truncated: false,
        body: Bytes::from_static(b"thanks"),
    };
    session.take(FromClient::Answer(answer)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_listener_arrives_in_order_when_it_comes() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "listener:web", None).await;
    let mut sent = Vec::new();
    for _ in 0..30 {
        sent.push(posthaste.accepts("a.b").await.to_string());
        posthaste.clock.advance(Duration::from_millis(1));
    }
    posthaste.settles_with_waiting(30).await;
    let mut session = posthaste.listens(&endpoint);
    for id in &sent {
        let request = gets(&mut session).await;
        assert_eq!((&request.message, request.attempt), (id, 1));
        answers(&session, &request, 200);
    }
    posthaste.settles_with_waiting(0).await;
    let later = posthaste.accepts("a.b").await.to_string();
    assert_eq!(gets(&mut session).await.message, later, "and at once what comes while it listens");
    assert!(posthaste.receivers.requests.lock().unwrap().is_empty(), "nothing was dialled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_local_program_answers_is_the_attempt_and_the_last_word() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "listener:web", None).await;
    let mut session = posthaste.listens(&endpoint);
    let message = posthaste.accepts("a.b").await;
    let request = gets(&mut session).await;
    assert_eq!((&*request.method, &*request.body), ("POST", &br#"{"a": 1.0}"#[..]));
    assert!(request.headers.0.iter().any(|(name, _)| name == "webhook-signature"));
    answers(&session, &request, 418);
    assert_eq!(is_recorded(&mut session).await, "failed");
    assert_eq!(posthaste.state(message).await, DeliveryState::DeadLettered { why: DeadLetter::Exhausted });
    let app = Reference::from(posthaste.app);
    let (message, page) = (Reference::new(message.to_string()), PageRequest::first(Order::Ascending));
    let filter = AttemptFilter::default();
    let store = &posthaste.store;
    let found =
        store.attempts_of_message(posthaste.environment, &app, &message, &filter, page).await.unwrap();
    let attempt = &found.rows[0].attempt;
    assert_eq!(attempt.timing.total, Duration::from_millis(12));
    let Outcome::Replied(reply) = &attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!((reply.status, &*reply.body), (418, &b"thanks"[..]));
    assert_eq!(reply.headers, [("x-local".to_owned(), Bytes::from_static(b"\xFF"))]);
    assert!(!posthaste.is_disabled(&endpoint).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_program_that_is_not_there_is_asked_again_at_its_time() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "listener:web", None).await;
    let mut session = posthaste.listens(&endpoint);
    posthaste.accepts("a.b").await;
    let request = gets(&mut session).await;
    let failed = Failed {
        id: request.id.clone(),
        attempt: request.attempt,
        kind: FailedKind::Connect,
        detail: "nothing listens on port 3000".to_owned(),
        duration_ms: 1,
    };
    session.take(FromClient::Failed(failed)).unwrap();
    assert_eq!(is_recorded(&mut session).await, "waiting");
    posthaste.settles_with_waiting(1).await;
    posthaste.clock.advance(Duration::from_secs(7));
    let again = gets(&mut session).await;
    assert_eq!((again.id, again.attempt), (request.id, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_answered_comes_first_and_as_the_same_try_to_whoever_listens_next() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "listener:web", None).await;
    let mut sent = Vec::new();
    for _ in 0..12 {
        sent.push(posthaste.accepts("a.b").await.to_string());
        posthaste.clock.advance(Duration::from_millis(1));
    }
    let mut session = posthaste.listens(&endpoint);
    let request = gets(&mut session).await;
    session.take(got(&request)).unwrap();
    drop(session);
    posthaste.settles_with_waiting(12).await;
    let mut session = posthaste.listens(&endpoint);
    let taken_over = gets(&mut session).await;
    assert_eq!((&taken_over.id, taken_over.attempt), (&request.id, 1));
    // Another connection takes its place while it works.
    let mut session = posthaste.listens(&endpoint);
    for id in &sent {
        let request = gets(&mut session).await;
        assert_eq!((&request.message, request.attempt), (id, 1));
        answers(&session, &request, 204);
    }
    posthaste.settles_with_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_ends_gives_back_what_a_listener_has() {
    let posthaste = Posthaste::start().await;
    let endpoint = posthaste.endpoint(&posthaste.owner(), "listener:web", None).await;
    let mut session = posthaste.listens(&endpoint);
    posthaste.accepts("a.b").await;
    let request = gets(&mut session).await;
    session.take(got(&request)).unwrap();
    let listeners = posthaste.listeners.clone();
    let leaving = tokio::spawn(async move { listeners.leave().await });
    while !matches!(session.next().await, Some(FromServer::Bye(_))) {}
    drop(session);
    leaving.await.unwrap();
    posthaste.engine.drain().await;
    assert_eq!((posthaste.store.backlog().waiting_count, posthaste.store.backlog().in_flight_count), (1, 0));
}
