//! Settings as text, each with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::ConfigError;
use crate::cli::SettingArgs;

/// Where a value came from; the later ones win.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(String),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting: its name in files, its default, and whether it may be shown.
struct Known {
    name: &'static str,
    default: Option<&'static str>,
    secret: bool,
}

const fn plain(name: &'static str, default: &'static str) -> Known {
    Known { name, default: Some(default), secret: false }
}

/// All settings. A file spells them like this, the environment as `POSTHASTE_` and capitals.
const KNOWN: &[Known] = &[
    plain("listen", "127.0.0.1:8071"),
    plain("data-dir", "./posthaste-data"),
    // A database URL carries a password.
    Known { name: "database-url", default: None, secret: true },
    Known { name: "database-listen-url", default: None, secret: true },
    plain("role", "api,inbound,deliver"),
    plain("retry-schedule", "5s,5m,30m,2h,5h,10h,10h,14h,20h,24h"),
    plain("request-timeout", "15s"),
    plain("allow-targets", ""),
    plain("https-only", "false"),
    Known { name: "target-root-file", default: None, secret: false },
    plain("max-payload", "1MiB"),
    Known { name: "main-secret", default: None, secret: true },
    Known { name: "jwt-secret", default: None, secret: true },
    plain("default-signature", "hmac256"),
    plain("retention", "90d"),
    Known { name: "public-url", default: None, secret: false },
    plain("trusted-proxies", ""),
    plain("portal-frame-origins", ""),
    plain("token-rate", "0"),
    plain("leave-notice", "0s"),
    Known { name: "tls-certificate-file", default: None, secret: false },
    Known { name: "tls-key-file", default: None, secret: false },
    plain("acme-domains", ""),
    plain("acme-contact", ""),
    plain("acme-terms-accepted", "false"),
    plain("acme-directory-url", "https://acme-v02.api.letsencrypt.org/directory"),
    Known { name: "acme-cache-dir", default: None, secret: false },
    Known { name: "acme-root-file", default: None, secret: false },
    plain("log", "info"),
    plain("log-format", "text"),
];

/// All settings as text.
#[derive(Debug)]
pub(crate) struct Raw(BTreeMap<&'static str, (Zeroizing<String>, Origin)>);

impl Raw {
    fn defaults() -> Self {
        let mut raw = Self(BTreeMap::new());
        for known in KNOWN {
            if let Some(default) = known.default {
                raw.set(known.name, default.to_owned(), Origin::Default);
            }
        }
        raw
    }

    /// As if a file with this text were the only setting.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Result<Self, ConfigError> {
        let mut raw = Self::defaults();
        raw.read_text("posthaste.toml", text).map(|()| raw)
    }

    pub(super) fn load(args: &SettingArgs) -> Result<Self, ConfigError> {
        let mut raw = Self::defaults();
        if let Some(path) = &args.config {
            raw.read_file(path)?;
        }
        for known in KNOWN {
            raw.read_environment(known)?;
        }
        let flags = [
            ("listen", "--listen", &args.listen),
            ("data-dir", "--data-dir", &args.data_dir),
            ("database-url", "--database-url", &args.database_url),
            ("database-listen-url", "--database-listen-url", &args.database_listen_url),
            ("role", "--role", &args.role),
        ];
        for (name, flag, value) in flags {
            if let Some(value) = value {
                raw.set(name, value.clone(), Origin::Flag(flag));
            }
        }
        Ok(raw)
    }

    fn set(&mut self, name: &'static str, value: String, origin: Origin) {
        self.0.insert(name, (Zeroizing::new(value), origin));
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let failed = |reason: String| ConfigError::File { path: shown.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| failed(format!("cannot be read: {e}")))?;
        self.read_text(&shown, &text)
    }

    /// Reads a file's text; `shown` is what the file is called.
    fn read_text(&mut self, shown: &str, text: &str) -> Result<(), ConfigError> {
        let failed = |reason: String| ConfigError::File { path: shown.to_owned(), reason };
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| failed(format!("is not TOML: {}", e.message())))?;
        for (key, value) in table {
            let spelled = key.replace('_', "-");
            let Some(known) = KNOWN.iter().find(|known| known.name == spelled) else {
                return Err(failed(format!(
                    "has a setting \"{key}\" that does not exist; see `posthaste config show`"
                )));
            };
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Array(items) => {
                    items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
                }
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Integer(number) => number.to_string(),
                _ => {
                    return Err(failed(format!(
                        "must give \"{key}\" as text, a number, true, false or a list of texts"
                    )));
                }
            };
            self.set(known.name, text, Origin::File(shown.to_owned()));
        }
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn read_environment(&mut self, known: &Known) -> Result<(), ConfigError> {
        let name = format!("POSTHASTE_{}", known.name.replace('-', "_").to_uppercase());
        let read = |name: &str| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(ConfigError::File { path: name.to_owned(), reason: "is not UTF-8".to_owned() })
            }
        };
        if known.secret {
            let file_name = format!("{name}_FILE");
            if let Some(path) = read(&file_name)? {
                let text = std::fs::read_to_string(&path).map_err(|e| ConfigError::File {
                    path: format!("{file_name} ({path})"),
                    reason: format!("cannot be read: {e}"),
                })?;
                self.set(
                    known.name,
                    text.trim_end_matches(['\r', '\n']).to_owned(),
                    Origin::Environment(file_name),
                );
            }
        }
        if let Some(value) = read(&name)? {
            self.set(known.name, value, Origin::Environment(name));
        }
        Ok(())
    }

    /// The text of a setting.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str())
    }

    /// The text of a setting that is set, and not to nothing.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn parse<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let (value, origin) = self
            .0
            .get(name)
            .map_or(("", Origin::Default), |(value, origin)| (value.as_str(), origin.clone()));
        read(value).map_err(|reason| ConfigError::Bad { name, origin, value: value.to_owned(), reason })
    }

    pub(super) fn secret(&self, name: &'static str) -> Result<Option<Zeroizing<String>>, ConfigError> {
        let Some((value, origin)) = self.0.get(name) else { return Ok(None) };
        if value.is_empty() {
            let reason = "must not be empty".to_owned();
            return Err(ConfigError::BadSecret { name, origin: origin.clone(), reason });
        }
        Ok(Some(value.clone()))
    }

    /// Every setting, its value (unless it is a secret) and its origin.
    pub(crate) fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = Vec::new();
        for known in KNOWN {
            let (value, origin) = match self.0.get(known.name) {
                Some(_) if known.secret => ("(set)".to_owned(), self.0[known.name].1.to_string()),
                Some((value, origin)) => (value.to_string(), origin.to_string()),
                None => ("(unset)".to_owned(), Origin::Default.to_string()),
            };
            rows.push([known.name.to_owned(), value, origin]);
        }
        rows
    }
}
