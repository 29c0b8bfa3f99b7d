//! The client against receivers that behave, and receivers that do not.
#![expect(clippy::unwrap_used, reason = "a receiver that cannot be set up is a failed test")]

mod beside;
mod clock;
mod hostile;
mod moment;
mod neighbours;
mod posthaste;
mod receiver;
mod targets;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Reply};
use posthaste_core::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADER_BYTES_MAX};
use posthaste_engine::client::{Client, ClientSettings, Outbound, Sent};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use receiver::{OK, Receiver, Step, ToldResolver, client, hasty, post, settings};

fn reply(sent: Sent) -> Reply {
    match sent.outcome {
        Outcome::Replied(reply) => reply,
        Outcome::Failed(failure) => panic!("there was no answer: {failure:?}"),
    }
}

fn failed(sent: Sent) -> Failure {
    match sent.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Replied(reply) => panic!("there was an answer: {reply:?}"),
    }
}

/// What must happen at once, whatever a receiver does. A test that waits for it longer has failed.
async fn soon<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), awaited).await.expect("it did not happen")
}

/// The client's tasks notice a moment later what a receiver did.
async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_has_the_path_the_host_and_the_body_that_it_was_given() {
    let mut receiver = Receiver::answering(OK).await;
    let sent = client().send(post(receiver.url("/in/%7Ba%7D?x=1&y={z}#fragment"))).await;
    assert_eq!(sent.remote, Some(receiver.address));
    assert!(sent.timing.total >= sent.timing.first_byte && !sent.timing.connect.is_zero());
    let reply = reply(sent);
    assert_eq!((reply.status, &*reply.body, reply.truncated), (200, &b"ok"[..], false));
    assert_eq!(reply.header("content-length"), Some("2"));
    let request = receiver.request().await;
    let expected = format!(
        "POST /in/%7Ba%7D?x=1&y={{z}} HTTP/1.1\r\ncontent-type: application/json\r\nhost: {}\r\n\
         content-length: 7\r\n\r\n{{\"a\":1}}",
        receiver.address
    );
    assert_eq!(request, expected);
}

#[tokio::test]
async fn a_query_that_came_apart_is_appended_byte_for_byte() {
    let mut receiver = Receiver::answering(OK).await;
    let cases = [
        ("/in", "a=%7b&b='1'&c=\\", "/in?a=%7b&b='1'&c=\\"),
        ("/in?own=1#there", "a=b?c", "/in?own=1&a=b?c"),
        ("/in?", "a", "/in?a"),
        ("", "a=b", "/?a=b"),
        ("/in", "&a&&", "/in?&a&&"),
    ];
    for (path, query, expected) in cases {
        let client = client();
        let request = Outbound { query: query.to_owned(), ..post(receiver.url(path)) };
        assert_eq!(reply(client.send(request).await).status, 200, "{query}");
        let head = receiver.request().await;
        assert_eq!(head.lines().next(), Some(&*format!("POST {expected} HTTP/1.1")));
    }
    for query in ["a b", "a#b", "a\r\nx: y", "a\u{7F}"] {
        let request = Outbound { query: query.to_owned(), ..post(receiver.url("/")) };
        assert_eq!(failed(client().send(request).await).kind, FailureKind::Request, "{query:?}");
    }
}

#[tokio::test]
async fn a_connection_that_carried_one_method_carries_the_next() {
    let no_body = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut receiver = Receiver::running(vec![vec![Step::AnswerAll(no_body.into())]]).await;
    let client = client();
    for method in [Method::HEAD, Method::GET, Method::PUT, Method::PATCH, Method::DELETE, Method::POST] {
        let expected = format!("{method} / HTTP/1.1");
        let request = Outbound { method, ..post(receiver.url("/")) };
        assert_eq!(reply(client.send(request).await).status, 200);
        let head = receiver.request().await;
        assert_eq!(head.lines().next(), Some(&*expected));
        assert!(head.ends_with("content-length: 7\r\n\r\n{\"a\":1}"), "{head}");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn headers_that_frame_a_message_are_ours_alone() {
    let mut receiver = Receiver::answering(OK).await;
    let mut request = post(receiver.url("/"));
    for (name, value) in [
        ("host", "internal-admin.example"),
        ("content-length", "2"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
        ("x-kept", "yes"),
    ] {
        request.headers.insert(name, value.parse().unwrap());
    }
    let client = client();
    reply(client.send(request).await);
    let got = receiver.request().await;
    assert!(got.contains("content-length: 7\r\n") && got.ends_with("{\"a\":1}"), "{got}");
    assert!(got.contains(&format!("host: {}\r\n", receiver.address)), "{got}");
    assert!(got.contains("x-kept: yes"), "{got}");
    for gone in ["internal-admin", "chunked", "connection:", "expect:", "upgrade:"] {
        assert!(!got.contains(gone), "{gone} in {got}");
    }
    assert_eq!(client.idle_connections(), 1);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let client = client();
    for _ in 0..20 {
        let sent = client.send(post(receiver.url("/"))).await;
        assert_eq!(sent.remote, Some(receiver.address));
        assert_eq!(reply(sent).status, 200);
        assert_eq!(client.idle_connections(), 1);
    }
    assert_eq!((receiver.connections(), client.open_connections()), (1, 1));
}

#[tokio::test]
async fn an_answer_without_length_ends_with_its_connection() {
    for answer in ["HTTP/1.0 200 OK\r\n\r\nold", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nold"] {
        let script = vec![Step::Read, Step::write(answer), Step::Close];
        let receiver = Receiver::running(vec![script]).await;
        let client = client();
        let reply = reply(client.send(post(receiver.url("/"))).await);
        assert_eq!((reply.status, &*reply.body), (200, &b"old"[..]));
        assert_eq!(client.idle_connections(), 0);
        until(|| client.open_connections() == 0).await;
    }
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_while_idle_is_replaced() {
    let closing = vec![Step::Read, Step::write(OK), Step::Close];
    let mut receiver = Receiver::running(vec![closing, vec![Step::AnswerAll(OK.into())]]).await;
    let client = client();
    reply(client.send(post(receiver.url("/"))).await);
    receiver.connection_is_over().await;
    until(|| client.open_connections() == 0).await;
    reply(client.send(post(receiver.url("/"))).await);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    let receiver = Receiver::answering(format!("{interim}{OK}")).await;
    assert_eq!(reply(client().send(post(receiver.url("/"))).await).status, 200);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let trap = Receiver::answering(OK).await;
    for location in
        [trap.url("/"), "/other".to_owned(), "//127.0.0.1/".to_owned(), "file:///etc/passwd".into()]
    {
        for status in [301, 302, 303, 307, 308] {
            let answer = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\nrefresh: 0\r\ncontent-length: 0\r\n\r\n"
            );
            let mut receiver = Receiver::answering(answer).await;
            let reply = reply(client().send(post(receiver.url("/"))).await);
            assert_eq!((reply.status, reply.header("location")), (status, Some(&*location)));
            receiver.request().await;
            assert_eq!(receiver.connections(), 1);
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_long_body_is_cut_and_its_connection_closed() {
    let sized = format!("HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n", 10 << 20);
    let script = vec![Step::Read, Step::write(sized), Step::Write(vec![b'x'; 10 << 20])];
    let mut receiver = Receiver::running(vec![script]).await;
    let client = client();
    let reply = reply(client.send(post(receiver.url("/"))).await);
    assert_eq!((reply.status, reply.body.len(), reply.truncated), (500, RESPONSE_BODY_BYTES_MAX, true));
    assert_eq!(client.idle_connections(), 0);
    receiver.connection_is_over().await;
    until(|| client.open_connections() == 0).await;
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_whole() {
    let body = "x".repeat(RESPONSE_BODY_BYTES_MAX);
    let receiver =
        Receiver::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    let client = client();
    let reply = reply(client.send(post(receiver.url("/"))).await);
    assert_eq!((reply.body.len(), reply.truncated), (body.len(), false));
    assert_eq!(client.idle_connections(), 1);
}

#[tokio::test]
async fn headers_are_kept_in_order_and_repeated_up_to_a_limit() {
    let value = "v".repeat(5_000);
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\nx-long: {value}\r\nx-late: {value}\r\n\
         content-length: 0\r\n\r\n"
    ))
    .await;
    let reply = reply(client().send(post(receiver.url("/"))).await);
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["set-cookie", "set-cookie", "x-long"]);
    assert!(
        reply.truncated
            && reply.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
                < RESPONSE_HEADER_BYTES_MAX
    );
}

#[tokio::test]
async fn nobody_listens() {
    let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    drop(receiver);
    let sent = client().send(post(format!("http://{address}/"))).await;
    assert_eq!(sent.remote, Some(address));
    assert_eq!(failed(sent).kind, FailureKind::Connect);
}

#[tokio::test]
async fn a_receiver_that_breaks_off_is_told_from_one_that_talks_nonsense() {
    let long = "x".repeat(40_000);
    let many = "a: b\r\n".repeat(200);
    for (steps, kind) in [
        (vec![Step::Close], FailureKind::Broken),
        (vec![Step::Reset], FailureKind::Broken),
        (vec![Step::write("HTTP/1.1 200 OK\r\ncontent-le"), Step::Close], FailureKind::Broken),
        (
            vec![Step::write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Step::Reset],
            FailureKind::Broken,
        ),
        (
            vec![Step::write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Step::Close],
            FailureKind::Broken,
        ),
        (vec![Step::write("SSH-2.0-OpenSSH_9.9\r\n")], FailureKind::Protocol),
        (vec![Step::write("\0\u{1}\u{2}\u{3}garbage\r\n\r\n")], FailureKind::Protocol),
        (vec![Step::write("HTTP/1.1 999999 Odd\r\n\r\n")], FailureKind::Protocol),
        (vec![Step::write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], FailureKind::Protocol),
        (vec![Step::write(format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n"))], FailureKind::Protocol),
        (vec![Step::write(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))], FailureKind::Protocol),
        (
            vec![Step::write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n")],
            FailureKind::Protocol,
        ),
    ] {
        let script = std::iter::once(Step::Read).chain(steps).collect();
        let receiver = Receiver::running(vec![script]).await;
        let client = client();
        let failure = failed(client.send(post(receiver.url("/"))).await);
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert_eq!((receiver.connections(), client.idle_connections()), (1, 0));
        until(|| client.open_connections() == 0).await;
    }
}

#[tokio::test]
async fn a_deadline_says_what_it_interrupted_and_closes_the_connection() {
    for (steps, doing) in [
        (vec![], "while waiting for the answer"),
        (vec![Step::Read], "while waiting for the answer"),
        (vec![Step::Read, Step::write("HTTP/1.1 200 OK\r\n")], "while waiting for the answer"),
        (vec![Step::Read, Step::write("HTTP/1.1 100 Continue\r\n\r\n")], "while waiting for the answer"),
        (
            vec![Step::Read, Step::write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx")],
            "while reading the answer",
        ),
    ] {
        let mut receiver = Receiver::running(vec![steps]).await;
        let client = client();
        let sent = client.send(hasty(receiver.url("/"))).await;
        assert!(sent.timing.total >= Duration::from_millis(60) && sent.timing.total < Duration::from_secs(5));
        let failure = failed(sent);
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert_eq!(failure.detail, format!("no answer within 60 ms: time was up {doing}"));
        receiver.connection_is_over().await;
        until(|| client.open_connections() == 0).await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_read_counts_and_holds_nothing_open() {
    let early = "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = client();
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let request = Outbound { body, timeout: Duration::from_secs(5), ..post(url) };
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send(request).await }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_exact(&mut [0; 1024]).await.unwrap();
    stream.write_all(early.as_bytes()).await.unwrap();
    let reply = reply(soon(sending).await.unwrap());
    assert_eq!((reply.status, &*reply.body), (413, &b"big"[..]));
    assert_eq!(client.idle_connections(), 0);
    until(|| client.open_connections() == 0).await;
}

#[tokio::test]
async fn idle_connections_are_capped_over_all_hosts() {
    let mut receivers = Vec::new();
    for _ in 0..4 {
        receivers.push(Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await);
    }
    let settings = ClientSettings { idle_connections_max: 2, ..settings() };
    let client = Client::new(settings, ToldResolver::answers(&[]));
    for receiver in &receivers {
        reply(client.send(post(receiver.url("/"))).await);
    }
    until(|| client.open_connections() == 2).await;
    assert_eq!(client.idle_connections(), 2);
    // The two that were used last are the two that were kept.
    for (receiver, connections) in receivers.iter().zip([2, 2, 1, 1]).rev() {
        reply(client.send(post(receiver.url("/"))).await);
        assert_eq!(receiver.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed_without_being_asked() {
    let mut receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let settings = ClientSettings { idle_timeout: Duration::from_millis(30), ..settings() };
    let client = Client::new(settings, ToldResolver::answers(&[]));
    reply(client.send(post(receiver.url("/"))).await);
    assert_eq!(client.idle_connections(), 1);
    receiver.connection_is_over().await;
    assert_eq!((client.idle_connections(), client.open_connections()), (0, 0));
    reply(client.send(post(receiver.url("/"))).await);
    receiver.connection_is_over().await;
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_connection_behind() {
    let mut receiver = Receiver::running(vec![vec![Step::AnswerAll(OK.into())]]).await;
    let client = client();
    reply(client.send(post(receiver.url("/"))).await);
    drop(client);
    receiver.connection_is_over().await;
}
