//! All receivers that misbehave at once, beside healthy ones, through the whole engine: real sockets and a real store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::attempt::{Outcome, Reply, Timing};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::{Filter, NewEndpoint};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::name::EventTypeName;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_engine::client::{Outbound, Sent};
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, HeldTimer, LaneLimits, NoObserver, Parts, Transport};
use posthaste_signature::Secret;
use posthaste_store::directory::Owner;
use posthaste_store::intake::NewMessage;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, Intake as _, Queue as _};

use crate::hostile::cases;
use crate::receiver::{OK, Receiver, Step, client};

/// One attempt's deadline.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long everything may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a lease lasts at most, and each wait between two attempts.
const LEASE: Duration = Duration::from_secs(120);

/// An engine on a store of its own, with one app.
struct Posthaste {
    store: Arc<SqliteStore>,
    engine: Arc<Engine>,
    clock: HeldTimer,
    dice: Arc<TestDice>,
    environment: EnvironmentId,
    app: AppId,
    dir: PathBuf,
}

impl Drop for Posthaste {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Posthaste {
    async fn over(transport: Arc<dyn Transport>, waits: Vec<Duration>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("posthaste-hostile-{}-{number}", std::process::id()));
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
        let settings = EngineSettings {
            retry_schedule: RetrySchedule::new(waits),
            request_timeout: TIMEOUT,
            retention: Duration::from_hours(90 * 24),
            lanes: LaneLimits::default(),
        };
        let parts = Parts {
            queue: store.clone(),
            sources: store.clone(),
            transport,
            clock: Arc::new(clock.clone()),
            dice: dice.clone(),
            metrics: EngineMetrics::unregistered(),
            observer: Arc::new(NoObserver),
        };
        let engine = Engine::start(settings, parts);
        let environment = store.environment("default", clock.now()).await.unwrap().id;
        let app = AppId::fresh(clock.now(), &*dice);
        let new = NewApp {
            id: app,
            uid: None,
            name: "A".to_owned(),
            rate_per_second: None,
            metadata: BTreeMap::default(),
        };
        store.create_app(environment, new, false, clock.now()).await.unwrap();
        Self { store, engine, clock, dice, environment, app, dir }
    }

    async fn endpoint(&self, url: &str) {
        let now = self.clock.now();
        let new = NewEndpoint {
            id: EndpointId::fresh(now, &*self.dice),
            uid: None,
            url: url.to_owned(),
            description: String::new(),
            rate_per_second: None,
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: BTreeMap::default(),
            secret: Secret::hmac(&[9; 24]).unwrap(),
        };
        let owner = Owner::App(Reference::from(self.app));
        self.store.create_endpoint(self.environment, &owner, new, now).await.unwrap();
    }

    /// Accepts so many messages for everybody.
    async fn accepts(&self, count: usize) {
        let accepts = (0..count).map(|_| async {
            let now = self.clock.now();
            let new = NewMessage {
                environment: self.environment,
                app: Reference::from(self.app),
                create_app: None,
                id: MessageId::fresh(now, &*self.dice),
                event_type: EventTypeName::parse("a.b").unwrap(),
                event_id: None,
                channels: vec![],
                tags: vec![],
                body: Bytes::from_static(b"{}"),
                expunge_at: None,
                deliver_at: None,
                only: None,
                idempotency: None,
            };
            self.store.accept(new, now).await.unwrap();
        });
        join_all(accepts).await;
    }

    /// Waits until nobody acts on anything.
    async fn settles(&self) {
        let settling = tokio::time::timeout(DEADLINE, async {
            loop {
                let backlog = self.store.backlog();
                if backlog.in_flight_count == 0 && backlog.waiting_count == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        assert!(settling.await.is_ok(), "it settled with {:?}", self.store.backlog());
        assert_eq!(self.engine.in_flight(), 0, "places are taken by nobody");
    }
}

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
    let posthaste = Posthaste::over(Arc::new(client.clone()), vec![]).await;
    let (mut hostile, mut healthy) = (Vec::new(), Vec::new());
    for case in cases() {
        let receiver = Receiver::running(vec![case.steps]).await;
        posthaste.endpoint(&receiver.url("/")).await;
        hostile.push(receiver);
        if hostile.len() % 10 == 0 {
            let receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
            posthaste.endpoint(&receiver.url("/")).await;
            healthy.push(receiver);
        }
    }
    posthaste.endpoint("http://10.0.0.1/").await;
    let messages = 12;
    posthaste.accepts(messages).await;
    // While some still hang: those take eight places each, and a second for each attempt.
    for receiver in &mut healthy {
        got(receiver, messages).await;
    }
    assert!(posthaste.engine.in_flight() > 0, "nobody waited for those that hang");
    posthaste.settles().await;
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
        let status = if turn.is_multiple_of(3) { 500 } else { 200 };
        let reply = Reply { status, headers: vec![], body: Bytes::new(), truncated: false };
        Sent { outcome: Outcome::Replied(reply), timing: Timing::default(), remote: None }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_panics_gives_its_place_back_and_is_made_again_when_its_lease_is_over() {
    let posthaste = Posthaste::over(Arc::new(Unsteady(AtomicU64::new(0))), vec![LEASE; 20]).await;
    posthaste.endpoint("http://a/").await;
    posthaste.accepts(3_000).await;
    let finishing = tokio::time::timeout(DEADLINE, async {
        while posthaste.store.backlog().waiting_count + posthaste.store.backlog().in_flight_count > 0 {
            if posthaste.engine.in_flight() == 0 {
                posthaste.clock.advance(LEASE);
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(finishing.await.is_ok(), "still owed: {:?}", posthaste.store.backlog());
    assert_eq!(posthaste.engine.in_flight(), 0);
}
