//! One request and its answer on one connection.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use posthaste_core::attempt::{Failure, FailureKind, Reply};
use posthaste_core::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADER_BYTES_MAX};
use posthaste_core::target::Target;
use tokio::time::Instant;

use super::pool::{Key, Pool};
use super::{Outbound, Phase, Progress, failure};

/// A connection that can carry a request.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    key: Key,
}

impl Connection {
    pub(super) fn new(sender: SendRequest<Full<Bytes>>, key: Key) -> Self {
        Self { sender, key }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.key.remote
    }

    pub(super) fn is_usable(&self) -> bool {
        self.sender.is_ready()
    }
}

/// Why there was no answer.
pub(super) enum Broken {
    /// Nothing of the request left: it may safely go out again.
    Unsent,
    /// It may have been read.
    Failed(Failure),
}

/// Our request as HTTP/1.1: path and query as in the URL, and the host that the URL names.
pub(super) fn prepare(target: &Target, outbound: Outbound) -> Result<Request<Full<Bytes>>, Failure> {
    let url = target.url();
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let bad = |what: &str| failure(FailureKind::Request, format!("the request could not be built: {what}"));
    let mut request = Request::new(Full::new(outbound.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(|_| bad("its path"))?;
    *request.headers_mut() = outbound.headers;
    let host = HeaderValue::from_str(authority).map_err(|_| bad("its host"))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

pub(super) async fn run(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
    progress: &mut Progress,
    pool: &Pool,
) -> Result<Reply, Broken> {
    progress.phase = Phase::Waiting;
    let began = Instant::now();
    let answered = connection.sender.try_send_request(request).await;
    progress.timing.first_byte = began.elapsed();
    let response = answered.map_err(|mut error| match error.take_message() {
        Some(_) => Broken::Unsent,
        None => Broken::Failed(explain(&error.into_error())),
    })?;
    progress.phase = Phase::Reading;
    let (head, body) = response.into_parts();
    let (headers, headers_cut) = keep_headers(&head.headers);
    let (body, body_cut) = read_body(body).await.map_err(Broken::Failed)?;
    // What was not read to its end cannot carry another answer: dropping it closes it.
    if !body_cut {
        keep_alive(connection, pool).await;
    }
    Ok(Reply { status: head.status.as_u16(), headers, body, truncated: headers_cut || body_cut })
}

async fn keep_alive(mut connection: Connection, pool: &Pool) {
    // The driver task notices the end of the body a moment after we do.
    if connection.sender.ready().await.is_ok() {
        pool.put(connection);
    }
}

fn explain(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_status() {
        return failure(FailureKind::Protocol, format!("what came back is not an HTTP answer: {error}"));
    }
    failure(FailureKind::Broken, format!("the connection closed before the answer came: {error}"))
}

/// In order, repeated ones too, up to the limit.
fn keep_headers(headers: &http::HeaderMap) -> (Vec<(String, Bytes)>, bool) {
    let mut kept = Vec::with_capacity(headers.len());
    let mut room = RESPONSE_HEADER_BYTES_MAX;
    for (name, value) in headers {
        let size = name.as_str().len() + value.len() + 4;
        if size > room {
            return (kept, true);
        }
        room -= size;
        kept.push((name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    }
    (kept, false)
}

/// Reads up to the limit; `true`: there was more.
async fn read_body(mut body: Incoming) -> Result<(Bytes, bool), Failure> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            failure(FailureKind::Broken, format!("the connection broke within the answer: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let room = RESPONSE_BODY_BYTES_MAX - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((kept.freeze(), true));
        }
    }
    Ok((kept.freeze(), false))
}
