//! What a change does to what it changes: the same in every store.

use posthaste_core::endpoint::{Endpoint, EndpointChange, Header};
use posthaste_core::event_type::{EventTypeChange, EventTypeFacts};

/// Everything but the uid, which another endpoint may have.
pub(crate) fn apply_to_endpoint(endpoint: &mut Endpoint, change: EndpointChange) {
    if let Some(url) = change.url {
        endpoint.url = url;
    }
    if let Some(description) = change.description {
        endpoint.description = description;
    }
    if let Some(rate) = change.rate_per_second {
        endpoint.rate_per_second = rate;
    }
    if let Some(disabled) = change.disabled {
        endpoint.disabled = disabled;
    }
    if let Some(event_types) = change.event_types {
        endpoint.filter.event_types = event_types;
    }
    if let Some(channels) = change.channels {
        endpoint.filter.channels = channels;
    }
    if let Some(metadata) = change.metadata {
        endpoint.metadata = metadata;
    }
    if let Some(headers) = change.headers {
        endpoint.headers = headers;
    }
    for (name, value) in change.header_patch {
        patch_header(&mut endpoint.headers, name, value);
    }
}

fn patch_header(headers: &mut Vec<Header>, name: String, value: Option<String>) {
    headers.retain(|(existing, _)| !existing.eq_ignore_ascii_case(&name));
    if let Some(value) = value {
        headers.push((name, value));
    }
}

/// What the change names, and nothing else.
pub(crate) fn apply_to_facts(facts: &mut EventTypeFacts, change: EventTypeChange) {
    facts.description = change.description.unwrap_or_else(|| std::mem::take(&mut facts.description));
    facts.archived = change.archived.unwrap_or(facts.archived);
    facts.deprecated = change.deprecated.unwrap_or(facts.deprecated);
    facts.schemas = change.schemas.unwrap_or_else(|| facts.schemas.take());
    facts.feature_flags = change.feature_flags.unwrap_or_else(|| facts.feature_flags.take());
    facts.group_name = change.group_name.unwrap_or_else(|| facts.group_name.take());
}
