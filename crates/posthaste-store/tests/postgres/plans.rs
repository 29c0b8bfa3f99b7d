//! What PostgreSQL makes of the store's statements over large tables: it tells of each, by `auto_explain`, so that none is
//! forgotten here.

use std::collections::HashSet;
use std::time::Duration;

use posthaste_core::app::Reference;
use posthaste_core::delivery::{DeadLetter, Verdict};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::replay::{Pace, ReplayFilter, Which};
use posthaste_core::rollup::Scope;
use posthaste_core::time::Timestamp;
use posthaste_store::conformance::World;
use posthaste_store::conformance::world::LEASE;
use posthaste_store::history::{AttemptFilter, MessageFilter};
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::queue::NewRecover;
use posthaste_store::replay::{JobFilter, NewReplay, ReplayScope};

use super::cluster::{Cluster, Database};

/// Deliveries that are there already; of their messages and attempts a fifth.
const DELIVERIES: u32 = 1_000_000;
/// Tables that grow with what is sent: none of them is ever read from end to end. Those that lie in days are named by their
/// days, `message_20270115`.
const LARGE: &[&str] =
    &["delivery ", "message_", "attempt_", "event_key ", "idempotency ", "received ", "rollup "];
/// Days that the past lies in.
const DAYS: u32 = 12;
/// Days that one statement may touch: what it does not touch it does not lock either.
const DAYS_TOUCHED_MAX: usize = 8;
/// As they are looked at by themselves: of the partitioned tables as such nobody has an idea.
const ANALYZE: &str = "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' \
     AND relnamespace = 'public'::regnamespace LOOP EXECUTE 'ANALYZE ' || t; END LOOP; END $$";

/// A past of many deliveries to one endpoint: delivered, dead-lettered, and a hundred that wait.
async fn fill(database: &Database<'_>, app: &str, endpoint: &str) {
    // An hour before a world begins, and so on the days before.
    let id = format!(
        "decode(lpad(to_hex(400000000 - 3600 - 86400 * (n % {DAYS})), 8, '0') || lpad(to_hex(n), 32, '0'), 'hex')"
    );
    let fifth = DELIVERIES / 5;
    // By the minute, the last five hours of two hundred things, one of them the app.
    let zeros = "0, ".repeat(19);
    let counts = format!(
        "INSERT INTO rollup SELECT 0, (1800003600 - 60 * m)::bigint * 1000000, 1, \
         CASE n WHEN 0 THEN {app} ELSE decode(lpad(to_hex(n), 40, '0'), 'hex') END, 1, 1, {zeros}0 \
         FROM generate_series(1, 300) AS m, generate_series(0, 199) AS n"
    );
    let sql = format!(
        "INSERT INTO delivery (message, endpoint, app, state, manual, attempts, due_at) \
         SELECT {id}, {endpoint}, {app}, CASE WHEN n % 10000 = 0 THEN 0 WHEN n % 1000 = 1 THEN 3 ELSE 2 END, false, 1, \
         CASE WHEN n % 10000 = 0 THEN n END FROM generate_series(1, {DELIVERIES}) AS n; \
         INSERT INTO message (app, id, event_type, created_at, body) \
         SELECT {app}, {id}, 'a.b', n, 'x' FROM generate_series(1, {fifth}) AS n; \
         INSERT INTO attempt (message, id, endpoint, url, manual, truncated, status, started_at, dns_us, connect_us, \
         tls_us, first_byte_us, total_us) \
         SELECT {id}, {id}, {endpoint}, 'u', false, false, 200, n, 0, 0, 0, 0, 0 FROM generate_series(1, {fifth}) AS n; \
         INSERT INTO event_key SELECT {app}, n::text, {id} FROM generate_series(1, {fifth}) AS n; \
         INSERT INTO received SELECT {id}, {id}, 9e18 FROM generate_series(1, {fifth}) AS n; \
         INSERT INTO idempotency (key, fingerprint, expires_at) SELECT {id}, '', 9e18 FROM generate_series(1, {fifth}) AS n; \
         {counts}; {ANALYZE}"
    );
    database.execute(&sql).await;
}

async fn does_everything(world: &World) {
    let (store, environment, now) = (&world.store, world.environment, || world.now());
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for _ in 0..3 {
        let key = world.key();
        for _ in 0..2 {
            world.accepts_with(app, |new| new.idempotency = Some(key.clone())).await;
        }
    }
    let event_id = |new: &mut posthaste_store::intake::NewMessage| {
        new.event_id = posthaste_core::name::Uid::parse("event").ok();
    };
    let message = world.accepts_with(app, event_id).await;
    for claimed in world.claims(endpoint).await {
        let verdict = if claimed.message.id == message {
            Verdict::GiveUp(DeadLetter::Exhausted)
        } else {
            Verdict::RetryAt(now().later(Duration::from_secs(1)))
        };
        world.tries(&claimed, 500, verdict).await;
    }
    world.advance(Duration::from_secs(2));
    let claimed = store.claim(endpoint, 2, LEASE, now()).await.unwrap();
    store.release(vec![(claimed[0].key(), claimed[0].lease)], now()).await.unwrap();
    world.advance(LEASE);
    store.release_expired(100, now()).await.unwrap();
    store.due_endpoints(None, 100, now()).await.unwrap();
    store.oldest_due().await.unwrap();
    world.resends(app, message, endpoint).await;
    let source = world.source().await;
    world.store.receive(world.received_as(&source, 1), now()).await.unwrap();
    world.store.receive(world.received_as(&source, 1), now()).await.unwrap();
    reads_everything(world, app.into(), World::to(message), World::to(endpoint)).await;
    let (app, endpoint) = (app.into(), World::to(endpoint));
    let recover =
        NewRecover { id: world.id(), environment, app, endpoint, since: Timestamp::EPOCH, until: now() };
    store.recover(recover, now()).await.unwrap();
    store.step_job(now()).await.unwrap();
    store.forget(now().earlier(Duration::from_secs(30)), now()).await.unwrap();
    // Whole days, some of which are owed.
    store.forget(now().earlier(Duration::from_hours(48)), now()).await.unwrap();
}

/// Of the app and the endpoint that have all these deliveries.
async fn replays_everything(world: &World, app: AppId, endpoint: EndpointId) {
    let (store, environment) = (&world.store, world.environment);
    let ids: Vec<MessageId> = (0..1_000).map(|_| world.id()).collect();
    for (which, messages) in
        [(Which::Failed, None), (Which::Delivered, None), (Which::Ended, Some(ids)), (Which::Missing, None)]
    {
        let (since, until) = (Timestamp::EPOCH, world.now());
        let filter =
            ReplayFilter { which, since, until, event_types: None, channel: None, tag: None, messages };
        let scope = ReplayScope { environment, app: app.into(), endpoint: Some(World::to(endpoint)), filter };
        let total = store.count_replay(scope.clone()).await.unwrap();
        let new = NewReplay { id: world.id(), scope, pace: Pace::default(), total };
        let job = store.replay(new, world.now()).await.unwrap();
        for _ in 0..2 {
            store.step_replay(world.now()).await.unwrap();
        }
        store.cancel_job(environment, job.id, world.now()).await.unwrap();
    }
    store.jobs(environment, JobFilter::default(), PageRequest::first(Order::Descending)).await.unwrap();
}

async fn reads_everything(world: &World, app: Reference, message: Reference, endpoint: Reference) {
    let (store, environment) = (&world.store, world.environment);
    let filter = AttemptFilter::default();
    for order in [Order::Ascending, Order::Descending] {
        let messages = MessageFilter::default();
        store.messages(environment, &app, &messages, PageRequest::first(order), true).await.unwrap();
        let page = PageRequest::first(order);
        store.attempts_of_message(environment, &app, &message, &filter, page).await.unwrap();
        let page = PageRequest::first(order);
        store.attempts_of_endpoint(environment, &app, &endpoint, &filter, page).await.unwrap();
        store.attempted(environment, &app, &endpoint, &filter, PageRequest::first(order)).await.unwrap();
        store.destinations(environment, &app, &message, PageRequest::first(order)).await.unwrap();
    }
    store.message(environment, &app, &Reference::new("event"), true).await.unwrap();
    let stats =
        store.endpoint_stats(environment, &app, &endpoint, world.now().earlier(LEASE), world.now()).await;
    stats.unwrap();
    store.repeats(environment, &app, &message).await.unwrap();
    let (since, until) = (world.now().earlier(Duration::from_hours(24)), world.now());
    let id = app.id::<posthaste_core::id::AppKind>().unwrap();
    store.counted(environment, Scope::App(id), since, until).await.unwrap();
    let page: Vec<_> = (0..50).map(|_| Scope::App(world.id())).collect();
    store.counted_by(environment, &page, since, until).await.unwrap();
    store.unwell(environment, 10).await.unwrap();
    store.expunge_message(environment, &app, &message).await.unwrap();
}

/// Whether this step of a plan reads a large table from end to end. Days in which nothing is cost nothing.
fn is_slow(step: &str) -> bool {
    let scans = LARGE.iter().any(|table| step.contains(&format!("Seq Scan on {table}")));
    scans && !step.contains("(cost=0.00..0.00 ")
}

/// How many days a plan names, whether it came to reading them or not.
fn days_touched(plan: &str) -> usize {
    let named = ["message_20", "attempt_20"].iter().flat_map(|table| plan.split(table).skip(1));
    named.filter_map(|rest| rest.get(..6)).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_a_large_table_from_end_to_end() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (app, endpoint) = {
        let world = World::new(database.open().await).await;
        let app = world.app().await;
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for day in 0..DAYS {
            let made = world.now().earlier(Duration::from_hours(24) * day);
            world.accepts_with(app, |new| new.id = MessageId::fresh(made, &world.dice)).await;
        }
        let endpoint = world.endpoint(app).await;
        let literal = |id: &[u8]| format!("'\\x{}'::bytea", hex(id));
        fill(&database, &literal(app.as_bytes()), &literal(endpoint.as_bytes())).await;
        (app, endpoint)
    };
    database.explains_itself().await;
    let world = World::new(database.open().await).await;
    // The first world made its ids in the same way.
    world.advance(Duration::from_secs(3_600));
    does_everything(&world).await;
    replays_everything(&world, app, endpoint).await;
    let plans = database.plans();
    assert!(plans.len() > 50, "PostgreSQL told of {} statements", plans.len());
    let slow: Vec<_> = plans.iter().filter(|plan| plan.lines().any(is_slow)).collect();
    assert!(slow.is_empty(), "{} of {}:\n{}", slow.len(), plans.len(), slow[0]);
    let wide: Vec<_> = plans.iter().filter(|plan| days_touched(plan) > DAYS_TOUCHED_MAX).collect();
    assert!(wide.is_empty(), "{} of {}:\n{}", wide.len(), plans.len(), wide[0]);
    database.drop().await;
}
