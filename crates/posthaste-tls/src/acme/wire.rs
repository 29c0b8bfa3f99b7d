//! How the authority is talked to: HTTPS, one request a connection, with limits on time and size.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one request may take, from the name lookup to the answer's last byte.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer: a chain of certificates has some ten thousand.
const ANSWER_BYTES_MAX: usize = 1 << 20;

type Failure = Box<dyn StdError + Send + Sync>;

/// A client that trusts the public roots, and those that the operator adds.
#[derive(Clone)]
pub(super) struct Wire(Arc<RootCertStore>);

impl Wire {
    pub(super) fn new(extra_roots: &[CertificateDer<'static>]) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(extra_roots.iter().cloned());
        Self(Arc::new(roots))
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let roots = Arc::clone(&self.0);
        Box::pin(async move {
            let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
            let told = |reason: String| Error::Other(format!("{host}: {reason}").into());
            match tokio::time::timeout(REQUEST_MAX, exchange(roots, request)).await {
                Ok(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    Ok(BytesResponse { parts, body: Box::new(body) })
                }
                Ok(Err(error)) => Err(told(error.to_string())),
                Err(_) => Err(told(format!("no answer within {} s", REQUEST_MAX.as_secs()))),
            }
        })
    }
}

async fn exchange(
    roots: Arc<RootCertStore>,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Bytes>, Failure> {
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTPS));
    let authority = authority.ok_or_else(|| format!("{uri} is no https URL"))?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(443))).await?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(host)?, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    let talk = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok::<_, Failure>(Response::from_parts(parts, body))
    };
    // Side by side in one task, so that whoever gives up on the answer gives up the connection too.
    tokio::pin!(connection, talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = &mut connection => {
            ended?;
            talk.await
        }
    }
}
