//! Messages. Creating one is the hot path: the payload is never parsed into values and never written again.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::id::MessageId;
use posthaste_core::limits::{
    CHANNELS_PER_MESSAGE_MAX, DELIVER_AT_MAX, IDEMPOTENCY_KEY_LENGTH_MAX, TAGS_PER_MESSAGE_MAX,
};
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use posthaste_store::intake::NewMessage;
use posthaste_store::page::Order;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

use super::{app, received};
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::{JsonBody, not_json};
use crate::extract::fields::{Fields, instant, integer, named, names, uid};
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};
use crate::idempotency;
use crate::state::ApiState;

/// A message on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageOut {
    id: String,
    event_id: Option<String>,
    event_type: String,
    payload: Box<RawValue>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    received: Option<received::ReceivedOut>,
}

/// Stands where a payload was that is gone.
const EXPUNGED: &str = r#"{"expired":true}"#;

/// The payload as it was sent; a mark in its place when it is gone, nothing when it was not asked for.
pub(crate) fn payload(body: Option<&Bytes>, with_content: bool) -> Box<RawValue> {
    let text = match body {
        _ if !with_content => "{}",
        Some(body) => std::str::from_utf8(body).unwrap_or("{}"),
        None => EXPUNGED,
    };
    RawValue::from_string(text.to_owned()).unwrap_or_default()
}

pub(crate) fn out(message: &Message, with_content: bool) -> MessageOut {
    let texts = |names: Vec<String>| (!names.is_empty()).then_some(names);
    MessageOut {
        id: message.id.to_string(),
        event_id: message.event_id.as_ref().map(ToString::to_string),
        event_type: message.event_type.to_string(),
        payload: match (&message.origin, &message.body) {
            (Some(_), Some(body)) if with_content => received::payload(body),
            _ => payload(message.body.as_ref(), with_content),
        },
        channels: texts(message.channels.iter().map(ToString::to_string).collect()),
        tags: texts(message.tags.iter().map(ToString::to_string).collect()),
        timestamp: message.created_at.to_string(),
        deliver_at: message.deliver_at.map(|at| at.to_string()),
        received: message
            .origin
            .as_deref()
            .filter(|_| with_content)
            .map(|origin| received::out(origin, message)),
    }
}

/// The fields of a message as they stand in the body, each unparsed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    event_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channels: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deliver_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload_retention_period: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload_retention_hours: Option<&'a RawValue>,
    #[serde(borrow, default)]
    application: Option<&'a RawValue>,
    #[serde(borrow, default)]
    transformations_params: Option<&'a RawValue>,
}

/// A message as its sender described it.
struct MessageIn {
    event_type: EventTypeName,
    payload: Bytes,
    event_id: Option<Uid>,
    channels: Vec<Channel>,
    tags: Vec<Tag>,
    deliver_at: Option<Timestamp>,
    expunge_at: Option<Timestamp>,
    application: Option<NewApp>,
}

fn read(body: &JsonBody, state: &ApiState, now: Timestamp) -> Answer<MessageIn> {
    let text = body.text()?;
    if !text.trim_start().starts_with('{') {
        return Err(ApiError::bad_request("the body must be a JSON object"));
    }
    let raw: RawMessage<'_> = serde_json::from_str(text).map_err(|e| not_json(&e))?;
    let mut fields = Fields::over(small_fields(&raw)?);
    let payload = raw.payload.map(|payload| take(body, payload));
    check_payload(payload.as_ref(), state.settings.max_payload, &mut fields);
    let event_type = fields.required("eventType", named(EventTypeName::parse));
    let event_id = fields.get("eventId", event_id).value();
    let channels = fields.get("channels", names(Channel::parse, CHANNELS_PER_MESSAGE_MAX, false)).value();
    let tags = fields.get("tags", names(Tag::parse, TAGS_PER_MESSAGE_MAX, true)).value();
    let deliver_at = fields.get("deliverAt", |value| deliver_at(value, now)).value();
    let days = fields.get("payloadRetentionPeriod", integer(5..=90)).value();
    let hours = fields.get("payloadRetentionHours", integer(1..=2160)).value();
    let application = fields.nested("application", |fields| app::read(fields, state)).flatten();
    if fields.get("transformationsParams", Ok).value().is_some_and(|v| v.get("rawPayload").is_some()) {
        fields
            .wrong("transformationsParams.rawPayload", "is not supported: send the payload as a JSON object");
    }
    fields.done()?;
    let (Some(event_type), Some(payload)) = (event_type, payload) else {
        return Err(ApiError::bad_request("the body is incomplete"));
    };
    let kept_hours = hours.or(days.map(|days| days * 24)).map(i64::unsigned_abs);
    let kept = kept_hours.map(|hours| Duration::from_secs(hours * 3_600));
    Ok(MessageIn {
        event_type,
        payload,
        event_id,
        channels: channels.unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        deliver_at,
        expunge_at: kept.filter(|kept| *kept < state.settings.retention).map(|kept| now.later(kept)),
        application,
    })
}

/// All fields but the payload, as values.
fn small_fields(raw: &RawMessage<'_>) -> Answer<serde_json::Map<String, Value>> {
    let named = [
        ("eventType", raw.event_type),
        ("eventId", raw.event_id),
        ("channels", raw.channels),
        ("tags", raw.tags),
        ("deliverAt", raw.deliver_at),
        ("payloadRetentionPeriod", raw.payload_retention_period),
        ("payloadRetentionHours", raw.payload_retention_hours),
        ("application", raw.application),
        ("transformationsParams", raw.transformations_params),
    ];
    let mut fields = serde_json::Map::new();
    for (name, raw) in named {
        if let Some(raw) = raw {
            fields.insert(name.to_owned(), serde_json::from_str(raw.get()).map_err(|e| not_json(&e))?);
        }
    }
    Ok(fields)
}

/// The payload's own bytes within the body: shared, not copied.
fn take(body: &JsonBody, payload: &RawValue) -> Bytes {
    body.0.slice_ref(payload.get().as_bytes())
}

fn check_payload(payload: Option<&Bytes>, limit: usize, fields: &mut Fields) {
    match payload {
        None => {
            let _ = fields.required("payload", |_| Ok(()));
        }
        Some(payload) if !payload.starts_with(b"{") => fields.wrong("payload", "must be a JSON object"),
        Some(payload) if payload.len() > limit => {
            fields.wrong("payload", format!("must be at most {limit} bytes"));
        }
        Some(_) => {}
    }
}

/// Goes into the signed content next to a full stop: one in the id would let a signature be read two ways.
fn event_id(value: Value) -> Result<Uid, String> {
    let id = uid("msg_", Uid::parse)(value)?;
    if id.as_str().contains('.') { Err("must not hold a full stop".to_owned()) } else { Ok(id) }
}

fn deliver_at(value: Value, now: Timestamp) -> Result<Timestamp, String> {
    let at = instant(value)?;
    if at > now.later(DELIVER_AT_MAX) {
        return Err("must lie within the next 7 days".to_owned());
    }
    Ok(at.max(now))
}

/// The app that a message is for, and the one to make first if the body describes it.
fn application(app: &str, described: Option<NewApp>) -> Answer<(Reference, Option<NewApp>)> {
    let Some(mut new) = described else { return Ok((Reference::new(app), None)) };
    let reference = Reference::new(app);
    if reference.id::<posthaste_core::id::AppKind>().is_some() {
        // Named by our id, it exists or the path is wrong; the description is not needed.
        return Ok((reference, None));
    }
    match &new.uid {
        Some(uid) if uid.as_str() != app => {
            let msg = "application.uid must be the one in the path";
            return Err(ApiError::invalid("body", "application.uid", msg));
        }
        _ => new.uid = Uid::parse(app).ok(),
    }
    Ok((app::reference_of(&new), Some(new)))
}

pub(crate) async fn create(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    headers: HeaderMap,
    query: Query,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let with_content = query.flag("with_content", true)?;
    let now = state.clock.now();
    let said = read(&body, &state, now)?;
    point!("accept.parsed");
    let (app, create_app) = application(&app, said.application)?;
    let scope = [environment.0.to_string(), app.as_str().to_owned()];
    let new = NewMessage {
        environment,
        idempotency: idempotency::key_of(&headers, &scope, &body.0)?,
        app,
        create_app,
        id: MessageId::fresh(now, &*state.dice),
        event_type: said.event_type,
        event_id: said.event_id,
        channels: said.channels,
        tags: said.tags,
        body: said.payload,
        expunge_at: said.expunge_at,
        deliver_at: said.deliver_at,
        only: None,
    };
    let accepted = state.intake.accept(new, now).await?;
    point!("accept.answering");
    let answer = json_of(StatusCode::ACCEPTED, &out(&accepted.message, with_content));
    if accepted.repeated {
        return Ok(idempotency::replayed(answer));
    }
    state.metrics.accepted.inc();
    Ok(answer)
}

/// Sends an example of an event type to one endpoint only.
pub(crate) async fn send_example(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    body: JsonBody,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    let mut fields = Fields::of(&body)?;
    let name = fields.required("eventType", named(EventTypeName::parse));
    let index = fields.get("exampleIndex", integer(0..=1_000)).value().unwrap_or(0);
    fields.done()?;
    let Some(name) = name else { return Err(ApiError::bad_request("the body has no eventType")) };
    let event_type = match state.directory.event_type(environment, &name).await {
        Ok(event_type) => Some(event_type),
        Err(posthaste_store::ChangeError::NotFound(_)) => {
            return Err(ApiError::invalid(
                "body",
                "eventType",
                "eventType names no event type of the catalogue",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let schemas = event_type.as_ref().and_then(|event_type| event_type.facts.schemas.as_ref());
    let payload = posthaste_core::example::of(schemas, usize::try_from(index).unwrap_or(0));
    let now = state.clock.now();
    let new = NewMessage {
        environment,
        idempotency: None,
        app,
        create_app: None,
        id: MessageId::fresh(now, &*state.dice),
        event_type: name,
        event_id: None,
        channels: vec![],
        tags: vec![],
        body: payload.to_string().into(),
        expunge_at: None,
        deliver_at: None,
        only: Some(Reference::new(endpoint)),
    };
    let accepted = state.intake.accept(new, now).await?;
    Ok(json_of(StatusCode::ACCEPTED, &out(&accepted.message, true)))
}

pub(crate) async fn list(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let with_content = query.flag("with_content", true)?;
    let filter = query.message_filter()?;
    let page = query.page_of_ids(Order::Descending, state.clock.now())?;
    let page = state.history.messages(environment, &app, &filter, page, with_content).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |m| m.id.to_string(), |m| out(&m, with_content))))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, message)): Path<(String, String)>,
    query: Query,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let with_content = query.flag("with_content", true)?;
    let message = state.history.message(environment, &app, &Reference::new(message), with_content).await?;
    Ok(json_of(StatusCode::OK, &out(&message, with_content)))
}

pub(crate) async fn expunge(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, message)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    state.history.expunge_message(environment, &Reference::new(app), &Reference::new(message)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the header that makes a request safe to repeat: one value, of printable ASCII, not too long.
pub(crate) fn idempotency_header(headers: &HeaderMap) -> Answer<Option<&str>> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bad = |what: &str| Err(ApiError::bad_request(format!("the Idempotency-Key header {what}")));
    if values.next().is_some() {
        return bad("must be given once");
    }
    match value.to_str() {
        Ok("") => bad("must not be empty"),
        Ok(text) if text.len() > IDEMPOTENCY_KEY_LENGTH_MAX => bad("must be at most 255 characters long"),
        Ok(text) if text.bytes().all(|b| (b' '..=b'~').contains(&b)) => Ok(Some(text)),
        _ => bad("must hold printable ASCII only"),
    }
}
