//! What many days cost: a measurement, run by hand.
//!
//! `cargo nextest run -p posthaste-store --test postgres --run-ignored only --no-capture what_many_days_cost`

use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_core::delivery::Verdict;
use posthaste_core::id::{AppId, MessageId};
use posthaste_store::conformance::World;
use posthaste_store::history::{AttemptFilter, MessageFilter};
use posthaste_store::page::{Order, PageRequest};
use posthaste_store::postgres::PostgresStore;
use tokio::task::JoinSet;

use super::cluster::{Cluster, options};

const BATCH: usize = 64;
const ROUNDS: usize = 50;

/// The tenth and the fiftieth of a hundred: the machine that this runs on has other things to do.
fn say(what: &str, mut took: Vec<Duration>) {
    took.sort();
    eprintln!("  {what}: p10 {:?}, p50 {:?}", took[took.len() / 10], took[took.len() / 2]);
}

async fn accept_a_batch(world: &World, app: AppId) {
    let mut batch = JoinSet::new();
    for _ in 0..BATCH {
        let (store, new, now) = (world.store.clone(), world.message(app), world.now());
        batch.spawn(async move { store.accept(new, now).await.unwrap() });
    }
    batch.join_all().await;
}

async fn measure(store: Arc<PostgresStore>, days: u32) {
    let world = World::new(store).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for day in 0..days {
        let made = world.now().earlier(Duration::from_hours(24) * day);
        world.accepts_with(app, |new| new.id = MessageId::fresh(made, &world.dice)).await;
    }
    for claimed in world.claims(endpoint).await {
        world.tries(&claimed, 200, Verdict::Delivered).await;
    }
    let (mut accepts, mut claims, mut lists, mut attempts) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        accept_a_batch(&world, app).await;
        accepts.push(began.elapsed());
        let began = Instant::now();
        let claimed = world.claims(endpoint).await;
        claims.push(began.elapsed());
        let one = &claimed[0];
        world.tries(one, 200, Verdict::Delivered).await;
        let (environment, app, of) = (world.environment, app.into(), World::to(endpoint));
        let began = Instant::now();
        let page = PageRequest::first(Order::Descending);
        world.store.messages(environment, &app, &MessageFilter::default(), page, false).await.unwrap();
        lists.push(began.elapsed());
        let began = Instant::now();
        let (page, filter) = (PageRequest::first(Order::Descending), AttemptFilter::default());
        world.store.attempts_of_endpoint(environment, &app, &of, &filter, page).await.unwrap();
        attempts.push(began.elapsed());
    }
    say("64 accepts at once", accepts);
    say("a claim", claims);
    say("a page of messages", lists);
    say("a page of an endpoint's attempts", attempts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn what_many_days_cost() {
    let Some(cluster) = Cluster::running().await else { return };
    for days in [1, 30, 90] {
        for pooled in [false, true] {
            let database = cluster.database().await;
            let url = if pooled { database.pooled_url() } else { Some(database.url()) };
            if let Some(url) = url {
                eprintln!("{days} days{}:", if pooled { ", through a pooler" } else { "" });
                measure(PostgresStore::open(options(url)).await.unwrap(), days).await;
            }
            database.drop().await;
        }
    }
}
