//! What a message costs the embedded store: accepted, or received by a source, with one delivery, handed over, recorded
//! with one attempt.
//!
//! `cargo bench -p posthaste-store`. Batches are what queued up while the last commit ran: so many callers at once.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use posthaste_core::Secret;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::attempt::{Attempt, Outcome, Reply, Timing, Trigger};
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::dice::{TestDice, roll};
use posthaste_core::endpoint::{Filter, NewEndpoint};
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId, SourceId, TokenId};
use posthaste_core::limits::DEDUPE_WINDOW;
use posthaste_core::name::EventTypeName;
use posthaste_core::origin::Origin;
use posthaste_core::source::{Config, Door, NewSource, Rules, Source};
use posthaste_core::tenant::{EnvironmentId, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;
use posthaste_store::directory::{NewToken, Owner};
use posthaste_store::intake::NewMessage;
use posthaste_store::queue::{HandOver, Record};
use posthaste_store::source::{DedupeKey, NewReceived, Received};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, Intake as _, Queue as _, Sources as _};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const APPS_COUNT: usize = 100;

#[derive(Default)]
struct Desk(Mutex<Vec<Claimed>>);

impl HandOver for Desk {
    fn has_room(&self, _: EndpointId) -> bool {
        true
    }
    fn take(&self, claimed: Vec<Claimed>) {
        self.0.lock().unwrap().extend(claimed);
    }
    fn due(&self, _: EndpointId, _: Timestamp) {}
    fn job(&self) {}
}

/// How a message comes in.
#[derive(Clone, Copy)]
enum Way {
    Accepted,
    Received,
}

struct Bench {
    store: Arc<SqliteStore>,
    desk: Arc<Desk>,
    dice: Arc<TestDice>,
    environment: EnvironmentId,
    apps: Vec<AppId>,
    sources: Vec<Source>,
    hash: TokenHash,
    began: Instant,
}

impl Bench {
    async fn open(dir: PathBuf) -> Self {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let dice = Arc::new(TestDice::seeded(1));
        let options = SqliteOptions {
            path: dir.join("bench.db"),
            main_secret: String::from("bench").into(),
            dice: dice.clone(),
            serving: true,
        };
        let store = SqliteStore::open(options).unwrap();
        let desk = Arc::new(Desk::default());
        store.hand_over_to(desk.clone(), Duration::from_secs(60));
        let now = Timestamp::from_secs(1_800_000_000);
        let environment = store.environment("bench", now).await.unwrap().id;
        let mut bench = Self {
            store,
            desk,
            dice,
            environment,
            apps: vec![],
            sources: vec![],
            hash: TokenHash::of("x"),
            began: Instant::now(),
        };
        for _ in 0..APPS_COUNT {
            bench.app(now).await;
            bench.source(now).await;
        }
        let new = NewToken {
            id: TokenId::fresh(now, &*bench.dice),
            environment,
            scope: Scope::Environment,
            hash: bench.hash,
            hint: "phk_".to_owned(),
            expires_at: None,
        };
        bench.store.create_token(new, now).await.unwrap();
        bench
    }

    async fn app(&mut self, now: Timestamp) {
        let id = AppId::fresh(now, &*self.dice);
        let new = NewApp {
            id,
            uid: None,
            name: "bench".to_owned(),
            rate_per_second: None,
            metadata: BTreeMap::default(),
        };
        self.store.create_app(self.environment, new, false, now).await.unwrap();
        self.endpoint(&Owner::App(id.into()), now).await;
        self.apps.push(id);
    }

    async fn source(&mut self, now: Timestamp) {
        let new = NewSource {
            id: SourceId::fresh(now, &*self.dice),
            app: AppId::fresh(now, &*self.dice),
            uid: None,
            name: "bench".to_owned(),
            provider: "github".to_owned(),
            config: Config::new("{}".to_owned()),
            door: Door::fresh(&*self.dice),
            rules: Rules::default(),
            paused: false,
            metadata: BTreeMap::default(),
        };
        let source = self.store.create_source(self.environment, new, now).await.unwrap();
        self.endpoint(&Owner::App(source.app.into()), now).await;
        self.sources.push(source);
    }

    async fn endpoint(&self, owner: &Owner, now: Timestamp) {
        let new = NewEndpoint {
            id: EndpointId::fresh(now, &*self.dice),
            uid: None,
            url: "https://receiver.example.com/webhooks/of/bench".to_owned(),
            description: String::new(),
            rate_per_second: None,
            disabled: false,
            filter: Filter::default(),
            headers: vec![],
            metadata: BTreeMap::default(),
            secret: Secret::hmac(&[7; 24]).unwrap(),
        };
        self.store.create_endpoint(self.environment, owner, new, now).await.unwrap();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).later(self.began.elapsed())
    }

    fn message(&self, index: usize) -> NewMessage {
        NewMessage {
            environment: self.environment,
            app: Reference::from(self.apps[index % self.apps.len()]),
            create_app: None,
            id: MessageId::fresh(self.now(), &*self.dice),
            event_type: EventTypeName::parse("invoice.paid").unwrap(),
            event_id: None,
            channels: vec![],
            tags: vec![],
            body: Bytes::from_static(&[b'x'; 1024]),
            expunge_at: None,
            deliver_at: None,
            only: None,
            idempotency: None,
        }
    }

    /// As GitHub sends it, and new by its key.
    fn received(&self, index: usize) -> NewReceived {
        let source = &self.sources[index % self.sources.len()];
        let headers = [
            ("Host", "hooks.example.com"),
            ("User-Agent", "GitHub-Hookshot/044aadd"),
            ("Content-Length", "2048"),
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("X-GitHub-Event", "issues"),
            ("X-GitHub-Hook-ID", "292430182"),
            ("X-GitHub-Hook-Installation-Target-ID", "79929171"),
            ("X-GitHub-Hook-Installation-Target-Type", "repository"),
            ("X-Hub-Signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6"),
            (
                "X-Hub-Signature-256",
                "sha256=d57c68ca6f92289e6987922ff26938930f6e66a2d161ef06abdf1859230aa23c",
            ),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
        NewReceived {
            source: source.id,
            app: source.app,
            environment: self.environment,
            id: MessageId::fresh(self.now(), &*self.dice),
            event_type: EventTypeName::parse("issues").unwrap(),
            tags: vec![],
            origin: Origin { method: "POST".to_owned(), path: String::new(), query: String::new(), headers },
            body: Bytes::from_static(&[b'x'; 2048]),
            expunge_at: None,
            dedupe: Some(DedupeKey { hash: roll(&*self.dice), window: DEDUPE_WINDOW }),
        }
    }

    fn record(&self, claimed: &Claimed) -> Record {
        let reply = Reply {
            status: 200,
            headers: vec![
                ("content-type".to_owned(), Bytes::from_static(b"application/json")),
                ("content-length".to_owned(), Bytes::from_static(b"2")),
            ],
            body: Bytes::from_static(b"ok"),
            truncated: false,
        };
        let attempt = Attempt {
            id: AttemptId::fresh(self.now(), &*self.dice),
            message: claimed.message.id,
            endpoint: claimed.endpoint.id,
            url: claimed.endpoint.url.clone(),
            trigger: Trigger::Scheduled,
            started_at: self.now(),
            timing: Timing::default(),
            remote: Some(([127, 0, 0, 1], 80).into()),
            outcome: Outcome::Replied(reply),
        };
        Record {
            key: claimed.key(),
            lease: claimed.lease,
            attempt: Some(attempt),
            verdict: Verdict::Delivered,
        }
    }

    /// So many messages, each taken in and recorded, all at once.
    async fn round(&self, way: Way, messages_count: usize) {
        let mut accepts = JoinSet::new();
        for index in 0..messages_count {
            let (store, now) = (self.store.clone(), self.now());
            match way {
                Way::Accepted => {
                    let message = self.message(index);
                    accepts.spawn(async move { drop(store.accept(message, now).await.unwrap()) })
                }
                Way::Received => {
                    let received = self.received(index);
                    accepts.spawn(async move {
                        assert!(matches!(store.receive(received, now).await, Ok(Received::New { .. })));
                    })
                }
            };
        }
        while accepts.join_next().await.is_some() {}
        let taken = std::mem::take(&mut *self.desk.0.lock().unwrap());
        assert_eq!(taken.len(), messages_count);
        let mut records = JoinSet::new();
        for claimed in taken {
            let (store, record, now) = (self.store.clone(), self.record(&claimed), self.now());
            records.spawn(async move { assert!(store.record(record, now).await.unwrap().fenced) });
        }
        while records.join_next().await.is_some() {}
    }
}

/// CPU time of all threads of this process whose name begins with `name`, in clock ticks of 10 ms.
fn cpu(name: &str) -> Duration {
    let ticks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let fields: Vec<_> = after.split_whitespace().collect();
        before.split_once('(')?.1.starts_with(name).then_some(())?;
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    });
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn accept_and_record(c: &mut Criterion) {
    take_in_and_record(c, "accept and record", Way::Accepted);
}

fn receive_and_record(c: &mut Criterion) {
    take_in_and_record(c, "receive and record", Way::Received);
}

#[expect(clippy::print_stderr, reason = "criterion knows no CPU time, so it is told beside it")]
fn take_in_and_record(c: &mut Criterion, name: &str, way: Way) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group(name);
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for batch in [1_usize, 16, 256, 1024] {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{batch}"));
        let bench = runtime.block_on(Bench::open(dir.clone()));
        group.throughput(Throughput::Elements(batch as u64));
        let (mut messages, mut slowest) = (0_u64, Duration::ZERO);
        let writer_before = cpu("store-writer");
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter_custom(|rounds| {
                let mut sum = Duration::ZERO;
                for _ in 0..rounds {
                    let began = Instant::now();
                    runtime.block_on(bench.round(way, batch));
                    let took = began.elapsed();
                    slowest = slowest.max(took);
                    messages += batch as u64;
                    sum += took;
                }
                sum
            });
        });
        if messages == 0 {
            continue; // Left out by a filter.
        }
        let writer = cpu("store-writer").saturating_sub(writer_before).as_secs_f64() * 1e6 / messages as f64;
        let commits = bench.store.commits();
        let size = std::fs::metadata(dir.join("bench.db")).map_or(0, |m| m.len());
        eprintln!(
            "    batch {batch}: {messages} messages, writer CPU {writer:.1} us each, {:.1} commands a commit, \
             slowest round {slowest:?}, {} bytes of database each",
            commits.commands_count as f64 / commits.commits_count as f64,
            size / messages,
        );
        drop(bench);
        let _ = std::fs::remove_dir_all(dir);
    }
    group.finish();
}

fn authenticate(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-authenticate");
    let bench = runtime.block_on(Bench::open(dir));
    c.bench_function("authenticate", |b| {
        b.iter(|| {
            let found = runtime.block_on(bench.store.authenticate(black_box(bench.hash), bench.now()));
            assert!(found.unwrap().is_some());
        });
    });
}

criterion_group!(benches, accept_and_record, receive_and_record, authenticate);
criterion_main!(benches);
