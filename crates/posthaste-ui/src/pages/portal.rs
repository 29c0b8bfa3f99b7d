//! Where portal links lead. Their token stands behind the `#`, which no server is sent: a script hands it in.

use axum::extract::{Form, State};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;
use posthaste_core::tenant::Scope;
use serde::Deserialize;

use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::begin;

pub(crate) async fn page(State(state): State<Shared>) -> Response {
    state.templates.render("portal.html", context! {}).into_response()
}

/// What the link says.
#[derive(Deserialize)]
pub(crate) struct Link {
    token: String,
}

/// No matter from which site: whoever has the token has the session too.
pub(crate) async fn enter(State(state): State<Shared>, Form(link): Form<Link>) -> Answer<Redirect> {
    let (session, principal) = begin(&state, &link.token).await?.ok_or(UiError::Ended)?;
    match principal.scope {
        Scope::App { app, .. } => Ok(Redirect::to(&format!("/portal/s/{}/apps/{app}", session.expose()))),
        Scope::Environment => Err(UiError::Forbidden),
    }
}
