//! Our own OpenAPI document, made from two tables in code: the operations, and the shapes that they speak in.
//!
//! Tests hold the tables against the router (every operation is served) and, where it is at hand, against Svix's own
//! document.

mod kinds;
mod links;
mod operations;
mod schemas;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use operations::{ERRORS, OPERATIONS, Operation};

/// The document as JSON, OpenAPI 3.1.
pub fn document() -> String {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        item[operation.method.to_ascii_lowercase()] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Posthaste",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "Sends webhooks: signed, retried, recorded, replayable. Paths also work with a slash at the end.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas::all(),
        },
    })
    .to_string()
}

fn describe(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag()],
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let Some(schema) = operation.body {
        let name = schema.trim_end_matches('?');
        described["requestBody"] = json!({ "required": name == schema, "content": content(name) });
    }
    if operation.is_open() {
        described["security"] = json!([]);
    }
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = links::names(operation.path).into_iter();
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "in": "path", "name": name, "required": true, "schema": kinds::in_path(name) }))
        .collect();
    for name in operation.query {
        let schema = kinds::query(name, operation.answer);
        parameters.push(json!({ "in": "query", "name": name, "schema": schema }));
    }
    if operation.method == "POST" {
        let schema = kinds::idempotency_key();
        parameters.push(json!({ "in": "header", "name": "idempotency-key", "schema": schema }));
    }
    parameters
}

fn responses(operation: &Operation) -> Map<String, Value> {
    let mut responses = Map::new();
    for status in operation.statuses {
        let mut response = json!({ "description": reason(*status) });
        if let Some(schema) = operation.answer {
            response["content"] = content(schema);
        }
        if let Some(links) = links::of(operation) {
            response["links"] = links;
        }
        responses.insert(status.to_string(), response);
    }
    for status in ERRORS {
        let schema = if *status == 422 { "HTTPValidationError" } else { "HttpErrorOut" };
        let mut response = json!({ "description": reason(*status) });
        // What does not fit into a head is refused before anybody reads it.
        if *status != 431 {
            response["content"] = content(schema);
        }
        responses.insert(status.to_string(), response);
    }
    responses
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_is_named_is_there() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn no_operation_is_described_twice() {
        let mut seen = std::collections::HashSet::new();
        for operation in OPERATIONS {
            assert!(
                seen.insert((operation.method, operation.path)),
                "{} {}",
                operation.method,
                operation.path
            );
        }
    }
}
