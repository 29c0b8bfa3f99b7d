//! Requests that a source did not take, with the reason.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::source::Refusal;
use posthaste_store::page::Order;
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::error::{Answer, json_of};
use crate::extract::auth::Caller;
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};

pub(crate) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    query: Query,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let page = state.sources.refusals(environment, &Reference::new(source), page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |refusal| refusal.id.to_string(), |refusal| out(&refusal))))
}

/// `IngestLogOut`, whose names are in snake case, and what it lacks.
fn out(refusal: &Refusal) -> Value {
    let mut headers = Map::new();
    for (name, value) in refusal.origin.shown_headers() {
        // A repeated header is one entry, as it would be on the wire.
        let joined = match headers.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.into_owned(),
        };
        headers.insert(name.to_owned(), Value::from(joined));
    }
    json!({
        "id": refusal.id.to_string(),
        "source_id": refusal.source.to_string(),
        "status_code": refusal.status,
        "error_text": refusal.reason,
        "method": refusal.origin.method,
        "query": refusal.origin.shown_query(),
        "headers": headers,
        "payload": String::from_utf8_lossy(&refusal.body),
        "payload_bytes": refusal.body_bytes_count,
        "client_address": refusal.remote.map(|address| address.to_string()),
        "created_at": refusal.at.to_string(),
        "updated_at": refusal.at.to_string(),
    })
}
