//! Links: what an operation makes is what others ask for, and the document says so.

use serde_json::{Map, Value, json};

use super::operations::{OPERATIONS, Operation};

/// Which name in a path an operation's answer gives a value to, and where in the answer that stands.
const MAKERS: &[(&str, &str, &str)] = &[
    ("v1.application.create", "app_id", "id"),
    ("v1.event-type.create", "event_type_name", "name"),
    ("v1.endpoint.create", "endpoint_id", "id"),
    ("v1.message.create", "msg_id", "id"),
    ("v1.operational-webhook-endpoint.create", "endpoint_id", "id"),
    ("v1.ingest.source.create", "source_id", "id"),
    ("v1.ingest.endpoint.create", "endpoint_id", "id"),
];

/// The names in a path, in order.
pub(super) fn names(path: &str) -> Vec<&str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// The links of an operation's answer: to all whose path has the same names, and the one that was made.
pub(super) fn of(maker: &Operation) -> Option<Value> {
    // Of an answer that may be a count, nothing is said.
    if matches!(maker.id, "v1.endpoint.recover" | "v1.endpoint.bulk-replay" | "v1.endpoint.replay-missing") {
        let parameters = json!({ "task_id": "$response.body#/id" });
        let link = json!({ "operationId": "v1.background-task.get", "parameters": parameters });
        return Some(json!({ "v1.background-task.get": link }));
    }
    let (_, made, field) = MAKERS.iter().find(|(id, ..)| *id == maker.id)?;
    let mut known = names(maker.path);
    let mut parameters: Map<String, Value> =
        known.iter().map(|name| ((*name).to_owned(), json!(format!("$request.path.{name}")))).collect();
    parameters.insert((*made).to_owned(), json!(format!("$response.body#/{field}")));
    known.push(made);
    let asks_for_it = |other: &&Operation| names(other.path) == known;
    let link = |other: &Operation| {
        (other.id.to_owned(), json!({ "operationId": other.id, "parameters": parameters }))
    };
    Some(Value::Object(OPERATIONS.iter().filter(asks_for_it).map(link).collect()))
}
