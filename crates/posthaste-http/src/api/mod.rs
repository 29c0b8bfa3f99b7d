//! The API's operations: one file a resource, each with its wire shapes, its readers and its handlers.

pub(crate) mod app;
pub(crate) mod attempt;
pub(crate) mod endpoint;
pub(crate) mod event_type;
pub(crate) mod find;
pub(crate) mod headers;
pub(crate) mod ingest;
pub(crate) mod looks;
pub(crate) mod message;
pub(crate) mod not_supported;
pub(crate) mod owned;
pub(crate) mod portal;
mod received;
pub(crate) mod recovery;
pub(crate) mod replay;
pub(crate) mod secret;
pub(crate) mod task;
