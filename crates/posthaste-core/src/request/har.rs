//! A HAR file, as browsers and proxies save it, to write (<http://www.softwareishard.com/blog/har-12-spec/>).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use posthaste_signature::provider::sign::Draft;
use serde_json::{Value, json};

use crate::attempt::Timing;

/// What was answered to a request, as far as it is known.
#[derive(Debug, Default)]
pub struct Answered {
    /// When the request was sent, in RFC 3339.
    pub at: String,
    /// How long it took.
    pub ms: u64,
    /// 0: nobody answered.
    pub status: u64,
    /// In order, if they are known.
    pub headers: Vec<(String, String)>,
    /// As far as it was kept.
    pub body: String,
    /// How long each part took, if that is known.
    pub timing: Option<Timing>,
    /// Why nobody answered.
    pub error: Option<String>,
}

/// A request with its answer, as an entry.
pub fn entry(draft: &Draft, answered: &Answered) -> Value {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = named(draft.headers.iter().map(|(name, value)| (name.as_str(), text(value))));
    let query = draft.url.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let kind = draft.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let posted = match std::str::from_utf8(&draft.body) {
        Ok(text) => json!({ "mimeType": kind, "text": text }),
        Err(_) => {
            json!({ "mimeType": kind, "text": BASE64_STANDARD.encode(&draft.body), "encoding": "base64" })
        }
    };
    let mut request = json!({
        "method": draft.method, "url": draft.url, "httpVersion": "HTTP/1.1", "cookies": [], "headers": headers,
        "queryString": query, "headersSize": -1, "bodySize": draft.body.len(),
    });
    if !draft.body.is_empty() {
        request["postData"] = posted;
    }
    json!({
        "startedDateTime": answered.at, "time": answered.ms, "request": request,
        "response": {
            "status": answered.status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [],
            "headers": named(answered.headers.iter().map(|(name, value)| (name.as_str(), value.clone()))),
            "content": { "size": answered.body.len(), "mimeType": "", "text": answered.body },
            "redirectURL": "", "headersSize": -1, "bodySize": answered.body.len(), "_error": answered.error,
        },
        "cache": {},
        "timings": timings(answered),
    })
}

fn named<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> Vec<Value> {
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// In milliseconds. A HAR's `connect` holds its `ssl`, and what did not happen is -1.
fn timings(answered: &Answered) -> Value {
    let Some(timing) = answered.timing else {
        return json!({ "send": 0, "wait": answered.ms, "receive": 0 });
    };
    let ms = |part: Duration| part.as_secs_f64() * 1_000.0;
    let happened = |part: Duration| if part.is_zero() { -1.0 } else { ms(part) };
    json!({
        "dns": happened(timing.dns), "connect": happened(timing.connect + timing.tls), "ssl": happened(timing.tls),
        "send": 0, "wait": ms(timing.first_byte), "receive": ms(timing.read()),
    })
}

/// Entries as a file.
pub fn file(entries: &[Value]) -> Value {
    let creator = json!({ "name": "posthaste", "version": env!("CARGO_PKG_VERSION") });
    json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_attempt_stand_in_it_apart() {
        let ms = Duration::from_millis;
        let timing = Timing { dns: ms(10), connect: ms(20), tls: ms(0), first_byte: ms(30), total: ms(100) };
        let headers = vec![("x-a".to_owned(), "1".to_owned())];
        let answered = Answered { status: 200, headers, timing: Some(timing), ..Answered::default() };
        let entry = entry(&Draft::default(), &answered);
        let told =
            json!({ "dns": 10.0, "connect": 20.0, "ssl": -1.0, "send": 0, "wait": 30.0, "receive": 40.0 });
        assert_eq!(entry["timings"], told);
        assert_eq!(entry["response"]["headers"], json!([{ "name": "x-a", "value": "1" }]));
    }
}
