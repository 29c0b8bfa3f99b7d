//! Opening the connection: an upgrade of an ordinary request, so that a refusal is an ordinary answer.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use posthaste_core::dice::roll;
use posthaste_tunnel::frame::FROM_SERVER_BYTES_MAX;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::call::Answer;
use crate::judged;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, refused};
use crate::system::SystemDice;

/// From the name lookup to the upgraded connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// Joined to the key that a client sends, it is what the server shows that it understood (RFC 6455, 1.3).
const UNDERSTOOD: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

/// An open connection.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why there is none.
pub(crate) enum Refused {
    /// It may be there the next time.
    ForNow(String),
    /// It never will.
    ForGood(Complaint),
}

fn for_now(why: impl std::fmt::Display) -> Refused {
    Refused::ForNow(why.to_string())
}

/// Opens the connection of a path at a server.
pub(crate) async fn open(server: &Server, path: &str) -> Result<Socket, Refused> {
    let opened = timeout(OPEN_TIMEOUT, connect(server, path)).await;
    opened.unwrap_or_else(|_| Err(for_now(format!("no answer within {} s", OPEN_TIMEOUT.as_secs()))))
}

async fn connect(server: &Server, path: &str) -> Result<Socket, Refused> {
    let url = url::Url::parse(server.url()).map_err(for_now)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(for_now("the server's URL names no host and port"));
    };
    let address = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((address, port)).await.map_err(for_now)?;
    let _ = stream.set_nodelay(true);
    let prefix = url.path().trim_end_matches('/');
    let key = BASE64_STANDARD.encode(roll::<16>(&SystemDice));
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("{prefix}{path}"))
        .header(HOST, format!("{host}:{port}"))
        .header(AUTHORIZATION, format!("Bearer {}", server.token()))
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(VERSION, "13")
        .header(KEY, &key)
        .body(Empty::new())
        .map_err(for_now)?;
    let response = if url.scheme() == "https" {
        let stream =
            judged::handshake(address, stream).await.map_err(|error| for_now(format!("{error:#}")))?;
        ask(stream, request).await?
    } else {
        ask(stream, request).await?
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(path, response).await);
    }
    let shown = response.headers().get(ACCEPT).map(|value| value.as_bytes().to_vec());
    if shown != Some(accept_of(&key).into_bytes()) {
        return Err(for_now("what answered understands no WebSocket"));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(for_now)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(FROM_SERVER_BYTES_MAX))
        .max_frame_size(Some(FROM_SERVER_BYTES_MAX));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await)
}

async fn ask<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(for_now)?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(for_now)
}

fn accept_of(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::digest(format!("{key}{UNDERSTOOD}")))
}

/// What an answer other than an upgrade means. Only a server of ours says no for good, and says so in its own words: a page
/// of whatever stands before it is for now.
async fn refusal(path: &str, response: Response<Incoming>) -> Refused {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = Answer { status, body };
    if is_for_good(status) && !said["detail"].is_null() {
        return Refused::ForGood(refused(&Method::GET, path, &answer));
    }
    let words = said["detail"].as_str().map_or_else(|| status_words(status), str::to_owned);
    Refused::ForNow(format!("the server said {status}: {words}"))
}

fn status_words(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or("no reason").to_owned()
}

/// Asking again would be answered the same. 421 is another node's to answer, and 408 and 429 another time's.
fn is_for_good(status: u16) -> bool {
    matches!(status, 400..500) && !matches!(status, 408 | 421 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_the_rfc_says() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [200, 408, 421, 429, 500, 502, 503] {
            assert!(!is_for_good(status), "{status}");
        }
        for status in [401, 403, 404, 422, 426] {
            assert!(is_for_good(status), "{status}");
        }
    }
}
