//! An app: one customer of the sender.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::id::AppId;
use crate::name::Uid;
use crate::time::Timestamp;

/// Free key and value pairs that belong to the caller.
pub type Metadata = BTreeMap<String, String>;

/// One customer of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Our id.
    pub id: AppId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// Messages per second over all its endpoints.
    pub rate_per_second: Option<NonZeroU16>,
    /// The caller's own.
    pub metadata: Metadata,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An app about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApp {
    /// Our id, made by the caller.
    pub id: AppId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// For people.
    pub name: String,
    /// Messages per second over all its endpoints.
    pub rate_per_second: Option<NonZeroU16>,
    /// The caller's own.
    pub metadata: Metadata,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppChange {
    /// `Some(None)` takes the uid away.
    pub uid: Option<Option<Uid>>,
    /// A new name.
    pub name: Option<String>,
    /// `Some(None)` lifts the limit.
    pub rate_per_second: Option<Option<NonZeroU16>>,
    /// Replaces all of it.
    pub metadata: Option<Metadata>,
}

/// How a path names an app, an endpoint or a message: by our id or by the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference(String);

impl Reference {
    /// Any text; text that names nothing is simply not found.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Our id, if that is what it is.
    pub fn id<K: crate::id::Kind>(&self) -> Option<crate::id::Id<K>> {
        crate::id::Id::parse(&self.0)
    }
}

impl From<AppId> for Reference {
    fn from(id: AppId) -> Self {
        Self(id.to_string())
    }
}
