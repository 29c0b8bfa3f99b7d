//! A receiver's key, and which signatures it answers for.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey, ed25519::signature::MultipartVerifier as _};
use subtle::{Choice, ConstantTimeEq as _};

use super::secret::Key;
use super::{ED25519_PRIVATE, ED25519_PUBLIC, HMAC_SECRET, Secret, SecretError};
use crate::encoding::{array_from_base64, from_base64};
use crate::mac::HmacKey;

/// A key to verify with. Its [`Debug`](fmt::Debug) shows a public key and redacts a secret.
#[derive(Clone)]
pub struct Verifier(VerifierKey);

#[derive(Clone)]
enum VerifierKey {
    Hmac(Arc<HmacKey>),
    Ed25519(VerifyingKey),
}

/// The signatures of a header, decoded, by version.
#[derive(Default)]
pub(super) struct Candidates {
    pub(super) hmac: Vec<[u8; 32]>,
    pub(super) ed25519: Vec<[u8; 64]>,
}

impl Verifier {
    /// Reads `whsec_<base64>` or bare base64 as an HMAC secret, `whpk_<base64>` as an ed25519 public key.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with(ED25519_PRIVATE) {
            return Err(SecretError::PrivateKeyCannotVerify);
        }
        if let Some(public) = text.strip_prefix(ED25519_PUBLIC) {
            return Self::ed25519(&from_base64(public).ok_or(SecretError::NotBase64)?);
        }
        let bare = text.strip_prefix(HMAC_SECRET).unwrap_or(text);
        Self::hmac(&from_base64(bare).ok_or(SecretError::NotBase64)?)
    }

    /// An HMAC secret of any length but none: how long it is was the sender's choice, not ours.
    pub fn hmac(key: &[u8]) -> Result<Self, SecretError> {
        if key.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self(VerifierKey::Hmac(Arc::new(HmacKey::new(key)))))
    }

    /// An ed25519 public key. The points of small order are refused: under them anyone can sign.
    fn ed25519(bytes: &[u8]) -> Result<Self, SecretError> {
        match VerifyingKey::try_from(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(VerifierKey::Ed25519(key))),
            _ => Err(SecretError::PublicKeyInvalid),
        }
    }

    pub(super) fn is_hmac(&self) -> bool {
        matches!(self.0, VerifierKey::Hmac(_))
    }

    /// Whether the header has a signature of this key's version, right or wrong.
    pub(super) fn is_addressed_by(&self, candidates: &Candidates) -> bool {
        match self.0 {
            VerifierKey::Hmac(_) => !candidates.hmac.is_empty(),
            VerifierKey::Ed25519(_) => !candidates.ed25519.is_empty(),
        }
    }

    /// Whether one of the signatures is this key's over `content`.
    pub(super) fn accepts(&self, content: &[&[u8]], candidates: &Candidates) -> bool {
        if !self.is_addressed_by(candidates) {
            return false;
        }
        match &self.0 {
            VerifierKey::Hmac(key) => {
                let tag = key.tag(content);
                // All are compared, so that the time taken does not tell which one was near.
                let matches = candidates.hmac.iter().fold(Choice::from(0), |any, one| any | one.ct_eq(&tag));
                matches.into()
            }
            VerifierKey::Ed25519(key) => candidates
                .ed25519
                .iter()
                .any(|one| key.multipart_verify(content, &Signature::from_bytes(one)).is_ok()),
        }
    }
}

impl Candidates {
    /// Takes in one HMAC signature; `None` when it is malformed.
    pub(super) fn push_hmac(&mut self, text: &str) -> Option<()> {
        self.hmac.push(array_from_base64(text)?);
        Some(())
    }

    /// Takes in one ed25519 signature; `None` when it is malformed.
    pub(super) fn push_ed25519(&mut self, text: &str) -> Option<()> {
        self.ed25519.push(array_from_base64(text)?);
        Some(())
    }
}

/// The key of the receiver that `secret` signs for.
impl From<&Secret> for Verifier {
    fn from(secret: &Secret) -> Self {
        Self(match &secret.0 {
            Key::Hmac(key) => VerifierKey::Hmac(Arc::clone(key)),
            Key::Ed25519(key) => VerifierKey::Ed25519(key.verifying_key()),
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            VerifierKey::Hmac(_) => f.write_str("Verifier(whsec_redacted)"),
            VerifierKey::Ed25519(key) => {
                write!(f, "Verifier({})", crate::encoding::with_prefix(ED25519_PUBLIC, key.as_bytes()))
            }
        }
    }
}
