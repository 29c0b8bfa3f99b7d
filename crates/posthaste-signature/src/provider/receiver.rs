//! A provider's scheme with a receiver's secrets and settings: ready to verify.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::checks::{self, Check};
use super::handshake;
use super::hint::{self, Hint};
use super::keys::Keys;
use super::place::Fact;
use super::refusal::Refusal;
use super::row::{Provider, SchemeRow, SecretForm};
use super::words::Covers;
use super::{Request, find};
use crate::encoding::{from_base64, from_hex};

/// Keys, each with the number of its secret.
type NumberedKeys = Vec<(usize, Zeroizing<Vec<u8>>)>;

/// Every setting that some scheme reads.
const SETTINGS: [&str; 42] = [
    "algorithms",
    "algs",
    "allowed_jku",
    "allowed_origins",
    "allowed_rate",
    "app_key",
    "audience",
    "callback_url",
    "certificates",
    "certs",
    "check_apple_oids",
    "client_key",
    "email",
    "encoding",
    "encrypted",
    "endpoint",
    "hash",
    "header",
    "issuer",
    "jwks",
    "key_id",
    "key_name",
    "key_url",
    "mode",
    "optional_prefix",
    "primary_key",
    "public_key",
    "public_keys",
    "query",
    "require_payload_hash",
    "secondary_key",
    "separator",
    "timestamp_header",
    "tolerance_s",
    "topic",
    "topic_arn",
    "trusted_ca",
    "trusted_root",
    "verification_token",
    "verify_token",
    "version",
    "webhook_id",
];

/// Whether some scheme reads a setting of this name: another is a mistake in writing.
pub fn is_setting(name: &str) -> bool {
    SETTINGS.contains(&name)
}

/// What a receiver knows of a provider.
#[derive(Clone, Default)]
pub struct Settings {
    /// Which of the provider's schemes, if not the main one.
    pub variant: Option<String>,
    /// The secrets; several while they are rotated. For schemes with a public key, that key.
    pub secrets: Vec<String>,
    /// What else the scheme needs: `public_key`, `audience`, `webhook_id` … by name.
    pub values: Map<String, Value>,
    /// How old a request may be: `None` leaves that to the provider's row, `Some(None)` does not judge age.
    pub tolerance: Option<Option<Duration>>,
}

impl Settings {
    /// A setting that is text, or a number as text. An empty one counts as missing.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.values.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn required(&self, key: &str) -> Result<String, SetupError> {
        self.text(key).ok_or_else(|| SetupError::Setting { name: key.to_owned(), expected: "set".to_owned() })
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.values.get(key).and_then(Value::as_bool)
    }

    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        let items = self.values.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Text of the table with its `{config:x}` filled in.
    pub(crate) fn filled(&self, text: &str) -> Result<String, SetupError> {
        let Some((before, rest)) = text.split_once("{config:") else { return Ok(text.to_owned()) };
        let (key, after) = rest.split_once('}').ok_or(SetupError::Table)?;
        Ok(format!("{before}{}{after}", self.required(key)?))
    }

    /// The secrets as keys.
    pub(crate) fn keys(&self, form: SecretForm) -> Result<Vec<Zeroizing<Vec<u8>>>, SetupError> {
        if self.secrets.is_empty() || self.secrets.iter().any(String::is_empty) {
            return Err(SetupError::NoSecret);
        }
        self.secrets.iter().map(|secret| key_of(secret, form)).collect()
    }

    /// The secrets as keys, each with the number of its secret: one that may be written in several ways is several.
    pub(crate) fn numbered_keys(&self, form: SecretForm) -> Result<NumberedKeys, SetupError> {
        let mut keys = vec![];
        for (index, secret) in self.secrets.iter().enumerate() {
            let mut tried: Vec<_> = form.tried().into_iter().map(|form| key_of(secret, form)).collect();
            if secret.is_empty() {
                return Err(SetupError::NoSecret);
            }
            if tried.iter().any(Result::is_ok) {
                tried.retain(Result::is_ok);
            }
            for key in tried {
                keys.push((index, key?));
            }
        }
        if keys.is_empty() { Err(SetupError::NoSecret) } else { Ok(keys) }
    }

    pub(crate) fn tolerance_secs(&self) -> Option<Option<u64>> {
        self.tolerance.map(|tolerance| tolerance.map(|tolerance| tolerance.as_secs()))
    }
}

/// The values may be secrets as well, so none is shown.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("variant", &self.variant).finish_non_exhaustive()
    }
}

fn key_of(secret: &str, form: SecretForm) -> Result<Zeroizing<Vec<u8>>, SetupError> {
    let bad = |expected| SetupError::bad("secret", expected);
    let base64 = |text: &str| from_base64(text).filter(|key| !key.is_empty());
    match form {
        SecretForm::Hex => from_hex(secret).map(Zeroizing::new).ok_or_else(|| bad("hex")),
        SecretForm::Base64 => base64(secret).ok_or_else(|| bad("base64")),
        SecretForm::Whsec => base64(secret.strip_prefix("whsec_").unwrap_or(secret))
            .ok_or_else(|| bad("`whsec_` and then base64")),
        SecretForm::V1Whsec => {
            let bare = secret.strip_prefix("v1,").unwrap_or(secret);
            base64(bare.strip_prefix("whsec_").unwrap_or(bare))
                .ok_or_else(|| bad("`v1,whsec_` and then base64"))
        }
        SecretForm::Sha1 => {
            Ok(Zeroizing::new(super::digest::Hash::Sha1.digest(&[secret]).as_bytes().to_vec()))
        }
        SecretForm::Nfkd => {
            let normalizer = icu_normalizer::DecomposingNormalizerBorrowed::new_nfkd();
            Ok(Zeroizing::new(normalizer.normalize(secret).into_owned().into_bytes()))
        }
        _ => Ok(Zeroizing::new(secret.as_bytes().to_vec())),
    }
}

/// Why there is no receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Not in the table.
    #[error("there is no provider called `{0}`")]
    UnknownProvider(String),
    /// The provider has no such scheme.
    #[error("this provider has no scheme called `{0}`")]
    UnknownVariant(String),
    /// Without one nothing can be verified.
    #[error("a secret is needed, and it must not be empty")]
    NoSecret,
    /// A setting is missing or not in its form.
    #[error("`{name}` must be {expected}")]
    Setting {
        /// Which.
        name: String,
        /// What it must be.
        expected: String,
    },
    /// A row of the table is wrong, which its tests should have shown.
    #[error("the row of this provider cannot be read")]
    Table,
}

impl SetupError {
    pub(crate) fn bad(name: &str, expected: &str) -> Self {
        Self::Setting { name: name.to_owned(), expected: expected.to_owned() }
    }
}

/// A request that is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Which of the secrets matched, from 0 on.
    pub secret_index: usize,
    /// The JSON of the token's claims, where the scheme is a token.
    pub claims: Option<Vec<u8>>,
}

impl Verified {
    pub(crate) fn by(secret_index: usize) -> Self {
        Self { secret_index, claims: None }
    }
}

/// A provider's scheme, ready to verify.
pub struct Receiver {
    provider: &'static Provider,
    row: &'static SchemeRow,
    pub(crate) settings: Settings,
    check: Box<dyn Check>,
    event_type: Fact,
    delivery_id: Fact,
}

impl Receiver {
    /// Reads the settings once, so that verifying reads none.
    pub fn new(provider: &str, settings: Settings) -> Result<Self, SetupError> {
        let receiver = Self::unready(provider, settings)?;
        match receiver.check.not_ready() {
            None => Ok(receiver),
            Some(error) => Err(error.clone()),
        }
    }

    /// The same, for a secret or a setting that is not known yet: some providers give it in their handshake, or ask
    /// whether we are there before they show it. Until then every delivery is refused.
    pub fn unready(provider: &str, mut settings: Settings) -> Result<Self, SetupError> {
        let provider = find(provider).ok_or_else(|| SetupError::UnknownProvider(provider.to_owned()))?;
        if settings.variant.is_none() {
            // Some providers number their schemes, and receivers are set to one.
            settings.variant =
                settings.text("version").filter(|version| provider.variant.contains_key(version));
        }
        let row = provider.row(settings.variant.as_deref())?;
        let check = checks::build(row, &settings).unwrap_or_else(checks::not_ready);
        let fact = |text: &Option<String>| match text {
            Some(text) => Fact::parse(text).ok_or(SetupError::Table),
            None => Ok(Fact::default()),
        };
        let (event_type, delivery_id) = (fact(&provider.event_type)?, fact(&provider.delivery_id)?);
        Ok(Self { provider, row, settings, check, event_type, delivery_id })
    }

    /// The provider's row.
    pub fn provider(&self) -> &'static Provider {
        self.provider
    }

    /// How it signs: the main scheme or the variant that was asked for.
    pub(crate) fn row(&self) -> &'static SchemeRow {
        self.row
    }

    /// How it signs, in a line: the main scheme or the variant that was asked for.
    pub fn describe(&self) -> String {
        super::words::describe(self.row)
    }

    /// Whether the signature covers all that the body says. Where it does not, or covers a few fields only, a valid
    /// request may still have been changed.
    pub fn covers_body(&self) -> bool {
        self.row.covers() == Covers::All
    }

    /// Believes a request or says why not. `now` is in seconds since 1970.
    pub fn verify(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let verified = self.check.check(request, now, keys)?;
        if handshake::may_be_challenge(&self.provider.slug, request.body) {
            return Err(Refusal::malformed(
                "the body",
                "an event: anybody can have so plain a text signed, as a challenge",
            ));
        }
        Ok(verified)
    }

    /// The answer to a request that only asks whether we are there and are who we say; `None` for a delivery.
    /// An `Err` is a handshake that must be refused.
    pub fn handshake(&self, request: &Request<'_>, now: i64, keys: &Keys) -> Option<Result<Answer, Refusal>> {
        handshake::answer(self, request, now, keys)
    }

    /// What the provider takes as "delivered".
    pub fn delivered(&self, request: &Request<'_>) -> Answer {
        handshake::delivered(self, request)
    }

    /// The usual mistakes that would make a refused request pass, found by trying them. They are for whoever set the
    /// receiver up: told to the sender, they would help to guess.
    pub fn explain(&self, request: &Request<'_>, now: i64, keys: &Keys, why: &Refusal) -> Vec<Hint> {
        self.explain_among(request, now, keys, why, &[])
    }

    /// The same, asking also other receivers, each with a name for people: secrets and addresses get mixed up.
    pub fn explain_among(
        &self,
        request: &Request<'_>,
        now: i64,
        keys: &Keys,
        why: &Refusal,
        others: &[(&str, &Receiver)],
    ) -> Vec<Hint> {
        hint::find(self, request, now, keys, why, others)
    }

    /// The type of event, if the provider says it.
    pub fn event_type(&self, request: &Request<'_>, verified: &Verified) -> Option<String> {
        self.event_type.read(request, verified.claims.as_deref())
    }

    /// The provider's id of this delivery, the same when it sends it again.
    pub fn delivery_id(&self, request: &Request<'_>, verified: &Verified) -> Option<String> {
        self.delivery_id.read(request, verified.claims.as_deref())
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("provider", &self.provider.slug).finish_non_exhaustive()
    }
}
