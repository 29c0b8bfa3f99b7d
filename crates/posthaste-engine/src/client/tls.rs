//! TLS: 1.2 and 1.3, the public roots, and the name that the URL has, never the address.

use std::sync::Arc;

use posthaste_core::attempt::{Failure, FailureKind};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure;
use super::wire::Wire;

pub(super) struct Connector(TlsConnector);

impl Connector {
    pub(super) fn new(extra_roots: &[CertificateDer<'static>]) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(extra_roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(TlsConnector::from(Arc::new(config)))
    }

    pub(super) async fn handshake(&self, host: &str, stream: Wire) -> Result<TlsStream<Wire>, Failure> {
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| failure(FailureKind::Tls, "its host is no name that a certificate could be for"))?;
        self.0
            .connect(name, stream)
            .await
            .map_err(|error| failure(FailureKind::Tls, format!("the TLS handshake failed: {error}")))
    }
}
