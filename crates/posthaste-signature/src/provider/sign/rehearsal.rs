//! Secrets and settings for a trial, where nobody named any: the same each time, so that a receiver can be set to them.

use serde_json::Value;

use crate::encoding::{to_hex, with_prefix};
use crate::provider::digest::Hash;
use crate::provider::receiver::{Settings, SetupError};
use crate::provider::row::{Kind, SecretForm};
use crate::provider::{Provider, find};

/// Fills in what is missing; gives the names of the settings that were filled in, and `secret` if that was.
pub fn rehearse(provider: &str, settings: &mut Settings, url: &str) -> Result<Vec<String>, SetupError> {
    let provider = find(provider).ok_or_else(|| SetupError::UnknownProvider(provider.to_owned()))?;
    let row = provider.row(settings.variant.as_deref())?;
    let mut filled = vec![];
    let named = provider.settings().map(|name| (name.clone(), value_of(&name, url)));
    let more = match row.scheme.as_str() {
        "generic-hmac" => &[("header", "x-signature")][..],
        "braintree" | "solidgate" => &[("public_key", "test_public_key")],
        _ => &[],
    };
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    for (name, value) in named.chain(more) {
        if settings.text(&name).is_none() {
            settings.values.insert(name.clone(), Value::from(value));
            filled.push(name);
        }
    }
    let is_signed = !matches!(Kind::parse(&row.scheme), Some(Kind::Unsigned | Kind::Unknown));
    if settings.secrets.is_empty() && is_signed && super::needed(row).is_none() {
        settings.secrets.push(secret_of(provider, row.secret, Kind::parse(&row.scheme)));
        filled.push("secret".to_owned());
    }
    Ok(filled)
}

fn value_of(name: &str, url: &str) -> String {
    match name {
        "header" => "x-webhook-token".to_owned(),
        "timestamp_header" => "x-webhook-timestamp".to_owned(),
        "query" => "token".to_owned(),
        "callback_url" | "audience" | "endpoint" => url.to_owned(),
        "email" => "pusher@test-project.iam.gserviceaccount.com".to_owned(),
        _ => format!("test-{}", name.replace('_', "-")),
    }
}

/// In the form that the scheme wants; that of Standard Webhooks for whoever decodes base64.
fn secret_of(provider: &Provider, form: SecretForm, kind: Option<Kind>) -> String {
    let slug = &provider.slug;
    let bytes = Hash::Sha256.digest(&[format!("posthaste: a test secret of {slug}")]);
    let bytes = &bytes.as_bytes()[..24];
    match (kind, form) {
        (Some(Kind::Basic), _) => format!("posthaste:test-password-of-{slug}"),
        _ if provider.scheme() == "adyen" => to_hex(bytes),
        (_, SecretForm::Hex | SecretForm::HexOrUtf8) => to_hex(bytes),
        (_, SecretForm::Base64) => with_prefix("", bytes),
        (_, SecretForm::Whsec | SecretForm::WhsecOrUtf8) => with_prefix("whsec_", bytes),
        (_, SecretForm::V1Whsec) => with_prefix("v1,whsec_", bytes),
        _ => format!("test-secret-of-{slug}"),
    }
}
