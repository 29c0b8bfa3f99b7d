//! What intake promises.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use posthaste_core::app::Reference;
use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{DeadLetter, DeliveryState};
use posthaste_core::endpoint::{EndpointChange, Filter, NewEndpoint};
use posthaste_core::id::EndpointId;
use posthaste_core::limits::{IDEMPOTENCY_WINDOW, LISTENER_WAIT_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};

use super::world::{LEASE, World};
use crate::directory::Owner;
use crate::error::ChangeError;
use crate::intake::NewMessage;
use crate::page::{Order, PageRequest};

fn types(names: &[&str]) -> Vec<EventTypeName> {
    names.iter().map(|n| EventTypeName::parse(n).unwrap()).collect()
}

fn channels(names: &[&str]) -> Vec<Channel> {
    names.iter().map(|n| Channel::parse(n).unwrap()).collect()
}

pub async fn an_accepted_message_is_there_with_a_delivery_for_each_endpoint(world: World) {
    let app = world.app().await;
    let (first, second) = (world.endpoint(app).await, world.endpoint(app).await);
    let new = world.message_with(app, |new| {
        new.event_id = Some(Uid::parse("evt-1").unwrap());
        new.channels = channels(&["a", "b"]);
        new.tags = vec![Tag::parse("t").unwrap()];
    });
    let accepted = world.store.accept(new, world.now()).await.unwrap();
    assert_eq!(accepted.deliveries_count, 2);
    assert!(!accepted.repeated);
    let id = accepted.message.id;
    let kept = world.store.message(world.environment, &app.into(), &World::to(id), true).await.unwrap();
    assert_eq!(kept, *accepted.message);
    assert_eq!(world.owed_to(app, id).await, [first, second]);
    assert_eq!(
        world.state(app, world.accepts_with(app, |new| new.only = Some(World::to(first))).await).await,
        DeliveryState::Waiting { due: world.now() }
    );
}

pub async fn a_message_that_nobody_wants_is_kept(world: World) {
    let app = world.app().await;
    let accepted = world.store.accept(world.message(app), world.now()).await.unwrap();
    assert_eq!(accepted.deliveries_count, 0);
    let id = World::to(accepted.message.id);
    assert!(world.store.message(world.environment, &app.into(), &id, true).await.is_ok());
}

pub async fn disabled_and_deleted_endpoints_get_no_delivery(world: World) {
    let app = world.app().await;
    let (disabled, deleted, other) =
        (world.endpoint(app).await, world.endpoint(app).await, world.endpoint(app).await);
    world.disables(app, disabled, true).await;
    world.deletes(app, deleted).await;
    assert_eq!(world.owed_to(app, world.accepts(app).await).await, [other]);
}

pub async fn event_types_and_channels_decide_who_gets_a_message(world: World) {
    let app = world.app().await;
    let filter =
        |event_types, channels| move |new: &mut NewEndpoint| new.filter = Filter { event_types, channels };
    let paid = world.endpoint_with(app, filter(Some(types(&["invoice.paid"])), None)).await.id;
    world.endpoint_with(app, filter(Some(types(&["invoice.sent"])), None)).await;
    let hears = world.endpoint_with(app, filter(None, Some(channels(&["x"])))).await.id;
    assert_eq!(world.owed_to(app, world.accepts(app).await).await, [paid]);
    let on_x = world.accepts_with(app, |new| new.channels = channels(&["x", "y"])).await;
    assert_eq!(world.owed_to(app, on_x).await, [paid, hears]);
}

pub async fn a_change_of_an_endpoint_counts_for_the_next_message(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    assert_eq!(world.owed_to(app, world.accepts(app).await).await, [endpoint]);
    world
        .changes(
            app,
            endpoint,
            EndpointChange { event_types: Some(Some(types(&["other"]))), ..Default::default() },
        )
        .await;
    assert!(world.owed_to(app, world.accepts(app).await).await.is_empty());
    world.changes(app, endpoint, EndpointChange { event_types: Some(None), ..Default::default() }).await;
    let late = world.endpoint(app).await;
    assert_eq!(world.owed_to(app, world.accepts(app).await).await, [endpoint, late]);
}

pub async fn the_same_idempotency_key_returns_the_first_message_and_writes_nothing(world: World) {
    let app = world.app().await;
    world.endpoint(app).await;
    let key = world.key();
    let with_key = |new: &mut NewMessage| new.idempotency = Some(key.clone());
    let first = world.store.accept(world.message_with(app, with_key), world.now()).await.unwrap();
    let second = world.message_with(app, with_key);
    let second_id = World::to(second.id);
    let again = world.store.accept(second, world.now()).await.unwrap();
    assert!(again.repeated && !first.repeated);
    assert_eq!(again.message, first.message);
    assert_eq!(again.deliveries_count, first.deliveries_count);
    let kept = world.store.message(world.environment, &app.into(), &second_id, false).await;
    assert!(matches!(kept, Err(ChangeError::NotFound(_))));
    assert_eq!(world.store.backlog().waiting_count, 1);
}

pub async fn an_idempotency_key_of_another_request_is_refused(world: World) {
    let app = world.app().await;
    let key = world.key();
    world.accepts_with(app, |new| new.idempotency = Some(key.clone())).await;
    let other = crate::intake::IdempotencyKey { fingerprint: [9; 32], ..key };
    let new = world.message_with(app, |new| new.idempotency = Some(other));
    assert!(matches!(world.store.accept(new, world.now()).await, Err(ChangeError::KeyReused)));
}

pub async fn an_idempotency_key_is_free_again_after_its_window(world: World) {
    let app = world.app().await;
    let key = world.key();
    world.accepts_with(app, |new| new.idempotency = Some(key.clone())).await;
    world.advance(IDEMPOTENCY_WINDOW);
    let new = world.message_with(app, |new| new.idempotency = Some(key.clone()));
    assert!(!world.store.accept(new, world.now()).await.unwrap().repeated);
}

pub async fn of_requests_that_race_with_one_key_one_is_done(world: World) {
    let app = world.app().await;
    let key = world.key();
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let new = world.message_with(app, |new| new.idempotency = Some(key.clone()));
        let (store, now) = (Arc::clone(&world.store), world.now());
        racing.spawn(async move { store.accept(new, now).await.unwrap() });
    }
    let answers = racing.join_all().await;
    assert_eq!(answers.iter().filter(|a| !a.repeated).count(), 1);
    assert!(answers.iter().all(|a| a.message == answers[0].message));
}

pub async fn an_event_id_is_taken_in_its_own_app_only(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let event_id = |new: &mut NewMessage| new.event_id = Some(Uid::parse("evt-1").unwrap());
    world.accepts_with(app, event_id).await;
    let again = world.store.accept(world.message_with(app, event_id), world.now()).await;
    assert!(matches!(again, Err(ChangeError::Taken(_))));
    world.accepts_with(other, event_id).await;
}

pub async fn a_message_for_an_app_that_is_not_there_is_refused(world: World) {
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let (app, gone) = (world.app().await, world.app().await);
    world.store.delete_app(world.environment, &gone.into(), world.now()).await.unwrap();
    let cases: [(_, Reference); 3] = [
        (elsewhere, app.into()),
        (world.environment, gone.into()),
        (world.environment, Reference::new("nobody")),
    ];
    for (environment, app) in cases {
        let mut new = world.message(gone);
        (new.environment, new.app) = (environment, app);
        let refused = world.store.accept(new, world.now()).await;
        assert!(matches!(refused, Err(ChangeError::NotFound("application"))));
    }
}

pub async fn an_app_is_made_with_its_first_message(world: World) {
    let by_uid = |new: &mut NewMessage| {
        new.app = Reference::new("customer-1");
        new.create_app = Some(world.new_app(Some("customer-1")));
    };
    let first = world.message_with(world.id(), by_uid);
    let first = world.store.accept(first, world.now()).await.unwrap();
    let second = world.message_with(world.id(), by_uid);
    let second = world.store.accept(second, world.now()).await.unwrap();
    assert_eq!(first.message.app, second.message.app);
    let apps = world.store.apps(world.environment, PageRequest::first(Order::Ascending)).await.unwrap();
    assert_eq!(apps.rows.len(), 1);
}

pub async fn a_refused_message_leaves_no_app_behind(world: World) {
    let refused = world.message_with(world.id(), |new| {
        new.app = Reference::new("customer-1");
        new.create_app = Some(world.new_app(Some("customer-1")));
        new.only = Some(World::to(EndpointId::MIN));
    });
    let refused = world.store.accept(refused, world.now()).await;
    assert!(matches!(refused, Err(ChangeError::NotFound("endpoint"))));
    let apps = world.store.apps(world.environment, PageRequest::first(Order::Ascending)).await.unwrap();
    assert!(apps.rows.is_empty());
}

pub async fn a_message_for_one_endpoint_goes_only_there_whatever_its_filter(world: World) {
    let app = world.app().await;
    world.endpoint(app).await;
    let only = world.endpoint_with(app, |new| new.filter.event_types = Some(types(&["other"]))).await.id;
    let message = world.accepts_with(app, |new| new.only = Some(World::to(only))).await;
    assert_eq!(world.owed_to(app, message).await, [only]);
    assert_eq!(world.claims_one(only).await.trigger, Trigger::Manual);
}

pub async fn a_scheduled_message_waits_until_its_time(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let desk = world.desk(true);
    let at = world.now().later(Duration::from_secs(600));
    let message = world.accepts_with(app, |new| new.deliver_at = Some(at)).await;
    assert!(desk.taken().is_empty());
    assert_eq!(desk.due(), [(endpoint, at)]);
    assert_eq!(world.state(app, message).await, DeliveryState::Waiting { due: at });
    assert!(world.claims(endpoint).await.is_empty());
    world.advance(Duration::from_secs(600));
    assert_eq!(world.claims_one(endpoint).await.message.id, message);
}

pub async fn a_new_delivery_is_handed_over_leased_if_the_engine_has_room(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let desk = world.desk(true);
    let message = world.accepts(app).await;
    let taken = desk.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].message.id, taken[0].endpoint.id), (message, endpoint));
    assert_eq!(taken[0].lease.until, world.now().later(LEASE));
    assert_eq!(taken[0].environment, world.environment);
    assert_eq!(world.state(app, message).await, DeliveryState::InFlight { lease: taken[0].lease });
    assert!(world.claims(endpoint).await.is_empty(), "nobody else gets it");
    assert!(desk.due().is_empty());
}

pub async fn what_the_engine_has_no_room_for_waits_and_is_hinted_at(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let desk = world.desk(false);
    let message = world.accepts(app).await;
    assert!(desk.taken().is_empty());
    assert_eq!(desk.due(), [(endpoint, world.now())]);
    assert_eq!(world.claims_one(endpoint).await.message.id, message);
}

pub async fn what_is_owed_to_a_listener_waits_until_somebody_listens(world: World) {
    let app = world.app().await;
    let (plain, listener) = (world.endpoint(app).await, world.endpoint(app).await);
    let url = Some("listener:web".to_owned());
    world.changes(app, listener, EndpointChange { url, ..Default::default() }).await;
    let desk = world.desk(true);
    let message = world.accepts(app).await;
    assert_eq!(
        desk.taken().iter().map(|one| one.endpoint.id).collect::<Vec<_>>(),
        [plain],
        "nothing of it is handed over"
    );
    assert_eq!(desk.due(), [(listener, world.now())]);
    world.advance(Duration::from_secs(60));
    assert!(world.claims(listener).await.is_empty(), "nobody listens");
    assert_eq!(world.store.oldest_due().await.unwrap(), None, "nobody is late with it");
    desk.listens();
    let claimed = world.claims_one(listener).await;
    assert_eq!((claimed.message.id, claimed.attempts_made, claimed.undeliverable()), (message, 0, None));
}

pub async fn what_a_listener_that_never_comes_is_owed_ends_after_a_day(world: World) {
    let app = world.app().await;
    let listener = world.endpoint(app).await;
    let url = Some("listener:web".to_owned());
    world.changes(app, listener, EndpointChange { url, ..Default::default() }).await;
    let _desk = world.desk(true);
    let old = world.accepts(app).await;
    world.advance(Duration::from_secs(1));
    world.accepts(app).await;
    world.advance(LISTENER_WAIT_MAX.saturating_sub(Duration::from_millis(1_001)));
    assert!(world.claims(listener).await.is_empty(), "it may still come");
    world.advance(Duration::from_millis(1));
    let claimed = world.claims_one(listener).await;
    assert_eq!((claimed.message.id, claimed.undeliverable()), (old, Some(DeadLetter::Exhausted)));
}

pub async fn a_body_comes_back_byte_for_byte(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for body in [Bytes::new(), Bytes::from_static(b"\0\xFF\r\n \xC3("), Bytes::from(vec![7; 300_000])] {
        let message = world.accepts_with(app, |new| new.body = body.clone()).await;
        let kept = world.store.message(world.environment, &app.into(), &World::to(message), true).await;
        assert_eq!(kept.unwrap().body, Some(body.clone()));
        assert_eq!(world.claims_one(endpoint).await.message.body, Some(body));
    }
}

pub async fn a_request_that_fails_harms_no_other_of_its_batch(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let twice = world.message(app);
    world.store.accept(twice.clone(), world.now()).await.unwrap();
    let mut racing = tokio::task::JoinSet::new();
    for index in 0..64 {
        let new = if index == 20 { twice.clone() } else { world.message(app) };
        let (store, now) = (Arc::clone(&world.store), world.now());
        racing.spawn(async move { store.accept(new, now).await.is_ok() });
    }
    assert_eq!(racing.join_all().await.into_iter().filter(|ok| *ok).count(), 63);
    assert_eq!(world.claims(endpoint).await.len(), 64);
    assert!(world.claims(endpoint).await.is_empty());
}

pub async fn the_operational_app_takes_no_messages(world: World) {
    world.operational_endpoint().await;
    let page = PageRequest::first(Order::Ascending);
    let endpoints = world.store.endpoints(world.environment, &Owner::Operational, page).await.unwrap();
    let app = endpoints.rows[0].app;
    let refused = world.store.accept(world.message(app), world.now()).await;
    assert!(matches!(refused, Err(ChangeError::NotFound("application"))));
}
