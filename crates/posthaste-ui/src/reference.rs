//! The API's reference, read from our own OpenAPI document: what each operation takes and answers, in words.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Optional fields of an example where none is required.
const EXAMPLE_FIELDS: usize = 2;
/// How deep an example goes.
const EXAMPLE_DEPTH: usize = 4;
/// With what references to shapes begin.
const SHAPES: &str = "#/components/schemas/";

/// A field of a shape, or a parameter.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) required: bool,
    pub(crate) words: String,
}

/// A shape with its fields.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

/// One operation.
#[derive(Debug, Serialize)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) summary: String,
    parameters: Vec<Field>,
    /// The body's shape, and behind it those that it names.
    body: Vec<Shape>,
    body_required: bool,
    /// Statuses of success.
    statuses: Vec<String>,
    answer: Vec<Shape>,
    refusals: Vec<String>,
    is_open: bool,
    curl: String,
}

impl Operation {
    /// Whether it is what somebody looks for.
    pub(crate) fn matches(&self, wanted: &str) -> bool {
        let wanted = wanted.to_lowercase();
        let texts = [&self.id, &self.method, &self.path, &self.summary];
        wanted.split_whitespace().all(|word| texts.iter().any(|text| text.to_lowercase().contains(word)))
    }
}

/// All operations of a document, in its order; `server` is where they are.
pub(crate) fn read(document: &str, server: &str) -> Vec<Operation> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let shapes = Shapes(&document["components"]["schemas"]);
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, item)| {
        let item = item.as_object().into_iter().flatten();
        item.map(move |(method, said)| shapes.operation(path, method, said, server))
    });
    let mut all: Vec<_> = all.collect();
    // The document has one path after the other; a group's are read together.
    all.sort_by(|one, other| (&one.group, &one.path).cmp(&(&other.group, &other.path)));
    all
}

#[derive(Clone, Copy)]
struct Shapes<'d>(&'d Value);

impl<'d> Shapes<'d> {
    fn named(self, schema: &Value) -> Option<(&'d str, &'d Value)> {
        let name = schema["$ref"].as_str()?.strip_prefix(SHAPES)?;
        let (name, shape) = self.0.as_object()?.get_key_value(name)?;
        Some((name, shape))
    }

    fn operation(self, path: &str, method: &str, said: &Value, server: &str) -> Operation {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parameter = |one: &Value| Field {
            name: text(&one["name"]),
            place: text(&one["in"]),
            required: one["required"] == true,
            words: self.words(&one["schema"]),
        };
        let answers = said["responses"].as_object();
        let of = |is_good: bool| {
            let statuses =
                answers.into_iter().flatten().filter(move |(status, _)| status.starts_with('2') == is_good);
            statuses.map(|(status, said)| (status.clone(), said)).collect::<Vec<_>>()
        };
        let (good, bad) = (of(true), of(false));
        let content = |said: &Value| said["content"]["application/json"]["schema"].clone();
        let body = content(&said["requestBody"]);
        let answer = good.first().map(|(_, said)| content(said)).unwrap_or_default();
        let method = method.to_uppercase();
        let is_open = said["security"].as_array().is_some_and(Vec::is_empty);
        Operation {
            id: text(&said["operationId"]),
            group: text(&said["tags"][0]),
            curl: self.curl(&method, &format!("{server}{path}"), &body, is_open),
            method,
            path: path.to_owned(),
            summary: text(&said["summary"]),
            parameters: said["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
            body: self.with_named(&body),
            body_required: said["requestBody"]["required"] == true,
            statuses: good.iter().map(|(status, _)| status.clone()).collect(),
            answer: self.with_named(&answer),
            refusals: bad
                .iter()
                .map(|(status, said)| format!("{status} {}", text(&said["description"])))
                .collect(),
            is_open,
        }
    }

    /// A shape, and those that its fields name.
    fn with_named(self, schema: &Value) -> Vec<Shape> {
        let Some((name, shape)) = self.named(schema) else { return vec![] };
        let mut found: Vec<(&str, &Value)> = vec![(name, shape)];
        for field in shape["properties"].as_object().into_iter().flatten().map(|(_, field)| field) {
            let candidates = field["anyOf"].as_array().into_iter().flatten().chain([field, &field["items"]]);
            for (name, shape) in candidates.filter_map(|one| self.named(one)) {
                let is_new = found.iter().all(|(known, _)| *known != name);
                if is_new && shape["properties"].is_object() {
                    found.push((name, shape));
                }
            }
        }
        found.into_iter().map(|(name, shape)| self.shape(name, shape)).collect()
    }

    fn shape(self, name: &str, shape: &Value) -> Shape {
        let required = shape["required"].as_array().cloned().unwrap_or_default();
        let fields = shape["properties"].as_object().into_iter().flatten();
        let field = |(name, schema): (&String, &Value)| Field {
            name: name.clone(),
            place: String::new(),
            required: required.iter().any(|one| one == name),
            words: self.words(schema),
        };
        Shape { name: name.to_owned(), fields: fields.map(field).collect() }
    }

    /// What a value may be.
    fn words(self, schema: &Value) -> String {
        if let Some((name, shape)) = self.named(schema) {
            return if shape["properties"].is_object() { name.to_owned() } else { self.words(shape) };
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let words: Vec<_> = choices.iter().map(|choice| self.words(choice)).collect();
            // What may be left out is said last, and stands apart from what it would be.
            return words.join(", or ");
        }
        if let Some(choices) = schema["enum"].as_array() {
            let words: Vec<_> =
                choices.iter().map(|one| one.to_string().trim_matches('"').to_owned()).collect();
            return format!("one of {}", words.join(", "));
        }
        let number = |name: &str| schema[name].as_u64();
        match schema["type"].as_str() {
            Some("array") => {
                let most = number("maxItems").map_or_else(String::new, |most| format!(" of up to {most}"));
                format!("list{most}: {}", self.words(&schema["items"]))
            }
            Some("object") => "object".to_owned(),
            Some("integer") => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!("number, {least} to {most}"),
                _ => "number".to_owned(),
            },
            Some("string") => {
                let kind = match schema["format"].as_str() {
                    Some("date-time") => "instant",
                    Some("uri") => "URL",
                    _ => "text",
                };
                let most =
                    number("maxLength").map_or_else(String::new, |most| format!(", up to {most} letters"));
                format!("{kind}{most}")
            }
            Some("boolean") => "true or false".to_owned(),
            Some("null") => "null".to_owned(),
            _ => "anything".to_owned(),
        }
    }

    fn example(self, name: &str, schema: &Value, depth: usize) -> Value {
        if depth == 0 {
            return Value::Null;
        }
        if let Some((_, shape)) = self.named(schema) {
            return self.example(name, shape, depth);
        }
        if let Some(first) = schema["anyOf"].as_array().and_then(|choices| choices.first()) {
            return self.example(name, first, depth);
        }
        if let Some(first) = schema["enum"].as_array().and_then(|choices| choices.first()) {
            return first.clone();
        }
        match (schema["type"].as_str(), name) {
            (_, "payload") => json!({ "id": 42 }),
            (Some("object"), _) => self.example_fields(schema, depth).into(),
            (Some("array"), _) => json!([self.example(name, &schema["items"], depth - 1)]),
            (Some("integer"), _) => schema["minimum"].as_i64().unwrap_or(1).into(),
            (Some("boolean"), _) => true.into(),
            (_, "url") => "https://example.com/webhooks".into(),
            (_, "eventType" | "eventTypes" | "filterTypes") => "order.paid".into(),
            (_, "type") => "github".into(),
            (Some("string"), _) if schema["format"] == "date-time" => "2026-01-31T12:00:00Z".into(),
            (Some("string"), _) => format!("a {name}").into(),
            _ => Value::Null,
        }
    }

    /// What is required; where nothing is, the first few.
    fn example_fields(self, schema: &Value, depth: usize) -> Map<String, Value> {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let fields = schema["properties"].as_object().into_iter().flatten();
        let is_wanted = |name: &String| required.iter().any(|one| one == name);
        let wanted = fields.filter(|(name, _)| required.is_empty() || is_wanted(name));
        let most = if required.is_empty() { EXAMPLE_FIELDS } else { required.len() };
        wanted
            .take(most)
            .map(|(name, schema)| (name.clone(), self.example(name, schema, depth - 1)))
            .collect()
    }

    fn curl(self, method: &str, url: &str, body: &Value, is_open: bool) -> String {
        let mut line = "curl".to_owned();
        if method != "GET" {
            let _ = write!(line, " -X {method}");
        }
        // Braces mean something to curl.
        let _ = write!(line, " {}", url.replace(['{', '}'], ""));
        if !is_open {
            line.push_str(" \\\n  -H \"Authorization: Bearer $TOKEN\"");
        }
        if !body.is_null() {
            let example = self.example("", body, EXAMPLE_DEPTH);
            let _ = write!(line, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> String {
        let text = |max: u32| json!({ "type": "string", "maxLength": max });
        json!({
            "paths": { "/api/v1/app/{app_id}/msg": { "post": {
                "operationId": "v1.message.create", "summary": "Send", "tags": ["message"],
                "parameters": [{ "in": "path", "name": "app_id", "required": true, "schema": { "type": "string" } }],
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/In" } } } },
                "responses": { "202": { "description": "Accepted" }, "401": { "description": "Unauthorized" } },
            } } },
            "components": { "schemas": {
                "In": { "type": "object", "required": ["eventType", "payload"], "properties": {
                    "eventType": text(256), "payload": {}, "word": { "$ref": "#/components/schemas/Word" },
                    "rows": { "type": "array", "items": { "$ref": "#/components/schemas/Row" } },
                } },
                "Word": { "type": "string", "enum": ["a", "b"] },
                "Row": { "type": "object", "properties": { "at": { "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "null" }] } } },
            } },
        })
        .to_string()
    }

    #[test]
    fn an_operation_is_told_in_words_with_the_shapes_that_it_names() {
        let operations = read(&document(), "http://here");
        let [one] = operations.as_slice() else { panic!("{operations:?}") };
        assert_eq!((one.id.as_str(), one.group.as_str()), ("v1.message.create", "message"));
        let said: Vec<_> = one
            .body
            .iter()
            .flat_map(|shape| &shape.fields)
            .map(|f| (f.name.as_str(), f.words.as_str()))
            .collect();
        let expected = [
            ("eventType", "text, up to 256 letters"),
            ("payload", "anything"),
            ("rows", "list: Row"),
            ("word", "one of a, b"),
            ("at", "instant, or null"),
        ];
        let mut sorted = said.clone();
        sorted.sort_unstable();
        let mut wanted = expected;
        wanted.sort_unstable();
        assert_eq!(sorted, wanted);
        assert_eq!(
            (one.statuses.as_slice(), one.refusals.as_slice()),
            (&["202".to_owned()][..], &["401 Unauthorized".to_owned()][..])
        );
    }

    #[test]
    fn an_example_holds_what_is_required() {
        let operations = read(&document(), "http://here");
        let curl = &operations[0].curl;
        assert!(curl.starts_with("curl -X POST http://here/api/v1/app/app_id/msg \\\n"), "{curl}");
        assert!(
            curl.contains(r#""eventType":"order.paid""#) && curl.contains(r#""payload":{"id":42}"#),
            "{curl}"
        );
        assert!(!curl.contains("word"), "{curl}");
    }

    #[test]
    fn an_operation_is_found_by_words_of_its_own() {
        let operations = read(&document(), "");
        for wanted in ["", "send", "POST msg", "message.create"] {
            assert!(operations[0].matches(wanted), "{wanted}");
        }
        assert!(!operations[0].matches("post nothing"));
    }
}
