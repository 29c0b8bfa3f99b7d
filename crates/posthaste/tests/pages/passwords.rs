//! A password: set by a link that is good once, limited in tries, and never there by itself.

use std::time::Duration;

use axum::http::{Response, StatusCode};
use posthaste_core::time::Clock as _;
use posthaste_store::access::Choice;
use posthaste_store::{Access as _, Directory as _};

use crate::world::{World, cookie_of, form, get};

const GOOD: &str = "correct+horse+battery";

async fn set(world: &World, password: &str, again: &str) -> (Response<String>, String) {
    let code = world.token("default").await;
    let fields = format!("code={code}&password={password}&again={again}");
    (world.ask(form("/ui/setup/password", "", &fields)).await, code)
}

fn typed(environment: &str, password: &str) -> http::Request<axum::body::Body> {
    form("/ui/login/password", "", &format!("environment={environment}&password={password}"))
}

#[tokio::test]
async fn there_is_no_password_until_one_is_set_and_then_it_logs_in() {
    let world = World::start(840);
    world.token("default").await;
    for guess in ["", "admin", "password", "posthaste", "default", GOOD] {
        assert_eq!(
            world.ask_from("192.0.2.1", typed("default", guess)).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let (answer, code) = set(&world, GOOD, GOOD).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
    let session = cookie_of(&answer).unwrap();
    assert_eq!(world.ask(get("/ui/apps", session)).await.status(), StatusCode::OK);
    let again = form("/ui/setup/password", "", &format!("code={code}&password={GOOD}&again={GOOD}"));
    assert_eq!(world.ask(again).await.status(), StatusCode::UNAUTHORIZED, "the link is used up");
    let by_password = world.ask(typed("default", GOOD)).await;
    let session = cookie_of(&by_password).expect("a session");
    assert_eq!(world.ask(get("/ui/apps", session)).await.status(), StatusCode::OK);
    for (environment, password) in [("default", "wrong"), ("other", GOOD), ("", GOOD), ("Default", GOOD)] {
        assert_eq!(
            world.ask(typed(environment, password)).await.status(),
            StatusCode::UNAUTHORIZED,
            "{environment}"
        );
    }
    assert!(world.store.password_of("other").await.unwrap().is_none(), "no environment is made by asking");
    let environment = world.store.environment("default", world.clock.now()).await.unwrap().id;
    let kept = world.store.chosen(environment, Choice::Password).await.unwrap().unwrap();
    assert!(kept.starts_with(b"$argon2id$"), "only what Argon2 makes of it is kept");
}

#[tokio::test]
async fn a_password_that_will_not_do_is_refused_and_uses_up_no_link() {
    let world = World::start(841);
    let (answer, code) = set(&world, "short", "short").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.body().contains("at least 12 letters"), "{}", answer.body());
    assert!(!answer.body().contains("short"), "what was typed is not shown again");
    let fields = format!("code={code}&password={GOOD}&again=another+one+entirely");
    let differs = world.ask(form("/ui/setup/password", "", &fields)).await;
    assert!(differs.body().contains("two different passwords"), "{}", differs.body());
    let fields = format!("code={code}&password={GOOD}&again={GOOD}");
    assert_eq!(world.ask(form("/ui/setup/password", "", &fields)).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_no_token() {
    let world = World::start(842);
    let token = world.token("default").await;
    let (by_token, foreign) = (world.log_in(&token).await, world.log_in(&world.token("other").await).await);
    set(&world, GOOD, GOOD).await;
    let by_password = cookie_of(&world.ask(typed("default", GOOD)).await).unwrap().to_owned();
    let is_in = async |session: &str| world.ask(get("/ui/apps", session)).await.status() == StatusCode::OK;
    assert!(!is_in(&by_token).await && is_in(&by_password).await && is_in(&foreign).await);
    let (answer, _) = set(&world, "another+one+entirely", "another+one+entirely").await;
    assert!(!is_in(&by_password).await && is_in(cookie_of(&answer).unwrap()).await && is_in(&foreign).await);
    assert_eq!(world.ask(typed("default", GOOD)).await.status(), StatusCode::UNAUTHORIZED);
    assert!(is_in(&world.log_in(&token).await).await, "the token goes on");
}

#[tokio::test]
async fn guesses_from_one_address_are_few_and_tokens_go_on_there() {
    let world = World::start(843);
    let token = world.token("default").await;
    set(&world, GOOD, GOOD).await;
    let here = "192.0.2.9";
    let mut heard = 0;
    for n in 0..30 {
        heard += u32::from(
            world.ask_from(here, typed("default", &n.to_string())).await.status() == StatusCode::UNAUTHORIZED,
        );
    }
    assert_eq!(heard, 10);
    let right = world.ask_from(here, typed("default", GOOD)).await;
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS, "not even the right one");
    assert_eq!(right.headers()["retry-after"], "30");
    assert!(
        cookie_of(&world.ask_from("192.0.2.10", typed("default", GOOD)).await).is_some(),
        "another address"
    );
    let by_token = world.ask_from(here, form("/ui/login", "", &format!("token={token}"))).await;
    assert!(cookie_of(&by_token).is_some(), "a token still logs in");
    world.clock.advance(Duration::from_secs(30));
    assert!(cookie_of(&world.ask_from(here, typed("default", GOOD)).await).is_some());
}
