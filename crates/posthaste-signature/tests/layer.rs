//! Requests through the layer, to axum and to a plain service.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::{Body, Bytes};
use axum::routing::post;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt as _, stream};
use hmac::{Hmac, KeyInit as _, Mac};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use posthaste_signature::provider::layer::VerifyLayer;
use posthaste_signature::provider::{Answer, Keys, Receiver, Refusal, Settings, Verified};
use sha2::Sha256;
use tower::{Layer as _, ServiceExt as _, service_fn};

const NOW: i64 = 1_760_000_000;
const SECRET: &str = "a-secret-of-ours";

fn mac(parts: &[&[u8]]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn settings() -> Settings {
    Settings { secrets: vec!["another".to_owned(), SECRET.to_owned()], ..Settings::default() }
}

fn layer(provider: &str) -> VerifyLayer {
    VerifyLayer::new(Receiver::new(provider, settings()).unwrap()).clock(|| NOW)
}

/// Says what it got, and under which secret.
async fn echo(Extension(verified): Extension<Verified>, body: Bytes) -> String {
    format!("{} {}", verified.secret_index, String::from_utf8_lossy(&body))
}

async fn ask(layer: VerifyLayer, request: Request<Body>) -> (StatusCode, String) {
    let app = Router::new().route("/in/{name}", post(echo)).layer(layer);
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn github(body: &'static str, signed: &str) -> Request<Body> {
    let tag = hex(&mac(&[signed.as_bytes()]));
    let request = Request::post("/in/github").header("x-hub-signature-256", format!("sha256={tag}"));
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn what_the_provider_signed_is_passed_on_with_its_body_and_the_secret_that_fits() {
    let answer = ask(layer("github"), github("{\"a\": 1}\n", "{\"a\": 1}\n")).await;
    assert_eq!(answer, (StatusCode::OK, "1 {\"a\": 1}\n".to_owned()));
}

#[tokio::test]
async fn what_it_did_not_sign_is_refused_with_a_sentence() {
    let (status, said) = ask(layer("github"), github("{}", "{ }")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(said, "the header x-hub-signature-256 does not match the request");
    let unsigned = Request::post("/in/github").body(Body::from("{}")).unwrap();
    let (status, said) = ask(layer("github"), unsigned).await;
    assert_eq!(
        (status, said.as_str()),
        (StatusCode::UNAUTHORIZED, "the header x-hub-signature-256 is missing")
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let body = "x".repeat(1_025);
    for told in [true, false] {
        let body = if told {
            Body::from(body.clone())
        } else {
            let frame = http_body::Frame::data(Bytes::from(body.clone()));
            let frames: Vec<Result<_, Infallible>> = vec![Ok(frame)];
            Body::new(StreamBody::new(stream::iter(frames)))
        };
        let request = Request::post("/in/github").body(body).unwrap();
        let (status, said) = ask(layer("github").body_limit(1_024), request).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(said, "the body is larger than 1024 bytes");
    }
}

/// A byte, and the buffer that it holds in memory.
struct Piece(u8, #[expect(dead_code, reason = "held, and counted")] Arc<()>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        std::slice::from_ref(&self.0)
    }
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_verified_and_holds_no_buffer_for_each() {
    let body = "{\"a\":[1,2,3]}".repeat(50);
    let (buffers, most) = (Arc::new(()), Arc::new(AtomicI64::new(0)));
    let (held, seen) = (Arc::clone(&buffers), Arc::clone(&most));
    let pieces = stream::iter(body.clone().into_bytes()).map(move |byte| {
        seen.fetch_max(i64::try_from(Arc::strong_count(&held)).unwrap() - 2, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_owner(Piece(byte, Arc::clone(&held))))
    });
    let tag = hex(&mac(&[body.as_bytes()]));
    let request = Request::post("/in/github").header("x-hub-signature-256", format!("sha256={tag}"));
    let answer = ask(layer("github"), request.body(Body::from_stream(pieces)).unwrap()).await;
    assert_eq!(answer, (StatusCode::OK, format!("1 {body}")));
    assert!(most.load(Ordering::Relaxed) <= 1, "{most:?} buffers were held at once");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let frames = vec![Ok(http_body::Frame::data(Bytes::from("{"))), Err(std::io::Error::other("gone"))];
    let body = Body::new(StreamBody::new(stream::iter(frames)));
    let request = Request::post("/in/github").body(body).unwrap();
    let (status, said) = ask(layer("github"), request).await;
    assert_eq!((status, said.as_str()), (StatusCode::BAD_REQUEST, "the body could not be read to its end"));
}

#[tokio::test]
async fn handshakes_are_answered_here_and_refused_here() {
    let body = r#"{"type":"url_verification","challenge":"c-1"}"#;
    let time = NOW.to_string();
    for (parts, status) in [
        ([b"v0:", time.as_bytes(), b":", body.as_bytes()], StatusCode::OK),
        ([b"v1:", time.as_bytes(), b":", body.as_bytes()], StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::post("/in/slack")
            .header("x-slack-request-timestamp", &time)
            .header("x-slack-signature", format!("v0={}", hex(&mac(&parts))))
            .body(Body::from(body))
            .unwrap();
        let (answered, said) = ask(layer("slack"), request).await;
        assert_eq!(answered, status);
        assert_eq!(said == "c-1", status == StatusCode::OK, "{said}");
    }
    // Not even a route for the method is needed.
    let mut settings = settings();
    settings.values.insert("verify_token".to_owned(), "t".into());
    let meta = VerifyLayer::new(Receiver::new("meta", settings).unwrap());
    let request = Request::get("/in/meta?hub.mode=subscribe&hub.verify_token=t&hub.challenge=77");
    let answer = ask(meta, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer, (StatusCode::OK, "77".to_owned()));
}

#[tokio::test]
async fn the_address_that_the_provider_calls_can_be_set() {
    let signed = |url: &str| BASE64_STANDARD.encode(mac(&[url.as_bytes(), b"{}"]));
    for (public_url, called) in [
        (Some("https://shop.example"), "https://shop.example/in/square?a=1"),
        (Some("https://shop.example/"), "https://shop.example/in/square?a=1"),
        (Some("https://shop.example/hooks/square"), "https://shop.example/hooks/square?a=1"),
        (None, "https://inner.example/in/square?a=1"),
    ] {
        let request = Request::post("/in/square?a=1")
            .header("host", "inner.example")
            .header("x-square-hmacsha256-signature", signed(called))
            .body(Body::from("{}"))
            .unwrap();
        let layer = layer("square");
        let layer = match public_url {
            Some(url) => layer.public_url(url),
            None => layer,
        };
        assert_eq!(ask(layer, request).await, (StatusCode::OK, "1 {}".to_owned()), "{called}");
    }
}

#[tokio::test]
async fn the_clock_is_the_one_that_was_given() {
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = Arc::clone(&now);
    let layer = layer("slack").clock(move || clock.load(Ordering::Relaxed));
    let time = NOW.to_string();
    let request = || {
        Request::post("/in/slack")
            .header("x-slack-request-timestamp", &time)
            .header("x-slack-signature", format!("v0={}", hex(&mac(&[b"v0:", time.as_bytes(), b":{}"]))))
            .body(Body::from("{}"))
            .unwrap()
    };
    assert_eq!(ask(layer.clone(), request()).await.0, StatusCode::OK);
    now.store(NOW + 301, Ordering::Relaxed);
    let (status, said) = ask(layer, request()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(said, "the request was signed 301 s ago; at most 300 s are tolerated");
}

#[tokio::test]
async fn a_key_that_has_to_be_fetched_is_asked_for_and_then_used() {
    let kick = Arc::new(Receiver::new("kick", Settings::default()).unwrap());
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("in"))))
    });
    let request = || {
        Request::post("/")
            .header("kick-event-message-id", "1")
            .header("kick-event-message-timestamp", "2025-10-09T08:53:20Z")
            .header("kick-event-signature", BASE64_STANDARD.encode([0; 256]))
            .body(Full::new(Bytes::from("{}")))
            .unwrap()
    };
    let answer = VerifyLayer::new(Arc::clone(&kick)).layer(service).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let Some(Refusal::KeyNeeded(url)) = answer.extensions().get::<Refusal>() else {
        panic!("nothing is asked for")
    };
    let mut keys = Keys::default();
    keys.insert(url.clone(), "no key");
    let keys = Arc::new(keys);
    let layer = VerifyLayer::new(kick).keys(move || Arc::clone(&keys));
    let answer = layer.layer(service).oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_a_handshake_teaches_can_be_kept_by_a_layer_around() {
    let asana = Receiver::unready("asana", Settings::default()).unwrap();
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("in"))))
    });
    let service = VerifyLayer::new(asana).layer(service);
    let asked = Request::post("/").header("x-hook-secret", "s1").body(Full::new(Bytes::new())).unwrap();
    let answer = service.clone().oneshot(asked).await.unwrap();
    assert_eq!(answer.headers()["x-hook-secret"], "s1");
    let learned = answer.extensions().get::<Answer>().unwrap().learned.clone();
    assert_eq!(learned.as_deref(), Some("s1"));
    // Until it is kept, nothing is believed.
    let early = Request::builder().method(Method::POST).body(Full::new(Bytes::from("{}"))).unwrap();
    assert_eq!(service.oneshot(early).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}
