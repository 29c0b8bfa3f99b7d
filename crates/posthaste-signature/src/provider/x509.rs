//! Certificates: read from PEM, and followed to a trusted one.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring as algorithms};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::checks::public_key::PublicKey;

/// The labels and bytes of all PEM blocks.
pub(crate) fn pem_blocks(text: &str) -> Vec<(String, Vec<u8>)> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes());
    blocks.filter_map(Result::ok).map(|block| (block.label, block.contents)).collect()
}

/// The key that a certificate is about.
pub(crate) fn public_key_of(certificate: &[u8]) -> Option<PublicKey> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    PublicKey::of(certificate.public_key())
}

/// Whether a certificate is for a host under `domain`; one without names for hosts is for its common name.
pub(crate) fn is_under(certificate: &[u8], domain: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let under = |name: &str| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().any(|name| match name {
            GeneralName::DNSName(name) => under(name),
            _ => false,
        }),
        Ok(None) => certificate.subject().iter_common_name().any(|name| name.as_str().is_ok_and(under)),
        Err(_) => false,
    }
}

/// Whether a certificate is in force at `now`, in seconds since 1970.
pub(crate) fn is_in_force(certificate: &[u8], now: i64) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

/// Whether a certificate has an extension of this object identifier, `1.2.840…`.
pub(crate) fn has_extension(certificate: &[u8], oid: &str) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    certificate.extensions().iter().any(|extension| extension.oid.to_id_string() == oid)
}

/// Whether a chain, leaf first, leads to one of `roots` (PEM), or to a public root where there are none.
pub(crate) fn is_trusted(chain: &[Vec<u8>], roots: Option<&str>, now: i64) -> bool {
    let Some((leaf, others)) = chain.split_first() else { return false };
    let own: Vec<CertificateDer<'_>> =
        roots.map(pem_blocks).unwrap_or_default().into_iter().map(|(_, der)| der.into()).collect();
    let own: Vec<TrustAnchor<'_>> = own.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
    let anchors = if roots.is_some() { own.as_slice() } else { webpki_roots::TLS_SERVER_ROOTS };
    let others: Vec<CertificateDer<'_>> = others.iter().map(|der| der.as_slice().into()).collect();
    let leaf = CertificateDer::from(leaf.as_slice());
    let (Ok(leaf), Ok(secs)) = (EndEntityCert::try_from(&leaf), u64::try_from(now)) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(secs));
    leaf.verify_for_usage(ALGORITHMS, anchors, &others, now, KeyUsage::server_auth(), None, None).is_ok()
}

/// What certificates of providers are signed with.
static ALGORITHMS: &[&dyn rustls_pki_types::SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];
