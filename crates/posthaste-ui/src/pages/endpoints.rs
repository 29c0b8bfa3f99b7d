//! The endpoints of all apps: those that fail, or app by app. There is no list of all, so that no page walks through a
//! million: a page shows some apps, and the first endpoints of each.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use futures_util::future::try_join_all;
use minijinja::context;
use posthaste_core::app::{App, Reference};
use posthaste_core::rollup::Scope;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::{Deserialize, Serialize};

use super::app::{EndpointRow, endpoint_row};
use super::overview::failing;
use super::{AppHead, Frame, Place};
use crate::Shared;
use crate::doing::{self, Doing};
use crate::error::{Answer, UiError};
use crate::session::Visitor;

/// Apps on a page …
const APPS: u16 = 10;
/// … and endpoints of each.
const EACH: u16 = 5;
/// Failing endpoints on a page.
const FAILING_MAX: u32 = 200;

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/ui/endpoints", get(page))
}

/// Which to show.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    state: String,
}

/// An app, and its newest endpoints.
#[derive(Serialize)]
struct Group {
    app: AppHead,
    rows: Vec<(EndpointRow, Doing)>,
    has_more: bool,
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(place): Query<Place>,
    Query(wanted): Query<Wanted>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let frame = Frame::of(&visitor);
    match wanted.state.as_str() {
        "" => {
            let request = PageRequest { limit: APPS, ..place.request(Order::Descending)? };
            let apps = state.directory.apps(environment, request).await?;
            let turns = place.turns(&apps, |app| app.id.to_string());
            let groups = apps.rows.into_iter().map(|app| group(&state, environment, app, now));
            let groups = try_join_all(groups).await?;
            let context = context! { frame, groups, turns, state => "" };
            Ok(state.templates.render("endpoints.html", context))
        }
        asked @ ("failing" | "disabled") => {
            let found = state.history.unwell(environment, FAILING_MAX).await?;
            let is_cut = found.len() == usize::try_from(FAILING_MAX).unwrap_or(usize::MAX);
            let wanted = found.iter().filter(|unwell| unwell.disabled == (asked == "disabled"));
            let rows: Vec<_> = wanted.map(|unwell| failing(unwell, now)).collect();
            let context = context! { frame, rows, is_cut, most => FAILING_MAX, state => asked };
            Ok(state.templates.render("endpoints_failing.html", context))
        }
        other => Err(UiError::Rejected(format!(
            "\"{other}\" is no state to filter endpoints by: there are failing and disabled."
        ))),
    }
}

async fn group(state: &Shared, environment: EnvironmentId, app: App, now: Timestamp) -> Answer<Group> {
    let first = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: EACH };
    let owner = Owner::App(Reference::from(app.id));
    let page = state.directory.endpoints(environment, &owner, first).await?;
    let scopes = page.rows.iter().map(|endpoint| Scope::Endpoint(endpoint.id));
    let doing = doing::read(state, environment, scopes, now).await?;
    let rows = page.rows.iter().map(|endpoint| endpoint_row(endpoint, now)).zip(doing).collect();
    Ok(Group { app: AppHead::of(app), rows, has_more: !page.done })
}
