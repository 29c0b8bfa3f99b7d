//! What sources promise.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use posthaste_core::app::{AppChange, Reference};
use posthaste_core::attempt::Trigger;
use posthaste_core::cron;
use posthaste_core::delivery::{DeadLetter, DeliveryState, Verdict};
use posthaste_core::endpoint::{EndpointChange, Filter};
use posthaste_core::id::{EndpointId, MessageId};
use posthaste_core::limits::{
    DOORS_IN_GRACE_MAX, REFUSAL_BODY_BYTES_MAX, REFUSAL_RETENTION, REFUSALS_PER_SOURCE_MAX,
};
use posthaste_core::message::Message;
use posthaste_core::name::{EventTypeName, Tag, Uid};
use posthaste_core::origin::Origin;
use posthaste_core::source::{
    Answer, Config, Dedupe, DedupeBy, Door, NewSource, OnMismatch, Refusal, Rules, Schema, Source,
    SourceChange,
};
use posthaste_core::time::Timestamp;
use tokio::task::JoinSet;

use super::world::{LEASE, World};
use crate::directory::{Made, Owner, RotateSecret};
use crate::error::ChangeError;
use crate::page::{Cursor, Order, Page, PageRequest};
use crate::queue::NewRecover;
use crate::source::{NewReceived, Received, Repeats};

const NOT_FOUND: &str = "source not found";

fn said<T>(refused: Result<T, ChangeError>) -> String {
    refused.err().map(|error| error.to_string()).unwrap_or_default()
}

fn owner(source: &Source) -> Owner {
    Owner::Source(World::to(source.id))
}

async fn endpoint(world: &World, source: &Source) -> EndpointId {
    let new = world.new_endpoint();
    world.store.create_endpoint(world.environment, &owner(source), new, world.now()).await.unwrap().id
}

async fn message(world: &World, source: &Source, id: MessageId) -> Message {
    let found = world.store.message(world.environment, &source.app.into(), &World::to(id), true).await;
    found.unwrap()
}

async fn repeats(world: &World, source: &Source, id: MessageId) -> Repeats {
    world.store.repeats(world.environment, &source.app.into(), &World::to(id)).await.unwrap()
}

async fn behind(world: &World, door: &Door) -> Option<Source> {
    let found = world.store.door(door.hash(), world.now()).await.unwrap();
    found.map(|(environment, source)| {
        assert_eq!(environment, world.environment);
        source
    })
}

async fn changes(world: &World, source: &Source, change: SourceChange) -> Result<Source, ChangeError> {
    world.store.change_source(world.environment, &World::to(source.id), change, world.now()).await
}

async fn messages(world: &World, source: &Source) -> Vec<MessageId> {
    let filter = crate::history::MessageFilter::default();
    let page = PageRequest::first(Order::Ascending);
    let found = world.store.messages(world.environment, &source.app.into(), &filter, page, false).await;
    found.unwrap().rows.into_iter().map(|message| message.id).collect()
}

/// An origin with all that is awkward in it.
fn awkward_origin() -> Origin {
    let headers = [
        ("X-GitHub-Event", &b"push"[..]),
        ("X-Repeated", b"1"),
        ("x-gitlab-token", b"a-token-that-is-secret"),
        ("X-Repeated", b"2"),
        ("X-Empty", b""),
        ("X-Bytes", b"\xFF\xFE: \t|\x80"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec())).into();
    Origin { method: "PUT".to_owned(), path: String::new(), query: "a=%20b&&c".to_owned(), headers }
}

pub async fn what_was_received_is_there_with_its_origin_and_a_delivery_for_each_endpoint(world: World) {
    let source = world.source().await;
    let (first, second) = (endpoint(&world, &source).await, endpoint(&world, &source).await);
    let body = Bytes::from_static(b"\x00not \xFF JSON");
    let tags = vec![Tag::parse("verified").unwrap()];
    let new = NewReceived { origin: awkward_origin(), tags, body, ..world.received(&source) };
    let received = world.store.receive(new.clone(), world.now()).await.unwrap();
    assert_eq!(received, Received::New { message: new.id, deliveries_count: 2 });
    let kept = message(&world, &source, new.id).await;
    assert_eq!((kept.id, kept.app, kept.event_type), (new.id, source.app, new.event_type));
    assert_eq!((kept.tags, kept.created_at), (new.tags, world.now()));
    assert_eq!(kept.body, Some(new.body), "byte for byte");
    assert_eq!(kept.origin.as_deref(), Some(&awkward_origin()), "in order, repeated, byte for byte");
    assert_eq!(world.owed_to(source.app, new.id).await, [first, second]);
    let claimed = world.claims_one(first).await;
    assert_eq!(claimed.message.origin.as_deref(), Some(&awkward_origin()));
    assert_eq!((claimed.environment, claimed.trigger), (world.environment, Trigger::Scheduled));
}

pub async fn what_is_received_is_handed_over_leased_with_its_origin(world: World) {
    let desk = world.desk(true);
    let source = world.source().await;
    let endpoint = endpoint(&world, &source).await;
    let new = NewReceived { origin: awkward_origin(), ..world.received(&source) };
    world.store.receive(new.clone(), world.now()).await.unwrap();
    let taken = desk.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].message.id, taken[0].endpoint.id), (new.id, endpoint));
    assert_eq!(taken[0].message.origin.as_deref(), Some(&awkward_origin()));
    assert_eq!(*taken[0].message, message(&world, &source, new.id).await);
    assert_eq!(taken[0].lease.until, world.now().later(LEASE));
    assert!(world.claims(endpoint).await.is_empty());
}

pub async fn event_types_decide_which_endpoints_get_what_was_received(world: World) {
    let source = world.source().await;
    let everything = endpoint(&world, &source).await;
    let mut new = world.new_endpoint();
    new.filter = Filter { event_types: Some(vec![EventTypeName::parse("issues").unwrap()]), channels: None };
    let issues = new.id;
    world.store.create_endpoint(world.environment, &owner(&source), new, world.now()).await.unwrap();
    assert_eq!(world.owed_to(source.app, world.receives(&source).await).await, [everything]);
    let event_type = EventTypeName::parse("issues").unwrap();
    let new = NewReceived { event_type, ..world.received(&source) };
    let id = new.id;
    world.store.receive(new, world.now()).await.unwrap();
    assert_eq!(world.owed_to(source.app, id).await, [everything, issues]);
}

pub async fn what_was_received_and_nobody_wanted_is_kept(world: World) {
    let source = world.source().await;
    let new = world.received(&source);
    let received = world.store.receive(new.clone(), world.now()).await.unwrap();
    assert_eq!(received, Received::New { message: new.id, deliveries_count: 0 });
    assert_eq!(message(&world, &source, new.id).await.body, Some(new.body));
}

pub async fn a_key_that_comes_again_is_answered_with_the_first_message_and_only_counted(world: World) {
    let source = world.source().await;
    let endpoint = endpoint(&world, &source).await;
    let first = world.received_as(&source, 1);
    let received_at = world.now();
    world.store.receive(first.clone(), received_at).await.unwrap();
    assert_eq!(repeats(&world, &source, first.id).await, Repeats::default());
    let before = message(&world, &source, first.id).await;
    for count in 1..=3 {
        world.advance(Duration::from_mins(1));
        let again = NewReceived { body: Bytes::from_static(b"other"), ..world.received_as(&source, 1) };
        let received = world.store.receive(again, world.now()).await.unwrap();
        assert_eq!(received, Received::Repeated { first: first.id, repeats_count: count });
        let marked = repeats(&world, &source, first.id).await;
        assert_eq!(marked, Repeats { count, last_at: Some(world.now()) });
    }
    assert_eq!(messages(&world, &source).await, [first.id]);
    assert_eq!(message(&world, &source, first.id).await, before, "the message itself is as it was");
    assert_eq!(world.claims(endpoint).await.len(), 1);
    assert_eq!(world.store.backlog().in_flight_count, 1);
}

pub async fn without_a_key_or_with_another_a_request_is_new(world: World) {
    let source = world.source().await;
    world.store.receive(world.received_as(&source, 1), world.now()).await.unwrap();
    world.store.receive(world.received_as(&source, 2), world.now()).await.unwrap();
    world.receives(&source).await;
    world.receives(&source).await;
    assert_eq!(messages(&world, &source).await.len(), 4);
}

pub async fn the_same_key_at_another_source_is_another(world: World) {
    let (source, other) = (world.source().await, world.source().await);
    for source in [&source, &other] {
        let new = world.received_as(source, 1);
        let received = world.store.receive(new.clone(), world.now()).await.unwrap();
        assert_eq!(received, Received::New { message: new.id, deliveries_count: 0 });
    }
}

pub async fn a_key_is_free_again_after_its_window_whether_or_not_it_was_swept(world: World) {
    let source = world.source().await;
    let first = world.received_as(&source, 1);
    world.store.receive(first.clone(), world.now()).await.unwrap();
    world.advance(Duration::from_mins(59));
    let repeated = world.store.receive(world.received_as(&source, 1), world.now()).await.unwrap();
    assert_eq!(repeated, Received::Repeated { first: first.id, repeats_count: 1 });
    world.advance(Duration::from_mins(1));
    let second = world.received_as(&source, 1);
    let received = world.store.receive(second.clone(), world.now()).await.unwrap();
    assert_eq!(received, Received::New { message: second.id, deliveries_count: 0 }, "it is not prolonged");
    let repeated = world.store.receive(world.received_as(&source, 1), world.now()).await.unwrap();
    assert_eq!(repeated, Received::Repeated { first: second.id, repeats_count: 1 });
    world.advance(Duration::from_mins(61));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    let third = world.received_as(&source, 1);
    let received = world.store.receive(third.clone(), world.now()).await.unwrap();
    assert_eq!(received, Received::New { message: third.id, deliveries_count: 0 });
}

pub async fn of_requests_that_race_with_one_key_one_becomes_a_message(world: World) {
    const RACERS: usize = 64;
    let source = world.source().await;
    endpoint(&world, &source).await;
    let mut racing = JoinSet::new();
    for _ in 0..RACERS {
        let (store, new, now) = (world.store.clone(), world.received_as(&source, 1), world.now());
        racing.spawn(async move { store.receive(new, now).await.unwrap() });
    }
    let (mut made, mut firsts, mut counts) = (vec![], vec![], vec![]);
    while let Some(received) = racing.join_next().await {
        match received.unwrap() {
            Received::New { message, .. } => made.push(message),
            Received::Repeated { first, repeats_count } => {
                firsts.push(first);
                counts.push(usize::try_from(repeats_count).unwrap());
            }
        }
    }
    assert_eq!(made.len(), 1);
    assert!(firsts.iter().all(|first| *first == made[0]));
    counts.sort_unstable();
    assert_eq!(counts, (1..RACERS).collect::<Vec<_>>(), "each repetition counted once");
    assert_eq!(messages(&world, &source).await, made);
    assert_eq!(world.owed_to(source.app, made[0]).await.len(), 1);
}

pub async fn a_repetition_of_a_message_that_was_forgotten_is_still_known(world: World) {
    let source = world.source().await;
    let first = world.received_as(&source, 1);
    world.store.receive(first.clone(), world.now()).await.unwrap();
    world.advance(Duration::from_mins(10));
    assert_eq!(world.store.forget(world.now(), world.now()).await.unwrap().messages_count, 1);
    let repeated = world.store.receive(world.received_as(&source, 1), world.now()).await.unwrap();
    assert_eq!(repeated, Received::Repeated { first: first.id, repeats_count: 1 });
    assert!(messages(&world, &source).await.is_empty());
}

pub async fn nothing_is_received_at_a_source_that_is_unknown_foreign_or_deleted(world: World) {
    let (source, other) = (world.source().await, world.source().await);
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let customer = world.app().await;
    let unknown = NewReceived { source: world.id(), app: world.id(), ..world.received_as(&source, 1) };
    let foreign = NewReceived { environment: elsewhere, ..world.received_as(&source, 1) };
    let of_another = NewReceived { app: other.app, ..world.received_as(&source, 1) };
    let of_a_customer = NewReceived { app: customer, ..world.received_as(&source, 1) };
    for new in [unknown, foreign, of_another, of_a_customer] {
        assert_eq!(said(world.store.receive(new, world.now()).await), NOT_FOUND);
    }
    let first = world.received_as(&source, 1);
    let received = world.store.receive(first, world.now()).await.unwrap();
    assert!(matches!(received, Received::New { .. }), "a refusal takes no key");
    world.store.delete_source(world.environment, &World::to(source.id), world.now()).await.unwrap();
    for number in [1, 2] {
        let refused = world.store.receive(world.received_as(&source, number), world.now()).await;
        assert_eq!(said(refused), NOT_FOUND);
    }
    world.receives(&other).await;
}

pub async fn an_expunged_message_keeps_no_origin(world: World) {
    let source = world.source().await;
    let id = world.receives(&source).await;
    let app = Reference::from(source.app);
    let without_body = world.store.message(world.environment, &app, &World::to(id), false).await.unwrap();
    assert_eq!((without_body.body, without_body.origin), (None, None));
    world.store.expunge_message(world.environment, &app, &World::to(id)).await.unwrap();
    let kept = message(&world, &source, id).await;
    assert_eq!((kept.body, kept.origin), (None, None));
}

pub async fn what_was_received_is_kept_no_longer_than_its_source_says(world: World) {
    let source = world.source().await;
    let at = world.now().later(Duration::from_secs(60));
    let new = NewReceived { expunge_at: Some(at), ..world.received(&source) };
    let (short, long) = (new.id, world.receives(&source).await);
    world.store.receive(new, world.now()).await.unwrap();
    world.advance(Duration::from_secs(59));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert!(message(&world, &source, short).await.body.is_some());
    world.advance(Duration::from_secs(1));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    let kept = message(&world, &source, short).await;
    assert_eq!((kept.body, kept.origin), (None, None));
    assert!(message(&world, &source, long).await.body.is_some());
}

pub async fn a_source_reads_back_as_it_was_made_by_id_by_uid_and_by_its_door(world: World) {
    let source = world
        .source_with(|new| {
            new.uid = Some(Uid::parse("github-main").unwrap());
            new.metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
            new.rules = Rules {
                dedupe: Dedupe { by: DedupeBy::Json("/id".to_owned()), window: Duration::from_hours(2) },
                allowed_networks: vec!["192.0.2.0/24".parse().unwrap()],
                rate_per_second: std::num::NonZeroU16::new(9),
                body_bytes_max: 1_000,
                methods: vec!["POST".to_owned(), "GET".to_owned()],
                schema: Some(Schema { document: "{}".to_owned(), on_mismatch: OnMismatch::Flag }),
                answer: Answer {
                    status: 204,
                    delay: Duration::from_millis(5),
                    sequence: vec![500, 503, 200],
                    fail_percent: std::num::NonZeroU8::new(30),
                    ..Answer::default()
                },
                keep: Some(Duration::from_hours(24)),
            };
        })
        .await;
    assert_eq!((source.created_at, source.updated_at), (world.now(), world.now()));
    assert_eq!(source.config, Config::new("{\"secret\":\"a-provider-secret\"}".to_owned()));
    for reference in [World::to(source.id), Reference::new("github-main")] {
        assert_eq!(world.store.source(world.environment, &reference).await.unwrap(), source);
    }
    assert_eq!(behind(&world, &source.door).await, Some(source));
    assert_eq!(behind(&world, &Door::fresh(&world.dice)).await, None);
}

pub async fn the_uid_of_a_source_is_taken_until_it_is_deleted(world: World) {
    let named = |name: &str| {
        let mut new = world.new_source();
        new.uid = Some(Uid::parse(name).unwrap());
        world.store.create_source(world.environment, new, world.now())
    };
    let first = named("main").await.unwrap();
    assert_eq!(said(named("main").await), "a source with this uid already exists");
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let mut new = world.new_source();
    new.uid.clone_from(&first.uid);
    world.store.create_source(elsewhere, new, world.now()).await.unwrap();
    world.store.create_app(world.environment, world.new_app(Some("main")), false, world.now()).await.unwrap();
    let other = named("other").await.unwrap();
    let rename = SourceChange { uid: Some(first.uid.clone()), ..SourceChange::default() };
    assert!(matches!(changes(&world, &other, rename.clone()).await, Err(ChangeError::Taken(_))));
    changes(&world, &first, rename).await.unwrap();
    world.store.delete_source(world.environment, &World::to(first.id), world.now()).await.unwrap();
    named("main").await.unwrap();
}

pub async fn a_source_changes_in_what_the_change_names_and_nothing_else(world: World) {
    let source = world.source().await;
    world.advance(Duration::from_secs(1));
    let config = Config::new("{\"secret\":\"another\"}".to_owned());
    let change = SourceChange { config: Some(config.clone()), ..SourceChange::default() };
    let expected = Source { config, updated_at: world.now(), ..source.clone() };
    assert_eq!(changes(&world, &source, change).await.unwrap(), expected);
    assert_eq!(behind(&world, &source.door).await, Some(expected.clone()));
    let change = SourceChange {
        name: Some("Renamed".to_owned()),
        uid: Some(Some(Uid::parse("u").unwrap())),
        provider: Some("stripe".to_owned()),
        rules: Some(Rules { methods: vec!["PUT".to_owned()], ..Rules::default() }),
        paused: Some(true),
        metadata: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
        ..SourceChange::default()
    };
    let changed = changes(&world, &source, change.clone()).await.unwrap();
    assert_eq!(Some(&changed.name), change.name.as_ref());
    assert_eq!(
        (Some(&changed.uid), Some(&changed.provider)),
        (change.uid.as_ref(), change.provider.as_ref())
    );
    assert_eq!((Some(&changed.rules), changed.paused), (change.rules.as_ref(), true));
    assert_eq!((&changed.config, &changed.door, changed.app), (&expected.config, &source.door, source.app));
    assert_eq!(world.store.app(world.environment, &source.app.into()).await.unwrap().name, "Renamed");
    let nameless = SourceChange { uid: Some(None), ..SourceChange::default() };
    assert_eq!(changes(&world, &source, nameless).await.unwrap().uid, None);
}

pub async fn a_source_that_is_no_longer_as_it_was_read_is_not_changed(world: World) {
    let read = world.source().await;
    let other = Config::new("{\"secret\":\"quicker\"}".to_owned());
    let quicker = SourceChange {
        config: Some(other.clone()),
        config_was: Some(read.config.clone()),
        rules: Some(Rules { methods: vec!["PUT".to_owned()], ..Rules::default() }),
        rules_were: Some(read.rules.clone()),
        ..SourceChange::default()
    };
    let now = changes(&world, &read, quicker).await.unwrap();
    assert_eq!((&now.config, &*now.rules.methods), (&other, &["PUT".to_owned()][..]));
    for was in [
        SourceChange { config_was: Some(read.config.clone()), ..SourceChange::default() },
        SourceChange { rules_were: Some(read.rules.clone()), ..SourceChange::default() },
    ] {
        let late = SourceChange { config: Some(read.config.clone()), paused: Some(true), ..was };
        assert!(matches!(changes(&world, &read, late).await, Err(ChangeError::Outdated(_))));
    }
    assert_eq!(behind(&world, &read.door).await, Some(now));
}

pub async fn sources_are_listed_by_id_both_ways_in_their_environment_only(world: World) {
    let mut made = vec![];
    for _ in 0..5 {
        made.push(world.source().await);
    }
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    world.store.create_source(elsewhere, world.new_source(), world.now()).await.unwrap();
    let gone = world.source().await;
    world.store.delete_source(world.environment, &World::to(gone.id), world.now()).await.unwrap();
    let list = async |cursor, order| {
        world.store.sources(world.environment, PageRequest { cursor, order, limit: 3 }).await.unwrap()
    };
    let first = list(Cursor::Start, Order::Ascending).await;
    assert_eq!((&first.rows[..], first.done), (&made[..3], false));
    let second = list(Cursor::After(made[2].id), Order::Ascending).await;
    assert_eq!((&second.rows[..], second.done), (&made[3..], true));
    let back = list(Cursor::Before(made[3].id), Order::Ascending).await;
    assert_eq!((&back.rows[..], back.done), (&made[..3], true));
    let newest = list(Cursor::Start, Order::Descending).await;
    assert_eq!(newest.rows[0], made[4]);
}

pub async fn sources_that_make_messages_of_their_own_are_read_by_page_and_no_others(world: World) {
    let ids = async |after, limit| {
        let found = world.store.cron_sources(after, limit).await.unwrap();
        found.into_iter().map(|(environment, source)| (environment, source.id)).collect::<Vec<_>>()
    };
    world.source().await;
    assert_eq!(ids(None, 10).await, []);
    let cron = async || world.source_with(|new| cron::PROVIDER.clone_into(&mut new.provider)).await;
    let (first, changed, second, gone) = (cron().await, cron().await, cron().await, cron().await);
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let foreign = NewSource { provider: cron::PROVIDER.to_owned(), ..world.new_source() };
    let foreign = world.store.create_source(elsewhere, foreign, world.now()).await.unwrap();
    let other = SourceChange { provider: Some("github".to_owned()), ..SourceChange::default() };
    changes(&world, &changed, other).await.unwrap();
    world.store.delete_source(world.environment, &World::to(gone.id), world.now()).await.unwrap();
    world.pauses(&second, true).await;
    let here = world.environment;
    assert_eq!(ids(None, 2).await, [(here, first.id), (here, second.id)]);
    assert_eq!(ids(Some(first.id), 10).await, [(here, second.id), (elsewhere, foreign.id)]);
    assert_eq!(ids(Some(foreign.id), 10).await, []);
    assert_eq!(world.store.cron_sources(None, 1).await.unwrap(), [(here, first)], "with all that it has");
}

pub async fn a_source_of_another_environment_or_a_deleted_one_is_not_found(world: World) {
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let (source, gone) = (world.source().await, world.source().await);
    world.store.delete_source(world.environment, &World::to(gone.id), world.now()).await.unwrap();
    assert_eq!(behind(&world, &gone.door).await, None, "its door is shut");
    let now = world.now();
    for (environment, source) in [(elsewhere, &source), (world.environment, &gone)] {
        let (store, reference, owner) = (&world.store, World::to(source.id), owner(source));
        let change = SourceChange::default();
        let grace = Duration::ZERO;
        let (door, page) = (Door::fresh(&world.dice), PageRequest::first(Order::Ascending));
        assert_eq!(said(store.source(environment, &reference).await), NOT_FOUND);
        assert_eq!(said(store.change_source(environment, &reference, change, now).await), NOT_FOUND);
        assert_eq!(said(store.delete_source(environment, &reference, now).await), NOT_FOUND);
        assert_eq!(said(store.rotate_door(environment, &reference, door, grace, now).await), NOT_FOUND);
        assert_eq!(said(store.refusals(environment, &reference, page).await), NOT_FOUND);
        let made = store.create_endpoint(environment, &owner, world.new_endpoint(), now).await;
        assert_eq!(said(made), NOT_FOUND);
        let page = PageRequest::first(Order::Ascending);
        assert_eq!(said(store.endpoints(environment, &owner, page).await), NOT_FOUND);
    }
    let id = world.receives(&source).await;
    let foreign = world.store.repeats(elsewhere, &source.app.into(), &World::to(id)).await;
    assert!(matches!(foreign, Err(ChangeError::NotFound(_))));
}

pub async fn the_app_of_a_source_is_hidden_from_lists_and_ends_with_its_source_only(world: World) {
    let source = world.source_with(|new| new.uid = Some(Uid::parse("main").unwrap())).await;
    let customer = world.app().await;
    let apps = world.store.apps(world.environment, PageRequest::first(Order::Ascending)).await.unwrap();
    assert_eq!(apps.rows.iter().map(|app| app.id).collect::<Vec<_>>(), [customer]);
    let app = Reference::from(source.app);
    let found = world.store.app(world.environment, &app).await.unwrap();
    assert_eq!((found.id, found.uid, &found.name), (source.app, None, &source.name));
    assert!(world.store.app(world.environment, &Reference::new("main")).await.is_err());
    let uid = Some(Some(Uid::parse("stolen").unwrap()));
    let change = AppChange { uid, ..AppChange::default() };
    let changed = world.store.change_app(world.environment, &app, change, world.now()).await;
    assert!(matches!(changed, Err(ChangeError::NotFound("application"))));
    let deleted = world.store.delete_app(world.environment, &app, world.now()).await;
    assert!(matches!(deleted, Err(ChangeError::NotFound("application"))));
    let new = world.new_app(Some("main"));
    let made = world.store.create_app(world.environment, new, true, world.now()).await.unwrap();
    assert!(matches!(made, Made::Created(_)), "a source's uid names no app");
    world.store.delete_source(world.environment, &World::to(source.id), world.now()).await.unwrap();
    assert!(world.store.app(world.environment, &app).await.is_err());
}

pub async fn a_sources_endpoints_are_those_of_its_app(world: World) {
    let source = world.source_with(|new| new.uid = Some(Uid::parse("main").unwrap())).await;
    let told = world.operational_endpoint().await;
    let (store, environment) = (&world.store, world.environment);
    let owner = Owner::Source(Reference::new("main"));
    let made = store.create_endpoint(environment, &owner, world.new_endpoint(), world.now()).await.unwrap();
    assert_eq!(made.app, source.app);
    let reference = World::to(made.id);
    for owner in [&owner, &Owner::App(source.app.into())] {
        assert_eq!(store.endpoint(environment, owner, &reference).await.unwrap(), made);
        let page = PageRequest::first(Order::Ascending);
        let listed = store.endpoints(environment, owner, page).await.unwrap();
        assert_eq!(listed, Page { rows: vec![made.clone()], done: true });
    }
    let change = EndpointChange { description: Some("d".to_owned()), ..EndpointChange::default() };
    let changed = store.change_endpoint(environment, &owner, &reference, change, world.now()).await.unwrap();
    assert_eq!(changed.description, "d");
    let (secret, grace) = (world.secret(), Duration::ZERO);
    let rotate = RotateSecret {
        environment,
        owner: owner.clone(),
        endpoint: reference.clone(),
        secret: secret.clone(),
        grace,
    };
    assert_eq!(*store.rotate_secret(rotate, world.now()).await.unwrap().secrets.newest(), secret);
    store.delete_endpoint(environment, &owner, &reference, world.now()).await.unwrap();
    assert!(store.endpoint(environment, &owner, &reference).await.is_err());
    assert_eq!(world.told(told).await, ["endpoint.created", "endpoint.deleted", "endpoint.updated"]);
}

pub async fn what_was_received_is_seen_resent_and_recovered_like_any_message(world: World) {
    let source = world.source().await;
    let endpoint = endpoint(&world, &source).await;
    let id = world.receives(&source).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 500, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    assert_eq!(world.attempts(source.app, id).await.len(), 1);
    let message = world.attempts(source.app, id).await.remove(0).message.unwrap();
    assert!(message.origin.is_some());
    world.resends(source.app, id, endpoint).await;
    let again = world.claims_one(endpoint).await;
    assert_eq!((again.trigger, again.message.origin.is_some()), (Trigger::Manual, true));
    world.tries(&again, 500, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    world.advance(Duration::from_secs(1));
    let recover = NewRecover {
        id: world.id(),
        environment: world.environment,
        app: source.app.into(),
        endpoint: World::to(endpoint),
        since: Timestamp::EPOCH,
        until: world.now(),
    };
    world.store.recover(recover, world.now()).await.unwrap();
    assert_eq!(world.store.step_job(world.now()).await.unwrap().unwrap().done_count, 1);
    assert_eq!(world.claims_one(endpoint).await.message.id, id);
}

pub async fn a_deleted_source_takes_its_endpoints_with_it_and_what_was_owed_ends(world: World) {
    let desk = world.desk(false);
    for paused in [false, true] {
        let source = world.source_with(|new| new.paused = paused).await;
        let endpoint = endpoint(&world, &source).await;
        let id = world.receives(&source).await;
        desk.due();
        world.store.delete_source(world.environment, &World::to(source.id), world.now()).await.unwrap();
        assert_eq!(desk.due(), [(endpoint, world.now())], "what waits ends now");
        assert_eq!(world.store.due_endpoints(None, 10, world.now()).await.unwrap(), [endpoint]);
        let claimed = world.claims_one(endpoint).await;
        assert_eq!((claimed.message.id, claimed.undeliverable()), (id, Some(DeadLetter::EndpointDeleted)));
        world.records(&claimed, None, Verdict::GiveUp(DeadLetter::EndpointDeleted)).await;
    }
}

pub async fn after_a_rotation_the_old_door_opens_for_its_grace(world: World) {
    let source = world.source().await;
    let rotate = async |grace| {
        let door = Door::fresh(&world.dice);
        let to = World::to(source.id);
        let rotated = world.store.rotate_door(world.environment, &to, door.clone(), grace, world.now()).await;
        assert_eq!(rotated.unwrap().door, door);
        door
    };
    let second = rotate(Duration::from_mins(10)).await;
    let opens = async |door: &Door| behind(&world, door).await.is_some();
    assert!(opens(&source.door).await && opens(&second).await);
    assert_eq!(
        behind(&world, &source.door).await.unwrap().door,
        second,
        "the old door leads to the new source"
    );
    world.advance(Duration::from_mins(5));
    let third = rotate(Duration::from_hours(1)).await;
    assert!(opens(&source.door).await && opens(&second).await && opens(&third).await);
    world.advance(Duration::from_mins(5));
    assert!(!opens(&source.door).await, "a second rotation lengthens no grace");
    assert!(opens(&second).await);
    let fourth = rotate(Duration::ZERO).await;
    assert!(!opens(&second).await && !opens(&third).await, "a door that leaked is shut at once");
    assert!(opens(&fourth).await);
}

pub async fn a_source_can_go_back_to_a_door_and_has_no_end_of_old_ones(world: World) {
    let source = world.source().await;
    let to = World::to(source.id);
    let mut doors = vec![source.door.clone()];
    let rotate = async |door: &Door| {
        world.advance(Duration::from_secs(1));
        let grace = Duration::from_hours(1);
        world.store.rotate_door(world.environment, &to, door.clone(), grace, world.now()).await.unwrap();
    };
    for _ in 0..=DOORS_IN_GRACE_MAX {
        doors.push(Door::fresh(&world.dice));
        rotate(&doors[doors.len() - 1]).await;
    }
    assert_eq!(behind(&world, &doors[0]).await, None, "the oldest went");
    assert!(behind(&world, &doors[1]).await.is_some());
    rotate(&doors[5]).await;
    world.advance(Duration::from_hours(1));
    assert!(behind(&world, &doors[5]).await.is_some(), "it is the door now");
    assert_eq!(behind(&world, &doors[doors.len() - 1]).await, None);
}

pub async fn each_change_of_a_source_shows_in_the_number_of_changes(world: World) {
    let store = &world.store;
    let mut last = store.source_changes();
    let mut grew = |what: &str| {
        let now = world.store.source_changes();
        assert!(now > last, "{what}");
        last = now;
    };
    let source = world.source().await;
    grew("made");
    let to = World::to(source.id);
    changes(&world, &source, SourceChange { paused: Some(true), ..SourceChange::default() }).await.unwrap();
    grew("changed");
    let door = Door::fresh(&world.dice);
    store.rotate_door(world.environment, &to, door, Duration::ZERO, world.now()).await.unwrap();
    grew("rotated");
    store.delete_source(world.environment, &to, world.now()).await.unwrap();
    grew("deleted");
    let other = world.source().await;
    let before = store.source_changes();
    world.receives(&other).await;
    world.app().await;
    assert_eq!(store.source_changes(), before, "nothing else is a change of a source");
}

pub async fn while_a_source_is_paused_it_receives_and_nothing_goes_out(world: World) {
    let desk = world.desk(true);
    let source = world.source().await;
    let endpoint = endpoint(&world, &source).await;
    let (other_app, now) = (world.app().await, world.now());
    let other = world.endpoint(other_app).await;
    world.pauses(&source, true).await;
    let id = world.receives(&source).await;
    assert!(desk.taken().is_empty() && desk.due().is_empty(), "the engine hears nothing of it");
    assert!(matches!(world.state(source.app, id).await, DeliveryState::Waiting { .. }));
    assert_eq!(world.store.backlog().waiting_count, 1);
    let waiting = world.accepts_with(other_app, |new| new.deliver_at = Some(now)).await;
    world.advance(Duration::from_hours(1));
    assert_eq!(world.store.due_endpoints(None, 10, world.now()).await.unwrap(), [other]);
    assert_eq!(world.store.oldest_due().await.unwrap(), Some(now), "what is paused is not late");
    assert!(world.claims(endpoint).await.is_empty());
    world.resends(source.app, id, endpoint).await;
    assert!(world.claims(endpoint).await.is_empty(), "not by hand either");
    world.tries(&world.claims_one(other).await, 200, Verdict::Delivered).await;
    assert_eq!(world.state(other_app, waiting).await, DeliveryState::Delivered);
    assert_eq!(world.store.oldest_due().await.unwrap(), None);
}

pub async fn a_source_that_goes_on_sends_at_once_what_waited(world: World) {
    let desk = world.desk(true);
    let source = world.source_with(|new| new.paused = true).await;
    let (first, second) = (endpoint(&world, &source).await, endpoint(&world, &source).await);
    let id = world.receives(&source).await;
    world.advance(Duration::from_hours(1));
    desk.due();
    world.pauses(&source, false).await;
    assert_eq!(desk.due(), [(first, world.now()), (second, world.now())]);
    assert_eq!(world.store.due_endpoints(None, 10, world.now()).await.unwrap(), [first, second]);
    assert_eq!(world.claims_one(first).await.message.id, id);
    world.receives(&source).await;
    assert_eq!(desk.taken().len(), 2, "what comes now is handed over again");
    world.pauses(&source, false).await;
    assert!(desk.due().is_empty(), "it was not paused");
}

pub async fn a_retry_waits_for_the_end_of_a_pause_and_its_own_time(world: World) {
    let source = world.source().await;
    let endpoint = endpoint(&world, &source).await;
    let id = world.receives(&source).await;
    let claimed = world.claims_one(endpoint).await;
    world.pauses(&source, true).await;
    let due = world.now().later(Duration::from_mins(5));
    world.tries(&claimed, 500, Verdict::RetryAt(due)).await;
    assert_eq!(world.state(source.app, id).await, DeliveryState::Waiting { due }, "it was on its way");
    world.advance(Duration::from_mins(10));
    assert!(world.claims(endpoint).await.is_empty());
    assert!(world.store.due_endpoints(None, 10, world.now()).await.unwrap().is_empty());
    world.pauses(&source, false).await;
    let again = world.claims_one(endpoint).await;
    assert_eq!((again.message.id, again.attempts_made), (id, 1));
}

pub async fn what_waits_for_a_deleted_endpoint_of_a_paused_source_ends(world: World) {
    let source = world.source_with(|new| new.paused = true).await;
    let endpoint = endpoint(&world, &source).await;
    world.receives(&source).await;
    world.deletes(source.app, endpoint).await;
    assert_eq!(world.store.due_endpoints(None, 10, world.now()).await.unwrap(), [endpoint]);
    let claimed = world.claims_one(endpoint).await;
    assert_eq!(claimed.undeliverable(), Some(DeadLetter::EndpointDeleted));
}

fn refusal(world: &World, source: &Source) -> Refusal {
    Refusal {
        id: world.id(),
        source: source.id,
        at: world.now(),
        status: 401,
        reason: "the signature does not match".to_owned(),
        origin: awkward_origin(),
        body: Bytes::from_static(b"\xFFbody"),
        body_bytes_count: 5,
        remote: Some([192, 0, 2, 7].into()),
    }
}

async fn refused(world: &World, source: &Source, order: Order) -> Vec<Refusal> {
    let page = PageRequest { limit: 2_000, ..PageRequest::first(order) };
    world.store.refusals(world.environment, &World::to(source.id), page).await.unwrap().rows
}

pub async fn a_refused_request_reads_back_at_its_own_source(world: World) {
    let (source, other) = (world.source().await, world.source().await);
    let first = refusal(&world, &source);
    let second = Refusal { remote: Some("2001:db8::1".parse().unwrap()), ..refusal(&world, &source) };
    let third = Refusal { remote: None, body: Bytes::new(), ..refusal(&world, &source) };
    for refusal in [&first, &second, &third] {
        world.store.refuse(refusal.clone(), world.now()).await.unwrap();
    }
    let newest_first = [third, second.clone(), first.clone()];
    assert_eq!(refused(&world, &source, Order::Descending).await, newest_first);
    let page = PageRequest { cursor: Cursor::After(first.id), order: Order::Ascending, limit: 1 };
    let page = world.store.refusals(world.environment, &World::to(source.id), page).await.unwrap();
    assert_eq!(page, Page { rows: vec![second], done: false });
    assert!(refused(&world, &other, Order::Ascending).await.is_empty());
    assert!(messages(&world, &source).await.is_empty());
}

pub async fn of_a_long_refused_body_the_beginning_is_kept_and_its_length(world: World) {
    let source = world.source().await;
    let body = Bytes::from(vec![b'x'; REFUSAL_BODY_BYTES_MAX + 1]);
    let long = Refusal { body_bytes_count: body.len() as u64, body, ..refusal(&world, &source) };
    world.store.refuse(long.clone(), world.now()).await.unwrap();
    let kept = refused(&world, &source, Order::Ascending).await.remove(0);
    assert_eq!(kept.body, long.body[..REFUSAL_BODY_BYTES_MAX]);
    assert_eq!(kept.body_bytes_count, long.body_bytes_count);
}

pub async fn the_oldest_refused_requests_go_when_a_source_has_too_many(world: World) {
    let (source, other) = (world.source().await, world.source().await);
    let kept = refusal(&world, &other);
    world.store.refuse(kept.clone(), world.now()).await.unwrap();
    let mut writing = JoinSet::new();
    let mut ids = vec![];
    for _ in 0..REFUSALS_PER_SOURCE_MAX + 5 {
        let refusal = refusal(&world, &source);
        ids.push(refusal.id);
        let (store, now) = (world.store.clone(), world.now());
        writing.spawn(async move { store.refuse(refusal, now).await.unwrap() });
    }
    while writing.join_next().await.is_some() {}
    let left = refused(&world, &source, Order::Ascending).await;
    assert_eq!(left.len(), REFUSALS_PER_SOURCE_MAX);
    assert_eq!(left[0].id, ids[5], "those that came first went");
    assert_eq!(refused(&world, &other, Order::Ascending).await, [kept]);
}

pub async fn nothing_is_kept_of_what_a_source_that_is_gone_refused(world: World) {
    let source = world.source().await;
    world.store.delete_source(world.environment, &World::to(source.id), world.now()).await.unwrap();
    world.store.refuse(refusal(&world, &source), world.now()).await.unwrap();
    world.advance(REFUSAL_RETENTION);
    assert!(!world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap().more);
}

pub async fn refused_requests_are_forgotten_in_time_and_counted_anew(world: World) {
    let source = world.source().await;
    let old = refusal(&world, &source);
    world.store.refuse(old, world.now()).await.unwrap();
    world.advance(Duration::from_hours(1));
    let young = refusal(&world, &source);
    world.store.refuse(young.clone(), world.now()).await.unwrap();
    world.advance(REFUSAL_RETENTION.saturating_sub(Duration::from_mins(30)));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(refused(&world, &source, Order::Ascending).await, [young]);
    for _ in 1..REFUSALS_PER_SOURCE_MAX {
        world.store.refuse(refusal(&world, &source), world.now()).await.unwrap();
    }
    assert_eq!(refused(&world, &source, Order::Ascending).await.len(), REFUSALS_PER_SOURCE_MAX);
}
