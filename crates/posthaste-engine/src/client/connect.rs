//! Opens a connection to one of the judged addresses, and to nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use posthaste_core::attempt::{Failure, FailureKind};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::exchange::Connection;
use super::pool::Key;
use super::progress::{Phase, Progress};
use super::route::Route;
use super::wire::{Watch, Wire};
use super::{failure, tls};

/// How long one address may take when there are others to try.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried: a name with a thousand must not keep an attempt busy.
const ADDRESSES_MAX: usize = 8;
/// Bytes of an answer that are buffered at once, and so of its head: between this and twice this is a protocol error.
const BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Headers of an answer.
const HEADERS_MAX: usize = 128;

/// Opens connections, and knows how many are open.
pub(super) struct Dialler {
    tls: tls::Connector,
    open: Arc<AtomicUsize>,
}

impl Dialler {
    pub(super) fn new(extra_roots: &[CertificateDer<'static>]) -> Self {
        Self { tls: tls::Connector::new(extra_roots), open: Arc::default() }
    }

    pub(super) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A connection that can carry a request, to the first of `addresses` that takes one.
    pub(super) async fn connect(
        &self,
        route: &Route,
        addresses: &[SocketAddr],
        progress: &mut Progress,
    ) -> Result<Connection, Failure> {
        progress.enter(Phase::Connecting);
        let (stream, remote) = dial(addresses, progress).await?;
        let open = Open::count(&self.open);
        // A request is one write: waiting for more would only delay it.
        let _ = stream.set_nodelay(true);
        let key = Key::new(route, remote);
        let (stream, watch) = Wire::new(stream);
        if route.target.is_https() {
            progress.enter(Phase::Handshaking);
            let stream = self.tls.handshake(&route.host, stream).await?;
            return speak_http(stream, key, open, watch).await;
        }
        speak_http(stream, key, open, watch).await
    }
}

/// Counts a connection for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn dial(addresses: &[SocketAddr], progress: &mut Progress) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = failure(FailureKind::Connect, "there is no address to connect to");
    for address in addresses.iter().take(ADDRESSES_MAX) {
        progress.remote = Some(*address);
        let connecting = TcpStream::connect(*address);
        let connected = if addresses.len() > 1 {
            let limited = tokio::time::timeout(ADDRESS_TIMEOUT, connecting).await;
            limited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            connecting.await
        };
        match connected {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => last = failure(FailureKind::Connect, format!("could not connect: {error}")),
        }
    }
    Err(last)
}

async fn speak_http<S>(stream: S, key: Key, open: Open, watch: Watch) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(FailureKind::Broken, format!("the connection broke: {error}")))?;
    let driver = tokio::spawn(async move {
        let _open = open;
        // What goes wrong here also reaches whoever waits for the answer.
        let _ = driver.await;
    });
    Ok(Connection::new(sender, key, watch, AbortOnDropHandle::new(driver)))
}
