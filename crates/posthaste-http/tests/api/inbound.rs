//! The inbound door, from a provider's side: what is taken, what is refused, and what is kept of both.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use posthaste_core::time::Clock as _;
use posthaste_http::Peer;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::Posthaste;

/// A source of GitHub's with the secret `hush`, and a handler for what it sends.
pub(crate) struct Source {
    pub(crate) posthaste: Posthaste,
    pub(crate) token: String,
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) door: String,
}

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

impl Source {
    pub(crate) async fn of(seed: u64, body: Value) -> Self {
        let posthaste = Posthaste::start(seed);
        let token = posthaste.token("default").await;
        let (status, made) = posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let door = text("ingestUrl").strip_prefix("http://posthaste.example").unwrap().to_owned();
        let source = Self { token, id: text("id"), app: text("appId"), door, posthaste };
        let path = format!("/ingest/api/v1/source/{}/endpoint", source.id);
        let endpoint = json!({ "url": "https://example.com/handler" });
        let (status, _) = source.posthaste.call("POST", &path, &source.token, Some(endpoint)).await;
        assert_eq!(status, StatusCode::CREATED);
        source
    }

    pub(crate) async fn github(seed: u64, more: Value) -> Self {
        let mut body = json!({ "name": "GitHub", "type": "github", "config": { "secret": "hush" } });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        Self::of(seed, body).await
    }

    pub(crate) fn request(&self, body: &[u8], delivery: &str) -> http::request::Builder {
        Request::post(&self.door)
            .header("content-type", "application/json")
            .header("x-github-event", "issues")
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", signature("hush", body))
    }

    pub(crate) async fn sends(&self, body: &[u8], delivery: &str) -> Response<Vec<u8>> {
        self.posthaste.ask(self.request(body, delivery).body(Body::from(body.to_vec())).unwrap()).await
    }

    pub(crate) async fn change(&self, change: Value) {
        let path = format!("/ingest/api/v1/source/{}", self.id);
        let (status, answer) = self.posthaste.call("PATCH", &path, &self.token, Some(change)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    pub(crate) async fn kept(&self) -> Vec<Value> {
        let path = format!("/api/v1/app/{}/msg", self.app);
        let (_, page) = self.posthaste.call("GET", &path, &self.token, None).await;
        page["data"].as_array().unwrap().clone()
    }

    /// What was refused, newest first, once `count` refusals are kept: nobody waits for their writing.
    pub(crate) async fn log(&self, count: usize) -> Vec<Value> {
        let path = format!("/ingest/api/v1/source/{}/log", self.id);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while std::time::Instant::now() < until {
            let (_, page) = self.posthaste.call("GET", &path, &self.token, None).await;
            let rows = page["data"].as_array().unwrap();
            if rows.len() >= count {
                return rows.clone();
            }
            tokio::task::yield_now().await;
        }
        panic!("fewer than {count} refusals were kept");
    }
}

pub(crate) fn json_of(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn a_signed_request_is_kept_as_it_came_and_answered_once_it_is() {
    let source = Source::github(300, json!({})).await;
    let body = b"{ \"action\" : \"opened\" }\n";
    let request = source.request(body, "d-1").uri(format!("{}?a=1&b=%20", source.door));
    let request =
        request.header("x-twice", "one").header("x-twice", "two").body(Body::from(&body[..])).unwrap();
    let answer = source.posthaste.ask(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.body().is_empty());
    let kept = source.kept().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["id"], answer.headers()["posthaste-message"].to_str().unwrap());
    assert_eq!(kept[0]["eventType"], "issues");
    assert_eq!(kept[0]["payloadEncoding"], "json");
    assert_eq!(kept[0]["request"]["method"], "POST");
    assert_eq!(kept[0]["request"]["query"], "a=1&b=%20");
    assert_eq!(kept[0]["request"]["headers"]["x-twice"], json!(["one", "two"]));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_shown_as_text_or_as_base64() {
    let body = json!({ "name": "Any", "type": "generic-webhook" });
    let source = Source::of(301, body).await;
    for (sent, shown, encoding) in [
        (&b"a=1&b=2"[..], json!({ "text": "a=1&b=2" }), "text"),
        (&b"\xff\xfe"[..], json!({ "base64": "//4=" }), "base64"),
        (&b"[1]"[..], json!([1]), "json"),
        (&b""[..], json!({ "text": "" }), "text"),
    ] {
        source.posthaste.clock.advance(Duration::from_secs(1));
        let request = Request::post(&source.door).body(Body::from(sent)).unwrap();
        assert_eq!(source.posthaste.ask(request).await.status(), StatusCode::OK);
        let newest = source.kept().await.remove(0);
        assert_eq!(newest["payload"], shown);
        assert_eq!(newest["payloadEncoding"], encoding);
        assert_eq!(newest["eventType"], "webhook");
    }
}

#[tokio::test]
async fn a_request_with_a_wrong_signature_is_refused_explained_and_kept() {
    let source = Source::github(302, json!({})).await;
    let request = source.request(b"{}", "d-1").body(Body::from("{}\n")).unwrap();
    let answer = source.posthaste.ask(request).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let told = json_of(&answer);
    assert_eq!(told["code"], "not_verified");
    assert!(told["hints"][0].as_str().unwrap().contains("white space at its end"), "{told}");
    assert!(source.kept().await.is_empty());
    let log = source.log(1).await;
    assert_eq!(log[0]["status_code"], 401);
    assert_eq!(log[0]["payload"], "{}\n");
    assert_eq!(log[0]["headers"]["x-github-delivery"], "d-1");
    // Its delivery id is still free.
    assert_eq!(source.sends(b"{}", "d-1").await.status(), StatusCode::OK);
    assert_eq!(source.kept().await.len(), 1);
}

#[tokio::test]
async fn a_delivery_that_comes_again_gets_the_same_answer_and_is_no_second_message() {
    let source = Source::github(303, json!({})).await;
    let first = source.sends(b"{}", "d-1").await;
    let again = source.sends(b"{\"other\":1}", "d-1").await;
    assert_eq!(
        (first.status(), first.headers()["posthaste-message"].clone()),
        (again.status(), again.headers()["posthaste-message"].clone())
    );
    assert_eq!(source.kept().await.len(), 1);
    source.sends(b"{}", "d-2").await;
    assert_eq!(source.kept().await.len(), 2);
    source.posthaste.clock.advance(Duration::from_hours(4 * 24 + 1));
    source.sends(b"{}", "d-1").await;
    assert_eq!(source.kept().await.len(), 3);
}

#[tokio::test]
async fn two_things_that_are_told_of_one_id_are_two_messages() {
    let vapi = json!({ "name": "Vapi", "type": "vapi", "config": { "secret": "hush" } });
    let source = Source::of(319, vapi).await;
    for (kind, count) in [("status-update", 1), ("end-of-call-report", 2), ("status-update", 2)] {
        let body = json!({ "message": { "type": kind, "call": { "id": "call-1" } } }).to_string();
        let request = Request::post(&source.door).header("x-vapi-secret", "hush");
        let answer = source.posthaste.ask(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", String::from_utf8_lossy(answer.body()));
        assert_eq!(source.kept().await.len(), count, "{kind}");
    }
}

#[tokio::test]
async fn fifty_copies_at_once_are_one_message() {
    let source = Source::github(304, json!({})).await;
    let sends = (0..50).map(|_| source.sends(b"{}", "d-1"));
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
    assert_eq!(source.kept().await.len(), 1);
}

#[tokio::test]
async fn a_source_deduplicates_by_what_it_was_told() {
    for (by, same, other) in [
        ("body", [&b"{\"a\":1}"[..], b"{\"a\":1}"], &b"{\"a\":2}"[..]),
        ("json:a.b", [b"{\"a\":{\"b\":7}}", b"{\"a\":{\"b\":7},\"c\":1}"], b"{\"a\":{\"b\":8}}"),
        ("header:X-GitHub-Delivery", [b"{}", b"{}"], b"{}"),
    ] {
        let source = Source::github(305, json!({ "dedupe": { "by": by } })).await;
        let ids = if by.starts_with("header") { ["1", "1", "2"] } else { ["1", "2", "3"] };
        source.sends(same[0], ids[0]).await;
        source.sends(same[1], ids[1]).await;
        assert_eq!(source.kept().await.len(), 1, "{by}");
        source.sends(other, ids[2]).await;
        assert_eq!(source.kept().await.len(), 2, "{by}");
    }
    let source = Source::github(306, json!({ "dedupe": { "by": "off" } })).await;
    source.sends(b"{}", "1").await;
    source.sends(b"{}", "1").await;
    assert_eq!(source.kept().await.len(), 2);
}

#[tokio::test]
async fn a_changed_source_counts_for_the_next_request() {
    let source = Source::github(307, json!({})).await;
    assert_eq!(source.sends(b"{}", "1").await.status(), StatusCode::OK);
    source.change(json!({ "config": { "secret": "other" } })).await;
    assert_eq!(source.sends(b"{}", "2").await.status(), StatusCode::UNAUTHORIZED);
    source.change(json!({ "config": { "secrets": ["other", "hush"] } })).await;
    assert_eq!(source.sends(b"{}", "2").await.status(), StatusCode::OK);
    let path = format!("/ingest/api/v1/source/{}", source.id);
    source.posthaste.call("DELETE", &path, &source.token, None).await;
    assert_eq!(source.sends(b"{}", "3").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_old_address_works_on_for_a_day() {
    let source = Source::github(308, json!({})).await;
    let path = format!("/ingest/api/v1/source/{}/token/rotate", source.id);
    let (status, rotated) = source.posthaste.call("POST", &path, &source.token, None).await;
    assert_eq!(status, StatusCode::OK);
    let moved = rotated["ingestUrl"].as_str().unwrap().replace("http://posthaste.example", "");
    assert_ne!(moved, source.door);
    assert_eq!(source.sends(b"{}", "1").await.status(), StatusCode::OK);
    let request = source.request(b"{}", "2").uri(&moved).body(Body::from("{}")).unwrap();
    assert_eq!(source.posthaste.ask(request).await.status(), StatusCode::OK);
    source.posthaste.clock.advance(Duration::from_hours(25));
    assert_eq!(source.sends(b"{}", "3").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_allowed_networks_may_knock_and_only_listed_proxies_speak_for_others() {
    let source = Source::github(309, json!({ "allowedNetworks": ["203.0.113.0/24"] })).await;
    let from = async |peer: &str, forwarded: Option<&str>| {
        let mut request = source.request(b"{}", "1");
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        let request =
            request.extension(Peer(peer.parse::<IpAddr>().unwrap())).body(Body::from("{}")).unwrap();
        source.posthaste.ask(request).await.status()
    };
    assert_eq!(from("203.0.113.7", None).await, StatusCode::OK);
    assert_eq!(from("198.51.100.1", None).await, StatusCode::FORBIDDEN);
    assert_eq!(from("198.51.100.1", Some("203.0.113.7")).await, StatusCode::FORBIDDEN);
    // 192.0.2.0/24 is a trusted proxy.
    assert_eq!(from("192.0.2.1", Some("203.0.113.7")).await, StatusCode::OK);
    assert_eq!(from("192.0.2.1", Some("203.0.113.7, 198.51.100.1")).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn more_requests_a_second_than_allowed_are_told_when_to_come_back() {
    let source = Source::github(310, json!({ "rateLimit": 2 })).await;
    for id in ["1", "2"] {
        assert_eq!(source.sends(b"{}", id).await.status(), StatusCode::OK);
    }
    let refused = source.sends(b"{}", "3").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    source.posthaste.clock.advance(Duration::from_millis(500));
    assert_eq!(source.sends(b"{}", "3").await.status(), StatusCode::OK);
}

/// A source, its door as another process remembers it, and what its provider sends next.
async fn changed_elsewhere(seed: u64, change: Value) -> (Source, Posthaste) {
    let source = Source::github(seed, json!({ "allowedNetworks": ["203.0.113.0/24"] })).await;
    let other = source.posthaste.beside();
    let known = source.request(b"{}", "1").extension(Peer("203.0.113.7".parse::<IpAddr>().unwrap()));
    let answer = other.ask(known.body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK, "it knows the source from now on");
    source.change(change).await;
    (source, other)
}

#[tokio::test]
async fn what_another_process_allowed_just_now_is_not_refused_from_memory() {
    let anyone = json!({ "allowedNetworks": [] });
    let (source, other) = changed_elsewhere(320, anyone).await;
    let request = source.request(b"{}", "2").extension(Peer("198.51.100.1".parse::<IpAddr>().unwrap()));
    assert_eq!(other.ask(request.body(Body::from("{}")).unwrap()).await.status(), StatusCode::OK);

    let another = json!({ "allowedNetworks": [], "config": { "secret": "changed" }, "methods": ["PUT"] });
    let (source, other) = changed_elsewhere(321, another).await;
    let mut request = source.request(b"{}", "2").method("PUT");
    let signed = signature("changed", b"{}").parse().unwrap();
    request.headers_mut().unwrap().insert("x-hub-signature-256", signed);
    assert_eq!(other.ask(request.body(Body::from("{}")).unwrap()).await.status(), StatusCode::OK);
    assert_eq!(source.kept().await.len(), 2);
}

#[tokio::test]
async fn what_is_refused_by_the_source_as_it_is_now_is_refused_once() {
    let (source, other) = changed_elsewhere(322, json!({ "allowedNetworks": [], "name": "B" })).await;
    let mut request = source.request(b"{}", "2");
    request.headers_mut().unwrap().insert("x-hub-signature-256", "sha256=00".parse().unwrap());
    let refused = other.ask(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(source.log(1).await.len(), 1);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whole_and_never_cut() {
    let source = Source::github(311, json!({ "bodyBytesMax": 100 })).await;
    assert_eq!(source.sends(&[b'x'; 100], "1").await.status(), StatusCode::OK);
    assert_eq!(source.sends(&[b'x'; 101], "2").await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(source.kept().await.len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_match_the_schema_is_refused_or_marked() {
    let schema = json!({ "type": "object", "required": ["action"] });
    let source = Source::github(312, json!({ "schema": schema })).await;
    let refused = source.sends(b"{}", "1").await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(json_of(&refused)["code"], "schema_mismatch");
    assert_eq!(source.sends(b"{\"action\":1}", "2").await.status(), StatusCode::OK);
    source.change(json!({ "schemaMismatch": "flag" })).await;
    assert_eq!(source.sends(b"{}", "3").await.status(), StatusCode::OK);
    assert_eq!(source.kept().await[0]["tags"], json!(["schema-mismatch"]));
    assert_eq!(source.kept().await[1]["tags"], Value::Null);
}

#[tokio::test]
async fn a_source_answers_as_it_was_told() {
    let answer = json!({ "status": 202, "headers": { "X-Kind": "yes" }, "body": "taken" });
    let source = Source::github(313, json!({ "answer": answer })).await;
    let answer = source.sends(b"{}", "1").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["x-kind"], "yes");
    assert_eq!(answer.body(), b"taken");
}

#[tokio::test]
async fn a_person_is_told_what_the_address_is_and_a_stranger_nothing() {
    let source = Source::github(314, json!({})).await;
    let ask = async |method: &str, path: &str| {
        source.posthaste.ask(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    };
    let page = ask("GET", &source.door).await;
    assert_eq!(page.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(page.headers()["allow"], "POST");
    assert!(String::from_utf8_lossy(page.body()).contains("address for webhooks"));
    let other = ask("PUT", &source.door).await;
    assert_eq!(other.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(other.headers()["allow"], "POST");
    let nobody = format!("/in/{}", "x".repeat(32));
    let (unknown, malformed, path) =
        (ask("POST", &nobody).await, ask("POST", "/in/short").await, ask("POST", "/no").await);
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!((unknown.body(), malformed.body()), (path.body(), path.body()));
}

#[tokio::test]
async fn a_handshake_is_answered_and_not_kept() {
    let slack = json!({ "name": "Slack", "type": "slack", "config": { "secret": "hush" } });
    let source = Source::of(315, slack).await;
    let body = br#"{"type":"url_verification","challenge":"3eZbrw1a","token":"t"}"#;
    let at = source.posthaste.clock.now().as_secs();
    let signed = signature("hush", format!("v0:{at}:{}", String::from_utf8_lossy(body)).as_bytes());
    let request = |signed: &str| {
        Request::post(&source.door)
            .header("x-slack-request-timestamp", at.to_string())
            .header("x-slack-signature", signed.replace("sha256=", "v0="))
            .body(Body::from(&body[..]))
            .unwrap()
    };
    let answer = source.posthaste.ask(request(&signed)).await;
    assert_eq!((answer.status(), answer.body().as_slice()), (StatusCode::OK, &b"3eZbrw1a"[..]));
    let refused = source.posthaste.ask(request(&signature("other", b""))).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(source.kept().await.is_empty());
}

#[tokio::test]
async fn a_secret_that_comes_in_a_handshake_is_learned_once() {
    let source = Source::of(316, json!({ "name": "Asana", "type": "asana", "config": {} })).await;
    let signed = |secret: &str| {
        let signed = signature(secret, b"{\"events\":[1]}").replace("sha256=", "");
        Request::post(&source.door)
            .header("x-hook-signature", signed)
            .body(Body::from("{\"events\":[1]}"))
            .unwrap()
    };
    assert_eq!(source.posthaste.ask(signed("")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let shake = |secret: &str| {
        Request::post(&source.door).header("x-hook-secret", secret).body(Body::empty()).unwrap()
    };
    let answer = source.posthaste.ask(shake("hush")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-hook-secret"], "hush");
    assert_eq!(source.posthaste.ask(signed("hush")).await.status(), StatusCode::OK);
    // A stranger who sends a secret of its own is not believed from then on.
    assert_eq!(source.posthaste.ask(shake("evil")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(source.posthaste.ask(signed("evil")).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_providers_keys_are_fetched_once_and_only_from_where_it_publishes() {
    let hidden = include_str!("../../../posthaste-signature/tests/fixtures/provider_vectors.jsonl");
    let vector = |id: &str| -> Value {
        let line = hidden.lines().find(|line| line.starts_with(&format!("{{\"id\":\"{id}\""))).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let vector = vector("aws-sns/tampered-unsigned-unsubscribe-url");
    let source = Source::of(317, json!({ "name": "SNS", "type": "aws-sns" })).await;
    let (url, pem) = vector["config"]["certs"].as_object().unwrap().iter().next().unwrap();
    let send = async || {
        use base64::Engine as _;
        let body = base64::prelude::BASE64_STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
        source.posthaste.ask(Request::post(&source.door).body(Body::from(body)).unwrap()).await
    };
    let unavailable = send().await;
    assert_eq!(unavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(unavailable.headers().contains_key("retry-after"));
    source.posthaste.published.at(url, pem.as_str().unwrap());
    assert_eq!(send().await.status(), StatusCode::OK);
    assert_eq!(send().await.status(), StatusCode::OK);
    assert_eq!(source.posthaste.published.fetched(), [url.as_str(), url.as_str()]);
}

#[tokio::test]
async fn a_flood_of_refused_requests_is_answered_and_not_all_kept() {
    let source = Source::github(318, json!({})).await;
    for id in 0..200 {
        let request = source.request(b"{}", &id.to_string()).body(Body::from("{} ")).unwrap();
        assert_eq!(source.posthaste.ask(request).await.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(source.log(50).await.len(), 50);
}
