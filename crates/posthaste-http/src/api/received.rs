//! What a message that came in by a source has beside others: the request, and a body that need not be JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use posthaste_core::message::Message;
use posthaste_core::origin::Origin;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::extract::body::{DEPTH_MAX, depth};

/// The fields that are added.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceivedOut {
    payload_encoding: &'static str,
    request: Value,
}

/// How a body is shown.
enum Shown<'b> {
    /// As it is.
    Json(&'b str),
    /// As `{"text": …}`.
    Text(&'b str),
    /// As `{"base64": …}`.
    Binary,
}

fn shown(body: &Bytes) -> Shown<'_> {
    match std::str::from_utf8(body) {
        // Deeper than our own limit it may be more than a client's parser takes, and would spoil the whole page.
        Ok(text) if depth(body) > DEPTH_MAX => Shown::Text(text),
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Shown::Json(text),
        Ok(text) => Shown::Text(text),
        Err(_) => Shown::Binary,
    }
}

/// The body where a payload stands: JSON as it came, anything else within an object.
pub(crate) fn payload(body: &Bytes) -> Box<RawValue> {
    let text = match shown(body) {
        Shown::Json(text) => text.trim().to_owned(),
        Shown::Text(text) => json!({ "text": text }).to_string(),
        Shown::Binary => json!({ "base64": BASE64_STANDARD.encode(body) }).to_string(),
    };
    RawValue::from_string(text).unwrap_or_default()
}

pub(crate) fn out(origin: &Origin, message: &Message) -> ReceivedOut {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in origin.shown_headers() {
        let value = Value::from(value);
        // A repeated header is a list.
        match headers.get_mut(name) {
            None => {
                headers.insert(name.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first, value]),
        }
    }
    let mut request = json!({ "method": origin.method, "query": origin.shown_query(), "headers": headers });
    if !origin.path.is_empty() {
        request["path"] = json!(origin.path);
    }
    ReceivedOut {
        payload_encoding: match message.body.as_ref().map(shown) {
            Some(Shown::Text(_)) => "text",
            Some(Shown::Binary) => "base64",
            _ => "json",
        },
        request,
    }
}
