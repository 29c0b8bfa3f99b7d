//! All apps.

use axum::extract::{Query, State};
use axum::response::Html;
use minijinja::context;
use posthaste_core::period::Period;
use posthaste_core::rollup::Scope;
use posthaste_store::page::Order;
use serde::Serialize;

use super::{Frame, Place};
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::words::{Moment, grouped, moment};

/// Failing endpoints that are counted by their apps.
const UNWELL_MAX: u32 = 1_000;

#[derive(Serialize)]
struct Row {
    id: String,
    key: String,
    name: String,
    made: Moment,
    /// Messages of the last day.
    accepted: String,
    failing: usize,
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(place): Query<Place>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let page = state.directory.apps(environment, place.request(Order::Descending)?).await?;
    let turns = place.turns(&page, |app| app.id.to_string());
    let scopes: Vec<_> = page.rows.iter().map(|app| Scope::App(app.id)).collect();
    let counted = state.history.counted_by(environment, &scopes, Period::Day.until(now).start, now).await?;
    let unwell = state.history.unwell(environment, UNWELL_MAX).await?;
    let failing_cut = unwell.len() == usize::try_from(UNWELL_MAX).unwrap_or(usize::MAX);
    let rows = page.rows.iter().zip(counted).map(|(app, counts)| Row {
        accepted: grouped(counts.accepted),
        failing: unwell.iter().filter(|endpoint| endpoint.app == app.id).count(),
        id: app.id.to_string(),
        key: app.uid.as_ref().map_or_else(|| app.id.to_string(), |uid| uid.as_str().to_owned()),
        name: app.name.clone(),
        made: moment(app.created_at, now),
    });
    let rows: Vec<_> = rows.collect();
    Ok(state
        .templates
        .render("apps.html", context! { frame => Frame::of(&visitor), rows, turns, failing_cut }))
}
