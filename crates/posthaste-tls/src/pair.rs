//! A certificate with the key that belongs to it, read from PEM and checked against each other.

use std::sync::Arc;

use posthaste_core::time::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// When a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: Timestamp,
    /// Until then.
    pub not_after: Timestamp,
}

/// A certificate that can be served: its chain, its key, and what it says of itself.
#[derive(Debug, Clone)]
pub struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// When it counts.
    pub validity: Validity,
    /// The names that it is for.
    pub names: Vec<String>,
}

/// Why a certificate and a key cannot be served: the rest of a sentence that begins with what holds them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The chain is not one.
    #[error("{0}")]
    Chain(String),
    /// The key is none that we can sign with.
    #[error("{0}")]
    Key(String),
    /// Each is good, and they are of different pairs.
    #[error("does not belong to the key: the first certificate must be the server's own, made for this key")]
    Mismatch,
}

impl Pair {
    /// Reads a chain, the server's own certificate first, and its key (PKCS#8, PKCS#1 or SEC1), both in PEM.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = read_chain(chain)?;
        let key = read_key(key)?;
        let (validity, names) = describe(&chain[0])?;
        let signer = ring::sign::any_supported_type(&key).map_err(|_| {
            PairError::Key(
                "has a key of a kind that TLS does not use: must be RSA, P-256, P-384 or Ed25519".to_owned(),
            )
        })?;
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|_| PairError::Mismatch)?;
        Ok(Self { certified: Arc::new(certified), validity, names })
    }
}

impl Pair {
    /// Whether it is for all of these names, and for no others.
    pub(crate) fn covers(&self, domains: &[String]) -> bool {
        domains.iter().all(|domain| self.names.contains(domain))
            && self.names.iter().all(|name| domains.contains(name))
    }
}

pub(crate) fn read_chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| PairError::Chain(format!("is not PEM ({error})")))?;
    if chain.is_empty() {
        let reason = "has no certificate in it: must be PEM, with a line BEGIN CERTIFICATE";
        return Err(PairError::Chain(reason.to_owned()));
    }
    Ok(chain)
}

fn read_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
        PairError::Key(if encrypted {
            "has an encrypted key: decrypt it, for example with openssl pkey".to_owned()
        } else if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
            "has no private key in it: must be PEM, with a line BEGIN PRIVATE KEY".to_owned()
        } else {
            // What the parser says may repeat the file's text.
            "is not PEM".to_owned()
        })
    })
}

fn describe(leaf: &CertificateDer<'_>) -> Result<(Validity, Vec<String>), PairError> {
    let (_, leaf) = X509Certificate::from_der(leaf)
        .map_err(|_| PairError::Chain("has a first certificate that is none (not X.509)".to_owned()))?;
    let validity = Validity {
        not_before: Timestamp::from_secs(leaf.validity().not_before.timestamp()),
        not_after: Timestamp::from_secs(leaf.validity().not_after.timestamp()),
    };
    let alternatives = leaf.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok((validity, names.collect()))
}
