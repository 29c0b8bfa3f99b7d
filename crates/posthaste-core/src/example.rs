//! An example payload for an event type: one that its schema gives, or one that follows from its shape.

use serde_json::{Map, Value, json};

/// How deep a made-up example follows a schema.
const DEPTH_MAX: usize = 8;

/// From the newest version of the schemas; without any, an object that says what it is.
pub fn of(schemas: Option<&Map<String, Value>>, index: usize) -> Value {
    let newest = schemas.and_then(|schemas| {
        schemas
            .iter()
            .max_by_key(|(version, _)| version.parse::<u64>().unwrap_or(0))
            .map(|(_, schema)| schema)
    });
    let Some(schema) = newest else { return json!({ "example": true }) };
    let given = schema.get("examples").and_then(Value::as_array);
    let given =
        given.and_then(|all| all.get(index).or_else(|| all.first())).or_else(|| schema.get("example"));
    let example = given.cloned().unwrap_or_else(|| made_up(schema, 0));
    if example.is_object() { example } else { json!({ "example": example }) }
}

fn made_up(schema: &Value, depth: usize) -> Value {
    for key in ["example", "default", "const"] {
        if let Some(value) = schema.get(key) {
            return value.clone();
        }
    }
    for key in ["examples", "enum"] {
        if let Some(first) = schema.get(key).and_then(Value::as_array).and_then(|all| all.first()) {
            return first.clone();
        }
    }
    let kind = match schema.get("type") {
        Some(Value::Array(several)) => several.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => schema.get("properties").map(|_| "object"),
    };
    match kind {
        Some("object") if depth < DEPTH_MAX => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let fields = properties
                .into_iter()
                .flatten()
                .map(|(name, inner)| (name.clone(), made_up(inner, depth + 1)));
            Value::Object(fields.collect())
        }
        Some("object") => json!({}),
        Some("array") if depth < DEPTH_MAX => match schema.get("items") {
            Some(items) => json!([made_up(items, depth + 1)]),
            None => json!([]),
        },
        Some("array") => json!([]),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        _ => match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => json!("2026-01-31T12:00:00Z"),
            Some("email") => json!("ada@example.com"),
            Some("uri") => json!("https://example.com/"),
            _ => json!("string"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_what_the_schema_gives_or_follows_from_its_shape() {
        let schema = json!({ "1": { "type": "object", "properties": {
            "id": { "type": "integer" }, "mail": { "type": "string", "format": "email" },
            "tags": { "type": "array", "items": { "enum": ["a", "b"] } } } } });
        let made = of(schema.as_object(), 0);
        assert_eq!(made, json!({ "id": 0, "mail": "ada@example.com", "tags": ["a"] }));
        let given = json!({ "1": {}, "2": { "examples": [{ "n": 1 }, { "n": 2 }] } });
        assert_eq!(of(given.as_object(), 1), json!({ "n": 2 }));
        assert_eq!(of(None, 0), json!({ "example": true }));
    }
}
