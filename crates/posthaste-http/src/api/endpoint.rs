//! Endpoints.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::Secret;
use posthaste_core::app::Reference;
use posthaste_core::dice::roll;
use posthaste_core::endpoint::{Endpoint, EndpointChange, Filter, NewEndpoint};
use posthaste_core::id::EndpointId;
use posthaste_core::limits::{
    CHANNELS_PER_ENDPOINT_MAX, DESCRIPTION_LENGTH_MAX, EVENT_TYPES_PER_ENDPOINT_MAX,
};
use posthaste_core::listener;
use posthaste_core::name::{Channel, EventTypeName, Uid};
use posthaste_core::target::{Target, judge_addresses};
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::ChangeError;
use posthaste_store::directory::Owner;
use posthaste_store::page::Order;
use serde_json::{Value, json};

use super::headers;
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{
    Fields, Given, boolean, integer, metadata, names, prose, rate, string, uid, uid_in_path,
};
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};
use crate::state::{ApiState, SignatureKind};

/// How far back an endpoint's counts may reach.
const STATS_WINDOW_MAX: Duration = Duration::from_hours(28 * 24);

/// An endpoint on the wire.
pub(crate) fn out(endpoint: &Endpoint) -> Value {
    let names = |list: &Option<Vec<EventTypeName>>| -> Option<Vec<String>> {
        list.as_ref().map(|l| l.iter().map(ToString::to_string).collect())
    };
    let channels: Option<Vec<&str>> =
        endpoint.filter.channels.as_ref().map(|l| l.iter().map(Channel::as_str).collect());
    json!({
        "id": endpoint.id.to_string(),
        "uid": endpoint.uid.as_ref().map(Uid::as_str),
        "url": endpoint.url,
        "version": 1,
        "description": endpoint.description,
        "throttleRate": endpoint.rate_per_second,
        "rateLimit": endpoint.rate_per_second,
        "disabled": endpoint.disabled,
        "eventTypes": names(&endpoint.filter.event_types),
        "filterTypes": names(&endpoint.filter.event_types),
        "channels": channels,
        "metadata": endpoint.metadata,
        "createdAt": endpoint.created_at.to_string(),
        "updatedAt": endpoint.updated_at.to_string(),
    })
}

/// Everything that a caller says of an endpoint, read from `EndpointIn`, `EndpointUpdate` or `EndpointPatch`.
pub(crate) struct Said {
    pub(crate) uid: Given<Uid>,
    pub(crate) url: Given<String>,
    pub(crate) change: EndpointChange,
    pub(crate) secret: Option<Secret>,
}

/// Reads them. `patch`: what is left out stays as it is, also the URL.
pub(crate) fn read(fields: &mut Fields, patch: bool) -> Said {
    let url = if patch {
        fields.not_null("url", string).map_or(Given::Absent, Given::Value)
    } else {
        fields.required("url", string).map_or(Given::Absent, Given::Value)
    };
    let types = |may_be_empty| names(EventTypeName::parse, EVENT_TYPES_PER_ENDPOINT_MAX, may_be_empty);
    // The older name's empty list means all: svix-react always sends one. The newer name's is a mistake.
    let older = fields.get("filterTypes", types(true)).change().map(|l| l.filter(|l| !l.is_empty()));
    let event_types = match fields.get("eventTypes", types(false)) {
        Given::Absent => older,
        given => given.change(),
    };
    let uid = fields.get("uid", uid("ep_", Uid::parse));
    fields.not_null("ordered", unordered);
    fields.not_null("version", integer(1..=i64::from(u16::MAX)));
    let change = EndpointChange {
        uid: None,
        url: None,
        description: fields.not_null("description", prose(DESCRIPTION_LENGTH_MAX)),
        rate_per_second: fields.either(["throttleRate", "rateLimit"], rate).change(),
        disabled: fields.not_null("disabled", boolean),
        event_types,
        channels: fields.get("channels", names(Channel::parse, CHANNELS_PER_ENDPOINT_MAX, false)).change(),
        metadata: fields.not_null("metadata", metadata),
        headers: fields.get("headers", headers::read).value(),
        header_patch: Vec::new(),
    };
    let secret = fields.get("secret", secret).value();
    Said { uid, url, change, secret }
}

/// A promise that is not made: whoever asks for it must not believe that it is kept.
fn unordered(value: Value) -> Result<(), String> {
    if boolean(value)? {
        return Err("cannot be true: deliveries in order are not supported".to_owned());
    }
    Ok(())
}

/// A secret that a caller chose.
pub(crate) fn secret(value: Value) -> Result<Secret, String> {
    let text = string(value)?;
    let secret = Secret::parse(&text).map_err(|error| format!("is no secret: {error}"))?;
    // A key of one repeated byte was not made by dice.
    let shared = secret.expose();
    let key = shared.split_once('_').map_or("", |(_, key)| key).trim_end_matches('=');
    if key.bytes().all(|b| Some(b) == key.bytes().next()) {
        return Err("is no secret: it is the same byte over and over".to_owned());
    }
    Ok(secret)
}

/// A fresh secret of the kind that new endpoints get.
pub(crate) fn fresh_secret(state: &ApiState) -> Answer<Secret> {
    match state.settings.default_signature {
        SignatureKind::Ed25519 => Ok(Secret::ed25519(roll(&*state.dice))),
        SignatureKind::Hmac => Secret::hmac(&roll::<24>(&*state.dice)).map_err(|error| {
            tracing::error!(%error, "a secret could not be made");
            ApiError::Unavailable
        }),
    }
}

/// Judges a URL as the engine will: its text now, and the addresses of its name as far as they are known now. That of a
/// listener leads nowhere.
pub(crate) async fn judge_url(state: &ApiState, url: &str) -> Answer<String> {
    let refuse = |error: &dyn std::fmt::Display| ApiError::invalid("body", "url", format!("url {error}"));
    if let Some(named) = listener::name_of(url) {
        return named.map(|_| url.to_owned()).map_err(|error| refuse(&error));
    }
    let policy = &state.settings.target_policy;
    let target = Target::parse(url, policy).map_err(|error| refuse(&error))?;
    if target.literal().is_none() {
        let answers = state.settings.resolver.lookup(target.host()).await;
        judge_addresses(&target, &answers, policy).map_err(|error| refuse(&error))?;
    }
    Ok(target.url().as_str().to_owned())
}

/// A new endpoint from what was said of it.
pub(crate) fn new_endpoint(state: &ApiState, said: Said, url: String) -> Answer<NewEndpoint> {
    let Said { uid, change, secret, .. } = said;
    Ok(NewEndpoint {
        id: EndpointId::fresh(state.clock.now(), &*state.dice),
        uid: uid.value(),
        url,
        description: change.description.unwrap_or_default(),
        rate_per_second: change.rate_per_second.flatten(),
        disabled: change.disabled.unwrap_or(false),
        filter: Filter { event_types: change.event_types.flatten(), channels: change.channels.flatten() },
        headers: change.headers.unwrap_or_default(),
        metadata: change.metadata.unwrap_or_default(),
        secret: secret.map_or_else(|| fresh_secret(state), Ok)?,
    })
}

pub(crate) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    list_of(&state, environment, &Owner::App(app), &query).await
}

pub(crate) async fn list_of(
    state: &ApiState,
    environment: EnvironmentId,
    owner: &Owner,
    query: &Query,
) -> Answer<Response> {
    let page = query.page_of_ids(Order::Ascending, state.clock.now())?;
    let page = state.directory.endpoints(environment, owner, page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |e| e.id.to_string(), |e| out(&e))))
}

pub(crate) async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    create_of(&state, environment, &Owner::App(app), &body).await
}

pub(crate) async fn create_of(
    state: &ApiState,
    environment: EnvironmentId,
    owner: &Owner,
    body: &JsonBody,
) -> Answer<Response> {
    let mut fields = Fields::of(body)?;
    let said = read(&mut fields, false);
    fields.done()?;
    let url = judge_url(state, &said.url.clone().value().unwrap_or_default()).await?;
    let new = new_endpoint(state, said, url)?;
    let endpoint = state.directory.create_endpoint(environment, owner, new, state.clock.now()).await?;
    Ok(json_of(StatusCode::CREATED, &out(&endpoint)))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let endpoint = state.directory.endpoint(environment, &Owner::App(app), &Reference::new(endpoint)).await?;
    Ok(json_of(StatusCode::OK, &out(&endpoint)))
}

pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    put_of(&state, environment, &Owner::App(app), (&Reference::new(endpoint), &body)).await
}

/// Replaces all but the secret and the headers, or makes the endpoint under the path's uid.
pub(crate) async fn put_of(
    state: &ApiState,
    environment: EnvironmentId,
    owner: &Owner,
    (endpoint, body): (&Reference, &JsonBody),
) -> Answer<Response> {
    let mut fields = Fields::of(body)?;
    let mut said = read(&mut fields, false);
    fields.done()?;
    let url = judge_url(state, &said.url.clone().value().unwrap_or_default()).await?;
    let whole = EndpointChange {
        uid: Some(said.uid.clone().value()),
        url: Some(url.clone()),
        description: Some(said.change.description.clone().unwrap_or_default()),
        rate_per_second: Some(said.change.rate_per_second.flatten()),
        disabled: Some(said.change.disabled.unwrap_or(false)),
        event_types: Some(said.change.event_types.clone().flatten()),
        channels: Some(said.change.channels.clone().flatten()),
        metadata: Some(said.change.metadata.clone().unwrap_or_default()),
        headers: said.change.headers.clone(),
        header_patch: Vec::new(),
    };
    // A body without a uid keeps the one that the path was found by.
    let whole = match (&said.uid, endpoint.id::<posthaste_core::id::EndpointKind>()) {
        (Given::Absent, None) => EndpointChange { uid: None, ..whole },
        _ => whole,
    };
    let now = state.clock.now();
    match state.directory.change_endpoint(environment, owner, endpoint, whole, now).await {
        Ok(endpoint) => Ok(json_of(StatusCode::OK, &out(&endpoint))),
        Err(ChangeError::NotFound("endpoint")) => {
            let in_path =
                uid_in_path("ep_", endpoint.as_str()).ok_or_else(|| ApiError::not_found("endpoint"))?;
            if said.uid == Given::Absent {
                said.uid = Given::Value(in_path);
            }
            let new = new_endpoint(state, said, url)?;
            let made = state.directory.create_endpoint(environment, owner, new, now).await?;
            Ok(json_of(StatusCode::CREATED, &out(&made)))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let mut fields = Fields::of(&body)?;
    let said = read(&mut fields, true);
    fields.done()?;
    let url = match said.url.value() {
        Some(url) => Some(judge_url(&state, &url).await?),
        None => None,
    };
    let change = EndpointChange { uid: said.uid.change(), url, ..said.change };
    let endpoint = state
        .directory
        .change_endpoint(environment, &Owner::App(app), &Reference::new(endpoint), change, state.clock.now())
        .await?;
    Ok(json_of(StatusCode::OK, &out(&endpoint)))
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let (environment, app) = caller.writes(&state, app).await?;
    let now = state.clock.now();
    state.directory.delete_endpoint(environment, &Owner::App(app), &Reference::new(endpoint), now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn stats(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let now = state.clock.now();
    let until = query.instant("until")?.unwrap_or(now);
    let since = query.instant("since")?.unwrap_or_else(|| until.earlier(STATS_WINDOW_MAX));
    if since > until || until.since(since) > STATS_WINDOW_MAX {
        let msg = "since must lie before until, and at most 28 days before it";
        return Err(ApiError::invalid("query", "since", msg));
    }
    let counts =
        state.history.endpoint_stats(environment, &app, &Reference::new(endpoint), since, until).await?;
    let counts = json!({
        "success": counts.success,
        "pending": counts.pending,
        "sending": counts.sending,
        "fail": counts.fail,
        "canceled": 0,
    });
    Ok(json_of(StatusCode::OK, &counts))
}
