//! Our OpenAPI document against Svix's own, where that is at hand.

use std::path::Path;

use serde_json::Value;

/// Shapes that are ours alone in name, or that no operation of ours speaks in.
const LEFT_OUT: &[&str] = &[
    // Operational webhooks are told of in docs, not in answers of operations.
    "Event",
    "EventData",
    "MessageAttempetLast",
    "EndpointStatsRange",
];

fn peer() -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/api/svix-server.openapi.json");
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).expect("the peer's document is JSON"))
}

fn ours() -> Value {
    serde_json::from_str(&posthaste_http::openapi()).expect("our document is JSON")
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(ToString::to_string).collect()
}

#[test]
fn every_operation_and_shape_of_svix_server_is_in_our_document() {
    let Some(peer) = peer() else {
        println!("skipped: the peer's OpenAPI document is not here");
        return;
    };
    let ours = ours();
    let mut wrong = Vec::new();
    for path in keys(&peer["paths"]) {
        for method in keys(&peer["paths"][&path]).into_iter().filter(|key| key != "parameters") {
            if ours["paths"][&path][&method].is_null() {
                wrong.push(format!("{method} {path} is missing"));
            }
        }
    }
    for name in keys(&peer["components"]["schemas"]) {
        if LEFT_OUT.iter().any(|suffix| name.ends_with(suffix)) {
            continue;
        }
        let (theirs, our) = (&peer["components"]["schemas"][&name], &ours["components"]["schemas"][&name]);
        if our.is_null() {
            wrong.push(format!("{name} is missing"));
            continue;
        }
        for property in keys(&theirs["properties"]) {
            if our["properties"][&property].is_null() {
                wrong.push(format!("{name}.{property} is missing"));
            }
        }
        let is_answer = name.ends_with("Out") || name.ends_with("Out_") || name.ends_with("Stats");
        let (they_require, we_require) = (texts(&theirs["required"]), texts(&our["required"]));
        for property in &they_require {
            if is_answer && !we_require.contains(property) {
                wrong.push(format!("{name} does not promise {property}"));
            }
        }
        for property in &we_require {
            if !is_answer && !they_require.contains(property) {
                wrong.push(format!("{name} asks for {property}"));
            }
        }
        for value in texts(&theirs["enum"]) {
            if !texts(&our["enum"]).contains(&value) {
                wrong.push(format!("{name} does not know {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
