//! The inbound door: a provider's request is read, verified, deduplicated and stored, in that order, and then answered.
//!
//! The answer never waits for the handler. What is refused is kept too, as far as limits allow, with the reason.

mod address;
mod bench;
pub(crate) mod config;
mod dedupe;
mod doors;
mod published;
mod refuse;
pub(crate) mod schema;
mod under_way;
mod verify;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use posthaste_core::answer::{self as rules, may_have_body};
use posthaste_core::bin;
use posthaste_core::id::MessageId;
use posthaste_core::name::{EventTypeName, Tag};
use posthaste_core::origin::Origin;
use posthaste_core::source::{Door, OnMismatch};
use posthaste_fault::point;
use posthaste_signature::provider::{Answer, Verified};
use posthaste_store::source::{NewReceived, Received};

pub use address::Peer;
pub(crate) use address::client;
pub(crate) use bench::Bench;
pub(crate) use doors::{Doors, Prepared};
use refuse::{Evidence, Refused};
use under_way::Unread;

use crate::Shared;
use crate::error::ApiError;

/// What a message is marked with whose body does not match the source's schema.
const MISMATCH_TAG: &str = "schema-mismatch";
/// The type of a message whose provider says none.
const TYPELESS: &str = "webhook";
/// Tells the provider under which id we keep its request.
const MESSAGE: HeaderName = HeaderName::from_static("posthaste-message");

/// Everything about a request but its body.
struct Knock {
    state: Shared,
    door: [u8; 32],
    prepared: Arc<Prepared>,
    parts: Parts,
    /// What stands behind the door's address.
    path: String,
    url: String,
    remote: Option<IpAddr>,
}

/// What becomes of a request.
enum Judged {
    Answered(Response),
    Refused(Refused),
    /// It has a method that the source does not take.
    OtherMethod(Response),
}

impl Judged {
    /// With which status it is refused, if it is.
    fn refusal(&self) -> Option<StatusCode> {
        match self {
            Self::Answered(_) => None,
            Self::Refused(refused) => Some(refused.status),
            Self::OtherMethod(response) => Some(response.status()),
        }
    }
}

pub(crate) async fn knock(State(state): State<Shared>, request: Request) -> Response {
    let (door, path) = split(request.uri().path());
    let Some(door) = Door::parse(door).filter(|_| !climbs(path)) else { return unknown() };
    let (door, path) = (door.hash(), path.to_owned());
    let prepared = match state.doors.open(&state, door, state.clock.now()).await {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return unknown(),
        Err(error) => return ApiError::from(error).into_response(),
    };
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let url = format!("{}{target}", state.settings.public_url);
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let remote = client(peer, &parts.headers, &state.settings.trusted_proxies);
    Arc::new(Knock { state, door, prepared, parts, path, url, remote }).answer(body).await
}

/// Whether a path leads upwards, plain or encoded: what stands behind a door is put behind a listener's own address.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    })
}

/// A door, and what stands behind it as it was sent: which bytes were written in percents must not be lost.
fn split(path: &str) -> (&str, &str) {
    let behind = path.strip_prefix("/in/").unwrap_or_default();
    behind.split_at(behind.find('/').unwrap_or(behind.len()))
}

/// The same for every door that is none: nobody learns which ones are.
fn unknown() -> Response {
    ApiError::not_found("path").into_response()
}

impl Knock {
    async fn answer(mut self: Arc<Self>, body: Body) -> Response {
        if let Err(refused) = self.admit() {
            match self.second_look(refused.status).await {
                Some(anew) if anew.admit().is_ok() => self = anew,
                _ => return self.refuse(refused, Bytes::new()),
            }
        }
        let limit = usize::try_from(self.prepared.source.rules.body_bytes_max).unwrap_or(usize::MAX);
        // The room is given back with the body.
        let held = match self.prepared.under_way.read(body, limit).await {
            Ok(held) => held,
            Err(Unread::NoRoom) => return self.refuse(Refused::no_room(), Bytes::new()),
            Err(Unread::Failed(error)) => return self.refuse_unread(error),
        };
        let body = held.body.clone();
        let mut judged = self.judge(&body).await;
        if let Some(status) = judged.refusal()
            && let Some(anew) = self.second_look(status).await
        {
            self = anew;
            judged = self.judge(&body).await;
        }
        match judged {
            Judged::Refused(refused) => self.refuse(refused, body),
            Judged::Answered(response) | Judged::OtherMethod(response) => {
                let delay = self.prepared.source.rules.answer.delay;
                if !delay.is_zero() && response.headers().contains_key(MESSAGE) {
                    // Nobody needs it any more while the answer is held back.
                    drop((body, held));
                    tokio::time::sleep(delay).await;
                }
                response
            }
        }
    }

    async fn judge(self: &Arc<Self>, body: &Bytes) -> Judged {
        // A bin answers as it was told to, whatever is asked of it.
        if self.prepared.source.provider != bin::PROVIDER
            && let Some(outcome) = self.shake(body).await
        {
            return outcome.map_or_else(Judged::Refused, |answer| Judged::Answered(response(answer)));
        }
        if let Some(response) = self.other_method() {
            return Judged::OtherMethod(response);
        }
        self.take(body).await.map_or_else(Judged::Refused, Judged::Answered)
    }

    /// The same request before the source as it is now, if that is no longer what refused it. Many a provider takes a
    /// refusal as the last word; what says that it should come back needs no second look.
    async fn second_look(&self, refused: StatusCode) -> Option<Arc<Self>> {
        if !refused.is_client_error() || refused == StatusCode::TOO_MANY_REQUESTS {
            return None;
        }
        let (state, now) = (&self.state, self.state.clock.now());
        let prepared = state.doors.changed(state, self.door, &self.prepared, now).await?;
        let (parts, path, url) = (self.parts.clone(), self.path.clone(), self.url.clone());
        let state = Shared::clone(state);
        Some(Arc::new(Self { state, door: self.door, prepared, parts, path, url, remote: self.remote }))
    }

    /// Who may knock, and how often.
    fn admit(&self) -> Result<(), Refused> {
        let networks = &self.prepared.source.rules.allowed_networks;
        let is_allowed = |address: IpAddr| networks.iter().any(|network| network.contains(&address));
        if !networks.is_empty() && !self.remote.is_some_and(is_allowed) {
            let from =
                self.remote.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
            let reason = format!("requests from {from} are not allowed by this source's allowedNetworks");
            return Err(Refused::new(StatusCode::FORBIDDEN, "address_not_allowed", reason));
        }
        match &self.prepared.throttle {
            Some(throttle) => throttle.take(self.state.clock.now()).map_err(Refused::too_many),
            None => Ok(()),
        }
    }

    /// A kind word for a person, or what methods there are; `None`: it is one of those.
    fn other_method(&self) -> Option<Response> {
        let rules = &self.prepared.source.rules;
        if rules.takes(self.parts.method.as_str()) {
            return None;
        }
        let methods = rules.methods.join(", ");
        if matches!(self.parts.method, Method::GET | Method::HEAD) {
            return Some(page(&methods));
        }
        let refused = Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this source takes {methods} and not {}", self.parts.method),
        );
        Some(Refused { methods: Some(methods), ..refused }.into_response())
    }

    /// Verified, deduplicated, on disk; and only then a 2xx.
    async fn take(self: &Arc<Self>, body: &Bytes) -> Result<Response, Refused> {
        let verified = self.verify(body).await?;
        point!("receive.verified");
        let new = self.on_bench(body, move |knock, body| knock.received(body, &verified)).await?;
        let now = self.state.clock.now();
        let message = match self.state.sources.receive(new, now).await {
            Ok(Received::New { message, .. }) => {
                self.state.metrics.accepted.inc();
                message
            }
            Ok(Received::Repeated { first, .. }) => first,
            Err(error) => return Ok(ApiError::from(error).into_response()),
        };
        Ok(self.delivered(body, message))
    }

    /// Looks at the body, in another thread if it is a long one.
    async fn on_bench<T: Send + 'static>(
        self: &Arc<Self>,
        body: &Bytes,
        look: impl FnOnce(&Self, &Bytes) -> T + Send + 'static,
    ) -> T {
        let (knock, body) = (Arc::clone(self), body.clone());
        self.state.bench.work(body.len(), move || look(&knock, &body)).await
    }

    /// The message that a verified request becomes, unless its body is not as the source wants it.
    fn received(&self, body: &Bytes, verified: &Verified) -> Result<NewReceived, Refused> {
        let mut tags = vec![];
        if let Some((schema, on_mismatch)) = &self.prepared.schema
            && let Some(mismatch) = schema::mismatch(schema, body)
        {
            match on_mismatch {
                OnMismatch::Reject => {
                    return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_mismatch", mismatch));
                }
                OnMismatch::Flag => tags.extend(Tag::parse(MISMATCH_TAG)),
            }
        }
        let request = self.request(body);
        let Prepared { environment, source, receiver, .. } = &*self.prepared;
        let said = receiver.event_type(&request, verified);
        let said = said.as_deref().unwrap_or_default();
        let now = self.state.clock.now();
        let keep = source.rules.keep.filter(|keep| *keep < self.state.settings.retention);
        Ok(NewReceived {
            source: source.id,
            app: source.app,
            environment: *environment,
            id: MessageId::fresh(now, &*self.state.dice),
            event_type: event_type_name(said),
            tags,
            origin: self.origin(),
            expunge_at: keep.map(|keep| now.later(keep)),
            dedupe: dedupe::key(&source.rules.dedupe, receiver, &request, verified, said),
            body: body.clone(),
        })
    }

    fn origin(&self) -> Origin {
        let headers = self.parts.headers.iter();
        Origin {
            method: self.parts.method.as_str().to_owned(),
            path: self.path.clone(),
            query: self.parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
        }
    }

    /// The source's own answer, or what its provider wants to hear.
    fn delivered(&self, body: &Bytes, message: MessageId) -> Response {
        let own = &self.prepared.source.rules.answer;
        let mut answered = if own.is_usual() {
            response(self.prepared.receiver.delivered(&self.request(body)))
        } else {
            let before = self.prepared.answered.fetch_add(1, Ordering::Relaxed);
            own_answer(own, own.status_of(before, self.state.dice.unit()))
        };
        if let Ok(id) = HeaderValue::try_from(message.to_string()) {
            answered.headers_mut().insert(MESSAGE, id);
        }
        answered
    }

    fn refuse_unread(&self, error: ApiError) -> Response {
        let ApiError::Plain { status, code, ref detail } = error else { return error.into_response() };
        self.refuse(Refused::new(status, code, detail.as_str()), Bytes::new())
    }

    /// Answers, and keeps the request; a flood of them is only answered.
    fn refuse(&self, refused: Refused, body: Bytes) -> Response {
        self.state.metrics.refused(refused.code);
        if self.prepared.refusals.take(self.state.clock.now()).is_ok() {
            let evidence = Evidence { origin: self.origin(), body, remote: self.remote };
            refuse::keep(&self.state, &self.prepared, &refused, evidence);
        }
        if self.prepared.receiver.provider().bare_refusal {
            return refused.status.into_response();
        }
        refused.into_response()
    }
}

/// What the source was told to say, with this status.
fn own_answer(own: &rules::Answer, status: u16) -> Response {
    let body = if may_have_body(status) { own.body.clone() } else { String::new() };
    let mut response = body.into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in &own.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An answer of the library as one of ours.
fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// What a person sees who opens the address of a door. Not a 2xx: a provider that sends by GET must not take it for one.
fn page(methods: &str) -> Response {
    let text = format!(
        "This is an address for webhooks, and it works.\n\nIt takes {methods} requests from the provider it was made for. \
         There is nothing to see here in a browser.\n"
    );
    let mut page = (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    if let Ok(methods) = HeaderValue::try_from(methods) {
        page.headers_mut().insert(ALLOW, methods);
    }
    page
}

/// A provider's own name for what happened, in the characters that names of event types have.
fn event_type_name(said: &str) -> EventTypeName {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' };
    let name: String = said.chars().take(EventTypeName::LENGTH_MAX).map(plain).collect();
    let parsed = EventTypeName::parse(&name).or_else(|_| EventTypeName::parse(TYPELESS));
    parsed.unwrap_or_else(|_| unreachable!("the name of messages without a type is a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_door_is_kept_as_it_was_sent() {
        assert_eq!(split("/in/abc"), ("abc", ""));
        assert_eq!(split("/in/abc/"), ("abc", "/"));
        assert_eq!(split("/in/abc/a%2Fb//%FF/"), ("abc", "/a%2Fb//%FF/"));
    }

    #[test]
    fn a_providers_name_for_an_event_becomes_one_of_ours() {
        assert_eq!(event_type_name("invoice.paid").as_str(), "invoice.paid");
        assert_eq!(event_type_name("ping/v0").as_str(), "ping_v0");
        assert_eq!(event_type_name("pr:opened ü").as_str(), "pr_opened__");
        assert_eq!(event_type_name("").as_str(), "webhook");
        assert_eq!(event_type_name(&"x".repeat(1_000)).as_str().len(), EventTypeName::LENGTH_MAX);
    }
}
