//! One bin: what came to it, the newest first, and one of those whole. Whoever has a link to it sees it too.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_core::message::Message;
use posthaste_core::origin::Origin;
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::{Frame, Place, sources};
use crate::Shared;
use crate::api::part;
use crate::body_views::{Views, views};
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, moment, size};

/// For operators under `/ui`, and for whoever has a link to the bin's own app.
pub(crate) fn of_an_app() -> Router<Shared> {
    Router::new().route("/bins/{bin}", get(page)).route("/bins/{bin}/requests/{request}", get(page))
}

/// Which bin, and which of its requests to show whole: none is the newest, whichever that is.
#[derive(Deserialize)]
pub(crate) struct At {
    pub(crate) bin: String,
    #[serde(default)]
    request: Option<String>,
}

/// What is on the page already.
#[derive(Deserialize)]
struct Seen {
    #[serde(default)]
    newest: String,
}

/// A request in the list.
#[derive(Serialize)]
struct Row {
    id: String,
    method: String,
    path: String,
    size: String,
    at: Moment,
}

/// One request whole.
#[derive(Serialize)]
struct Shown {
    id: String,
    method: String,
    path: String,
    query: String,
    query_fields: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    at: Moment,
    views: Views,
}

/// `None`: its content is gone.
fn row(message: &Message, now: Timestamp) -> Option<Row> {
    let (origin, body) = (message.origin.as_deref()?, message.body.as_ref()?);
    Some(Row {
        id: message.id.to_string(),
        method: origin.method.clone(),
        path: if origin.path.is_empty() { "/".to_owned() } else { origin.path.clone() },
        size: size(body.len()),
        at: moment(message.created_at, now),
    })
}

/// Whoever may touch the bin sees what they sent to it themselves; for others credentials are hidden.
fn shown(message: &Message, is_whole: bool, now: Timestamp) -> Option<Shown> {
    let (origin, body) = (message.origin.as_deref()?, message.body.as_ref()?);
    let query = if is_whole { origin.query.clone() } else { origin.shown_query() };
    let fields = form_urlencoded::parse(query.as_bytes());
    Some(Shown {
        id: message.id.to_string(),
        method: origin.method.clone(),
        path: if origin.path.is_empty() { "/".to_owned() } else { origin.path.clone() },
        query_fields: fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        query,
        headers: headers(origin, is_whole),
        at: moment(message.created_at, now),
        views: views(&content_type(origin), body),
    })
}

fn headers(origin: &Origin, is_whole: bool) -> Vec<(String, String)> {
    if is_whole {
        let text = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
        return origin.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    }
    origin.shown_headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

fn content_type(origin: &Origin) -> String {
    let found = origin.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

/// The bin, for whoever may see it: one answer for what is another's and for what is not there.
async fn found(state: &Shared, visitor: &Visitor, bin: &str) -> Answer<(EnvironmentId, Source)> {
    let environment = visitor.tenant();
    let source = state.sources.source(environment, &Reference::new(bin)).await;
    let source = source.map_err(|error| match UiError::from(error) {
        UiError::NotFound(_) => UiError::NotFound("bin"),
        error => error,
    })?;
    let own = visitor.reads(state, &source.app.to_string()).await;
    if own.is_err() || source.provider != bin::PROVIDER {
        return Err(UiError::NotFound("bin"));
    }
    Ok((environment, source))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { bin, request }): Path<At>,
    Query(place): Query<Place>,
    Query(seen): Query<Seen>,
) -> Answer<Response> {
    let (environment, source) = found(&state, &visitor, &bin).await?;
    let (app, now, any) = (Reference::from(source.app), state.clock.now(), MessageFilter::default());
    let one = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
    let newest = state.history.messages(environment, &app, &any, one, false).await?;
    let newest = newest.rows.first().map_or_else(|| "0".to_owned(), |message| message.id.to_string());
    if seen.newest == newest {
        // The page that asks is as it should be.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // Long bodies make a page of fewer rows: the store bounds what it holds.
    let listed =
        state.history.messages(environment, &app, &any, place.request(Order::Descending)?, true).await?;
    let turns = place.turns(&listed, |message| message.id.to_string());
    let is_whole = visitor.is_operator();
    let whole = match &request {
        None => listed.rows.iter().find_map(|message| shown(message, is_whole, now)),
        Some(id) => {
            let id = Reference::new(id.as_str());
            let message = state.history.message(environment, &app, &id, true).await?;
            Some(shown(&message, is_whole, now).ok_or(UiError::NotFound("request"))?)
        }
    };
    let here = format!("{}/bins/{}", visitor.base, part(&sources::key_of(&source)));
    let asked_again = match &request {
        Some(id) => format!("{here}/requests/{}", part(id)),
        None => here.clone(),
    };
    let is_first = place.after.is_none() && place.before.is_none();
    let context = context! {
        frame => Frame::of(&visitor), source => sources::row(&source, &state.public_url, now), here, turns, newest,
        // The first page grows at its top; what is looked at stays, unless it is the newest.
        live => is_first.then_some(asked_again), follows => request.is_none(), whole, is_whole,
        rows => listed.rows.iter().filter_map(|message| row(message, now)).collect::<Vec<_>>(),
    };
    Ok(state.templates.render("bin.html", context).into_response())
}
