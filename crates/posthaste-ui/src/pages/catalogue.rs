//! An environment's event types for everybody who knows the address: only if its operators published them.

use axum::Router;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{Html, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::event_type::EventType;
use posthaste_core::example;
use posthaste_core::limits::PAGE_ROWS_MAX;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::portal_logo;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::headers::Pictures;
use crate::look::Look;
use crate::payload::{self, Payload};
use crate::schema_tree::{self, Node};

/// Pages of the catalogue that a search reads: more than any that is read by people.
const PAGES_MAX: usize = 4;
/// Event types on the page.
const SHOWN_MAX: usize = 100;
/// Letters of an address: others are not looked up.
const LETTERS_MAX: usize = 64;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/events/{letters}", get(page)).route("/events/{letters}/logo", get(logo))
}

#[derive(Deserialize)]
pub(crate) struct At {
    letters: String,
}

/// What somebody looks for.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    q: String,
}

#[derive(Serialize)]
struct Row {
    name: String,
    description: String,
    deprecated: bool,
    group: String,
    version: String,
    tree: Vec<Node>,
    example: Payload,
}

fn row(event_type: &EventType) -> Row {
    let facts = &event_type.facts;
    let newest =
        facts.schemas.iter().flatten().max_by_key(|(version, _)| version.parse::<u64>().unwrap_or(0));
    let example = example::of(facts.schemas.as_ref(), 0);
    let example = serde_json::to_string_pretty(&example).unwrap_or_default();
    Row {
        name: event_type.name.as_str().to_owned(),
        description: facts.description.clone(),
        deprecated: facts.deprecated,
        group: facts.group_name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned()),
        version: newest.map_or_else(String::new, |(version, _)| version.clone()),
        tree: newest.map_or_else(Vec::new, |(_, schema): (_, &Value)| schema_tree::of(schema)),
        example: payload::shown(example.as_bytes()),
    }
}

async fn environment(state: &Shared, letters: &str) -> Answer<EnvironmentId> {
    let unknown = UiError::NotFound("page");
    if letters.len() > LETTERS_MAX {
        return Err(unknown);
    }
    state.access.environment_of_catalogue(letters).await?.ok_or(unknown)
}

pub(crate) async fn page(
    State(state): State<Shared>,
    Extension(allowed): Extension<Pictures>,
    Path(At { letters }): Path<At>,
    Query(Wanted { q }): Query<Wanted>,
) -> Answer<Html<String>> {
    let environment = environment(&state, &letters).await?;
    let looks = state.access.looks(environment).await?;
    allowed.allow(&looks);
    let asked = q.trim().to_lowercase();
    let (found, is_whole) = matching(&state, environment, &asked).await?;
    let is_cut = found.len() > SHOWN_MAX || !is_whole;
    let rows: Vec<_> = found.iter().take(SHOWN_MAX).map(row).collect();
    let base = format!("/events/{letters}");
    let context = context! {
        rows, is_cut, q => q.trim(), base, name => looks.name.clone().unwrap_or_default(),
        icon => portal_logo::address_of(&looks, &base), look => Look::default().over(&looks).as_segment(),
    };
    Ok(state.templates.render("catalogue.html", context))
}

/// The event types in which the text is, without those that are archived; and whether all were looked at.
async fn matching(state: &Shared, environment: EnvironmentId, text: &str) -> Answer<(Vec<EventType>, bool)> {
    let mut found = Vec::new();
    let mut cursor = Cursor::Start;
    for _ in 0..PAGES_MAX {
        let request = PageRequest { cursor, order: Order::Ascending, limit: PAGE_ROWS_MAX };
        let page = state.directory.event_types(environment, false, request).await?;
        let last = page.rows.last().map(|event_type| event_type.name.clone());
        let is_in = |whole: &str| whole.to_lowercase().contains(text);
        let fits = |one: &EventType| is_in(one.name.as_str()) || is_in(&one.facts.description);
        found.extend(page.rows.into_iter().filter(fits));
        match last {
            Some(last) if !page.done => cursor = Cursor::After(last),
            _ => return Ok((found, true)),
        }
    }
    Ok((found, false))
}

pub(crate) async fn logo(State(state): State<Shared>, Path(At { letters }): Path<At>) -> Answer<Response> {
    let environment = environment(&state, &letters).await?;
    portal_logo::picture(state.access.looks(environment).await?)
}
