//! All bins, and making one.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::get;
use minijinja::context;
use posthaste_core::bin;
use serde::Deserialize;
use serde_json::json;

use super::Frame;
use super::sources::{After, all_lately, newest, row};
use crate::Shared;
use crate::api::{ask, part};
use crate::error::Answer;
use crate::session::Visitor;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/bins", get(page).post(create))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(after): Query<After>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let found = newest(&state, environment, &after, |source| source.provider == bin::PROVIDER).await?;
    let lately = all_lately(&state, environment, &found.sources, now).await?;
    let rows: Vec<_> = found.sources.iter().map(|source| row(source, &state.public_url, now)).collect();
    let context = context! {
        frame => Frame::of(&visitor), rows, lately, older => found.older, is_start => after.after.is_none(),
    };
    Ok(state.templates.render("bins.html", context))
}

#[derive(Deserialize)]
struct New {
    name: String,
}

/// Its name is its id too, as with `posthaste bin`, so that commands and addresses can say it.
async fn create(
    State(state): State<Shared>,
    visitor: Visitor,
    Form(New { name }): Form<New>,
) -> Answer<Redirect> {
    let name = name.trim();
    let body = json!({ "name": name, "uid": name, "type": bin::PROVIDER });
    ask(&state, &visitor, Method::POST, "/ingest/api/v1/source", &body).await?;
    Ok(Redirect::to(&format!("/ui/bins/{}", part(name))))
}
