//! Cron sources, on a clock that tests hold: engines over a real store, and a receiver that remembers what came.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::app::{Metadata, Reference};
use posthaste_core::attempt::{Outcome, Reply, Timing};
use posthaste_core::cron::{Cron, PROVIDER};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::{Filter, NewEndpoint};
use posthaste_core::id::{AppId, EndpointId, SourceId};
use posthaste_core::message::Message;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::schedule::Schedule;
use posthaste_core::source::{Door, NewSource, Rules, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::{Clock as _, Timestamp};
use posthaste_engine::client::{Outbound, Sent};
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, HeldTimer, LaneLimits, NoObserver, Parts, Transport};
use posthaste_signature::Secret;
use posthaste_store::directory::Owner;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, History as _, Sources as _};
use posthaste_tunnel::listeners::Listeners;
use tokio::sync::watch;

/// How long a test waits, in real time, for something that must happen.
const DEADLINE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);

/// Says yes to everything, and remembers it.
struct Receiver(watch::Sender<Vec<Outbound>>);

impl Receiver {
    /// Waits until `url` got so many requests, and returns them.
    async fn got(&self, url: &str, count: usize) -> Vec<Outbound> {
        let came = |all: &Vec<Outbound>| all.iter().filter(|one| one.url == url).cloned().collect::<Vec<_>>();
        let mut all = self.0.subscribe();
        let waiting = tokio::time::timeout(DEADLINE, all.wait_for(|all| came(all).len() >= count));
        assert!(waiting.await.is_ok(), "{url} got {} of {count} requests", came(&self.0.borrow()).len());
        came(&self.0.borrow())
    }
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: Outbound) -> Sent {
        self.0.send_modify(|all| all.push(request));
        let reply = Reply { status: 200, headers: vec![], body: Bytes::from_static(b"ok"), truncated: false };
        Sent { outcome: Outcome::Replied(reply), timing: Timing::default(), remote: None }
    }
}

/// A store, a receiver, and as many engines as a test starts. It is 14:13:20.
struct World {
    store: Arc<SqliteStore>,
    receiver: Arc<Receiver>,
    clock: HeldTimer,
    dice: Arc<TestDice>,
    environment: EnvironmentId,
    dir: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World {
    async fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("posthaste-cron-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let dice = Arc::new(TestDice::seeded(number));
        let clock = HeldTimer::at(Timestamp::from_secs(1_790_000_000));
        let path = dir.join("posthaste.db");
        let options =
            SqliteOptions { path, main_secret: "main".to_owned().into(), dice: dice.clone(), serving: true };
        let store = SqliteStore::open(options).unwrap();
        let environment = store.environment("default", clock.now()).await.unwrap().id;
        let receiver = Arc::new(Receiver(watch::Sender::default()));
        Self { store, receiver, clock, dice, environment, dir }
    }

    fn engine(&self) -> Arc<Engine> {
        let settings = EngineSettings {
            retry_schedule: RetrySchedule::default(),
            request_timeout: Duration::from_secs(15),
            retention: Duration::from_hours(90 * 24),
            lanes: LaneLimits::default(),
        };
        let parts = Parts {
            queue: self.store.clone(),
            sources: self.store.clone(),
            transport: self.receiver.clone(),
            clock: Arc::new(self.clock.clone()),
            dice: self.dice.clone(),
            metrics: EngineMetrics::unregistered(),
            observer: Arc::new(NoObserver),
            listeners: Listeners::new(),
        };
        Engine::start(settings, parts)
    }

    fn cron(&self, expression: &str) -> Cron {
        Cron {
            expression: expression.to_owned(),
            schedule: Schedule::parse(expression).unwrap(),
            payload: "{\"a\": 1.0}".to_owned(),
            content_type: None,
            since: self.clock.now(),
        }
    }

    /// A source with an endpoint at `url`.
    async fn source(&self, cron: &Cron, url: &str) -> Source {
        let now = self.clock.now();
        let new = NewSource {
            id: SourceId::fresh(now, &*self.dice),
            app: AppId::fresh(now, &*self.dice),
            uid: None,
            name: "A".to_owned(),
            provider: PROVIDER.to_owned(),
            config: cron.to_keep(),
            door: Door::fresh(&*self.dice),
            rules: Rules::default(),
            paused: false,
            metadata: Metadata::default(),
        };
        let source = self.store.create_source(self.environment, new, now).await.unwrap();
        let new = NewEndpoint {
            id: EndpointId::fresh(now, &*self.dice),
            uid: None,
            url: url.to_owned(),
            description: String::new(),
            rate_per_second: None,
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: Metadata::default(),
            secret: Secret::hmac(&[9; 24]).unwrap(),
        };
        let owner = Owner::Source(reference(&source));
        self.store.create_endpoint(self.environment, &owner, new, now).await.unwrap();
        source
    }

    async fn pauses(&self, source: &Source, paused: bool) {
        let change = SourceChange { paused: Some(paused), ..SourceChange::default() };
        let (to, now) = (reference(source), self.clock.now());
        self.store.change_source(self.environment, &to, change, now).await.unwrap();
    }

    async fn messages(&self, source: &Source) -> Vec<Message> {
        let (app, filter) = (Reference::from(source.app), MessageFilter::default());
        let page = PageRequest::first(Order::Ascending);
        self.store.messages(self.environment, &app, &filter, page, true).await.unwrap().rows
    }
}

fn reference(source: &Source) -> Reference {
    Reference::new(source.id.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_source_makes_a_message_at_each_instant_and_it_arrives_signed() {
    let world = World::new().await;
    let _engine = world.engine();
    let plain = world.source(&world.cron("* * * * *"), "http://a/").await;
    let content_type = Some("text/csv".to_owned());
    let other = Cron { content_type, payload: "a,b\n".to_owned(), ..world.cron("15-59 * * * *") };
    world.source(&other, "http://b/").await;
    world.clock.advance(Duration::from_secs(40));
    world.receiver.got("http://a/", 1).await;
    world.clock.advance(MINUTE);
    let request = world.receiver.got("http://b/", 1).await.remove(0);
    assert_eq!(
        (&*request.body, &request.headers["content-type"]),
        (&b"a,b\n"[..], &"text/csv".parse().unwrap())
    );
    for request in world.receiver.got("http://a/", 2).await {
        assert_eq!((request.method.as_str(), &*request.query), ("POST", ""));
        assert_eq!(request.headers["content-type"], "application/json");
        assert!(request.headers.contains_key("webhook-signature"));
        assert_eq!(&*request.body, b"{\"a\": 1.0}");
    }
    let messages = world.messages(&plain).await;
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.event_type.as_str() == "cron"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_and_a_restart_make_one_message_of_an_instant() {
    let world = World::new().await;
    let mut engines = vec![world.engine(), world.engine()];
    let mut sources = vec![];
    // More than are read at once.
    for _ in 0..70 {
        sources.push(world.source(&world.cron("* * * * *"), "http://a/").await);
    }
    for minutes in 1..=3 {
        world.clock.advance(MINUTE);
        engines.push(world.engine());
        world.receiver.got("http://a/", minutes * sources.len()).await;
    }
    for engine in engines {
        engine.drain().await;
    }
    for source in &sources {
        assert_eq!(world.messages(source).await.len(), 3);
    }
    assert_eq!(world.receiver.got("http://a/", 0).await.len(), 3 * sources.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_by_more_than_the_grace_is_left_out() {
    let world = World::new().await;
    let hourly = world.source(&world.cron("@hourly"), "http://hourly/").await;
    world.source(&world.cron("* * * * *"), "http://a/").await;
    let engine = world.engine();
    // To 15:02:00.
    world.clock.advance(Duration::from_secs(48 * 60 + 40));
    world.receiver.got("http://a/", 1).await;
    world.clock.advance(MINUTE);
    assert_eq!(world.receiver.got("http://a/", 2).await.len(), 2);
    engine.drain().await;
    assert!(world.messages(&hourly).await.is_empty());
    // To 16:00:59: it was down for an hour, and is back in time for the last instant.
    world.clock.advance(Duration::from_secs(57 * 60 + 59));
    let _engine = world.engine();
    world.receiver.got("http://hourly/", 1).await;
    assert_eq!(world.receiver.got("http://a/", 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_cron_source_goes_on_making_messages_and_sends_them_when_it_goes_on() {
    let world = World::new().await;
    let _engine = world.engine();
    let source = world.source(&world.cron("* * * * *"), "http://a/").await;
    world.pauses(&source, true).await;
    world.source(&world.cron("* * * * *"), "http://b/").await;
    for minutes in 1..=3 {
        world.clock.advance(MINUTE);
        world.receiver.got("http://b/", minutes).await;
    }
    // What is made in the same look as the third of the other is made when the next look is over.
    world.clock.advance(MINUTE);
    world.receiver.got("http://b/", 4).await;
    assert!(world.messages(&source).await.len() >= 3);
    assert!(world.receiver.got("http://a/", 0).await.is_empty());
    world.pauses(&source, false).await;
    world.receiver.got("http://a/", 4).await;
}
