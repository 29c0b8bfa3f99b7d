//! What receivers do to a client, as a table: each gets the right verdict, in bounded time, on bounded memory, and no
//! connection is used again that must not be.

use std::time::{Duration, Instant};

use bytes::Bytes;
use posthaste_core::attempt::{FailureKind, Outcome};
use posthaste_engine::client::{Outbound, Sent};

use crate::receiver::{OK, Receiver, Step, client, post};
use crate::until;

/// The deadline of an attempt that must meet it.
const HASTY: Duration = Duration::from_millis(300);
/// The deadline of an attempt that must end without it.
const PATIENT: Duration = Duration::from_secs(10);
/// How long after its deadline an attempt may end.
const LATE_MAX: Duration = Duration::from_secs(1);
/// What an endless answer may push into us and the system's buffers on both sides of loopback before it is cut.
const FLOOD_BYTES_MAX: usize = 64 << 20;
/// How much this process may grow by all of it.
const MEMORY_KIB_MAX: u64 = 48 << 10;

/// What an attempt comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answers(u16),
    Fails(FailureKind),
}

/// A receiver's behaviour and what must come of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) verdict: Verdict,
    /// Its connection carries the next request.
    pub(crate) is_kept: bool,
}

fn answers(what: &'static str, status: u16, is_kept: bool, steps: Vec<Step>) -> Case {
    Case { what, steps, verdict: Verdict::Answers(status), is_kept }
}

fn fails(what: &'static str, kind: FailureKind, steps: Vec<Step>) -> Case {
    Case { what, steps, verdict: Verdict::Fails(kind), is_kept: false }
}

fn says(text: impl Into<String>) -> Vec<Step> {
    vec![Step::Read, Step::write(text)]
}

fn says_and(text: impl Into<String>, then: Step) -> Vec<Step> {
    vec![Step::Read, Step::write(text), then]
}

fn flood(text: &str) -> Step {
    Step::Flood(text.repeat((64 << 10) / text.len() + 1).into_bytes())
}

/// They say nothing, or too slowly.
fn silent_ones() -> Vec<Case> {
    use FailureKind::{Broken, Timeout};
    vec![
        fails("resets after it accepted", Broken, vec![Step::Reset]),
        fails("closes after it accepted", Broken, vec![Step::Close]),
        fails("closes before the head", Broken, vec![Step::Read, Step::Close]),
        fails("hangs before it reads", Timeout, vec![]),
        fails("hangs before the head", Timeout, vec![Step::Read]),
        fails("hangs within the head", Timeout, says("HTTP/1.1 200 OK\r\n")),
        fails("hangs before the body", Timeout, says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")),
        fails("drips the head", Timeout, says_and("HTTP/1.1 200 OK\r\nx: ", Step::Drip(b'v'))),
        fails(
            "drips the body",
            Timeout,
            says_and("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", Step::Drip(b'b')),
        ),
        fails("drips empty lines", Timeout, says_and("", Step::Drip(b'\n'))),
        fails(
            "closes within the body",
            Broken,
            says_and("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", Step::Close),
        ),
        fails(
            "resets within the body",
            Broken,
            says_and("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", Step::Reset),
        ),
        fails(
            "closes within a chunk",
            Broken,
            says_and("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf", Step::Close),
        ),
    ]
}

/// They say too much.
fn endless_ones() -> Vec<Case> {
    use FailureKind::Protocol;
    let head = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let sized = format!("{head}content-length: {}\r\n", 10_u64 << 30);
    let many = "a: b\r\n".repeat(10_000);
    let long = "v".repeat(1 << 20);
    vec![
        answers("answers 10 GB", 200, false, says_and(format!("{sized}\r\n"), flood("x"))),
        answers("answers without end", 200, false, says_and(format!("{head}\r\n"), flood("x"))),
        answers("answers in chunks without end", 200, false, says_and(chunked, flood("1\r\nx\r\n"))),
        answers(
            "answers with a gzip bomb",
            200,
            false,
            says_and(
                format!("{sized}content-encoding: gzip\r\n\r\n"),
                Step::Flood([0x1F, 0x8B, 8, 0].repeat(16 << 10)),
            ),
        ),
        fails("sends 300 MB of headers", Protocol, says_and(head, flood("x-header: value\r\n"))),
        fails("sends 10 000 headers", Protocol, says(format!("{head}{many}\r\n"))),
        fails("sends a header of 1 MiB", Protocol, says(format!("{head}x: {long}\r\n\r\n"))),
        fails("sends a header's name without end", Protocol, says_and(head, flood("x"))),
        fails(
            "sends interim answers without end",
            Protocol,
            says_and("", flood("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")),
        ),
        fails(
            "sends trailers without end",
            Protocol,
            says_and(format!("{chunked}1\r\nx\r\n0\r\n"), flood("a: b\r\n")),
        ),
        fails(
            "sends a chunk's extension without end",
            Protocol,
            says_and(format!("{chunked}1;"), flood("x")),
        ),
        fails("sends a chunk's size without end", Protocol, says_and(chunked, flood("0"))),
    ]
}

/// They talk nonsense.
fn garbled_ones() -> Vec<Case> {
    use FailureKind::Protocol;
    let nonsense = [
        ("speaks HTTP/0.9", "<html>hello</html>\n"),
        ("speaks SSH", "SSH-2.0-OpenSSH_9.9\r\n"),
        ("speaks HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("claims HTTP/3.0", "HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("sends two status lines", "HTTP/1.1 200 OK\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
        ("sends a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        ("sends a length with a sign", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok"),
        ("sends a length past 64 bits", "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n"),
        ("sends two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
        (
            "sends a chunk's size past 64 bits",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        ),
        ("sends a chunk that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        ("sends a NUL in a value", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ("sends a NUL in a name", "HTTP/1.1 200 OK\r\nx\0: a\r\ncontent-length: 0\r\n\r\n"),
        ("sends only NULs", "\0\0\0\0\0\0\0\0\r\n\r\n"),
        ("answers with status 000", "HTTP/1.1 000 Odd\r\ncontent-length: 0\r\n\r\n"),
        ("answers with status 099", "HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n"),
        ("answers with status 9999", "HTTP/1.1 9999 Odd\r\ncontent-length: 0\r\n\r\n"),
        ("answers with status 20", "HTTP/1.1 20 Odd\r\ncontent-length: 0\r\n\r\n"),
    ];
    nonsense.into_iter().map(|(what, text)| fails(what, Protocol, says(text))).collect()
}

/// They are odd, and still answer.
fn odd_ones() -> Vec<Case> {
    let poison = "HTTP/1.1 500 Poison\r\ncontent-length: 0\r\n\r\n";
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    vec![
        answers("answers with status 999", 999, true, says("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n")),
        answers(
            "speaks HTTP/1.0",
            200,
            false,
            says_and("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", Step::Close),
        ),
        answers("changes to another protocol", 101, false, says("HTTP/1.1 101 Go\r\nupgrade: x\r\n\r\n")),
        answers("sends some interim answers", 200, true, says(format!("HTTP/1.1 103 E\r\n\r\n{OK}"))),
        answers("redirects to itself", 302, true, says(moved("/"))),
        answers("redirects to a private address", 302, true, says(moved("http://169.254.169.254/latest/"))),
        answers("sends one answer more", 200, false, says(format!("{OK}{poison}"))),
        answers("sends a byte more", 200, false, says(format!("{OK}x"))),
        answers(
            "sends a body where none may be",
            204,
            false,
            says("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\nhello"),
        ),
    ]
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    [silent_ones(), endless_ones(), garbled_ones(), odd_ones()].into_iter().flatten().collect()
}

fn verdict(sent: &Sent) -> Verdict {
    match &sent.outcome {
        Outcome::Replied(reply) => Verdict::Answers(reply.status),
        Outcome::Failed(failure) => Verdict::Fails(failure.kind),
    }
}

#[cfg(target_os = "linux")]
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[cfg(not(target_os = "linux"))]
fn peak_memory_kib() -> u64 {
    0
}

#[tokio::test]
async fn each_receiver_that_misbehaves_gets_its_verdict_in_bounded_time_and_memory() {
    let before_kib = peak_memory_kib();
    for case in cases() {
        let what = case.what;
        let receiver = Receiver::running(vec![case.steps]).await;
        let client = client();
        let meets_deadline = case.verdict == Verdict::Fails(FailureKind::Timeout);
        let timeout = if meets_deadline { HASTY } else { PATIENT };
        let began = Instant::now();
        let sent = client.send(Outbound { timeout, ..post(receiver.url("/")) }).await;
        assert_eq!(verdict(&sent), case.verdict, "{what}: {:?}", sent.outcome);
        assert!(began.elapsed() <= timeout + LATE_MAX, "{what}: took {:?}", began.elapsed());
        assert!(meets_deadline || began.elapsed() < timeout, "{what}: took {:?}", began.elapsed());
        assert_eq!(client.idle_connections(), usize::from(case.is_kept), "{what}: its connection");
        until(|| client.open_connections() == usize::from(case.is_kept)).await;
        assert_eq!(receiver.connections(), 1, "{what}: one request is one connection");
        let flooded = receiver.bytes_written();
        assert!(flooded <= FLOOD_BYTES_MAX, "{what}: it got rid of {flooded} bytes");
    }
    let grown_kib = peak_memory_kib() - before_kib;
    assert!(grown_kib <= MEMORY_KIB_MAX, "the process grew by {grown_kib} KiB");
}

#[tokio::test]
async fn a_receiver_that_reads_a_large_request_slowly_meets_the_deadline() {
    let receiver = Receiver::running(vec![vec![Step::ReadSlowly]]).await;
    let client = client();
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let began = Instant::now();
    let sent = client.send(Outbound { body, timeout: HASTY, ..post(receiver.url("/")) }).await;
    assert_eq!(verdict(&sent), Verdict::Fails(FailureKind::Timeout));
    assert!(began.elapsed() <= HASTY + LATE_MAX);
    until(|| client.open_connections() == 0).await;
}

#[tokio::test]
async fn a_receiver_that_says_yes_before_it_read_a_large_request_is_believed() {
    for answer in [OK, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"] {
        let receiver = Receiver::running(vec![vec![Step::write(answer), Step::ReadSlowly]]).await;
        let client = client();
        let body = Bytes::from(vec![b'x'; 32 << 20]);
        let sent = client.send(Outbound { body, timeout: PATIENT, ..post(receiver.url("/")) }).await;
        assert_eq!(verdict(&sent), Verdict::Answers(200));
        assert_eq!(client.idle_connections(), 0, "what was not sent to its end carries nothing more");
        until(|| client.open_connections() == 0).await;
    }
}
