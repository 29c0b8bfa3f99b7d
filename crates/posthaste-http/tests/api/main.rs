//! The API over a real store: who may do what, and how a request must look.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

mod bins;
mod cron;
mod inbound;
mod listen;
mod listener;
mod once;
mod portal;
mod replay;
mod requests;
mod roles;
mod slowloris;
mod sources;
mod strangers;
mod tenants;
mod tls;
mod tokens;
mod world;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use world::Posthaste;

/// Every operation of our own document.
fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&posthaste_http::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            all.push((method.to_uppercase(), path.clone()));
        }
    }
    all
}

#[tokio::test]
async fn every_described_operation_is_served_and_asks_for_a_token() {
    let posthaste = Posthaste::start(1);
    for (method, path) in operations() {
        let path = path.replace(['{', '}'], "x");
        for path in [path.clone(), format!("{path}/")] {
            let (status, _) = posthaste.call(&method, &path, "", None).await;
            let expected =
                if path.contains("/health") { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn operations_that_we_lack_say_so_and_unknown_paths_are_not_found() {
    let posthaste = Posthaste::start(3);
    let (status, answer) = posthaste.call("GET", "/api/v1/environment/settings", "", None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_IMPLEMENTED, &json!("not_supported")));
    let (status, answer) = posthaste.call("GET", "/api/v1/nothing", "", None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_in_one_answer() {
    let posthaste = Posthaste::start(4);
    let token = posthaste.token("default").await;
    let body = json!({ "name": "", "uid": "a b", "throttleRate": 0, "metadata": { "a": 1 } });
    let (status, answer) = posthaste.call("POST", "/api/v1/app", &token, Some(body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<&str> =
        answer["detail"].as_array().unwrap().iter().map(|e| e["loc"][1].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "uid", "throttleRate", "metadata"]);
}

#[tokio::test]
async fn a_post_that_is_repeated_with_its_key_is_done_once() {
    let posthaste = Posthaste::start(5);
    let token = posthaste.token("default").await;
    let create = |body: &'static str| {
        let request = Request::post("/api/v1/app")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("idempotency-key", "once")
            .body(Body::from(body))
            .unwrap();
        posthaste.router.clone().oneshot(request)
    };
    let refused = create(r#"{"name":""}"#).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let first = create(r#"{"name":"A"}"#).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let again = create(r#"{"name":"A"}"#).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(first, again);
    assert_eq!(create(r#"{"name":"B"}"#).await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (_, apps) = posthaste.call("GET", "/api/v1/app", &token, None).await;
    assert_eq!(apps["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_portal_link_ends_when_its_time_is_over() {
    let posthaste = Posthaste::start(6);
    let token = posthaste.token("default").await;
    let (_, app) = posthaste.call("POST", "/api/v1/app", &token, Some(json!({ "name": "A" }))).await;
    let app = app["id"].as_str().unwrap().to_owned();
    let access = format!("/api/v1/auth/app-portal-access/{app}");
    let (_, link) = posthaste.call("POST", &access, &token, Some(json!({ "expiry": 3600 }))).await;
    let portal = link["token"].as_str().unwrap();
    let endpoints = format!("/api/v1/app/{app}/endpoint");
    assert_eq!(posthaste.call("GET", &endpoints, portal, None).await.0, StatusCode::OK);
    posthaste.clock.advance(Duration::from_secs(3_600));
    assert_eq!(posthaste.call("GET", &endpoints, portal, None).await.0, StatusCode::UNAUTHORIZED);
}

/// The addresses that a case's resolver answers when an endpoint is made.
fn answers(case: &Value) -> Vec<IpAddr> {
    let dns = &case["dns"];
    let lists = [&dns["sequence"][0], &dns["A"], &dns["AAAA"]];
    let texts = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Every place that takes a URL, and what it answers when it takes it; one PUT or PATCH each changes what is there.
const TAKES_URLS: [(&str, &str, StatusCode); 7] = [
    ("POST", "/api/v1/app/a/endpoint", StatusCode::CREATED),
    ("PUT", "/api/v1/app/a/endpoint/other", StatusCode::OK),
    ("PATCH", "/api/v1/app/a/endpoint/other", StatusCode::OK),
    ("POST", "/api/v1/operational-webhook/endpoint", StatusCode::CREATED),
    ("PUT", "/api/v1/operational-webhook/endpoint/other", StatusCode::OK),
    ("POST", "/ingest/api/v1/source/s/endpoint", StatusCode::CREATED),
    ("PUT", "/ingest/api/v1/source/s/endpoint/other", StatusCode::OK),
];

#[tokio::test]
async fn every_place_that_takes_a_url_takes_only_what_may_be_dialled() {
    let posthaste = Posthaste::start(8);
    let token = posthaste.token("default").await;
    let app = json!({ "name": "A", "uid": "a" });
    posthaste.call("POST", "/api/v1/app", &token, Some(app)).await;
    let source = json!({ "name": "S", "uid": "s", "type": "generic-webhook" });
    posthaste.call("POST", "/ingest/api/v1/source", &token, Some(source)).await;
    let other = json!({ "url": "https://example.com/", "uid": "other" });
    for (_, path, _) in TAKES_URLS.iter().filter(|(method, ..)| *method == "POST") {
        let (status, answer) = posthaste.call("POST", path, &token, Some(other.clone())).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}");
    }
    let table = include_str!("../../../posthaste-core/tests/fixtures/targets.json");
    let cases: Vec<Value> = serde_json::from_str(table).unwrap();
    // Cases with settings of their own are the rule's; those of the connection are the client's.
    let at_create = cases.iter().filter(|case| case["config"].is_null() && case["enforced_at"] != "connect");
    let (mut made, mut refused, mut forbidden) = (0, 0, HashSet::new());
    for case in at_create {
        let url = case["url"].as_str().unwrap();
        if let Some(host) = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)) {
            posthaste.names.resolve(host.trim_end_matches('.'), answers(case));
        }
        let may = case["expect"] == "allow";
        made += usize::from(may);
        refused += usize::from(!may);
        for (method, path, taken) in TAKES_URLS {
            let (status, answer) = posthaste.call(method, path, &token, Some(json!({ "url": url }))).await;
            let expected = if may { taken } else { StatusCode::UNPROCESSABLE_ENTITY };
            assert_eq!(status, expected, "{method} {path} {case}: {answer}");
            if !may {
                assert_eq!(answer["detail"][0]["loc"], json!(["body", "url"]), "{case}");
                forbidden.insert(answer["detail"][0]["msg"].to_string());
            }
        }
    }
    assert!(made > 10 && refused > 100, "{made} made, {refused} refused");
    // Whether it is the name, one of its addresses or an address of ours: there is one sentence about all of them.
    let of_addresses = forbidden.iter().filter(|said| said.contains("address") || said.contains("public"));
    assert_eq!(of_addresses.count(), 1, "{forbidden:?}");
    let (_, list) = posthaste.call("GET", "/api/v1/app/a/endpoint?limit=250", &token, None).await;
    assert_eq!(list["data"].as_array().unwrap().len(), made + 1, "what was refused was not stored");
}

#[tokio::test]
async fn a_foreign_iterator_or_event_id_shows_nothing_foreign() {
    let posthaste = Posthaste::start(9);
    let (own, foreign) = (posthaste.token("own").await, posthaste.token("foreign").await);
    for token in [&own, &foreign] {
        posthaste.call("POST", "/api/v1/app", token, Some(json!({ "name": "A", "uid": "a" }))).await;
    }
    let message = json!({ "eventType": "a.b", "payload": { "whose": "foreign" }, "eventId": "evt" });
    let (_, message) = posthaste.call("POST", "/api/v1/app/a/msg", &foreign, Some(message)).await;
    let id = message["id"].as_str().unwrap();
    let (_, page) = posthaste.call("GET", &format!("/api/v1/app/a/msg?iterator=-{id}"), &own, None).await;
    assert_eq!(page["data"], json!([]));
    assert_eq!(posthaste.call("GET", "/api/v1/app/a/msg/evt", &own, None).await.0, StatusCode::NOT_FOUND);
}
