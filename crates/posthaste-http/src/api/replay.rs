//! Many deliveries again: counted first if so asked, then put back by a job.

use std::num::NonZeroU16;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::id::{JobId, MessageId};
use posthaste_core::limits::{EVENT_TYPES_PER_ENDPOINT_MAX, REPLAY_MESSAGES_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Pace, ReplayFilter, Which};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_store::directory::Owner;
use posthaste_store::replay::{NewReplay, ReplayScope};
use serde_json::{Value, json};

use super::task;
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, boolean, instant, integer, named, names, rate, string};
use crate::extract::path::Path;

/// What a body asks for.
struct Asked {
    endpoint: Option<Reference>,
    filter: ReplayFilter,
    rate: Option<NonZeroU16>,
    dry_run: bool,
}

pub(crate) async fn of_app(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let asked = read(&body, state.clock.now())?;
    let owner = Owner::App(app.clone());
    replay(&state, environment, (app, owner), asked).await
}

pub(crate) async fn of_source(
    State(state): State<Shared>,
    caller: Caller,
    Path(source): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let source = Reference::new(source);
    let app = state.sources.source(environment, &source).await?.app;
    let asked = read(&body, state.clock.now())?;
    replay(&state, environment, (app.into(), Owner::Source(source)), asked).await
}

/// Svix's, for one endpoint: what was delivered too, unless its status is named.
pub(crate) async fn bulk(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let now = state.clock.now();
    let mut fields = Fields::of(&body)?;
    let (since, until) = required_range(&mut fields, now);
    let which = fields.get("status", number_of_status).value().unwrap_or(Which::Ended);
    if fields.get("statusCodeClass", Ok).value().is_some() {
        fields.wrong("statusCodeClass", "is not supported: leave it out, or name a status");
    }
    let filter = narrowed(&mut fields, which, since, until);
    fields.done()?;
    let owner = Owner::App(app.clone());
    let asked = Asked { endpoint: Some(Reference::new(endpoint)), filter, rate: None, dry_run: false };
    replay(&state, environment, (app, owner), asked).await
}

/// Svix's, for one endpoint: messages that it wants and was never owed.
pub(crate) async fn missing(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let mut fields = Fields::of(&body)?;
    let (since, until) = required_range(&mut fields, state.clock.now());
    fields.done()?;
    let which = Which::Missing;
    let filter =
        ReplayFilter { which, since, until, event_types: None, channel: None, tag: None, messages: None };
    let owner = Owner::App(app.clone());
    let asked = Asked { endpoint: Some(Reference::new(endpoint)), filter, rate: None, dry_run: false };
    replay(&state, environment, (app, owner), asked).await
}

async fn replay(
    state: &Shared,
    environment: EnvironmentId,
    (app, owner): (Reference, Owner),
    asked: Asked,
) -> Answer<Response> {
    let Asked { endpoint, filter, rate, dry_run } = asked;
    if let Some(endpoint) = &endpoint
        && state.directory.endpoint(environment, &owner, endpoint).await?.disabled
    {
        return Err(ApiError::conflict("the endpoint is disabled: enable it before you replay to it"));
    }
    let scope = ReplayScope { environment, app, endpoint, filter };
    let total = state.queue.count_replay(scope.clone()).await?;
    if dry_run {
        return Ok(json_of(StatusCode::OK, &json!({ "count": total.count, "more": total.more })));
    }
    let now = state.clock.now();
    let new = NewReplay { id: JobId::fresh(now, &*state.dice), scope, pace: Pace(rate), total };
    let job = state.queue.replay(new, now).await?;
    Ok(json_of(StatusCode::ACCEPTED, &task::out(&job)))
}

fn read(body: &JsonBody, now: Timestamp) -> Answer<Asked> {
    let mut fields = Fields::of(body)?;
    let endpoint = fields.get("endpoint", string).value().map(Reference::new);
    let messages = fields.get("messages", message_ids).value();
    let since = fields.get("since", instant).value();
    let until = fields.get("until", instant).value();
    check_range(&mut fields, since, until, now);
    // Whoever names messages means them, however they stand.
    let default = if messages.is_some() { Which::Ended } else { Which::Failed };
    let which = fields.get("status", word_of_status).value().unwrap_or(default);
    let filter = narrowed(&mut fields, which, since.unwrap_or(Timestamp::EPOCH), until.unwrap_or(now));
    let rate = fields.get("ratePerSecond", rate).value();
    let dry_run = fields.not_null("dryRun", boolean).unwrap_or_default();
    // A filter that is misspelt would replay everything.
    fields.nothing_else();
    fields.done()?;
    Ok(Asked { endpoint, filter: ReplayFilter { messages, ..filter }, rate, dry_run })
}

fn narrowed(fields: &mut Fields, which: Which, since: Timestamp, until: Timestamp) -> ReplayFilter {
    let types = names(EventTypeName::parse, EVENT_TYPES_PER_ENDPOINT_MAX, false);
    ReplayFilter {
        which,
        since,
        until,
        event_types: fields.get("eventTypes", types).value(),
        channel: fields.get("channel", named(Channel::parse)).value(),
        tag: fields.get("tag", named(Tag::parse)).value(),
        messages: None,
    }
}

fn required_range(fields: &mut Fields, now: Timestamp) -> (Timestamp, Timestamp) {
    let since = fields.required("since", instant);
    let until = fields.get("until", instant).value();
    check_range(fields, since, until, now);
    (since.unwrap_or(now), until.unwrap_or(now))
}

fn check_range(fields: &mut Fields, since: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) {
    let Some(since) = since else { return };
    if since > now {
        fields.wrong("since", "must not lie in the future");
    }
    if until.is_some_and(|until| until < since) {
        fields.wrong("until", "must not lie before since");
    }
}

fn word_of_status(value: Value) -> Result<Which, String> {
    match string(value)?.as_str() {
        "failed" => Ok(Which::Failed),
        "delivered" => Ok(Which::Delivered),
        "any" => Ok(Which::Ended),
        _ => Err("must be failed, delivered or any".to_owned()),
    }
}

fn number_of_status(value: Value) -> Result<Which, String> {
    match integer(0..=3)(value)? {
        0 => Ok(Which::Delivered),
        2 => Ok(Which::Failed),
        _ => Err("must be 0 (success) or 2 (fail): what waits or is on its way is sent anyway".to_owned()),
    }
}

/// Ids of messages, in their order.
fn message_ids(value: Value) -> Result<Vec<MessageId>, String> {
    let Value::Array(items) = value else { return Err("must be a list of message ids".to_owned()) };
    if items.is_empty() || items.len() > REPLAY_MESSAGES_MAX {
        return Err(format!("must hold 1 to {REPLAY_MESSAGES_MAX} message ids"));
    }
    let mut ids = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let id = string(item).ok().and_then(|text| MessageId::parse(&text));
        ids.push(id.ok_or_else(|| format!("item {index} is no id of a message, msg_…"))?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
