//! Profiles: servers and their tokens by name, in a file of its own that only its owner may read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::complaint::Complaint;
use super::toml_text::{key, quoted};
use crate::telemetry::tell;

/// Letters of a token that may be shown.
const HINT_LETTERS: usize = 12;

/// A server, and the token for it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
}

impl Profile {
    /// The beginning of its token.
    pub(crate) fn hint(&self) -> String {
        self.token.as_deref().map_or_else(String::new, |token| {
            format!("{}…", token.chars().take(HINT_LETTERS).collect::<String>())
        })
    }
}

/// The file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// Which one counts if none is named.
    pub(crate) default: Option<String>,
    #[serde(default, rename = "profile")]
    pub(crate) all: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Those of this user; none if there is no file.
    pub(crate) fn read() -> Result<Self, Complaint> {
        match path() {
            Some(path) => Self::read_from(&path),
            None => Ok(Self::default()),
        }
    }

    fn read_from(path: &Path) -> Result<Self, Complaint> {
        let bad = |why: String| {
            Complaint::usage(
                format!("{} cannot be used", path.display()),
                why,
                "mend it, or delete it and write it anew: posthaste config profile set NAME --server URL",
            )
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(bad(error.to_string())),
        };
        let mode = std::fs::metadata(path).map(|file| file.permissions().mode()).unwrap_or_default();
        if mode & 0o077 != 0 {
            tell(&format!("{0} holds tokens and others may read it: chmod 600 {0}", path.display()));
        }
        toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))
    }

    /// The one that is meant, and its name.
    pub(crate) fn named(&self, name: &str) -> Result<&Profile, Complaint> {
        self.all.get(name).ok_or_else(|| {
            let known = self.all.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "there are none".to_owned() } else { format!("there are: {known}") };
            Complaint::usage(
                format!("there is no profile \"{name}\""),
                known,
                format!("posthaste config profile set {name} --server URL --token TOKEN"),
            )
        })
    }

    /// Writes the file, whole or not at all, for its owner only.
    pub(crate) fn write(&self) -> Result<PathBuf, Complaint> {
        let path = path().ok_or_else(|| {
            let why = "neither XDG_CONFIG_HOME nor HOME says where files of yours are";
            Complaint::usage("the profile is not written", why, "set HOME")
        })?;
        let failed = |error: std::io::Error| {
            let next = "is there room, and may you write there?";
            Complaint::failure(format!("{} cannot be written", path.display()), error, next)
        };
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(failed)?;
        let beside = dir.join(format!(".config.toml.{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let written = file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, self.as_text().as_bytes())?;
            file.sync_all()
        });
        written.and_then(|()| std::fs::rename(&beside, &path)).map_err(failed)?;
        Ok(path)
    }

    fn as_text(&self) -> String {
        let mut text =
            "# Written by `posthaste config profile`: servers, and the tokens for them.\n".to_owned();
        if let Some(default) = &self.default {
            let _ = writeln!(text, "default = {}", quoted(default));
        }
        for (name, profile) in &self.all {
            let _ = writeln!(text, "\n[profile.{}]", key(name));
            for (field, value) in [("server", &profile.server), ("token", &profile.token)] {
                if let Some(value) = value {
                    let _ = writeln!(text, "{field} = {}", quoted(value));
                }
            }
        }
        text
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are no settings of ours: they say where this user's files are"
)]
fn path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(base.join("posthaste").join("config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let profile =
            Profile { server: Some("https://a.example".to_owned()), token: Some("phk_\"\\\n".to_owned()) };
        let all = [("work".to_owned(), profile.clone()), ("a b".to_owned(), Profile::default())].into();
        let written = Profiles { default: Some("work".to_owned()), all };
        let read: Profiles = toml::from_str(&written.as_text()).unwrap();
        assert_eq!(read.as_text(), written.as_text());
        assert_eq!(read.named("work").unwrap().token, profile.token);
        assert!(read.named("wrok").is_err());
    }

    #[test]
    fn of_a_token_only_the_beginning_is_shown() {
        let token = format!("phk_{}", "x".repeat(40));
        let profile = Profile { server: None, token: Some(token) };
        assert_eq!(profile.hint(), "phk_xxxxxxxx…");
    }
}
