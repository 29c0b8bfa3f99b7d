//! Every provider's requests, right and wrong, as data: `fixtures/provider_vectors.jsonl`, one a line.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::{Answer, Keys, Receiver, Request, Settings};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Vector {
    id: String,
    provider: String,
    variant: Option<String>,
    kind: String,
    method: String,
    url: String,
    headers: Map<String, Value>,
    body_base64: Option<String>,
    secret: Value,
    config: Option<Map<String, Value>>,
    now_unix: i64,
    tolerance_s: Option<u64>,
    expected: String,
    expected_response: Option<Value>,
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("fixtures/provider_vectors.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Vector {
    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.variant.clone_from(&self.variant);
        settings.secrets = match &self.secret {
            Value::String(secret) => vec![secret.clone()],
            Value::Array(secrets) => secrets.iter().map(|s| s.as_str().unwrap().to_owned()).collect(),
            _ => vec![],
        };
        settings.values = self.config.clone().unwrap_or_default();
        settings.tolerance = Some(self.tolerance_s.map(std::time::Duration::from_secs));
        settings
    }

    /// What the vector expects is not what happens: how.
    fn fails(&self) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        let body = BASE64_STANDARD.decode(self.body_base64.as_deref().unwrap_or_default()).unwrap();
        let request = Request { method: &self.method, url: &self.url, headers: &headers, body: &body };
        let receiver = match if self.kind == "handshake" {
            Receiver::unready(&self.provider, self.settings())
        } else {
            Receiver::new(&self.provider, self.settings())
        } {
            Ok(receiver) => receiver,
            Err(error) => return Some(format!("no receiver: {error}")),
        };
        let keys = Keys::default();
        if self.kind == "handshake" {
            let outcome = receiver.handshake(&request, self.now_unix, &keys);
            return match outcome {
                None => Some("not seen as a handshake".to_owned()),
                Some(Ok(answer)) if self.expected == "valid" => self.differs(&answer),
                Some(Err(_)) if self.expected == "invalid" => None,
                Some(other) => Some(format!("{other:?}")),
            };
        }
        match receiver.verify(&request, self.now_unix, &keys) {
            Ok(_) if self.expected == "valid" => None,
            Err(_) if self.expected == "invalid" => None,
            Ok(_) => Some("accepted".to_owned()),
            Err(refusal) => Some(refusal.to_string()),
        }
    }

    fn differs(&self, answer: &Answer) -> Option<String> {
        let expected = self.expected_response.as_ref()?;
        let status = expected["status"].as_u64().is_none_or(|status| status == u64::from(answer.status));
        let body = expected["body"].as_str().is_none_or(|body| body == answer.body);
        let json = expected
            .get("body_json")
            .is_none_or(|json| serde_json::from_str::<Value>(&answer.body).is_ok_and(|body| body == *json));
        let headers = expected["headers"].as_object().into_iter().flatten().all(|(name, value)| {
            answer
                .headers
                .iter()
                .any(|(known, sent)| name.eq_ignore_ascii_case(known) && value == sent.as_str())
        });
        let then = expected["then_get"].as_str() == answer.then_get.as_deref();
        (!(status && body && json && headers && then))
            .then(|| format!("answered {answer:?}, expected {expected}"))
    }
}

#[test]
fn every_vector_gets_the_verdict_it_expects() {
    let vectors = vectors();
    assert!(vectors.len() > 2_000);
    let failures: Vec<_> = vectors
        .iter()
        .filter_map(|v| v.fails().map(|how| format!("{} (expected {}): {how}", v.id, v.expected)))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), vectors.len(), failures.join("\n"));
}
