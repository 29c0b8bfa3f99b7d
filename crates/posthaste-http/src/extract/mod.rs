//! Requests that are refused before a handler sees them.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod callers;
pub(crate) mod fields;
mod jwt;
pub(crate) mod path;
pub(crate) mod query;
