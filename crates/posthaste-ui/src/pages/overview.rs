//! Where operators begin: how much comes and goes, what is owed, and what needs somebody.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::{get, post};
use futures_util::future::{join_all, try_join4};
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::limits::FAILING_BEFORE_DISABLE;
use posthaste_core::rollup::Scope;
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::history::Unwell;
use posthaste_store::page::{Cursor, Order, PageRequest};
use serde::Serialize;

use super::{Frame, welcome};
use crate::Shared;
use crate::error::Answer;
use crate::session::Visitor;
use crate::stats::{self, Asked};
use crate::words::{Moment, State as Shown, grouped, moment, span};

/// Endpoints under "needs you".
const UNWELL_MAX: u32 = 10;
/// Sources, the newest, whose refused requests are looked at …
const SOURCES_MAX: u16 = 20;
/// … and how many of each.
const REFUSALS_MAX: u16 = 10;
/// What was refused longer ago needs nobody.
const LATELY: Duration = Duration::from_hours(24);

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui", get(page))
        .route("/ui/welcome/app", post(welcome::make_app))
        .route("/ui/welcome/bin", post(welcome::make_bin))
}

/// An endpoint that fails.
#[derive(Debug, Serialize)]
pub(crate) struct Failing {
    pub(crate) app: String,
    pub(crate) app_name: String,
    pub(crate) endpoint: String,
    pub(crate) url: String,
    pub(crate) state: Shown,
    pub(crate) disabled: bool,
    /// What will become of it.
    pub(crate) fate: String,
    /// The environment's own app is in no list, and its endpoints have no page.
    pub(crate) has_page: bool,
}

pub(crate) fn failing(unwell: &Unwell, now: Timestamp) -> Failing {
    let failed_for = now.since(unwell.failing_since);
    let (state, fate) = if unwell.disabled {
        (Shown::bad("disabled"), format!("It began to fail {} ago.", span(failed_for)))
    } else {
        let left = FAILING_BEFORE_DISABLE.saturating_sub(failed_for);
        let fate = if left.is_zero() {
            "The next failure disables it.".to_owned()
        } else {
            format!("Without a success it is disabled in {}.", span(left))
        };
        (Shown::busy(format!("failing for {}", span(failed_for))), fate)
    };
    Failing {
        app: unwell.app.to_string(),
        app_name: unwell.app_name.clone(),
        endpoint: unwell.endpoint.to_string(),
        url: unwell.url.clone(),
        state,
        disabled: unwell.disabled,
        fate,
        has_page: !unwell.operational,
    }
}

/// A source that refused something lately.
#[derive(Debug, Serialize)]
struct Refusing {
    key: String,
    name: String,
    count: String,
    reason: String,
    at: Moment,
}

/// How much is owed, of all environments of the server: it is counted for the server, not for each.
#[derive(Debug, Serialize)]
struct Owed {
    waiting: String,
    in_flight: String,
    oldest: Option<Shown>,
}

async fn owed(state: &Shared, now: Timestamp) -> Answer<Owed> {
    let oldest = state.queue.oldest_due().await?;
    let oldest = oldest.map(|due| match now.since(due) {
        late if late >= Duration::from_mins(1) => Shown::busy(format!("late by {}", span(late))),
        _ if due <= now => Shown::good("on time"),
        _ => Shown::quiet(format!("next {}", moment(due, now).words)),
    });
    let backlog = state.queue.backlog();
    let in_flight = grouped(backlog.in_flight_count);
    Ok(Owed { waiting: grouped(backlog.waiting_count), in_flight, oldest })
}

async fn refusing(
    state: &Shared,
    environment: EnvironmentId,
    now: Timestamp,
) -> Answer<(Vec<Refusing>, bool)> {
    let newest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: SOURCES_MAX };
    let page = state.sources.sources(environment, newest).await?;
    let found = page.rows.iter().map(|source| refused_by(state, environment, source, now));
    let found = join_all(found).await.into_iter().collect::<Answer<Vec<_>>>()?;
    Ok((found.into_iter().flatten().collect(), page.done))
}

async fn refused_by(
    state: &Shared,
    environment: EnvironmentId,
    source: &Source,
    now: Timestamp,
) -> Answer<Option<Refusing>> {
    let newest = PageRequest { cursor: Cursor::Start, order: Order::Descending, limit: REFUSALS_MAX };
    let page = state.sources.refusals(environment, &Reference::new(source.id.to_string()), newest).await?;
    let late = page.rows.iter().filter(|refusal| now.since(refusal.at) < LATELY).count();
    let Some(last) = page.rows.first().filter(|_| late > 0) else { return Ok(None) };
    let or_more = if late == page.rows.len() && !page.done { " or more" } else { "" };
    Ok(Some(Refusing {
        key: source.uid.as_ref().map_or_else(|| source.id.to_string(), |uid| uid.as_str().to_owned()),
        name: source.name.clone(),
        count: format!("{late}{or_more}"),
        reason: last.reason.clone(),
        at: moment(last.at, now),
    }))
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let period = asked.period()?;
    let now = state.clock.now();
    let unwell = async { Ok(state.history.unwell(environment, UNWELL_MAX + 1).await?) };
    let (counted, owed, unwell, (refusing, all_sources)) = try_join4(
        stats::read(&state, environment, Scope::Environment, period, now),
        owed(&state, now),
        unwell,
        refusing(&state, environment, now),
    )
    .await?;
    if counted.is_empty
        && unwell.is_empty()
        && let Some(welcome) = welcome::look(&state, environment, now).await?
    {
        let context = context! { frame => Frame::of(&visitor), welcome, refusing };
        return Ok(state.templates.render("welcome.html", context));
    }
    let shown = usize::try_from(UNWELL_MAX).unwrap_or(usize::MAX);
    let failing: Vec<_> = unwell.iter().take(shown).map(|unwell| failing(unwell, now)).collect();
    let context = context! {
        frame => Frame::of(&visitor), stats => counted, owed, refusing, all_sources,
        more_failing => unwell.len() > shown, failing,
        sources_max => SOURCES_MAX,
    };
    Ok(state.templates.render("overview.html", context))
}
