//! One request and its answer on one connection.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use posthaste_core::attempt::{Failure, FailureKind, Reply};
use posthaste_core::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADER_BYTES_MAX};
use posthaste_fault::{Bug, planted, point};
use tokio_util::task::AbortOnDropHandle;

use super::pool::Key;
use super::progress::{Phase, Progress};
use super::route::Route;
use super::wire::{ANSWER_BYTES_MAX, Watch};
use super::{Outbound, failure};

/// What says where a message ends and what the connection does next. A caller who could set these could make one
/// request look like two to the server.
const FRAMING: &[HeaderName] = &[CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// A connection that can carry a request. Dropping it closes it at once, whatever the other side does.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    key: Key,
    watch: Watch,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Full<Bytes>>,
        key: Key,
        watch: Watch,
        driver: AbortOnDropHandle<()>,
    ) -> Self {
        Self { sender, key, watch, _driver: driver }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn remote(&self) -> SocketAddr {
        self.key.remote()
    }

    /// Before a request goes out on a kept connection: it is looked whether that is still open, and silent.
    pub(super) fn look(&self) {
        self.watch.look();
    }

    /// Whether it can carry a request now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until it can carry the next request; `false`: it never will.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

/// An answer, and its connection if that can be used again.
pub(super) struct Answered {
    pub(super) reply: Reply,
    pub(super) connection: Option<Connection>,
}

/// Why there was no answer.
pub(super) enum Broken {
    /// Nothing of the request left: it may safely go out again.
    Unsent(Box<Request<Full<Bytes>>>, Failure),
    /// It may have been read.
    Failed(Failure),
}

/// Our request as HTTP/1.1: path and query as in the URL, and the host that the URL names.
pub(super) fn prepare(route: &Route, outbound: Outbound) -> Result<Request<Full<Bytes>>, Failure> {
    let uri = match outbound.query.as_str() {
        "" => route.uri.clone(),
        query => with_query(&route.uri, query)?,
    };
    let mut request = Request::new(Full::new(outbound.body));
    *request.method_mut() = outbound.method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    *headers = outbound.headers;
    for name in FRAMING {
        headers.remove(name);
    }
    headers.insert(HOST, route.authority.clone());
    Ok(request)
}

/// Appends `query` byte for byte.
fn with_query(uri: &Uri, query: &str) -> Result<Uri, Failure> {
    let joint = match uri.query() {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    // Where it would end the query, or the line, it is no query.
    let fit = !query.bytes().any(|byte| byte <= b' ' || byte == b'#' || byte == 0x7F);
    let joined = PathAndQuery::try_from(format!("{uri}{joint}{query}"));
    let joined = joined.ok().filter(|_| fit);
    joined
        .map(Uri::from)
        .ok_or_else(|| failure(FailureKind::Request, "the query cannot be written into a request"))
}

pub(super) async fn run(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
    progress: &mut Progress,
) -> Result<Answered, Broken> {
    progress.enter(Phase::Waiting);
    connection.watch.begin();
    let sending = connection.sender.try_send_request(request);
    let sent = if planted(Bug::TimeoutWithoutBody) {
        let head = tokio::time::timeout(progress.timeout, sending).await;
        head.map_err(|_| Broken::Failed(failure(FailureKind::Timeout, progress.out_of_time())))?
    } else {
        sending.await
    };
    let response = sent.map_err(|mut error| {
        let unsent = error.take_message();
        let failure = explain(&error.into_error(), &connection.watch);
        match unsent {
            Some(request) => Broken::Unsent(Box::new(request), failure),
            None => Broken::Failed(failure),
        }
    })?;
    point!("send.head_received");
    progress.enter(Phase::Reading);
    let (head, body) = response.into_parts();
    let (headers, headers_cut) = keep_headers(&head.headers);
    let (body, body_cut) = read_body(body, &connection.watch).await.map_err(Broken::Failed)?;
    point!("send.body_read");
    let reply = Reply { status: head.status.as_u16(), headers, body, truncated: headers_cut || body_cut };
    // What was not read to its end cannot carry another answer.
    let connection = (!body_cut).then_some(connection);
    Ok(Answered { reply, connection })
}

fn explain(error: &hyper::Error, watch: &Watch) -> Failure {
    if watch.is_flooded() {
        return flooded();
    }
    if error.is_parse() || error.is_parse_status() {
        return failure(FailureKind::Protocol, format!("what came back is not an HTTP answer: {error}"));
    }
    let cause = why(error);
    failure(FailureKind::Broken, format!("the connection closed before the answer came: {cause}"))
}

fn flooded() -> Failure {
    let kib = ANSWER_BYTES_MAX / 1024;
    failure(
        FailureKind::Protocol,
        format!("the answer has more than {kib} KiB of interim answers or framing"),
    )
}

/// The last cause: what the operating system or TLS said, if it was that.
fn why(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Chunks that are none, and trailers without end, in the words of hyper.
fn is_nonsense(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData))
}

/// In order, repeated ones too, up to the limit.
fn keep_headers(headers: &HeaderMap) -> (Vec<(String, Bytes)>, bool) {
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

/// Reads up to the limit; `true`: there was more. Copies, because a slice of the connection's buffer would keep all
/// of that buffer alive until the attempt is recorded.
async fn read_body(mut body: Incoming, watch: &Watch) -> Result<(Bytes, bool), Failure> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if watch.is_flooded() {
                return flooded();
            }
            let cause = why(&error);
            if is_nonsense(&error) {
                return failure(FailureKind::Protocol, format!("the answer's body is not HTTP: {cause}"));
            }
            failure(FailureKind::Broken, format!("the connection broke within the answer: {cause}"))
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
