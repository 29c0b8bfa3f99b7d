//! Two thousand connections that drip, while others want to work.

use std::time::{Duration, Instant};

use posthaste_http::serve::ListenerLimits;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::listener::{Listener, answer};
use crate::world::Posthaste;

const DRIPPING: usize = 2_000;
/// They are let go after this long; others are served all the while.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a request may take meanwhile, in a build without optimisation on a machine that is busy.
const P99_MAX: Duration = Duration::from_secs(1);
/// Bytes that drip between two of them.
const DRIPS_BETWEEN: usize = 200;
/// What they may cost: 40 KiB each, in a build without optimisation.
const MEMORY_BYTES_MAX: u64 = (DRIPPING as u64) * (40 << 10);
/// And what they may cost more while they drip.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// Memory of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}

/// One byte more, unless the other end has closed.
fn drips(stream: &TcpStream) -> bool {
    let mut said = [0; 512];
    let closed =
        matches!(stream.try_read(&mut said), Ok(0)) || stream.try_read(&mut said).is_ok_and(|n| n == 0);
    let would_block = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    !closed && stream.try_write(b"a").map_or_else(would_block, |_| true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_dripping_connections_are_cut_and_nobody_else_waits() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let (posthaste, token) = Posthaste::with_endpoint(740).await;
    let limits = ListenerLimits {
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        body_idle_timeout: PATIENCE,
        ..ListenerLimits::default()
    };
    let listener = Listener::start(&posthaste, limits).await;
    let request = |path: &str, rest: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{rest}").into_bytes()
    };
    let body = r#"{"eventType":"a.b","payload":{}}"#;
    let whole = request("/api/v1/app/a/msg", &format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut real = listener.connect().await;
    real.write_all(&whole).await.unwrap();
    assert_eq!(answer(&mut real).await.0, 202);
    let before = resident_bytes();
    let mut dripping = Vec::with_capacity(DRIPPING);
    for number in 0..DRIPPING {
        let mut stream = listener.connect().await;
        // By turns within a header, and within a body.
        let begun = if number % 2 == 0 { "x-a: " } else { "content-length: 300000\r\n\r\n" };
        stream.write_all(&request("/api/v1/app/a/msg", begun)).await.unwrap();
        dripping.push(stream);
    }
    let (mut took, mut resident) = (Vec::new(), Vec::new());
    let attack = async {
        while !dripping.is_empty() {
            let due: Vec<_> = dripping.drain(..dripping.len().min(DRIPS_BETWEEN)).filter(drips).collect();
            dripping.extend(due);
            let began = Instant::now();
            real.write_all(&whole).await.unwrap();
            assert_eq!(answer(&mut real).await.0, 202);
            took.push(began.elapsed());
            resident.push(resident_bytes().unwrap_or(0));
        }
    };
    let cut = tokio::time::timeout(Duration::from_secs(30), attack).await;
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    // Once each has dripped, all have been taken up.
    let all = DRIPPING / DRIPS_BETWEEN;
    let (before, begun, most) = (before.unwrap_or(0), resident[all], *resident.iter().max().unwrap());
    println!("{} requests meanwhile, p99 {p99:?}, memory {before}, then {begun}, at most {most}", took.len());
    assert!(cut.is_ok(), "{} of them are still held", dripping.len());
    assert!(took.len() >= 50 && p99 < P99_MAX, "{} requests, p99 {p99:?}", took.len());
    assert!(most <= before + MEMORY_BYTES_MAX, "{before} bytes before, {most} at most");
    assert!(most <= begun + GROWTH_BYTES_MAX, "{begun} bytes when they began, {most} at most");
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_another_is_still_served() {
    let (posthaste, _) = Posthaste::with_endpoint(741).await;
    let limits = ListenerLimits { connections_per_address_max: 3, ..ListenerLimits::default() };
    let listener = Listener::start(&posthaste, limits).await;
    let ask = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = listener.connect().await;
        stream.write_all(ask).await.unwrap();
        assert_eq!(answer(&mut stream).await.0, 200);
        kept.push(stream);
    }
    let mut refused = listener.connect().await;
    let _ = refused.write_all(ask).await;
    assert_eq!(crate::listener::status_of(&mut refused).await, 0, "closed without an answer");
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(listener.address).await.unwrap();
    other.write_all(ask).await.unwrap();
    assert_eq!(answer(&mut other).await.0, 200);
}
