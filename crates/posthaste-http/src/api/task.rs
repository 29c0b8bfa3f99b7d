//! Jobs, which Svix calls background tasks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::id::JobId;
use posthaste_core::job::{Job, JobReason, JobState, JobTask};
use posthaste_store::page::Order;
use posthaste_store::replay::JobFilter;
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};

/// In Svix's shape. `data` is ours: there it says more than Svix's three words for a state can.
pub(crate) fn out(job: &Job) -> Value {
    let status = match job.state {
        JobState::Running => "running",
        JobState::Finished => "finished",
        JobState::Failed | JobState::Cancelled => "failed",
    };
    json!({
        "id": job.id.to_string(),
        "status": status,
        "task": job.task.word(),
        "data": {
            "state": job.state.word(),
            "reason": job.reason.map(JobReason::word),
            "appId": job.app.to_string(),
            "endpointId": job.endpoint.map(|endpoint| endpoint.to_string()),
            "deliveriesPutBack": job.done_count,
            "messagesSent": job.done_count,
            "withoutPayload": job.lost_count,
            "total": job.total.map(|total| total.count),
            "totalIsMore": job.total.is_some_and(|total| total.more),
            "createdAt": job.created_at.to_string(),
        },
        "updatedAt": job.updated_at.to_string(),
    })
}

fn id(task: &str) -> Answer<JobId> {
    JobId::parse(task).ok_or_else(|| ApiError::not_found("background task"))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(task): Path<String>,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let job = state.queue.job(environment, id(&task)?).await?;
    Ok(json_of(StatusCode::OK, &out(&job.ok_or_else(|| ApiError::not_found("background task"))?)))
}

pub(crate) async fn list(State(state): State<Shared>, caller: Caller, query: Query) -> Answer<Response> {
    let environment = caller.environment()?;
    let task = query.read("task", |word| {
        JobTask::from_word(word).ok_or_else(|| {
            "must be endpoint.recover, endpoint.replay or endpoint.bulk-replay: no other task is known here".to_owned()
        })
    })?;
    let word = |word: &str| match word {
        "running" => Ok(JobState::Running),
        "finished" => Ok(JobState::Finished),
        "failed" => Ok(JobState::Failed),
        _ => Err("must be running, finished or failed".to_owned()),
    };
    let filter = JobFilter { task, state: query.read("status", word)? };
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let page = state.queue.jobs(environment, filter, page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |job| job.id.to_string(), |job| out(&job))))
}

/// Stops a job; one that is over stays what it is, so that asking again is harmless.
pub(crate) async fn cancel(
    State(state): State<Shared>,
    caller: Caller,
    Path(task): Path<String>,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let job = state.queue.cancel_job(environment, id(&task)?, state.clock.now()).await?;
    Ok(json_of(StatusCode::OK, &out(&job)))
}
