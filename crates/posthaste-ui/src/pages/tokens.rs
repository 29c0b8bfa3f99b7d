//! The environment's tokens: API tokens, portal links and sessions, without the tokens themselves.

use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use minijinja::context;
use posthaste_core::id::TokenId;
use posthaste_core::tenant::Scope;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenRecord;
use serde::{Deserialize, Serialize};

use super::Frame;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, State as Shown, moment};

/// Tokens on the page: those that work first, the newest of them at the top.
const ROWS: usize = 200;

#[derive(Serialize)]
struct Row {
    id: String,
    hint: String,
    reaches: String,
    app: Option<String>,
    made: Moment,
    ends: Option<Moment>,
    state: Shown,
    works: bool,
}

fn row(token: &TokenRecord, now: Timestamp) -> Row {
    let (reaches, app) = match token.scope {
        Scope::Environment if token.is_session => ("everything, as a session".to_owned(), None),
        Scope::Environment => ("everything".to_owned(), None),
        Scope::App { app, read_only: true } => ("one application, to look at".to_owned(), Some(app)),
        Scope::App { app, read_only: false } => ("one application".to_owned(), Some(app)),
    };
    let state = match (token.revoked_at, token.expires_at) {
        (Some(_), _) => Shown::quiet("revoked"),
        (None, Some(at)) if at <= now => Shown::quiet("expired"),
        (None, _) => Shown::good("works"),
    };
    Row {
        id: token.id.to_string(),
        hint: token.hint.clone(),
        reaches,
        app: app.map(|app| app.to_string()),
        made: moment(token.created_at, now),
        ends: token.expires_at.map(|at| moment(at, now)),
        works: state.look == "good",
        state,
    }
}

pub(crate) async fn page(State(state): State<Shared>, visitor: Visitor) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let tokens = state.directory.tokens(Some(environment)).await?;
    let mut rows: Vec<_> = tokens.iter().map(|token| (token.created_at, row(token, now))).collect();
    rows.sort_by_key(|(made, row)| (!row.works, std::cmp::Reverse(*made)));
    let is_cut = rows.len() > ROWS;
    let rows: Vec<_> = rows.into_iter().take(ROWS).map(|(_, row)| row).collect();
    Ok(state.templates.render("tokens.html", context! { frame => Frame::of(&visitor), rows, is_cut }))
}

#[derive(Deserialize)]
pub(crate) struct At {
    token: String,
}

/// By the port, since the API has no tokens.
pub(crate) async fn revoke(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { token }): Path<At>,
) -> Answer<Redirect> {
    let environment = visitor.environment()?;
    let asked = TokenId::parse(&token).ok_or(UiError::NotFound("token"))?;
    let is_ended = state.access.end_token(environment, None, asked, state.clock.now()).await?;
    if is_ended { Ok(Redirect::to("/ui/tokens")) } else { Err(UiError::NotFound("token")) }
}
