//! A source's own answer to its provider.

use std::num::NonZeroU8;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use posthaste_core::answer::{Answer, may_have_body};
use posthaste_core::limits::ANSWER_DELAY_MAX;
use serde_json::{Map, Value, json};

use crate::extract::fields::{Fields, integer, object, shown, string};

/// Bytes of a body.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;
/// Headers.
pub(crate) const HEADERS_MAX: usize = 20;
/// Statuses in a sequence.
pub(crate) const SEQUENCE_MAX: usize = 100;
/// Headers that frame the answer, which are ours, and cookies, which no provider needs.
const OURS: [&str; 6] =
    ["connection", "content-length", "date", "set-cookie", "transfer-encoding", "posthaste-message"];

/// Reads `answer`.
pub(super) fn read(fields: &mut Fields) -> Answer {
    let usual = Answer::default();
    let longest = i64::try_from(ANSWER_DELAY_MAX.as_millis()).unwrap_or(i64::MAX);
    let status = fields.not_null("status", status).unwrap_or(usual.status);
    let delay_ms = fields.not_null("delayMs", integer(0..=longest)).unwrap_or(0);
    let body = fields.not_null("body", body).unwrap_or_default();
    if !may_have_body(status) && !body.is_empty() {
        fields.wrong("body", format!("must be empty: HTTP has no body with the status {status}"));
    }
    Answer {
        status,
        headers: fields.not_null("headers", headers).unwrap_or_default(),
        body,
        delay: Duration::from_millis(delay_ms.unsigned_abs()),
        sequence: fields.not_null("sequence", sequence).unwrap_or_default(),
        fail_percent: fields.not_null("failPercent", fail_percent).flatten(),
    }
}

/// As it was asked for.
pub(super) fn out(answer: &Answer) -> Value {
    let headers: Map<String, Value> =
        answer.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    json!({
        "status": answer.status,
        "headers": headers,
        "body": answer.body,
        "delayMs": u64::try_from(answer.delay.as_millis()).unwrap_or(u64::MAX),
        "sequence": answer.sequence,
        "failPercent": answer.fail_percent.map_or(0, NonZeroU8::get),
    })
}

/// Only a 2xx says that a request was taken; anything else would make the provider send it again.
fn status(value: Value) -> Result<u16, String> {
    let status = integer(200..=299)(value)?;
    u16::try_from(status).map_err(|error| error.to_string())
}

/// Whoever asks for these wants to see what a sender makes of them.
fn sequence(value: Value) -> Result<Vec<u16>, String> {
    let Value::Array(items) = value else { return Err("must be a list of status codes".to_owned()) };
    if items.len() > SEQUENCE_MAX {
        return Err(format!("must hold at most {SEQUENCE_MAX} status codes"));
    }
    let read = |item| u16::try_from(integer(200..=599)(item)?).map_err(|error| error.to_string());
    items.into_iter().map(read).collect()
}

fn fail_percent(value: Value) -> Result<Option<NonZeroU8>, String> {
    let percent = integer(0..=100)(value)?;
    Ok(u8::try_from(percent).ok().and_then(NonZeroU8::new))
}

fn body(value: Value) -> Result<String, String> {
    let text = string(value)?;
    if text.len() > BODY_BYTES_MAX {
        return Err(format!("must be at most {BODY_BYTES_MAX} bytes"));
    }
    Ok(text)
}

fn headers(value: Value) -> Result<Vec<(String, String)>, String> {
    let map = object(value)?;
    if map.len() > HEADERS_MAX {
        return Err(format!("must hold at most {HEADERS_MAX} headers"));
    }
    let read = |(name, value): (String, Value)| {
        let known_as = shown(&name);
        let value = string(value).map_err(|error| format!("{known_as} {error}"))?;
        let lower = name.to_ascii_lowercase();
        if lower.parse::<HeaderName>().is_err() || OURS.contains(&lower.as_str()) {
            return Err(format!("{known_as:?} is no header that can be set"));
        }
        value
            .parse::<HeaderValue>()
            .map_err(|_| format!("{known_as} has a character that no header may have"))?;
        Ok((lower, value))
    };
    map.into_iter().map(read).collect()
}
