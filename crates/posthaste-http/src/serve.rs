//! The listener: HTTP/1.1, bare or inside TLS, with limits on size, time and connections, and an orderly end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Version};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::crowd::Crowd;
use crate::error::ApiError;
use crate::inbound::Peer;
use crate::slow::InTime;
use crate::stall::Impatient;

/// The one protocol that is spoken inside TLS. A configuration may know others whose handshake is all there is to them.
const HTTP: &[u8] = b"http/1.1";

/// What one client may use.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, and a connection may idle between two.
    pub header_timeout: Duration,
    /// How long a body may take in all.
    pub body_timeout: Duration,
    /// How long a body may pause.
    pub body_idle_timeout: Duration,
    /// How long an answer may wait for the client to take its next bytes.
    pub write_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Headers in it.
    pub headers_max: usize,
    /// Connections open at once; more wait to be accepted.
    pub connections_max: usize,
    /// Connections of one address, or of one network of IPv6; more are closed at once.
    pub connections_per_address_max: usize,
    /// How long open connections may take to end once we were told to stop.
    pub drain: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            body_idle_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            header_bytes_max: 32 * 1024,
            headers_max: 100,
            connections_max: 8_192,
            // Half: no single stranger takes all, and a proxy in front has enough.
            connections_per_address_max: 4_096,
            drain: Duration::from_secs(10),
        }
    }
}

/// What every connection is served with.
struct Host {
    http: http1::Builder,
    router: Router,
    limits: ListenerLimits,
    tls: Option<TlsAcceptor>,
}

/// Serves until `stop` resolves; then takes nothing new and finishes what is under way. With `tls`, nothing else is
/// spoken on this listener.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerLimits,
    tls: Option<Arc<ServerConfig>>,
    stop: impl Future<Output = ()>,
) {
    // Each connection holds a receiver for as long as it is one: when there are none, all have ended.
    let stopping = watch::Sender::new(false);
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let crowd = Arc::new(Crowd::default());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(16 * 1024))
        .max_headers(limits.headers_max);
    let host = Arc::new(Host { http, router, limits, tls: tls.map(TlsAcceptor::from) });
    tokio::pin!(stop);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            () = &mut stop => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, Peer(peer.ip())),
            Err(error) => {
                // Out of sockets, most likely: others will close.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = Crowd::enter(&crowd, peer.0, limits.connections_per_address_max) else { continue };
        let host = Arc::clone(&host);
        let stopping = stopping.subscribe();
        tokio::spawn(async move {
            host.welcome(stream, peer, stopping).await;
            drop((permit, place));
        });
    }
    drop(listener);
    stopping.send_replace(true);
    if tokio::time::timeout(limits.drain, stopping.closed()).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
}

impl Host {
    /// One connection, from its first byte to its last. What breaks here is the client's, and it knows.
    async fn welcome(&self, stream: TcpStream, peer: Peer, stopping: watch::Receiver<bool>) {
        // An answer is one write: waiting for more would only delay it.
        let _ = stream.set_nodelay(true);
        let stream = Impatient::new(stream, self.limits.write_timeout);
        let Some(tls) = &self.tls else { return self.talk(stream, peer, stopping).await };
        let handshake = tokio::time::timeout(self.limits.handshake_timeout, tls.accept(stream)).await;
        let Ok(Ok(mut stream)) = handshake else { return };
        if stream.get_ref().1.alpn_protocol().is_some_and(|protocol| protocol != HTTP) {
            let _ = stream.shutdown().await;
            return;
        }
        self.talk(stream, peer, stopping).await;
    }

    async fn talk<S>(&self, stream: S, peer: Peer, mut stopping: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.limits;
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            if !names_one_host(request.version(), request.headers()) {
                let refusal = ApiError::bad_request("the request must have one host header").into_response();
                return std::future::ready(Ok(refusal)).left_future();
            }
            request.extensions_mut().insert(peer);
            let request =
                request.map(|body| InTime::new(body, limits.body_timeout, limits.body_idle_timeout));
            router.call(request).right_future()
        });
        // What became a WebSocket goes on by itself: it counts among the listeners, and they are told when we leave.
        let mut connection =
            std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

/// What HTTP/1.1 demands. A request that names no host, or two, is read by some proxies as meant for another.
fn names_one_host(version: Version, headers: &HeaderMap) -> bool {
    let count = headers.get_all(HOST).iter().count();
    count == 1 || (count == 0 && version < Version::HTTP_11)
}
