//! Opens a connection to one of the judged addresses, and to nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1;
use posthaste_core::attempt::{Failure, FailureKind};
use posthaste_core::target::Target;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::exchange::Connection;
use super::pool::Key;
use super::tls::Connector;
use super::{Phase, Progress, failure};
use hyper_util::rt::TokioIo;

/// How long one address may take when there are others to try.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer's head and buffered body; more is a protocol error.
const BUFFER_BYTES_MAX: usize = 32 * 1024;
/// Headers of an answer.
const HEADERS_MAX: usize = 128;

pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    tls: &Connector,
    progress: &mut Progress,
) -> Result<Connection, Failure> {
    progress.phase = Phase::Connecting;
    let began = Instant::now();
    let (stream, remote) = dial(addresses, progress).await?;
    progress.timing.connect = began.elapsed();
    // A request is one write: waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let host = target.host();
    let key = Key { remote, name: target.is_https().then(|| host.clone()) };
    if target.is_https() {
        progress.phase = Phase::Handshaking;
        let began = Instant::now();
        let stream = tls.handshake(&host, stream).await?;
        progress.timing.tls = began.elapsed();
        return speak_http(stream, key).await;
    }
    speak_http(stream, key).await
}

async fn dial(addresses: &[SocketAddr], progress: &mut Progress) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = failure(FailureKind::Connect, "there is no address to connect to");
    for address in addresses {
        progress.remote = Some(*address);
        let connecting = TcpStream::connect(*address);
        let connected = if addresses.len() > 1 {
            tokio::time::timeout(ADDRESS_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
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

async fn speak_http<S>(stream: S, key: Key) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(FailureKind::Broken, format!("the connection broke: {error}")))?;
    tokio::spawn(async move {
        // What goes wrong here also reaches whoever waits for the answer.
        let _ = driver.await;
    });
    Ok(Connection::new(sender, key))
}
