//! What one node does that another one should act on, that one hears at once.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::{Cluster, Database, options};
use posthaste_core::time::Timestamp;
use posthaste_store::conformance::World;
use posthaste_store::conformance::world::{Desk, LEASE};
use posthaste_store::postgres::{PostgresOptions, PostgresStore};
use posthaste_store::queue::NewRecover;
use posthaste_store::{History as _, Intake as _, Queue as _};

/// A world on a node with an engine, and a node that has none. The world's node is the first.
async fn two_nodes(database: &Database<'_>) -> (World, Arc<Desk>, Arc<PostgresStore>) {
    let world = World::new(database.open().await).await;
    let desk = world.desk(true);
    (world, desk, database.open().await)
}

/// Does something until it is heard: a node that has just begun may not listen yet.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let heard = tokio::time::timeout(Duration::from_secs(30), async { while !done().await {} });
    assert!(heard.await.is_ok(), "{what} was not heard");
}

/// Asks the database for a while: there and back is about the time that a notice takes.
async fn a_moment(node: &PostgresStore) {
    for _ in 0..50 {
        node.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_without_an_engine_takes_in_one_with_an_engine_hears_of() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, desk, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    until("a new delivery", async || {
        other.accept(world.message(app), world.now()).await.unwrap();
        a_moment(&other).await;
        desk.due().iter().any(|(of, _)| *of == endpoint)
    })
    .await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_hears_of_what_came_by_another_node() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, desk, other) = two_nodes(&database).await;
    other.hand_over_to(Arc::new(Desk::default()), LEASE);
    let app = world.app().await;
    let rate = std::num::NonZeroU16::new(20);
    let endpoint = world.endpoint_with(app, |new| new.rate_per_second = rate).await.id;
    world.accepts(app).await;
    until("a new delivery", async || {
        other.accept(world.message(app), world.now()).await.unwrap();
        a_moment(&other).await;
        desk.due().iter().any(|(of, _)| *of == endpoint)
    })
    .await;
    until("a delivery that was found by looking", async || {
        assert!(other.claim(endpoint, 10, LEASE, world.now()).await.unwrap().is_empty());
        a_moment(&other).await;
        desk.due().iter().any(|(of, _)| *of == endpoint)
    })
    .await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_and_changes_of_sources_are_heard_by_other_nodes() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, desk, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    until("a job", async || {
        let (app, endpoint) = (app.into(), World::to(endpoint));
        let (since, until) = (Timestamp::EPOCH, world.now());
        let new = NewRecover { id: world.id(), environment: world.environment, app, endpoint, since, until };
        let before = desk.jobs_count();
        other.recover(new, world.now()).await.unwrap();
        a_moment(&other).await;
        desk.jobs_count() > before
    })
    .await;
    let source = world.source().await;
    let mut paused = false;
    until("a change of a source", async || {
        let before = posthaste_store::Sources::source_changes(&*other);
        paused = !paused;
        world.pauses(&source, paused).await;
        a_moment(&other).await;
        posthaste_store::Sources::source_changes(&*other) > before
    })
    .await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_behind_a_pooler_hears_by_the_database_itself() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    if let Some(pooled) = database.pooled_url() {
        let listen_url = Some(database.url().into());
        let store =
            PostgresStore::open(PostgresOptions { listen_url, ..options(pooled.clone()) }).await.unwrap();
        let world = World::new(store).await;
        let desk = world.desk(true);
        let other = PostgresStore::open(options(pooled)).await.unwrap();
        let app = world.app().await;
        let endpoint = world.endpoint(app).await;
        until("a new delivery", async || {
            other.accept(world.message(app), world.now()).await.unwrap();
            a_moment(&other).await;
            desk.due().iter().any(|(of, _)| *of == endpoint)
        })
        .await;
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_listening_was_cut_listens_again_and_works_meanwhile() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, desk, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for _ in 0..2 {
        until("a new delivery", async || {
            other.accept(world.message(app), world.now()).await.unwrap();
            a_moment(&other).await;
            desk.due().iter().any(|(of, _)| *of == endpoint)
        })
        .await;
        let nonsense = "SELECT pg_notify('posthaste', n) FROM UNNEST(ARRAY['', 'x', '1 due', '9 due * x', '9 gone']) AS n";
        database.execute(nonsense).await;
        let cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                   WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        database.execute(cut).await;
        world.accepts(app).await;
        assert!(!desk.taken().is_empty());
    }
    database.drop().await;
}
