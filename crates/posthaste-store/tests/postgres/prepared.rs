//! Statements are prepared where a connection is one backend's, and nowhere else.

use std::sync::Arc;

use super::cluster::{Cluster, options};
use posthaste_store::Intake as _;
use posthaste_store::conformance::World;
use posthaste_store::postgres::PostgresStore;
use tokio::task::JoinSet;

/// Of each node at once.
const CALLERS: usize = 8;
const MESSAGES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_pooler_no_statement_is_taken_for_one_of_another_node() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let Some(url) = database.pooled_url() else { return };
    let first = PostgresStore::open(options(url.clone())).await.unwrap();
    let second = PostgresStore::open(options(url.clone())).await.unwrap();
    let third = PostgresStore::open(options(url)).await.unwrap();
    let world = Arc::new(World::new(first.clone()).await);
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let mut calls = JoinSet::new();
    for node in [first, second, third] {
        for _ in 0..CALLERS {
            let (node, world) = (Arc::clone(&node), Arc::clone(&world));
            calls.spawn(async move {
                for _ in 0..MESSAGES {
                    let accepted = node.accept(world.message(app), world.now()).await.unwrap();
                    assert_eq!(world.owed_to(app, accepted.message.id).await, [endpoint]);
                }
            });
        }
    }
    calls.join_all().await;
    database.drop().await;
}
