//! Sending again: one message by resend, everything that failed by recover.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::id::JobId;
use posthaste_core::limits::RECOVER_WINDOW_MAX;
use posthaste_core::time::Timestamp;
use posthaste_store::ChangeError;
use posthaste_store::directory::Owner;
use posthaste_store::queue::NewRecover;
use serde_json::json;

use super::task;
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, instant};
use crate::extract::path::Path;

pub(crate) async fn resend(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, msg, endpoint)): Path<(String, String, String)>,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let (msg, endpoint, now) = (Reference::new(msg), Reference::new(endpoint), state.clock.now());
    match state.queue.resend(environment, &app, &msg, &endpoint, now).await {
        Ok(()) => Ok(json_of(StatusCode::ACCEPTED, &json!({}))),
        Err(ChangeError::NotFound("the message's payload")) => {
            Err(ApiError::conflict("the message's payload is gone: it was expunged, or its time was over"))
        }
        Err(error) => Err(error.into()),
    }
}

/// `since` and `until`, within the window that can be recovered.
fn range(body: &JsonBody, now: Timestamp) -> Answer<(Timestamp, Timestamp)> {
    let mut fields = Fields::of(body)?;
    let since = fields.required("since", instant);
    let until = fields.get("until", instant).value();
    if let Some(since) = since {
        if since > now {
            fields.wrong("since", "must not lie in the future");
        }
        if since < now.earlier(RECOVER_WINDOW_MAX) {
            fields.wrong("since", "must lie within the last 14 days");
        }
        if until.is_some_and(|until| until < since) {
            fields.wrong("until", "must not lie before since");
        }
    }
    fields.done()?;
    Ok((since.unwrap_or(now), until.unwrap_or(now)))
}

pub(crate) async fn recover(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let endpoint = Reference::new(endpoint);
    let now = state.clock.now();
    let (since, until) = range(&body, now)?;
    let found = state.directory.endpoint(environment, &Owner::App(app.clone()), &endpoint).await?;
    if found.disabled {
        return Err(ApiError::conflict("the endpoint is disabled: enable it before you recover it"));
    }
    let id = JobId::fresh(now, &*state.dice);
    let job = state.queue.recover(NewRecover { id, environment, app, endpoint, since, until }, now).await?;
    Ok(json_of(StatusCode::ACCEPTED, &task::out(&job)))
}
