//! One message: what it says, to whom it is owed, and each try.

use axum::extract::{Form, Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::fanout::wants;
use posthaste_core::id::EndpointId;
use posthaste_core::message::Message;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::history::{AttemptFilter, AttemptRow, Destination};
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Frame, ROWS, head, messages};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::Answer;
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::{self, Moment, State as Shown, moment, span};

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
            Outcome::Replied(_) => String::new(),
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
    tries: Vec<Try>,
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
    let lanes = lanes(&message, &owed.rows, &tries.rows, &endpoints.rows, now);
    let came_as = message.origin.as_ref().map(|origin| CameAs {
        method: origin.method.clone(),
        query: origin.shown_query(),
        headers: origin.shown_headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
    });
    let body: Option<Payload> = message.body.as_deref().map(payload::shown);
    let context = context! {
        frame => Frame::of(&visitor), app => head, message => messages::row(&message, now), body, came_as, lanes,
        all_tries_shown => tries.done, all_endpoints_shown => owed.done && endpoints.done,
    };
    Ok(state.templates.render("message.html", context))
}

/// One for each endpoint to which it is owed, and one for each of the others, with the reason.
fn lanes(
    message: &Message,
    owed: &[Destination],
    tries: &[AttemptRow],
    endpoints: &[Endpoint],
    now: Timestamp,
) -> Vec<Lane> {
    let tries_of = |endpoint: EndpointId| {
        tries.iter().filter(|one| one.attempt.endpoint == endpoint).map(|one| row(one, now)).collect()
    };
    let lanes_owed = owed.iter().map(|destination| Lane {
        endpoint: destination.endpoint.id.to_string(),
        url: destination.endpoint.url.clone(),
        state: words::delivery(destination.state, destination.attempts_made, now),
        why_not: None,
        tries: tries_of(destination.endpoint.id),
    });
    let others = endpoints.iter().filter(|other| owed.iter().all(|one| one.endpoint.id != other.id));
    let lanes_not = others.map(|endpoint| Lane {
        endpoint: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        state: Shown::quiet("not sent"),
        why_not: Some(why_not(message, endpoint)),
        tries: tries_of(endpoint.id),
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

/// Which endpoint.
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
    let (app, message) = (part(&app), part(&message));
    let path = format!("/api/v1/app/{app}/msg/{message}/endpoint/{}/resend", part(&form.endpoint));
    ask(&state, &visitor, Method::POST, &path, &Value::Null).await?;
    Ok(Redirect::to(&format!("{}/apps/{app}/messages/{message}", visitor.base)))
}
