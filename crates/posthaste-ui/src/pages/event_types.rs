//! The catalogue: what can happen, and what is said of it. Customers see it too, but for what is archived.

use axum::extract::{Query, State};
use axum::response::Html;
use minijinja::context;
use posthaste_core::event_type::EventType;
use posthaste_core::name::EventTypeName;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Serialize;
use serde_json::Value;

use super::{Frame, Place, ROWS};
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::payload::{self, Payload};
use crate::session::Visitor;
use crate::words::State as Shown;

#[derive(Serialize)]
struct Row {
    name: String,
    description: String,
    state: Option<Shown>,
    group: String,
    version: String,
    schema: Option<Payload>,
}

fn row(event_type: &EventType) -> Row {
    let facts = &event_type.facts;
    let newest =
        facts.schemas.iter().flatten().max_by_key(|(version, _)| version.parse::<u64>().unwrap_or(0));
    Row {
        name: event_type.name.as_str().to_owned(),
        description: facts.description.clone(),
        state: match (facts.archived, facts.deprecated) {
            (true, _) => Some(Shown::quiet("archived")),
            (false, true) => Some(Shown::busy("deprecated")),
            (false, false) => None,
        },
        group: facts.group_name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned()),
        version: newest.map_or_else(String::new, |(version, _)| version.clone()),
        schema: newest.map(|(_, schema): (_, &Value)| payload::shown(schema.to_string().as_bytes())),
    }
}

pub(crate) async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(place): Query<Place>,
) -> Answer<Html<String>> {
    let read = |text: &str| {
        EventTypeName::parse(text).map_err(|_| UiError::Rejected(format!("\"{text}\" is no event type.")))
    };
    let cursor = match (&place.after, &place.before) {
        (Some(after), _) => Cursor::After(read(after)?),
        (None, Some(before)) => Cursor::Before(read(before)?),
        (None, None) => Cursor::Start,
    };
    let request = PageRequest { cursor, order: Order::Ascending, limit: ROWS };
    let found = state.directory.event_types(visitor.tenant(), visitor.is_operator(), request).await?;
    let turns = place.turns(&found, |event_type| event_type.name.as_str().to_owned());
    let rows: Vec<_> = found.rows.iter().map(row).collect();
    Ok(state.templates.render("event_types.html", context! { frame => Frame::of(&visitor), rows, turns }))
}
