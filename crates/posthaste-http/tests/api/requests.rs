//! How a request must look, where data alone cannot say it: states, repetitions and raw bytes.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use crate::world::Posthaste;

fn message(token: &str) -> http::request::Builder {
    Request::post("/api/v1/app/a/msg").header("authorization", format!("Bearer {token}"))
}

const MESSAGE: &str = r#"{"eventType":"a.b","payload":{"n":1.50,"t":"\u00e9"}}"#;

#[tokio::test]
async fn a_method_that_a_path_lacks_is_405_and_names_those_it_has() {
    let (posthaste, _) = Posthaste::with_endpoint(30).await;
    let request = Request::delete("/api/v1/app").body(Body::empty()).unwrap();
    let answer = posthaste.ask(request).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    let allow = answer.headers()["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["code"], "method_not_allowed");
}

#[tokio::test]
async fn a_path_that_is_not_text_is_refused_in_the_shape_of_all_errors() {
    let (posthaste, token) = Posthaste::with_endpoint(31).await;
    let (status, answer) = posthaste.call("GET", "/api/v1/app/%ff", &token, None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")));
    assert_eq!(posthaste.call("GET", "/api/v1/app/%00", &token, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        posthaste.call("GET", "/api/v1/app/../../health", &token, None).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_token_must_be_one_header_of_text() {
    let (posthaste, token) = Posthaste::with_endpoint(32).await;
    let bearer = |token: &[u8]| HeaderValue::from_bytes(&[b"Bearer ", token].concat()).unwrap();
    let ask = |values: Vec<HeaderValue>| {
        let mut request = Request::get("/api/v1/app").body(Body::empty()).unwrap();
        for value in values {
            request.headers_mut().append("authorization", value);
        }
        posthaste.ask(request)
    };
    assert_eq!(ask(vec![bearer(token.as_bytes())]).await.status(), StatusCode::OK);
    assert_eq!(ask(vec![bearer(b"\xff\xfe")]).await.status(), StatusCode::UNAUTHORIZED);
    let two = ask(vec![bearer(b"bad"), bearer(token.as_bytes())]).await;
    assert_eq!(two.status(), StatusCode::UNAUTHORIZED);
    assert!(String::from_utf8_lossy(two.body()).contains("authorization"));
}

#[tokio::test]
async fn an_idempotency_key_must_be_one_header_of_printable_text() {
    let (posthaste, token) = Posthaste::with_endpoint(33).await;
    for keys in [vec![b"a\xff".as_slice()], vec![b"a\tb"], vec![b""], vec![&[b'k'; 256]], vec![b"a", b"b"]] {
        let mut request = message(&token).body(Body::from(MESSAGE)).unwrap();
        for key in keys {
            request.headers_mut().append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
        }
        let answer = posthaste.ask(request).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(String::from_utf8_lossy(answer.body()).contains("Idempotency-Key"));
    }
    let (_, page) = posthaste.call("GET", "/api/v1/app/a/msg", &token, None).await;
    assert_eq!(page["data"], json!([]));
}

#[tokio::test]
async fn a_message_that_was_refused_may_be_mended_and_sent_with_the_same_key() {
    let (posthaste, token) = Posthaste::with_endpoint(34).await;
    let send = |body: &'static str| {
        posthaste.ask(message(&token).header("idempotency-key", "k").body(Body::from(body)).unwrap())
    };
    assert_eq!(send(r#"{"eventType":"a.b"}"#).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let first = send(MESSAGE).await;
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let again = send(MESSAGE).await;
    assert_eq!(again.body(), first.body());
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(send(r#"{"eventType":"a.c","payload":{}}"#).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn fifty_messages_at_once_with_one_event_id_or_one_key_are_one_message() {
    let (posthaste, token) = Posthaste::with_endpoint(35).await;
    for (field, allowed) in [("eventId", StatusCode::CONFLICT), ("key", StatusCode::ACCEPTED)] {
        let sends = (0..50).map(|_| {
            let request = message(&token);
            let request = match field {
                "key" => request.header("idempotency-key", "k").body(Body::from(MESSAGE)),
                _ => request.body(Body::from(r#"{"eventType":"a.b","payload":{},"eventId":"one"}"#)),
            };
            posthaste.ask(request.unwrap())
        });
        for answer in futures_util::future::join_all(sends).await {
            let status = answer.status();
            assert!(status == StatusCode::ACCEPTED || status == allowed, "{field}: {status}");
        }
    }
    let (_, page) = posthaste.call("GET", "/api/v1/app/a/msg", &token, None).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_payload_comes_back_byte_for_byte_until_it_is_expunged() {
    let (posthaste, token) = Posthaste::with_endpoint(36).await;
    let sent = posthaste.ask(message(&token).body(Body::from(MESSAGE)).unwrap()).await;
    assert!(String::from_utf8_lossy(sent.body()).contains(r#""payload":{"n":1.50,"t":"\u00e9"}"#));
    let sent: Value = serde_json::from_slice(sent.body()).unwrap();
    let path = format!("/api/v1/app/a/msg/{}", sent["id"].as_str().unwrap());
    let (_, bare) = posthaste.call("GET", &format!("{path}?with_content=false"), &token, None).await;
    assert_eq!(bare["payload"], json!({}));
    assert_eq!(
        posthaste.call("DELETE", &format!("{path}/content"), &token, None).await.0,
        StatusCode::NO_CONTENT
    );
    let (status, gone) = posthaste.call("GET", &path, &token, None).await;
    assert_eq!((status, &gone["payload"]), (StatusCode::OK, &json!({ "expired": true })));
    let (status, answer) = posthaste.call("POST", &format!("{path}/endpoint/e/resend"), &token, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["detail"].as_str().unwrap().contains("payload"), "{answer}");
}

#[tokio::test]
async fn what_nobody_could_ever_use_is_refused_by_name() {
    let (posthaste, token) = Posthaste::with_endpoint(37).await;
    let keys: Vec<String> = (0..100_000).map(|n| format!("\"{n:x}\":1")).collect();
    let body = format!(r#"{{"eventType":"a.b","payload":{{{}}}}}"#, keys.join(","));
    let answer = posthaste.ask(message(&token).body(Body::from(body)).unwrap()).await;
    assert!(matches!(answer.status().as_u16(), 413 | 422), "{}", answer.status());
    assert!(String::from_utf8_lossy(answer.body()).contains("payload"));
    let halves = format!("whsk_{}", base64_of(&[[7; 32], [9; 32]].concat()));
    let body = json!({ "url": "https://example.com/", "secret": halves });
    let (status, answer) = posthaste.call("POST", "/api/v1/app/a/endpoint", &token, Some(body)).await;
    assert_eq!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "an Ed25519 key whose halves do not belong together"
    );
    assert_eq!(answer["detail"][0]["loc"], json!(["body", "secret"]));
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[tokio::test]
async fn a_put_that_names_no_secret_keeps_it_and_a_second_delete_finds_nothing() {
    let (posthaste, token) = Posthaste::with_endpoint(38).await;
    let path = "/api/v1/app/a/endpoint/e";
    let secret = posthaste.call("GET", &format!("{path}/secret"), &token, None).await.1;
    let body = json!({ "url": "https://example.com/other" });
    assert_eq!(posthaste.call("PUT", path, &token, Some(body)).await.0, StatusCode::OK);
    assert_eq!(posthaste.call("GET", &format!("{path}/secret"), &token, None).await.1, secret);
    assert_eq!(posthaste.call("DELETE", path, &token, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(posthaste.call("DELETE", path, &token, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ten_secrets_sign_at_once_and_an_eleventh_is_refused() {
    let (posthaste, token) = Posthaste::with_endpoint(39).await;
    let path = "/api/v1/app/a/endpoint/e/secret/rotate";
    for turn in 2..=10 {
        let (status, answer) = posthaste.call("POST", path, &token, Some(json!({}))).await;
        assert_eq!(status, StatusCode::OK, "{turn}: {answer}");
    }
    let (status, answer) = posthaste.call("POST", path, &token, Some(json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["detail"].as_str().unwrap().contains("rotate"));
}

#[tokio::test]
async fn a_customer_who_may_only_read_sees_no_secret_and_changes_nothing() {
    let (posthaste, token) = Posthaste::with_endpoint(40).await;
    let reader = posthaste.portal_token(&token, true).await;
    let path = "/api/v1/app/a/endpoint/e";
    assert_eq!(posthaste.call("GET", path, &reader, None).await.0, StatusCode::OK);
    assert_eq!(
        posthaste.call("GET", &format!("{path}/secret"), &reader, None).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(posthaste.call("DELETE", path, &reader, None).await.0, StatusCode::FORBIDDEN);
    let body = json!({ "name": "B", "uid": "b" });
    posthaste.call("POST", "/api/v1/app", &token, Some(body.clone())).await;
    assert_eq!(posthaste.call("GET", "/api/v1/app/b/endpoint", &reader, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(posthaste.call("POST", "/api/v1/app", &reader, Some(body)).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_disabled_endpoint_is_not_recovered() {
    let (posthaste, token) = Posthaste::with_endpoint(41).await;
    let path = "/api/v1/app/a/endpoint/e";
    posthaste.call("PATCH", path, &token, Some(json!({ "disabled": true }))).await;
    let body = json!({ "since": "2026-09-21T00:00:00Z" });
    let (status, answer) = posthaste.call("POST", &format!("{path}/recover"), &token, Some(body)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("disabled"));
}

#[tokio::test]
async fn a_full_set_of_headers_may_swap_one_for_another() {
    let (posthaste, token) = Posthaste::with_endpoint(42).await;
    let path = "/api/v1/app/a/endpoint/e/headers";
    let all: serde_json::Map<String, Value> = (0..32).map(|n| (format!("x-{n}"), json!("v"))).collect();
    assert_eq!(
        posthaste.call("PUT", path, &token, Some(json!({ "headers": all }))).await.0,
        StatusCode::NO_CONTENT
    );
    let one_more = json!({ "headers": { "x-new": "v" } });
    assert_eq!(
        posthaste.call("PATCH", path, &token, Some(one_more)).await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let swap = json!({ "headers": { "x-new": "v", "X-0": null } });
    assert_eq!(posthaste.call("PATCH", path, &token, Some(swap)).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let (posthaste, token) = Posthaste::with_endpoint(43).await;
    let chunk = || Ok::<_, std::io::Error>([b' '; 4_096].as_slice());
    let endless = Body::from_stream(futures_util::stream::repeat_with(chunk));
    let answer = posthaste.ask(message(&token).body(endless).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(String::from_utf8_lossy(answer.body()).contains("size"));
}

#[tokio::test]
async fn a_page_of_any_site_may_call_the_api_and_nothing_else() {
    let (posthaste, token) = Posthaste::with_endpoint(44).await;
    let from_page = |method: &str, path: &str| {
        Request::builder().method(method).uri(path).header("origin", "https://customer.example")
    };
    let asks = from_page("OPTIONS", "/api/v1/app/a/endpoint")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,idempotency-key");
    let answer = posthaste.ask(asks.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(
        answer.headers()["access-control-allow-headers"],
        "authorization,content-type,idempotency-key"
    );
    let list = from_page("GET", "/api/v1/app/a/endpoint").header("authorization", format!("Bearer {token}"));
    for (request, status) in
        [(list, StatusCode::OK), (from_page("GET", "/api/v1/app"), StatusCode::UNAUTHORIZED)]
    {
        let answer = posthaste.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "an error must be readable too");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
    let metrics = posthaste.ask(from_page("GET", "/metrics").body(Body::empty()).unwrap()).await;
    assert!(!metrics.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn an_empty_list_under_the_older_name_means_all_event_types() {
    let (posthaste, token) = Posthaste::with_endpoint(45).await;
    let endpoints = "/api/v1/app/a/endpoint";
    let url = "https://example.com/";
    let older = json!({ "url": url, "filterTypes": [] });
    let (status, made) = posthaste.call("POST", endpoints, &token, Some(older)).await;
    assert_eq!((status, &made["filterTypes"]), (StatusCode::CREATED, &Value::Null));
    let newer = json!({ "url": url, "eventTypes": [] });
    let (status, answer) = posthaste.call("POST", endpoints, &token, Some(newer)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["detail"][0]["loc"], json!(["body", "eventTypes"]));
}

#[tokio::test]
async fn every_operation_of_svixs_hosted_api_is_served_or_says_that_it_is_not_supported() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/svix-full.openapi.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: the hosted API's OpenAPI document is not here");
        return;
    };
    let posthaste = Posthaste::start(46);
    let document: Value = serde_json::from_str(&text).unwrap();
    let (mut served, mut lacking) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace(['{', '}'], "x");
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            for path in [path.clone(), format!("{path}/")] {
                let (status, answer) = posthaste.call(&method.to_uppercase(), &path, "", None).await;
                match status {
                    StatusCode::UNAUTHORIZED | StatusCode::NO_CONTENT => served += 1,
                    StatusCode::NOT_IMPLEMENTED => {
                        assert_eq!(answer["code"], "not_supported", "{method} {path}");
                        lacking += 1;
                    }
                    other => panic!("{method} {path}: {other}"),
                }
            }
        }
    }
    assert!(served >= 100 && lacking > 300, "{served} served, {lacking} lacking");
}

#[tokio::test]
async fn an_error_is_short_however_long_the_names_in_the_request_are() {
    let (posthaste, token) = Posthaste::with_endpoint(47).await;
    let long = "x".repeat(20_000);
    let schemas = json!({ "name": "a", "description": "", "schemas": { (&long): 1 } });
    let headers = json!({ "headers": { (&long): "v" } });
    let source = || "/ingest/api/v1/source".to_owned();
    let of_source = |field: &str, value: Value| json!({ "name": "S", "type": "github", (field): value });
    let unknown =
        json!({ (&long): 1, "url": &long, "uid": &long, "channels": [&long], "metadata": { (&long): 1 } });
    for (method, path, body) in [
        ("POST", "/api/v1/event-type".to_owned(), Some(schemas)),
        ("PUT", "/api/v1/app/a/endpoint/e/headers".to_owned(), Some(headers)),
        ("POST", "/api/v1/app/a/endpoint".to_owned(), Some(unknown)),
        ("POST", source(), Some(of_source("allowedNetworks", json!([&long])))),
        ("POST", source(), Some(of_source("answer", json!({ "headers": { (&long): 1 } })))),
        ("POST", source(), Some(of_source("answer", json!({ "headers": { (&long): "a" } })))),
        ("POST", source(), Some(of_source("answer", json!({ "headers": { (&long): "\n" } })))),
        ("POST", source(), Some(of_source("methods", json!([&long])))),
        ("POST", source(), Some(of_source("config", json!({ (&long): &long })))),
        ("POST", source(), Some(of_source("config", json!({ "variant": &long })))),
        ("POST", source(), Some(of_source("schema", json!({ "type": &long })))),
        ("POST", source(), Some(of_source("schema", json!({ "pattern": format!("({long}") })))),
        ("PATCH", format!("/api/v1/app/{long}/alert-email"), None),
        ("GET", format!("/api/v1/app/{long}/endpoint"), None),
        ("GET", format!("/api/v1/app?iterator={long}&limit={long}"), None),
        ("GET", format!("/{long}"), None),
    ] {
        let (status, answer) = posthaste.call(method, &path, &token, body).await;
        assert!(status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED, "{method}: {status}");
        assert!(answer.to_string().len() < 4_096, "{method} {}", &path[..20.min(path.len())]);
    }
}

#[tokio::test]
async fn of_two_spellings_of_a_field_both_are_judged() {
    let (posthaste, token) = Posthaste::with_endpoint(90).await;
    let both = |good: &str, bad: &str, value: Value| json!({ "name": "A", "url": "https://example.com/", "description": "", good: value, bad: ["a b"] });
    for (path, good, bad, value) in [
        ("/api/v1/app", "throttleRate", "rateLimit", json!(5)),
        ("/api/v1/app/a/endpoint", "eventTypes", "filterTypes", json!(["a.b"])),
        ("/api/v1/event-type", "featureFlags", "featureFlag", json!(["a"])),
    ] {
        let (status, answer) = posthaste.call("POST", path, &token, Some(both(good, bad, value))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer["detail"][0]["loc"], json!(["body", bad]), "{answer}");
    }
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_point() {
    let posthaste = Posthaste::start(91);
    let token = posthaste.token("default").await;
    for (text, status) in [("7.0", 201), ("7e0", 201), ("7.5", 422), ("1e300", 422), ("65536.0", 422)] {
        let body: Value = serde_json::from_str(&format!(r#"{{"name":"A","rateLimit":{text}}}"#)).unwrap();
        let (got, answer) = posthaste.call("POST", "/api/v1/app", &token, Some(body)).await;
        assert_eq!(got, status, "{text}: {answer}");
        assert!(status == 422 || answer["rateLimit"] == 7, "{answer}");
    }
}

#[tokio::test]
async fn a_filter_may_reach_back_before_1970() {
    let (posthaste, token) = Posthaste::with_endpoint(92).await;
    let path = "/api/v1/app/a/msg?after=0001-01-01T00:00:00Z&before=1969-12-31T23:59:59Z";
    let (status, page) = posthaste.call("GET", path, &token, None).await;
    assert_eq!((status, &page["data"]), (StatusCode::OK, &json!([])));
}

#[tokio::test]
async fn no_verb_makes_an_event_type_whose_name_another_would_refuse() {
    let posthaste = Posthaste::start(93);
    let token = posthaste.token("default").await;
    for name in [".x", "-x"] {
        let body = json!({ "name": name, "description": "" });
        let (status, _) = posthaste.call("POST", "/api/v1/event-type", &token, Some(body.clone())).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let path = format!("/api/v1/event-type/{name}");
        let (status, _) = posthaste.call("PUT", &path, &token, Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
    }
}

#[tokio::test]
async fn a_source_may_be_put_back_as_it_was_read() {
    let posthaste = Posthaste::start(94);
    let token = posthaste.token("default").await;
    let body = json!({ "name": "S", "type": "generic-webhook" });
    let (_, made) = posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
    let path = format!("/ingest/api/v1/source/{}", made["id"].as_str().unwrap());
    let (status, answer) = posthaste.call("PUT", &path, &token, Some(made)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}
