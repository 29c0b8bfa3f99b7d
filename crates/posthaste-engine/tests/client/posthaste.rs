//! An engine over a real store on a clock that tests hold, with one app, and a network that the test brings.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::attempt::{Outcome, Reply, Timing};
use posthaste_core::delivery::DeliveryState;
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::{Filter, NewEndpoint};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::name::EventTypeName;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_engine::client::Sent;
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, HeldTimer, LaneLimits, NoObserver, Parts, Transport};
use posthaste_signature::Secret;
use posthaste_store::directory::Owner;
use posthaste_store::intake::NewMessage;
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, History as _, Intake as _, Queue as _};
use posthaste_tunnel::listeners::Listeners;

/// Any day.
pub(crate) fn clock() -> HeldTimer {
    HeldTimer::at(Timestamp::from_secs(1_790_000_000))
}

pub(crate) fn replied(status: u16) -> Sent {
    let reply = Reply { status, headers: vec![], body: Bytes::new(), truncated: false };
    Sent { outcome: Outcome::Replied(reply), timing: Timing::default(), remote: None }
}

/// One attempt's deadline.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(4);
/// How long everything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// How long a lease lasts at most, and each wait between two attempts.
pub(crate) const LEASE: Duration = Duration::from_secs(120);

/// An engine on a store of its own, with one app.
pub(crate) struct Posthaste {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: HeldTimer,
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
    pub(crate) async fn over(clock: HeldTimer, transport: Arc<dyn Transport>, waits: Vec<Duration>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("posthaste-hostile-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let dice = Arc::new(TestDice::seeded(number));
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
            listeners: Listeners::new(),
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

    pub(crate) async fn endpoint(&self, url: &str, rate: Option<u16>) -> EndpointId {
        let now = self.clock.now();
        let id = EndpointId::fresh(now, &*self.dice);
        let new = NewEndpoint {
            id,
            uid: None,
            url: url.to_owned(),
            description: String::new(),
            rate_per_second: rate.and_then(NonZeroU16::new),
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: BTreeMap::default(),
            secret: Secret::hmac(&[9; 24]).unwrap(),
        };
        let owner = Owner::App(Reference::from(self.app));
        self.store.create_endpoint(self.environment, &owner, new, now).await.unwrap();
        id
    }

    /// Accepts so many messages for everybody.
    pub(crate) async fn accepts(&self, count: usize) -> Vec<MessageId> {
        let accepts = (0..count).map(|_| async {
            let now = self.clock.now();
            let id = MessageId::fresh(now, &*self.dice);
            let new = NewMessage {
                environment: self.environment,
                app: Reference::from(self.app),
                create_app: None,
                id,
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
            id
        });
        join_all(accepts).await
    }

    /// Lets time pass until nothing is owed any more.
    pub(crate) async fn ends(&self, step: Duration) {
        let ending = tokio::time::timeout(DEADLINE, async {
            let owed = || self.store.backlog().waiting_count + self.store.backlog().in_flight_count;
            while owed() > 0 {
                if self.engine.in_flight() == 0 {
                    self.clock.advance(step);
                }
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
        });
        assert!(ending.await.is_ok(), "still owed: {:?}", self.store.backlog());
        assert_eq!(self.engine.in_flight(), 0, "places are taken by nobody");
    }

    /// Waits until nothing is under way and so many deliveries wait.
    pub(crate) async fn settles_with_waiting(&self, waiting: u64) {
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
        assert_eq!(self.engine.in_flight(), 0, "places are taken by nobody");
    }

    /// What became of a message's only delivery.
    pub(crate) async fn state(&self, message: MessageId) -> DeliveryState {
        let app = Reference::from(self.app);
        let message = Reference::new(message.to_string());
        let page = PageRequest::first(Order::Ascending);
        self.store.destinations(self.environment, &app, &message, page).await.unwrap().rows[0].state
    }

    pub(crate) async fn is_disabled(&self, endpoint: EndpointId) -> bool {
        let owner = Owner::App(Reference::from(self.app));
        let reference = Reference::new(endpoint.to_string());
        self.store.endpoint(self.environment, &owner, &reference).await.unwrap().disabled
    }
}
