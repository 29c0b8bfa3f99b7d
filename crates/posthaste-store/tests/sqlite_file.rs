//! What holds for the embedded store beside the ports' promises: its file, its lock, and processes beside each other.

mod place;

use place::Place;
use posthaste_core::delivery::{DeliveryState, Verdict};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::EndpointChange;
use posthaste_core::tenant::Scope;
use posthaste_core::time::Timestamp;
use posthaste_core::token::Token;
use posthaste_store::conformance::World;
use posthaste_store::directory::{NewToken, Owner};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, StoreError};

#[tokio::test]
async fn only_one_process_serves_from_a_store() {
    let place = Place::new();
    let first = place.open();
    let second = place.try_open(true).map(drop);
    assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
    drop(first);
    place.open();
}

#[tokio::test]
async fn a_token_made_or_revoked_beside_a_running_server_counts_at_once() {
    let place = Place::new();
    let server = place.open();
    let cli = place.try_open(false).unwrap();
    let now = Timestamp::from_secs(1_800_000_000);
    let dice = TestDice::seeded(1);
    let environment = cli.environment("acme", now).await.unwrap().id;
    let token = Token::fresh(&dice);
    let id = posthaste_core::id::TokenId::fresh(now, &dice);
    let (hash, hint) = (token.hash(), token.hint().to_owned());
    let new = NewToken { id, environment, scope: Scope::Environment, hash, hint, expires_at: None };
    assert_eq!(server.authenticate(hash, now).await.unwrap(), None);
    cli.create_token(new, now).await.unwrap();
    assert!(server.authenticate(hash, now).await.unwrap().is_some());
    assert_eq!(server.tokens(None).await.unwrap().len(), 1);
    cli.revoke_token(id, now).await.unwrap();
    assert_eq!(server.authenticate(hash, now).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_by_another_process_counts_for_the_next_message() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let beside = place.try_open(false).unwrap();
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    assert_eq!(world.owed_to(app, world.accepts(app).await).await, [endpoint]);
    let disable = EndpointChange { disabled: Some(true), ..EndpointChange::default() };
    let (owner, reference) = (Owner::App(app.into()), World::to(endpoint));
    beside.change_endpoint(world.environment, &owner, &reference, disable, world.now()).await.unwrap();
    assert!(world.owed_to(app, world.accepts(app).await).await.is_empty());
}

#[tokio::test]
async fn another_main_secret_is_refused_in_one_sentence() {
    let place = Place::new();
    drop(place.open());
    let main_secret = String::from("another").into();
    let options = SqliteOptions { main_secret, ..place.options(true) };
    let refused = SqliteStore::open(options).map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::WrongMainSecret));
    assert_eq!(refused.to_string(), "POSTHASTE_MAIN_SECRET is not the one that this store was written with");
    place.open();
}

#[tokio::test]
async fn secrets_headers_and_tokens_cannot_be_read_in_the_file() {
    let place = Place::new();
    let store = place.open();
    let world = World::new(store.clone()).await;
    let app = world.app().await;
    let header = ("X-Key".to_owned(), "a-header-value-that-is-secret".to_owned());
    let endpoint = world.endpoint_with(app, |new| new.headers = vec![header]).await;
    let token = Token::fresh(&world.dice);
    let (hash, hint) = (token.hash(), token.hint().to_owned());
    let (environment, scope) = (world.environment, Scope::Environment);
    let new = NewToken { id: world.id(), environment, scope, hash, hint, expires_at: None };
    world.store.create_token(new, world.now()).await.unwrap();
    let secret = endpoint.secrets.newest().expose();
    let secret = secret.trim_start_matches("whsec_");
    let files = [place.database(), place.database().with_extension("db-wal")];
    let bytes: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("https://receiver.example.com/hooks"), "the file was looked at");
    for hidden in [secret, "a-header-value-that-is-secret", token.expose(), "the main secret"] {
        assert!(!holds(hidden));
    }
}

#[tokio::test]
async fn what_a_dead_process_had_claimed_is_due_again_when_the_next_one_serves() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    let message = world.accepts(app).await;
    let lost = world.claims_one(endpoint).await;
    let World { store, .. } = world;
    drop(store);
    // Only looking does not take anything away from whoever serves.
    let looking = World::new(place.try_open(false).unwrap()).await;
    assert_eq!(looking.state(app, message).await, DeliveryState::InFlight { lease: lost.lease });
    drop(looking);
    let world = World::new(place.open()).await;
    assert_eq!(world.store.backlog().waiting_count, 1);
    let due = world.store.oldest_due().await.unwrap().unwrap();
    assert!(world.now().as_micros() - due.as_micros() < 1_000_000, "since it was accepted, not since 1970");
    world.advance(std::time::Duration::from_secs(1));
    let again = world.claims_one(endpoint).await;
    assert_eq!(again.message.id, message);
    assert!(!world.records(&lost, None, Verdict::Delivered).await.fenced);
    world.tries(&again, 200, Verdict::Delivered).await;
}

#[tokio::test]
async fn what_was_asked_for_before_the_store_was_dropped_is_done() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let new = world.new_app(None);
    let asked = world.store.create_app(world.environment, new, false, world.now());
    tokio::select! {
        biased;
        _ = asked => {}
        () = std::future::ready(()) => {} // Whoever asked does not wait for the answer.
    }
    drop(world);
    let world = World::new(place.open()).await;
    let page = posthaste_store::page::PageRequest::first(posthaste_store::page::Order::Ascending);
    assert_eq!(world.store.apps(world.environment, page).await.unwrap().rows.len(), 1);
}
