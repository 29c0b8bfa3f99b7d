//! A request with its verdict, as the fixtures hold it: one JSON object a line.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::{
    Answer, Keys, Receiver, Refusal, Request, Settings, SetupError, Verified,
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Deserialize)]
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) variant: Option<String>,
    pub(crate) kind: String,
    pub(crate) name: String,
    method: String,
    pub(crate) url: String,
    pub(crate) headers: Map<String, Value>,
    body_base64: Option<String>,
    pub(crate) secret: Value,
    pub(crate) config: Option<Map<String, Value>>,
    pub(crate) now_unix: i64,
    tolerance_s: Option<u64>,
    expected: String,
    pub(crate) reason: Option<String>,
    expected_response: Option<Value>,
}

/// Those of the providers' descriptions, and our own.
pub(crate) fn all() -> Vec<Vector> {
    let given = include_str!("../fixtures/provider_vectors.jsonl").lines();
    let own = include_str!("../fixtures/own_vectors.jsonl").lines();
    given.chain(own).map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Vector {
    pub(crate) fn is_delivery(&self) -> bool {
        self.kind == "delivery"
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.expected == "valid"
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        match &self.secret {
            Value::String(secret) => vec![secret.clone()],
            Value::Array(secrets) => secrets.iter().map(|s| s.as_str().unwrap().to_owned()).collect(),
            _ => vec![],
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.variant.clone_from(&self.variant);
        settings.secrets = self.secrets();
        settings.values = self.config.clone().unwrap_or_default();
        settings.tolerance = Some(self.tolerance_s.map(Duration::from_secs));
        settings
    }

    pub(crate) fn receiver(&self) -> Receiver {
        Receiver::new(&self.provider, self.settings()).unwrap_or_else(|error| panic!("{}: {error}", self.id))
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(self.body_base64.as_deref().unwrap_or_default()).unwrap()
    }

    /// The headers, with their names as `spell` writes them.
    pub(crate) fn header_map(&self, spell: fn(&str) -> String) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.as_str().unwrap().as_bytes()).unwrap();
            headers.append(spell(name).parse::<HeaderName>().unwrap(), value);
        }
        headers
    }

    /// What `receiver` says to the request with this body.
    pub(crate) fn verdict(&self, receiver: &Receiver, body: &[u8]) -> Result<Verified, Refusal> {
        let headers = self.header_map(str::to_owned);
        receiver.verify(&self.request(&headers, body), self.now_unix, &Keys::default())
    }

    pub(crate) fn request<'a>(&'a self, headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
        Request { method: &self.method, url: &self.url, headers, body }
    }

    /// What the vector expects is not what happens: how.
    pub(crate) fn fails(&self) -> Option<String> {
        self.fails_with(str::to_owned)
    }

    pub(crate) fn fails_with(&self, spell: fn(&str) -> String) -> Option<String> {
        match self.outcome(spell) {
            Ok(how) => how,
            Err(error) => Some(format!("no receiver: {error}")),
        }
    }

    fn outcome(&self, spell: fn(&str) -> String) -> Result<Option<String>, SetupError> {
        let (headers, body, keys) = (self.header_map(spell), self.body(), Keys::default());
        let request = self.request(&headers, &body);
        if !self.is_delivery() {
            let receiver = Receiver::unready(&self.provider, self.settings())?;
            return Ok(match receiver.handshake(&request, self.now_unix, &keys) {
                None => Some("not seen as a handshake".to_owned()),
                Some(Ok(answer)) if self.is_valid() => self.differs(&answer),
                Some(Err(_)) if !self.is_valid() => None,
                Some(other) => Some(format!("{other:?}")),
            });
        }
        let receiver = Receiver::new(&self.provider, self.settings())?;
        Ok(match receiver.verify(&request, self.now_unix, &keys) {
            Ok(_) if self.is_valid() => None,
            Err(_) if !self.is_valid() => None,
            Ok(_) => Some("accepted".to_owned()),
            Err(refusal) => Some(refusal.to_string()),
        })
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
