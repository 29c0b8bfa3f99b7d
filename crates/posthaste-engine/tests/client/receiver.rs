//! A receiver that does exactly what its script says, byte by byte, and a resolver that answers as it is told.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use posthaste_core::target::TargetPolicy;
use posthaste_engine::client::{Client, ClientSettings, Outbound, Resolver};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a receiver does on a connection, in order. At the end it waits until the other side closes.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Reads one whole request.
    Read,
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Reads requests and answers each with these bytes, until the other side closes.
    AnswerAll(Vec<u8>),
    /// Writes this byte at each [`BEAT`], until the other side closes.
    Drip(u8),
    /// Writes these bytes over and over, until the other side closes.
    Flood(Vec<u8>),
    /// Reads a byte at each [`BEAT`], until the other side closes.
    ReadSlowly,
    /// Closes in order.
    Close,
    /// Closes with a reset.
    Reset,
}

impl Step {
    pub(crate) fn write(text: impl Into<String>) -> Self {
        Self::Write(text.into().into_bytes())
    }
}

/// How often a slow receiver moves: far more often than a test's deadline, so that no byte comes as a surprise.
const BEAT: Duration = Duration::from_millis(20);

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
    finished: mpsc::UnboundedReceiver<()>,
    connections: std::sync::Arc<AtomicUsize>,
    bytes_written: std::sync::Arc<AtomicUsize>,
}

impl Receiver {
    /// The first connection runs the first script, and so on; those after the last run the last.
    pub(crate) async fn running(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = mpsc::unbounded_channel();
        let (end, finished) = mpsc::unbounded_channel();
        let connections = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&connections);
        let bytes_written = std::sync::Arc::new(AtomicUsize::new(0));
        let written = std::sync::Arc::clone(&bytes_written);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let script = scripts[number.min(scripts.len() - 1)].clone();
                let (tell, end, written) = (tell.clone(), end.clone(), std::sync::Arc::clone(&written));
                tokio::spawn(async move {
                    let _ = play(stream, script, &tell, &written).await;
                    let _ = end.send(());
                });
            }
        });
        Self { address, requests, finished, connections, bytes_written }
    }

    /// Reads a request on each connection, writes `answer`, and waits.
    pub(crate) async fn answering(answer: impl Into<String>) -> Self {
        Self::running(vec![vec![Step::Read, Step::write(answer)]]).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request that it read, head and body.
    pub(crate) async fn request(&mut self) -> String {
        crate::soon(self.requests.recv()).await.unwrap()
    }

    /// Waits until a connection is over.
    pub(crate) async fn connection_is_over(&mut self) {
        crate::soon(self.finished.recv()).await.unwrap();
    }

    /// What the other side, and the system between, took of floods.
    pub(crate) fn bytes_written(&self) -> usize {
        self.bytes_written.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn play(
    mut stream: TcpStream,
    script: Vec<Step>,
    tell: &mpsc::UnboundedSender<String>,
    written: &AtomicUsize,
) -> io::Result<()> {
    for step in script {
        match step {
            Step::Read => drop(tell.send(read_request(&mut stream).await?)),
            Step::Write(bytes) => stream.write_all(&bytes).await?,
            Step::AnswerAll(bytes) => loop {
                let _ = tell.send(read_request(&mut stream).await?);
                stream.write_all(&bytes).await?;
            },
            Step::Drip(byte) => drip(&mut stream, byte).await?,
            Step::Flood(bytes) => loop {
                stream.write_all(&bytes).await?;
                written.fetch_add(bytes.len(), Ordering::SeqCst);
            },
            Step::ReadSlowly => {
                let mut beat = tokio::time::interval(BEAT);
                loop {
                    beat.tick().await;
                    stream.read_u8().await?;
                }
            }
            Step::Close => return stream.shutdown().await,
            Step::Reset => return stream.set_zero_linger(),
        }
    }
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Ends when the other side has closed.
async fn drip(stream: &mut TcpStream, byte: u8) -> io::Result<()> {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
        stream.write_all(&[byte]).await?;
    }
}

/// A head and as many bytes as its `content-length` says.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(read.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    read.extend_from_slice(&body);
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// Answers with what it was last told, and counts how often it is asked.
#[derive(Default)]
pub(crate) struct ToldResolver {
    addresses: Mutex<Vec<IpAddr>>,
    pub(crate) asked: AtomicUsize,
}

impl ToldResolver {
    pub(crate) fn answers(addresses: &[&str]) -> std::sync::Arc<Self> {
        let resolver = Self::default();
        resolver.now_answers(addresses);
        resolver.into()
    }

    pub(crate) fn now_answers(&self, addresses: &[&str]) {
        *self.addresses.lock().unwrap() = addresses.iter().map(|text| text.parse().unwrap()).collect();
    }
}

#[async_trait]
impl Resolver for ToldResolver {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.addresses.lock().unwrap().clone())
    }
}

/// Loopback is allowed and nothing else that is private.
pub(crate) fn settings() -> ClientSettings {
    let allow = vec!["127.0.0.1".parse().unwrap(), "localhost".parse().unwrap()];
    ClientSettings { policy: TargetPolicy { allow, ..TargetPolicy::default() }, ..ClientSettings::default() }
}

/// A client that must not need to look up a name.
pub(crate) fn client() -> Client {
    Client::new(settings(), ToldResolver::answers(&[]))
}

pub(crate) fn post(url: impl Into<String>) -> Outbound {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    let body = Bytes::from_static(b"{\"a\":1}");
    Outbound {
        method: Method::POST,
        url: url.into(),
        query: String::new(),
        headers,
        body,
        timeout: Duration::from_secs(10),
    }
}

/// A deadline that a test can wait for.
pub(crate) fn hasty(url: impl Into<String>) -> Outbound {
    Outbound { timeout: Duration::from_millis(60), ..post(url) }
}
