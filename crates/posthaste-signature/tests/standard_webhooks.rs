//! Standard Webhooks against vectors from the specification, from Svix's SDKs and from another implementation.
#![expect(clippy::unwrap_used, reason = "a fixture that does not read is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use posthaste_signature::standard::{Signed, Verifier, VerifyError, verify};
use serde_json::Value;

fn headers(vector: &Value) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = match &vector["headers"] {
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
        }
        Value::Array(list) => list
            .iter()
            .map(|p| (p[0].as_str().unwrap().to_owned(), p[1].as_str().unwrap().to_owned()))
            .collect(),
        other => panic!("headers: {other}"),
    };
    pairs.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect()
}

fn keys(vector: &Value) -> Vec<Verifier> {
    let public = vector["config"]["public_key"].as_str().map(|key| {
        let key = if key.starts_with("whpk_") { key.to_owned() } else { format!("whpk_{key}") };
        Verifier::parse(&key).unwrap()
    });
    let secrets: Vec<&str> = match &vector["secret"] {
        Value::String(secret) => vec![secret],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    secrets.into_iter().filter_map(|s| Verifier::parse(s).ok()).chain(public).collect()
}

fn judge(vector: &Value) -> Result<(), VerifyError> {
    let headers = headers(vector);
    let body = BASE64_STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
    let signed = Signed::from_headers(|name| headers.get(name).map(String::as_str))?;
    let tolerance = vector["tolerance_s"].as_u64().map(Duration::from_secs);
    verify(&signed, &body, &keys(vector), vector["now_unix"].as_i64().unwrap_or(0), tolerance)
}

#[test]
fn every_vector_gets_the_answer_that_it_names() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("fixtures/standard_webhooks.json")).expect("the fixture is JSON");
    assert!(vectors.len() > 20, "the fixture has {} vectors", vectors.len());
    let wrong: Vec<String> = vectors
        .iter()
        .filter_map(|vector| {
            let verdict = judge(vector);
            let expected = vector["expected"] == "valid";
            (verdict.is_ok() != expected)
                .then(|| format!("{}: expected {}, got {verdict:?}", vector["id"], vector["expected"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}
