//! One message: what it says, to whom it is owed, and each try.

use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::Method;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::advice::advice;
use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::fanout::wants;
use posthaste_core::id::EndpointId;
use posthaste_core::limits::PAGE_ROWS_MAX;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, Tag};
use posthaste_core::request::printed;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::history::{AttemptFilter, AttemptRow, Destination};
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Frame, ROWS, head, messages};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::{self, Moment, State as Shown, moment, span};

/// Bytes of the longest payload that is written into a command to be copied.
const CURL_BODY_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn routes() -> Router<Shared> {
    let one = "/apps/{app}/messages/{message}";
    Router::new()
        .route(one, get(page))
        .route(&format!("{one}/resend"), post(resend))
        .route(&format!("{one}/payload"), get(raw))
}

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
    message: String,
}

/// A try, in a list.
#[derive(Serialize)]
pub(crate) struct Try {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) at: Moment,
    pub(crate) took: String,
    pub(crate) state: Shown,
    pub(crate) detail: String,
    pub(crate) by_hand: bool,
}

pub(crate) fn row(row: &AttemptRow, now: Timestamp) -> Try {
    use posthaste_core::attempt::{Outcome, Trigger};
    let attempt = &row.attempt;
    Try {
        id: attempt.id.to_string(),
        message: attempt.message.to_string(),
        at: moment(attempt.started_at, now),
        took: span(attempt.timing.total),
        state: words::attempt(attempt),
        detail: match &attempt.outcome {
            Outcome::Replied(_) => {
                advice(&attempt.outcome).map_or_else(String::new, |told| told.means.to_owned())
            }
            Outcome::Failed(failure) => failure.detail.clone(),
        },
        by_hand: attempt.trigger == Trigger::Manual,
    }
}

/// What happens to a message at one endpoint.
#[derive(Serialize)]
struct Lane {
    endpoint: String,
    url: String,
    state: Shown,
    /// It was never owed there: why.
    why_not: Option<&'static str>,
    /// Oldest first, with how long it took to get there.
    steps: Vec<Step>,
    is_disabled: bool,
}

/// A try, and how long after the message was accepted, or the try before it, it came.
#[derive(Serialize)]
struct Step {
    after: String,
    number: usize,
    #[serde(rename = "try")]
    made: Try,
}

/// Tries of one endpoint, newest first as they are listed, as the steps that they are.
fn steps(message: &Message, tries: &[&AttemptRow], are_all: bool, now: Timestamp) -> Vec<Step> {
    let mut before = message.created_at;
    let oldest_first = tries.iter().rev().enumerate();
    oldest_first
        .map(|(index, one)| {
            let began = one.attempt.started_at;
            let after = if index == 0 && !are_all { Duration::ZERO } else { began.since(before) };
            before = began;
            Step { after: span(after), number: index + 1, made: row(one, now) }
        })
        .collect()
}

/// The request that a message of a source came in with.
#[derive(Serialize)]
struct CameAs {
    method: String,
    query: String,
    headers: Vec<(String, String)>,
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app, message }): Path<At>,
) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(&state, &app).await?;
    let now = state.clock.now();
    let head = head(&state, environment, &app).await?;
    let message = state.history.message(environment, &app, &Reference::new(message), true).await?;
    let by_id = Reference::new(message.id.to_string());
    let first = PageRequest { cursor: Cursor::Start, order: Order::Ascending, limit: ROWS };
    let owed = state.history.destinations(environment, &app, &by_id, first).await?;
    let newest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: ROWS };
    let any = AttemptFilter::default();
    let tries = state.history.attempts_of_message(environment, &app, &by_id, &any, newest).await?;
    let all = PageRequest { cursor: Cursor::Start, order: Order::Ascending, limit: ROWS };
    let endpoints = state.directory.endpoints(environment, &Owner::App(app.clone()), all).await?;
    let lanes = lanes(&message, &owed.rows, (&tries.rows, tries.done), &endpoints.rows, now);
    let came_as = message.origin.as_ref().map(|origin| CameAs {
        method: origin.method.clone(),
        query: origin.shown_query(),
        headers: origin.shown_headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
    });
    let body: Option<Payload> = message.body.as_deref().map(payload::shown);
    let names = |names: Vec<&str>| names.join(", ");
    let curl = curl(&state, &head.key, &message);
    let is_json = body.as_ref().is_some_and(|body| body.kind == "JSON");
    let context = context! {
        frame => Frame::of(&visitor), app => head, message => messages::row(&message, now), body, came_as, lanes,
        channels => names(message.channels.iter().map(Channel::as_str).collect()), curl,
        deliver_at => message.deliver_at.map(|at| moment(at, now)), can_edit => is_json && message.origin.is_none(),
        owed_count => owed.rows.iter().filter(|one| !one.endpoint.disabled).count(),
        all_tries_shown => tries.done, all_endpoints_shown => owed.done && endpoints.done,
    };
    Ok(state.templates.render("message.html", context))
}

/// One for each endpoint to which it is owed, and one for each of the others, with the reason.
fn lanes(
    message: &Message,
    owed: &[Destination],
    (tries, are_all): (&[AttemptRow], bool),
    endpoints: &[Endpoint],
    now: Timestamp,
) -> Vec<Lane> {
    let tries_of = |endpoint: EndpointId| {
        let tries: Vec<_> = tries.iter().filter(|one| one.attempt.endpoint == endpoint).collect();
        steps(message, &tries, are_all, now)
    };
    let lanes_owed = owed.iter().map(|destination| Lane {
        endpoint: destination.endpoint.id.to_string(),
        url: destination.endpoint.url.clone(),
        state: words::delivery(destination.state, destination.attempts_made, now),
        why_not: None,
        steps: tries_of(destination.endpoint.id),
        is_disabled: destination.endpoint.disabled,
    });
    let others = endpoints.iter().filter(|other| owed.iter().all(|one| one.endpoint.id != other.id));
    let lanes_not = others.map(|endpoint| Lane {
        endpoint: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        state: Shown::quiet("not sent"),
        why_not: Some(why_not(message, endpoint)),
        steps: tries_of(endpoint.id),
        is_disabled: endpoint.disabled,
    });
    lanes_owed.chain(lanes_not).collect()
}

/// Why a message is not owed to an endpoint, as far as what is there now can tell.
fn why_not(message: &Message, endpoint: &Endpoint) -> &'static str {
    let is_other_type =
        endpoint.filter.event_types.as_ref().is_some_and(|types| !types.contains(&message.event_type));
    if endpoint.created_at > message.created_at {
        "it was made after the message"
    } else if is_other_type {
        "it does not want this event type"
    } else if !wants(&endpoint.filter, &message.event_type, &message.channels) {
        "it listens on other channels"
    } else if endpoint.disabled {
        "it is disabled"
    } else {
        "it did not want it then: it was changed since"
    }
}

/// A command that makes the same message again, by the API; its token is left to whoever has one.
fn curl(state: &Shared, app: &str, message: &Message) -> Option<String> {
    let body = message.body.as_ref().filter(|body| body.len() <= CURL_BODY_BYTES_MAX)?;
    let payload: &RawValue = serde_json::from_slice(body).ok()?;
    let list = |names: Vec<&str>| if names.is_empty() { Value::Null } else { names.into() };
    let made = json!({
        "eventType": message.event_type.as_str(),
        "channels": list(message.channels.iter().map(Channel::as_str).collect()),
        "tags": list(message.tags.iter().map(Tag::as_str).collect()),
    });
    let fields = made.as_object()?.iter().filter(|(_, value)| !value.is_null());
    let fields: String = fields.map(|(name, value)| format!("\"{name}\":{value},")).collect();
    let url = format!("{}/api/v1/app/{}/msg", state.public_url, part(app));
    let mut command =
        printed::as_curl_of("POST", &url, format!("{{{fields}\"payload\":{payload}}}").as_bytes());
    command
        .push_str(" \\\n  -H 'content-type: application/json' -H \"authorization: Bearer $POSTHASTE_TOKEN\"");
    Some(command)
}

/// The payload, byte for byte, to be saved and never to be shown as what it says that it is.
async fn raw(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app, message }): Path<At>,
) -> Answer<Response> {
    let (environment, app) = visitor.reads(&state, &app).await?;
    let message = state.history.message(environment, &app, &Reference::new(message), true).await?;
    let body = message.body.ok_or(UiError::NotFound("payload"))?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    let named = format!("attachment; filename=\"{}.{}\"", message.id, if is_json { "json" } else { "bin" });
    let kind = "application/octet-stream".to_owned();
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, named)], body).into_response())
}

/// Which endpoint; all that it is owed to if it is empty.
#[derive(Deserialize)]
pub(crate) struct Resend {
    endpoint: String,
}

pub(crate) async fn resend(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app, message }): Path<At>,
    Form(form): Form<Resend>,
) -> Answer<Redirect> {
    let endpoints = match form.endpoint.as_str() {
        "" => owed(&state, &visitor, &app, &message).await?,
        one => vec![one.to_owned()],
    };
    let (app, message) = (part(&app), part(&message));
    for endpoint in endpoints {
        let path = format!("/api/v1/app/{app}/msg/{message}/endpoint/{}/resend", part(&endpoint));
        ask(&state, &visitor, Method::POST, &path, &Value::Null).await?;
    }
    Ok(Redirect::to(&format!("{}/apps/{app}/messages/{message}", visitor.base)))
}

/// The endpoints that a message is owed to and that take something.
async fn owed(state: &Shared, visitor: &Visitor, app: &str, message: &str) -> Answer<Vec<String>> {
    let (environment, app) = visitor.reads(state, app).await?;
    let first = PageRequest { cursor: Cursor::Start, order: Order::Ascending, limit: ROWS };
    let owed = state.history.destinations(environment, &app, &Reference::new(message), first).await?;
    let now = state
        .directory
        .endpoints(
            environment,
            &Owner::App(app),
            PageRequest { limit: PAGE_ROWS_MAX, ..PageRequest::first(Order::Ascending) },
        )
        .await?;
    let takes =
        |one: &&Destination| now.rows.iter().any(|other| other.id == one.endpoint.id && !other.disabled);
    Ok(owed.rows.iter().filter(takes).map(|one| one.endpoint.id.to_string()).collect())
}
