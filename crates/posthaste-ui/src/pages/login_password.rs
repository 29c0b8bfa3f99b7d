//! Passwords: to log in with one, and to set one by the link that logs in once. There is none until somebody sets it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use minijinja::context;
use posthaste_core::password::{PASSWORD_LETTERS_MIN, Password, is_it};
use posthaste_core::tenant::{EnvironmentId, Principal, Scope};
use posthaste_core::token::TokenHash;
use posthaste_store::access::Choice;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::login::logged_in;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::{is_of_our_pages, session_of};
use crate::stranger::Stranger;

/// Passwords that are looked at at the same time: each takes 19 MiB and some ten milliseconds of a core.
pub(crate) const AT_ONCE: usize = 2;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/login/password", post(enter)).route("/ui/setup/password", post(set))
}

/// Runs what takes a core for a while, a few at a time.
async fn slowly<T: Send + 'static>(state: &Shared, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let permit = Arc::clone(&state.passwords).acquire_owned().await.map_err(|_| UiError::Failed)?;
    let done = spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    done.await.map_err(|_| UiError::Failed)
}

#[derive(Deserialize)]
pub(crate) struct Login {
    environment: String,
    password: String,
}

async fn enter(
    State(state): State<Shared>,
    headers: HeaderMap,
    stranger: Stranger,
    Form(login): Form<Login>,
) -> Answer<Response> {
    if !is_of_our_pages(&headers) {
        return Err(UiError::Foreign);
    }
    let now = state.clock.now();
    state.limits.may_guess(stranger.from, now).map_err(UiError::TooMany)?;
    let found = state.access.password_of(login.environment.trim()).await?;
    let environment = found.as_ref().map(|(environment, _)| *environment);
    let kept = found.and_then(|(_, kept)| String::from_utf8(kept).ok());
    // Counted before it is looked at: who asks often at the same time is not heard more often.
    state.limits.guessed_wrong(stranger.from, now);
    let is_right = slowly(&state, move || is_it(&login.password, kept.as_deref())).await?;
    let Some(environment) = environment.filter(|_| is_right) else {
        let problem = "This environment has no such password. posthaste token link makes a link that logs in, and sets one.";
        let page = state.templates.render("login.html", context! { problem });
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    let session = session_of(&state, Principal { environment, scope: Scope::Environment }, None).await?;
    Ok(logged_in(&state, &session))
}

#[derive(Deserialize)]
pub(crate) struct Set {
    code: String,
    password: String,
    again: String,
}

/// By a link that is good once: whoever has it may log in anyway.
async fn set(
    State(state): State<Shared>,
    headers: HeaderMap,
    stranger: Stranger,
    Form(Set { code, password, again }): Form<Set>,
) -> Answer<Response> {
    if !is_of_our_pages(&headers) {
        return Err(UiError::Foreign);
    }
    let Some(principal) = stranger.shows(&state, &code).await? else { return Err(UiError::Ended) };
    if principal.scope != Scope::Environment {
        return Err(UiError::Ended);
    }
    let chosen = if password == again {
        Password::new(password).map_err(|why| format!("A password {why}."))
    } else {
        Err("These are two different passwords.".to_owned())
    };
    let password = match chosen {
        Ok(password) => password,
        // The link is not used up by that.
        Err(problem) => {
            let page = state.templates.render("setup.html", context! { code, problem, PASSWORD_LETTERS_MIN });
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let dice = Arc::clone(&state.dice);
    let kept = slowly(&state, move || password.hashed(&*dice)).await?.ok_or(UiError::Failed)?;
    state.directory.revoke_token_by_hash(TokenHash::of(&code), state.clock.now()).await?;
    keep(&state, principal.environment, kept).await?;
    let session = session_of(&state, principal, None).await?;
    Ok(logged_in(&state, &session))
}

/// A new password ends all sessions: whoever knew the old one is out.
async fn keep(state: &Shared, environment: EnvironmentId, kept: String) -> Answer<()> {
    state.access.choose(environment, Choice::Password, Some(kept.into_bytes())).await?;
    state.access.end_sessions(environment, state.clock.now()).await?;
    Ok(())
}
