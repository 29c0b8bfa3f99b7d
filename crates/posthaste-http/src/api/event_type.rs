//! Event types.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::event_type::{EventType, EventTypeChange, EventTypeFacts};
use posthaste_core::limits::DESCRIPTION_LENGTH_MAX;
use posthaste_core::name::{EventTypeName, Label, NameError};
use posthaste_store::ChangeError;
use posthaste_store::page::Order;
use serde_json::{Map, Value, json};

use super::app::label;
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, Given, boolean, named, names, object, prose};
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};

/// Flags on one event type.
pub(crate) const FLAGS_MAX: usize = 25;
/// Characters in the name of a schema's version: it is a number in practice, and stands in error messages.
pub(crate) const VERSION_LENGTH_MAX: usize = 64;
/// Bytes of all schemas of one event type.
const SCHEMAS_BYTES_MAX: usize = 256 * 1024;
/// The types that JSON Schema knows.
const SCHEMA_TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

fn out(event_type: EventType, with_content: bool) -> Value {
    let facts = event_type.facts;
    let flags: Option<Vec<&str>> =
        facts.feature_flags.as_ref().map(|f| f.iter().map(Label::as_str).collect());
    json!({
        "name": event_type.name.as_str(),
        "description": facts.description,
        "archived": facts.archived,
        "deprecated": facts.deprecated,
        "schemas": if with_content { facts.schemas.map(Value::Object) } else { None },
        "featureFlag": flags.as_ref().and_then(|f| f.first()),
        "featureFlags": flags,
        "groupName": facts.group_name.as_ref().map(Label::as_str),
        "createdAt": event_type.created_at.to_string(),
        "updatedAt": event_type.updated_at.to_string(),
    })
}

/// A name that stands in lists and filters: it begins with a letter, a digit or `_`.
fn name(value: Value) -> Result<EventTypeName, String> {
    let name = named(EventTypeName::parse)(value)?;
    if name.as_str().starts_with(['.', '-']) {
        return Err("must begin with a letter, a digit or '_'".to_owned());
    }
    Ok(name)
}

/// JSON Schemas by version. Kept as they are, after a look for what could never be one.
fn schemas(value: Value) -> Result<Map<String, Value>, String> {
    let schemas = object(value)?;
    let size = serde_json::to_vec(&schemas).map_or(0, |text| text.len());
    if size > SCHEMAS_BYTES_MAX {
        return Err(format!("must be at most {SCHEMAS_BYTES_MAX} bytes"));
    }
    for (version, schema) in &schemas {
        if version.chars().count() > VERSION_LENGTH_MAX {
            return Err(format!("must name versions with at most {VERSION_LENGTH_MAX} characters"));
        }
        if !schema.is_object() {
            return Err(format!("version {version} must be a JSON Schema object"));
        }
        check_schema(schema).map_err(|error| format!("version {version} {error}"))?;
    }
    Ok(schemas)
}

fn check_schema(schema: &Value) -> Result<(), String> {
    let Value::Object(map) = schema else { return Ok(()) };
    if let Some(reference) = map.get("$ref") {
        let reference = reference.as_str().ok_or("has a $ref that is no string")?;
        if !reference.starts_with("#/") {
            return Err("has a $ref that does not point into itself (#/…): nothing is fetched".to_owned());
        }
    }
    let known = |value: &Value| value.as_str().is_some_and(|name| SCHEMA_TYPES.contains(&name));
    let type_is_known = match map.get("type") {
        None => true,
        Some(Value::Array(several)) => several.iter().all(known),
        Some(one) => known(one),
    };
    if !type_is_known {
        return Err("has a type that JSON Schema does not know".to_owned());
    }
    if map.get("pattern").and_then(Value::as_str).is_some_and(nests_repetition) {
        return Err("has a pattern that repeats a repetition, which can take for ever".to_owned());
    }
    let branches = map
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "enum" | "const" | "example" | "examples" | "default"));
    for (_, value) in branches {
        match value {
            Value::Object(inner) => {
                check_schema(value)?;
                inner.values().try_for_each(check_schema)?;
            }
            Value::Array(items) => items.iter().try_for_each(check_schema)?,
            _ => {}
        }
    }
    Ok(())
}

/// `(a+)+` and its like.
fn nests_repetition(pattern: &str) -> bool {
    ["+)+", "+)*", "*)+", "*)*", "+){", "*){"].iter().any(|nested| pattern.contains(nested))
}

/// `featureFlags`, or the older `featureFlag`.
fn flags(fields: &mut Fields) -> Given<Vec<Label>> {
    let parse = |text: &str| -> Result<Label, NameError> { Label::parse(text) };
    // Both are read: what is wrong is refused, whether or not it would have counted.
    let one = fields.get("featureFlag", label);
    match (fields.get("featureFlags", names(parse, FLAGS_MAX, true)), one) {
        (Given::Absent, Given::Value(one)) => Given::Value(vec![one]),
        (Given::Absent, Given::Null) => Given::Null,
        (given, _) => given,
    }
}

fn facts(fields: &mut Fields) -> EventTypeFacts {
    EventTypeFacts {
        description: fields.required("description", prose(DESCRIPTION_LENGTH_MAX)).unwrap_or_default(),
        archived: fields.not_null("archived", boolean).unwrap_or(false),
        deprecated: fields.not_null("deprecated", boolean).unwrap_or(false),
        schemas: fields.get("schemas", schemas).value(),
        feature_flags: flags(fields).value(),
        group_name: fields.get("groupName", label).value(),
    }
}

fn path_name(name: &str) -> Answer<EventTypeName> {
    EventTypeName::parse(name).map_err(|_| ApiError::not_found("event type"))
}

pub(crate) async fn list(State(state): State<Shared>, caller: Caller, query: Query) -> Answer<Response> {
    let environment = caller.environment()?;
    let include_archived = query.flag("include_archived", false)?;
    let with_content = query.flag("with_content", false)?;
    let page = query.page(Order::Ascending, |text| EventTypeName::parse(text).map_err(|e| e.to_string()))?;
    let page = state.directory.event_types(environment, include_archived, page).await?;
    let page = ListOut::of(page, |e| e.name.to_string(), |e| out(e, with_content));
    Ok(json_of(StatusCode::OK, &page))
}

pub(crate) async fn create(State(state): State<Shared>, caller: Caller, body: JsonBody) -> Answer<Response> {
    let environment = caller.environment()?;
    let mut fields = Fields::of(&body)?;
    let name = fields.required("name", name);
    let facts = facts(&mut fields);
    fields.done()?;
    let Some(name) = name else { return Err(ApiError::bad_request("the body has no name")) };
    let made = state.directory.create_event_type(environment, name, facts, state.clock.now()).await?;
    Ok(json_of(StatusCode::CREATED, &out(made, true)))
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let event_type = state.directory.event_type(environment, &path_name(&name)?).await?;
    Ok(json_of(StatusCode::OK, &out(event_type, true)))
}

pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let name = self::name(Value::from(name))
        .map_err(|error| ApiError::invalid("path", "name", format!("name {error}")))?;
    let mut fields = Fields::of(&body)?;
    let facts = facts(&mut fields);
    fields.done()?;
    let change = EventTypeChange {
        description: Some(facts.description.clone()),
        archived: Some(facts.archived),
        deprecated: Some(facts.deprecated),
        schemas: Some(facts.schemas.clone()),
        feature_flags: Some(facts.feature_flags.clone()),
        group_name: Some(facts.group_name.clone()),
    };
    let now = state.clock.now();
    match state.directory.change_event_type(environment, &name, change, now).await {
        Ok(changed) => Ok(json_of(StatusCode::OK, &out(changed, true))),
        Err(ChangeError::NotFound(_)) => {
            let made = state.directory.create_event_type(environment, name, facts, now).await?;
            Ok(json_of(StatusCode::CREATED, &out(made, true)))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let mut fields = Fields::of(&body)?;
    let change = EventTypeChange {
        description: fields.not_null("description", prose(DESCRIPTION_LENGTH_MAX)),
        archived: fields.not_null("archived", boolean),
        deprecated: fields.not_null("deprecated", boolean),
        schemas: fields.get("schemas", schemas).change(),
        feature_flags: flags(&mut fields).change(),
        group_name: fields.get("groupName", label).change(),
    };
    fields.done()?;
    let changed =
        state.directory.change_event_type(environment, &path_name(&name)?, change, state.clock.now()).await?;
    Ok(json_of(StatusCode::OK, &out(changed, true)))
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    query: Query,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    let expunge = query.flag("expunge", false)?;
    state.directory.delete_event_type(environment, &path_name(&name)?, expunge, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
