//! The settings that this server runs with, and where each came from; secrets are not shown.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use minijinja::context;
use serde::Serialize;

use super::Frame;
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/settings/server", get(page))
}

/// One setting.
#[derive(Debug, Clone, Serialize)]
pub struct Configured {
    /// What files call it.
    pub name: String,
    /// What it is set to; of a secret only that it is.
    pub value: String,
    /// Who said so.
    pub origin: String,
}

pub(crate) async fn page(State(state): State<Shared>, visitor: Visitor) -> Answer<Html<String>> {
    visitor.environment()?;
    let context = context! { frame => Frame::of(&visitor), rows => &state.configured };
    Ok(state.templates.render("settings_server.html", context))
}
