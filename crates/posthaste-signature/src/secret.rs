//! Secrets that sign: HMAC-SHA256 keys (`whsec_…`) and Ed25519 private keys (`whsk_…`).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const HMAC_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of an HMAC key: the specification asks for 24 to 64, Svix's API lets through up to 75.
const HMAC_KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=75;

/// Why a text is no secret. Never contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not base64.
    #[error("a secret is whsec_ or whsk_ followed by standard base64 with padding")]
    NotBase64,
    /// An HMAC key of the wrong length.
    #[error("an HMAC secret must have 24 to 75 bytes, this one has {0}")]
    HmacLength(usize),
    /// A private key of the wrong length, or one whose two halves do not belong together.
    #[error("an Ed25519 private key must have 32 bytes, or 64 with its public key behind it")]
    Ed25519Key,
}

/// One signing secret. It cannot be printed, and is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Key);

#[derive(Clone)]
enum Key {
    Hmac { bytes: Zeroizing<Vec<u8>>, keyed: Box<Hmac<Sha256>> },
    Ed25519(Box<SigningKey>),
}

impl Secret {
    /// Reads `whsec_…`, the same without its prefix, or `whsk_…`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let decode =
            |text| BASE64_STANDARD.decode(text).map(Zeroizing::new).map_err(|_| SecretError::NotBase64);
        if let Some(key) = text.strip_prefix(PRIVATE_PREFIX) {
            return Self::private_key(&decode(key)?);
        }
        Self::hmac(&decode(text.strip_prefix(HMAC_PREFIX).unwrap_or(text))?)
    }

    /// An HMAC-SHA256 secret of 24 to 75 bytes.
    pub fn hmac(key: &[u8]) -> Result<Self, SecretError> {
        if !HMAC_KEY_BYTES.contains(&key.len()) {
            return Err(SecretError::HmacLength(key.len()));
        }
        let keyed = Hmac::new_from_slice(key).map_err(|_| SecretError::HmacLength(key.len()))?;
        Ok(Self(Key::Hmac { bytes: Zeroizing::new(key.to_vec()), keyed: Box::new(keyed) }))
    }

    /// The Ed25519 key that follows from a seed.
    pub fn ed25519(seed: [u8; 32]) -> Self {
        Self(Key::Ed25519(Box::new(SigningKey::from_bytes(&seed))))
    }

    fn private_key(bytes: &[u8]) -> Result<Self, SecretError> {
        let (seed, public) = bytes.split_at_checked(32).ok_or(SecretError::Ed25519Key)?;
        let key = SigningKey::from_bytes(seed.try_into().map_err(|_| SecretError::Ed25519Key)?);
        if !public.is_empty() && public != key.verifying_key().as_bytes() {
            return Err(SecretError::Ed25519Key);
        }
        Ok(Self(Key::Ed25519(Box::new(key))))
    }

    /// All of it, as text: to store it sealed, and for whoever chose it.
    pub fn expose(&self) -> String {
        match &self.0 {
            Key::Hmac { bytes, .. } => format!("{HMAC_PREFIX}{}", BASE64_STANDARD.encode(&**bytes)),
            Key::Ed25519(key) => {
                format!("{PRIVATE_PREFIX}{}", BASE64_STANDARD.encode(key.to_keypair_bytes()))
            }
        }
    }

    /// What a receiver verifies with: the HMAC secret itself, or the public half of an Ed25519 key.
    pub fn shared(&self) -> String {
        match &self.0 {
            Key::Hmac { .. } => self.expose(),
            Key::Ed25519(key) => {
                format!("{PUBLIC_PREFIX}{}", BASE64_STANDARD.encode(key.verifying_key().as_bytes()))
            }
        }
    }

    /// Signs as Standard Webhooks does: over `id.timestamp.body`, with the version in front, `v1,…` or `v1a,…`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let head = format!("{id}.{timestamp}.");
        match &self.0 {
            Key::Hmac { keyed, .. } => {
                let mut mac = (**keyed).clone();
                mac.update(head.as_bytes());
                mac.update(body);
                tagged("v1,", &mac.finalize().into_bytes())
            }
            Key::Ed25519(key) => {
                let content = [head.as_bytes(), body].concat();
                tagged("v1a,", &key.sign(&content).to_bytes())
            }
        }
    }
}

fn tagged(version: &str, signature: &[u8]) -> String {
    let mut text = String::with_capacity(version.len() + signature.len() * 4 / 3 + 4);
    text.push_str(version);
    BASE64_STANDARD.encode_string(signature, &mut text);
    text
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Key::Hmac { bytes: a, .. }, Key::Hmac { bytes: b, .. }) => a.ct_eq(b).into(),
            (Key::Ed25519(a), Key::Ed25519(b)) => a.as_bytes().ct_eq(b.as_bytes()).into(),
            _ => false,
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Key::Hmac { .. } => "Secret(whsec_ redacted)",
            Key::Ed25519(_) => "Secret(whsk_ redacted)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_from_its_own_text() {
        for text in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), Secret::ed25519([7; 32]).expose()] {
            assert_eq!(Secret::parse(&text).unwrap().expose(), text);
        }
        assert_eq!(
            Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().expose(),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_with_a_reason() {
        for (text, reason) in [
            ("whsec_not base64", SecretError::NotBase64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==", SecretError::NotBase64),
            ("whsec_", SecretError::HmacLength(0)),
            ("c2hvcnQ=", SecretError::HmacLength(5)),
            ("whsk_c2hvcnQ=", SecretError::Ed25519Key),
        ] {
            assert_eq!(Secret::parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_private_key_with_another_keys_public_half_is_refused() {
        let mut bytes = [7_u8; 64];
        bytes[63] = 1;
        let text = format!("whsk_{}", BASE64_STANDARD.encode(bytes));
        assert_eq!(Secret::parse(&text), Err(SecretError::Ed25519Key));
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        let shown = format!("{:?}", Secret::hmac(&[b'x'; 24]).unwrap());
        assert_eq!(shown, "Secret(whsec_ redacted)");
    }
}
