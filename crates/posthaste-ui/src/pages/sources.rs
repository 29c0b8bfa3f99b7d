//! All sources: where each one is reached, when it last took something in, and whether it refused anything lately.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use futures_util::future::join_all;
use minijinja::context;
use posthaste_core::bin;
use posthaste_core::cron;
use posthaste_core::id::SourceId;
use posthaste_core::name::Uid;
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_signature::provider;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::Frame;
use crate::Shared;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, State as Shown, moment};

/// Sources on a page of their list.
const ROWS: usize = 25;
/// Sources that are looked through at once for those of a kind.
const LOOKED_AT: u16 = 100;
/// Of those, so many pages at most.
const LOOKS_MAX: u32 = 5;
/// Refused requests that are counted; past that there are simply more.
const REFUSALS_COUNTED: u16 = 10;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/sources", get(page))
}

/// A source in a list, and at the head of its page.
#[derive(Serialize)]
pub(crate) struct Row {
    id: String,
    key: String,
    app: String,
    name: String,
    provider: String,
    slug: String,
    state: Shown,
    paused: bool,
    url: Option<String>,
    made: Moment,
}

/// How a path names a source: as its owner does, where that is said and no page of ours is called so.
pub(crate) fn key_of(source: &Source) -> String {
    let uid = source.uid.as_ref().map(Uid::as_str).filter(|uid| *uid != "new");
    uid.map_or_else(|| source.id.to_string(), str::to_owned)
}

pub(crate) fn row(source: &Source, public_url: &str, now: Timestamp) -> Row {
    let provider = match source.provider.as_str() {
        cron::PROVIDER => "A schedule",
        bin::PROVIDER => "Bin",
        slug => provider::find(slug).map_or(slug, |provider| provider.name.as_str()),
    };
    let has_door = source.provider != cron::PROVIDER;
    Row {
        id: source.id.to_string(),
        key: key_of(source),
        app: source.app.to_string(),
        name: source.name.clone(),
        provider: provider.to_owned(),
        slug: source.provider.clone(),
        state: if source.paused { Shown::busy("paused") } else { Shown::good("active") },
        paused: source.paused,
        url: has_door.then(|| format!("{public_url}/in/{}", source.door.expose())),
        made: moment(source.created_at, now),
    }
}

/// Where a list of sources begins: behind this one.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct After {
    pub(crate) after: Option<String>,
}

/// Sources of a kind, and behind which one to look for more.
pub(crate) struct Found {
    pub(crate) sources: Vec<Source>,
    pub(crate) older: Option<String>,
}

/// The newest sources of a kind. They share a list with the others, of which a bounded number is passed over.
pub(crate) async fn newest(
    state: &Shared,
    environment: EnvironmentId,
    after: &After,
    is_wanted: impl Fn(&Source) -> bool,
) -> Answer<Found> {
    let mut cursor = match &after.after {
        None => Cursor::Start,
        Some(id) => Cursor::After(
            SourceId::parse(id)
                .ok_or_else(|| UiError::Rejected(format!("\"{id}\" is no place in this list.")))?,
        ),
    };
    let mut found = Found { sources: vec![], older: None };
    for _ in 0..LOOKS_MAX {
        let request = PageRequest { cursor, order: Order::Descending, limit: LOOKED_AT };
        let page = state.sources.sources(environment, request).await?;
        let Some(last) = page.rows.last().map(|source| source.id) else { break };
        for source in page.rows.into_iter().filter(&is_wanted) {
            if found.sources.len() == ROWS {
                found.older = found.sources.last().map(|last| last.id.to_string());
                return Ok(found);
            }
            found.sources.push(source);
        }
        found.older = (!page.done).then(|| last.to_string());
        if page.done {
            break;
        }
        cursor = Cursor::After(last);
    }
    Ok(found)
}

/// What a source did lately.
#[derive(Serialize)]
pub(crate) struct Lately {
    seen: Option<Moment>,
    refused: Option<String>,
}

/// Reads the newest message and some refusals, whatever the source holds.
pub(crate) async fn lately(
    state: &Shared,
    environment: EnvironmentId,
    source: &Source,
    now: Timestamp,
) -> Answer<Lately> {
    let newest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
    let filter = MessageFilter::default();
    let messages = state.history.messages(environment, &source.app.into(), &filter, newest, false).await?;
    let some = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: REFUSALS_COUNTED };
    let by_id = posthaste_core::app::Reference::new(source.id.to_string());
    let refused = state.sources.refusals(environment, &by_id, some).await?;
    let count = refused.rows.len();
    let more = if refused.done { "" } else { " or more" };
    Ok(Lately {
        seen: messages.rows.first().map(|message| moment(message.created_at, now)),
        refused: (count > 0).then(|| format!("{count}{more} refused")),
    })
}

/// All of a list's sources at once.
pub(crate) async fn all_lately(
    state: &Shared,
    environment: EnvironmentId,
    sources: &[Source],
    now: Timestamp,
) -> Answer<Vec<Lately>> {
    let asked = sources.iter().map(|source| lately(state, environment, source, now));
    join_all(asked).await.into_iter().collect()
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(after): Query<After>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let found = newest(&state, environment, &after, |source| source.provider != bin::PROVIDER).await?;
    let lately = all_lately(&state, environment, &found.sources, now).await?;
    let rows: Vec<_> = found.sources.iter().map(|source| row(source, &state.public_url, now)).collect();
    let context = context! {
        frame => Frame::of(&visitor), rows, lately, older => found.older, is_start => after.after.is_none(),
    };
    Ok(state.templates.render("sources.html", context))
}
