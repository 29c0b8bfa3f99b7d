//! TLS to PostgreSQL, by rustls. A certificate is always checked, against the usual authorities or those of
//! `sslrootcert`, and so is the name in it: what is encrypted for whoever answers protects nobody. So `require` and
//! `verify-ca` ask for as much as `verify-full`, and `prefer` goes on without TLS only where the server has none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// Makes connections secure.
#[derive(Clone)]
pub(super) struct Secure(Arc<ClientConfig>);

impl Secure {
    /// `roots`: a file of certificates in PEM; without it the authorities that browsers trust.
    pub(super) fn new(roots: Option<&str>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        match roots {
            None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(path) => {
                let bad = |error: &dyn std::fmt::Display| {
                    format!("sslrootcert {path} is not a file of certificates in PEM ({error})")
                };
                for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(&e))? {
                    store.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

impl<S> MakeTlsConnect<S> for Secure
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Secured<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        // Asked for whether or not there will be TLS: a socket in the file system has no name, and needs none.
        let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other);
        Ok(Handshake { config: Arc::clone(&self.0), name })
    }
}

/// A handshake about to be made.
pub(super) struct Handshake {
    config: Arc<ClientConfig>,
    name: io::Result<ServerName<'static>>,
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Secured<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Secured<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        let connector = tokio_rustls::TlsConnector::from(self.config);
        Box::pin(async move {
            let name = self.name?;
            let shown = name.to_str().into_owned();
            let secured = connector.connect(name, stream).await;
            Ok(Secured(secured.map_err(|error| explained(&shown, error))?))
        })
    }
}

/// A certificate that was refused, in words that say how to mend it.
fn explained(name: &str, error: io::Error) -> io::Error {
    use rustls::{CertificateError as Why, Error};
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(why)) = said else { return error };
    let sentence = match why {
        Why::UnknownIssuer => {
            "nobody who is trusted here has signed its certificate: name the authority's with sslrootcert=FILE".to_owned()
        }
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            format!("its certificate is not for {name}: connect by a name that is in it")
        }
        Why::Expired | Why::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        _ => return error,
    };
    io::Error::other(sentence)
}

/// A secured stream.
pub(super) struct Secured<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
