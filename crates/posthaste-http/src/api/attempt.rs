//! Attempts, and the deliveries behind them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::attempt::{Outcome, Trigger};
use posthaste_core::delivery::DeliveryState;
use posthaste_core::id::AttemptId;
use posthaste_store::history::{AttemptRow, Attempted, Destination, Status};
use posthaste_store::page::Order;
use serde_json::{Value, json};

use super::{endpoint, message};
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};

fn status_number(status: Status) -> u8 {
    match status {
        Status::Success => 0,
        Status::Pending => 1,
        Status::Fail => 2,
        Status::Sending => 3,
    }
}

fn status_text(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::Pending => "pending",
        Status::Fail => "fail",
        Status::Sending => "sending",
    }
}

/// What an attempt on the wire shows of its message and its answer.
#[derive(Clone, Copy)]
struct Show {
    content: bool,
    message: bool,
}

fn out(row: AttemptRow, show: Show) -> Value {
    let attempt = row.attempt;
    let response = match &attempt.outcome {
        Outcome::Replied(reply) if show.content => String::from_utf8_lossy(&reply.body).into_owned(),
        Outcome::Replied(_) => String::new(),
        Outcome::Failed(failure) => failure.detail.clone(),
    };
    let failure = match &attempt.outcome {
        Outcome::Failed(failure) => Some(failure.kind.word()),
        Outcome::Replied(_) => None,
    };
    let mut value = json!({
        "id": attempt.id.to_string(),
        "msgId": attempt.message.to_string(),
        "endpointId": attempt.endpoint.to_string(),
        "url": attempt.url,
        "response": response,
        "responseStatusCode": attempt.outcome.status_code(),
        "responseDurationMs": u64::try_from(attempt.timing.total.as_millis()).unwrap_or(u64::MAX),
        "status": status_number(row.status),
        "statusText": status_text(row.status),
        "triggerType": u8::from(attempt.trigger == Trigger::Manual),
        "timestamp": attempt.started_at.to_string(),
        "errorCode": failure,
    });
    if show.message
        && let Some(message) = &row.message
    {
        value["msg"] = json!(message::out(message, show.content));
    }
    value
}

fn next_attempt(state: DeliveryState) -> Option<String> {
    match state {
        DeliveryState::Waiting { due } => Some(due.to_string()),
        _ => None,
    }
}

fn destination(row: Destination) -> Value {
    let mut value = endpoint::out(&row.endpoint);
    let status = Status::from(row.state);
    value["status"] = json!(status_number(status));
    value["statusText"] = json!(status_text(status));
    value["nextAttempt"] = json!(next_attempt(row.state));
    value["reason"] = json!(reason(row.state));
    value
}

/// Why a delivery ended undelivered.
fn reason(state: DeliveryState) -> Option<&'static str> {
    match state {
        DeliveryState::DeadLettered { why } => Some(why.word()),
        _ => None,
    }
}

fn attempted(row: Attempted, with_content: bool) -> Value {
    let mut value = json!(message::out(&row.message, with_content));
    let status = Status::from(row.state);
    value["status"] = json!(status_number(status));
    value["statusText"] = json!(status_text(status));
    value["nextAttempt"] = json!(next_attempt(row.state));
    value["reason"] = json!(reason(row.state));
    value
}

pub(crate) async fn by_message(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, msg)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let show = Show { content: query.flag("with_content", true)?, message: false };
    let filter = query.attempt_filter()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let msg = Reference::new(msg);
    let page = state.history.attempts_of_message(environment, &app, &msg, &filter, page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |row| row.attempt.id.to_string(), |row| out(row, show))))
}

pub(crate) async fn by_endpoint(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let show = Show { content: query.flag("with_content", true)?, message: query.flag("with_msg", false)? };
    let filter = query.attempt_filter()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let endpoint = Reference::new(endpoint);
    let page = state.history.attempts_of_endpoint(environment, &app, &endpoint, &filter, page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |row| row.attempt.id.to_string(), |row| out(row, show))))
}

fn attempt_id(text: &str) -> Answer<AttemptId> {
    AttemptId::parse(text).ok_or_else(|| ApiError::not_found("attempt"))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, msg, attempt)): Path<(String, String, String)>,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let attempt = attempt_id(&attempt)?;
    let row = state.history.attempt(environment, &app, &Reference::new(msg), attempt).await?;
    Ok(json_of(StatusCode::OK, &out(row, Show { content: true, message: false })))
}

pub(crate) async fn expunge(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, msg, attempt)): Path<(String, String, String)>,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    let attempt = attempt_id(&attempt)?;
    state.history.expunge_attempt(environment, &Reference::new(app), &Reference::new(msg), attempt).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// To whom a message went, and how that stands.
pub(crate) async fn destinations(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, msg)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let page = query.page_of_ids(Order::Ascending, state.clock.now())?;
    let page = state.history.destinations(environment, &app, &Reference::new(msg), page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |row| row.endpoint.id.to_string(), destination)))
}

/// What an endpoint was sent, and how that stands.
pub(crate) async fn attempted_messages(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let with_content = query.flag("with_content", true)?;
    let filter = query.attempt_filter()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let endpoint = Reference::new(endpoint);
    let page = state.history.attempted(environment, &app, &endpoint, &filter, page).await?;
    let page = ListOut::of(page, |row| row.message.id.to_string(), |row| attempted(row, with_content));
    Ok(json_of(StatusCode::OK, &page))
}
