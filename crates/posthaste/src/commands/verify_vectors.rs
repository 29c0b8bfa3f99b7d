//! Every vector of the signature library, through the command's own reading of its arguments.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;
use crate::cli::laptop::SchemeArgs;

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
    expected: String,
}

fn all() -> Vec<Vector> {
    // Read, not included: nothing that is built outside of tests may need them.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../posthaste-signature/tests/fixtures");
    let read = |name: &str| std::fs::read_to_string(format!("{fixtures}/{name}")).unwrap();
    let (given, own) = (read("provider_vectors.jsonl"), read("own_vectors.jsonl"));
    given.lines().chain(own.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// As it would be typed; what is not text is written as JSON.
fn typed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Vector {
    fn args(&self) -> VerifyArgs {
        let secrets = match &self.secret {
            Value::Array(secrets) => secrets.iter().map(typed).collect(),
            Value::Null => vec![],
            secret => vec![typed(secret)],
        };
        let config = self.config.iter().flatten().map(|(name, value)| format!("{name}={}", typed(value)));
        VerifyArgs {
            provider: self.provider.clone(),
            scheme: SchemeArgs { secret: secrets, config: config.collect(), variant: self.variant.clone() },
            method: Some(self.method.clone()),
            url: Some(self.url.clone()),
            header: self.headers.iter().map(|(name, value)| format!("{name}: {}", typed(value))).collect(),
            now: Some(self.now_unix),
            offline: true,
            ..VerifyArgs::default()
        }
    }

    fn judged(&self) -> Judged {
        let args = self.args();
        let mut captured = request(&args, None).unwrap();
        captured.body =
            posthaste_signature::provider::from_base64(self.body_base64.as_deref().unwrap_or_default())
                .unwrap();
        let judged = judge_fetching(&args, settings(&args).unwrap(), &captured, self.now_unix);
        judged.unwrap_or_else(|complaint| panic!("{}: {complaint}", self.id)).1
    }

    fn fails(&self) -> Option<String> {
        let valid = self.expected == "valid";
        match self.judged() {
            Judged::Valid { .. } if valid => None,
            Judged::Handshake { .. }
                if valid && (self.kind == "handshake" || self.id.contains("confirmation")) =>
            {
                None
            }
            Judged::Invalid { .. } if !valid => None,
            Judged::Valid { .. } => Some(format!("{}: believed", self.id)),
            Judged::Handshake { .. } => Some(format!("{}: answered as a handshake", self.id)),
            Judged::Invalid { why, .. } => Some(format!("{}: {why}", self.id)),
        }
    }
}

#[test]
fn every_vector_gets_the_verdict_it_expects_from_the_command() {
    let vectors = all();
    assert!(vectors.len() > 2_200);
    let failures: Vec<_> = vectors.iter().filter_map(Vector::fails).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), vectors.len(), failures.join("\n"));
}
