//! What a row of the table says, for people: how a provider signs, what it covers, and what has to be configured.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::row::{Encoding, KeyForm, Kind, Provider, SchemeRow, SecretForm};

/// How much of the body a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// All that it says: a changed body is noticed.
    All,
    /// Some fields: the others may have been changed.
    Part,
    /// Nothing: the body is whatever the sender of the request made it.
    Nothing,
}

impl Covers {
    /// `all`, `part` or `nothing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Part => "part",
            Self::Nothing => "nothing",
        }
    }
}

impl Provider {
    /// How it signs, in a line: `hmac-sha256 of {ts}.{body} in header:Stripe-Signature, hex`.
    pub fn describe(&self) -> String {
        describe(&self.scheme)
    }

    /// How much of the body its main scheme covers.
    pub fn covers(&self) -> Covers {
        self.scheme.covers()
    }

    /// How old a request may be, if the provider says so or leaves it to be judged by a usual limit.
    pub fn tolerance_secs(&self) -> Option<u64> {
        self.scheme.time.as_ref()?.tolerance_secs
    }

    /// What is to be configured as the secret.
    pub fn secret(&self) -> Cow<'_, str> {
        match &self.secret_is {
            Some(text) => text.as_str().into(),
            None => secret(&self.scheme),
        }
    }

    /// The names of further settings that one of its schemes needs, as far as the table says them.
    pub fn settings(&self) -> impl Iterator<Item = String> {
        let mut names = BTreeSet::new();
        for row in [&self.scheme].into_iter().chain(self.variant.values()) {
            let signature = row.signature.iter().flat_map(|signature| [&signature.place, &signature.prefix]);
            let time = row.time.iter().map(|time| &time.place);
            let texts = signature.chain(time).chain(&row.content).chain(row.claims.values());
            for text in texts {
                let found = text.split("{config:").skip(1).filter_map(|rest| rest.split_once('}'));
                names.extend(found.map(|(name, _)| name.to_owned()));
            }
        }
        names.into_iter()
    }
}

impl SchemeRow {
    /// How much of the body the signature covers.
    pub(crate) fn covers(&self) -> Covers {
        const WHOLE: [&str; 4] = ["{body}", "(body)", "{form_sorted}", "(ts.body)"];
        const FIELDS: [&str; 3] = ["{json:", "{form:", "{formjson:"];
        let holds = |text: &String, names: &[&str]| names.iter().any(|name| text.contains(name));
        match Kind::parse(&self.scheme) {
            Some(Kind::Token | Kind::Basic | Kind::Unsigned | Kind::Unknown) => Covers::Nothing,
            Some(Kind::Jwt) => {
                let in_body = self.signature.as_ref().is_some_and(|signature| signature.place == "body");
                let bound = self.claims.values().any(|text| holds(text, &WHOLE));
                if in_body || bound { Covers::All } else { Covers::Nothing }
            }
            Some(_) => match &self.content {
                Some(content) if holds(content, &WHOLE) => Covers::All,
                Some(content) if holds(content, &FIELDS) => Covers::Part,
                _ => Covers::Nothing,
            },
            None => match self.scheme.as_str() {
                "adyen" | "dropbox-sign" => Covers::Part,
                "mercadopago" | "wechat-sorted-sha1" => Covers::Nothing,
                _ => Covers::All,
            },
        }
    }
}

pub(crate) fn describe(row: &SchemeRow) -> String {
    let mut text = row.scheme.clone();
    match Kind::parse(&row.scheme) {
        Some(Kind::Unsigned) => return "nothing is signed".to_owned(),
        Some(Kind::Unknown) => return "not known: every request is refused".to_owned(),
        _ => {}
    }
    if let Some(content) = &row.content {
        let _ = write!(text, " of {}", content.replace('\n', "\\n"));
    }
    if let Some(signature) = &row.signature {
        let _ = write!(text, " in {}", signature.place);
        match signature.encoding {
            Encoding::Raw => {}
            Encoding::Hex => text.push_str(", hex"),
            Encoding::Base64 => text.push_str(", base64"),
            Encoding::Base64Url | Encoding::Base64UrlEither => text.push_str(", base64url"),
            Encoding::HexOrBase64 => text.push_str(", hex or base64"),
        }
    }
    if !row.claims.is_empty() {
        let _ =
            write!(text, ", with {}", row.claims.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    text
}

fn secret(row: &SchemeRow) -> Cow<'static, str> {
    let source = row.key_source.as_deref().map(|from| format!(", from {from}")).unwrap_or_default();
    let key = match row.key {
        Some(KeyForm::Pem) => Some("its public key as PEM"),
        Some(KeyForm::SpkiBase64) => Some("its public key in base64"),
        Some(KeyForm::RawBase64) => Some("its public key, 32 bytes in base64"),
        Some(KeyForm::RawHex) => Some("its public key, 32 bytes in hex"),
        Some(KeyForm::Whpk) => Some("its public key, `whpk_` and base64"),
        Some(KeyForm::Jwks) => Some("its public keys as a JSON Web Key Set"),
        None => None,
    };
    if let Some(key) = key {
        return format!("{key}{source}").into();
    }
    match (Kind::parse(&row.scheme), row.secret) {
        (Some(Kind::Unsigned | Kind::Unknown), _) => "none".into(),
        (Some(Kind::Basic), _) => "`user:password`".into(),
        (Some(Kind::Token), _) => "the token".into(),
        (_, SecretForm::Hex) => "hex, which is decoded".into(),
        (_, SecretForm::Base64) => "base64, which is decoded".into(),
        (_, SecretForm::Whsec) => "`whsec_` and base64, which is decoded".into(),
        (_, SecretForm::V1Whsec) => "`v1,whsec_` and base64, which is decoded".into(),
        (_, SecretForm::Jwks) => format!("its public keys as a JSON Web Key Set{source}").into(),
        (_, SecretForm::Utf8OrJwks) => "the secret, or its public keys as a JSON Web Key Set".into(),
        (_, SecretForm::Pem) => "its public key as PEM".into(),
        (_, SecretForm::HexOrUtf8) => "the secret as it is shown; hex is also tried decoded".into(),
        (_, SecretForm::Utf8OrBase64) => "the secret as it is shown; base64 is also tried decoded".into(),
        (_, SecretForm::WhsecOrUtf8) => {
            "`whsec_` and base64, which is decoded, or the secret as it is".into()
        }
        (_, SecretForm::Utf8 | SecretForm::Nfkd | SecretForm::Sha1) => "the secret as it is shown".into(),
    }
}
