//! Custom headers of endpoints.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::endpoint::{EndpointChange, Header};
use posthaste_core::limits::{HEADER_VALUE_BYTES_MAX, HEADERS_PER_ENDPOINT_MAX};
use posthaste_store::directory::Owner;
use serde_json::{Map, Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, names, object, string};
use crate::extract::path::Path;

/// Headers that belong to the connection, to the request's frame or to our signature.
const OURS: [&str; 22] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];
/// Names that carry credentials: their values are never shown again.
const SENSITIVE: [&str; 6] =
    ["authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-access-token"];

/// Reads a map of headers.
pub(crate) fn read(value: Value) -> Result<Vec<Header>, String> {
    let map = object(value)?;
    if map.len() > HEADERS_PER_ENDPOINT_MAX {
        return Err(format!("must hold at most {HEADERS_PER_ENDPOINT_MAX} headers"));
    }
    let mut headers: Vec<Header> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let name = checked_name(&name)?;
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            return Err(format!("must not name {} twice", name.to_ascii_lowercase()));
        }
        let value = checked_value(value)?;
        headers.push((name, value));
    }
    Ok(headers)
}

fn checked_name(name: &str) -> Result<String, String> {
    if name.len() > 256 || HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("must have names that HTTP allows: letters, digits and '-'".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) || lower.starts_with("webhook-") || lower.starts_with("svix-") {
        return Err(format!("must not name {lower}, which Posthaste sets itself"));
    }
    Ok(name.to_owned())
}

fn checked_value(value: Value) -> Result<String, String> {
    let value = string(value)?;
    if value.len() > HEADER_VALUE_BYTES_MAX {
        return Err(format!("must have values of at most {HEADER_VALUE_BYTES_MAX} bytes"));
    }
    let plain = value.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t');
    if !plain || value.trim() != value || HeaderValue::from_str(&value).is_err() {
        return Err("must have values of printable ASCII, without blanks around them".to_owned());
    }
    Ok(value)
}

/// The headers on the wire: values that carry credentials are named and not shown.
pub(crate) fn out(headers: &[Header]) -> Value {
    let is_sensitive = |name: &str| SENSITIVE.contains(&name.to_ascii_lowercase().as_str());
    let shown: Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| !is_sensitive(name))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let sensitive: Vec<&str> =
        headers.iter().map(|(name, _)| name.as_str()).filter(|name| is_sensitive(name)).collect();
    json!({ "headers": shown, "sensitive": sensitive })
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let endpoint = state.directory.endpoint(environment, &Owner::App(app), &Reference::new(endpoint)).await?;
    Ok(json_of(StatusCode::OK, &out(&endpoint.headers)))
}

/// The body of a PUT, as a change.
pub(crate) fn replacement(body: &JsonBody) -> Answer<EndpointChange> {
    let mut fields = Fields::of(body)?;
    let headers = fields.required("headers", read);
    fields.done()?;
    Ok(EndpointChange { headers, ..EndpointChange::default() })
}

pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let (environment, app) = caller.writes(&state, app).await?;
    let change = replacement(&body)?;
    let now = state.clock.now();
    state
        .directory
        .change_endpoint(environment, &Owner::App(app), &Reference::new(endpoint), change, now)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let (environment, app) = caller.writes(&state, app).await?;
    let endpoint = Reference::new(endpoint);
    let mut fields = Fields::of(&body)?;
    let header_patch = fields.required("headers", read_patch).unwrap_or_default();
    let any = |text: &str| Ok(text.to_owned());
    let deleted = fields.get("deleteHeaders", names(any, HEADERS_PER_ENDPOINT_MAX, true)).value();
    fields.done()?;
    let owner = Owner::App(app);
    let existing = state.directory.endpoint(environment, &owner, &endpoint).await?.headers;
    let removed = deleted.unwrap_or_default().into_iter().map(|name| (name, None));
    let header_patch: Vec<_> = header_patch.into_iter().chain(removed).collect();
    if count_after(&existing, &header_patch) > HEADERS_PER_ENDPOINT_MAX {
        let msg = format!("headers must be at most {HEADERS_PER_ENDPOINT_MAX} in all");
        return Err(ApiError::invalid("body", "headers", msg));
    }
    let change = EndpointChange { header_patch, ..EndpointChange::default() };
    state.directory.change_endpoint(environment, &owner, &endpoint, change, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many headers there are once a patch is applied.
fn count_after(existing: &[Header], patch: &[(String, Option<String>)]) -> usize {
    let mut names: HashSet<String> = existing.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    for (name, value) in patch {
        let name = name.to_ascii_lowercase();
        if value.is_some() {
            names.insert(name)
        } else {
            names.remove(&name)
        };
    }
    names.len()
}

/// Like [`read`], and `null` removes.
fn read_patch(value: Value) -> Result<Vec<(String, Option<String>)>, String> {
    let (removed, set): (Map<String, Value>, Map<String, Value>) =
        object(value)?.into_iter().partition(|(_, value)| value.is_null());
    let set = read(Value::Object(set))?.into_iter().map(|(name, value)| (name, Some(value)));
    Ok(removed.into_iter().map(|(name, _)| (name, None)).chain(set).collect())
}
