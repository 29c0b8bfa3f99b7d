//! What PostgreSQL makes of the store's statements over large tables: it tells of each, by `auto_explain`, so that none is
//! forgotten here.

use std::time::Duration;

use posthaste_core::app::Reference;
use posthaste_core::delivery::{DeadLetter, Verdict};
use posthaste_core::time::Timestamp;
use posthaste_store::conformance::World;
use posthaste_store::conformance::world::LEASE;
use posthaste_store::history::{AttemptFilter, MessageFilter};
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::queue::NewRecover;

use super::cluster::{Cluster, Database};

/// Deliveries that are there already; of their messages and attempts a fifth.
const DELIVERIES: u32 = 1_000_000;
/// Tables that grow with what is sent: none of them is ever read from end to end.
const LARGE: &[&str] = &["delivery", "message", "attempt", "event_key", "idempotency", "received"];

/// A past of many deliveries to one endpoint: delivered, dead-lettered, and a hundred that wait.
async fn fill(database: &Database<'_>, app: &str, endpoint: &str) {
    let id = "decode(lpad(to_hex(n), 40, '0'), 'hex')";
    let fifth = DELIVERIES / 5;
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
         ANALYZE"
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
    store.expunge_message(environment, &app, &message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_a_large_table_from_end_to_end() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    {
        let world = World::new(database.open().await).await;
        let app = world.app().await;
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let endpoint = world.endpoint(app).await;
        let literal = |id: &[u8]| format!("'\\x{}'::bytea", hex(id));
        fill(&database, &literal(app.as_bytes()), &literal(endpoint.as_bytes())).await;
    }
    database.explains_itself().await;
    let world = World::new(database.open().await).await;
    // The first world made its ids in the same way.
    world.advance(Duration::from_secs(3_600));
    does_everything(&world).await;
    let plans = database.plans();
    assert!(plans.len() > 50, "PostgreSQL told of {} statements", plans.len());
    let scans = LARGE.iter().map(|table| format!("Seq Scan on {table} "));
    let scans: Vec<_> = scans.collect();
    let slow: Vec<_> = plans.iter().filter(|plan| scans.iter().any(|scan| plan.contains(scan))).collect();
    assert!(slow.is_empty(), "{} of {}:\n{}", slow.len(), plans.len(), slow[0]);
    database.drop().await;
}
