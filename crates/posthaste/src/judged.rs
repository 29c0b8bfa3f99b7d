//! TLS to a server that is told a secret: its certificate is for its name, and by an authority that is trusted.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Names a file of authorities to trust beside the public ones.
const ROOT_FILE: &str = "POSTHASTE_SERVER_ROOT_FILE";

#[expect(clippy::disallowed_methods, reason = "this is no setting of a server: it is for whoever asks one")]
/// Shakes hands with who has a certificate for this name.
pub(crate) async fn handshake(host: &str, stream: TcpStream) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os(ROOT_FILE) {
        let named = || format!("{ROOT_FILE} {}", path.display());
        for certificate in CertificateDer::pem_file_iter(Path::new(&path)).with_context(named)? {
            roots.add(certificate.with_context(named)?).with_context(named)?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).context("the URL's host is no name for TLS")?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("the TLS handshake failed")
}
