//! Idempotency keys of POSTs that are not messages: done once, told again only to whom it was told.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::FutureExt as _;
use posthaste_store::Queue as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::Posthaste;

fn post(path: &str, token: &str, key: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap()
}

const ROTATE: &str = "/api/v1/app/a/endpoint/e/secret/rotate";

#[tokio::test]
async fn a_stranger_with_an_idempotency_key_is_refused_before_anything_is_written() {
    let (posthaste, token) = Posthaste::with_endpoint(20).await;
    let before = posthaste.store.commits();
    let stranger = post("/api/v1/app", "phk_nobody", "k", &json!({ "name": "A" }));
    assert_eq!(posthaste.ask(stranger).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(posthaste.store.commits(), before, "a stranger cannot make us write");
    let known = post("/api/v1/app", &token, "k", &json!({ "name": "B" }));
    assert_eq!(posthaste.ask(known).await.status(), StatusCode::CREATED);
    assert_ne!(posthaste.store.commits(), before);
}

#[tokio::test]
async fn an_old_answer_is_not_told_to_a_token_that_may_touch_less_or_has_ended() {
    let (posthaste, token) = Posthaste::with_endpoint(21).await;
    let rotated = posthaste.ask(post(ROTATE, &token, "k", &json!({}))).await;
    assert_eq!(rotated.status(), StatusCode::OK);
    let reader = posthaste.portal_token(&token, true).await;
    let asked = posthaste.ask(post(ROTATE, &reader, "k", &json!({}))).await;
    assert_eq!(asked.status(), StatusCode::FORBIDDEN);
    let logout = posthaste.call("POST", "/api/v1/auth/logout", &token, Some(json!({}))).await;
    assert_eq!(logout.0, StatusCode::NO_CONTENT);
    let ended = posthaste.ask(post(ROTATE, &token, "k", &json!({}))).await;
    assert_eq!(ended.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_renewed_token_and_a_slash_at_the_end_are_the_same_request() {
    let (posthaste, token) = Posthaste::with_endpoint(22).await;
    let renewed = posthaste.token("default").await;
    let first = posthaste.ask(post(ROTATE, &token, "k", &json!({}))).await;
    let again = posthaste.ask(post(&format!("{ROTATE}/"), &renewed, "k", &json!({}))).await;
    assert_eq!(first.body(), again.body());
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let foreign = posthaste.token("foreign").await;
    let theirs = posthaste.ask(post(ROTATE, &foreign, "k", &json!({}))).await;
    assert_eq!(theirs.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_that_leaves_early_finds_its_work_done_when_it_asks_again() {
    let (posthaste, token) = Posthaste::with_endpoint(23).await;
    let new = || post("/api/v1/app", &token, "k", &json!({ "name": "B", "uid": "b" }));
    for _ in 0..3 {
        // Polled once and dropped: what hyper does to a request whose client hung up.
        let _ = posthaste.router.clone().oneshot(new()).now_or_never();
    }
    // Whatever point it had reached, nothing is left half done.
    loop {
        let answer = posthaste.ask(new()).await;
        if answer.status() == StatusCode::CREATED {
            break;
        }
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        tokio::task::yield_now().await;
    }
    let (_, apps) = posthaste.call("GET", "/api/v1/app", &token, None).await;
    assert_eq!(apps["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_secret_that_was_answered_stands_in_the_file_in_the_clear() {
    let (posthaste, token) = Posthaste::with_endpoint(24).await;
    let rotated = posthaste.ask(post(ROTATE, &token, "k", &json!({}))).await;
    let access = "/api/v1/auth/app-portal-access/a";
    let link = posthaste.ask(post(access, &token, "k", &json!({}))).await;
    let parse = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    let (secret, portal) = (parse(rotated.body())["key"].clone(), parse(link.body())["token"].clone());
    for shown in [secret, portal] {
        let shown = shown.as_str().unwrap().to_owned();
        for file in std::fs::read_dir(&posthaste.dir).unwrap() {
            let (path, shown) = (file.unwrap().path(), shown.as_bytes());
            let found = std::fs::read(&path).unwrap().windows(shown.len()).any(|part| part == shown);
            assert!(!found, "{}", path.display());
        }
    }
    let again = posthaste.ask(post(ROTATE, &token, "k", &json!({}))).await;
    assert_eq!(again.body(), rotated.body());
}
