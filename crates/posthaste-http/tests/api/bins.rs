//! Bins: whatever comes is taken, answered as they were told to, and there to look at as it came.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::world::Posthaste;

struct Bin {
    posthaste: Posthaste,
    token: String,
    made: Value,
}

impl Bin {
    async fn of(seed: u64, more: Value) -> Self {
        let posthaste = Posthaste::start(seed);
        let token = posthaste.token("default").await;
        let mut body = json!({ "name": "orders", "uid": "orders", "type": "bin" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, made) = posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        Self { posthaste, token, made }
    }

    fn request(&self, method: &str, query: &str) -> http::request::Builder {
        let door = self.made["ingestUrl"].as_str().unwrap().strip_prefix("http://posthaste.example").unwrap();
        Request::builder().method(method).uri(format!("{door}{query}"))
    }

    async fn sends(&self, method: &str, body: &[u8]) -> Response<Vec<u8>> {
        self.posthaste.clock.advance(Duration::from_millis(1));
        self.posthaste.ask(self.request(method, "").body(Body::from(body.to_vec())).unwrap()).await
    }

    async fn gets(&self, rest: &str, token: &str) -> (StatusCode, Value) {
        let path = format!("/ingest/api/v1/source/orders/request{rest}");
        self.posthaste.call("GET", &path, token, None).await
    }

    /// What came, oldest first.
    async fn came(&self) -> Vec<Value> {
        let (status, page) = self.gets("?order=ascending", &self.token).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["data"].as_array().unwrap().clone()
    }

    async fn change(&self, change: Value) -> (StatusCode, Value) {
        self.posthaste.call("PATCH", "/ingest/api/v1/source/orders", &self.token, Some(change)).await
    }
}

#[tokio::test]
async fn a_bin_takes_every_method_and_every_body_and_the_same_one_twice() {
    let bin = Bin::of(800, json!({})).await;
    assert_eq!(
        (&bin.made["type"], &bin.made["methods"], &bin.made["dedupe"]["by"]),
        (&json!("generic-webhook"), &json!(["*"]), &json!("off"))
    );
    let methods = ["POST", "POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];
    for method in methods {
        assert_eq!(bin.sends(method, b"\xff\x00").await.status(), StatusCode::OK, "{method}");
    }
    // What would shake hands with a provider elsewhere is a request like any other.
    let body = br#"{"type":"url_verification","challenge":"x"}"#;
    assert_eq!(bin.sends("POST", body).await.body(), b"");
    let came = bin.came().await;
    let kept: Vec<_> = came.iter().map(|request| request["method"].as_str().unwrap()).collect();
    assert_eq!(kept[..8], methods);
    assert_eq!(came[0]["body"], BASE64_STANDARD.encode(b"\xff\x00"));
    assert_eq!(came[8]["bodyBytes"], body.len());
}

#[tokio::test]
async fn a_request_is_shown_as_it_came_and_in_a_bin_with_its_credentials() {
    let bin = Bin::of(801, json!({})).await;
    let request = bin.request("POST", "?a=%20&token=quiet").header("x-twice", "1").header("x-other", "2");
    let request =
        request.header("x-twice", "3").header("x-bytes", &b"\xff"[..]).header("authorization", "Bearer x");
    bin.posthaste.ask(request.body(Body::from("{ \"a\" : 1 }\n")).unwrap()).await;
    let came = bin.came().await.remove(0);
    assert_eq!(came["query"], "a=%20&token=quiet");
    assert_eq!(came["body"], BASE64_STANDARD.encode("{ \"a\" : 1 }\n"));
    let headers = came["headers"].as_array().unwrap();
    for header in [
        json!({ "name": "x-twice", "value": "1" }),
        json!({ "name": "x-twice", "value": "3" }),
        json!({ "name": "x-bytes", "base64": "/w==" }),
        json!({ "name": "authorization", "value": "Bearer x" }),
    ] {
        assert!(headers.contains(&header), "{header} in {headers:?}");
    }
    let (status, one) = bin.gets(&format!("/{}", came["id"].as_str().unwrap()), &bin.token).await;
    assert_eq!((status, one), (StatusCode::OK, came));
    // Any other source is somebody's secret.
    bin.change(json!({ "type": "generic-webhook" })).await;
    let came = bin.came().await.remove(0);
    assert_eq!(came["query"], "a=%20&token=(hidden)");
    assert!(
        came["headers"].as_array().unwrap().contains(&json!({ "name": "authorization", "hidden": true }))
    );
}

#[tokio::test]
async fn whoever_was_given_a_link_to_a_bin_may_look_and_no_more() {
    let bin = Bin::of(802, json!({})).await;
    bin.sends("POST", b"{}").await;
    let path = "/ingest/api/v1/source/orders/dashboard";
    let read_only = json!({ "readOnly": true });
    let (_, link) = bin.posthaste.call("POST", path, &bin.token, Some(read_only)).await;
    let link = link["token"].as_str().unwrap();
    let (status, page) = bin.gets("", link).await;
    assert_eq!((status, page["data"].as_array().unwrap().len()), (StatusCode::OK, 1));
    for (method, path) in [
        ("GET", "/ingest/api/v1/source/orders"),
        ("DELETE", "/ingest/api/v1/source/orders/request"),
        ("DELETE", "/ingest/api/v1/source/orders"),
    ] {
        assert_eq!(
            bin.posthaste.call(method, path, link, None).await.0,
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
    }
    // Of another bin there is nothing to see, whether it is there or not.
    let other = json!({ "name": "other", "uid": "other", "type": "bin" });
    bin.posthaste.call("POST", "/ingest/api/v1/source", &bin.token, Some(other)).await;
    for name in ["other", "nothing"] {
        let path = format!("/ingest/api/v1/source/{name}/request");
        assert_eq!(bin.posthaste.call("GET", &path, link, None).await.0, StatusCode::FORBIDDEN, "{name}");
    }
    assert_eq!(bin.came().await.len(), 1);
}

#[tokio::test]
async fn a_sequence_of_answers_is_walked_and_begins_anew_with_a_change() {
    let answer = json!({ "sequence": [500, 204, 200], "body": "ok", "headers": { "x-a": "1" } });
    let bin = Bin::of(803, json!({ "answer": answer })).await;
    let told = async || {
        let answer = bin.sends("POST", b"").await;
        assert_eq!(answer.headers()["x-a"], "1");
        (answer.status().as_u16(), String::from_utf8(answer.into_body()).unwrap())
    };
    let ok = |status| (status, "ok".to_owned());
    assert_eq!(told().await, ok(500));
    assert_eq!(told().await, (204, String::new()), "which has no body");
    assert_eq!((told().await, told().await), (ok(200), ok(200)));
    assert_eq!(bin.came().await.len(), 4, "all are kept, whatever was answered");
    bin.posthaste.clock.advance(Duration::from_secs(1));
    bin.change(json!({ "answer": answer })).await;
    assert_eq!(told().await, ok(500));
}

#[tokio::test]
async fn a_share_of_requests_fails_and_all_or_none_of_them_if_so_asked() {
    let bin = Bin::of(804, json!({ "answer": { "failPercent": 30 } })).await;
    let mut failed_count = 0;
    for _ in 0..200 {
        failed_count +=
            usize::from(bin.sends("POST", b"").await.status() == StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert!((35..=85).contains(&failed_count), "{failed_count} of 200");
    for (percent, status) in [(100, StatusCode::INTERNAL_SERVER_ERROR), (0, StatusCode::OK)] {
        bin.change(json!({ "answer": { "failPercent": percent } })).await;
        for _ in 0..20 {
            assert_eq!(bin.sends("POST", b"").await.status(), status);
        }
    }
}

#[tokio::test]
async fn what_a_bin_holds_is_cleared_page_by_page_and_more_can_come() {
    let bin = Bin::of(805, json!({})).await;
    for _ in 0..3 {
        bin.sends("POST", b"{}").await;
    }
    let clear = async |rest: &str| {
        let path = format!("/ingest/api/v1/source/orders/request?limit=2{rest}");
        bin.posthaste.call("DELETE", &path, &bin.token, None).await.1
    };
    let first = clear("").await;
    assert_eq!((&first["removed"], &first["done"]), (&json!(2), &json!(false)));
    let rest = clear(&format!("&iterator={}", first["iterator"].as_str().unwrap())).await;
    assert_eq!((&rest["removed"], &rest["done"]), (&json!(1), &json!(true)));
    assert!(bin.came().await.is_empty());
    bin.sends("POST", b"{}").await;
    assert_eq!(bin.came().await.len(), 1);
    assert_eq!(clear("").await["removed"], 1);
}

#[tokio::test]
async fn what_makes_no_sense_in_a_bin_is_named() {
    let bin = Bin::of(806, json!({})).await;
    for (change, field) in [
        (json!({ "answer": { "sequence": [199] } }), "answer.sequence"),
        (json!({ "answer": { "sequence": vec![200; 101] } }), "answer.sequence"),
        (json!({ "answer": { "failPercent": 101 } }), "answer.failPercent"),
        (json!({ "keepSeconds": 59 }), "keepSeconds"),
        (json!({ "config": { "secret": "hush" } }), "config"),
    ] {
        let (status, answer) = bin.change(change).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        assert!(answer["detail"][0]["msg"].as_str().unwrap().starts_with(field), "{answer}");
    }
    let (status, same) =
        bin.change(json!({ "keepSeconds": 3_600, "answer": { "sequence": [], "failPercent": 0 } })).await;
    assert_eq!((status, &same["keepSeconds"]), (StatusCode::OK, &json!(3_600)), "{same}");
}
