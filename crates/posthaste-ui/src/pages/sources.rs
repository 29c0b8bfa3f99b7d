//! All sources.

use axum::extract::{Query, State};
use axum::response::Html;
use minijinja::context;
use posthaste_core::source::Source;
use posthaste_core::time::Timestamp;
use posthaste_store::page::Order;
use serde::Serialize;

use super::{Frame, Place};
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::words::{Moment, State as Shown, moment};

/// A source in a list, and at the head of its page.
#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    key: String,
    app: String,
    name: String,
    provider: String,
    state: Shown,
    made: Moment,
}

pub(crate) fn row(source: &Source, now: Timestamp) -> Row {
    Row {
        id: source.id.to_string(),
        key: source.uid.as_ref().map_or_else(|| source.id.to_string(), |uid| uid.as_str().to_owned()),
        app: source.app.to_string(),
        name: source.name.clone(),
        provider: source.provider.clone(),
        state: if source.paused { Shown::busy("paused") } else { Shown::good("active") },
        made: moment(source.created_at, now),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(place): Query<Place>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let page = state.sources.sources(environment, place.request(Order::Descending)?).await?;
    let turns = place.turns(&page, |source| source.id.to_string());
    let rows: Vec<_> = page.rows.iter().map(|source| row(source, now)).collect();
    Ok(state.templates.render("sources.html", context! { frame => Frame::of(&visitor), rows, turns }))
}
