//! Sources and their endpoints: Svix's ingest API, and what it lacks.

pub(crate) mod answer;
mod cron;
pub(crate) mod log;
pub(crate) mod request;
pub(crate) mod rules;
pub(crate) mod source;
