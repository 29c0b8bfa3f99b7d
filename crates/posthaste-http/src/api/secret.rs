//! Signing secrets of endpoints.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::Secret;
use posthaste_core::app::Reference;
use posthaste_core::limits::{LIVE_SECRETS_MAX, ROTATION_GRACE_DEFAULT, ROTATION_GRACE_MAX};
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::directory::{Owner, RotateSecret};
use serde_json::json;

use super::endpoint::{fresh_secret, secret};
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, integer};
use crate::extract::path::Path;
use crate::state::ApiState;

fn out(secret: &Secret) -> Response {
    json_of(StatusCode::OK, &json!({ "key": secret.shared() }))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    // A secret lets its holder sign: a token that may only read may not have it.
    let (environment, app) = caller.writes(&state, app).await?;
    get_of(&state, environment, &Owner::App(app), &Reference::new(endpoint)).await
}

pub(crate) async fn get_of(
    state: &ApiState,
    environment: EnvironmentId,
    owner: &Owner,
    endpoint: &Reference,
) -> Answer<Response> {
    let endpoint = state.directory.endpoint(environment, owner, endpoint).await?;
    Ok(out(endpoint.secrets.newest()))
}

pub(crate) async fn rotate(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    rotate_of(&state, environment, Owner::App(app), (Reference::new(endpoint), body)).await
}

/// Answers with the new secret, as Svix's newest SDK expects; older ones ignore the body.
pub(crate) async fn rotate_of(
    state: &ApiState,
    environment: EnvironmentId,
    owner: Owner,
    (endpoint, body): (Reference, JsonBody),
) -> Answer<Response> {
    let (key, grace) = if body.0.is_empty() { (None, None) } else { read(&body)? };
    let now = state.clock.now();
    let current = state.directory.endpoint(environment, &owner, &endpoint).await?;
    if current.secrets.live(now).count() >= LIVE_SECRETS_MAX {
        let detail =
            format!("cannot rotate: {LIVE_SECRETS_MAX} secrets sign already, wait until one retires");
        return Err(ApiError::conflict(detail));
    }
    let secret = key.map_or_else(|| fresh_secret(state), Ok)?;
    let grace = grace.unwrap_or(ROTATION_GRACE_DEFAULT);
    let rotate = RotateSecret { environment, owner, endpoint, secret, grace };
    let endpoint = state.directory.rotate_secret(rotate, now).await?;
    Ok(out(endpoint.secrets.newest()))
}

fn read(body: &JsonBody) -> Answer<(Option<Secret>, Option<Duration>)> {
    let mut fields = Fields::of(body)?;
    let key = fields.get("key", secret).value();
    let longest = i64::try_from(ROTATION_GRACE_MAX.as_secs()).unwrap_or(i64::MAX);
    let grace = fields.get("gracePeriodSeconds", integer(0..=longest)).value();
    fields.done()?;
    Ok((key, grace.map(|secs| Duration::from_secs(secs.unsigned_abs()))))
}
