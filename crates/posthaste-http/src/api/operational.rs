//! Operational webhooks: endpoints of the environment itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_store::directory::Owner;

use super::{endpoint, headers as custom_headers, secret as secrets};
use crate::Shared;
use crate::error::{Answer, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::path::Path;
use crate::extract::query::Query;

pub(crate) async fn list(State(state): State<Shared>, caller: Caller, query: Query) -> Answer<Response> {
    endpoint::list_of(&state, caller.environment()?, &Owner::Operational, &query).await
}

pub(crate) async fn create(State(state): State<Shared>, caller: Caller, body: JsonBody) -> Answer<Response> {
    endpoint::create_of(&state, caller.environment()?, &Owner::Operational, &body).await
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> Answer<Response> {
    let endpoint = Reference::new(endpoint);
    let endpoint = state.directory.endpoint(caller.environment()?, &Owner::Operational, &endpoint).await?;
    Ok(json_of(StatusCode::OK, &endpoint::out(&endpoint)))
}

pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let place = (&Reference::new(endpoint), &body);
    endpoint::put_of(&state, caller.environment()?, &Owner::Operational, place).await
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> Answer<StatusCode> {
    let (endpoint, now) = (Reference::new(endpoint), state.clock.now());
    state.directory.delete_endpoint(caller.environment()?, &Owner::Operational, &endpoint, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn headers(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> Answer<Response> {
    let endpoint = Reference::new(endpoint);
    let endpoint = state.directory.endpoint(caller.environment()?, &Owner::Operational, &endpoint).await?;
    Ok(json_of(StatusCode::OK, &custom_headers::out(&endpoint.headers)))
}

pub(crate) async fn put_headers(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    let change = custom_headers::replacement(&body)?;
    let (endpoint, now) = (Reference::new(endpoint), state.clock.now());
    state.directory.change_endpoint(environment, &Owner::Operational, &endpoint, change, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn secret(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> Answer<Response> {
    secrets::get_of(&state, caller.environment()?, &Owner::Operational, &Reference::new(endpoint)).await
}

pub(crate) async fn rotate(
    State(state): State<Shared>,
    caller: Caller,
    Path(endpoint): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let place = (Reference::new(endpoint), body);
    secrets::rotate_of(&state, caller.environment()?, Owner::Operational, place).await
}
