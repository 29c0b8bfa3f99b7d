//! The signing half: a secret that signs and cannot be printed.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{SigningKey, ed25519::signature::MultipartSigner as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{ED25519_PRIVATE, ED25519_PUBLIC, ED25519_VERSION, HMAC_BYTES_MAX, HMAC_BYTES_MIN, HMAC_SECRET};
use super::{HMAC_VERSION, content};
use crate::encoding::{from_base64, push_base64, with_prefix};
use crate::mac::HmacKey;

/// One signing secret.
///
/// It compares in constant time and is wiped from memory when its last clone is dropped; a clone shares the
/// key and costs a counter. [`Debug`](fmt::Debug) prints a redaction, and there is no `Display`:
/// [`expose`](Self::expose) is the one way to read it.
#[derive(Clone)]
pub struct Secret(pub(super) Key);

#[derive(Clone)]
pub(super) enum Key {
    Hmac(Arc<HmacKey>),
    Ed25519(Arc<SigningKey>),
}

/// Why a text or some bytes are not a key. It never contains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It cannot be decoded.
    #[error("the key is not base64 in the standard alphabet with padding")]
    NotBase64,
    /// There is nothing in it.
    #[error("the key is empty")]
    Empty,
    /// An HMAC secret that is too short to be safe, or longer than Svix's API allows.
    #[error(
        "an HMAC secret must have {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX} bytes, this one has {bytes_count}"
    )]
    HmacLength {
        /// How many it has.
        bytes_count: usize,
    },
    /// An ed25519 private key that is neither a seed nor a seed with its public key.
    #[error("an ed25519 private key must have 32 or 64 bytes, this one has {bytes_count}")]
    PrivateKeyLength {
        /// How many it has.
        bytes_count: usize,
    },
    /// The second half of a 64-byte private key does not belong to the first.
    #[error("the public half of the ed25519 private key does not belong to its seed")]
    PrivateKeyHalves,
    /// Not 32 bytes, not a point of the curve, or a point under which anyone can sign.
    #[error("the ed25519 public key is not a usable point of the curve")]
    PublicKeyInvalid,
    /// A public key where a secret is needed.
    #[error("a public key (whpk_) can only verify; signing needs its private half (whsk_)")]
    PublicKeyCannotSign,
    /// A private key where a receiver's key is needed.
    #[error("a private key (whsk_) belongs to the sender; verify with its public half (whpk_)")]
    PrivateKeyCannotVerify,
}

impl Secret {
    /// Reads `whsec_<base64>` or bare base64 as an HMAC secret, `whsk_<base64>` as an ed25519 private key (its
    /// 32-byte seed, or the 64 bytes of seed and public key).
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.starts_with(ED25519_PUBLIC) {
            return Err(SecretError::PublicKeyCannotSign);
        }
        if let Some(private) = text.strip_prefix(ED25519_PRIVATE) {
            return Self::ed25519_from_bytes(&from_base64(private).ok_or(SecretError::NotBase64)?);
        }
        let bare = text.strip_prefix(HMAC_SECRET).unwrap_or(text);
        Self::hmac(&from_base64(bare).ok_or(SecretError::NotBase64)?)
    }

    /// An HMAC secret of [`HMAC_BYTES_MIN`] to [`HMAC_BYTES_MAX`] bytes.
    pub fn hmac(key: &[u8]) -> Result<Self, SecretError> {
        if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&key.len()) {
            return Err(SecretError::HmacLength { bytes_count: key.len() });
        }
        Ok(Self(Key::Hmac(Arc::new(HmacKey::new(key)))))
    }

    /// An ed25519 private key, from 32 random bytes.
    pub fn ed25519(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(Key::Ed25519(Arc::new(SigningKey::from_bytes(&seed))))
    }

    fn ed25519_from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        if let Ok(seed) = <&[u8; 32]>::try_from(bytes) {
            return Ok(Self(Key::Ed25519(Arc::new(SigningKey::from_bytes(seed)))));
        }
        let both = <&[u8; 64]>::try_from(bytes)
            .map_err(|_| SecretError::PrivateKeyLength { bytes_count: bytes.len() })?;
        let key = SigningKey::from_keypair_bytes(both).map_err(|_| SecretError::PrivateKeyHalves)?;
        Ok(Self(Key::Ed25519(Arc::new(key))))
    }

    /// The whole secret as text: `whsec_…`, or `whsk_…` with seed and public key, which is how Svix writes it.
    /// [`parse`](Self::parse) reads it back.
    pub fn expose(&self) -> String {
        match &self.0 {
            Key::Hmac(key) => with_prefix(HMAC_SECRET, key.bytes()),
            Key::Ed25519(key) => {
                with_prefix(ED25519_PRIVATE, Zeroizing::new(key.to_keypair_bytes()).as_slice())
            }
        }
    }

    /// What a receiver gets to verify with: the `whsec_…` secret itself, or only the `whpk_…` public key.
    pub fn shared(&self) -> String {
        match &self.0 {
            Key::Hmac(_) => self.expose(),
            Key::Ed25519(key) => with_prefix(ED25519_PUBLIC, key.verifying_key().as_bytes()),
        }
    }

    /// Signs a message: `v1,<base64>` or `v1a,<base64>`. Neither `id` nor the timestamp is checked; an id
    /// should hold no full stop, which is what sets the parts of the signed bytes apart.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        sign_all([self], id, timestamp, body)
    }

    fn push_signature(&self, content: &[&[u8]], out: &mut String) {
        match &self.0 {
            Key::Hmac(key) => push_entry(HMAC_VERSION, &key.tag(content), out),
            Key::Ed25519(key) => push_entry(ED25519_VERSION, &key.multipart_sign(content).to_bytes(), out),
        }
    }
}

/// Signs a message with every secret: the signatures in their order, a blank between them.
pub fn sign_all<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let timestamp = timestamp.to_string();
    let content = content(id, &timestamp, body);
    let mut header = String::with_capacity(ED25519_ENTRY_CHARS);
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        secret.push_signature(&content, &mut header);
    }
    header
}

/// `v1a,` and the base64 of 64 bytes: room for one signature of either version.
const ED25519_ENTRY_CHARS: usize = 4 + 88;

fn push_entry(version: &str, signature: &[u8], out: &mut String) {
    out.push_str(version);
    out.push(',');
    push_base64(signature, out);
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Key::Hmac(one), Key::Hmac(two)) => one.ct_eq(two).into(),
            (Key::Ed25519(one), Key::Ed25519(two)) => one.ct_eq(two).into(),
            (Key::Hmac(_), Key::Ed25519(_)) | (Key::Ed25519(_), Key::Hmac(_)) => false,
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Key::Hmac(_) => "Secret(whsec_redacted)",
            Key::Ed25519(_) => "Secret(whsk_redacted)",
        })
    }
}
