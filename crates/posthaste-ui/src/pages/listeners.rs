//! Who listens on this node: developers' machines that take what is owed to their endpoints.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use futures_util::future::join_all;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::directory::Owner;
use posthaste_store::named::Named;
use posthaste_tunnel::listeners::Listening;
use serde::Serialize;

use super::Frame;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{State as Shown, grouped, span};

/// Deliveries that are counted one by one; past that there are simply more.
const COUNTED_MAX: u32 = 1_000;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/listeners", get(page))
}

#[derive(Serialize)]
struct Row {
    endpoint: String,
    name: String,
    app: String,
    app_name: String,
    age: String,
    state: Shown,
    waiting: String,
}

/// `None`: the endpoint was deleted meanwhile.
async fn row(state: &Shared, environment: EnvironmentId, listening: &Listening) -> Answer<Option<Row>> {
    let found = state.history.find(environment, Named::Endpoint(listening.endpoint)).await?;
    let Some(app) = found.map(|place| place.app) else { return Ok(None) };
    let (owner, id) = (Owner::App(app.into()), Reference::new(listening.endpoint.to_string()));
    let endpoint = match state.directory.endpoint(environment, &owner, &id).await.map_err(UiError::from) {
        Err(UiError::NotFound(_)) => return Ok(None),
        found => found?,
    };
    let waiting = state.queue.waiting_for(listening.endpoint, COUNTED_MAX).await?;
    let more = if waiting.more { " or more" } else { "" };
    Ok(Some(Row {
        endpoint: listening.endpoint.to_string(),
        name: endpoint.url,
        app: app.to_string(),
        app_name: state.directory.app(environment, &app.into()).await?.name,
        age: span(listening.age),
        state: if listening.is_busy { Shown::busy("has a request") } else { Shown::good("listens") },
        waiting: format!("{}{more}", grouped(waiting.count)),
    }))
}

async fn page(State(state): State<Shared>, visitor: Visitor) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    // At most as many as one environment may have on a node.
    let listening = state.listeners.of(environment);
    let rows = join_all(listening.iter().map(|one| row(&state, environment, one))).await;
    let rows: Answer<Vec<_>> = rows.into_iter().collect();
    let rows: Vec<_> = rows?.into_iter().flatten().collect();
    Ok(state.templates.render("listeners.html", context! { frame => Frame::of(&visitor), rows }))
}
