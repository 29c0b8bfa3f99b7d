//! Public keys of every kind that providers use, read from every form they write them in.

use ed25519_dalek::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::signature as ring_signature;
use serde_json::Value;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::encoding::{from_base64, from_base64url, from_hex};
use crate::provider::digest::Hash;
use crate::provider::row::KeyForm;
use crate::provider::x509;

/// A public key.
#[derive(Clone)]
pub(crate) enum PublicKey {
    Ed25519(Box<VerifyingKey>),
    /// A point in SEC1's encoding.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Ed25519,
    /// ECDSA with the curve of the key; `der`: as ASN.1, else r and s.
    Ecdsa {
        hash: Hash,
        der: bool,
    },
    RsaPkcs1(Hash),
    /// PSS with SHA-256.
    RsaPss,
}

impl Algorithm {
    /// By its name in JOSE (RFC 7518, RFC 8037).
    pub(crate) fn of_jose(name: &str) -> Option<Self> {
        Some(match name {
            "EdDSA" => Self::Ed25519,
            "ES256" => Self::Ecdsa { hash: Hash::Sha256, der: false },
            "ES384" => Self::Ecdsa { hash: Hash::Sha384, der: false },
            "ES512" => Self::Ecdsa { hash: Hash::Sha512, der: false },
            "RS256" => Self::RsaPkcs1(Hash::Sha256),
            "RS384" => Self::RsaPkcs1(Hash::Sha384),
            "RS512" => Self::RsaPkcs1(Hash::Sha512),
            "PS256" => Self::RsaPss,
            _ => return None,
        })
    }
}

impl PublicKey {
    pub(crate) fn read(form: KeyForm, text: &str) -> Option<Self> {
        let text = text.trim();
        match form {
            KeyForm::Pem => Self::from_pem(text),
            KeyForm::SpkiBase64 => Self::from_spki(&from_base64(text)?).or_else(|| Self::from_pem(text)),
            KeyForm::RawBase64 => Self::ed25519(&from_base64(text)?),
            KeyForm::RawHex => Self::ed25519(&from_hex(text)?),
            KeyForm::Whpk => Self::ed25519(&from_base64(text.strip_prefix("whpk_").unwrap_or(text))?),
            KeyForm::Jwks => None,
        }
    }

    pub(crate) fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        // A key of small order would accept signatures that nobody made.
        (!key.is_weak()).then(|| Self::Ed25519(Box::new(key)))
    }

    /// A PEM block: a public key, an RSA key or a certificate. Providers also show keys without the dashes.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        let Some((label, der)) = x509::pem_blocks(text).into_iter().next() else {
            // Without dashes, or all in one line, as eBay's API has it.
            let inner = text.split("-----").find(|part| part.len() > 40).unwrap_or(text);
            let bare: String = inner.split_ascii_whitespace().collect();
            return Self::from_spki(&from_base64(&bare)?);
        };
        match label.as_str() {
            "PUBLIC KEY" => Self::from_spki(&der),
            "RSA PUBLIC KEY" => {
                let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(&der).ok()?;
                Self::rsa(key.modulus, key.exponent)
            }
            "CERTIFICATE" => x509::public_key_of(&der),
            _ => None,
        }
    }

    /// DER of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub(crate) fn from_spki(der: &[u8]) -> Option<Self> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).ok()?;
        rest.is_empty().then(|| Self::of(&spki)).flatten()
    }

    pub(crate) fn of(spki: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let bytes = spki.subject_public_key.data.as_ref();
        match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.113549.1.1.1" => {
                let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(bytes).ok()?;
                Self::rsa(key.modulus, key.exponent)
            }
            "1.3.101.112" => Self::ed25519(bytes),
            "1.2.840.10045.2.1" => Self::point(bytes.to_vec()),
            _ => None,
        }
    }

    /// The curve by the length of an uncompressed point.
    fn point(point: Vec<u8>) -> Option<Self> {
        match point.len() {
            65 => Some(Self::P256(point)),
            97 => Some(Self::P384(point)),
            133 => Some(Self::P521(point)),
            _ => None,
        }
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let bare = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        let (modulus, exponent) = (bare(modulus), bare(exponent));
        (!modulus.is_empty() && !exponent.is_empty()).then_some(Self::Rsa { modulus, exponent })
    }

    /// A JSON Web Key (RFC 7517).
    pub(crate) fn from_jwk(jwk: &Value) -> Option<Self> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str).and_then(from_base64url);
        match jwk.get("kty")?.as_str()? {
            "RSA" => Self::rsa(&member("n")?, &member("e")?),
            "OKP" if jwk.get("crv")?.as_str()? == "Ed25519" => Self::ed25519(&member("x")?),
            "EC" => {
                let bytes_count = match jwk.get("crv")?.as_str()? {
                    "P-256" => 32,
                    "P-384" => 48,
                    "P-521" => 66,
                    _ => return None,
                };
                let (x, y) = (member("x")?, member("y")?);
                if x.len() > bytes_count || y.len() > bytes_count {
                    return None;
                }
                let padded = |bytes: &[u8]| [vec![0; bytes_count - bytes.len()], bytes.to_vec()].concat();
                Self::point([vec![4], padded(&x), padded(&y)].concat())
            }
            _ => None,
        }
    }

    /// Whether the holder of the private key signed `message`. A key of another kind signed nothing.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Ed25519(key), Algorithm::Ed25519) => {
                let signature = ed25519_dalek::Signature::from_slice(signature);
                signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            (Self::P256(point), Algorithm::Ecdsa { hash: Hash::Sha1, der: true }) => {
                p256_sha1(point, message, signature)
            }
            (Self::P256(point), Algorithm::Ecdsa { hash: Hash::Sha256, der }) => {
                let how: &dyn ring_signature::VerificationAlgorithm = if der {
                    &ring_signature::ECDSA_P256_SHA256_ASN1
                } else {
                    &ring_signature::ECDSA_P256_SHA256_FIXED
                };
                ring(how, point, message, signature)
            }
            (Self::P384(point), Algorithm::Ecdsa { hash: Hash::Sha384, der }) => {
                let how: &dyn ring_signature::VerificationAlgorithm = if der {
                    &ring_signature::ECDSA_P384_SHA384_ASN1
                } else {
                    &ring_signature::ECDSA_P384_SHA384_FIXED
                };
                ring(how, point, message, signature)
            }
            (Self::P521(point), Algorithm::Ecdsa { hash: Hash::Sha512, der: false }) => {
                p521_sha512(point, message, signature)
            }
            (Self::Rsa { modulus, exponent }, Algorithm::RsaPkcs1(_) | Algorithm::RsaPss) => {
                let how = match algorithm {
                    Algorithm::RsaPkcs1(Hash::Sha1) => {
                        &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY
                    }
                    Algorithm::RsaPkcs1(Hash::Sha256) => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RsaPkcs1(Hash::Sha384) => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RsaPkcs1(Hash::Sha512) => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::RsaPss => &ring_signature::RSA_PSS_2048_8192_SHA256,
                    _ => return false,
                };
                let key = ring_signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(how, message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn ring(
    how: &'static dyn ring_signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    ring_signature::UnparsedPublicKey::new(how, key).verify(message, signature).is_ok()
}

/// eBay's: ring has no ECDSA with SHA-1.
fn p256_sha1(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
    let signature = p256::ecdsa::Signature::from_der(signature);
    // A hash shorter than the curve's order stands for a number, so zeros go in front (SEC 1 §4.1.4).
    let mut padded = [0; 32];
    padded[12..].copy_from_slice(Hash::Sha1.digest(&[message]).as_bytes());
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_prehash(&padded, &signature).is_ok())
}

/// TrueLayer's: ring has no P-521.
fn p521_sha512(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point);
    let signature = p521::ecdsa::Signature::from_slice(signature);
    let hash = Hash::Sha512.digest(&[message]);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_prehash(hash.as_bytes(), &signature).is_ok())
}
