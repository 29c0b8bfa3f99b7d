//! Requests with the verdict that a receiver must reach: `fixtures/standard_webhooks.json`, run as data.
#![expect(clippy::unwrap_used, reason = "a fixture that does not read is a failed test")]

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use posthaste_signature::standard::{Signed, Verifier, VerifyError, verify};
use serde_json::Value;

const VECTORS: &str = include_str!("fixtures/standard_webhooks.json");

/// Guards against a fixture that was cut short.
const VECTORS_COUNT: usize = 96;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is not a text in {value}"))
}

fn keys(vector: &Value) -> Vec<Verifier> {
    let texts: Vec<&str> = match &vector["secret"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => vec![text(&vector["config"], "public_key")],
    };
    texts.into_iter().map(|one| Verifier::parse(one).unwrap()).collect()
}

fn verdict(vector: &Value) -> Result<(), VerifyError> {
    let headers = vector["headers"].as_object().unwrap();
    let body = BASE64_STANDARD.decode(text(vector, "body_base64")).unwrap();
    let signed = Signed::from_headers(|name| {
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
    })?;
    let tolerance = vector["tolerance_s"].as_u64().map(Duration::from_secs);
    verify(&signed, &body, &keys(vector), vector["now_unix"].as_i64().unwrap(), tolerance)
}

fn reason(error: VerifyError) -> &'static str {
    match error {
        VerifyError::MissingId => "missing-header",
        VerifyError::MissingTimestamp => "missing-timestamp",
        VerifyError::MissingSignature => "missing-signature",
        VerifyError::Expired { .. } => "timestamp-expired",
        VerifyError::Future { .. } => "timestamp-future",
        VerifyError::MalformedSignature => "malformed-signature",
        VerifyError::NoSupportedSignature => "no-supported-signature",
        VerifyError::Mismatch => "signature-mismatch",
        other => panic!("no vector has this reason: {other}"),
    }
}

#[test]
fn every_vector_gets_its_verdict_for_its_reason() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), VECTORS_COUNT);
    for vector in &vectors {
        let verdict = verdict(vector);
        let id = text(vector, "id");
        match text(vector, "expected") {
            "valid" => assert_eq!(verdict, Ok(()), "{id}"),
            _ => assert_eq!(verdict.map_err(reason), Err(text(vector, "reason")), "{id}"),
        }
    }
}
