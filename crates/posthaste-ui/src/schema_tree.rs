//! A JSON Schema as a tree that people can read: names, types, what must be there, and what each is.

use serde::Serialize;
use serde_json::{Map, Value};

/// How deep a schema is followed.
const DEPTH_MAX: usize = 8;
/// Fields of one object that are shown.
const FIELDS_MAX: usize = 200;
/// Values of an enumeration that are shown.
const VALUES_MAX: usize = 20;

/// One field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) is_required: bool,
    pub(crate) description: String,
    pub(crate) values: Vec<String>,
    pub(crate) inner: Vec<Self>,
}

/// The fields of a schema.
pub(crate) fn of(schema: &Value) -> Vec<Node> {
    fields(schema, 0)
}

fn text(schema: &Value, key: &str) -> String {
    schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn fields(schema: &Value, depth: usize) -> Vec<Node> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    if depth >= DEPTH_MAX {
        return Vec::new();
    }
    let required: Vec<_> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let node = |(name, inner): (&String, &Value)| Node {
        name: name.clone(),
        kind: kind(inner),
        is_required: required.contains(&name.as_str()),
        description: text(inner, "description"),
        values: values(inner),
        inner: below(inner, depth + 1),
    };
    properties.iter().take(FIELDS_MAX).map(node).collect()
}

/// Of a list, what its items have.
fn below(schema: &Value, depth: usize) -> Vec<Node> {
    match schema.get("items") {
        Some(items) if depth < DEPTH_MAX => below(items, depth + 1),
        _ => fields(schema, depth),
    }
}

fn values(schema: &Value) -> Vec<String> {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).take(VALUES_MAX).map(one).collect()
}

/// `string, date-time`, `list of integer`, `object`.
fn kind(schema: &Value) -> String {
    let said = match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => alternatives(schema.as_object()),
    };
    let said = match schema.get("items") {
        Some(items) if said == "array" => format!("list of {}", kind(items)),
        _ => said,
    };
    match text(schema, "format") {
        format if format.is_empty() => said,
        format => format!("{said}, {format}"),
    }
}

fn alternatives(schema: Option<&Map<String, Value>>) -> String {
    let reference = schema.and_then(|schema| schema.get("$ref")).and_then(Value::as_str);
    if let Some(name) = reference.and_then(|path| path.rsplit('/').next()) {
        return name.to_owned();
    }
    "any".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_reads_as_fields_with_types_and_what_is_below_them() {
        let tree = of(&json!({
            "type": "object", "required": ["id"],
            "properties": {
                "id": { "type": "string", "format": "uuid", "description": "The order" },
                "state": { "enum": ["paid", 3] },
                "lines": { "type": "array", "items": { "type": "object", "properties": { "sku": { "type": ["string", "null"] } } } },
                "buyer": { "$ref": "#/$defs/Buyer" },
            },
        }));
        let shown: Vec<_> =
            tree.iter().map(|node| (node.name.as_str(), node.kind.as_str(), node.is_required)).collect();
        let mut expected = vec![
            ("id", "string, uuid", true),
            ("state", "any", false),
            ("lines", "list of object", false),
            ("buyer", "Buyer", false),
        ];
        let mut shown_sorted = shown.clone();
        shown_sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(shown_sorted, expected);
        let of_name = |name: &str| tree.iter().find(|node| node.name == name).unwrap();
        assert_eq!(of_name("state").values, ["paid", "3"]);
        assert_eq!(of_name("lines").inner[0].kind, "string or null");
    }

    #[test]
    fn a_schema_without_end_and_one_that_is_none_are_borne() {
        let mut deep = json!({ "type": "string" });
        for _ in 0..100 {
            deep = json!({ "properties": { "x": deep } });
        }
        assert_eq!(of(&deep).len(), 1);
        for none in [json!(true), json!([]), json!("x"), json!({ "properties": [] })] {
            assert_eq!(of(&none), []);
        }
    }
}
