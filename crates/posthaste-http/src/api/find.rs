//! What an id names, and where that is: ours, beyond Svix's API, in which nothing is found without its app.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_store::named::{Named, Place};
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;

pub(crate) async fn find(
    State(state): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let nothing = || ApiError::not_found("id");
    let named = Named::parse(&id).ok_or_else(nothing)?;
    let place = state.history.find(environment, named).await?.ok_or_else(nothing)?;
    Ok(json_of(StatusCode::OK, &out(&id, named, place)))
}

fn out(id: &str, named: Named, place: Place) -> Value {
    json!({
        "id": id,
        "kind": named.word(),
        "appId": place.app.to_string(),
        "sourceId": place.source.map(|id| id.to_string()),
        "msgId": place.message.map(|id| id.to_string()),
        "endpointId": place.endpoint.map(|id| id.to_string()),
    })
}
