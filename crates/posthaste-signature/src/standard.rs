//! Standard Webhooks (<https://www.standardwebhooks.com>), which Svix's own headers are an older spelling of.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use subtle::ConstantTimeEq as _;

use crate::secret::{Secret, SecretError};

/// Signs with every secret, as a rotation needs: signatures separated by a blank.
pub fn sign_all<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let mut all = String::new();
    for secret in secrets {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(&secret.sign(id, timestamp, body));
    }
    all
}

/// The three headers of a signed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// `webhook-id`, or `svix-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, or `svix-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// `webhook-signature`, or `svix-signature`.
    pub signature: &'a str,
}

impl<'a> Signed<'a> {
    /// Reads the headers under either name; the first trio of which any part is present counts.
    pub fn from_headers(header: impl Fn(&str) -> Option<&'a str>) -> Result<Self, VerifyError> {
        let get = |name: &str| header(name).filter(|value| !value.is_empty());
        let trios = [
            ["webhook-id", "webhook-timestamp", "webhook-signature"],
            ["svix-id", "svix-timestamp", "svix-signature"],
        ];
        let names = if trios[0].iter().any(|name| get(name).is_some()) { trios[0] } else { trios[1] };
        Ok(Self {
            id: get(names[0]).ok_or(VerifyError::MissingHeader("webhook-id"))?,
            timestamp: get(names[1]).ok_or(VerifyError::MissingHeader("webhook-timestamp"))?,
            signature: get(names[2]).ok_or(VerifyError::MissingHeader("webhook-signature"))?,
        })
    }
}

/// Why a request is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or empty.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The timestamp is no number of seconds.
    #[error("the timestamp must be a number of seconds since 1970")]
    MalformedTimestamp,
    /// The request is too old, or was signed by a clock that runs behind.
    #[error("the timestamp is {0} s old, outside the tolerance")]
    TooOld(i64),
    /// The request was signed by a clock that runs ahead.
    #[error("the timestamp is {0} s in the future, outside the tolerance")]
    TooNew(i64),
    /// No signature of a version that the keys are for.
    #[error("there is no signature of a version that these keys can check")]
    NoSupportedSignature,
    /// There were signatures, and none fits.
    #[error("no signature fits this body, id and timestamp")]
    Mismatch,
}

/// A key to verify with.
#[derive(Clone)]
pub enum Verifier {
    /// `whsec_…`: the secret itself.
    Hmac(Secret),
    /// `whpk_…`: a public key.
    Ed25519(Box<VerifyingKey>),
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "Verifier(whsec_ redacted)",
            Self::Ed25519(_) => "Verifier(whpk_)",
        })
    }
}

impl Verifier {
    /// Reads `whsec_…`, the same without its prefix, or `whpk_…`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let Some(key) = text.strip_prefix("whpk_") else {
            return Secret::parse(text).map(Self::Hmac);
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| SecretError::NotBase64)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| SecretError::Ed25519Key)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SecretError::Ed25519Key)?;
        Ok(Self::Ed25519(Box::new(key)))
    }

    fn version(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "v1",
            Self::Ed25519(_) => "v1a",
        }
    }

    fn accepts(&self, signed: &Signed<'_>, signature: &str, body: &[u8]) -> bool {
        match self {
            Self::Hmac(secret) => {
                let Ok(timestamp) = signed.timestamp.parse() else { return false };
                let expected = secret.sign(signed.id, timestamp, body);
                let expected = expected.split_once(',').map_or("", |(_, signature)| signature);
                expected.as_bytes().ct_eq(signature.as_bytes()).into()
            }
            Self::Ed25519(key) => {
                let content = [signed.id.as_bytes(), b".", signed.timestamp.as_bytes(), b".", body].concat();
                BASE64_STANDARD
                    .decode(signature)
                    .ok()
                    .and_then(|bytes| Signature::from_slice(&bytes).ok())
                    .is_some_and(|signature| key.verify(&content, &signature).is_ok())
            }
        }
    }
}

/// Whether any of `keys` signed this body, at a time within `tolerance` of `now` (seconds since 1970).
///
/// `body` must be the request's body byte for byte: parsed and written again it will not fit. `None` judges no age,
/// for requests that were kept.
pub fn verify(
    signed: &Signed<'_>,
    body: &[u8],
    keys: &[Verifier],
    now: i64,
    tolerance: Option<Duration>,
) -> Result<(), VerifyError> {
    let timestamp = parse_timestamp(signed.timestamp)?;
    if let Some(tolerance) = tolerance {
        let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
        let age = now.saturating_sub(timestamp);
        if age > tolerance {
            return Err(VerifyError::TooOld(age));
        }
        if age < -tolerance {
            return Err(VerifyError::TooNew(-age));
        }
    }
    let mut supported = false;
    for item in signed.signature.split(' ') {
        let Some((version, signature)) = item.split_once(',') else { continue };
        for key in keys.iter().filter(|key| key.version() == version) {
            supported = true;
            if key.accepts(signed, signature, body) {
                return Ok(());
            }
        }
    }
    Err(if supported { VerifyError::Mismatch } else { VerifyError::NoSupportedSignature })
}

// Digits only: `+5`, ` 5` and `05` would read as numbers and then be signed under another spelling.
fn parse_timestamp(text: &str) -> Result<i64, VerifyError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(VerifyError::MalformedTimestamp)
}
