//! One endpoint: how it does, what went to it, and what can be set.

use std::time::Duration;

use axum::extract::{Form, Path, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::name::EventTypeName;
use posthaste_core::period::Period;
use posthaste_core::rollup::Scope;
use posthaste_store::directory::Owner;
use posthaste_store::history::{AttemptFilter, Status};
use posthaste_store::page::Order;
use serde::Deserialize;
use serde_json::{Value, json};

use super::app::{EndpointForm, endpoint_row};
use super::{Frame, Place, head, message};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::Answer;
use crate::session::Visitor;
use crate::stats::{self, Asked};
use crate::words::moment;

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
    endpoint: String,
}

/// Which tries to show.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    status: String,
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app, endpoint }): Path<At>,
    Query(place): Query<Place>,
    Query(wanted): Query<Wanted>,
    Query(asked): Query<Asked>,
) -> Answer<Html<String>> {
    let period = asked.period()?;
    shown(&state, &visitor, &At { app, endpoint }, (&place, &wanted.status, period), "").await
}

/// The page; `secret` is shown on it, if it was asked for.
async fn shown(
    state: &Shared,
    visitor: &Visitor,
    at: &At,
    (place, status, period): (&Place, &str, Period),
    secret: &str,
) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(state, &at.app).await?;
    let (app, endpoint) = (&app, &Reference::new(at.endpoint.as_str()));
    let now = state.clock.now();
    let head = head(state, environment, app).await?;
    let found = state.directory.endpoint(environment, &Owner::App(app.clone()), endpoint).await?;
    let filter = AttemptFilter {
        status: match status {
            "failed" => Some(Status::Fail),
            "delivered" => Some(Status::Success),
            _ => None,
        },
        ..AttemptFilter::default()
    };
    let request = place.request(Order::Descending)?;
    let tries = state.history.attempts_of_endpoint(environment, app, endpoint, &filter, request).await?;
    let turns = place.turns(&tries, |row| row.attempt.id.to_string());
    let stats = stats::read(state, environment, Scope::Endpoint(found.id), period, now).await?;
    let can_recover = !found.disabled && (found.failing_since.is_some() || stats.has_dead);
    let retiring: Vec<_> = found.secrets.all().iter().filter_map(|secret| secret.retires_at).collect();
    let types = found.filter.event_types.iter().flatten().map(EventTypeName::as_str).collect::<Vec<_>>();
    let context = context! {
        frame => Frame::of(visitor), app => head, endpoint => endpoint_row(&found, now), status, turns, secret,
        event_types => types.join(", "),
        retiring => retiring.iter().filter(|at| **at > now).map(|at| moment(*at, now)).collect::<Vec<_>>(),
        tries => tries.rows.iter().map(|row| message::row(row, now)).collect::<Vec<_>>(),
        stats, can_recover,
    };
    Ok(state.templates.render("endpoint.html", context))
}

fn path_of(at: &At, rest: &str) -> String {
    format!("/api/v1/app/{}/endpoint/{}{rest}", part(&at.app), part(&at.endpoint))
}

fn back(visitor: &Visitor, at: &At) -> Redirect {
    Redirect::to(&format!("{}/apps/{}/endpoints/{}", visitor.base, part(&at.app), part(&at.endpoint)))
}

/// What a form of the page changes.
#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum Change {
    Settings(EndpointForm),
    Disable,
    Enable,
    Delete,
}

pub(crate) async fn change(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(change): Form<Change>,
) -> Answer<Redirect> {
    let (method, body) = match change {
        Change::Settings(form) => (Method::PATCH, form.as_body(true)?),
        Change::Disable => (Method::PATCH, json!({ "disabled": true })),
        Change::Enable => (Method::PATCH, json!({ "disabled": false })),
        Change::Delete => (Method::DELETE, Value::Null),
    };
    let is_gone = method == Method::DELETE;
    ask(&state, &visitor, method, &path_of(&at, ""), &body).await?;
    if is_gone {
        return Ok(Redirect::to(&format!("{}/apps/{}", visitor.base, part(&at.app))));
    }
    Ok(back(&visitor, &at))
}

/// By POST, so that it stands in no history of addresses.
pub(crate) async fn secret(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
) -> Answer<Html<String>> {
    let told = ask(&state, &visitor, Method::GET, &path_of(&at, "/secret"), &Value::Null).await?;
    let secret = told["key"].as_str().unwrap_or_default();
    shown(&state, &visitor, &at, (&Place::default(), "", Period::default()), secret).await
}

pub(crate) async fn rotate(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
) -> Answer<Redirect> {
    ask(&state, &visitor, Method::POST, &path_of(&at, "/secret/rotate"), &json!({})).await?;
    Ok(back(&visitor, &at))
}

/// An event type to try with.
#[derive(Deserialize)]
pub(crate) struct Test {
    event_type: String,
}

pub(crate) async fn test(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<Test>,
) -> Answer<Redirect> {
    let body = json!({ "eventType": form.event_type.trim() });
    ask(&state, &visitor, Method::POST, &path_of(&at, "/send-example"), &body).await?;
    Ok(back(&visitor, &at))
}

/// Since when.
#[derive(Deserialize)]
pub(crate) struct Recover {
    hours: u64,
}

pub(crate) async fn recover(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<Recover>,
) -> Answer<Redirect> {
    let since = state.clock.now().earlier(Duration::from_secs(form.hours.saturating_mul(3_600)));
    let body = json!({ "since": since.to_string() });
    ask(&state, &visitor, Method::POST, &path_of(&at, "/recover"), &body).await?;
    Ok(back(&visitor, &at))
}
