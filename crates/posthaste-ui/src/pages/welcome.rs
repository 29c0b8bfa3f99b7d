//! What a server shows before anything has come: a way in and a way out, each one step from being seen to work.

use std::time::Duration;

use axum::extract::State;
use axum::http::Method;
use axum::response::Redirect;
use futures_util::future::join_all;
use posthaste_core::app::Reference;
use posthaste_core::bin;
use posthaste_core::rollup::{Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::history::MessageFilter;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Serialize;
use serde_json::json;

use crate::Shared;
use crate::api::{ask, part};
use crate::error::Answer;
use crate::session::Visitor;

/// Counts are kept for a year and a month: what was before that is over.
const EVER: Duration = Duration::from_hours(400 * 24);
/// Apps and sources, the newest, that are looked at for messages that were accepted before counts were kept.
const LOOKED_AT: u16 = 10;
/// What the buttons make.
const FIRST_APP: &str = "first";
const FIRST_BIN: &str = "first-bin";

/// How far somebody has come.
#[derive(Debug, Serialize)]
pub(crate) struct Welcome {
    public_url: String,
    /// An app that is there.
    app: Option<App>,
    /// A bin's address.
    bin: Option<Bin>,
}

#[derive(Debug, Serialize)]
struct App {
    key: String,
    name: String,
}

#[derive(Debug, Serialize)]
struct Bin {
    key: String,
    name: String,
    url: String,
}

fn newest<C>() -> PageRequest<C> {
    PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: LOOKED_AT }
}

/// What to show, if nothing was ever accepted.
pub(crate) async fn look(
    state: &Shared,
    environment: EnvironmentId,
    now: Timestamp,
) -> Answer<Option<Welcome>> {
    let (ever, until) = (now.earlier(EVER), now.later(Duration::from_secs(1)));
    let counted = state.history.counted_by(environment, &[Scope::Environment], ever, until).await?;
    if counted.iter().any(|counts| *counts != Counts::default()) {
        return Ok(None);
    }
    let apps = state.directory.apps(environment, newest()).await?;
    let sources = state.sources.sources(environment, newest()).await?;
    let owners = apps.rows.iter().map(|app| app.id).chain(sources.rows.iter().map(|source| source.app));
    let looks = owners.map(|app| async move {
        let one = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: 1 };
        let (app, any) = (Reference::from(app), MessageFilter::default());
        let found = state.history.messages(environment, &app, &any, one, false).await;
        // An app that was deleted a moment ago has none.
        found.is_ok_and(|page| !page.rows.is_empty())
    });
    if join_all(looks).await.contains(&true) {
        return Ok(None);
    }
    let app = apps.rows.first().map(|app| App {
        key: app.uid.as_ref().map_or_else(|| app.id.to_string(), |uid| uid.as_str().to_owned()),
        name: app.name.clone(),
    });
    let bin = sources.rows.iter().find(|source| source.provider == bin::PROVIDER).map(|source| Bin {
        key: source.uid.as_ref().map_or_else(|| source.id.to_string(), |uid| uid.as_str().to_owned()),
        name: source.name.clone(),
        url: format!("{}/in/{}", state.public_url, source.door.expose()),
    });
    Ok(Some(Welcome { public_url: state.public_url.clone(), app, bin }))
}

pub(crate) async fn make_app(State(state): State<Shared>, visitor: Visitor) -> Answer<Redirect> {
    visitor.environment()?;
    let body = json!({ "name": "First customer", "uid": FIRST_APP });
    ask(&state, &visitor, Method::POST, "/api/v1/app?get_if_exists=true", &body).await?;
    Ok(Redirect::to(&format!("/ui/apps/{}", part(FIRST_APP))))
}

pub(crate) async fn make_bin(State(state): State<Shared>, visitor: Visitor) -> Answer<Redirect> {
    visitor.environment()?;
    let body = json!({ "name": "First bin", "uid": FIRST_BIN, "type": bin::PROVIDER });
    ask(&state, &visitor, Method::POST, "/ingest/api/v1/source", &body).await?;
    Ok(Redirect::to("/ui"))
}
