//! A link that logs in once: what the first start prints, and `posthaste token link`. Looking at it changes nothing, so
//! that whoever previews links does not use it up.

use axum::extract::{Form, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use posthaste_core::password::PASSWORD_LETTERS_MIN;
use posthaste_core::tenant::Scope;
use posthaste_core::token::TokenHash;
use serde::Deserialize;

use super::login::logged_in;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::{is_of_our_pages, session_of};
use crate::stranger::Stranger;

/// A token that is good for this only by its short life.
#[derive(Deserialize)]
pub(crate) struct Code {
    code: String,
}

pub(crate) async fn page(State(state): State<Shared>, Query(Code { code }): Query<Code>) -> Response {
    state
        .templates
        .render("setup.html", context! { code, problem => "", PASSWORD_LETTERS_MIN })
        .into_response()
}

pub(crate) async fn enter(
    State(state): State<Shared>,
    headers: HeaderMap,
    stranger: Stranger,
    Form(Code { code }): Form<Code>,
) -> Answer<Response> {
    if !is_of_our_pages(&headers) {
        return Err(UiError::Foreign);
    }
    let Some(principal) = stranger.shows(&state, &code).await? else { return Err(UiError::Ended) };
    if principal.scope != Scope::Environment {
        return Err(UiError::Ended);
    }
    // It stands for itself: the link is used up.
    let session = session_of(&state, principal, None).await?;
    state.directory.revoke_token_by_hash(TokenHash::of(&code), state.clock.now()).await?;
    Ok(logged_in(&state, &session))
}
