//! Requests that only raw bytes can make: each is refused, or its connection closed, and the next one is served.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use posthaste_http::serve::{ListenerLimits, serve};
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::inbound::Source;
use crate::world::Posthaste;

/// A listener on this machine, until it is told to stop.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) served: JoinHandle<()>,
}

impl Listener {
    pub(crate) async fn start(posthaste: &Posthaste, limits: ListenerLimits) -> Self {
        Self::start_with(posthaste, limits, None).await
    }

    pub(crate) async fn start_with(
        posthaste: &Posthaste,
        limits: ListenerLimits,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _ = stopped.await;
        };
        let served = tokio::spawn(serve(listener, posthaste.router.clone(), limits, tls, stopped));
        Self { address, stop, served }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes as they are; the status of the answer, or 0 when the connection was closed without one.
    async fn send(&self, request: &[u8]) -> u16 {
        let mut stream = self.connect().await;
        // A server that has seen enough may close before it has read everything.
        let _ = stream.write_all(request).await;
        status_of(&mut stream).await
    }
}

pub(crate) async fn status_of(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    match stream.read_exact(&mut head).await {
        Ok(_) => std::str::from_utf8(&head[9..]).unwrap().parse().unwrap(),
        Err(_) => 0,
    }
}

/// One whole answer of a connection that is kept: its status and its body.
pub(crate) async fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

/// A POST of a message with these further header lines and this body.
fn message(token: &str, headers: &str, body: &str) -> Vec<u8> {
    let head = "POST /api/v1/app/a/msg HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    format!("{head}authorization: Bearer {token}\r\n{headers}\r\n{body}").into_bytes()
}

const BODY: &str = r#"{"eventType":"a.b","payload":{}}"#;

#[tokio::test]
async fn a_request_whose_frame_is_in_doubt_is_never_taken() {
    let (posthaste, token) = Posthaste::with_endpoint(60).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let length = format!("content-length: {}\r\n", BODY.len());
    assert_eq!(listener.send(&message(&token, &length, BODY)).await, 202, "as it should be");
    let coded = "transfer-encoding: chunked\r\n";
    assert_eq!(listener.send(&message(&token, coded, &chunked)).await, 202, "as it should be");
    let cases = [
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n".to_owned(), BODY),
        ("an unknown coding", "transfer-encoding: xchunked\r\n".to_owned(), &chunked),
        ("chunked, and then another", "transfer-encoding: chunked, identity\r\n".to_owned(), &chunked),
        ("two codings", "transfer-encoding: identity\r\ntransfer-encoding: gzip\r\n".to_owned(), &chunked),
        ("a folded header", format!("x-a: 1\r\n y\r\n{length}"), BODY),
        ("a header name with a space", format!("x-a : 1\r\n{length}"), BODY),
        ("a length that is no number", "content-length: +5\r\n".to_owned(), BODY),
        ("a control character in a header", format!("x-a: a\x01\r\n{length}"), BODY),
    ];
    for (name, headers, body) in cases {
        let status = listener.send(&message(&token, &headers, body)).await;
        assert!(matches!(status, 400 | 501), "{name}: {status}");
    }
    let (_, page) = posthaste.call("GET", "/api/v1/app/a/msg", &token, None).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2, "nothing in doubt was stored");
}

#[tokio::test]
async fn a_length_beside_a_coding_does_not_smuggle_a_second_request() {
    let (posthaste, token) = Posthaste::with_endpoint(61).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let smuggled = String::from_utf8(message(&token, "content-length: 2\r\n", "{}")).unwrap();
    let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n{smuggled}", BODY.len());
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
    let mut stream = listener.connect().await;
    stream.write_all(&message(&token, both, &chunked)).await.unwrap();
    let mut answers = String::new();
    let _ = stream.read_to_string(&mut answers).await;
    assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_next_request_is_served() {
    let (posthaste, token) = Posthaste::with_endpoint(62).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let length = format!("content-length: {}\r\n", BODY.len());
    let huge = format!("x-a: {}\r\n{length}", "a".repeat(1 << 20));
    let mut many = length.clone().into_bytes();
    (0..1_000).for_each(|n| write!(many, "x-{n}: 1\r\n").unwrap());
    let many = String::from_utf8(many).unwrap();
    let long = format!("GET /api/v1/app?x={} HTTP/1.1\r\nhost: x\r\n\r\n", "A".repeat(100_000)).into_bytes();
    for (name, request) in [
        ("one huge header", message(&token, &huge, BODY)),
        ("very many headers", message(&token, &many, BODY)),
        ("a long path", long),
    ] {
        let status = listener.send(&request).await;
        assert!(matches!(status, 0 | 400 | 414 | 431), "{name}: {status}");
        assert_eq!(listener.send(&message(&token, &length, BODY)).await, 202, "after {name}");
    }
}

#[tokio::test]
async fn chunk_extensions_without_end_are_cut_off() {
    let (posthaste, token) = Posthaste::with_endpoint(63).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let chunk = format!("1;x={}\r\n \r\n", "e".repeat(8_192));
    let request = message(&token, "transfer-encoding: chunked\r\n", &chunk.repeat(100));
    let status = listener.send(&request).await;
    assert!(matches!(status, 0 | 400 | 413), "{status}");
}

#[tokio::test]
async fn a_target_that_is_no_path_of_ours_is_no_way_in() {
    let (posthaste, token) = Posthaste::with_endpoint(64).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    for line in ["CONNECT 127.0.0.1:22", "GET http://169.254.169.254/", "GET /api/v1/app/../../health"] {
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        let status = listener.send(request.as_bytes()).await;
        assert!(matches!(status, 400 | 404 | 405), "{line}: {status}");
    }
}

#[tokio::test]
async fn a_request_that_names_no_host_or_two_is_refused_and_an_old_one_need_not_name_any() {
    let (posthaste, _) = Posthaste::with_endpoint(72).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    for (request, status) in [
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET /livez HTTP/1.0\r\n\r\n", 200),
        ("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", 200),
    ] {
        assert_eq!(listener.send(request.as_bytes()).await, status, "{request}");
    }
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_is_let_go() {
    let (posthaste, _) = Posthaste::with_endpoint(65).await;
    let limits = ListenerLimits { header_timeout: Duration::from_millis(50), ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let mut stream = listener.connect().await;
    stream.write_all(b"GET /livez HTT").await.unwrap();
    let status = status_of(&mut stream).await;
    assert!(matches!(status, 0 | 408), "{status}");
    let mut idle = listener.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    // Read to the end: the server closes a connection that nothing more comes from.
    let _ = idle.read_to_end(&mut all).await;
    assert!(all.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let (posthaste, _) = Posthaste::with_endpoint(69).await;
    let limits = ListenerLimits { header_timeout: Duration::from_millis(50), ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let mut silent = listener.connect().await;
    let status = tokio::time::timeout(Duration::from_secs(20), status_of(&mut silent)).await;
    assert!(matches!(status, Ok(0 | 408)), "{status:?}");
}

/// Everything that the server says until it closes the connection.
async fn last_words(stream: &mut TcpStream) -> String {
    let mut all = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut all)).await;
    assert!(read.is_ok(), "the connection is still held, after: {all}");
    all
}

const TOO_SLOW: &str = r#"{"code":"timeout","detail":"the body did not arrive in time"}"#;

#[tokio::test]
async fn a_body_that_pauses_too_long_is_answered_and_cut_off() {
    let (posthaste, token) = Posthaste::with_endpoint(70).await;
    let body_idle_timeout = Duration::from_millis(50);
    let limits = ListenerLimits { body_idle_timeout, ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let length = format!("content-length: {}\r\n", BODY.len());
    let keyed = format!("{length}idempotency-key: k\r\n");
    for (name, headers, body) in [
        ("none of it", &length, ""),
        ("half of it", &length, &BODY[..9]),
        ("with an idempotency key", &keyed, &BODY[..9]),
        ("half a chunk", &"transfer-encoding: chunked\r\n".to_owned(), "20\r\n{"),
    ] {
        let mut stream = listener.connect().await;
        stream.write_all(&message(&token, headers, body)).await.unwrap();
        let said = last_words(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 408 ") && said.ends_with(TOO_SLOW), "{name}: {said}");
    }
    assert_eq!(listener.send(&message(&token, &length, BODY)).await, 202, "the next one is served");
}

/// What is said to a client that sends this head, and then its body byte by byte for ever.
async fn said_to_a_trickle(posthaste: &Posthaste, head: &[u8]) -> String {
    let limits = ListenerLimits { body_timeout: Duration::from_millis(100), ..ListenerLimits::default() };
    let listener = Listener::start(posthaste, limits).await;
    let (mut reader, mut writer) = listener.connect().await.into_split();
    writer.write_all(head).await.unwrap();
    let trickle = async {
        // A byte, and then as long a pause as another request takes.
        while writer.write_all(b" ").await.is_ok() {
            assert_eq!(listener.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await, 200);
        }
    };
    let mut said = Vec::new();
    let cut_off = async { tokio::join!(trickle, reader.read_to_end(&mut said)) };
    assert!(tokio::time::timeout(Duration::from_secs(20), cut_off).await.is_ok(), "it still trickles");
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_body_that_trickles_without_end_is_cut_off() {
    let (posthaste, token) = Posthaste::with_endpoint(71).await;
    let said = said_to_a_trickle(&posthaste, &message(&token, "content-length: 300000\r\n", "")).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
}

#[tokio::test]
async fn a_body_that_trickles_at_a_door_is_cut_off() {
    let source = Source::github(73, json!({})).await;
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n", source.door);
    let said = said_to_a_trickle(&source.posthaste, head.as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(source.kept().await.is_empty());
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_let_go() {
    let (posthaste, _) = Posthaste::with_endpoint(68).await;
    let limits = ListenerLimits { write_timeout: Duration::from_millis(50), ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let mut greedy = listener.connect().await;
    let asks = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let asking = async { while greedy.write_all(&asks).await.is_ok() {} };
    let let_go = tokio::time::timeout(Duration::from_secs(20), asking).await;
    assert!(let_go.is_ok(), "its connection is still held");
}

#[tokio::test]
async fn a_listener_stops_though_all_its_connections_are_taken() {
    let (posthaste, _) = Posthaste::with_endpoint(66).await;
    let limits =
        ListenerLimits { connections_max: 1, drain: Duration::from_millis(50), ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let mut taken = listener.connect().await;
    taken.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(status_of(&mut taken).await, 200);
    listener.stop.send(()).unwrap();
    let served = tokio::time::timeout(Duration::from_secs(5), listener.served).await;
    assert!(served.is_ok(), "it waits for a connection that never ends");
}

#[tokio::test]
async fn a_listener_that_stops_finishes_what_is_under_way() {
    let (posthaste, token) = Posthaste::with_endpoint(67).await;
    let listener = Listener::start(&posthaste, ListenerLimits::default()).await;
    let mut stream = listener.connect().await;
    let length = format!("content-length: {}\r\n", BODY.len());
    let request = message(&token, &length, BODY);
    let (head, rest) = request.split_at(request.len() - 5);
    stream.write_all(head).await.unwrap();
    // Another request on another connection: once it is answered, the first one was taken up.
    assert_eq!(listener.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await, 200);
    listener.stop.send(()).unwrap();
    stream.write_all(rest).await.unwrap();
    assert_eq!(status_of(&mut stream).await, 202);
    listener.served.await.unwrap();
    let (_, page) = posthaste.call("GET", "/api/v1/app/a/msg", &token, None).await;
    assert_eq!(page["data"][0]["eventType"], json!("a.b"));
}
