//! Sources and their endpoints: Svix's ingest API, and what it lacks.

mod answer;
mod cron;
pub(crate) mod log;
mod rules;
pub(crate) mod source;
