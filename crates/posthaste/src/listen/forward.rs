//! One request to the local program: as it came, on a connection of its own, tried again while nothing listens there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{Method, Request as HttpRequest, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use posthaste_tunnel::frame::{ANSWER_BODY_BYTES_MAX, FailedKind, Headers, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::event::{Event, Outcome, Went};
use super::headers::onward;
use super::pause;
use super::target::Target;
use crate::cli::listen::HowArgs;
use crate::{judged, unjudged, words};

/// Before the server's own time is up: the way back of an answer, and of the word that there is none.
const MARGIN: Duration = Duration::from_millis(500);
/// How much of a wait is counted at once.
const TICK: Duration = Duration::from_millis(250);
/// Bytes of an answer's headers that are sent back.
const ANSWER_HEADER_BYTES_MAX: usize = 32 * 1024;

/// Forwards requests to one target.
pub(crate) struct Forwarder {
    target: Target,
    keep_host: bool,
    /// How long a target that is down is tried again.
    retry: Duration,
    /// How long it may take, if it has less time than the server gives.
    timeout: Option<Duration>,
    /// Whether it was said that nothing listens there.
    is_down: AtomicBool,
}

/// Why there is no answer.
type Failed = (FailedKind, String);

fn failed(kind: FailedKind, detail: impl Into<String>) -> Failed {
    (kind, detail.into())
}

impl Forwarder {
    pub(crate) fn new(target: Target, how: &HowArgs) -> Self {
        let HowArgs { keep_host, retry, timeout, .. } = *how;
        Self { target, keep_host, retry, timeout, is_down: AtomicBool::default() }
    }

    /// Forwards a request that the server waits `given` for. `asked_host`: whom the provider sent it to.
    pub(crate) async fn forward(
        &self,
        request: &Request,
        asked_host: Option<&str>,
        given: Duration,
        events: &mpsc::Sender<Event>,
    ) -> Went {
        let began = Instant::now();
        let limit = limit_of(given, self.timeout);
        let outcome = match self.draft(request, asked_host) {
            Ok(draft) => self.insist(draft, began, limit, events).await,
            Err(failed) => Err(failed),
        };
        Went {
            key: (request.id.clone(), request.attempt),
            message: request.message.clone(),
            to: format!("{} {}", request.method, self.target.shown(&request.path, &request.query)),
            took: began.elapsed(),
            outcome: outcome.unwrap_or_else(|(kind, detail)| Outcome::Failed { kind, detail }),
        }
    }

    fn draft(&self, request: &Request, asked_host: Option<&str>) -> Result<HttpRequest<Full<Bytes>>, Failed> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| failed(FailedKind::Protocol, "the method cannot be written into a request"))?;
        let asked = self.target.path_and_query(&request.path, &request.query);
        let uri: Uri = asked
            .parse()
            .map_err(|_| failed(FailedKind::Protocol, "the path cannot be written into a request"))?;
        let mut draft = HttpRequest::new(Full::new(request.body.clone()));
        *draft.method_mut() = method;
        *draft.uri_mut() = uri;
        *draft.headers_mut() = onward(&request.headers.0, asked_host, &self.target.authority, self.keep_host);
        // Where a body may be and is not, that is said: what expects one would wait for it, or refuse its absence.
        if matches!(*draft.method(), Method::POST | Method::PUT | Method::PATCH) {
            draft.headers_mut().insert(CONTENT_LENGTH, request.body.len().into());
        }
        Ok(draft)
    }

    /// Tries again while nothing takes the connection: then nothing of the request was read.
    async fn insist(
        &self,
        draft: HttpRequest<Full<Bytes>>,
        began: Instant,
        limit: Duration,
        events: &mpsc::Sender<Event>,
    ) -> Result<Outcome, Failed> {
        let give_up = began + self.retry.min(limit);
        for attempt in 1.. {
            let left = limit.saturating_sub(began.elapsed());
            let tried = waking(left, self.ask(draft.clone())).await.unwrap_or_else(|| {
                let took = words::span(limit);
                Err(failed(FailedKind::Timeout, format!("no answer within {took}")))
            });
            match tried {
                Err((FailedKind::Connect, detail)) => {
                    let pause = pause::before_local(attempt);
                    if Instant::now() + pause >= give_up {
                        return Err(failed(FailedKind::Connect, detail));
                    }
                    self.warn(&detail, events).await;
                    sleep(pause).await;
                }
                other => {
                    if self.is_down.swap(false, Ordering::Relaxed) {
                        let there = format!("{} is there again", self.target.origin());
                        let _ = events.send(Event::Notice(there)).await;
                    }
                    return other;
                }
            }
        }
        Err(failed(FailedKind::Connect, "nothing listens there"))
    }

    /// Once, however many requests find it down.
    async fn warn(&self, detail: &str, events: &mpsc::Sender<Event>) {
        if !self.is_down.swap(true, Ordering::Relaxed) {
            let origin = self.target.origin();
            let text =
                format!("{origin} is not reachable ({detail}): is your program running? It is tried again");
            let _ = events.send(Event::Notice(text)).await;
        }
    }

    async fn ask(&self, draft: HttpRequest<Full<Bytes>>) -> Result<Outcome, Failed> {
        let stream = self.connect().await?;
        if !self.target.is_https {
            return exchange(stream, draft).await;
        }
        let host = self.target.host.as_str();
        // On this machine certificates are made by hand, and nobody is in between.
        let shaken = if self.target.is_local() {
            unjudged::handshake(host, stream).await
        } else {
            judged::handshake(host, stream).await
        };
        let stream = shaken.map_err(|error| failed(FailedKind::Tls, format!("{error:#}")))?;
        exchange(stream, draft).await
    }

    async fn connect(&self) -> Result<TcpStream, Failed> {
        let mut last = failed(FailedKind::Dns, format!("{} has no address", self.target.host));
        for address in self.addresses().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = failed(FailedKind::Connect, format!("could not connect: {error}")),
            }
        }
        Err(last)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, Failed> {
        let Target { host, port, .. } = &self.target;
        if let Ok(address) = host.parse::<IpAddr>() {
            // A bare port means 127.0.0.1, and some development servers take the other loopback address only.
            let other = (address == Ipv4Addr::LOCALHOST).then_some(IpAddr::from(Ipv6Addr::LOCALHOST));
            return Ok([Some(address), other].into_iter().flatten().map(|ip| (ip, *port).into()).collect());
        }
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        found.map(Iterator::collect).map_err(|error| failed(FailedKind::Dns, error.to_string()))
    }
}

/// The outcome of `future`, or none if it takes longer than `limit`. Counted in ticks, and a tick that was slept through as
/// one: while this machine sleeps its programs do too, and what they answered just before is found on waking.
async fn waking<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = limit;
    loop {
        let tick = left.min(TICK);
        tokio::select! {
            biased;
            outcome = &mut future => return Some(outcome),
            () = sleep(tick) => left -= tick,
        }
        if left.is_zero() {
            return None;
        }
    }
}

/// How long the target may take.
fn limit_of(given: Duration, own: Option<Duration>) -> Duration {
    let given = given.saturating_sub(MARGIN).max(given / 2);
    own.map_or(given, |own| own.min(given))
}

async fn exchange<S>(stream: S, draft: HttpRequest<Full<Bytes>>) -> Result<Outcome, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        let what = if error.is_parse() { "what came back is not HTTP" } else { "the connection broke" };
        failed(FailedKind::Protocol, format!("{what}: {cause}"))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let response = sender.send_request(draft).await.map_err(broken)?;
        read(response).await.map_err(broken)
    };
    let answered = answered.await;
    driver.abort();
    answered
}

/// The answer, as much of it as is sent back.
async fn read(response: Response<Incoming>) -> Result<Outcome, hyper::Error> {
    let (head, mut incoming) = response.into_parts();
    let mut room = ANSWER_HEADER_BYTES_MAX;
    let mut truncated = false;
    let mut headers = Vec::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        let size = name.as_str().len() + value.len();
        truncated |= size > room;
        if size <= room {
            room -= size;
            headers.push((name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())));
        }
    }
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let left = ANSWER_BODY_BYTES_MAX - body.len();
        body.extend_from_slice(&data[..data.len().min(left)]);
        if data.len() > left {
            truncated = true;
            break;
        }
    }
    Ok(Outcome::Answered {
        status: head.status.as_u16(),
        headers: Headers(headers),
        body: body.freeze(),
        truncated,
    })
}

#[cfg(test)]
mod tests;
