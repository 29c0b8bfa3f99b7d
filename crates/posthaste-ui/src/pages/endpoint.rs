//! One endpoint: how it does, what went to it, and what can be set.

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::period::Period;
use posthaste_core::rollup::Scope;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::history::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::app::endpoint_row;
use super::endpoint_settings::{HeaderForm, SettingsForm, schedule};
use super::endpoint_tries::Tries;
use super::walk::walk;
use super::{Frame, Place, head, message};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::snippets;
use crate::stats::{self, Asked};
use crate::words::{Moment, left, moment};

pub(crate) fn routes() -> Router<Shared> {
    let one = "/apps/{app}/endpoints/{endpoint}";
    let at = |rest: &str| format!("{one}/{rest}");
    Router::new()
        .route(one, get(page))
        .route(&at("change"), post(change))
        .route(&at("secret"), post(secret))
        .route(&at("rotate"), post(rotate))
        .route(&at("test"), post(test))
}

#[derive(Deserialize)]
pub(crate) struct At {
    pub(crate) app: String,
    pub(crate) endpoint: String,
}

/// Which tries to show.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    status: String,
}

/// What is shown of an endpoint, beside what it is.
#[derive(Default)]
struct View {
    place: Place,
    status: String,
    /// Over which time is counted.
    period: Period,
    /// If it was asked for.
    secret: String,
    /// What was typed and refused, and why.
    refused: Option<(SettingsForm, String)>,
}

/// A secret that signs along, and how much longer.
#[derive(Serialize)]
struct Retiring {
    at: Moment,
    left: String,
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    (Query(place), Query(Wanted { status }), Query(asked)): (Query<Place>, Query<Wanted>, Query<Asked>),
) -> Answer<Html<String>> {
    let view = View { place, status, period: asked.period()?, ..View::default() };
    shown(&state, &visitor, &at, view).await
}

async fn shown(state: &Shared, visitor: &Visitor, at: &At, view: View) -> Answer<Html<String>> {
    let (environment, app) = visitor.reads(state, &at.app).await?;
    let (app, endpoint) = (&app, &Reference::new(at.endpoint.as_str()));
    let now = state.clock.now();
    let head = head(state, environment, app).await?;
    let found = state.directory.endpoint(environment, &Owner::App(app.clone()), endpoint).await?;
    let status = match view.status.as_str() {
        "failed" => Some(Status::Fail),
        "delivered" => Some(Status::Success),
        _ => None,
    };
    let tries = walk(state, &view.place, &Tries { state, environment, app, endpoint, status }).await?;
    let counted = stats::read(state, environment, Scope::Endpoint(found.id), view.period, now).await?;
    let can_recover = !found.disabled && (found.failing_since.is_some() || counted.has_dead);
    let (settings, problem) = view.refused.unwrap_or_else(|| (SettingsForm::of(&found), String::new()));
    let context = context! {
        frame => Frame::of(visitor), app => head, endpoint => endpoint_row(&found, now), status => view.status,
        turns => tries.turns, looked => tries.looked, snippets => snippets::with(&view.secret), secret => view.secret,
        settings, problem, header_names => found.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        schedule => schedule(&state.retry_schedule), retiring => retiring(&found, now),
        tries => tries.rows.iter().map(|row| message::row(row, now)).collect::<Vec<_>>(),
        stats => counted, can_recover,
    };
    Ok(state.templates.render("endpoint.html", context))
}

fn retiring(endpoint: &Endpoint, now: Timestamp) -> Vec<Retiring> {
    let ends = endpoint.secrets.all().iter().filter_map(|secret| secret.retires_at).filter(|at| *at > now);
    ends.map(|at| Retiring { at: moment(at, now), left: left(at.since(now)) }).collect()
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
enum Change {
    Settings(SettingsForm),
    Header(HeaderForm),
    Disable,
    Enable,
    Delete,
}

async fn change(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(change): Form<Change>,
) -> Answer<Response> {
    let asks = async |method, rest: &str, body: Value| {
        ask(&state, &visitor, method, &path_of(&at, rest), &body).await
    };
    match change {
        Change::Settings(form) => {
            let set = match form.as_body() {
                Ok(body) => asks(Method::PATCH, "", body).await,
                Err(refused) => Err(refused),
            };
            // What was typed stays.
            if let Err(UiError::Rejected(why)) = set {
                let view = View { refused: Some((form, why)), ..View::default() };
                let page = shown(&state, &visitor, &at, view).await?;
                return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
            }
            set?
        }
        Change::Header(form) => asks(Method::PATCH, "/headers", form.as_body()).await?,
        Change::Disable => asks(Method::PATCH, "", json!({ "disabled": true })).await?,
        Change::Enable => asks(Method::PATCH, "", json!({ "disabled": false })).await?,
        Change::Delete => {
            asks(Method::DELETE, "", Value::Null).await?;
            return Ok(Redirect::to(&format!("{}/apps/{}", visitor.base, part(&at.app))).into_response());
        }
    };
    Ok(back(&visitor, &at).into_response())
}

/// By POST, so that it stands in no history of addresses.
async fn secret(State(state): State<Shared>, visitor: Visitor, Path(at): Path<At>) -> Answer<Html<String>> {
    let told = ask(&state, &visitor, Method::GET, &path_of(&at, "/secret"), &Value::Null).await?;
    let secret = told["key"].as_str().unwrap_or_default().to_owned();
    shown(&state, &visitor, &at, View { secret, ..View::default() }).await
}

/// How long the present secret signs along.
#[derive(Deserialize)]
struct Rotate {
    hours: u64,
}

async fn rotate(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(Rotate { hours }): Form<Rotate>,
) -> Answer<Redirect> {
    let body = json!({ "gracePeriodSeconds": hours.saturating_mul(3_600) });
    ask(&state, &visitor, Method::POST, &path_of(&at, "/secret/rotate"), &body).await?;
    Ok(back(&visitor, &at))
}

/// An event type to try with.
#[derive(Deserialize)]
struct Test {
    event_type: String,
}

async fn test(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(at): Path<At>,
    Form(form): Form<Test>,
) -> Answer<Redirect> {
    let body = json!({ "eventType": form.event_type.trim() });
    ask(&state, &visitor, Method::POST, &path_of(&at, "/send-example"), &body).await?;
    Ok(back(&visitor, &at))
}
