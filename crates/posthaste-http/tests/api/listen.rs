//! Listeners: who may listen, what they hear, and when it is over. Where it takes long, on a clock that goes on
//! as soon as all wait.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use posthaste_core::id::EndpointId;
use posthaste_core::time::Clock as _;
use posthaste_core::token::TokenHash;
use posthaste_http::serve::ListenerLimits;
use posthaste_store::Directory as _;
use posthaste_tunnel::frame::{Answer, FromClient, FromServer, Got, Headers, Reason, Request};
use posthaste_tunnel::listeners::{LISTENERS_PER_ENVIRONMENT_MAX, Told};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::listener::Listener;
use crate::world::Posthaste;

const LISTEN: &str = "/api/posthaste/v1/app/a/endpoint/web/listen";
const ENDPOINT: &str = "/api/v1/app/a/endpoint/web";

/// A client of the tunnel.
struct Client<S>(WebSocketStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The next frame; pings are answered meanwhile.
    async fn hears(&mut self) -> FromServer {
        loop {
            match self.0.next().await.expect("the connection ended").unwrap() {
                Message::Binary(message) => return FromServer::decode(&message).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("heard {other:?}"),
            }
        }
    }

    async fn hears_bye(&mut self) -> (Reason, String) {
        match self.hears().await {
            FromServer::Bye(bye) => (bye.reason, bye.detail),
            other => panic!("heard {other:?}"),
        }
    }

    async fn says(&mut self, frame: FromClient) {
        self.0.send(Message::Binary(frame.encode())).await.unwrap();
    }
}

/// Why nobody could listen: the status and the answer.
type Refused = (u16, String);

async fn over<S>(stream: S, path: &str, token: &str) -> Result<Client<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("ws://posthaste.example{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    match client_async(request, stream).await {
        Ok((socket, _)) => Ok(Client(socket)),
        Err(Error::Http(answer)) => {
            let body = answer.body().clone().unwrap_or_default();
            Err((answer.status().as_u16(), String::from_utf8(body).unwrap()))
        }
        Err(other) => panic!("{other}"),
    }
}

/// Connects without a network in between, so that the clock waits for nobody.
async fn connect(posthaste: &Posthaste, path: &str, token: &str) -> Result<Client<DuplexStream>, Refused> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let service = TowerToHyperService::new(posthaste.router.clone());
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades());
    over(near, path, token).await
}

/// Connects, and hears that it may.
async fn listens(posthaste: &Posthaste, token: &str) -> Client<DuplexStream> {
    let mut client = connect(posthaste, LISTEN, token).await.unwrap();
    assert!(matches!(client.hears().await, FromServer::Ready(_)));
    client
}

/// An app `a` with a listener `web`, and a token for them.
async fn with_listener(seed: u64) -> (Posthaste, String, EndpointId) {
    let (posthaste, token) = Posthaste::with_endpoint(seed).await;
    let body = json!({ "url": "listener:web", "uid": "web" });
    let (status, made) = posthaste.call("POST", "/api/v1/app/a/endpoint", &token, Some(body)).await;
    assert_eq!((status, &made["url"]), (StatusCode::CREATED, &json!("listener:web")));
    let id = EndpointId::parse(made["id"].as_str().unwrap()).unwrap();
    (posthaste, token, id)
}

fn request(body: Bytes) -> Request {
    Request {
        id: "msg_1:ep_1".to_owned(),
        attempt: 1,
        message: "msg_1".to_owned(),
        event_type: "a.b".to_owned(),
        method: "POST".to_owned(),
        path: "/a%2Fb".to_owned(),
        query: String::new(),
        headers: Headers(vec![("x-any".to_owned(), Bytes::from_static(b"\xFF"))]),
        body,
    }
}

#[tokio::test]
async fn whoever_comes_without_an_upgrade_or_to_an_address_is_told_what_to_do() {
    let (posthaste, token, _) = with_listener(800).await;
    let (status, answer) = posthaste.call("GET", LISTEN, &token, None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::UPGRADE_REQUIRED, &json!("upgrade_required")));
    let plain = "/api/posthaste/v1/app/a/endpoint/e/listen";
    let (status, answer) = posthaste.call("GET", plain, &token, None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("not_a_listener")));
    let none = "/api/posthaste/v1/app/a/endpoint/none/listen";
    assert_eq!(posthaste.call("GET", none, &token, None).await.0, StatusCode::NOT_FOUND);
    posthaste.call("PATCH", ENDPOINT, &token, Some(json!({ "disabled": true }))).await;
    let (status, answer) = posthaste.call("GET", LISTEN, &token, None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
}

#[tokio::test]
async fn the_url_of_a_listener_has_a_name_and_nothing_else() {
    let (posthaste, token, _) = with_listener(801).await;
    let body = json!({ "name": "s", "uid": "s", "type": "generic-webhook" });
    posthaste.call("POST", "/ingest/api/v1/source", &token, Some(body)).await;
    for path in ["/api/v1/app/a/endpoint", "/ingest/api/v1/source/s/endpoint"] {
        for url in ["listener:", "listener:a b", "listener://x/", "listener:a/../b", "Listener:x"] {
            let (status, answer) = posthaste.call("POST", path, &token, Some(json!({ "url": url }))).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{url}: {answer}");
            assert_eq!(answer["detail"][0]["loc"], json!(["body", "url"]), "{url}");
        }
        let (status, _) = posthaste.call("POST", path, &token, Some(json!({ "url": "listener:x" }))).await;
        assert_eq!(status, StatusCode::CREATED, "{path}");
    }
    let back = json!({ "url": "https://example.com/" });
    assert_eq!(posthaste.call("PATCH", ENDPOINT, &token, Some(back)).await.0, StatusCode::OK);
    let again = json!({ "url": "listener:again" });
    assert_eq!(posthaste.call("PUT", ENDPOINT, &token, Some(again)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_listener_hears_how_much_waits_and_gets_requests_as_they_are() {
    let (posthaste, token, endpoint) = with_listener(802).await;
    for _ in 0..3 {
        let message = json!({ "eventType": "a.b", "payload": {} });
        posthaste.call("POST", "/api/v1/app/a/msg", &token, Some(message)).await;
        posthaste.clock.advance(Duration::from_millis(1));
    }
    let mut client = connect(&posthaste, LISTEN, &token).await.unwrap();
    let FromServer::Ready(ready) = client.hears().await else { panic!("not ready") };
    assert_eq!(
        (&*ready.name, ready.waiting, ready.heartbeat_ms, ready.timeout_ms),
        ("web", 3, 5_000, 15_000)
    );
    let asked = request((0..=255).cycle().take(5 << 20).collect::<Vec<u8>>().into());
    let (listeners, sent) = (posthaste.listeners.clone(), asked.clone());
    let forwarding =
        tokio::spawn(async move { listeners.forward(endpoint, sent, Duration::from_secs(15)).await });
    assert_eq!(client.hears().await, FromServer::Request(asked));
    let (id, attempt) = ("msg_1:ep_1".to_owned(), 1);
    client.says(FromClient::Got(Got { id: id.clone(), attempt })).await;
    let headers = Headers(vec![("x-twice".to_owned(), "1".into()), ("x-twice".to_owned(), "2".into())]);
    let body = Bytes::from_static(b"\0\xFF\n");
    let answer = Answer { id, attempt, status: 201, headers, duration_ms: 7, truncated: false, body };
    client.says(FromClient::Answer(answer.clone())).await;
    assert_eq!(forwarding.await.unwrap(), Ok(Told::Answered(answer)));
}

#[tokio::test]
async fn a_session_ends_within_15_s_of_its_right() {
    for case in ["revoked", "disabled", "deleted", "moved"] {
        let (posthaste, token, _) = with_listener(803).await;
        let revoked = posthaste.token("default").await;
        let mut client = listens(&posthaste, &revoked).await;
        let began = Instant::now();
        let patch = async |body| posthaste.call("PATCH", ENDPOINT, &token, Some(body)).await.0;
        let reason = match case {
            "revoked" => {
                let hash = TokenHash::of(&revoked);
                posthaste.store.revoke_token_by_hash(hash, posthaste.clock.now()).await.unwrap();
                Reason::Unauthorized
            }
            "disabled" => {
                patch(json!({ "disabled": true })).await;
                Reason::Disabled
            }
            "deleted" => {
                posthaste.call("DELETE", ENDPOINT, &token, None).await;
                Reason::Deleted
            }
            _ => {
                patch(json!({ "url": "https://example.com/" })).await;
                Reason::Deleted
            }
        };
        tokio::time::pause();
        let (heard, detail) = client.hears_bye().await;
        assert_eq!(heard, reason, "{case}: {detail}");
        assert!(began.elapsed() <= Duration::from_secs(15), "{case}: {:?}", began.elapsed());
        let end = client.0.next().await;
        assert!(matches!(end, Some(Ok(Message::Close(_)))), "{case}: {end:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_client_that_is_silent_for_12_s_is_gone() {
    let (posthaste, token, endpoint) = with_listener(804).await;
    let client = listens(&posthaste, &token).await;
    tokio::time::pause();
    let began = Instant::now();
    // It reads and never answers a ping.
    let mut stream = client.0.into_inner();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    let lasted = began.elapsed().as_secs();
    assert!((12..=17).contains(&lasted), "it lasted {lasted} s");
    assert!(!posthaste.listeners.is_listened_to(endpoint) && posthaste.listeners.count() == 0);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let (posthaste, token, endpoint) = with_listener(805).await;
    let mut client = listens(&posthaste, &token).await;
    tokio::time::pause();
    assert!(timeout(Duration::from_mins(10), client.hears()).await.is_err(), "nothing happens");
    assert!(posthaste.listeners.is_listened_to(endpoint));
}

#[tokio::test]
async fn whoever_speaks_another_language_is_told_so_and_let_go() {
    let (posthaste, token, _) = with_listener(806).await;
    let cases = [
        (Message::text("{}"), "a frame must be a binary message"),
        (Message::binary(&b"no line"[..]), "a frame has no line of JSON"),
        (Message::binary(&b"{\"type\":\"got\"}\n"[..]), "a frame does not begin with a line of JSON"),
        (Message::binary(vec![b' '; 600 * 1024]), "a message was too long"),
    ];
    for (message, why) in cases {
        let mut client = listens(&posthaste, &token).await;
        client.0.send(message).await.unwrap();
        let (reason, detail) = client.hears_bye().await;
        assert_eq!(reason, Reason::Misbehaved, "{detail}");
        assert!(detail.starts_with(why), "{detail}");
    }
    let mut client = listens(&posthaste, &token).await;
    client.0.send(Message::binary(&b"{\"type\":\"weather\"}\n"[..])).await.unwrap();
    tokio::time::pause();
    assert!(timeout(Duration::from_mins(1), client.hears()).await.is_err(), "a newer client is no mistake");
}

#[tokio::test]
async fn the_second_connection_takes_the_place_of_the_first() {
    let (posthaste, token, endpoint) = with_listener(807).await;
    let mut first = listens(&posthaste, &token).await;
    // A customer may, whose token may manage the endpoint.
    let portal = posthaste.portal_token(&token, false).await;
    let _second = listens(&posthaste, &portal).await;
    assert_eq!(first.hears_bye().await.0, Reason::Replaced);
    assert!(posthaste.listeners.is_listened_to(endpoint));
}

#[tokio::test]
async fn an_environment_has_so_many_listeners_and_a_server_that_leaves_none() {
    let (posthaste, token, _) = with_listener(808).await;
    let now = posthaste.clock.now();
    let environment = posthaste.store.environment("default", now).await.unwrap().id;
    let fresh = || EndpointId::fresh(now, &*posthaste.dice);
    let others: Vec<_> = (0..LISTENERS_PER_ENVIRONMENT_MAX)
        .map(|_| posthaste.listeners.admit(environment, fresh()).unwrap())
        .collect();
    let (status, answer) = connect(&posthaste, LISTEN, &token).await.err().unwrap();
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains("100 listeners"), "{answer}");
    drop(others);
    let mut client = listens(&posthaste, &token).await;
    let listeners = posthaste.listeners.clone();
    let leaving = tokio::spawn(async move { listeners.leave().await });
    assert_eq!(client.hears_bye().await.0, Reason::Leaving);
    leaving.await.unwrap();
    assert_eq!(connect(&posthaste, LISTEN, &token).await.err().unwrap().0, 503);
}

#[tokio::test]
async fn a_listeners_connection_outlasts_the_limits_of_requests_and_the_end_of_the_server() {
    let (posthaste, token, _) = with_listener(809).await;
    let short = Duration::from_millis(50);
    let limits = ListenerLimits {
        header_timeout: short,
        body_timeout: short,
        body_idle_timeout: short,
        write_timeout: short,
        ..ListenerLimits::default()
    };
    let listener = Listener::start(&posthaste, limits).await;
    let mut client = over(listener.connect().await, LISTEN, &token).await.unwrap();
    assert!(matches!(client.hears().await, FromServer::Ready(_)));
    assert!(timeout(short * 5, client.hears()).await.is_err(), "nothing comes, and nothing ends");
    listener.stop.send(()).unwrap();
    listener.served.await.unwrap();
    let listeners = posthaste.listeners.clone();
    let leaving = tokio::spawn(async move { listeners.leave().await });
    assert_eq!(
        client.hears_bye().await.0,
        Reason::Leaving,
        "it hears so long after the last request was served"
    );
    leaving.await.unwrap();
}
