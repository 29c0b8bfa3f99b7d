//! Secrets as they may have been meant.

use super::Attempt;
use crate::provider::receiver::Settings;
use crate::provider::row::{SchemeRow, SecretForm};

/// A change to a secret, and how a person would say it.
type Change = (fn(&str) -> String, &'static str);

const CHANGES: [Change; 5] = [
    (|secret| secret.trim().to_owned(), "without the white space around it"),
    (|secret| secret.trim().trim_matches(['"', '\'', '`']).to_owned(), "without the quotes around it"),
    (after_name, "without the name of a variable and `=` in front of it"),
    (|secret| secret.split_once('_').map_or(secret, |(_, bare)| bare).to_owned(), "without its prefix"),
    (
        |secret| {
            if secret.starts_with("whsec_") { secret.to_owned() } else { format!("whsec_{secret}") }
        },
        "with `whsec_` in front, which belongs to it",
    ),
];

const FORMS: [(SecretForm, &str); 5] = [
    (SecretForm::Whsec, "decoded from base64, without `whsec_`"),
    (SecretForm::Base64, "decoded from base64"),
    (SecretForm::Hex, "decoded from hex"),
    (SecretForm::Utf8, "taken as it is, not decoded"),
    (SecretForm::Sha1, "hashed with SHA-1"),
];

/// `SECRET=abc`, as it stands in a file of settings.
fn after_name(secret: &str) -> String {
    let named = secret.split_once('=').filter(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    named.map_or(secret, |(_, bare)| bare).trim_matches(['"', '\'']).to_owned()
}

impl Attempt<'_, '_> {
    pub(super) fn secrets(&self) -> Vec<String> {
        let settings = &self.receiver.settings;
        if settings.secrets.is_empty() {
            return vec![];
        }
        let row = self.receiver.row();
        for (change, how) in CHANGES {
            let changed = Settings {
                secrets: settings.secrets.iter().map(|secret| change(secret)).collect(),
                ..settings.clone()
            };
            if changed.secrets != settings.secrets && self.passes_with(row, &changed) {
                return vec![format!("The signature fits the secret {how}.")];
            }
        }
        for (form, how) in FORMS {
            if form != row.secret && self.passes_with(&SchemeRow { secret: form, ..row.clone() }, settings) {
                return vec![format!(
                    "The signature fits the secret {how}: the sender uses other bytes of it as the key."
                )];
            }
        }
        vec![]
    }
}
