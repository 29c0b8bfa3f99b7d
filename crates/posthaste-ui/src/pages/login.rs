//! Logging in with a token, and out again.

use axum::extract::{Form, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use posthaste_core::tenant::Scope;
use posthaste_core::token::{Token, TokenHash};
use serde::Deserialize;

use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::{COOKIE_NAME, SESSION_LIFE, Visitor, begin, is_of_our_pages};
use crate::stranger::Stranger;

pub(crate) async fn front(visitor: Answer<Visitor>) -> Answer<Redirect> {
    Ok(Redirect::to(&visitor?.home()))
}

pub(crate) async fn page(State(state): State<Shared>) -> Response {
    state.templates.render("login.html", context! { problem => "" }).into_response()
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct Login {
    token: String,
}

pub(crate) async fn enter(
    State(state): State<Shared>,
    headers: HeaderMap,
    stranger: Stranger,
    Form(login): Form<Login>,
) -> Answer<Response> {
    if !is_of_our_pages(&headers) {
        return Err(UiError::Foreign);
    }
    let problem = match begin(&state, &stranger, &login.token).await? {
        Some((session, principal)) if principal.scope == Scope::Environment => {
            return Ok(logged_in(&state, &session));
        }
        Some(_) => "This token is a customer's: it works with the portal link that it came with.",
        None => "This token is unknown, expired or revoked. posthaste token create makes a new one.",
    };
    let page = state.templates.render("login.html", context! { problem });
    Ok((StatusCode::UNAUTHORIZED, page).into_response())
}

pub(crate) async fn leave(State(state): State<Shared>, visitor: Visitor) -> Answer<Response> {
    state.directory.revoke_token_by_hash(TokenHash::of(visitor.session()), state.clock.now()).await?;
    Ok(([(SET_COOKIE, kept(&state, "", 0))], Redirect::to("/ui/login")).into_response())
}

/// To the first page, with the session.
pub(crate) fn logged_in(state: &Shared, session: &Token) -> Response {
    let kept = kept(state, session.expose(), SESSION_LIFE.as_secs());
    ([(SET_COOKIE, kept)], Redirect::to("/ui")).into_response()
}

/// The session's cookie: no script reads it, and no form of another site brings it.
fn kept(state: &Shared, session: &str, seconds: u64) -> HeaderValue {
    let secure = if state.public_url.starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{COOKIE_NAME}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
