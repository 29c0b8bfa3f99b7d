//! Endpoints of a source: the handlers that its messages go to.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_store::directory::Owner;

use crate::Shared;
use crate::api::{endpoint, headers as custom_headers, portal, secret as secrets};
use crate::error::{Answer, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::path::Path;
use crate::extract::query::Query;

fn owner(source: String) -> Owner {
    Owner::Source(Reference::new(source))
}

pub(crate) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    query: Query,
) -> Answer<Response> {
    endpoint::list_of(&state, caller.environment()?, &owner(source), &query).await
}

pub(crate) async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    endpoint::create_of(&state, caller.environment()?, &owner(source), &body).await
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    let endpoint = Reference::new(endpoint);
    let endpoint = state.directory.endpoint(caller.environment()?, &owner(source), &endpoint).await?;
    Ok(json_of(StatusCode::OK, &endpoint::out(&endpoint)))
}

pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let place = (&Reference::new(endpoint), &body);
    endpoint::put_of(&state, caller.environment()?, &owner(source), place).await
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (endpoint, now) = (Reference::new(endpoint), state.clock.now());
    state.directory.delete_endpoint(caller.environment()?, &owner(source), &endpoint, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn headers(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    let endpoint = Reference::new(endpoint);
    let endpoint = state.directory.endpoint(caller.environment()?, &owner(source), &endpoint).await?;
    Ok(json_of(StatusCode::OK, &custom_headers::out(&endpoint.headers)))
}

pub(crate) async fn put_headers(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    let change = custom_headers::replacement(&body)?;
    let (endpoint, now) = (Reference::new(endpoint), state.clock.now());
    state.directory.change_endpoint(environment, &owner(source), &endpoint, change, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn secret(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    secrets::get_of(&state, caller.environment()?, &owner(source), &Reference::new(endpoint)).await
}

pub(crate) async fn rotate(
    State(state): State<Shared>,
    caller: Caller,
    Path((source, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let place = (Reference::new(endpoint), body);
    secrets::rotate_of(&state, caller.environment()?, owner(source), place).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A link to the portal of the source's own app.
pub(crate) async fn dashboard(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let source = state.sources.source(environment, &Reference::new(source)).await?;
    portal::link_to(&state, environment, source.app, portal::Asked::read(&body)?).await
}
