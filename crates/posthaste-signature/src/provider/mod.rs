//! Providers of webhooks: some three hundred, how each one signs, and a check of what it sends.
//!
//! The facts are a table, `providers.toml`; the code here reads it. A scheme is code only where data could not
//! say it: those are the files under `special/`.
//!
//! ```
//! use http::{HeaderMap, HeaderValue};
//! use posthaste_signature::provider::{Request, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut headers = HeaderMap::new();
//! headers.insert(
//!     "x-hub-signature-256",
//!     HeaderValue::from_static("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
//! );
//! let request = Request { method: "POST", url: "https://example.com/in", headers: &headers, body: b"Hello, World!" };
//! verify("github", "It's a Secret to Everybody", &request, 1_760_000_000)?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod checks;
mod clock;
mod digest;
mod entries;
mod form;
mod handshake;
mod hint;
mod json;
mod keys;
#[cfg(feature = "tower")]
pub mod layer;
mod place;
mod receiver;
mod refusal;
mod row;
pub mod sign;
mod special;
mod template;
mod words;
mod x509;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use http::HeaderMap;

pub use answer::Answer;
pub use hint::Hint;
pub use keys::Keys;
pub use receiver::{Receiver, Settings, SetupError, Verified, is_setting};
pub use refusal::Refusal;
pub use row::{Evidence, Provider};
pub use words::Covers;

/// A request as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// In full, as the provider knows it: scheme and host of the public address, path and query.
    pub url: &'a str,
    /// All headers; the values as bytes.
    pub headers: &'a HeaderMap,
    /// The raw body, not one byte changed.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A header's first value that is not empty. An empty one counts as missing.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).find(|value| !value.is_empty())
    }

    /// The same, as text.
    pub(crate) fn header_text(&self, name: &str) -> Option<&'a str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The part of the URL after `?`.
    pub(crate) fn query(&self) -> &'a str {
        self.url.split_once('?').map_or("", |(_, query)| query)
    }

    /// A decoded parameter of the query.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        form::value(self.query().as_bytes(), name)
    }
}

static TABLE: LazyLock<BTreeMap<String, Provider>> = LazyLock::new(|| {
    // A row that cannot be read is found by the test that reads the table, long before anybody runs this.
    let mut table: BTreeMap<String, Provider> =
        toml::from_str(include_str!("../../providers.toml")).expect("providers.toml is read by a test");
    for (slug, provider) in &mut table {
        provider.slug.clone_from(slug);
    }
    table
});

/// All providers, by slug.
pub fn all() -> impl Iterator<Item = &'static Provider> {
    TABLE.values()
}

/// The provider of this slug, or of this type in Svix's API.
pub fn find(slug: &str) -> Option<&'static Provider> {
    TABLE.get(slug).or_else(|| all().find(|provider| provider.svix.as_deref() == Some(slug)))
}

/// The value at a path of a JSON body, `data.0.id`: a string without its quotes, anything else as written.
pub fn json_text(body: &[u8], path: &str) -> Option<String> {
    json::Path::parse(path).text(body).map(std::borrow::Cow::into_owned)
}

/// What HTTP's basic authentication sends for `user:password` (RFC 7617).
pub fn basic_credentials(user: &str) -> String {
    crate::encoding::with_prefix("Basic ", user.as_bytes())
}

/// The bytes that padded base64 spells, as bodies are kept in fixtures and captures.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    crate::encoding::from_base64(text).map(|bytes| bytes.to_vec())
}

/// Checks a request once: that `provider` sent it, knowing `secret`, not long before `now` (seconds since 1970).
///
/// Who checks many requests keeps a [`Receiver`], which also takes several secrets, other settings, and keys
/// that were fetched.
pub fn verify(
    provider: &str,
    secret: &str,
    request: &Request<'_>,
    now: i64,
) -> Result<Verified, VerifyError> {
    let settings = Settings { secrets: vec![secret.to_owned()], ..Settings::default() };
    let receiver = Receiver::new(provider, settings)?;
    Ok(receiver.verify(request, now, &Keys::default())?)
}

/// Why [`verify`] does not say yes.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is nothing to check with.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The request is not believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
