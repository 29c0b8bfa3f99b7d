//! Private keys: of a file, or those that everybody knows, for trials.

use std::fmt;

use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use ring::rand::SystemRandom;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};

use super::SignError;
use crate::encoding::{from_base64, to_hex, with_prefix};
use crate::provider::checks::public_key::Algorithm;
use crate::provider::digest::Hash;
use crate::provider::row::KeyForm;
use crate::provider::x509::pem_blocks;

/// Made for this program, and public: it proves nothing but that a receiver was set to believe it.
const TEST_RSA: &str = include_str!("test_rsa_key.pem");
const TEST_PHRASE: &str = "posthaste: a private key that everybody knows";

/// Which kind of private key a scheme signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-521.
    P521,
    /// RSA.
    Rsa,
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "an ed25519 key as PEM",
            Self::P256 => "a P-256 key as PEM",
            Self::P521 => "a P-521 key as PEM",
            Self::Rsa => "an RSA key as PEM, of 2048 bits at least",
        })
    }
}

/// A private key.
pub struct PrivateKey(Kind);

enum Kind {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// The key of this kind that everybody knows.
    pub fn for_tests(kind: Needed) -> Option<Self> {
        Some(Self(match kind {
            Needed::Ed25519 => {
                let seed = Hash::Sha256.digest(&[TEST_PHRASE]);
                Kind::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(
                    seed.as_bytes().try_into().ok()?,
                )))
            }
            Needed::P256 => Kind::p256(Hash::Sha256.digest(&[TEST_PHRASE]).as_bytes())?,
            Needed::P521 => Kind::p521(&[&[0; 2], Hash::Sha512.digest(&[TEST_PHRASE]).as_bytes()].concat())?,
            Needed::Rsa => return Self::parse(TEST_RSA).ok(),
        }))
    }

    /// A key as PEM, PKCS#8 or older; or `whsk_` and base64.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let bad = || {
            SignError::Key(
                "PEM of an unencrypted RSA, P-256, P-521 or ed25519 key, nor `whsk_` and base64".to_owned(),
            )
        };
        if let Some(bytes) = text.trim().strip_prefix("whsk_").and_then(from_base64) {
            let seed = bytes.get(..32).and_then(|seed| seed.try_into().ok()).ok_or_else(bad)?;
            return Ok(Self(Kind::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))));
        }
        let blocks = pem_blocks(text);
        let found = blocks
            .iter()
            .filter(|(label, _)| label.ends_with("PRIVATE KEY"))
            .find_map(|(_, der)| of_der(der));
        found.map(Self).ok_or_else(bad)
    }

    pub(super) fn is(&self, kind: Needed) -> bool {
        matches!(
            (&self.0, kind),
            (Kind::Ed25519(_), Needed::Ed25519)
                | (Kind::P256(_), Needed::P256)
                | (Kind::P521(_), Needed::P521)
                | (Kind::Rsa(_), Needed::Rsa)
        )
    }

    /// The signature, unless the key is of another kind.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        match (&self.0, algorithm) {
            (Kind::Ed25519(key), Algorithm::Ed25519) => Some(key.sign(message).to_bytes().to_vec()),
            (Kind::P256(key), Algorithm::Ecdsa { hash, der }) => {
                // A hash shorter than the curve's order stands for a number, so zeros go in front (SEC 1 §4.1.4).
                let hash = hash.digest(&[message]);
                let mut padded = [0; 32];
                let from = padded.len().checked_sub(hash.as_bytes().len())?;
                padded[from..].copy_from_slice(hash.as_bytes());
                let signature: p256::ecdsa::Signature = key.sign_prehash(&padded).ok()?;
                Some(if der { signature.to_der().as_bytes().to_vec() } else { signature.to_bytes().to_vec() })
            }
            (Kind::P521(key), Algorithm::Ecdsa { hash, der: false }) => {
                let signature: p521::ecdsa::Signature =
                    key.sign_prehash(hash.digest(&[message]).as_bytes()).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            (Kind::Rsa(key), Algorithm::RsaPkcs1(Hash::Sha256)) => rsa(key, &RSA_PKCS1_SHA256, message),
            (Kind::Rsa(key), Algorithm::RsaPkcs1(Hash::Sha512)) => rsa(key, &RSA_PKCS1_SHA512, message),
            (Kind::Rsa(key), Algorithm::RsaPss) => rsa(key, &RSA_PSS_SHA256, message),
            _ => None,
        }
    }

    /// The public half as a provider writes it.
    pub(super) fn public_text(&self, form: Option<KeyForm>) -> String {
        match (&self.0, form) {
            (Kind::Ed25519(key), Some(KeyForm::RawHex)) => to_hex(key.verifying_key().as_bytes()),
            (Kind::Ed25519(key), Some(KeyForm::RawBase64)) => with_prefix("", key.verifying_key().as_bytes()),
            (Kind::Ed25519(key), Some(KeyForm::Whpk)) => with_prefix("whpk_", key.verifying_key().as_bytes()),
            (_, Some(KeyForm::SpkiBase64)) => with_prefix("", &self.spki()),
            _ => self.public_pem(),
        }
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        const LINE: usize = 64;
        let base64 = with_prefix("", &self.spki());
        let lines: Vec<&str> =
            base64.as_bytes().chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// DER of the SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    fn spki(&self) -> Vec<u8> {
        const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
        const EC_P256: &[u8] =
            &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        const EC_P521: &[u8] =
            &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 0x23];
        const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
        let (algorithm, key) = match &self.0 {
            Kind::Ed25519(key) => (ED25519, key.verifying_key().as_bytes().to_vec()),
            Kind::P256(key) => (EC_P256, key.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
            Kind::P521(key) => (EC_P521, key.verifying_key().to_sec1_point(false).as_bytes().to_vec()),
            Kind::Rsa(key) => (RSA, key.public_key().as_ref().to_vec()),
        };
        der(0x30, &[der(0x30, algorithm), der(0x03, &[&[0], &key[..]].concat())].concat())
    }
}

impl Kind {
    fn p256(scalar: &[u8]) -> Option<Self> {
        p256::ecdsa::SigningKey::from_slice(scalar).ok().map(|key| Self::P256(Box::new(key)))
    }

    fn p521(scalar: &[u8]) -> Option<Self> {
        p521::ecdsa::SigningKey::from_slice(scalar).ok().map(|key| Self::P521(Box::new(key)))
    }
}

/// PKCS#8 (RFC 5958), or the older forms of RSA (RFC 8017) and EC keys (RFC 5915) that it wraps.
fn of_der(der: &[u8]) -> Option<Kind> {
    // An octet string with the scalar behind the version of an EC key, or with the seed of an ed25519 key.
    let behind = |mark: &[u8], len: usize| {
        let at = der.windows(mark.len()).position(|window| window == mark)? + mark.len();
        der.get(at..at + len)
    };
    if let Some(scalar) = behind(&[2, 1, 1, 4, 32], 32) {
        return Kind::p256(scalar);
    }
    if let Some(scalar) = behind(&[2, 1, 1, 4, 66], 66) {
        return Kind::p521(scalar);
    }
    if let Some(seed) = behind(&[0x2b, 0x65, 0x70, 4, 34, 4, 32], 32) {
        return Some(Kind::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed.try_into().ok()?))));
    }
    let rsa = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
    rsa.ok().map(|key| Kind::Rsa(Box::new(key)))
}

/// Only PSS throws the dice: its salt is random, and nothing depends on it.
fn rsa(key: &RsaKeyPair, how: &'static dyn RsaEncoding, message: &[u8]) -> Option<Vec<u8>> {
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(how, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let [.., high, low] = len.to_be_bytes();
    let head = match len {
        0..=127 => vec![tag, low],
        128..=255 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head[..], content].concat()
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}
