//! An event type: a name in an environment's catalogue, with its documentation.

use crate::name::{EventTypeName, Label};
use crate::time::Timestamp;

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct EventType {
    /// Its name, unique in the environment.
    pub name: EventTypeName,
    /// What may be changed of it.
    pub facts: EventTypeFacts,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a caller says of an event type.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventTypeFacts {
    /// For people.
    pub description: String,
    /// Hidden from lists, still accepted.
    pub archived: bool,
    /// Shown as on its way out.
    pub deprecated: bool,
    /// JSON Schemas by version, as the caller wrote them.
    pub schemas: Option<serde_json::Map<String, serde_json::Value>>,
    /// Shown only to portal links that carry one of these flags.
    pub feature_flags: Option<Vec<Label>>,
    /// Groups it in lists.
    pub group_name: Option<Label>,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventTypeChange {
    /// A new description.
    pub description: Option<String>,
    /// Hide or show.
    pub archived: Option<bool>,
    /// Mark or unmark.
    pub deprecated: Option<bool>,
    /// `Some(None)` takes them away.
    pub schemas: Option<Option<serde_json::Map<String, serde_json::Value>>>,
    /// `Some(None)` shows it to all.
    pub feature_flags: Option<Option<Vec<Label>>>,
    /// `Some(None)` takes it out of its group.
    pub group_name: Option<Option<Label>>,
}
