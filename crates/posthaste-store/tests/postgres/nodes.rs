//! Several nodes over one database: what one does the others see, and what goes wrong between them and the database harms
//! nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::cluster::{Cluster, Database, options};
use super::wire::Wire;
use posthaste_core::delivery::{Claimed, Verdict};
use posthaste_core::endpoint::EndpointChange;
use posthaste_core::id::{EndpointId, MessageId};
use posthaste_core::time::{TestClock, Timestamp};
use posthaste_store::conformance::World;
use posthaste_store::conformance::world::LEASE;

use posthaste_store::postgres::{PostgresOptions, PostgresStore};
use posthaste_store::queue::Record;
use posthaste_store::{ChangeError, History as _, Intake as _, Queue as _, StoreError};
use tokio::task::JoinSet;

/// Two nodes over one database: a world on the first, and the second's store.
async fn two_nodes(database: &Database<'_>) -> (World, Arc<PostgresStore>) {
    (World::new(database.open().await).await, database.open().await)
}

async fn accepted_by(node: &PostgresStore, world: &World, app: posthaste_core::id::AppId) -> MessageId {
    node.accept(world.message(app), world.now()).await.unwrap().message.id
}

#[tokio::test]
async fn another_main_secret_is_refused_in_one_sentence() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let main_secret = String::from("another").into();
    let options = PostgresOptions { main_secret, ..options(database.url()) };
    let refused = PostgresStore::open(options).await.map(drop).unwrap_err();
    assert_eq!(refused.to_string(), "POSTHASTE_MAIN_SECRET is not the one that this store was written with");
    database.open().await.ping().await.unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_open_an_empty_database_at_once_migrate_it_once() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.empty_database().await;
    let mut opening = JoinSet::new();
    for _ in 0..4 {
        opening.spawn(PostgresStore::open(options(database.url())));
    }
    for opened in opening.join_all().await {
        opened.unwrap().ping().await.unwrap();
    }
    database.drop().await;
}

/// In a database that was copied, a sequence has numbers that its own log does not know: a crash would give them again.
#[tokio::test]
async fn the_number_of_a_node_is_in_the_log_before_anybody_has_it() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let ahead = "SELECT log_cnt::text FROM node_number";
    database.execute("SELECT nextval('node_number')").await;
    assert_ne!(database.texts(ahead).await, ["0"], "a plain nextval is ahead of its log");
    let node = database.open().await;
    assert_eq!(database.texts(ahead).await, ["0"]);
    node.ping().await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_one_sentence() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    database.execute("INSERT INTO migration VALUES (99, 'x')").await;
    let refused = database.try_open().await.map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }), "{refused}");
    database.drop().await;
}

#[tokio::test]
async fn a_database_that_a_newer_version_only_expanded_is_worked_with() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    database.execute("INSERT INTO migration VALUES (99, 'x')").await;
    database.execute("UPDATE setting SET value = '99 1' WHERE name = 'works_with'").await;
    database
        .execute("ALTER TABLE delivery ADD COLUMN newer TEXT; ALTER TABLE app ADD COLUMN newer TEXT")
        .await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    assert_eq!(world.claims(endpoint).await.len(), 1);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_holds_that_leaves_is_due_again_at_once_and_its_row_is_gone() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let message = world.accepts(app).await;
    world.claims_one(endpoint).await;
    world.store.leave().await.unwrap();
    let taken = other.claim(endpoint, 10, LEASE, world.now()).await.unwrap();
    assert_eq!(taken.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [message]);
    // Only the other one is left, so nothing is taken over from anybody.
    database.execute("UPDATE node SET beat_at = beat_at - interval '1 hour' WHERE number = 1").await;
    assert_eq!(other.beat().await.unwrap(), 0);
    database.drop().await;
}

/// A node whose own clock shows this, with a heart that beats by hand.
async fn node_at(database: &Database<'_>, now: Timestamp) -> Arc<PostgresStore> {
    let clock = Some(Arc::new(TestClock::at(now)) as _);
    let options = PostgresOptions { clock, serving: false, ..options(database.url()) };
    let node = PostgresStore::open(options).await.unwrap();
    node.beat().await.unwrap();
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_wrong_takes_no_lease_for_over_that_is_not() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let hour = std::time::Duration::from_secs(3_600);
    let setup = World::new(database.open().await).await;
    let app = setup.app().await;
    let endpoint = setup.endpoint(app).await;
    setup.accepts(app).await;
    let (right, ahead) = (setup.now(), setup.now().later(hour));
    let (node, wrong) = (node_at(&database, right).await, node_at(&database, ahead).await);
    assert_eq!(node.claim(endpoint, 1, LEASE, right).await.unwrap().len(), 1);
    assert_eq!(wrong.release_expired(10, ahead).await.unwrap(), 0, "it is an hour ahead, and that is all");
    let over = "UPDATE delivery SET lease_until = lease_until - 3600000000 WHERE state = 1";
    database.execute(over).await;
    assert_eq!(wrong.release_expired(10, ahead).await.unwrap(), 1);
    // The other way round: what one leases that is behind lasts for others as long as it should.
    let taken = wrong.claim(endpoint, 1, LEASE, ahead).await.unwrap();
    assert_eq!(taken[0].lease.until, ahead.later(LEASE), "for its own engine by its own clock");
    assert_eq!(node.release_expired(10, right).await.unwrap(), 0);
    let shown = (wrong.commits().clock_ahead_micros - node.commits().clock_ahead_micros) / 1_000_000;
    assert!((3_595..3_605).contains(&shown), "{shown}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_bodies_than_memory_is_set_aside_for_are_refused_at_once() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let (admin, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute("BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..80 {
        let (store, mut new, now) = (world.store.clone(), world.message(app), world.now());
        new.body = vec![b'x'; 1 << 20].into();
        waiting.spawn(async move { store.accept(new, now).await });
    }
    let mut busy = 0;
    for _ in 0..16 {
        let heard = waiting.join_next().await.unwrap().unwrap();
        busy += usize::from(matches!(heard, Err(ChangeError::Store(StoreError::Busy(_)))));
    }
    assert_eq!(busy, 16, "64 MiB of bodies wait, and no more");
    assert_eq!(world.store.commits().shed_count, 16);
    admin.batch_execute("ROLLBACK").await.unwrap();
    for heard in waiting.join_all().await {
        heard.unwrap();
    }
    world.accepts(app).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_changes_of_an_endpoint_counts_for_the_next_message_of_another() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = two_nodes(&database).await;
    let app = world.app().await;
    let first = world.endpoint(app).await;
    for _ in 0..20 {
        let message = accepted_by(&other, &world, app).await;
        assert_eq!(world.owed_to(app, message).await, [first]);
        let late = world.endpoint(app).await;
        let message = accepted_by(&other, &world, app).await;
        assert_eq!(world.owed_to(app, message).await, [first, late], "it was made before");
        world.disables(app, late, true).await;
        let message = accepted_by(&other, &world, app).await;
        assert_eq!(world.owed_to(app, message).await, [first], "it was disabled before");
        world.disables(app, late, false).await;
        let filter = EndpointChange { event_types: Some(Some(vec![])), ..Default::default() };
        world.changes(app, late, filter).await;
        let message = accepted_by(&other, &world, app).await;
        assert_eq!(world.owed_to(app, message).await, [first], "it was narrowed before");
        world.deletes(app, late).await;
        let message = accepted_by(&other, &world, app).await;
        assert_eq!(world.owed_to(app, message).await, [first], "it was deleted before");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_nodes_hold_a_live_lease_on_one_delivery() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for _ in 0..100 {
        world.accepts(app).await;
    }
    let mut racing = JoinSet::new();
    for number in 0..20 {
        let node: Arc<dyn posthaste_store::Store> =
            if number % 2 == 0 { world.store.clone() } else { other.clone() };
        let now = world.now();
        racing.spawn(async move { node.claim(endpoint, 7, LEASE, now).await.unwrap() });
    }
    let claimed: Vec<_> = racing.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.iter().map(Claimed::key).collect::<HashSet<_>>().len(), claimed.len());
    // Whoever came while another one chose was passed by: the rest is still there.
    let rest = world.claims(endpoint).await.len();
    assert_eq!(claimed.len() + rest, 100);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_that_race_on_two_nodes_with_one_key_one_is_done() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = two_nodes(&database).await;
    let app = world.app().await;
    for _ in 0..10 {
        let key = world.key();
        let mut racing = JoinSet::new();
        for number in 0..16 {
            let new = world.message_with(app, |new| new.idempotency = Some(key.clone()));
            let node: Arc<dyn posthaste_store::Store> =
                if number % 2 == 0 { world.store.clone() } else { other.clone() };
            let now = world.now();
            racing.spawn(async move { node.accept(new, now).await.unwrap() });
        }
        let answers = racing.join_all().await;
        assert_eq!(answers.iter().filter(|answer| !answer.repeated).count(), 1);
        assert!(answers.iter().all(|answer| answer.message.id == answers[0].message.id));
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_holds_that_is_gone_another_one_delivers_once_its_lease_is_over() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = two_nodes(&database).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let message = world.accepts(app).await;
    let held = world.claims_one(endpoint).await;
    assert_eq!(other.release_expired(10, world.now()).await.unwrap(), 0);
    world.advance(LEASE);
    assert_eq!(other.release_expired(10, world.now()).await.unwrap(), 1);
    let again = other.claim(endpoint, 10, LEASE, world.now()).await.unwrap().remove(0);
    assert_eq!(again.message.id, message);
    // It wakes up, and changes nothing.
    let late = world.attempt(&held, 500);
    assert!(!world.records(&held, Some(late), Verdict::Delivered).await.fenced);
    world.tries(&again, 200, Verdict::Delivered).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_node_holds_is_taken_over_and_it_changes_nothing_when_it_wakes_up() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    // Their hearts beat by hand.
    let quiet = || PostgresOptions { serving: false, ..options(database.url()) };
    let node = PostgresStore::open(quiet()).await.unwrap();
    let other = PostgresStore::open(quiet()).await.unwrap();
    assert_eq!((node.beat().await.unwrap(), other.beat().await.unwrap()), (0, 0));
    let world = World::new(node.clone()).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let message = world.accepts(app).await;
    let held = world.claims_one(endpoint).await;
    assert_eq!(other.beat().await.unwrap(), 0, "it lives");
    database.execute("UPDATE node SET beat_at = beat_at - interval '1 hour' WHERE number = 1").await;
    assert_eq!(other.beat().await.unwrap(), 1);
    world.advance(LEASE / 2);
    let again = other.claim(endpoint, 10, LEASE, world.now()).await.unwrap().remove(0);
    assert_eq!(again.message.id, message);
    let late = world.attempt(&held, 500);
    let woken_up = world.records(&held, Some(late), Verdict::Delivered).await;
    assert!(!woken_up.fenced, "its lease is another one's now");
    // It is a node again, under another number.
    assert_eq!(node.beat().await.unwrap(), 0);
    let taken = world.attempt(&again, 200);
    let taken =
        Record { key: again.key(), lease: again.lease, attempt: Some(taken), verdict: Verdict::Delivered };
    assert!(other.record(taken, world.now()).await.unwrap().fenced);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_connections_were_cut_goes_on_by_itself() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let endpoint: EndpointId = world.endpoint(app).await;
    for _ in 0..5 {
        world.accepts(app).await;
        database
            .execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        world.accepts(app).await;
        world.app().await;
    }
    assert_eq!(world.claims(endpoint).await.len(), 10);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_ever_for_a_table_that_somebody_has_locked() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let (admin, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute("BEGIN; LOCK TABLE message IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..64 {
        let (store, new, now) = (world.store.clone(), world.message(app), world.now());
        waiting.spawn(async move { store.accept(new, now).await.is_err() });
    }
    // Not one after the other: those that wait for the same hear of it together.
    let heard = tokio::time::timeout(std::time::Duration::from_secs(20), waiting.join_all()).await;
    assert!(heard.unwrap().into_iter().all(|refused| refused));
    admin.batch_execute("ROLLBACK").await.unwrap();
    world.accepts(app).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_when_the_connection_broke_is_answered_for() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let wire = Wire::to(cluster.socket()).await;
    let store = PostgresStore::open(options(database.url_by(wire.address()))).await.unwrap();
    let world = World::new(store).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    for _ in 0..3 {
        // As a whole statement: BEGIN has a level with that in it.
        wire.break_behind("COMMIT\0");
        let message = world.accepts(app).await;
        assert_eq!(wire.broken_count(), 1, "the connection was broken");
        assert_eq!(world.owed_to(app, message).await, [endpoint]);
    }
    assert_eq!(world.claims(endpoint).await.len(), 4);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_commit_was_not_answered_is_due_again_with_the_next_beat() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let wire = Wire::to(cluster.socket()).await;
    let store = PostgresStore::open(options(database.url_by(wire.address()))).await.unwrap();
    let world = World::new(store.clone()).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    wire.break_behind("COMMIT\0");
    assert!(store.claim(endpoint, 10, LEASE, world.now()).await.is_err());
    assert_eq!(wire.broken_count(), 1, "the connection was broken");
    assert_eq!(world.claims(endpoint).await.len(), 0, "it is leased, and nobody knows to whom");
    store.beat().await.unwrap();
    assert_eq!(world.claims(endpoint).await.len(), 1);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_with_a_transaction_open_loses_its_locks_before_it_is_taken_for_dead() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let wire = Wire::to(cluster.socket()).await;
    let node = PostgresStore::open(options(database.url_by(wire.address()))).await.unwrap();
    let other = database.open().await;
    let world = World::new(node.clone()).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    let held = world.claims_one(endpoint).await;
    // The record is written, and its COMMIT is never said.
    wire.hold_before("COMMIT\0");
    let attempt = world.attempt(&held, 200);
    let late =
        Record { key: held.key(), lease: held.lease, attempt: Some(attempt), verdict: Verdict::Delivered };
    let (recording, now) = (Arc::clone(&node), world.now());
    let recording = tokio::spawn(async move { recording.record(late, now).await });
    wire.holds().await;
    database.execute("UPDATE node SET beat_at = beat_at - interval '1 hour' WHERE number = 1").await;
    // It waits for the lock until that is gone, or is asked again.
    let taken_over = async { while !other.beat().await.is_ok_and(|count| count == 1) {} };
    let within = std::time::Duration::from_secs(10);
    tokio::time::timeout(within, taken_over)
        .await
        .expect("the locks of one that stands still are not let go");
    assert_eq!(other.claim(endpoint, 10, LEASE, world.now()).await.unwrap().len(), 1);
    recording.abort();
    database.drop().await;
}
