//! Tokens: good until they end, at once, everywhere; and only so often.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use posthaste_core::time::Clock as _;
use posthaste_core::token::TokenHash;
use posthaste_http::Peer;
use posthaste_http::serve::ListenerLimits;
use posthaste_store::Directory as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::listener::{Listener, status_of};
use crate::world::Posthaste;

/// A list of apps, asked for from an address.
async fn asks(posthaste: &Posthaste, token: &str, from: &str) -> http::Response<Vec<u8>> {
    let request = Request::get("/api/v1/app").header("authorization", format!("Bearer {token}"));
    let request = request.extension(Peer(from.parse().unwrap())).body(Body::empty()).unwrap();
    posthaste.ask(request).await
}

#[tokio::test]
async fn a_token_that_ends_is_refused_by_the_next_request_on_the_same_connection() {
    let (posthaste, token) = Posthaste::with_endpoint(720).await;
    let portal = posthaste.portal_token(&token, false).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let request = |token: &str, method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
        format!("{head}content-length: 0\r\n\r\n").into_bytes()
    };
    let endpoints = "/api/v1/app/a/endpoint/e/stats";
    let mut kept = listener.connect().await;
    kept.write_all(&request(&portal, "GET", endpoints)).await.unwrap();
    assert_eq!(crate::listener::answer(&mut kept).await.0, 200);
    kept.write_all(&request(&portal, "POST", "/api/v1/auth/logout")).await.unwrap();
    assert_eq!(crate::listener::answer(&mut kept).await.0, 204);
    kept.write_all(&request(&portal, "GET", endpoints)).await.unwrap();
    assert_eq!(crate::listener::answer(&mut kept).await.0, 401, "it ended itself");
    let mut other = listener.connect().await;
    other.write_all(&request(&token, "GET", endpoints)).await.unwrap();
    assert_eq!(crate::listener::answer(&mut other).await.0, 200);
    posthaste.store.revoke_token_by_hash(TokenHash::of(&token), posthaste.clock.now()).await.unwrap();
    other.write_all(&request(&token, "GET", endpoints)).await.unwrap();
    assert_eq!(status_of(&mut other).await, 401, "it was revoked");
}

#[tokio::test]
async fn a_token_asks_so_often_a_second_and_no_other_token_waits_for_it() {
    let posthaste = Posthaste::start_with_rate(721, NonZeroU32::new(5));
    let (busy, other) = (posthaste.token("default").await, posthaste.token("default").await);
    for _ in 0..5 {
        assert_eq!(asks(&posthaste, &busy, "192.0.2.9").await.status(), StatusCode::OK);
    }
    let refused = asks(&posthaste, &busy, "192.0.2.9").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let said: serde_json::Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(said["code"], "rate_limited");
    assert_eq!(asks(&posthaste, &other, "192.0.2.9").await.status(), StatusCode::OK);
    posthaste.clock.advance(Duration::from_millis(200));
    assert_eq!(asks(&posthaste, &busy, "192.0.2.9").await.status(), StatusCode::OK);
    assert_eq!(asks(&posthaste, &busy, "192.0.2.9").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_request_with_an_idempotency_key_counts_once() {
    let posthaste = Posthaste::start_with_rate(722, NonZeroU32::new(3));
    let token = posthaste.token("default").await;
    for n in 0..3 {
        let request = Request::post("/api/v1/app")
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", n.to_string())
            .body(Body::from(json!({ "name": "A" }).to_string()))
            .unwrap();
        assert_eq!(posthaste.ask(request).await.status(), StatusCode::CREATED);
    }
    assert_eq!(asks(&posthaste, &token, "192.0.2.9").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn whoever_guesses_tokens_is_soon_refused_unheard_and_good_tokens_are_not() {
    let posthaste = Posthaste::start(723);
    let good = posthaste.token("default").await;
    assert_eq!(asks(&posthaste, &good, "198.51.100.1").await.status(), StatusCode::OK);
    let mut heard = 0;
    for n in 0..300 {
        let guessed = asks(&posthaste, &format!("phk_{n:064x}"), "198.51.100.1").await;
        match guessed.status() {
            StatusCode::UNAUTHORIZED => heard += 1,
            status => assert_eq!(
                (status, guessed.headers().contains_key("retry-after")),
                (StatusCode::TOO_MANY_REQUESTS, true)
            ),
        }
    }
    assert_eq!(heard, 100);
    assert_eq!(asks(&posthaste, &good, "198.51.100.1").await.status(), StatusCode::OK, "it was good before");
    let fresh = posthaste.token("default").await;
    assert_eq!(asks(&posthaste, &fresh, "198.51.100.1").await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(asks(&posthaste, &fresh, "198.51.100.2").await.status(), StatusCode::OK, "another address");
    posthaste.clock.advance(Duration::from_secs(1));
    assert_eq!(asks(&posthaste, &fresh, "198.51.100.1").await.status(), StatusCode::OK, "a moment later");
}

#[tokio::test]
async fn every_answer_forbids_guessing_its_type_and_no_cache_keeps_what_is_private() {
    let (posthaste, token) = Posthaste::with_endpoint(724).await;
    for path in
        ["/api/v1/app/a/endpoint/e/secret", "/api/v1/nothing", "/ingest/api/v1/source", "/livez", "/in/x"]
    {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let answer = posthaste.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        let is_private = path.starts_with("/api") || path.starts_with("/ingest");
        assert_eq!(
            answer.headers().get("cache-control").is_some_and(|v| v == "no-store"),
            is_private,
            "{path}"
        );
    }
}
