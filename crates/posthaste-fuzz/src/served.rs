//! Requests to the API and to doors, over a real store in a folder of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use posthaste_http::Peer;
use serde_json::Value;

use crate::request::{first_line, read};
use world::World;

mod world;

/// A proxy that is trusted.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

static WORLD: LazyLock<World> = LazyLock::new(World::start);

/// Which operations read a body: each is asked with what the first byte picks.
const READERS: &[(Method, &str)] = &[
    (Method::POST, "/api/v1/app"),
    (Method::PUT, "/api/v1/app/a"),
    (Method::PATCH, "/api/v1/app/a"),
    (Method::POST, "/api/v1/app/a/msg"),
    (Method::POST, "/api/v1/app/a/endpoint"),
    (Method::PUT, "/api/v1/app/a/endpoint/e"),
    (Method::PATCH, "/api/v1/app/a/endpoint/e"),
    (Method::PUT, "/api/v1/app/a/endpoint/e/headers"),
    (Method::PATCH, "/api/v1/app/a/endpoint/e/headers"),
    (Method::POST, "/api/v1/app/a/endpoint/e/secret/rotate"),
    (Method::POST, "/api/v1/app/a/endpoint/e/recover"),
    (Method::POST, "/api/v1/app/a/endpoint/e/send-example"),
    (Method::POST, "/api/v1/event-type"),
    (Method::PUT, "/api/v1/event-type/a.b"),
    (Method::PATCH, "/api/v1/event-type/a.b"),
    (Method::POST, "/api/v1/auth/app-portal-access/a"),
    (Method::POST, "/ingest/api/v1/source"),
    (Method::PATCH, "/ingest/api/v1/source/s"),
    (Method::POST, "/ingest/api/v1/source/s/dashboard"),
];
/// Which operations read a query.
const LISTS: &[&str] = &[
    "/api/v1/app",
    "/api/v1/app/a/msg",
    "/api/v1/app/a/endpoint",
    "/api/v1/app/a/endpoint/e/msg",
    "/api/v1/app/a/endpoint/e/stats",
    "/api/v1/app/a/attempt/endpoint/e",
    "/api/v1/app/a/attempt/msg/m",
    "/api/v1/app/a/msg/m/endpoint",
    "/api/v1/event-type",
    "/ingest/api/v1/source",
    "/ingest/api/v1/source/s/log",
];

/// What the first line, a number, picks.
fn pick<'t, T>(line: &[u8], table: &'t [T]) -> &'t T {
    let number: usize = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    &table[number % table.len()]
}

/// A number that picks the operation, and its body.
pub fn api_body(data: &[u8]) {
    let (number, body) = first_line(data);
    let (method, path) = pick(number, READERS);
    let request = Request::builder().method(method).uri(*path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {}", WORLD.token));
    let (status, answer) = ask(request.body(Body::from(body.to_vec())).expect("a request"));
    is_orderly(status, &answer);
}

/// A number that picks the list, and a query: filters, pages and iterators.
pub fn api_query(data: &[u8]) {
    let (number, query) = first_line(data);
    let query = String::from_utf8_lossy(query);
    let Ok(uri) = format!("{}?{query}", pick(number, LISTS)).parse::<Uri>() else { return };
    let request = Request::get(uri).header("authorization", format!("Bearer {}", WORLD.token));
    let (status, answer) = ask(request.body(Body::empty()).expect("a request"));
    is_orderly(status, &answer);
}

/// A number that picks the door, `METHOD ?query`, headers, an empty line, the body.
pub fn inbound(data: &[u8]) {
    let (number, rest) = first_line(data);
    let (target, rest) = first_line(rest);
    let (headers, body) = read(rest);
    let target = String::from_utf8_lossy(target);
    let (method, query) = target.split_once(' ').unwrap_or(("POST", ""));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let Ok(uri) = format!("{}{query}", pick(number, &WORLD.doors)).parse::<Uri>() else { return };
    knock(method, uri, headers, body);
}

/// Lines of `X-Forwarded-For`, at a door for which the address counts.
pub fn forwarded_for(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for value in lines.filter_map(|line| http::HeaderValue::from_bytes(line).ok()).take(90) {
        headers.append("x-forwarded-for", value);
    }
    let uri = WORLD.watched_door.parse().expect("a door");
    let trusted = headers.is_empty();
    let status = knock(Method::POST, uri, headers, b"{}");
    // Without the header it is the proxy that knocks, who is not among those that may.
    assert!(!trusted || status == StatusCode::FORBIDDEN, "{status}");
}

fn knock(method: Method, uri: Uri, headers: HeaderMap, body: &[u8]) -> StatusCode {
    let mut request =
        Request::builder().method(method).uri(uri).body(Body::from(body.to_vec())).expect("a request");
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Peer(PROXY));
    let (status, answer) = ask(request);
    let shown = String::from_utf8_lossy(&answer);
    // A provider whose key cannot be had just now is asked to come again.
    let no_key = status == StatusCode::SERVICE_UNAVAILABLE && shown.contains("key_unavailable");
    assert!(no_key || !status.is_server_error(), "{status} {shown}");
    status
}

fn ask(request: Request<Body>) -> (StatusCode, Vec<u8>) {
    WORLD.runtime.block_on(async {
        let response = WORLD.ask(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("an answer has an end").to_bytes();
        (parts.status, body.to_vec())
    })
}

/// No 5xx; what is refused is refused in the shape of all errors, in a page at most.
fn is_orderly(status: StatusCode, answer: &[u8]) {
    let shown = String::from_utf8_lossy(answer);
    assert!(!status.is_server_error(), "{status} {shown}");
    if status.is_client_error() {
        let value: Value = serde_json::from_slice(answer).expect("an error is JSON");
        assert!(value["detail"].is_string() || value["detail"].is_array(), "{shown}");
        assert!(answer.len() <= 4_096, "{} bytes of error: {shown}", answer.len());
    }
}
