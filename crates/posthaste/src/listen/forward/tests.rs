//! A local program that is there, that is not, and that comes back.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn forwarder(port: u16) -> Forwarder {
    Forwarder {
        target: Target::parse(&format!(":{port}/in"), None).unwrap(),
        keep_host: false,
        retry: 10 * SECOND,
        timeout: None,
        is_down: AtomicBool::default(),
    }
}

fn request(body: &'static [u8]) -> Request {
    Request {
        id: "msg_1:ep_1".to_owned(),
        attempt: 1,
        message: "msg_1".to_owned(),
        event_type: "a.b".to_owned(),
        method: "PUT".to_owned(),
        path: "/x%2Fy".to_owned(),
        query: "q=%20".to_owned(),
        headers: Headers(vec![("x-a".to_owned(), Bytes::from_static(b"\xFF"))]),
        body: Bytes::from_static(body),
    }
}

/// Takes one connection, reads until `end`, answers, and returns what it read.
async fn serve_once(listener: TcpListener, end: &'static [u8], answer: Vec<u8>) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end) {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).await.unwrap();
        assert!(count > 0, "the connection closed early");
        read.extend_from_slice(&some[..count]);
    }
    let _ = stream.write_all(&answer).await;
    read
}

#[tokio::test]
async fn a_request_arrives_as_it_came_and_the_answer_goes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (events, _heard) = mpsc::channel(8);
    let answer =
        b"HTTP/1.1 418 x\r\nset-cookie: a\r\nset-cookie: \xE9\r\ncontent-length: 2\r\n\r\n\x00\xFF".to_vec();
    let served = tokio::spawn(serve_once(listener, b"\x01\xFF", answer));
    let went =
        forwarder(port).forward(&request(b"\x01\xFF"), Some("hooks.example"), 15 * SECOND, &events).await;
    let read = served.await.unwrap();
    let head = b"PUT /in/x%2Fy?q=%20 HTTP/1.1\r\nx-a: \xFF\r\n";
    assert!(read.starts_with(head), "{}", String::from_utf8_lossy(&read));
    let text = String::from_utf8_lossy(&read);
    assert!(text.contains("x-forwarded-host: hooks.example\r\ncontent-length: 2\r\n\r\n"), "{text}");
    assert!(text.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{text}");
    let Outcome::Answered { status, headers, body, truncated } = went.outcome else { panic!("{went:?}") };
    assert_eq!((status, &body[..], truncated), (418, &b"\x00\xFF"[..], false));
    assert_eq!(headers.0[1], ("set-cookie".to_owned(), Bytes::from_static(b"\xE9")));
    assert_eq!(went.to, format!("PUT :{port}/in/x%2Fy?q=%20"));
}

#[tokio::test]
async fn a_long_answer_is_cut_where_the_tunnel_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (events, _heard) = mpsc::channel(8);
    let mut answer = format!("HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n", 1 << 20).into_bytes();
    answer.resize(answer.len() + (1 << 20), b'x');
    let served = tokio::spawn(serve_once(listener, b"body", answer));
    let went = forwarder(port).forward(&request(b"body"), None, 15 * SECOND, &events).await;
    let Outcome::Answered { status: 200, body, truncated: true, .. } = went.outcome else {
        panic!("{went:?}")
    };
    assert_eq!(body.len(), ANSWER_BODY_BYTES_MAX);
    served.await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_down_is_tried_for_a_while_with_one_warning() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (events, mut heard) = mpsc::channel(8);
    let forwarder = Forwarder { retry: Duration::from_millis(150), ..forwarder(port) };
    for _ in 0..2 {
        let went = forwarder.forward(&request(b"{}"), None, 15 * SECOND, &events).await;
        assert!(matches!(went.outcome, Outcome::Failed { kind: FailedKind::Connect, .. }), "{went:?}");
        assert!(went.took >= Duration::from_millis(100), "{:?}", went.took);
    }
    let Ok(Event::Notice(said)) = heard.try_recv() else { panic!("nothing was said") };
    assert!(said.contains("is your program running?"), "{said}");
    assert!(heard.try_recv().is_err(), "it was said twice");
}

#[tokio::test]
async fn a_program_that_says_nothing_is_left_before_the_server_gives_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (events, _heard) = mpsc::channel(8);
    let given = Duration::from_millis(200);
    let went = forwarder(port).forward(&request(b"{}"), None, given, &events).await;
    assert!(matches!(went.outcome, Outcome::Failed { kind: FailedKind::Timeout, .. }), "{went:?}");
    drop(listener);
}

#[test]
fn the_server_hears_of_a_failure_before_its_own_time_is_up() {
    assert_eq!(limit_of(15 * SECOND, None), Duration::from_millis(14_500));
    assert_eq!(limit_of(15 * SECOND, Some(5 * SECOND)), 5 * SECOND);
    assert_eq!(limit_of(15 * SECOND, Some(60 * SECOND)), Duration::from_millis(14_500));
    assert_eq!(limit_of(Duration::from_millis(100), None), Duration::from_millis(50));
}
