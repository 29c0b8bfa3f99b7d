//! What holds for the embedded store beside the ports' promises: its file, its lock, and processes beside each other.

mod place;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use place::Place;
use posthaste_core::delivery::{DeliveryState, Verdict};
use posthaste_core::dice::TestDice;
use posthaste_core::endpoint::EndpointChange;
use posthaste_core::id::{AppId, MessageId};
use posthaste_core::origin::Origin;
use posthaste_core::source::{Door, Refusal, SourceChange};
use posthaste_core::tenant::Scope;
use posthaste_core::time::Timestamp;
use posthaste_core::token::Token;
use posthaste_store::conformance::World;
use posthaste_store::directory::{NewToken, Owner};
use posthaste_store::source::NewReceived;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, Sources as _, StoreError};

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
async fn a_store_that_was_closed_is_one_file() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    world.app().await;
    let wal = place.database().with_extension("db-wal");
    assert!(wal.exists(), "the test looks at the wrong file");
    drop(world);
    assert!(!wal.exists());
}

#[test]
fn processes_that_open_a_new_store_at_once_wait_for_each_other() {
    for _ in 0..10 {
        let place = Place::new();
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8)
                .map(|n| {
                    scope.spawn({
                        let place = &place;
                        move || place.try_open(n == 0).map(drop)
                    })
                })
                .collect();
            for open in opened {
                open.join().unwrap().unwrap();
            }
        });
    }
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
async fn a_pause_by_another_process_counts_for_the_next_request() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let beside = place.try_open(false).unwrap();
    let source = world.source().await;
    let owner = Owner::Source(World::to(source.id));
    let new = world.new_endpoint();
    let endpoint = new.id;
    world.store.create_endpoint(world.environment, &owner, new, world.now()).await.unwrap();
    let desk = world.desk(true);
    world.receives(&source).await;
    assert_eq!(desk.taken().len(), 1);
    let pause = SourceChange { paused: Some(true), ..SourceChange::default() };
    let reference = World::to(source.id);
    beside.change_source(world.environment, &reference, pause, world.now()).await.unwrap();
    world.receives(&source).await;
    assert!(desk.taken().is_empty());
    assert!(world.claims(endpoint).await.is_empty());
    assert!(world.store.source(world.environment, &reference).await.unwrap().paused);
    beside.delete_source(world.environment, &reference, world.now()).await.unwrap();
    assert!(world.store.receive(world.received(&source), world.now()).await.is_err());
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
async fn what_providers_know_and_send_as_secrets_cannot_be_read_in_the_file() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let source = world.source().await;
    let headers = vec![("X-Gitlab-Token".to_owned(), b"a-token-in-a-header".to_vec())];
    let origin = Origin {
        method: "POST".to_owned(),
        path: String::new(),
        query: "key=a-key-in-a-query".to_owned(),
        headers,
    };
    let new = NewReceived { origin: origin.clone(), ..world.received(&source) };
    world.store.receive(new, world.now()).await.unwrap();
    let refusal = Refusal {
        id: world.id(),
        source: source.id,
        at: world.now(),
        status: 401,
        reason: "a reason that can be read".to_owned(),
        origin,
        body: bytes::Bytes::new(),
        body_bytes_count: 0,
        remote: None,
    };
    world.store.refuse(refusal, world.now()).await.unwrap();
    let (old, door) = (source.door, Door::fresh(&world.dice));
    let (reference, grace) = (World::to(source.id), Duration::from_secs(60));
    world.store.rotate_door(world.environment, &reference, door.clone(), grace, world.now()).await.unwrap();
    let files = [place.database(), place.database().with_extension("db-wal")];
    let bytes: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("a reason that can be read"), "the file was looked at");
    let hidden = ["a-provider-secret", "a-token-in-a-header", "a-key-in-a-query", "X-Gitlab-Token"];
    for hidden in hidden.into_iter().chain([old.expose(), door.expose()]) {
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
    world.advance(Duration::from_secs(1));
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

/// The other half of the test below: a process that accepts, delivers and says so, until it is killed.
#[tokio::test]
#[ignore = "runs for ever; the next test starts it and kills it"]
async fn accepts_until_killed() {
    let dir = std::env::current_dir().unwrap();
    if !dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store-")) {
        return; // Not started by that test.
    }
    let options = SqliteOptions {
        path: dir.join("posthaste.db"),
        main_secret: String::from("the main secret").into(),
        dice: Arc::new(TestDice::seeded(3)),
        serving: true,
    };
    let world = World::new(SqliteStore::open(options).unwrap()).await;
    let app = world.app().await;
    let endpoint = world.endpoint(app).await;
    for round in 0_u64.. {
        let message = world.accepts(app).await;
        println!("accepted {app} {message}");
        let claimed = world.claims_one(endpoint).await;
        if round.is_multiple_of(2) {
            world.tries(&claimed, 200, Verdict::Delivered).await;
            println!("delivered {app} {message}");
        }
    }
}

#[tokio::test]
async fn what_a_killed_process_answered_for_is_there_and_what_it_held_is_due_again() {
    let place = Place::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "accepts_until_killed", "--ignored", "--nocapture"])
        .current_dir(place.database().parent().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let is_news = |line: &String| line.starts_with("accepted ") || line.starts_with("delivered ");
    let mut lines: Vec<_> = said.by_ref().filter(is_news).take(300).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    // What was in the pipe was said too; only its last line may be cut off.
    lines.extend(said.filter(is_news));
    let world = World::new(place.open()).await;
    let mut delivered = HashSet::new();
    for line in lines.iter().rev() {
        let words: Vec<_> = line.split(' ').collect();
        let [what, app, message] = words[..] else { continue };
        let (Some(app), Some(message)) = (AppId::parse(app), MessageId::parse(message)) else { continue };
        let state = world.state(app, message).await;
        if what == "delivered" {
            delivered.insert(message);
        }
        let was_delivered = delivered.contains(&message);
        let is_owed = matches!(state, DeliveryState::Waiting { .. });
        assert!(if was_delivered {
            state == DeliveryState::Delivered
        } else {
            is_owed || state == DeliveryState::Delivered
        });
    }
    assert!(delivered.len() > 50);
    assert_eq!(world.store.backlog().in_flight_count, 0);
    assert!(world.store.backlog().waiting_count > 50);
}
