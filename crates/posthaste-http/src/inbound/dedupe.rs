//! By what a request is known again.

use axum::http::{HeaderMap, HeaderValue};
use posthaste_core::source::{Dedupe, DedupeBy};
use posthaste_signature::provider::{Receiver, Request, Verified, json_text};
use posthaste_store::source::DedupeKey;
use sha2::{Digest as _, Sha256};

/// The key of a verified request that the provider calls `event_type`; `None`: it is new, whatever it holds.
///
/// A provider that names its deliveries is believed, for each type of event apart: what many call an id is that of a
/// call, a message or an alert, of which several things are told. One that names none is known by the body, unless nobody signs it
/// or the operator chose the scheme: a heartbeat may well say the same twice and mean it.
pub(crate) fn key(
    dedupe: &Dedupe,
    receiver: &Receiver,
    request: &Request<'_>,
    verified: &Verified,
    event_type: &str,
) -> Option<DedupeKey> {
    let hash = match &dedupe.by {
        DedupeBy::Off => return None,
        DedupeBy::Body => hash("body", request.body),
        DedupeBy::Header(name) => hash("header", header(request.headers, name)?),
        DedupeBy::Json(path) => hash("json", json_text(request.body, path)?.as_bytes()),
        DedupeBy::Provider => match receiver.delivery_id(request, verified) {
            Some(id) => hash("id", format!("{id}\0{event_type}").as_bytes()),
            None if is_plain(receiver) => return None,
            None => hash("body", request.body),
        },
    };
    Some(DedupeKey { hash, window: dedupe.window })
}

fn is_plain(receiver: &Receiver) -> bool {
    let provider = receiver.provider();
    provider.scheme() == "none" || provider.slug.starts_with("generic-")
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes).filter(|value| !value.is_empty())
}

fn hash(kind: &str, value: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(kind).chain_update([0]).chain_update(value).finalize().into()
}
