//! The verifying half: headers, body, keys and the time in; a verdict with its reason out.

use std::time::Duration;

use super::verifier::{Candidates, Verifier};
use super::{ED25519_VERSION, HMAC_VERSION, SIGNATURES_COUNT_MAX, content};

/// The three headers that sign a message, as they arrived. An empty one counts as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The message's id.
    pub id: &'a str,
    /// When it was signed, in seconds since 1970, as the text that was signed.
    pub timestamp: &'a str,
    /// The signatures with their versions, a blank between them. Join a repeated header with blanks.
    pub signature: &'a str,
}

/// Why a message is not believed. It never contains a key or the signature that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The receiver has nothing to check with.
    #[error("there is no key to verify the message with")]
    NoKey,
    /// No id.
    #[error("the message has no webhook-id or svix-id header")]
    MissingId,
    /// No timestamp.
    #[error("the message has no webhook-timestamp or svix-timestamp header")]
    MissingTimestamp,
    /// No signature.
    #[error("the message has no webhook-signature or svix-signature header")]
    MissingSignature,
    /// The timestamp is not a number of seconds.
    #[error("the timestamp is not a whole number of seconds since 1970")]
    MalformedTimestamp,
    /// Older than the tolerance: perhaps a replay, perhaps a slow clock.
    #[error("the message was signed {age_secs} s ago, which is longer than tolerated")]
    Expired {
        /// How long ago, by the receiver's clock.
        age_secs: u64,
    },
    /// Further ahead than the tolerance.
    #[error("the message was signed {ahead_secs} s in the future, which is further than tolerated")]
    Future {
        /// How far ahead of the receiver's clock.
        ahead_secs: u64,
    },
    /// More entries than [`SIGNATURES_COUNT_MAX`].
    #[error("the signature header has more than {SIGNATURES_COUNT_MAX} entries")]
    TooManySignatures,
    /// Entries there are, and those that the keys could check cannot be decoded.
    #[error("the signature header is not a list of `version,base64` entries")]
    MalformedSignature,
    /// No entry of a version that one of the keys can check.
    #[error("no signature in the header is of a version that the keys can check")]
    NoSupportedSignature,
    /// Checked, and not one is right: another secret, or changed bytes.
    #[error("no signature in the header matches the message")]
    Mismatch,
}

impl<'a> Signed<'a> {
    /// Finds the headers as `webhook-*` or else as `svix-*`, one naming for all three. `lookup` gets the name
    /// in lower case and must find it in any case, as HTTP libraries do.
    pub fn from_headers(lookup: impl Fn(&str) -> Option<&'a str>) -> Result<Self, VerifyError> {
        let value = |name| lookup(name).unwrap_or_default();
        let [standard, svix] = [
            ["webhook-id", "webhook-timestamp", "webhook-signature"],
            ["svix-id", "svix-timestamp", "svix-signature"],
        ]
        .map(|[id, timestamp, signature]| Self {
            id: value(id),
            timestamp: value(timestamp),
            signature: value(signature),
        });
        // A half-sent trio is reported as what it is, unless the other one is whole.
        let is_svix = standard.complete().is_err() && (standard.is_absent() || svix.complete().is_ok());
        let found = if is_svix { svix } else { standard };
        found.complete()?;
        Ok(found)
    }

    fn is_absent(&self) -> bool {
        self.id.is_empty() && self.timestamp.is_empty() && self.signature.is_empty()
    }

    fn complete(&self) -> Result<(), VerifyError> {
        if self.id.is_empty() {
            return Err(VerifyError::MissingId);
        }
        if self.timestamp.is_empty() {
            return Err(VerifyError::MissingTimestamp);
        }
        if self.signature.is_empty() {
            return Err(VerifyError::MissingSignature);
        }
        Ok(())
    }
}

/// Believes a message when one of its signatures is right under one of the keys, and it was signed within
/// `tolerance` of `now` (seconds since 1970). Without a tolerance its age is not judged: then a replay passes.
pub fn verify(
    headers: &Signed<'_>,
    body: &[u8],
    keys: &[Verifier],
    now: i64,
    tolerance: Option<Duration>,
) -> Result<(), VerifyError> {
    if keys.is_empty() {
        return Err(VerifyError::NoKey);
    }
    headers.complete()?;
    judge_age(parse_timestamp(headers.timestamp)?, now, tolerance)?;
    let candidates = read_signatures(headers.signature, keys)?;
    let content = content(headers.id, headers.timestamp, body);
    if keys.iter().any(|key| key.accepts(&content, &candidates)) {
        Ok(())
    } else {
        Err(VerifyError::Mismatch)
    }
}

/// Digits only: `parse` alone would also take a sign.
fn parse_timestamp(text: &str) -> Result<i64, VerifyError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::MalformedTimestamp);
    }
    text.parse().map_err(|_| VerifyError::MalformedTimestamp)
}

fn judge_age(timestamp: i64, now: i64, tolerance: Option<Duration>) -> Result<(), VerifyError> {
    let Some(tolerance) = tolerance else { return Ok(()) };
    let distance_secs = now.abs_diff(timestamp);
    if distance_secs <= tolerance.as_secs() {
        Ok(())
    } else if timestamp < now {
        Err(VerifyError::Expired { age_secs: distance_secs })
    } else {
        Err(VerifyError::Future { ahead_secs: distance_secs })
    }
}

/// Decodes the entries that some key can check. Entries of other versions are skipped, as are malformed ones
/// when a good one stands beside them.
fn read_signatures(header: &str, keys: &[Verifier]) -> Result<Candidates, VerifyError> {
    let checks_hmac = keys.iter().any(Verifier::is_hmac);
    let checks_ed25519 = keys.iter().any(|key| !key.is_hmac());
    let mut candidates = Candidates::default();
    let mut malformed_any = false;
    for (index, entry) in header.split_ascii_whitespace().enumerate() {
        if index == SIGNATURES_COUNT_MAX {
            return Err(VerifyError::TooManySignatures);
        }
        let taken = match entry.split_once(',') {
            Some((HMAC_VERSION, text)) if checks_hmac => candidates.push_hmac(text),
            Some((ED25519_VERSION, text)) if checks_ed25519 => candidates.push_ed25519(text),
            Some(_) => Some(()),
            None => None,
        };
        malformed_any |= taken.is_none();
    }
    if keys.iter().any(|key| key.is_addressed_by(&candidates)) {
        Ok(candidates)
    } else if malformed_any {
        Err(VerifyError::MalformedSignature)
    } else {
        Err(VerifyError::NoSupportedSignature)
    }
}
