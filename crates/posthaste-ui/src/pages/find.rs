//! Messages of all apps: anything by its id alone, and where the messages of each app are. They lie by app, each in one
//! stretch, so there is no list of all of them that would not look through every app.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use posthaste_core::rollup::Scope;
use posthaste_store::named::{Named, Place as Found};
use posthaste_store::page::Order;
use serde::{Deserialize, Serialize};

use super::wanted::Wanted;
use super::{Frame, Place};
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::words::grouped;

/// Over which time messages are counted.
const COUNTED: std::time::Duration = std::time::Duration::from_hours(24);

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/messages", get(page))
}

/// What to look for.
#[derive(Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    id: String,
}

#[derive(Serialize)]
struct Row {
    key: String,
    name: String,
    accepted: String,
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    (Query(place), Query(Sought { id }), Query(wanted)): (Query<Place>, Query<Sought>, Query<Wanted>),
) -> Answer<Response> {
    let environment = visitor.environment()?;
    let id = id.trim();
    if let Some(named) = Named::parse(id)
        && let Some(found) = state.history.find(environment, named).await?
    {
        return Ok(Redirect::to(&path_to(id, named, &found)).into_response());
    }
    let (now, request) = (state.clock.now(), place.request(Order::Descending)?);
    let apps = state.directory.apps(environment, request).await?;
    let turns = place.turns(&apps, |app| app.id.to_string());
    let scopes: Vec<_> = apps.rows.iter().map(|app| Scope::App(app.id)).collect();
    let counts = state.history.counted_by(environment, &scopes, now.earlier(COUNTED), now).await?;
    let rows = apps.rows.iter().zip(&counts).map(|(app, counts)| Row {
        key: app.uid.as_ref().map_or_else(|| app.id.to_string(), |uid| uid.as_str().to_owned()),
        name: app.name.clone(),
        accepted: grouped(counts.accepted),
    });
    let context = context! {
        frame => Frame::of(&visitor), rows => rows.collect::<Vec<_>>(), turns, sought => id, query => wanted.query(),
    };
    let page: Html<String> = state.templates.render("find.html", context);
    Ok(page.into_response())
}

/// Where the page of something is.
fn path_to(id: &str, named: Named, found: &Found) -> String {
    let app = format!("/ui/apps/{}", found.app);
    let source = || found.source.map_or_else(|| app.clone(), |source| format!("/ui/sources/{source}"));
    match (named, found.message) {
        (Named::App(_) | Named::Source(_) | Named::Refusal(_), _) => source(),
        (Named::Endpoint(_), _) => format!("{app}/endpoints/{id}"),
        (Named::Message(_), _) => format!("{app}/messages/{id}"),
        (Named::Attempt(_), Some(message)) => format!("{app}/messages/{message}/attempts/{id}"),
        (Named::Attempt(_), None) => app,
        (Named::Job(_), _) => format!("/ui/jobs/{id}"),
    }
}
