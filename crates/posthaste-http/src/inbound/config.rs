//! What a source knows of its provider: read from the API, kept as JSON, and made into a receiver.

use std::fmt;
use std::time::Duration;

use posthaste_core::source::{Config, Source};
use posthaste_signature::provider::{Provider, Receiver, Settings, SetupError, find, is_setting};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most secrets that may be live at once.
const SECRETS_COUNT_MAX: usize = 10;
/// Bytes of a whole configuration.
const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// Settings that are no secrets: shown again to whoever asks for the source.
const PUBLIC: [&str; 8] =
    ["public_key", "header", "query", "hash", "encoding", "variant", "key_url", "timestamp_grace_seconds"];
/// Providers that give us the secret in their handshake, or show it only after it; of Amazon SNS, it is the topic.
const SECRET_COMES_LATER: [&str; 7] = ["asana", "aws-sns", "notion", "gusto", "circle", "ebay", "miro"];

/// As it is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct ProviderConfig {
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// `Some(None)` is "do not judge the age".
    #[serde(default, skip_serializing_if = "Age::is_usual")]
    age: Age,
    #[serde(default)]
    values: Map<String, Value>,
    /// Whether whoever asked for it said anything of secrets, be it that there is none.
    #[serde(skip)]
    says_secrets: bool,
}

/// It holds secrets, so nothing of it is shown.
impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderConfig(redacted)")
    }
}

/// How old a request may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
enum Age {
    /// As the provider says.
    #[default]
    Usual,
    Any,
    Secs(u64),
}

impl Age {
    fn is_usual(&self) -> bool {
        *self == Self::Usual
    }
}

impl ProviderConfig {
    /// Reads `config` of a request. Names may be in camel case, as Svix's are.
    pub(crate) fn read(provider: &Provider, config: Map<String, Value>) -> Result<Self, String> {
        let mut read = Self::default();
        for (name, value) in config {
            let name = snake_case(&name);
            read.says_secrets |= matches!(name.as_str(), "secret" | "secrets");
            match (name.as_str(), value) {
                (_, Value::Null) if name != "tolerance_seconds" => {}
                ("secret", Value::String(secret)) => read.secrets.insert(0, secret),
                // Adobe's only secret is the client's id, and Svix calls it so.
                ("client_id", Value::String(secret)) if provider.slug == "adobe-sign" => {
                    read.secrets.push(secret);
                }
                ("secrets", Value::Array(items)) => {
                    for item in items {
                        let Value::String(secret) = item else {
                            return Err("secrets must be strings".to_owned());
                        };
                        read.secrets.push(secret);
                    }
                }
                ("secret" | "secrets", _) => return Err(format!("{name} must be text")),
                ("variant", Value::String(variant)) => read.variant = Some(variant),
                ("tolerance_seconds" | "timestamp_grace_seconds", Value::Null) => read.age = Age::Any,
                ("tolerance_seconds" | "timestamp_grace_seconds", value) => {
                    let secs = value
                        .as_u64()
                        .ok_or("toleranceSeconds must be a whole number of seconds, or null")?;
                    read.age = Age::Secs(secs);
                }
                (_, value) if is_setting(&name) => {
                    read.values.insert(name, value);
                }
                _ => {
                    return Err(format!(
                        "has no setting called {:?}",
                        name.chars().take(60).collect::<String>()
                    ));
                }
            }
        }
        if read.secrets.len() > SECRETS_COUNT_MAX {
            return Err(format!("at most {SECRETS_COUNT_MAX} secrets may be live at once"));
        }
        if serde_json::to_string(&read).is_ok_and(|text| text.len() > CONFIG_BYTES_MAX) {
            return Err(format!("must be at most {CONFIG_BYTES_MAX} bytes"));
        }
        Ok(read)
    }

    /// The same with the secret that was learned before, where nothing is said of secrets: nobody but the provider knows
    /// it, and whoever shook hands next would be believed in its place.
    pub(crate) fn or_learned(mut self, provider: &str, before: &Config) -> Self {
        if !self.says_secrets && self.secrets.is_empty() && SECRET_COMES_LATER.contains(&provider) {
            self.secrets = Self::kept(before).secrets;
        }
        self
    }

    /// Reads what was kept, or says that it cannot be read; not what it holds.
    pub(crate) fn read_back(config: &Config) -> Result<Self, String> {
        let read = serde_json::from_str(config.expose());
        read.map_err(|error| format!("its configuration cannot be read, at column {}", error.column()))
    }

    /// Reads what was kept, to show it or to change it.
    pub(crate) fn kept(config: &Config) -> Self {
        Self::read_back(config).unwrap_or_default()
    }

    pub(crate) fn to_keep(&self) -> Config {
        Config::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// A receiver, even if its secret is still to come.
    pub(crate) fn receiver(&self, provider: &str) -> Result<Receiver, SetupError> {
        Receiver::unready(provider, self.settings())
    }

    /// What is wrong with it, as the end of a sentence.
    pub(crate) fn judge(&self, provider: &str) -> Result<(), String> {
        match Receiver::new(provider, self.settings()) {
            Ok(_) => Ok(()),
            Err(_) if self.secrets.is_empty() && SECRET_COMES_LATER.contains(&provider) => Ok(()),
            Err(SetupError::NoSecret) => Err(format!(
                "must have a secret, which must not be empty: without one nothing from {} can be believed. For requests \
                 that nobody signs, use the type generic-webhook",
                find(provider).map_or(provider, |provider| provider.name.as_str())
            )),
            Err(error) => Err(format!("cannot be used: {error}")),
        }
    }

    /// What may be shown of it.
    pub(crate) fn shown(&self) -> Value {
        let shown = self.values.iter().filter(|(name, _)| PUBLIC.contains(&name.as_str()));
        let mut shown: Map<String, Value> =
            shown.map(|(name, value)| (camel_case(name), value.clone())).collect();
        if let Some(variant) = &self.variant {
            shown.insert("variant".to_owned(), Value::from(variant.as_str()));
        }
        match self.age {
            Age::Usual => {}
            Age::Any => {
                shown.insert("toleranceSeconds".to_owned(), Value::Null);
            }
            Age::Secs(secs) => {
                shown.insert("toleranceSeconds".to_owned(), Value::from(secs));
            }
        }
        Value::Object(shown)
    }

    fn settings(&self) -> Settings {
        Settings {
            variant: self.variant.clone(),
            secrets: self.secrets.clone(),
            values: self.values.clone(),
            tolerance: match self.age {
                Age::Usual => None,
                Age::Any => Some(None),
                Age::Secs(secs) => Some(Some(Duration::from_secs(secs))),
            },
        }
    }
}

/// What a source verifies by, secrets included: for pages that change a part of it, and that sign as its provider does.
pub fn settings_of(source: &Source) -> Settings {
    ProviderConfig::kept(&source.config).settings()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        camel + &head.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(provider: &str, config: Value) -> Result<ProviderConfig, String> {
        let Value::Object(config) = config else { return Err("no object".to_owned()) };
        ProviderConfig::read(find(provider).unwrap(), config)
    }

    #[test]
    fn a_config_is_kept_and_read_back_and_shows_no_secret() {
        let config =
            read("meta", json!({ "secret": "hush", "verifyToken": "quiet", "toleranceSeconds": 60 }))
                .unwrap();
        let again = ProviderConfig::kept(&config.to_keep());
        assert_eq!(again.secrets, ["hush"]);
        assert_eq!(again.values["verify_token"], "quiet");
        assert_eq!(again.age, Age::Secs(60));
        let shown = again.shown().to_string() + &format!("{again:?}");
        assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
        assert_eq!(read("telnyx", json!({ "publicKey": "k" })).unwrap().shown()["publicKey"], "k");
    }

    #[test]
    fn a_source_that_could_believe_nothing_is_refused_unless_its_secret_comes_later() {
        let judged = |provider: &str, config: Value| read(provider, config).unwrap().judge(provider);
        assert!(judged("github", json!({})).unwrap_err().contains("generic-webhook"));
        assert!(judged("github", json!({ "secret": "" })).is_err());
        assert!(judged("asana", json!({})).is_ok());
        assert!(judged("generic-webhook", json!({})).is_ok());
        assert!(judged("discord", json!({ "publicKey": "nonsense" })).unwrap_err().contains("public_key"));
    }
}
