//! Keys and certificates that were fetched for a receiver.

use std::collections::HashMap;

use super::refusal::Refusal;

/// What was fetched, by address. Verification never fetches: it says which address it needs
/// ([`Refusal::KeyNeeded`]), always one at which the provider publishes, and the caller gets it, keeps it for a
/// while, and asks again.
#[derive(Debug, Clone, Default)]
pub struct Keys(HashMap<String, String>);

impl Keys {
    /// Keeps what an address answered.
    pub fn insert(&mut self, url: impl Into<String>, text: impl Into<String>) {
        self.0.insert(url.into(), text.into());
    }

    pub(crate) fn get(&self, url: &str) -> Result<&str, Refusal> {
        self.0.get(url).map(String::as_str).ok_or_else(|| Refusal::KeyNeeded(url.to_owned()))
    }
}

/// Bytes of an address that may stand in a request; longer than any that providers publish at.
const URL_BYTES_MAX: usize = 2_048;

/// An `https` address in its parts, read strictly: no user, no port, a host of letters, digits, dots and dashes.
pub(crate) fn https_host_and_path(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").filter(|_| url.len() <= URL_BYTES_MAX)?;
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    (!host.is_empty() && host.bytes().all(plain) && !host.starts_with('.')).then_some((host, path))
}
