//! Signatures and secrets: of every provider, and of Standard Webhooks.

use std::time::Duration;

use http::HeaderMap;
use posthaste_signature::Secret;
use posthaste_signature::provider::{self, Keys, Receiver, Request, Settings};
use posthaste_signature::standard::{Signed, Verifier, verify};
use serde_json::{Map, Value};

use crate::request::{first_line, read};

/// When the corpora were signed.
const NOW: i64 = 1_760_000_000;

/// `slug`, settings as JSON, `METHOD url`, headers, an empty line, the body.
pub fn provider(data: &[u8]) {
    let (slug, rest) = first_line(data);
    let (settings, rest) = first_line(rest);
    let (target, rest) = first_line(rest);
    let (headers, body) = read(rest);
    let slug = known_slug(slug);
    let target = String::from_utf8_lossy(target);
    let (method, url) = target.split_once(' ').unwrap_or(("POST", &target));
    let (settings, now) = settings_of(settings);
    let request = Request { method, url, headers: &headers, body };
    // A variant may be one that signs nothing.
    let is_main = settings.variant.is_none();
    if let Ok(receiver) = Receiver::unready(slug, settings.clone()) {
        let _ = receiver.handshake(&request, now, &Keys::default());
        let _ = receiver.delivered(&request);
    }
    let Ok(receiver) = Receiver::new(slug, settings) else { return };
    let keys = Keys::default();
    match receiver.verify(&request, now, &keys) {
        Ok(verified) => {
            let _ = receiver.event_type(&request, &verified);
            let _ = receiver.delivery_id(&request, &verified);
            let nothing =
                Request { headers: &HeaderMap::new(), body: b"", method, url: "https://x.example/" };
            let signs = is_main && !matches!(receiver.provider().scheme(), "none" | "unknown");
            assert!(
                !signs || receiver.verify(&nothing, now, &keys).is_err(),
                "{slug} believes nothing at all"
            );
        }
        Err(refusal) => {
            let _ = receiver.explain(&request, now, &keys, &refusal);
        }
    }
}

/// The provider of this name, or one that its bytes pick.
fn known_slug(bytes: &[u8]) -> &'static str {
    let named = std::str::from_utf8(bytes).ok().and_then(provider::find);
    let sum = bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let picked = named.or_else(|| provider::all().nth(sum % provider::all().count()));
    picked.map_or("github", |provider| provider.slug.as_str())
}

/// Settings, and what time it is.
fn settings_of(bytes: &[u8]) -> (Settings, i64) {
    let Ok(Value::Object(mut map)) = serde_json::from_slice(bytes) else {
        return (Settings { secrets: vec!["a secret".to_owned()], ..Settings::default() }, NOW);
    };
    let texts = |value: Option<Value>| -> Vec<String> {
        let Some(Value::Array(items)) = value else { return vec![] };
        items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let now = map.remove("now").and_then(|now| now.as_i64()).unwrap_or(NOW);
    let variant = map.remove("variant").and_then(|variant| variant.as_str().map(str::to_owned));
    let secrets = texts(map.remove("secrets"));
    let values = match map.remove("values") {
        Some(Value::Object(values)) => values,
        _ => Map::new(),
    };
    (Settings { variant, secrets, values, ..Settings::default() }, now)
}

/// A key, headers, an empty line, the body.
pub fn standard(data: &[u8]) {
    let (key, rest) = first_line(data);
    let (headers, body) = read(rest);
    let Ok(keys) = std::str::from_utf8(key)
        .unwrap_or_default()
        .split(' ')
        .map(Verifier::parse)
        .collect::<Result<Vec<_>, _>>()
    else {
        return;
    };
    let Ok(signed) = Signed::from_headers(|name| headers.get(name)?.to_str().ok()) else { return };
    let tolerance = Some(Duration::from_secs(300));
    if verify(&signed, body, &keys, NOW, tolerance).is_ok() {
        let mut other = body.to_vec();
        other.push(b' ');
        assert!(verify(&signed, &other, &keys, NOW, tolerance).is_err(), "a changed body is believed");
        assert!(verify(&signed, body, &keys, NOW + 10_000, tolerance).is_err(), "an old message is believed");
    }
}

/// A secret, and what can be done with it.
pub fn secret(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Verifier::parse(text);
    let Ok(secret) = Secret::parse(text) else { return };
    let written = secret.expose();
    let again = Secret::parse(&written).expect("what was written can be read");
    assert_eq!(again.expose(), written);
    assert!(!format!("{secret:?}").contains(&written), "a secret is shown");
    let key = Verifier::parse(&secret.shared()).ok().into_iter().chain(Verifier::parse(&written).ok());
    let keys: Vec<_> = key.collect();
    let (timestamp, signature) = (NOW.to_string(), secret.sign("id", NOW, b"body"));
    let signed = Signed { id: "id", timestamp: &timestamp, signature: &signature };
    assert!(verify(&signed, b"body", &keys, NOW, None).is_ok(), "what it signs is not believed");
}
