//! One app: its endpoints and its latest messages. A customer's first page.

use axum::extract::{Form, Path, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use minijinja::context;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::name::EventTypeName;
use posthaste_core::rollup::Scope;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AppHead, Frame, ROWS, messages};
use crate::Shared;
use crate::api::{ask, part};
use crate::doing;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::stats::{self, Asked};
use crate::words::{Moment, State as Shown, moment, span};

/// Messages on an app's page.
const LATEST: u16 = 10;

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

/// An endpoint in a list, and at the head of its page.
#[derive(Serialize)]
pub(crate) struct EndpointRow {
    id: String,
    url: String,
    description: String,
    disabled: bool,
    state: Shown,
    wants: String,
    rate: Option<u16>,
    made: Moment,
}

pub(crate) fn endpoint_row(endpoint: &Endpoint, now: Timestamp) -> EndpointRow {
    let state = match (endpoint.disabled, endpoint.failing_since) {
        (true, _) => Shown::bad("disabled"),
        (false, Some(since)) => Shown::busy(format!("failing for {}", span(now.since(since)))),
        (false, None) => Shown::good("active"),
    };
    let wants = endpoint.filter.event_types.iter().flatten().map(EventTypeName::as_str).collect::<Vec<_>>();
    EndpointRow {
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        disabled: endpoint.disabled,
        state,
        wants: wants.join(", "),
        rate: endpoint.rate_per_second.map(Into::into),
        made: moment(endpoint.created_at, now),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Query(asked): Query<Asked>,
) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(&state, &app).await?;
    let (now, period) = (state.clock.now(), asked.period()?);
    let found = state.directory.app(environment, &app).await?;
    let counted = stats::read(&state, environment, Scope::App(found.id), period, now).await?;
    let head = AppHead::of(found);
    let first = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: ROWS };
    let endpoints = state.directory.endpoints(environment, &Owner::App(app.clone()), first).await?;
    let rows: Vec<_> = endpoints.rows.iter().map(|endpoint| endpoint_row(endpoint, now)).collect();
    let scopes = endpoints.rows.iter().map(|endpoint| Scope::Endpoint(endpoint.id));
    let doing = doing::read(&state, environment, scopes, now).await?;
    let latest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: LATEST };
    let latest = state.history.messages(environment, &app, &MessageFilter::default(), latest, false).await?;
    let latest: Vec<_> = latest.rows.iter().map(|message| messages::row(message, now)).collect();
    let context = context! {
        frame => Frame::of(&visitor), app => head, endpoints => rows, all_shown => endpoints.done, messages => latest,
        stats => counted, doing,
    };
    Ok(state.templates.render("app.html", context))
}

/// The form for an endpoint. What is left empty is not set.
#[derive(Deserialize)]
pub(crate) struct EndpointForm {
    url: String,
    description: String,
    event_types: String,
    rate: String,
}

impl EndpointForm {
    /// As the API takes it; `patch`: what is empty is taken away.
    pub(crate) fn as_body(&self, patch: bool) -> Answer<Value> {
        let mut body = Map::new();
        body.insert("url".to_owned(), self.url.trim().into());
        body.insert("description".to_owned(), self.description.trim().into());
        let named = self.event_types.split([',', ' ', '\n', '\r']).filter(|name| !name.is_empty());
        let named: Vec<_> = named.map(Value::from).collect();
        let wants = if named.is_empty() { Value::Null } else { named.into() };
        let rate = match self.rate.trim() {
            "" => Value::Null,
            text => text
                .parse::<u16>()
                .map(Value::from)
                .map_err(|_| UiError::Rejected(format!("\"{text}\" is no number of messages a second.")))?,
        };
        for (name, value) in [("eventTypes", wants), ("throttleRate", rate)] {
            if patch || !value.is_null() {
                body.insert(name.to_owned(), value);
            }
        }
        Ok(body.into())
    }
}

pub(crate) async fn create_endpoint(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Form(form): Form<EndpointForm>,
) -> Answer<Redirect> {
    let path = format!("/api/v1/app/{}/endpoint", part(&app));
    let made = ask(&state, &visitor, Method::POST, &path, &form.as_body(false)?).await?;
    let id = made["id"].as_str().unwrap_or_default();
    Ok(Redirect::to(&format!("{}/apps/{}/endpoints/{id}", visitor.base, part(&app))))
}

/// The form for a message.
#[derive(Deserialize)]
pub(crate) struct MessageForm {
    event_type: String,
    payload: String,
}

pub(crate) async fn send(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Form(form): Form<MessageForm>,
) -> Answer<Redirect> {
    let payload: Value = serde_json::from_str(&form.payload)
        .map_err(|error| UiError::Rejected(format!("The payload is not JSON: {error}.")))?;
    let body = json!({ "eventType": form.event_type.trim(), "payload": payload });
    let path = format!("/api/v1/app/{}/msg", part(&app));
    let made = ask(&state, &visitor, Method::POST, &path, &body).await?;
    let id = made["id"].as_str().unwrap_or_default();
    Ok(Redirect::to(&format!("{}/apps/{}/messages/{id}", visitor.base, part(&app))))
}
