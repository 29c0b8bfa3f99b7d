//! One try: what was sent where, what came back, how long each part took, and what to do about it.

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::advice::advice;
use posthaste_core::app::Reference;
use posthaste_core::attempt::{Outcome, Timing};
use posthaste_core::delivery::DeliveryState;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::AttemptId;
use posthaste_core::message::Message;
use posthaste_core::request::har::{self, Answered};
use posthaste_core::request::{Outgoing, printed};
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::directory::Owner;
use posthaste_store::history::{AttemptRow, Destination};
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::{Frame, ROWS, head, message, messages};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::{self, State as Shown, span};

/// Bytes of the longest body that is written into a command to be copied.
const CURL_BODY_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn routes() -> Router<Shared> {
    let one = "/apps/{app}/messages/{message}/attempts/{attempt}";
    Router::new().route(one, get(page)).route(&format!("{one}/har"), get(as_har))
}

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
    message: String,
    attempt: String,
}

/// A part of the time that a try took.
#[derive(Debug, PartialEq, Serialize)]
struct Part {
    name: &'static str,
    took: String,
    /// Where its bar begins and how long it is, in hundredths of the whole.
    from: u8,
    width: u8,
    /// Which colour it has.
    kind: u8,
}

fn parts(timing: Timing) -> Vec<Part> {
    let total = timing.total.as_nanos().max(1);
    let named = [
        ("name", timing.dns),
        ("connect", timing.connect),
        ("TLS", timing.tls),
        ("wait", timing.first_byte),
        ("read", timing.read()),
    ];
    let share =
        |part: Duration| u8::try_from((part.as_nanos() * 100 + total / 2) / total).unwrap_or(100).min(100);
    let mut begun = Duration::ZERO;
    let happened = (0..).zip(named).filter(|(_, (_, took))| !took.is_zero());
    happened
        .map(|(kind, (name, took))| {
            let from = share(begun).min(99);
            begun += took;
            Part { name, took: span(took), from, width: share(took).clamp(1, 100 - from), kind }
        })
        .collect()
}

/// All that is known of a try.
struct Story {
    environment: EnvironmentId,
    app: Reference,
    row: AttemptRow,
    message: Message,
    /// Where its delivery stands, and the endpoint as it is now; of one that is long gone, neither.
    destination: Option<Destination>,
    endpoint: Option<Endpoint>,
}

impl Story {
    async fn read(state: &Shared, visitor: &Visitor, at: &At) -> Answer<Self> {
        let (environment, app) = visitor.reads(state, &at.app).await?;
        let id = AttemptId::parse(&at.attempt).ok_or(UiError::NotFound("attempt"))?;
        let asked = Reference::new(at.message.as_str());
        let row = state.history.attempt(environment, &app, &asked, id).await?;
        let message = state.history.message(environment, &app, &asked, true).await?;
        let first = PageRequest { cursor: Cursor::Start, order: Order::Ascending, limit: ROWS };
        let owed = state.history.destinations(environment, &app, &asked, first).await?.rows;
        let destination = owed.into_iter().find(|one| one.endpoint.id == row.attempt.endpoint);
        let endpoint = match &destination {
            Some(destination) => Some(destination.endpoint.clone()),
            None => {
                let (owner, of) = (Owner::App(app.clone()), Reference::new(row.attempt.endpoint.to_string()));
                state.directory.endpoint(environment, &owner, &of).await.ok()
            }
        };
        Ok(Self { environment, app, row, message, destination, endpoint })
    }

    /// The request, made again as the engine makes it; for whoever may not manage the endpoint without its signature.
    fn outgoing(&self, visitor: &Visitor) -> Option<Outgoing> {
        let endpoint = self.endpoint.as_ref()?;
        let as_then = Endpoint { url: self.row.attempt.url.clone(), ..endpoint.clone() };
        let outgoing = Outgoing::build(&self.message, &as_then, self.row.attempt.started_at);
        // Of a body that is gone there is no signature either.
        Some(outgoing.shown(visitor.may_write() && self.message.body.is_some()))
    }

    /// Whether the endpoint is another since: then its headers and its secret may be, too.
    fn has_changed(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.updated_at > self.row.attempt.started_at)
    }

    fn next(&self, state: &Shared) -> Option<Shown> {
        let Destination { state: standing, attempts_made, .. } = self.destination.as_ref()?;
        let is_open = !matches!(standing, DeliveryState::Delivered) || !self.row.attempt.outcome.is_success();
        is_open.then(|| words::delivery(*standing, *attempts_made, state.clock.now()))
    }
}

/// Headers as they go over the wire: those of the connection too.
fn on_the_wire(outgoing: &Outgoing, body_bytes: usize) -> Vec<(String, String)> {
    let host = outgoing.url.split_once("://").map_or(outgoing.url.as_str(), |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default().to_owned();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let named = outgoing.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    let framing = [("host".to_owned(), host), ("content-length".to_owned(), body_bytes.to_string())];
    framing.into_iter().chain(named).collect()
}

fn answered(row: &AttemptRow) -> (Vec<(String, String)>, Option<Payload>, bool) {
    match &row.attempt.outcome {
        Outcome::Replied(reply) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = reply.headers.iter().map(|(name, value)| (name.clone(), text(value)));
            (headers.collect(), Some(payload::shown(&reply.body)), reply.truncated)
        }
        Outcome::Failed(_) => (Vec::new(), None, false),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
) -> Answer<Html<String>> {
    let story = Story::read(&state, &visitor, &at).await?;
    let now = state.clock.now();
    let head = head(&state, story.environment, &story.app).await?;
    let Story { row, message, .. } = &story;
    let outgoing = story.outgoing(&visitor);
    let sent_bytes = message.body.as_ref().map_or(0, bytes_of);
    let curl = outgoing
        .as_ref()
        .filter(|_| message.body.is_some() && sent_bytes <= CURL_BODY_BYTES_MAX)
        .map(|outgoing| printed::as_curl(&outgoing.draft()));
    let (headers, body, is_cut) = answered(row);
    let told = advice(&row.attempt.outcome);
    let context = context! {
        frame => Frame::of(&visitor), app => head, message => messages::row(message, now),
        attempt => message::row(row, now), url => row.attempt.url.clone(), parts => parts(row.attempt.timing),
        remote => row.attempt.remote.map(|remote| remote.to_string()),
        endpoint => row.attempt.endpoint.to_string(), is_known => story.endpoint.is_some(),
        method => outgoing.as_ref().map(|outgoing| outgoing.method.to_string()),
        asked_url => outgoing.as_ref().map(|outgoing| outgoing.draft().url),
        request_headers => outgoing.as_ref().map(|outgoing| on_the_wire(outgoing, sent_bytes)),
        has_changed => story.has_changed(), may_sign => visitor.may_write(), curl,
        sent => message.body.as_deref().map(payload::shown), headers, body, is_cut,
        means => told.map(|told| told.means), to_do => told.map(|told| told.to_do), next => story.next(&state),
        is_of_source => message.origin.is_some(),
    };
    Ok(state.templates.render("attempt.html", context))
}

fn bytes_of(body: &impl AsRef<[u8]>) -> usize {
    body.as_ref().len()
}

/// As a HAR file, to be saved.
async fn as_har(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Response> {
    let story = Story::read(&state, &visitor, &at).await?;
    let outgoing = story.outgoing(&visitor).ok_or(UiError::NotFound("endpoint"))?;
    let attempt = &story.row.attempt;
    let (headers, ..) = answered(&story.row);
    let (status, body, error) = match &attempt.outcome {
        Outcome::Replied(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned(), None),
        Outcome::Failed(failure) => (0, String::new(), Some(failure.detail.clone())),
    };
    let answered = Answered {
        at: attempt.started_at.to_string(),
        ms: u64::try_from(attempt.timing.total.as_millis()).unwrap_or(u64::MAX),
        status: status.into(),
        headers,
        body,
        timing: Some(attempt.timing),
        error,
    };
    let file = har::file(&[har::entry(&outgoing.draft(), &answered)]);
    let named = format!("attachment; filename=\"{}.har\"", attempt.id);
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, named)], format!("{file:#}"))
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_try_stand_one_behind_the_other() {
        let ms = Duration::from_millis;
        let timing = Timing { dns: ms(10), connect: ms(20), tls: ms(30), first_byte: ms(30), total: ms(100) };
        let told: Vec<_> = parts(timing).iter().map(|part| (part.name, part.from, part.width)).collect();
        assert_eq!(
            told,
            [("name", 0, 10), ("connect", 10, 20), ("TLS", 30, 30), ("wait", 60, 30), ("read", 90, 10)]
        );
        assert!(parts(Timing::default()).is_empty());
    }

    #[test]
    fn a_part_that_hardly_took_any_time_is_still_to_be_seen_within_the_bar() {
        let timing = Timing {
            first_byte: Duration::from_secs(1),
            total: Duration::from_secs(1) + Duration::from_micros(1),
            ..Timing::default()
        };
        let told: Vec<_> = parts(timing).iter().map(|part| (part.name, part.from, part.width)).collect();
        assert_eq!(told, [("wait", 0, 100), ("read", 99, 1)]);
    }
}
