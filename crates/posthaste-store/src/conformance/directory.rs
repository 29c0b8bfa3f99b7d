//! What the directory promises.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use posthaste_core::app::{AppChange, Reference};
use posthaste_core::endpoint::{EndpointChange, NewEndpoint};
use posthaste_core::event_type::{EventTypeChange, EventTypeFacts};
use posthaste_core::id::{AppId, OrgId};
use posthaste_core::limits::IDEMPOTENCY_WINDOW;
use posthaste_core::name::{EventTypeName, Label, Uid};
use posthaste_core::tenant::{Principal, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::{Token, TokenHash};

use super::world::World;
use crate::directory::{Made, NewToken, Owner, Reservation, RotateSecret};
use crate::error::ChangeError;
use crate::intake::IdempotencyKey;
use crate::page::{Cursor, Order, Page, PageRequest};

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn new_token(world: &World, scope: Scope, expires_at: Option<Timestamp>) -> (NewToken, TokenHash) {
    let token = Token::fresh(&world.dice);
    let (hash, hint) = (token.hash(), token.hint().to_owned());
    (NewToken { id: world.id(), environment: world.environment, scope, hash, hint, expires_at }, hash)
}

pub async fn an_environment_is_made_once(world: World) {
    let again = world.store.environment("acme", world.now()).await.unwrap();
    assert_eq!(again.id, world.environment);
    assert_ne!(world.store.environment("other", world.now()).await.unwrap().id, world.environment);
    let org: OrgId = world.id();
    let made = world.store.environment_of_org(org, world.now()).await.unwrap();
    assert_eq!(world.store.environment_of_org(org, world.now()).await.unwrap(), made);
    assert_eq!(world.store.environment(&org.to_string(), world.now()).await.unwrap().id, made);
}

pub async fn a_token_opens_its_environment_until_it_expires(world: World) {
    let expires_at = world.now().later(Duration::from_secs(60));
    let (new, hash) = new_token(&world, Scope::Environment, Some(expires_at));
    assert_eq!(world.store.authenticate(hash, world.now()).await.unwrap(), None);
    world.store.create_token(new, world.now()).await.unwrap();
    let principal = Principal { environment: world.environment, scope: Scope::Environment };
    assert_eq!(world.store.authenticate(hash, world.now()).await.unwrap(), Some(principal));
    world.advance(Duration::from_secs(61));
    assert_eq!(world.store.authenticate(hash, world.now()).await.unwrap(), None);
}

pub async fn a_revoked_token_opens_nothing_from_the_next_request_on(world: World) {
    let (by_id, first) = new_token(&world, Scope::Environment, None);
    let (by_hash, second) = new_token(&world, Scope::Environment, None);
    let id = by_id.id;
    world.store.create_token(by_id, world.now()).await.unwrap();
    world.store.create_token(by_hash, world.now()).await.unwrap();
    world.store.revoke_token(id, world.now()).await.unwrap();
    assert_eq!(world.store.authenticate(first, world.now()).await.unwrap(), None);
    assert!(world.store.authenticate(second, world.now()).await.unwrap().is_some());
    world.store.revoke_token_by_hash(second, world.now()).await.unwrap();
    assert_eq!(world.store.authenticate(second, world.now()).await.unwrap(), None);
    world.store.revoke_token_by_hash(TokenHash::of("nobody's"), world.now()).await.unwrap();
    let unknown = world.store.revoke_token(world.id(), world.now()).await;
    assert!(matches!(unknown, Err(ChangeError::NotFound("token"))));
}

pub async fn a_token_of_an_app_is_confined_to_it_and_ends_with_it(world: World) {
    let app = world.app().await;
    let scope = Scope::App { app, read_only: true };
    let (new, hash) = new_token(&world, scope, None);
    world.store.create_token(new, world.now()).await.unwrap();
    let principal = Principal { environment: world.environment, scope };
    assert_eq!(world.store.authenticate(hash, world.now()).await.unwrap(), Some(principal));
    world.store.delete_app(world.environment, &app.into(), world.now()).await.unwrap();
    assert_eq!(world.store.authenticate(hash, world.now()).await.unwrap(), None);
}

pub async fn tokens_are_listed_by_environment_without_being_shown(world: World) {
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let (mut new, _) = new_token(&world, Scope::Environment, None);
    world.store.create_token(new.clone(), world.now()).await.unwrap();
    let hint = new.hint.clone();
    (new.environment, new.id, new.hash) = (elsewhere, world.id(), TokenHash::of("another"));
    world.store.create_token(new, world.now()).await.unwrap();
    let listed = world.store.tokens(Some(world.environment)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].hint, &*listed[0].environment), (&*hint, "acme"));
    assert_eq!(world.store.tokens(None).await.unwrap().len(), 2);
}

pub async fn an_app_reads_back_as_it_was_made_by_id_and_by_uid(world: World) {
    let mut new = world.new_app(Some("customer-1"));
    new.rate_per_second = NonZeroU16::new(7);
    new.metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let made = world.store.create_app(world.environment, new.clone(), false, world.now()).await.unwrap();
    let Made::Created(app) = made else { panic!("it is new") };
    assert_eq!((app.id, &app.name, app.rate_per_second), (new.id, &new.name, new.rate_per_second));
    assert_eq!((&app.uid, &app.metadata, app.created_at), (&new.uid, &new.metadata, world.now()));
    for reference in [Reference::from(app.id), Reference::new("customer-1")] {
        assert_eq!(world.store.app(world.environment, &reference).await.unwrap(), app);
    }
}

pub async fn the_uid_of_an_app_is_taken_until_it_is_deleted(world: World) {
    let create = async |if_exists| {
        let new = world.new_app(Some("customer-1"));
        world.store.create_app(world.environment, new, if_exists, world.now()).await
    };
    let Made::Created(first) = create(false).await.unwrap() else { panic!("it is new") };
    assert!(matches!(create(false).await, Err(ChangeError::Taken(_))));
    assert_eq!(create(true).await.unwrap(), Made::Existed(first.clone()));
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let new = world.new_app(Some("customer-1"));
    assert!(world.store.create_app(elsewhere, new, false, world.now()).await.is_ok());
    world.store.delete_app(world.environment, &first.id.into(), world.now()).await.unwrap();
    assert!(create(false).await.is_ok());
}

pub async fn an_app_changes_in_what_the_change_names_and_nothing_else(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let change = async |app: AppId, change| {
        world.store.change_app(world.environment, &app.into(), change, world.now()).await
    };
    let before = world.store.app(world.environment, &app.into()).await.unwrap();
    let taken = AppChange { uid: Some(Some(uid("u"))), ..AppChange::default() };
    let after = change(app, taken.clone()).await.unwrap();
    assert_eq!(after.uid, Some(uid("u")));
    assert_eq!((&after.name, &after.metadata), (&before.name, &before.metadata));
    assert_eq!(after.updated_at, world.now());
    assert!(change(app, taken.clone()).await.is_ok(), "its own uid is not in its way");
    assert!(matches!(change(other, taken).await, Err(ChangeError::Taken(_))));
    change(app, AppChange { uid: Some(None), ..AppChange::default() }).await.unwrap();
    assert!(world.store.app(world.environment, &Reference::new("u")).await.is_err());
    let limited = AppChange { rate_per_second: Some(NonZeroU16::new(3)), ..AppChange::default() };
    change(app, limited).await.unwrap();
    let endpoint = world.endpoint_with(app, |_| {}).await;
    assert_eq!(endpoint.app_rate_per_second, NonZeroU16::new(3));
}

pub async fn what_is_foreign_or_deleted_is_not_found(world: World) {
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    let (app, gone) = (world.app().await, world.app().await);
    let endpoint = World::to(world.endpoint(app).await);
    world.store.delete_app(world.environment, &gone.into(), world.now()).await.unwrap();
    let not_found = |error: Option<ChangeError>| assert!(matches!(error, Some(ChangeError::NotFound(_))));
    for (environment, app) in [(elsewhere, app), (world.environment, gone)] {
        let (store, now, app, owner) =
            (&world.store, world.now(), Reference::from(app), Owner::App(app.into()));
        not_found(store.app(environment, &app).await.err());
        not_found(store.change_app(environment, &app, AppChange::default(), now).await.err());
        not_found(store.delete_app(environment, &app, now).await.err());
        not_found(store.create_endpoint(environment, &owner, world.new_endpoint(), now).await.err());
        not_found(store.endpoint(environment, &owner, &endpoint).await.err());
        let page = PageRequest::first(Order::Ascending);
        not_found(store.endpoints(environment, &owner, page).await.err());
        let change = EndpointChange::default();
        not_found(store.change_endpoint(environment, &owner, &endpoint, change, now).await.err());
        not_found(store.delete_endpoint(environment, &owner, &endpoint, now).await.err());
    }
    let owner = Owner::App(world.app().await.into());
    not_found(world.store.endpoint(world.environment, &owner, &endpoint).await.err());
}

/// Walks a list of five both ways, two rows a page.
async fn walks<T, K: Clone>(
    keys: Vec<T>,
    key_of: impl Fn(&T) -> K,
    list: impl AsyncFn(PageRequest<K>) -> Page<T>,
) where
    T: PartialEq + std::fmt::Debug + Clone,
{
    for order in [Order::Ascending, Order::Descending] {
        let mut expected = keys.clone();
        if order == Order::Descending {
            expected.reverse();
        }
        let page = async |cursor| list(PageRequest { cursor, order, limit: 2 }).await;
        let first = page(Cursor::Start).await;
        assert_eq!((&first.rows[..], first.done), (&expected[..2], false));
        let end = page(Cursor::After(key_of(&expected[3]))).await;
        assert_eq!((&end.rows[..], end.done), (&expected[4..], true));
        let before = page(Cursor::Before(key_of(&expected[3]))).await;
        assert_eq!((&before.rows[..], before.done), (&expected[1..3], false));
        let top = page(Cursor::Before(key_of(&expected[2]))).await;
        assert_eq!((&top.rows[..], top.done), (&expected[..2], true));
        assert!(page(Cursor::Before(key_of(&expected[0]))).await.rows.is_empty());
    }
}

pub async fn lists_are_walked_by_key_both_ways(world: World) {
    world.operational_endpoint().await;
    let mut apps = vec![];
    for _ in 0..5 {
        apps.push(world.app().await);
    }
    let list = async |page| {
        let page = world.store.apps(world.environment, page).await.unwrap();
        Page { rows: page.rows.iter().map(|app| app.id).collect(), done: page.done }
    };
    walks(apps.clone(), |id| *id, list).await;
    let mut endpoints = vec![];
    for _ in 0..5 {
        endpoints.push(world.endpoint(apps[2]).await);
    }
    let owner = Owner::App(apps[2].into());
    let list = async |page| {
        let page = world.store.endpoints(world.environment, &owner, page).await.unwrap();
        Page { rows: page.rows.iter().map(|endpoint| endpoint.id).collect(), done: page.done }
    };
    walks(endpoints, |id| *id, list).await;
    let names: Vec<_> = ["a", "b.c", "b.d", "e", "f"].map(|n| EventTypeName::parse(n).unwrap()).into();
    for name in names.iter().rev() {
        let made = world.store.create_event_type(
            world.environment,
            name.clone(),
            EventTypeFacts::default(),
            world.now(),
        );
        made.await.unwrap();
    }
    let list = async |page| {
        let page = world.store.event_types(world.environment, false, page).await.unwrap();
        Page { rows: page.rows.into_iter().map(|event_type| event_type.name).collect(), done: page.done }
    };
    walks(names, Clone::clone, list).await;
}

pub async fn an_endpoint_reads_back_as_it_was_made_with_its_secret(world: World) {
    let app = world.app().await;
    let differ = |new: &mut NewEndpoint| {
        new.uid = Some(uid("ep-1"));
        new.headers = vec![("X-Key".to_owned(), "s3cret".to_owned())];
        new.filter.event_types = Some(vec![]);
        new.rate_per_second = NonZeroU16::new(5);
        new.metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    };
    let made = world.endpoint_with(app, differ).await;
    let owner = Owner::App(app.into());
    for reference in [World::to(made.id), Reference::new("ep-1")] {
        assert_eq!(world.store.endpoint(world.environment, &owner, &reference).await.unwrap(), made);
    }
    let (mut again, mut other) = (world.new_endpoint(), world.new_endpoint());
    differ(&mut again);
    differ(&mut other);
    let taken = world.store.create_endpoint(world.environment, &owner, again, world.now()).await;
    assert!(matches!(taken, Err(ChangeError::Taken(_))));
    let elsewhere = Owner::App(world.app().await.into());
    assert!(world.store.create_endpoint(world.environment, &elsewhere, other, world.now()).await.is_ok());
}

pub async fn an_endpoint_changes_in_what_the_change_names_and_nothing_else(world: World) {
    let app = world.app().await;
    let headers = [("X-A".to_owned(), "1".to_owned()), ("X-B".to_owned(), "2".to_owned())];
    let before = world.endpoint_with(app, |new| new.headers = headers.to_vec()).await;
    let patch = EndpointChange {
        header_patch: vec![("x-a".to_owned(), Some("3".to_owned())), ("X-B".to_owned(), None)],
        ..EndpointChange::default()
    };
    world.advance(Duration::from_secs(1));
    let after = world.changes(app, before.id, patch).await;
    assert_eq!(after.headers, [("x-a".to_owned(), "3".to_owned())]);
    assert_eq!((&after.url, &after.secrets), (&before.url, &before.secrets));
    assert_eq!((after.created_at, after.updated_at), (before.created_at, world.now()));
    let kept = world.store.endpoint(world.environment, &Owner::App(app.into()), &World::to(after.id)).await;
    assert_eq!(kept.unwrap(), after);
}

pub async fn enabling_an_endpoint_forgets_how_long_it_failed(world: World) {
    use posthaste_core::delivery::{DeadLetter, Verdict};
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint).await;
    world.tries(&claimed, 500, Verdict::GiveUp(DeadLetter::Exhausted)).await;
    world.disables(app, endpoint, true).await;
    let desk = world.desk(false);
    let enabled = EndpointChange { disabled: Some(false), ..EndpointChange::default() };
    assert_eq!(world.changes(app, endpoint, enabled).await.failing_since, None);
    assert_eq!(desk.due(), [(endpoint, world.now())]);
}

pub async fn after_a_rotation_the_old_secret_is_kept_for_its_grace(world: World) {
    let app = world.app().await;
    let endpoint = world.endpoint_with(app, |_| {}).await;
    let secret = world.secret();
    let rotate = RotateSecret {
        environment: world.environment,
        owner: Owner::App(app.into()),
        endpoint: World::to(endpoint.id),
        secret: secret.clone(),
        grace: Duration::from_secs(60),
    };
    let rotated = world.store.rotate_secret(rotate, world.now()).await.unwrap();
    assert_eq!(rotated.secrets.newest(), &secret);
    world.accepts(app).await;
    let claimed = world.claims_one(endpoint.id).await;
    let live: Vec<_> = claimed.endpoint.secrets.live(world.now()).cloned().collect();
    assert_eq!(live, [secret, endpoint.secrets.newest().clone()]);
}

pub async fn the_operational_app_is_made_when_used_and_never_listed(world: World) {
    let page = PageRequest::first(Order::Ascending);
    let none = world.store.endpoints(world.environment, &Owner::Operational, page).await.unwrap();
    assert!(none.rows.is_empty());
    let endpoint = world.operational_endpoint().await;
    let found =
        world.store.endpoint(world.environment, &Owner::Operational, &World::to(endpoint)).await.unwrap();
    let page = PageRequest::first(Order::Ascending);
    assert!(world.store.apps(world.environment, page).await.unwrap().rows.is_empty());
    assert!(world.store.app(world.environment, &found.app.into()).await.is_err());
    let elsewhere = world.store.environment("elsewhere", world.now()).await.unwrap().id;
    assert!(world.store.endpoint(elsewhere, &Owner::Operational, &World::to(endpoint)).await.is_err());
}

pub async fn changes_of_endpoints_are_told_to_operational_webhooks(world: World) {
    let watcher = world.operational_endpoint().await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    assert_eq!(world.told(watcher).await, ["endpoint.created"]);
    world.changes(app, endpoint, EndpointChange::default()).await;
    assert_eq!(world.told(watcher).await, ["endpoint.updated"]);
    world.disables(app, endpoint, true).await;
    assert_eq!(world.told(watcher).await, ["endpoint.disabled", "endpoint.updated"]);
    world.disables(app, endpoint, false).await;
    assert_eq!(world.told(watcher).await, ["endpoint.enabled", "endpoint.updated"]);
    world.deletes(app, endpoint).await;
    assert_eq!(world.told(watcher).await, ["endpoint.deleted"]);
}

fn schemas(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(text).ok()
}

pub async fn an_event_type_reads_back_changes_and_is_brought_back_after_archiving(world: World) {
    let (store, environment) = (&world.store, world.environment);
    let name = EventTypeName::parse("invoice.paid").unwrap();
    let facts = EventTypeFacts {
        description: "An invoice was paid".to_owned(),
        schemas: schemas(r#"{"2":{"type":"object"},"1":{"z":1,"a":2}}"#),
        feature_flags: Some(vec![Label::parse("beta").unwrap()]),
        group_name: Some(Label::parse("billing").unwrap()),
        ..EventTypeFacts::default()
    };
    let create = async |facts: &EventTypeFacts| {
        store.create_event_type(environment, name.clone(), facts.clone(), world.now()).await
    };
    let made = create(&facts).await.unwrap();
    assert_eq!(made.facts, facts);
    assert_eq!(store.event_type(environment, &name).await.unwrap(), made);
    assert!(matches!(create(&facts).await, Err(ChangeError::Taken(_))));
    let change = EventTypeChange { deprecated: Some(true), group_name: Some(None), ..Default::default() };
    let changed = store.change_event_type(environment, &name, change, world.now()).await.unwrap();
    assert_eq!(changed.facts, EventTypeFacts { deprecated: true, group_name: None, ..facts.clone() });
    store.delete_event_type(environment, &name, false, world.now()).await.unwrap();
    let listed = async |archived| {
        store
            .event_types(environment, archived, PageRequest::first(Order::Ascending))
            .await
            .unwrap()
            .rows
            .len()
    };
    assert_eq!((listed(false).await, listed(true).await), (0, 1));
    assert!(store.event_type(environment, &name).await.unwrap().facts.archived);
    assert!(!create(&facts).await.unwrap().facts.archived);
    store.delete_event_type(environment, &name, true, world.now()).await.unwrap();
    assert_eq!(listed(true).await, 0);
    let elsewhere = store.environment("elsewhere", world.now()).await.unwrap().id;
    create(&facts).await.unwrap();
    assert!(store.event_type(elsewhere, &name).await.is_err());
    assert!(store.delete_event_type(elsewhere, &name, true, world.now()).await.is_err());
}

pub async fn a_reserved_key_is_answered_once_settled_and_free_again_when_not(world: World) {
    let (store, key) = (&world.store, world.key());
    assert_eq!(store.reserve_key(key.clone(), world.now()).await.unwrap(), Reservation::Fresh);
    let again = store.reserve_key(key.clone(), world.now()).await;
    assert!(matches!(again, Err(ChangeError::KeyInUse)));
    store.settle_key(key.clone(), None).await.unwrap();
    assert_eq!(store.reserve_key(key.clone(), world.now()).await.unwrap(), Reservation::Fresh);
    store.settle_key(key.clone(), Some((201, b"made".to_vec()))).await.unwrap();
    let answered = Reservation::Answered { status: 201, body: b"made".to_vec() };
    assert_eq!(store.reserve_key(key.clone(), world.now()).await.unwrap(), answered);
    let other = IdempotencyKey { fingerprint: [1; 32], ..key.clone() };
    assert!(matches!(store.reserve_key(other, world.now()).await, Err(ChangeError::KeyReused)));
    world.advance(IDEMPOTENCY_WINDOW.saturating_sub(Duration::from_secs(1)));
    assert_eq!(store.reserve_key(key.clone(), world.now()).await.unwrap(), answered);
    world.advance(Duration::from_secs(1));
    store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(store.reserve_key(key.clone(), world.now()).await.unwrap(), Reservation::Fresh);
    // The process died before it settled the key: whoever asks again need not wait for hours.
    world.advance(Duration::from_secs(61));
    assert_eq!(store.reserve_key(key, world.now()).await.unwrap(), Reservation::Fresh);
}
