//! The facts of an event type, in one column of JSON; `archived` has a column of its own, since lists filter by it.

use posthaste_core::event_type::EventTypeFacts;
use posthaste_core::name::Label;
use serde::{Deserialize, Serialize};

use super::corrupt;
use crate::error::StoreError;

#[derive(Serialize, Deserialize)]
struct Stored {
    description: String,
    deprecated: bool,
    schemas: Option<serde_json::Map<String, serde_json::Value>>,
    feature_flags: Option<Vec<String>>,
    group_name: Option<String>,
}

/// The column of these facts.
pub(crate) fn write(facts: &EventTypeFacts) -> Result<String, StoreError> {
    let stored = Stored {
        description: facts.description.clone(),
        deprecated: facts.deprecated,
        schemas: facts.schemas.clone(),
        feature_flags: facts
            .feature_flags
            .as_ref()
            .map(|l| l.iter().map(|n| n.as_str().to_owned()).collect()),
        group_name: facts.group_name.as_ref().map(|n| n.as_str().to_owned()),
    };
    serde_json::to_string(&stored).map_err(|e| corrupt("event_type", e))
}

/// The facts of this column.
pub(crate) fn read(text: &str, archived: bool) -> Result<EventTypeFacts, StoreError> {
    let stored: Stored = serde_json::from_str(text).map_err(|e| corrupt("event_type", e))?;
    let labels = |names: Vec<String>| names.iter().filter_map(|n| Label::parse(n).ok()).collect();
    Ok(EventTypeFacts {
        description: stored.description,
        archived,
        deprecated: stored.deprecated,
        schemas: stored.schemas,
        feature_flags: stored.feature_flags.map(labels),
        group_name: stored.group_name.and_then(|n| Label::parse(&n).ok()),
    })
}
