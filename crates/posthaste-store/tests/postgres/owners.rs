//! Of an endpoint with a rate limit, or of all endpoints of an app with one, one node is the owner: the others claim nothing
//! for it and are handed nothing.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::cluster::{Cluster, Database, options};
use super::wire::Wire;
use posthaste_core::app::AppChange;
use posthaste_core::endpoint::{Endpoint, EndpointChange};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_store::conformance::World;
use posthaste_store::conformance::world::{Desk, LEASE};
use posthaste_store::postgres::{PostgresOptions, PostgresStore};
use posthaste_store::{History as _, Intake as _, Queue};
use tokio::task::JoinSet;

/// A node whose heart beats by hand, and has beaten once.
async fn node(database: &Database<'_>) -> Arc<PostgresStore> {
    node_by(database.url()).await
}

async fn node_by(url: String) -> Arc<PostgresStore> {
    let options = PostgresOptions { serving: false, ..options(url) };
    let node = PostgresStore::open(options).await.unwrap();
    node.beat().await.unwrap();
    node
}

/// A world on the first of two nodes, and the second.
async fn two_nodes(database: &Database<'_>) -> (World, Arc<PostgresStore>, Arc<PostgresStore>) {
    let first = node(database).await;
    let second = node(database).await;
    (World::new(first.clone()).await, first, second)
}

const RATE: Option<NonZeroU16> = NonZeroU16::new(20);

async fn rated(world: &World, app: AppId) -> Endpoint {
    world.endpoint_with(app, |new| new.rate_per_second = RATE).await
}

/// How many deliveries a node is given that asks for one.
async fn claims_at(node: &dyn Queue, world: &World, endpoint: EndpointId) -> usize {
    node.claim(endpoint, 1, LEASE, world.now()).await.unwrap().len()
}

async fn accepts_many(world: &World, app: AppId) {
    for _ in 0..10 {
        world.accepts(app).await;
    }
}

/// The first node that was opened is number 1.
const FIRST_IS_DEAD: &str = "UPDATE node SET beat_at = beat_at - interval '1 hour' WHERE number = 1";
const TIME_IS_OVER: &str = "UPDATE owner SET until = clock_timestamp() - interval '1 second'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_an_endpoint_with_a_rate_its_owner_claims_and_no_other_node() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let (limited, free) = (rated(&world, app).await.id, world.endpoint(app).await);
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*first, &world, limited).await, 1, "who comes first owns it");
    for _ in 0..3 {
        assert_eq!(claims_at(&*second, &world, limited).await, 0);
        assert_eq!(claims_at(&*first, &world, limited).await, 1);
        assert_eq!(claims_at(&*second, &world, free).await, 1, "without a rate it is everybody's");
        assert_eq!(claims_at(&*first, &world, free).await, 1);
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_endpoints_of_an_app_with_a_rate_have_one_owner() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let limited = AppChange { rate_per_second: Some(RATE), ..AppChange::default() };
    world.store.change_app(world.environment, &app.into(), limited, world.now()).await.unwrap();
    let (one, another) = (world.endpoint(app).await, rated(&world, app).await.id);
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*second, &world, one).await, 1);
    assert_eq!(claims_at(&*first, &world, another).await, 0, "it belongs to the owner of the first");
    assert_eq!(claims_at(&*second, &world, another).await, 1);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_nodes_that_race_for_an_endpoint_one_owns_it() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let third = node(&database).await;
    let app = world.app().await;
    let mut endpoints = Vec::new();
    for _ in 0..8 {
        endpoints.push(rated(&world, app).await.id);
    }
    accepts_many(&world, app).await;
    let mut racing = JoinSet::new();
    for round in 0..3 {
        for endpoint in endpoints.clone() {
            for (number, node) in [&first, &second, &third].into_iter().enumerate() {
                let (node, now, number) = (node.clone(), world.now(), (number + round) % 3);
                let limit = u32::try_from(number).unwrap() + 1;
                racing.spawn(async move { node.claim(endpoint, limit, LEASE, now).await.unwrap() });
            }
        }
    }
    let claimed: Vec<_> = racing.join_all().await.into_iter().flatten().collect();
    // A node's number is in the tokens of its leases.
    let owners: HashSet<_> = claimed.iter().map(|one| (one.endpoint.id, one.lease.token >> 48)).collect();
    assert_eq!(owners.len(), endpoints.len(), "one node for each endpoint: {owners:?}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_node_owned_another_one_takes() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = rated(&world, app).await;
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 1);
    database.execute(FIRST_IS_DEAD).await;
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 0, "nobody has said so yet");
    assert_eq!(second.beat().await.unwrap(), 1, "it takes over what the dead one held");
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 1);
    // It was only asleep: as another node it owns nothing, and sends nothing.
    first.beat().await.unwrap();
    assert!(!first.may_send_to(&endpoint));
    assert!(second.may_send_to(&endpoint));
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 0);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_uses_it_keeps_it_and_one_whose_time_is_over_loses_it() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = rated(&world, app).await;
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 1);
    database.execute(TIME_IS_OVER).await;
    first.beat().await.unwrap();
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 0, "it was in use: the beat kept it");
    database.execute(TIME_IS_OVER).await;
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 1);
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 0);
    first.beat().await.unwrap();
    assert!(!first.may_send_to(&endpoint), "and its beat noticed");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_owner_lets_go_of_is_anothers_after_a_pause() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint_with(app, |new| new.rate_per_second = NonZeroU16::new(1)).await;
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 1);
    first.let_go().await.unwrap();
    assert!(!first.may_send_to(&endpoint));
    let desk = Arc::new(Desk::default());
    second.hand_over_to(desk.clone(), LEASE);
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 0, "the first may have sent a moment ago");
    let hints = desk.due();
    assert!(matches!(hints[..], [(of, at)] if of == endpoint.id && at > world.now()), "{hints:?}");
    database.execute(TIME_IS_OVER).await;
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 1);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_loses_its_rate_is_everybodys() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, first, second) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = rated(&world, app).await;
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*first, &world, endpoint.id).await, 1);
    let free = EndpointChange { rate_per_second: Some(None), ..EndpointChange::default() };
    let free = world.changes(app, endpoint.id, free).await;
    assert_eq!(claims_at(&*second, &world, endpoint.id).await, 1);
    assert!(first.may_send_to(&free) && second.may_send_to(&free));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_is_handed_over_by_the_owner_only() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, _, second) = two_nodes(&database).await;
    let owner = world.desk(true);
    let other = World::new(second.clone()).await.desk(true);
    let app = world.app().await;
    let endpoint = rated(&world, app).await.id;
    world.accepts(app).await;
    assert_eq!(owner.taken().len(), 1, "the first message takes it too");
    second.accept(world.message(app), world.now()).await.unwrap();
    assert!(other.taken().is_empty());
    world.accepts(app).await;
    assert_eq!(owner.taken().len(), 1);
    assert!(owner.due().is_empty() && other.due().is_empty(), "each knows whose it is");
    assert_eq!(world.claims(endpoint).await.len(), 1, "what came by the other node waits for the owner");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_is_counted_once_for_all_nodes() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = (World::new(database.open().await).await, database.open().await);
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    accepts_many(&world, app).await;
    assert_eq!(claims_at(&*world.store, &world, endpoint).await, 1);
    let counted = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while (other.backlog().waiting_count, other.backlog().in_flight_count) != (9, 1) {
            other.ping().await.unwrap();
        }
    });
    assert!(counted.await.is_ok(), "{:?}", other.backlog());
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_has_locked_that_fell_asleep_over_it_another_one_takes() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let wire = Wire::to(cluster.socket()).await;
    let sleeper = node_by(database.url_by(wire.address())).await;
    let world = World::new(node(&database).await).await;
    let app = world.app().await;
    let endpoint = rated(&world, app).await.id;
    world.accepts(app).await;
    wire.hold_before("COMMIT\0");
    let (claiming, now) = (sleeper.clone(), world.now());
    let asleep = tokio::spawn(async move { claiming.claim(endpoint, 1, LEASE, now).await });
    let taken = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        wire.holds().await;
        while world.store.claim(endpoint, 1, LEASE, world.now()).await.unwrap().is_empty() {
            database.execute(FIRST_IS_DEAD).await;
        }
    });
    assert!(taken.await.is_ok(), "it is locked for ever");
    asleep.abort();
    database.drop().await;
}
