//! What is promised of sessions, of a customer's tokens, and of what operators chose.

use std::time::Duration;

use posthaste_core::tenant::Scope;
use posthaste_core::time::Timestamp;
use posthaste_core::token::{Token, TokenHash};

use super::world::World;
use crate::access::Choice;
use crate::directory::NewToken;

const HOUR: Duration = Duration::from_hours(1);

fn new_token(world: &World, scope: Scope, expires_at: Option<Timestamp>) -> (NewToken, TokenHash) {
    let token = Token::fresh(&world.dice);
    let (hash, hint) = (token.hash(), token.hint().to_owned());
    (NewToken { id: world.id(), environment: world.environment, scope, hash, hint, expires_at }, hash)
}

/// A session of so many hours, made with a token.
async fn session(world: &World, scope: Scope, of: Option<TokenHash>, hours: u32) -> TokenHash {
    let (new, hash) = new_token(world, scope, Some(world.now().later(HOUR * hours)));
    world.store.create_session(new, of, world.now()).await.unwrap();
    hash
}

async fn works(world: &World, token: TokenHash) -> bool {
    world.store.authenticate(token, world.now()).await.unwrap().is_some()
}

pub async fn a_session_ends_with_the_token_that_it_was_made_with(world: World) {
    let (new, token) = new_token(&world, Scope::Environment, None);
    let id = new.id;
    world.store.create_token(new, world.now()).await.unwrap();
    let first = session(&world, Scope::Environment, Some(token), 12).await;
    let of_session = session(&world, Scope::Environment, Some(first), 12).await;
    let by_itself = session(&world, Scope::Environment, None, 12).await;
    for one in [first, of_session, by_itself] {
        assert!(works(&world, one).await);
    }
    world.store.revoke_token(id, world.now()).await.unwrap();
    assert!(!works(&world, first).await);
    assert!(!works(&world, of_session).await, "a session made with a session");
    assert!(works(&world, by_itself).await);
    world.advance(HOUR * 12);
    assert!(!works(&world, by_itself).await);
}

pub async fn a_session_lasts_no_longer_than_what_it_was_made_with(world: World) {
    let app = world.app().await;
    let scope = Scope::App { app, read_only: true };
    let (link, token) = new_token(&world, scope, Some(world.now().later(HOUR)));
    world.store.create_token(link, world.now()).await.unwrap();
    let by_link = session(&world, scope, Some(token), 12).await;
    let renewed = session(&world, scope, Some(by_link), 12).await;
    let listed = world.store.tokens_of_app(world.environment, app, world.now(), 10).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.is_session).collect::<Vec<_>>(), [true, true, false]);
    assert!(listed.iter().all(|one| one.expires_at == listed[2].expires_at), "{listed:?}");
    world.advance(HOUR);
    assert!(!works(&world, by_link).await && !works(&world, renewed).await);
    assert_eq!(world.store.tokens_of_app(world.environment, app, world.now(), 10).await.unwrap(), []);
}

pub async fn one_token_ends_in_its_own_environment_and_app_only(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let foreign = world.store.environment("foreign", world.now()).await.unwrap().id;
    let scope = Scope::App { app, read_only: false };
    let (new, token) = new_token(&world, scope, None);
    let (id, now) = (new.id, world.now());
    world.store.create_token(new, now).await.unwrap();
    let by_link = session(&world, scope, Some(token), 12).await;
    for (environment, of) in [(foreign, None), (foreign, Some(app)), (world.environment, Some(other))] {
        assert!(!world.store.end_token(environment, of, id, now).await.unwrap());
    }
    assert!(works(&world, token).await);
    for of in [Some(app), None] {
        assert!(world.store.end_token(world.environment, of, id, now).await.unwrap());
    }
    assert!(!works(&world, token).await && !works(&world, by_link).await);
    assert_eq!(world.store.tokens_of_app(world.environment, app, now, 10).await.unwrap(), []);
}

pub async fn all_tokens_of_an_app_end_at_once_or_at_a_time_and_nobody_elses(world: World) {
    let (app, other) = (world.app().await, world.app().await);
    let (mut tokens, mut sessions) = (Vec::new(), Vec::new());
    for app in [app, other] {
        let scope = Scope::App { app, read_only: false };
        let (new, token) = new_token(&world, scope, Some(world.now().later(HOUR * 24)));
        world.store.create_token(new, world.now()).await.unwrap();
        sessions.push(session(&world, scope, Some(token), 12).await);
        tokens.push(token);
    }
    let later = world.now().later(HOUR);
    let ends = |at| world.store.end_tokens_of_app(world.environment, app, at, world.now());
    assert_eq!(ends(later).await.unwrap(), 2);
    assert!(works(&world, tokens[0]).await && works(&world, sessions[0]).await);
    world.advance(HOUR);
    assert!(!works(&world, tokens[0]).await && !works(&world, sessions[0]).await);
    assert!(works(&world, tokens[1]).await && works(&world, sessions[1]).await);
    let foreign = world.store.environment("foreign", world.now()).await.unwrap().id;
    let now = world.now();
    assert_eq!(world.store.end_tokens_of_app(foreign, other, now, now).await.unwrap(), 0);
    assert!(works(&world, tokens[1]).await);
    assert_eq!(world.store.end_tokens_of_app(world.environment, other, now, now).await.unwrap(), 2);
    assert_eq!(world.store.end_tokens_of_app(world.environment, other, now, now).await.unwrap(), 0);
    assert!(!works(&world, tokens[1]).await && !works(&world, sessions[1]).await);
}

pub async fn the_sessions_of_operators_end_at_once_and_their_tokens_go_on(world: World) {
    let (new, token) = new_token(&world, Scope::Environment, None);
    world.store.create_token(new, world.now()).await.unwrap();
    let sessions = [
        session(&world, Scope::Environment, Some(token), 1).await,
        session(&world, Scope::Environment, None, 1).await,
    ];
    let app = world.app().await;
    let customers = session(&world, Scope::App { app, read_only: true }, None, 1).await;
    assert_eq!(world.store.end_sessions(world.environment, world.now()).await.unwrap(), 2);
    for one in sessions {
        assert!(!works(&world, one).await);
    }
    assert!(works(&world, token).await && works(&world, customers).await);
}

pub async fn what_is_chosen_is_the_environments_own_and_can_be_taken_back(world: World) {
    let other = world.store.environment("other", world.now()).await.unwrap().id;
    let store = &world.store;
    assert_eq!(store.chosen(world.environment, Choice::Portal).await.unwrap(), None);
    for value in [b"one".to_vec(), b"two\0".to_vec()] {
        store.choose(world.environment, Choice::Portal, Some(value.clone())).await.unwrap();
        assert_eq!(store.chosen(world.environment, Choice::Portal).await.unwrap(), Some(value));
    }
    assert_eq!(store.chosen(other, Choice::Portal).await.unwrap(), None);
    assert_eq!(store.chosen(world.environment, Choice::Password).await.unwrap(), None);
    store.choose(world.environment, Choice::Portal, None).await.unwrap();
    assert_eq!(store.chosen(world.environment, Choice::Portal).await.unwrap(), None);
}

pub async fn a_password_is_found_by_its_environments_name_and_makes_none(world: World) {
    let store = &world.store;
    assert_eq!(store.password_of("acme").await.unwrap(), None);
    store.choose(world.environment, Choice::Password, Some(b"kept".to_vec())).await.unwrap();
    assert_eq!(store.password_of("acme").await.unwrap(), Some((world.environment, b"kept".to_vec())));
    for other in ["Acme", "nobody", ""] {
        assert_eq!(store.password_of(other).await.unwrap(), None, "{other}");
    }
}

pub async fn a_catalogue_is_found_by_its_letters_which_no_two_have(world: World) {
    let other = world.store.environment("other", world.now()).await.unwrap().id;
    let (store, letters) = (&world.store, b"letters".to_vec());
    store.choose(world.environment, Choice::Catalogue, Some(letters.clone())).await.unwrap();
    store.choose(world.environment, Choice::Portal, Some(b"no letters".to_vec())).await.unwrap();
    assert_eq!(store.environment_of_catalogue("letters").await.unwrap(), Some(world.environment));
    assert_eq!(store.environment_of_catalogue("no letters").await.unwrap(), None);
    store.choose(other, Choice::Catalogue, Some(b"others".to_vec())).await.unwrap();
    assert!(store.choose(other, Choice::Catalogue, Some(letters)).await.is_err());
    assert_eq!(store.environment_of_catalogue("letters").await.unwrap(), Some(world.environment));
    assert_eq!(store.environment_of_catalogue("others").await.unwrap(), Some(other));
}

pub async fn links_and_sessions_that_are_over_go_after_thirty_days_and_api_tokens_stay(world: World) {
    let scope = Scope::App { app: world.app().await, read_only: false };
    let ends = Some(world.now().later(HOUR));
    for scope in [scope, Scope::Environment] {
        let (new, _) = new_token(&world, scope, ends);
        world.store.create_token(new, world.now()).await.unwrap();
    }
    session(&world, Scope::Environment, None, 1).await;
    let there = async || world.store.tokens(Some(world.environment)).await.unwrap().len();
    let before = there().await;
    world.advance(HOUR * (24 * 30));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(there().await, before, "they ended less than thirty days ago");
    world.advance(HOUR * 2);
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(there().await, before - 2, "the link and the session");
}
