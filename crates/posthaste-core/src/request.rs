//! The request that a delivery becomes: body as accepted, Standard Webhooks headers, the endpoint's own headers; of what
//! a source received, also method, query and headers as the provider sent them.

pub mod har;
pub mod printed;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use posthaste_signature::provider::sign::Draft;
use posthaste_signature::sign_all;

use crate::endpoint::Endpoint;
use crate::message::Message;
use crate::origin::{HIDDEN, Origin, is_credential};
use crate::time::Timestamp;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const SVIX_ID: HeaderName = HeaderName::from_static("svix-id");
const SVIX_TIMESTAMP: HeaderName = HeaderName::from_static("svix-timestamp");
const SVIX_SIGNATURE: HeaderName = HeaderName::from_static("svix-signature");
/// The headers that carry our signature.
const OURS: [HeaderName; 6] =
    [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, SVIX_ID, SVIX_TIMESTAMP, SVIX_SIGNATURE];
/// Before the name of a header whose place ours takes.
const DISPLACED: &str = "posthaste-original-";

/// Who we say we are.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Posthaste/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Headers of one connection, which mean nothing on the next (RFC 9110, 7.6.1), those that say where the request goes
/// and how long it is, and `Accept-Encoding`: the answer comes to us, and we show it as it is.
const OF_ITS_CONNECTION: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request as it goes out. May carry credentials, so it has no `Debug`.
#[derive(Clone)]
pub struct Outgoing {
    /// One of the six that we send.
    pub method: Method,
    /// Where to.
    pub url: String,
    /// The provider's query, to be added to the URL's own.
    pub query: String,
    /// All of them but those of the connection.
    pub headers: HeaderMap,
    /// As it was accepted.
    pub body: Bytes,
}

impl Outgoing {
    /// Signs with every secret that is live at `now` (<https://www.standardwebhooks.com>). The same three
    /// headers go out under Svix's names too, which older receivers read. The endpoint's own headers come last and can
    /// replace the content type and the agent, never a signature.
    pub fn build(message: &Message, endpoint: &Endpoint, now: Timestamp) -> Self {
        let body = message.body.clone().unwrap_or_default();
        let (method, query, mut headers) = match &message.origin {
            Some(origin) => (method_of(origin), origin.query.clone(), headers_of(origin)),
            None => (Method::POST, String::new(), HeaderMap::from_iter([(CONTENT_TYPE, JSON)])),
        };
        headers.entry(USER_AGENT).or_insert(AGENT);
        for (name, value) in &endpoint.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                headers.insert(name, value);
            }
        }
        sign(&mut headers, (message, endpoint), now, &body);
        Self { method, url: endpoint.url.clone(), query, headers, body }
    }

    /// The same for whoever looks at it: credentials, and the signature for whom it is not meant, are named and not
    /// shown.
    #[must_use]
    pub fn shown(mut self, with_signature: bool) -> Self {
        for (name, value) in &mut self.headers {
            let is_signature = *name == WEBHOOK_SIGNATURE || *name == SVIX_SIGNATURE;
            if is_credential(name.as_str()) || (is_signature && !with_signature) {
                *value = HeaderValue::from_static(HIDDEN);
            }
        }
        let shown = Origin { query: self.query, ..Origin::default() }.shown_query();
        Self { query: shown, ..self }
    }

    /// With its whole URL, to be written down.
    pub fn draft(&self) -> Draft {
        let mark = match self.query.as_str() {
            "" => "",
            _ if self.url.contains('?') => "&",
            _ => "?",
        };
        Draft {
            method: self.method.to_string(),
            url: format!("{}{mark}{}", self.url, self.query),
            headers: self.headers.clone(),
            body: self.body.to_vec(),
        }
    }
}

fn sign(headers: &mut HeaderMap, (message, endpoint): (&Message, &Endpoint), now: Timestamp, body: &[u8]) {
    let id = message.id.to_string();
    let signature = sign_all(endpoint.secrets.live(now), &id, now.as_secs(), body);
    let signed = [(WEBHOOK_ID, SVIX_ID, id), (WEBHOOK_SIGNATURE, SVIX_SIGNATURE, signature)];
    for (name, svix_name, value) in signed {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value.clone());
            headers.insert(svix_name, value);
        }
    }
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_secs()));
    headers.insert(SVIX_TIMESTAMP, HeaderValue::from(now.as_secs()));
}

/// The provider's method. One that we do not send becomes a POST: `CONNECT`, say, would make a tunnel of a webhook.
fn method_of(origin: &Origin) -> Method {
    let sent = [Method::POST, Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE];
    sent.into_iter().find(|method| method.as_str() == origin.method).unwrap_or(Method::POST)
}

/// The provider's headers, as many as may be passed on: in order, repeated ones too, values byte for byte.
fn headers_of(origin: &Origin) -> HeaderMap {
    let listed = listed_by_connection(origin);
    let mut headers = HeaderMap::with_capacity(origin.headers.len() + OURS.len() + 1);
    for (name, value) in &origin.headers {
        let Ok(name) = name.parse::<HeaderName>() else { continue };
        let of_its_connection = OF_ITS_CONNECTION.contains(&name.as_str())
            || name.as_str().starts_with("proxy-")
            || listed.iter().any(|listed| listed.eq_ignore_ascii_case(name.as_str()))
            || is_in_disguise(&name);
        let (Some(name), Ok(value)) = (in_our_place(name), HeaderValue::from_bytes(value)) else { continue };
        // More than a map can hold is more than any server takes.
        if !of_its_connection && headers.try_append(name, value).is_err() {
            break;
        }
    }
    headers
}

/// Names that `Connection` says belong to the connection.
fn listed_by_connection(origin: &Origin) -> Vec<&str> {
    let connection = origin.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let values = connection.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

/// Many receivers read `webhook_id` as `webhook-id` (as CGI's `HTTP_WEBHOOK_ID`): such a name would be believed in the place
/// of one that is ours, or taken for the length of the body.
fn is_in_disguise(name: &HeaderName) -> bool {
    let plain = name.as_str().replace('_', "-");
    let means_something = OURS.iter().any(|ours| ours.as_str() == plain)
        || OF_ITS_CONNECTION.contains(&plain.as_str())
        || plain.starts_with(DISPLACED);
    name.as_str().contains('_') && means_something
}

/// Under which name a header is passed on: that of a signature is ours now. A name of that other kind is passed on for
/// nobody else, so that whoever reads it knows where it came from.
fn in_our_place(name: HeaderName) -> Option<HeaderName> {
    if OURS.contains(&name) {
        return format!("{DISPLACED}{name}").parse().ok();
    }
    (!name.as_str().starts_with(DISPLACED)).then_some(name)
}

#[cfg(test)]
mod tests;
