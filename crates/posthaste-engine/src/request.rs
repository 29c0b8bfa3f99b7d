//! The request that a delivery becomes: body as accepted, Standard Webhooks headers, the endpoint's own headers; of what
//! a source received, also method, query and headers as the provider sent them.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use posthaste_core::delivery::Claimed;
use posthaste_core::origin::Origin;
use posthaste_core::time::Timestamp;
use posthaste_signature::sign_all;

use crate::client::Outbound;

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

/// Signs `claimed` with every secret that is live at `now` (<https://www.standardwebhooks.com>). The same three
/// headers go out under Svix's names too, which older receivers read. The endpoint's own headers come last and can
/// replace the content type and the agent, never a signature.
pub(crate) fn build(claimed: &Claimed, now: Timestamp, timeout: Duration) -> Outbound {
    let body = claimed.message.body.clone().unwrap_or_default();
    let (method, query, mut headers) = match &claimed.message.origin {
        Some(origin) => (method_of(origin), origin.query.clone(), headers_of(origin)),
        None => (Method::POST, String::new(), HeaderMap::from_iter([(CONTENT_TYPE, JSON)])),
    };
    headers.entry(USER_AGENT).or_insert(AGENT);
    for (name, value) in &claimed.endpoint.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    sign(&mut headers, claimed, now, &body);
    Outbound { method, url: claimed.endpoint.url.clone(), query, headers, body, timeout }
}

fn sign(headers: &mut HeaderMap, claimed: &Claimed, now: Timestamp, body: &[u8]) {
    let id = claimed.message.id.to_string();
    let signature = sign_all(claimed.endpoint.secrets.live(now), &id, now.as_secs(), body);
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
