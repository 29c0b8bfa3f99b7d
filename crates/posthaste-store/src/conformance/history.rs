//! What history promises.

use std::time::Duration;

use bytes::Bytes;
use posthaste_core::app::Reference;
use posthaste_core::attempt::{Outcome, Reply};
use posthaste_core::delivery::{DeadLetter, DeliveryState, Verdict};
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::limits::PAGE_BYTES_MAX;
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};

use super::world::World;
use crate::error::ChangeError;
use crate::history::{AttemptFilter, EndpointStats, MessageFilter, Status};
use crate::intake::NewMessage;
use crate::named::{Named, Place};
use crate::page::{Cursor, Order, PageRequest};

const SECOND: Duration = Duration::from_secs(1);

async fn listed(world: &World, app: AppId, filter: MessageFilter) -> Vec<MessageId> {
    let page = PageRequest::first(Order::Ascending);
    let found = world.store.messages(world.environment, &app.into(), &filter, page, false).await.unwrap();
    found.rows.into_iter().map(|message| message.id).collect()
}

pub async fn a_message_is_found_by_id_and_by_event_id_in_its_app_only(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let event_id = |new: &mut NewMessage| new.event_id = Some(Uid::parse("evt-1").unwrap());
    let id = world.accepts_with(app, event_id).await;
    for reference in [World::to(id), Reference::new("evt-1")] {
        let found = world.store.message(world.environment, &app.into(), &reference, true).await.unwrap();
        assert_eq!(found.id, id);
        for (environment, app) in [(elsewhere, app), (world.environment, other)] {
            let foreign = world.store.message(environment, &app.into(), &reference, true).await;
            assert!(matches!(foreign, Err(ChangeError::NotFound(_))));
        }
    }
    let bare = world.store.message(world.environment, &app.into(), &World::to(id), false).await.unwrap();
    assert_eq!(bare.body, None);
}

pub async fn messages_are_filtered_by_type_channel_tag_and_time(world: World) {
    let app = world.app().await;
    let type_of = |name| EventTypeName::parse(name).unwrap();
    let first = world.accepts_with(app, |new| new.channels = vec![Channel::parse("ab").unwrap()]).await;
    world.advance(SECOND);
    let between = world.now();
    world.advance(SECOND);
    let second = world
        .accepts_with(app, |new| {
            new.event_type = type_of("invoice.paid.late");
            new.tags = vec![Tag::parse("x").unwrap(), Tag::parse("y").unwrap()];
        })
        .await;
    let all = MessageFilter::default;
    assert_eq!(listed(&world, app, all()).await, [first, second]);
    let by_type = |names: &[&'static str]| Some(names.iter().map(|n| type_of(n)).collect());
    let cases = [
        (MessageFilter { event_types: by_type(&["invoice.paid"]), ..all() }, vec![first]),
        (MessageFilter { event_types: by_type(&["a", "invoice.paid.late"]), ..all() }, vec![second]),
        (MessageFilter { event_types: by_type(&["invoice"]), ..all() }, vec![]),
        (MessageFilter { channel: Channel::parse("ab").ok(), ..all() }, vec![first]),
        (MessageFilter { channel: Channel::parse("a").ok(), ..all() }, vec![]),
        (MessageFilter { tag: Tag::parse("y").ok(), ..all() }, vec![second]),
        (MessageFilter { before: Some(between), ..all() }, vec![first]),
        (MessageFilter { after: Some(between), ..all() }, vec![second]),
    ];
    for (filter, expected) in cases {
        assert_eq!(listed(&world, app, filter.clone()).await, expected, "{filter:?}");
    }
}

pub async fn messages_are_walked_by_id_both_ways(world: World) {
    let app = world.app().await;
    let mut ids = vec![];
    for _ in 0..5 {
        ids.push(world.accepts(app).await);
    }
    let page = async |cursor, order| {
        let page = PageRequest { cursor, order, limit: 2 };
        let filter = MessageFilter::default();
        let page = world.store.messages(world.environment, &app.into(), &filter, page, true).await.unwrap();
        assert!(page.rows.iter().all(|message| message.body.is_some()));
        (page.rows.into_iter().map(|message| message.id).collect::<Vec<_>>(), page.done)
    };
    let newest_first = Order::Descending;
    assert_eq!(page(Cursor::Start, newest_first).await, (vec![ids[4], ids[3]], false));
    assert_eq!(page(Cursor::After(ids[1]), newest_first).await, (vec![ids[0]], true));
    assert_eq!(page(Cursor::Before(ids[1]), newest_first).await, (vec![ids[3], ids[2]], false));
    assert_eq!(page(Cursor::Before(ids[2]), newest_first).await, (vec![ids[4], ids[3]], true));
    assert_eq!(page(Cursor::After(ids[2]), Order::Ascending).await, (vec![ids[3], ids[4]], true));
}

pub async fn an_attempt_reads_back_as_it_was_recorded(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let replied = Outcome::Replied(Reply {
        status: 418,
        headers: vec![
            header("Set-Cookie", b"a=1"),
            header("Set-Cookie", b"b: 2"),
            header("X-Latin", b"caf\xE9"),
            header("X-Empty", b""),
        ],
        body: Bytes::from_static(b"\0\xFFtea"),
        truncated: true,
    });
    for outcome in [replied, super::world::outcome(0), super::world::outcome(204)] {
        let message = world.accepts(app).await;
        let claimed = world.claims_one(endpoint).await;
        let mut attempt = world.attempt(&claimed, 200);
        attempt.outcome = outcome;
        world.records(&claimed, Some(attempt.clone()), Verdict::GiveUp(DeadLetter::Exhausted)).await;
        let reference = World::to(message);
        let found =
            world.store.attempt(world.environment, &app.into(), &reference, attempt.id).await.unwrap();
        assert_eq!(found.attempt, attempt);
        let succeeded = attempt.outcome.is_success();
        assert_eq!(found.status, if succeeded { Status::Success } else { Status::Fail });
        assert_eq!(found.message.map(|m| m.id), Some(message));
    }
}

/// One app, two endpoints: the first failed, then was delivered; the second waits after a failure.
async fn tried(world: &World) -> (AppId, MessageId, [EndpointId; 2], [AttemptId; 3]) {
    let app = world.app().await;
    let endpoints = [world.endpoint(app).await, world.endpoint(app).await];
    let message = world.accepts(app).await;
    let claimed = world.claims_one(endpoints[0]).await;
    let failed = world.tries(&claimed, 0, Verdict::RetryAt(world.now())).await;
    let claimed = world.claims_one(endpoints[0]).await;
    let delivered = world.tries(&claimed, 201, Verdict::Delivered).await;
    let claimed = world.claims_one(endpoints[1]).await;
    let later = Verdict::RetryAt(world.now().later(SECOND));
    let waiting = world.tries(&claimed, 503, later).await;
    (app, message, endpoints, [failed, delivered, waiting])
}

pub async fn attempts_are_filtered_by_status_class_endpoint_and_message(world: World) {
    let (app, message, endpoints, [failed, delivered, waiting]) = tried(&world).await;
    let all = AttemptFilter::default;
    let of_type = |name| MessageFilter {
        event_types: Some(vec![EventTypeName::parse(name).unwrap()]),
        ..Default::default()
    };
    let cases = [
        (all(), vec![failed, delivered, waiting]),
        (AttemptFilter { status: Some(Status::Success), ..all() }, vec![delivered]),
        (AttemptFilter { status: Some(Status::Fail), ..all() }, vec![failed, waiting]),
        (AttemptFilter { status: Some(Status::Pending), ..all() }, vec![waiting]),
        (AttemptFilter { status: Some(Status::Sending), ..all() }, vec![]),
        (AttemptFilter { status_class: Some(0), ..all() }, vec![failed]),
        (AttemptFilter { status_class: Some(500), ..all() }, vec![waiting]),
        (AttemptFilter { endpoint: Some(World::to(endpoints[1])), ..all() }, vec![waiting]),
        (AttemptFilter { message: of_type("invoice.paid"), ..all() }, vec![failed, delivered, waiting]),
        (AttemptFilter { message: of_type("other"), ..all() }, vec![]),
    ];
    for (filter, expected) in cases {
        let page = PageRequest::first(Order::Ascending);
        let (app, message) = (app.into(), World::to(message));
        let found = world.store.attempts_of_message(world.environment, &app, &message, &filter, page).await;
        let found: Vec<_> = found.unwrap().rows.into_iter().map(|row| row.attempt.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

pub async fn an_endpoints_attempts_are_its_own_and_come_by_page(world: World) {
    let (app, _, endpoints, [failed, delivered, _]) = tried(&world).await;
    let page = async |cursor| {
        let page = PageRequest { cursor, order: Order::Descending, limit: 1 };
        let (app, endpoint) = (app.into(), World::to(endpoints[0]));
        let filter = AttemptFilter::default();
        let found = world.store.attempts_of_endpoint(world.environment, &app, &endpoint, &filter, page).await;
        let found = found.unwrap();
        (found.rows[0].attempt.id, found.done)
    };
    assert_eq!(page(Cursor::Start).await, (delivered, false));
    assert_eq!(page(Cursor::After(delivered)).await, (failed, true));
    assert_eq!(page(Cursor::Before(failed)).await, (delivered, true));
}

pub async fn a_page_of_large_bodies_ends_early_and_says_that_there_is_more(world: World) {
    let app = world.app().await;
    let body = Bytes::from(vec![b'x'; PAGE_BYTES_MAX / 4]);
    let mut sent = vec![];
    for _ in 0..6 {
        sent.push(world.accepts_with(app, |new| new.body = body.clone()).await);
        world.advance(SECOND);
    }
    let page = async |cursor, with_body| {
        let page = PageRequest { cursor, order: Order::Ascending, limit: 6 };
        let filter = MessageFilter::default();
        let found =
            world.store.messages(world.environment, &app.into(), &filter, page, with_body).await.unwrap();
        (found.rows.into_iter().map(|message| message.id).collect::<Vec<_>>(), found.done)
    };
    assert_eq!(page(Cursor::Start, true).await, (sent[..4].to_vec(), false));
    assert_eq!(page(Cursor::After(sent[3]), true).await, (sent[4..].to_vec(), true));
    assert_eq!(page(Cursor::Before(sent[5]), true).await, (sent[1..5].to_vec(), false));
    assert_eq!(page(Cursor::Start, false).await, (sent.clone(), true));
}

pub async fn a_message_shows_where_each_of_its_deliveries_stands(world: World) {
    let (app, message, endpoints, _) = tried(&world).await;
    let found = world.destinations(app, message).await;
    assert_eq!(found[0].state, DeliveryState::Delivered);
    assert_eq!((found[0].endpoint.id, found[0].attempts_made), (endpoints[0], 2));
    assert!(matches!(found[1].state, DeliveryState::Waiting { .. }));
    world.deletes(app, endpoints[0]).await;
    assert_eq!(world.owed_to(app, message).await, endpoints, "it was a destination then");
}

pub async fn messages_say_how_many_of_their_deliveries_stand_how(world: World) {
    let (app, message, endpoints, _) = tried(&world).await;
    let (other_app, elsewhere) = (world.app().await, world.store.environment("elsewhere", world.now()).await);
    world.endpoint(other_app).await;
    let foreign = world.accepts(other_app).await;
    let asked = [message, foreign, world.id()];
    let standings = async |app: AppId, endpoint: Option<EndpointId>| {
        let endpoint = endpoint.map(World::to);
        let found = world.store.standings(world.environment, &app.into(), &asked, endpoint.as_ref()).await;
        found.unwrap()
    };
    let one = EndpointStats { success: 1, ..EndpointStats::default() };
    let other = EndpointStats { pending: 1, ..EndpointStats::default() };
    let both = EndpointStats { success: 1, ..other };
    assert_eq!(standings(app, None).await, [(message, both)], "another app's message is not told of");
    assert_eq!(standings(app, Some(endpoints[0])).await, [(message, one)]);
    assert_eq!(standings(app, Some(endpoints[1])).await, [(message, other)]);
    assert_eq!(standings(other_app, None).await, [(foreign, other)]);
    let foreign = world.store.standings(elsewhere.unwrap().id, &app.into(), &asked, None).await;
    assert!(matches!(foreign, Err(ChangeError::NotFound(_))));
}

pub async fn an_endpoint_shows_its_deliveries_and_how_many_stand_how(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let since = world.now();
    let mut messages = vec![];
    for _ in 0..5 {
        messages.push(world.accepts(app).await);
    }
    let claimed = world.store.claim(endpoint, 4, SECOND, world.now()).await.unwrap();
    world.tries(&claimed[0], 200, Verdict::Delivered).await;
    world.tries(&claimed[1], 200, Verdict::Delivered).await;
    world.tries(&claimed[2], 500, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    let (app, to) = (Reference::from(app), World::to(endpoint));
    let until = world.now().later(SECOND);
    let stats = world.store.endpoint_stats(world.environment, &app, &to, since, until).await.unwrap();
    assert_eq!(stats, EndpointStats { success: 2, pending: 1, sending: 1, fail: 1 });
    let none = world.store.endpoint_stats(world.environment, &app, &to, until, until.later(SECOND)).await;
    assert_eq!(none.unwrap(), EndpointStats::default());
    for (status, expected) in [
        (None, &messages[..]),
        (Some(Status::Success), &messages[..2]),
        (Some(Status::Fail), &messages[2..3]),
        (Some(Status::Sending), &messages[3..4]),
        (Some(Status::Pending), &messages[4..]),
    ] {
        let filter = AttemptFilter { status, ..AttemptFilter::default() };
        let page = PageRequest::first(Order::Ascending);
        let found = world.store.attempted(world.environment, &app, &to, &filter, page).await.unwrap();
        let found: Vec<_> = found.rows.into_iter().map(|row| row.message.id).collect();
        assert_eq!(found, expected, "{status:?}");
    }
}

pub async fn an_expunged_body_is_gone_and_what_it_belonged_to_stays(world: World) {
    let (app, message, _, [_, delivered, _]) = tried(&world).await;
    let (app, message) = (Reference::from(app), World::to(message));
    let (store, environment) = (&world.store, world.environment);
    store.expunge_attempt(environment, &app, &message, delivered).await.unwrap();
    let attempt = store.attempt(environment, &app, &message, delivered).await.unwrap();
    let Outcome::Replied(reply) = attempt.attempt.outcome else { panic!("it was answered") };
    assert_eq!((reply.status, reply.body), (201, Bytes::new()));
    store.expunge_message(environment, &app, &message).await.unwrap();
    assert_eq!(store.message(environment, &app, &message, true).await.unwrap().body, None);
    let unknown = store.expunge_attempt(environment, &app, &message, world.id()).await;
    assert!(matches!(unknown, Err(ChangeError::NotFound(_))));
}

pub async fn the_history_of_another_environment_is_not_found(world: World) {
    let (app, message, [endpoint, _], [attempt, ..]) = tried(&world).await;
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let (store, now) = (&world.store, world.now());
    let (app, message, endpoint) = (Reference::from(app), World::to(message), World::to(endpoint));
    let not_found = |error: Option<ChangeError>| assert!(matches!(error, Some(ChangeError::NotFound(_))));
    let filter = AttemptFilter::default();
    let page = || PageRequest::first(Order::Ascending);
    not_found(
        store
            .messages(elsewhere, &app, &filter.message, PageRequest::first(Order::Ascending), true)
            .await
            .err(),
    );
    not_found(store.attempts_of_message(elsewhere, &app, &message, &filter, page()).await.err());
    not_found(store.attempts_of_endpoint(elsewhere, &app, &endpoint, &filter, page()).await.err());
    not_found(store.attempt(elsewhere, &app, &message, attempt).await.err());
    let page = PageRequest::first(Order::Ascending);
    not_found(store.destinations(elsewhere, &app, &message, page).await.err());
    let page = PageRequest::first(Order::Ascending);
    not_found(store.attempted(elsewhere, &app, &endpoint, &filter, page).await.err());
    not_found(store.endpoint_stats(elsewhere, &app, &endpoint, now, now).await.err());
    not_found(store.expunge_message(elsewhere, &app, &message).await.err());
    not_found(store.expunge_attempt(elsewhere, &app, &message, attempt).await.err());
}

pub async fn an_open_store_answers_a_ping(world: World) {
    world.store.ping().await.unwrap();
}

pub async fn whatever_has_an_id_is_found_by_it_alone_in_its_environment_only(world: World) {
    let (other, app) = (world.app().await, world.app().await);
    let (first, endpoint) = (world.endpoint(other).await, world.endpoint(app).await);
    let message = world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    // Its message may be of an earlier day.
    world.advance(Duration::from_hours(30));
    let attempt = world.tries(&claimed, 200, Verdict::Delivered).await;
    let source = world.source().await;
    // Nobody wanted it.
    let unwanted = world.receives(&source).await;
    let none = Place { app, source: None, message: None, endpoint: None };
    let of_source = Place { app: source.app, source: Some(source.id), ..none };
    let found = [
        (Named::App(app), none),
        (Named::App(source.app), of_source),
        (Named::Endpoint(first), Place { app: other, endpoint: Some(first), ..none }),
        (Named::Source(source.id), of_source),
        (Named::Message(message), Place { message: Some(message), ..none }),
        (Named::Message(unwanted), Place { message: Some(unwanted), ..of_source }),
        (Named::Attempt(attempt), Place { message: Some(message), endpoint: Some(endpoint), ..none }),
    ];
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    for (named, place) in found {
        assert_eq!(world.store.find(world.environment, named).await.unwrap(), Some(place), "{named:?}");
        assert_eq!(world.store.find(elsewhere, named).await.unwrap(), None, "{named:?}");
    }
    for named in [
        Named::App(world.id()),
        Named::Endpoint(world.operational_endpoint().await),
        Named::Message(world.id()),
        Named::Attempt(world.id()),
        Named::Job(world.id()),
        Named::Refusal(world.id()),
    ] {
        assert_eq!(world.store.find(world.environment, named).await.unwrap(), None, "{named:?}");
    }
    // The attempts of a deleted endpoint are still those of its message; a deleted app has none.
    world.deletes(app, endpoint).await;
    assert!(world.store.find(world.environment, Named::Attempt(attempt)).await.unwrap().is_some());
    world.store.delete_app(world.environment, &app.into(), world.now()).await.unwrap();
    for named in [Named::App(app), Named::Message(message), Named::Attempt(attempt)] {
        assert_eq!(world.store.find(world.environment, named).await.unwrap(), None, "{named:?}");
    }
}
