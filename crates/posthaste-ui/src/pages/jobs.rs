//! Jobs: what goes through many deliveries in the background, how far it is, and stopping it.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use futures_util::future::join_all;
use minijinja::context;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, EndpointId, JobId};
use posthaste_core::job::{Job, JobReason, JobState, JobTask};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::page::Order;
use posthaste_store::replay::JobFilter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Frame, Place};
use crate::Shared;
use crate::api::ask;
use crate::error::{Answer, UiError};
use crate::session::Visitor;
use crate::words::{Moment, State as Shown, grouped, moment, span};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/ui/jobs", get(list))
        .route("/ui/jobs/{job}", get(page))
        .route("/ui/jobs/{job}/cancel", post(cancel))
}

/// A job in a list, and at the head of its page.
#[derive(Serialize)]
struct Row {
    id: String,
    what: &'static str,
    state: Shown,
    running: bool,
    why: Option<&'static str>,
    app: String,
    app_name: String,
    endpoint: Option<String>,
    endpoint_url: Option<String>,
    done: String,
    lost: Option<String>,
    left: Option<String>,
    total: Option<String>,
    percent: Option<u8>,
    rate: Option<String>,
    took: String,
    since: Moment,
    until: Moment,
    asked: Moment,
    moved: Moment,
}

/// What a job does, in words.
fn what(task: JobTask) -> &'static str {
    match task {
        JobTask::Recover => "Recover what failed",
        JobTask::Replay => "Replay",
        JobTask::ReplayMissing => "Replay what is missing",
    }
}

fn state_of(state: JobState) -> Shown {
    match state {
        JobState::Running => Shown::busy("running"),
        JobState::Finished => Shown::good("finished"),
        JobState::Failed => Shown::bad("ended early"),
        JobState::Cancelled => Shown::quiet("cancelled"),
    }
}

/// Why a job did not do all of it, and what to do about that.
fn why(reason: JobReason, is_of_app: bool) -> &'static str {
    match reason {
        JobReason::EndpointDisabled if is_of_app => {
            "What goes to a disabled endpoint was left out. Enable it, then replay again."
        }
        JobReason::EndpointDisabled => "The endpoint is disabled. Enable it, then ask for this again.",
        JobReason::EndpointDeleted => "The endpoint was deleted: there is nowhere to send to.",
        JobReason::AppDeleted => "The application was deleted, and its deliveries with it.",
    }
}

/// `12/s`, or `0.4/s` of a slow one.
fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}/s") } else { format!("{per_second:.0}/s") }
}

/// Whose job it is, by the names that people know.
struct Named {
    app: String,
    endpoint: Option<String>,
}

/// The names, as far as what they name is still there.
async fn named(
    state: &Shared,
    environment: EnvironmentId,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Answer<Named> {
    let app_name = match state.directory.app(environment, &app.into()).await {
        Ok(app) => app.name,
        Err(error) => gone(error.into())?,
    };
    let endpoint = match endpoint {
        None => None,
        Some(id) => {
            let owner = Owner::App(app.into());
            match state.directory.endpoint(environment, &owner, &Reference::new(id.to_string())).await {
                Ok(endpoint) => Some(endpoint.url),
                Err(error) => Some(gone(error.into())?),
            }
        }
    };
    Ok(Named { app: app_name, endpoint })
}

/// What stands where the name of something deleted would.
fn gone(error: UiError) -> Answer<String> {
    match error {
        UiError::NotFound(_) => Ok("deleted".to_owned()),
        error => Err(error),
    }
}

fn row(job: &Job, named: Named, now: Timestamp) -> Row {
    let is_more = |tally: posthaste_core::job::Tally| {
        let more = if tally.more { " or more" } else { "" };
        format!("{}{more}", grouped(tally.count))
    };
    let running = !job.is_over();
    Row {
        id: job.id.to_string(),
        what: what(job.task),
        state: state_of(job.state),
        running,
        why: job.reason.map(|reason| why(reason, job.endpoint.is_none())),
        app: job.app.to_string(),
        app_name: named.app,
        endpoint: job.endpoint.map(|endpoint| endpoint.to_string()),
        endpoint_url: named.endpoint,
        done: grouped(job.done_count),
        lost: (job.lost_count > 0).then(|| grouped(job.lost_count)),
        left: job.left().filter(|_| running).map(is_more),
        total: job.total.map(is_more),
        percent: job.percent(),
        rate: job.per_second().map(rate),
        took: span(job.updated_at.since(job.created_at)),
        since: moment(job.since, now),
        until: moment(job.until, now),
        asked: moment(job.created_at, now),
        moved: moment(job.updated_at, now),
    }
}

/// Which jobs to show.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    state: String,
}

async fn list(
    State(state): State<Shared>,
    visitor: Visitor,
    Query(place): Query<Place>,
    Query(wanted): Query<Wanted>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let now = state.clock.now();
    let wanted = match wanted.state.as_str() {
        "running" => Some(JobState::Running),
        "finished" => Some(JobState::Finished),
        "failed" => Some(JobState::Failed),
        _ => None,
    };
    let filter = JobFilter { task: None, state: wanted };
    let page = state.queue.jobs(environment, filter, place.request(Order::Descending)?).await?;
    let turns = place.turns(&page, |job| job.id.to_string());
    let names = page.rows.iter().map(|job| named(&state, environment, job.app, job.endpoint));
    let names: Answer<Vec<_>> = join_all(names).await.into_iter().collect();
    let rows: Vec<_> = page.rows.iter().zip(names?).map(|(job, named)| row(job, named, now)).collect();
    let running = rows.iter().any(|row| row.running);
    let context = context! {
        frame => Frame::of(&visitor), rows, turns, running, wanted => wanted.map_or("", JobState::word),
        here => place.here(),
    };
    Ok(state.templates.render("jobs.html", context))
}

#[derive(Deserialize)]
struct At {
    job: String,
}

async fn page(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { job }): Path<At>,
) -> Answer<Html<String>> {
    let environment = visitor.environment()?;
    let id = JobId::parse(&job).ok_or(UiError::NotFound("job"))?;
    let job = state.queue.job(environment, id).await?.ok_or(UiError::NotFound("job"))?;
    let named = named(&state, environment, job.app, job.endpoint).await?;
    let job = row(&job, named, state.clock.now());
    Ok(state.templates.render("job.html", context! { frame => Frame::of(&visitor), job }))
}

async fn cancel(
    State(state): State<Shared>,
    visitor: Visitor,
    Path(At { job }): Path<At>,
) -> Answer<Redirect> {
    let id = JobId::parse(&job).ok_or(UiError::NotFound("job"))?;
    let path = format!("/api/posthaste/v1/background-task/{id}/cancel");
    ask(&state, &visitor, Method::POST, &path, &Value::Null).await?;
    Ok(Redirect::to(&format!("/ui/jobs/{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_to_do_and_knows_an_app_from_an_endpoint() {
        assert!(why(JobReason::EndpointDisabled, true).starts_with("What goes to a disabled endpoint"));
        assert!(why(JobReason::EndpointDisabled, false).starts_with("The endpoint is disabled"));
    }

    #[test]
    fn a_rate_is_short() {
        assert_eq!(
            [0.04, 0.44, 9.96, 12.4, 1_234.0].map(rate),
            ["0.0/s", "0.4/s", "10.0/s", "12/s", "1234/s"]
        );
    }
}
