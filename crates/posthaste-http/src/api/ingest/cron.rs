//! What a cron source makes, and when, on the wire: Svix's `CronConfig`.

use axum::http::HeaderValue;
use posthaste_core::cron::Cron;
use posthaste_core::limits::CRON_PAYLOAD_BYTES_MAX;
use posthaste_core::schedule::Schedule;
use posthaste_core::source::Config;
use posthaste_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::extract::fields::{Fields, string};

/// Characters of a content type.
const CONTENT_TYPE_LENGTH_MAX: usize = 256;

/// Reads `config`, which must be there if `required`.
pub(super) fn read(fields: &mut Fields, required: bool, now: Timestamp) -> Option<Config> {
    let read = fields.nested("config", |fields| {
        let schedule = fields.required("schedule", schedule);
        let payload = fields.required("payload", payload);
        let content_type = fields.either(["contentType", "content_type"], content_type).value();
        // A time zone, say, must not be passed over: its times would be others.
        fields.nothing_else();
        let ((expression, schedule), payload) = (schedule?, payload?);
        Some(Cron { expression, schedule, payload, content_type, since: now }.to_keep())
    });
    if required && read.is_none() {
        fields.wrong("config", "must hold a schedule and a payload");
    }
    read.flatten()
}

/// The same as a change of what there is: a schedule that stays goes on without a gap.
pub(super) fn going_on(config: Config, before: &Config) -> Config {
    match Cron::kept(&config) {
        Some(cron) => cron.in_place_of(before).to_keep(),
        None => config,
    }
}

/// All of it: nothing of it is secret.
pub(super) fn out(config: &Config) -> Value {
    let Some(cron) = Cron::kept(config) else { return json!({}) };
    let mut out = Map::new();
    out.insert("schedule".to_owned(), Value::from(cron.expression));
    out.insert("payload".to_owned(), Value::from(cron.payload));
    out.extend(cron.content_type.map(|content_type| ("contentType".to_owned(), Value::from(content_type))));
    Value::Object(out)
}

fn schedule(value: Value) -> Result<(String, Schedule), String> {
    let text = string(value)?;
    Schedule::parse(&text).map(|schedule| (text, schedule)).map_err(|error| error.to_string())
}

fn payload(value: Value) -> Result<String, String> {
    let text = string(value)?;
    if text.len() > CRON_PAYLOAD_BYTES_MAX {
        return Err(format!("must be at most {CRON_PAYLOAD_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn content_type(value: Value) -> Result<String, String> {
    let text = string(value)?;
    let is_sendable = text.parse::<HeaderValue>().is_ok_and(|value| value.to_str().is_ok());
    let has_parts = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if !is_sendable || !has_parts || text.len() > CONTENT_TYPE_LENGTH_MAX {
        return Err("must be a media type, like text/plain".to_owned());
    }
    Ok(text)
}
