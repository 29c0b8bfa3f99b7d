//! A request that came to a source, as the API shows it; and the same request, to be sent on.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use posthaste_core::time::Timestamp;
use posthaste_signature::provider::sign::Draft;
use serde_json::Value;

/// Headers of one connection (RFC 9110, 7.6.1), and those that say where a request goes and how long it is.
const OF_ITS_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Where the host goes that it came to.
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A request that came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Came {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) event_type: String,
    pub(crate) method: String,
    /// What stood behind the source's address in the path; empty if nothing did.
    pub(crate) path: String,
    pub(crate) query: String,
    /// In their order; `None` is a credential that is not shown.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) body: Vec<u8>,
    /// All of it, as it was told.
    pub(crate) told: Value,
}

impl Came {
    /// Reads what the API tells; `None` if it makes no sense.
    pub(crate) fn read(told: Value) -> Option<Self> {
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let header = |header: &Value| {
            let name = header["name"].as_str()?.to_owned();
            let value = match (&header["value"], &header["base64"]) {
                (Value::String(text), _) => Some(text.clone().into_bytes()),
                (_, Value::String(bytes)) => Some(BASE64_STANDARD.decode(bytes).ok()?),
                _ => None,
            };
            Some((name, value))
        };
        Some(Self {
            id: told["id"].as_str()?.to_owned(),
            at: Timestamp::parse(told["timestamp"].as_str()?)?,
            event_type: text("eventType"),
            method: text("method"),
            path: text("path"),
            query: text("query"),
            headers: told["headers"].as_array()?.iter().map(header).collect::<Option<_>>()?,
            body: BASE64_STANDARD.decode(told["body"].as_str()?).ok()?,
            told,
        })
    }

    /// The first value of a header, if it is text.
    pub(crate) fn header<'a>(&'a self, name: &str) -> Option<&'a str> {
        let named = |(known, value): &'a (String, Option<Vec<u8>>)| {
            known.eq_ignore_ascii_case(name).then_some(value.as_deref()?)
        };
        self.headers.iter().filter_map(named).find_map(|value| std::str::from_utf8(value).ok())
    }

    /// All values of a header that are text.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.filter_map(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
    }

    /// The names of the credentials that are not shown.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str())
    }

    /// Path and query, as far as there is any.
    pub(crate) fn target(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, self.query)
    }

    /// The same request to another address: method, query, headers and body as they came.
    pub(crate) fn to(&self, url: &str) -> Draft {
        let mut draft = Draft {
            method: self.method.clone(),
            url: onto(url, &self.path, &self.query),
            body: self.body.clone(),
            ..Draft::default()
        };
        for (name, value) in &self.headers {
            let (Ok(name), Some(Ok(value))) =
                (name.parse::<HeaderName>(), value.as_deref().map(HeaderValue::from_bytes))
            else {
                continue;
            };
            if name.as_str() == "host" {
                draft.headers.insert(FORWARDED_HOST, value);
            } else if !OF_ITS_CONNECTION.contains(&name.as_str()) {
                draft.headers.append(name, value);
            }
        }
        draft
    }
}

/// An address with more path and query behind it, each as it was sent.
fn onto(url: &str, path: &str, query: &str) -> String {
    let (base, own_query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let path = path.trim_start_matches('/');
    let slash = if path.is_empty() || base.ends_with('/') { "" } else { "/" };
    let queries: Vec<_> = [own_query, query].into_iter().filter(|query| !query.is_empty()).collect();
    let mark = if queries.is_empty() { "" } else { "?" };
    format!("{base}{slash}{path}{mark}{}", queries.join("&"))
}

#[cfg(test)]
pub(super) fn example() -> Came {
    let told = serde_json::json!({
        "id": "msg_1", "timestamp": "2026-11-12T14:32:18.402Z", "eventType": "webhook", "method": "PUT",
        "query": "a=%20&b", "body": BASE64_STANDARD.encode(b"{ \"amount\": 4 }\n"), "headers": [
            { "name": "host", "value": "in.example" },
            { "name": "x-twice", "value": "1" },
            { "name": "content-length", "value": "16" },
            { "name": "x-bytes", "base64": "/w==" },
            { "name": "x-twice", "value": "2" },
            { "name": "authorization", "hidden": true },
        ],
    });
    Came::read(told).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_sent_on_as_it_came() {
        let came = example();
        assert_eq!(came.values("X-Twice").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(came.hidden().collect::<Vec<_>>(), ["authorization"]);
        let draft = came.to("http://127.0.0.1:3000/in?own=1");
        assert_eq!(
            (draft.method.as_str(), draft.url.as_str()),
            ("PUT", "http://127.0.0.1:3000/in?own=1&a=%20&b")
        );
        assert_eq!(draft.body, b"{ \"amount\": 4 }\n");
        assert_eq!(draft.headers.get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(draft.headers["x-bytes"].as_bytes(), b"\xff");
        assert_eq!(draft.headers["x-forwarded-host"], "in.example");
        assert_eq!(draft.headers.len(), 4, "and nothing else: {:?}", draft.headers);
    }

    #[test]
    fn paths_and_queries_go_behind_those_of_the_address() {
        for (url, path, query, expected) in [
            ("http://x/", "", "", "http://x/"),
            ("http://x/in", "/a%2Fb", "", "http://x/in/a%2Fb"),
            ("http://x/in/", "/a", "q=1", "http://x/in/a?q=1"),
            ("http://x/in?o=1", "a", "q=1", "http://x/in/a?o=1&q=1"),
        ] {
            assert_eq!(onto(url, path, query), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_request() {
        assert_eq!(Came::read(serde_json::json!({ "id": "msg_1" })), None);
    }
}
