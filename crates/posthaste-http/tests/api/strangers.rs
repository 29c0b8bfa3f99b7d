//! The inbound door, from the side of those who know its address and not its secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use posthaste_core::app::Reference;
use posthaste_core::source::{Config, OnMismatch, Rules, Schema, SourceChange};
use posthaste_core::time::Clock as _;
use posthaste_store::{Directory as _, Sources as _};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::json;

use crate::inbound::{Source, json_of, signature};

/// A body that ends when the test says so.
fn held_back() -> (tokio::sync::oneshot::Sender<Bytes>, Body) {
    let (send, receive) = tokio::sync::oneshot::channel();
    (send, Body::from_stream(futures_util::stream::once(receive)))
}

#[tokio::test]
async fn a_handshake_that_was_held_back_does_not_replace_the_secret_that_was_learned() {
    let source = Source::of(500, json!({ "name": "Asana", "type": "asana", "config": {} })).await;
    let shake = |secret: &str, body: Body| {
        let request = Request::post(&source.door).header("x-hook-secret", secret).body(body).unwrap();
        source.posthaste.ask(request)
    };
    let (end, held) = held_back();
    let (stranger, provider) = tokio::join!(shake("evil", held), async {
        let answer = shake("hush", Body::empty()).await;
        end.send(Bytes::new()).unwrap();
        answer
    });
    assert_eq!((stranger.status(), provider.status()), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    for (secret, expected) in [("hush", StatusCode::OK), ("evil", StatusCode::UNAUTHORIZED)] {
        let signed = signature(secret, b"{\"events\":[1]}").replace("sha256=", "");
        let request = Request::post(&source.door).header("x-hook-signature", signed);
        let answer = source.posthaste.ask(request.body(Body::from("{\"events\":[1]}")).unwrap()).await;
        assert_eq!(answer.status(), expected, "{secret}");
    }
}

#[tokio::test]
async fn a_learned_secret_outlives_changes_that_say_nothing_of_secrets() {
    let whole = json!({ "name": "Asana", "type": "asana", "config": {} });
    let source = Source::of(501, whole.clone()).await;
    let path = format!("/ingest/api/v1/source/{}", source.id);
    let shake = |secret: &str| {
        source
            .posthaste
            .ask(Request::post(&source.door).header("x-hook-secret", secret).body(Body::empty()).unwrap())
    };
    assert_eq!(shake("hush").await.status(), StatusCode::OK);
    for (method, body) in [
        ("PUT", whole),
        ("PATCH", json!({ "config": { "toleranceSeconds": null } })),
        ("PATCH", json!({ "type": "asana" })),
    ] {
        let (status, _) = source.posthaste.call(method, &path, &source.token, Some(body)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(shake("evil").await.status(), StatusCode::FORBIDDEN, "{method}");
    }
    // Whoever wants to connect it anew says so.
    source.change(json!({ "config": { "secrets": [] } })).await;
    assert_eq!(shake("fresh").await.status(), StatusCode::OK);
}

const SCANNING_KEYS: &str = "https://api.github.com/meta/public_keys/secret_scanning";

/// Requests of GitHub's secret scanning, which names its keys, and where they are.
struct Scanning {
    source: Source,
    key: KeyPair,
}

impl Scanning {
    async fn start(seed: u64) -> Self {
        let body = json!({ "name": "Scanning", "type": "github-secret-scanning" });
        let scanning = Self { source: Source::of(seed, body).await, key: KeyPair::generate().unwrap() };
        scanning.publish();
        scanning
    }

    fn publish(&self) {
        let key = self.key.public_key_pem();
        let keys = json!({ "public_keys": [{ "key_identifier": "ours", "key": key, "is_current": true }] });
        self.source.posthaste.published.at(SCANNING_KEYS, &keys.to_string());
    }

    async fn sends(&self, key_id: &str) -> StatusCode {
        let signature = BASE64_STANDARD.encode(self.key.sign(b"[]").unwrap());
        let request = Request::post(&self.source.door)
            .header("github-public-key-identifier", key_id)
            .header("github-public-key-signature", signature)
            .body(Body::from("[]"))
            .unwrap();
        self.source.posthaste.ask(request).await.status()
    }

    fn fetches(&self) -> usize {
        self.source.posthaste.published.fetched().len()
    }
}

#[tokio::test]
async fn a_strangers_key_id_costs_no_key_that_verifies() {
    let scanning = Scanning::start(502).await;
    let published = &scanning.source.posthaste.published;
    assert_eq!(scanning.sends("ours").await, StatusCode::OK);
    for (case, answer) in [("nothing", None), ("nonsense", Some("<html>"))] {
        scanning.source.posthaste.clock.advance(Duration::from_secs(61));
        match answer {
            None => published.gone(SCANNING_KEYS),
            Some(text) => published.at(SCANNING_KEYS, text),
        }
        let before = scanning.fetches();
        for _ in 0..20 {
            assert_ne!(scanning.sends("another").await, StatusCode::OK, "{case}");
            assert_eq!(scanning.sends("ours").await, StatusCode::OK, "{case}");
        }
        assert_eq!(scanning.fetches() - before, 1, "{case}");
    }
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_fetched_within_a_minute() {
    let mut scanning = Scanning::start(503).await;
    assert_eq!(scanning.sends("ours").await, StatusCode::OK);
    scanning.key = KeyPair::generate().unwrap();
    let key = scanning.key.public_key_pem();
    let keys = json!({ "public_keys": [{ "key_identifier": "new", "key": key }] });
    scanning.source.posthaste.published.at(SCANNING_KEYS, &keys.to_string());
    scanning.source.posthaste.clock.advance(Duration::from_secs(61));
    assert_eq!(scanning.sends("new").await, StatusCode::OK);
    assert_eq!(scanning.fetches(), 2);
}

#[tokio::test]
async fn addresses_that_strangers_name_are_fetched_seldom_and_keep_nobody_waiting() {
    let source = Source::of(504, json!({ "name": "SNS", "type": "aws-sns" })).await;
    let published = &source.posthaste.published;
    let send = async |number: u32| {
        let url = format!("https://sns.us-east-1.amazonaws.com/{number}.pem");
        let body = json!({
            "Type": "Notification", "Signature": "AAAA", "SignatureVersion": "1", "SigningCertURL": url,
        });
        let request = Request::post(&source.door).body(Body::from(body.to_string())).unwrap();
        source.posthaste.ask(request).await
    };
    for number in 0..100 {
        let answer = send(number).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    assert_eq!(published.fetched().len(), 10);
    source.posthaste.clock.advance(Duration::from_secs(60));
    // What is no certificate is not kept.
    published.at("https://sns.us-east-1.amazonaws.com/1.pem", "hello");
    for _ in 0..2 {
        assert_eq!(send(1).await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(published.fetched().len(), 12);
}

/// Bytes that say when nobody holds them any more.
struct Watched(Arc<AtomicBool>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        b"{}"
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[tokio::test]
async fn an_answer_that_is_held_back_holds_no_body() {
    let source = Source::github(505, json!({ "answer": { "delayMs": 10_000 } })).await;
    let is_gone = Arc::new(AtomicBool::new(false));
    let body = Body::from(Bytes::from_owner(Watched(Arc::clone(&is_gone))));
    let answer = source.posthaste.ask(source.request(b"{}", "1").body(body).unwrap());
    let gone = async {
        while !is_gone.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = answer => panic!("the body was held until the answer was out"),
        () = gone => {}
    }
    assert_eq!(source.kept().await.len(), 1);
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_away_and_lets_nothing_in() {
    let source = Source::of(506, json!({ "name": "Asana", "type": "asana", "config": {} })).await;
    let store = &source.posthaste.store;
    let now = source.posthaste.clock.now();
    let environment = store.environment("default", now).await.unwrap().id;
    let schema = Schema { document: "{".to_owned(), on_mismatch: OnMismatch::Reject };
    let unread = Config::new("{".to_owned());
    for change in [
        SourceChange {
            rules: Some(Rules { schema: Some(schema), ..Rules::default() }),
            ..SourceChange::default()
        },
        SourceChange { rules: Some(Rules::default()), config: Some(unread), ..SourceChange::default() },
        SourceChange { provider: Some("gone".to_owned()), ..SourceChange::default() },
    ] {
        let id = Reference::new(source.id.clone());
        store.change_source(environment, &id, change, now).await.unwrap();
        let shake = Request::post(&source.door).header("x-hook-secret", "hush").body(Body::empty()).unwrap();
        assert_eq!(source.posthaste.ask(shake).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

/// A request of Amazon's as it was sent, and the certificate that it names.
fn of_amazon(id: &str) -> (serde_json::Value, String, String) {
    let vectors = include_str!("../../../posthaste-signature/tests/fixtures/provider_vectors.jsonl");
    let line = vectors.lines().find(|line| line.starts_with(&format!("{{\"id\":\"aws-sns/{id}\""))).unwrap();
    let vector: serde_json::Value = serde_json::from_str(line).unwrap();
    let (url, pem) = vector["config"]["certs"].as_object().unwrap().iter().next().unwrap();
    let body = BASE64_STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
    (serde_json::from_slice(&body).unwrap(), url.clone(), pem.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn once_a_topic_of_amazons_is_subscribed_no_other_is_believed() {
    let source = Source::of(507, json!({ "name": "SNS", "type": "aws-sns" })).await;
    let (subscription, url, pem) = of_amazon("handshake/subscription-confirmation");
    source.posthaste.published.at(&url, &pem);
    let send = async |body: &serde_json::Value| {
        let request = Request::post(&source.door).body(Body::from(body.to_string())).unwrap();
        source.posthaste.ask(request).await
    };
    let (notification, ..) = of_amazon("valid-v2");
    let mut foreign = notification.clone();
    foreign["TopicArn"] = json!("arn:aws:sns:us-east-1:666666666666:Theirs");
    assert!(json_of(&send(&foreign).await)["detail"].as_str().unwrap().contains("Signature"));
    assert_eq!(send(&subscription).await.status(), StatusCode::OK);
    let refused = send(&foreign).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(json_of(&refused)["detail"].as_str().unwrap().contains("TopicArn"));
    foreign["Type"] = json!("SubscriptionConfirmation");
    foreign["SubscribeURL"] = subscription["SubscribeURL"].clone();
    assert_eq!(send(&foreign).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(&notification).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_confirmation_that_is_sent_again_and_again_is_not_fetched_each_time() {
    let source = Source::of(508, json!({ "name": "SNS", "type": "aws-sns" })).await;
    let (subscription, url, pem) = of_amazon("handshake/subscription-confirmation");
    source.posthaste.published.at(&url, &pem);
    let mut statuses = vec![];
    for _ in 0..100 {
        let request = Request::post(&source.door).body(Body::from(subscription.to_string())).unwrap();
        statuses.push(source.posthaste.ask(request).await.status());
        tokio::task::yield_now().await;
    }
    assert_eq!((statuses[0], statuses[99]), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    // Ten, and two before the topic was learned.
    assert_eq!(source.posthaste.published.fetched().len(), 12);
}

/// A body of so many bytes that does not end before the test says so.
fn endless(bytes: usize) -> (tokio::sync::oneshot::Sender<Bytes>, Body) {
    let (send, receive) = tokio::sync::oneshot::channel();
    let begun = futures_util::future::ready(Ok(Bytes::from(vec![b'x'; bytes])));
    (send, Body::from_stream(futures_util::stream::once(begun).chain(futures_util::stream::once(receive))))
}

#[tokio::test]
async fn bodies_under_way_take_no_more_memory_than_a_source_has() {
    const LONG: usize = 20 << 20;
    let source = Source::github(509, json!({ "bodyBytesMax": LONG })).await;
    let send = |body: Body| source.posthaste.ask(Request::post(&source.door).body(body).unwrap());
    let (ends, held): (Vec<_>, Vec<_>) = (0..3).map(|_| endless(LONG)).unzip();
    let strangers = futures_util::future::join_all(held.into_iter().map(send));
    let others = async {
        let refused = send(Body::from(vec![b'x'; LONG])).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        // What is short finds room.
        assert_eq!(source.sends(b"{}", "1").await.status(), StatusCode::OK);
        for end in ends {
            end.send(Bytes::new()).unwrap();
        }
    };
    let (answers, ()) = tokio::join!(strangers, others);
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::UNAUTHORIZED));
    assert_eq!(send(Body::from(vec![b'x'; LONG])).await.status(), StatusCode::UNAUTHORIZED);
}
