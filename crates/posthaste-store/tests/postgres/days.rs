//! Messages and attempts lie in days: days are made when they are needed, by whichever node is first, and go as a whole.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::delivery::Verdict;
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId, MessageKind};
use posthaste_core::name::Uid;
use posthaste_core::time::Timestamp;
use posthaste_store::conformance::World;
use posthaste_store::history::{AttemptFilter, MessageFilter};
use posthaste_store::page::{Cursor, Order, Page, PageRequest};
use posthaste_store::postgres::PostgresStore;
use posthaste_store::queue::Forgotten;
use tokio::task::JoinSet;

use super::cluster::{Cluster, Database, options};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// The day on which a world begins, at eight in the morning.
const FIRST: &str = "20270115";

async fn has_day(database: &Database<'_>, day: &str) -> bool {
    let sql = format!(
        "SELECT relname FROM pg_class WHERE relname IN ('message_{day}', 'attempt_{day}') AND relkind = 'r'"
    );
    let tables = database.texts(&sql).await;
    assert!(
        tables.is_empty() || tables.len() == 2,
        "a day is a table of messages and one of attempts: {tables:?}"
    );
    !tables.is_empty()
}

async fn count(database: &Database<'_>, of: &str) -> String {
    database.texts(&format!("SELECT count(*) FROM {of}")).await.remove(0)
}

async fn is_there(world: &World, app: AppId, message: MessageId) -> bool {
    let message = World::to::<MessageKind>(message);
    world.store.message(world.environment, &app.into(), &message, true).await.is_ok()
}

/// Forgets what is older until there is no more; returns how many messages went.
async fn forgets(world: &World, kept_for: Duration) -> u64 {
    let mut count = 0;
    loop {
        let forgotten = forgets_a_step(world, kept_for).await;
        count += forgotten.messages_count;
        if !forgotten.more {
            return count;
        }
    }
}

async fn forgets_a_step(world: &World, kept_for: Duration) -> Forgotten {
    world.store.forget(world.now().earlier(kept_for), world.now()).await.unwrap()
}

async fn delivers(world: &World, endpoint: EndpointId) {
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 200, Verdict::Delivered).await;
}

fn with_event_id(new: &mut posthaste_store::intake::NewMessage) {
    new.event_id = Uid::parse("evt-1").ok();
}

async fn drops_a_day(database: &Database<'_>, store: Arc<PostgresStore>) {
    let world = World::new(store).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let old = world.accepts_with(app, with_event_id).await;
    delivers(&world, endpoint).await;
    world.advance(DAY);
    let young = world.accepts(app).await;
    delivers(&world, endpoint).await;
    world.advance(DAY);
    assert_eq!(forgets(&world, 2 * DAY).await, 0, "its day is not over at that time");
    assert!(is_there(&world, app, old).await);
    world.advance(DAY);
    assert_eq!(forgets(&world, 2 * DAY).await, 1);
    assert!(!has_day(database, FIRST).await && has_day(database, "20270116").await);
    assert!(!is_there(&world, app, old).await && is_there(&world, app, young).await);
    assert_eq!(count(database, "delivery").await, "1");
    assert_eq!(count(database, "event_key").await, "0");
    assert_eq!(count(database, "day WHERE number = 20833").await, "0", "2027-01-15 is number 20833");
    world.accepts_with(app, with_event_id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_past_retention_is_dropped_as_a_whole() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    drops_a_day(&database, database.open().await).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_past_retention_is_dropped_as_a_whole_through_a_pooler() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    if let Some(url) = database.pooled_url() {
        drops_a_day(&database, PostgresStore::open(options(url)).await.unwrap()).await;
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_in_which_something_is_owed_stays() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let ended = world.accepts(app).await;
    delivers(&world, endpoint).await;
    let owed = world.accepts(app).await;
    world.advance(4 * DAY);
    assert_eq!(forgets(&world, 2 * DAY).await, 1);
    assert!(!is_there(&world, app, ended).await && is_there(&world, app, owed).await);
    assert!(has_day(&database, FIRST).await);
    let claimed = world.claims_one(endpoint).await;
    assert_eq!(claimed.message.id, owed);
    assert_eq!(forgets(&world, 2 * DAY).await, 0, "what is on its way is owed too");
    world.tries(&claimed, 200, Verdict::Delivered).await;
    assert_eq!(forgets(&world, 2 * DAY).await, 1);
    assert!(!has_day(&database, FIRST).await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_whose_tables_are_in_use_is_dropped_the_next_time() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    world.accepts(app).await;
    world.advance(4 * DAY);
    let (reader, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    reader.batch_execute("BEGIN; SELECT count(*) FROM message").await.unwrap();
    let forgotten = forgets_a_step(&world, 2 * DAY).await;
    assert_eq!((forgotten.messages_count, forgotten.more), (0, false));
    assert!(has_day(&database, FIRST).await);
    reader.batch_execute("COMMIT").await.unwrap();
    assert_eq!(forgets(&world, 2 * DAY).await, 1);
    assert!(!has_day(&database, FIRST).await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_makes_at_the_same_time_is_made_once() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = (World::new(database.open().await).await, database.open().await);
    let app = world.app().await;
    for day in 0..3 {
        world.advance(DAY);
        let mut racing = JoinSet::new();
        for number in 0..16 {
            let node: Arc<dyn posthaste_store::Store> =
                if number % 2 == 0 { world.store.clone() } else { other.clone() };
            let (new, now) = (world.message(app), world.now());
            racing.spawn(async move { node.accept(new, now).await.unwrap() });
        }
        assert_eq!(racing.join_all().await.len(), 16);
        assert_eq!(count(&database, "message").await, (16 * (day + 1)).to_string());
    }
    assert_eq!(count(&database, "day WHERE number > 20833").await, "3");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_another_node_dropped_is_made_again_when_it_is_needed() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (world, other) = (World::new(database.open().await).await, database.open().await);
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let late = world.message(app);
    world.accepts(app).await;
    delivers(&world, endpoint).await;
    world.advance(4 * DAY);
    let before = world.now().earlier(2 * DAY);
    while posthaste_store::Queue::forget(&*other, before, world.now()).await.unwrap().more {}
    assert!(!has_day(&database, FIRST).await);
    let late = world.store.accept(late, world.now()).await.unwrap().message.id;
    assert!(has_day(&database, FIRST).await && is_there(&world, app, late).await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_id_lies_outside_every_day_is_kept_and_found() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let today = world.accepts(app).await;
    let mut expected = vec![today];
    for made in ["2014-05-13T20:00:00Z", "2019-02-28T23:59:59Z", "2149-12-31T00:00:00Z"] {
        let id = MessageId::fresh(Timestamp::parse(made).unwrap(), &world.dice);
        expected.push(world.accepts_with(app, |new| new.id = id).await);
    }
    for message in &expected {
        assert!(is_there(&world, app, *message).await);
    }
    expected.sort();
    assert_eq!(listed(&world, app, Order::Ascending, 2).await, expected);
    let claimed = world.claims(endpoint).await;
    assert_eq!(claimed.len(), 4);
    database.drop().await;
}

/// All of an app's messages, read a few at a time.
async fn listed(world: &World, app: AppId, order: Order, limit: u16) -> Vec<MessageId> {
    let (mut all, mut cursor) = (vec![], Cursor::Start);
    loop {
        let request = PageRequest { cursor, order, limit };
        let filter = MessageFilter::default();
        let page =
            world.store.messages(world.environment, &app.into(), &filter, request, false).await.unwrap();
        all.extend(page.rows.iter().map(|message| message.id));
        if page.done {
            return all;
        }
        cursor = Cursor::After(*all.last().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_goes_on_from_day_to_day_in_both_directions() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let (app, quiet) = (world.app().await, world.app().await);
    let mut expected = vec![world.accepts(quiet).await];
    assert_eq!(listed(&world, quiet, Order::Descending, 5).await, expected);
    expected.clear();
    for _ in 0..20 {
        expected.push(world.accepts(app).await);
        expected.push(world.accepts(app).await);
        world.advance(DAY + HOUR);
    }
    for limit in [1, 7, 40, 100] {
        assert_eq!(listed(&world, app, Order::Ascending, limit).await, expected, "{limit} a page");
    }
    expected.reverse();
    for limit in [1, 7, 40, 100] {
        assert_eq!(listed(&world, app, Order::Descending, limit).await, expected, "{limit} a page");
    }
    let request = PageRequest { cursor: Cursor::Before(expected[30]), order: Order::Descending, limit: 3 };
    let (reference, filter) = (app.into(), MessageFilter::default());
    let page = world.store.messages(world.environment, &reference, &filter, request, false);
    let Page { rows, done } = page.await.unwrap();
    assert_eq!(rows.iter().map(|message| message.id).collect::<Vec<_>>(), expected[27..30]);
    assert!(!done);
    assert_eq!(listed(&world, quiet, Order::Descending, 5).await.len(), 1, "however old it is");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_for_an_old_message_comes_where_its_own_time_says() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let world = World::new(database.open().await).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let old = world.accepts(app).await;
    delivers(&world, endpoint).await;
    for _ in 0..12 {
        world.advance(DAY);
        world.accepts(app).await;
        delivers(&world, endpoint).await;
    }
    world.resends(app, old, endpoint).await;
    delivers(&world, endpoint).await;
    let mut pages: Vec<Vec<(AttemptId, MessageId)>> = vec![];
    for (order, limit) in [(Order::Descending, 3), (Order::Descending, 100), (Order::Ascending, 4)] {
        let (mut all, mut cursor) = (vec![], Cursor::Start);
        loop {
            let (request, filter) = (PageRequest { cursor, order, limit }, AttemptFilter::default());
            let (app, of, environment) = (app.into(), World::to(endpoint), world.environment);
            let page = world.store.attempts_of_endpoint(environment, &app, &of, &filter, request);
            let page = page.await.unwrap();
            all.extend(page.rows.iter().map(|row| (row.attempt.id, row.attempt.message)));
            if page.done {
                break;
            }
            cursor = Cursor::After(all.last().unwrap().0);
        }
        pages.push(all);
    }
    assert_eq!(pages[0].len(), 14);
    assert_eq!(pages[0][0].1, old, "it was tried last");
    assert_eq!(pages[0][13].1, old, "and first");
    assert!(pages[0].is_sorted_by_key(|(attempt, _)| std::cmp::Reverse(*attempt)));
    assert_eq!(pages[0], pages[1]);
    pages[2].reverse();
    assert_eq!(pages[0], pages[2]);
    database.drop().await;
}
