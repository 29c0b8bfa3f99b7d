//! What it costs to verify a provider's request: the HMAC families with a body of 1 KiB, the others as the fixtures
//! have them.

use std::hint::black_box;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use criterion::{Criterion, Throughput};
use hmac::{Hmac, KeyInit as _, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::{Keys, Receiver, Request, Settings};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

const NOW: i64 = 1_760_000_000;
const TIME: &[u8] = b"1760000000";
const URL: &str = "https://hooks.example.com/in/acme";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request that is valid, and its receiver.
struct Case {
    receiver: Receiver,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    now: i64,
}

impl Case {
    /// A request that we sign.
    fn signed(provider: &str, body: Vec<u8>, signed: &[(&'static str, String)]) -> Self {
        let settings = Settings { secrets: vec![SECRET.to_owned()], ..Settings::default() };
        let mut headers = usual_headers();
        for (name, value) in signed {
            headers.insert(*name, HeaderValue::try_from(value).expect("a header's value"));
        }
        let receiver = Receiver::new(provider, settings).expect("a secret is enough");
        Self { receiver, url: URL.to_owned(), headers, body, now: NOW }
    }

    /// A request of the fixtures, by its id.
    fn fixture(id: &str) -> Self {
        let given = include_str!("../tests/fixtures/provider_vectors.jsonl").lines();
        let own = include_str!("../tests/fixtures/own_vectors.jsonl").lines();
        let read = |line| serde_json::from_str::<Value>(line).expect("a line of JSON");
        let vector = given.chain(own).map(read).find(|vector| vector["id"] == id).expect("a known id");
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let settings = Settings {
            secrets: vector["secret"].as_str().map(str::to_owned).into_iter().collect(),
            values: vector["config"].as_object().cloned().unwrap_or_default(),
            tolerance: Some(None),
            ..Settings::default()
        };
        let mut headers = usual_headers();
        for (name, value) in vector["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::try_from(value.as_str().unwrap_or_default()).expect("a header's value");
            headers.insert(HeaderName::try_from(name).expect("a header's name"), value);
        }
        Self {
            receiver: Receiver::new(&text("provider"), settings).expect("the vector's settings"),
            url: text("url"),
            headers,
            body: BASE64_STANDARD.decode(text("body_base64")).expect("base64"),
            now: vector["now_unix"].as_i64().unwrap_or(NOW),
        }
    }

    fn run(&self, criterion: &mut Criterion, name: &str) {
        let keys = Keys::default();
        let verify = || {
            let request = Request {
                method: "POST",
                url: &self.url,
                headers: &self.headers,
                body: black_box(&self.body),
            };
            self.receiver.verify(&request, self.now, &keys)
        };
        verify().expect("a valid request");
        let mut group = criterion.benchmark_group("verify");
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bench| bench.iter(verify));
        group.finish();
    }
}

/// What any request brings besides.
fn usual_headers() -> HeaderMap {
    let pairs = [
        ("host", "hooks.example.com"),
        ("user-agent", "Acme-Hookshot/1.0"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("content-length", "1024"),
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-request-id", "0f2b8f4e-6e5b-4d0e-8d52-4f4f2b0b6d2a"),
    ];
    pairs
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect()
}

fn tag(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac_families(criterion: &mut Criterion) {
    let body = || vec![b'x'; 1024];
    let key = SECRET.as_bytes();
    let github = format!("sha256={}", hex(&tag(key, &[&body()])));
    Case::signed("github", body(), &[("x-hub-signature-256", github)]).run(criterion, "github: hex");
    let stripe = format!("t=1760000000,v1={}", hex(&tag(key, &[TIME, b".", &body()])));
    Case::signed("stripe", body(), &[("stripe-signature", stripe)])
        .run(criterion, "stripe: a list with the time");
    let slack = format!("v0={}", hex(&tag(key, &[b"v0:", TIME, b":", &body()])));
    let slack = [("x-slack-request-timestamp", "1760000000".to_owned()), ("x-slack-signature", slack)];
    Case::signed("slack", body(), &slack).run(criterion, "slack: the time in a header");
    let decoded = BASE64_STANDARD.decode(&SECRET["whsec_".len()..]).expect("base64");
    let standard = BASE64_STANDARD.encode(tag(&decoded, &[b"msg_1.", TIME, b".", &body()]));
    let standard = [
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", "1760000000".to_owned()),
        ("webhook-signature", format!("v1,{standard}")),
    ];
    Case::signed("standard-webhooks", body(), &standard).run(criterion, "standard-webhooks");
    let shopify = BASE64_STANDARD.encode(tag(key, &[&body()]));
    Case::signed("shopify", body(), &[("x-shopify-hmac-sha256", shopify)]).run(criterion, "shopify: base64");
    let token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0";
    let mailgun = format!(
        r#"{{"signature":{{"timestamp":"1760000000","token":"{token}","signature":"{}"}},"event-data":"{}"}}"#,
        hex(&tag(key, &[TIME, token.as_bytes()])),
        "x".repeat(800)
    );
    Case::signed("mailgun", mailgun.into_bytes(), &[]).run(criterion, "mailgun: fields of JSON");
}

fn twilio(criterion: &mut Criterion) {
    let fields: Vec<(String, String)> =
        (0..20).map(|n| (format!("Field{n}"), "a value of some length".repeat(2))).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(URL.as_bytes());
    let mut sorted = fields.clone();
    sorted.sort();
    for (name, value) in &sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let mut case = Case::signed("twilio", form.into_bytes(), &[("x-twilio-signature", signature)]);
    case.headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    case.run(criterion, "twilio: a form of 20 fields, SHA-1");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hmac_families(&mut criterion);
    twilio(&mut criterion);
    for (id, name) in [
        ("own/adyen/two-items", "adyen: two items"),
        ("own/gitlab/valid", "gitlab: a token"),
        ("discord/valid", "discord: Ed25519"),
        ("sendgrid/valid", "sendgrid: ECDSA P-256"),
        ("own/wise/valid", "wise: RSA 2048"),
        ("vonage/valid", "vonage: a JWT, HS256"),
        ("google-pubsub/valid", "google-pubsub: a JWT, RS256"),
    ] {
        Case::fixture(id).run(&mut criterion, name);
    }
    criterion.final_summary();
}
