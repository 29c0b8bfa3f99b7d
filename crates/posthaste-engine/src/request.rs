//! The request that a delivery becomes: body as accepted, Standard Webhooks headers, the endpoint's own headers.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use posthaste_core::delivery::Claimed;
use posthaste_core::time::Timestamp;
use posthaste_signature::sign_all;

use crate::client::Outbound;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const SVIX_ID: HeaderName = HeaderName::from_static("svix-id");
const SVIX_TIMESTAMP: HeaderName = HeaderName::from_static("svix-timestamp");
const SVIX_SIGNATURE: HeaderName = HeaderName::from_static("svix-signature");

/// Who we say we are.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Posthaste/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Signs `claimed` with every secret that is live at `now` (<https://www.standardwebhooks.com>). The same three
/// headers go out under Svix's names too, which older receivers read. The endpoint's own headers come last and can
/// replace the content type and the agent, never a signature.
pub(crate) fn build(claimed: &Claimed, now: Timestamp, timeout: Duration) -> Outbound {
    let body = claimed.message.body.clone().unwrap_or_default();
    let id = claimed.message.id.to_string();
    let signature = sign_all(claimed.endpoint.secrets.live(now), &id, now.as_secs(), &body);
    let mut headers = HeaderMap::with_capacity(8 + claimed.endpoint.headers.len());
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USER_AGENT, AGENT);
    for (name, value) in &claimed.endpoint.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    let signed = [(WEBHOOK_ID, SVIX_ID, id), (WEBHOOK_SIGNATURE, SVIX_SIGNATURE, signature)];
    for (name, svix_name, value) in signed {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value.clone());
            headers.insert(svix_name, value);
        }
    }
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_secs()));
    headers.insert(SVIX_TIMESTAMP, HeaderValue::from(now.as_secs()));
    Outbound { url: claimed.endpoint.url.clone(), headers, body, timeout }
}
