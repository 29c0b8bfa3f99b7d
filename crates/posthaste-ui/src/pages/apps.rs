//! All apps.

use axum::extract::{Query, State};
use axum::response::Html;
use minijinja::context;
use posthaste_store::page::Order;
use serde::Serialize;

use super::{Frame, Place};
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::words::{Moment, moment};

#[derive(Serialize)]
struct Row {
    id: String,
    key: String,
    name: String,
    made: Moment,
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
    let rows = page.rows.iter().map(|app| Row {
        id: app.id.to_string(),
        key: app.uid.as_ref().map_or_else(|| app.id.to_string(), |uid| uid.as_str().to_owned()),
        name: app.name.clone(),
        made: moment(app.created_at, now),
    });
    let rows: Vec<_> = rows.collect();
    Ok(state.templates.render("apps.html", context! { frame => Frame::of(&visitor), rows, turns }))
}
