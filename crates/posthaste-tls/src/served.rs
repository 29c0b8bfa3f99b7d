//! What the listener shows now: one certificate, replaced whole, so that no handshake ever sees half of a change.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::pair::Pair;

/// The protocol of an authority that asks for a proof, in a handshake and nothing more (RFC 8737).
const ACME_TLS: &[u8] = b"acme-tls/1";

/// The certificate that is shown, if there is one yet. Connections that are open keep what they began with.
#[derive(Debug, Default)]
pub struct Served {
    current: RwLock<Option<Arc<CertifiedKey>>>,
    /// By name, for an authority that asks for a proof: there are some only while it does.
    proofs: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    expires: Gauge,
}

impl Served {
    /// Adds to `registry` when that which is shown ends.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "tls_certificate_expiry",
            "When the listener's certificate ends, since 1970; 0 while there is none",
            Unit::Seconds,
            self.expires.clone(),
        );
    }

    /// Shows this from now on.
    pub fn install(&self, pair: &Pair) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&pair.certified));
        self.expires.set(pair.validity.not_after.as_secs());
    }
}

impl Served {
    pub(crate) fn show_proof(&self, name: &str, proof: Arc<CertifiedKey>) {
        self.proofs.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), proof);
    }

    pub(crate) fn hide_proof(&self, name: &str) {
        self.proofs.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn proof(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.proofs.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Whether it is an authority that asks: it offers this protocol and no other.
fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none())
}

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if asks_for_proof(&hello) {
            return self.proof(&hello.server_name()?.to_ascii_lowercase());
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// TLS 1.2 and 1.3 for a listener that speaks HTTP/1.1, and gives proofs to an authority.
pub fn server_config(served: Arc<Served>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), ACME_TLS.to_vec()];
    Ok(Arc::new(config))
}
