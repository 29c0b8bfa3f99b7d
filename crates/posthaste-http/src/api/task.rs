//! Jobs, which Svix calls background tasks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::id::JobId;
use posthaste_core::job::Job;
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;

pub(crate) fn out(job: &Job) -> Value {
    json!({
        "id": job.id.to_string(),
        "status": if job.finished { "finished" } else { "running" },
        "task": job.task.word(),
        "data": { "deliveriesPutBack": job.done_count },
        "updatedAt": job.updated_at.to_string(),
    })
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(task): Path<String>,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let id = JobId::parse(&task).ok_or_else(|| ApiError::not_found("background task"))?;
    let job =
        state.queue.job(environment, id).await?.ok_or_else(|| ApiError::not_found("background task"))?;
    Ok(json_of(StatusCode::OK, &out(&job)))
}
