//! Portal links of one app: who may come in, until when; makes links, and ends them.

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use minijinja::context;
use posthaste_core::id::TokenId;
use posthaste_core::tenant::Scope;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Frame, head};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, moment};

/// Links and sessions on the page: those that work, the newest of them.
const ROWS: u16 = 100;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/apps/{app}/access", get(page).post(create))
        .route("/ui/apps/{app}/access/end", post(end_all))
        .route("/ui/apps/{app}/access/{token}/end", post(end))
}

#[derive(Deserialize)]
pub(crate) struct At {
    app: String,
}

#[derive(Deserialize)]
pub(crate) struct AtToken {
    app: String,
    token: String,
}

#[derive(Serialize)]
struct Row {
    id: String,
    hint: String,
    what: &'static str,
    rights: &'static str,
    made: Moment,
    ends: Option<Moment>,
}

fn row(token: &TokenRecord, now: Timestamp) -> Row {
    Row {
        id: token.id.to_string(),
        hint: token.hint.clone(),
        what: if token.is_session { "session" } else { "link" },
        rights: match token.scope {
            Scope::App { read_only: true, .. } => "looks only",
            _ => "may change things",
        },
        made: moment(token.created_at, now),
        ends: token.expires_at.map(|at| moment(at, now)),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
) -> Answer<Html<String>> {
    shown(&state, &visitor, &app, "").await
}

/// The page; `link` was just made, and is shown this once.
async fn shown(state: &Shared, visitor: &Visitor, app: &str, link: &str) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let (_, app) = visitor.reads(state, app).await?;
    let now = state.clock.now();
    let found = state.directory.app(environment, &app).await?;
    let tokens = state.access.tokens_of_app(environment, found.id, now, ROWS).await?;
    let rows: Vec<_> = tokens.iter().map(|token| row(token, now)).collect();
    let context = context! {
        frame => Frame::of(visitor), app => head(state, environment, &app).await?, link,
        is_cut => rows.len() == usize::from(ROWS), rows,
    };
    Ok(state.templates.render("access.html", context))
}

/// What a link should be good for.
#[derive(Deserialize)]
pub(crate) struct NewLink {
    hours: u32,
    #[serde(default)]
    looks_only: Option<String>,
}

/// Answered with the page and not with a way to it: the link is shown once, and stands in no address.
pub(crate) async fn create(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
    Form(form): Form<NewLink>,
) -> Answer<Html<String>> {
    visitor.environment()?;
    let path = format!("/api/v1/auth/app-portal-access/{}", part(&app));
    let body = json!({ "expiry": u64::from(form.hours) * 3_600, "readOnly": form.looks_only.is_some() });
    let made = ask(&state, &visitor, Method::POST, &path, &body).await?;
    shown(&state, &visitor, &app, made["url"].as_str().unwrap_or_default()).await
}

/// By the port, since the API has no tokens.
pub(crate) async fn end(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(AtToken { app, token }): Path<AtToken>,
) -> Answer<Redirect> {
    let environment = visitor.environment()?;
    let asked = TokenId::parse(&token).ok_or(UiError::NotFound("link"))?;
    let (_, reference) = visitor.reads(&state, &app).await?;
    let found = state.directory.app(environment, &reference).await?;
    let is_ended = state.access.end_token(environment, Some(found.id), asked, state.clock.now()).await?;
    if is_ended { Ok(back(&app)) } else { Err(UiError::NotFound("link")) }
}

pub(crate) async fn end_all(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { app }): Path<At>,
) -> Answer<Redirect> {
    visitor.environment()?;
    let path = format!("/api/v1/auth/app/{}/expire-all", part(&app));
    ask(&state, &visitor, Method::POST, &path, &Value::Null).await?;
    Ok(back(&app))
}

fn back(app: &str) -> Redirect {
    Redirect::to(&format!("/ui/apps/{}/access", part(app)))
}
