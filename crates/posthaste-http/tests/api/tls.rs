//! The listener inside TLS: who is answered, who is let go, and that one slow handshake holds up nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use posthaste_http::serve::ListenerLimits;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::listener::Listener;
use crate::world::Posthaste;

const NAME: &str = "hooks.example";
const ASKS: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// A listener inside TLS, and the one certificate that its clients trust.
struct Secure {
    listener: Listener,
    certificate: CertificateDer<'static>,
}

fn ring() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl Secure {
    async fn start(posthaste: &Posthaste, limits: ListenerLimits) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert);
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"acme-tls/1".to_vec()];
        let listener = Listener::start_with(posthaste, limits, Some(Arc::new(config))).await;
        Self { listener, certificate }
    }

    async fn connect(&self, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(ring())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.listener.connect().await).await
    }

    /// What is answered to a probe.
    async fn ask(&self, protocols: &[&str]) -> String {
        let mut stream = self.connect(protocols).await.unwrap();
        stream.write_all(ASKS).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn a_request_inside_tls_is_answered_with_or_without_a_protocol_asked_for() {
    let (posthaste, _) = Posthaste::with_endpoint(80).await;
    let secure = Secure::start(&posthaste, ListenerLimits::default()).await;
    for protocols in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
        let answer = secure.ask(protocols).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("live\n"), "{answer}");
    }
    assert!(secure.connect(&["h2"]).await.is_err(), "nobody is promised what is not spoken");
}

#[tokio::test]
async fn a_protocol_that_is_all_handshake_ends_with_it() {
    let (posthaste, _) = Posthaste::with_endpoint(81).await;
    let secure = Secure::start(&posthaste, ListenerLimits::default()).await;
    let mut stream = secure.connect(&["acme-tls/1"]).await.unwrap();
    let _ = stream.write_all(ASKS).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_gets_no_answer_in_the_clear() {
    let (posthaste, _) = Posthaste::with_endpoint(82).await;
    let secure = Secure::start(&posthaste, ListenerLimits::default()).await;
    let mut stream = secure.listener.connect().await;
    stream.write_all(ASKS).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_let_go_and_holds_up_nobody() {
    let (posthaste, _) = Posthaste::with_endpoint(83).await;
    let limits = ListenerLimits { handshake_timeout: Duration::from_secs(2), ..ListenerLimits::default() };
    let secure = Secure::start(&posthaste, limits).await;
    let mut silent = secure.listener.connect().await;
    let mut halfway = secure.listener.connect().await;
    halfway.write_all(b"\x16\x03\x01\x02").await.unwrap();
    assert!(secure.ask(&[]).await.starts_with("HTTP/1.1 200 "), "while both hang");
    for stream in [&mut silent, &mut halfway] {
        let mut byte = [0];
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection() {
    let (posthaste, _) = Posthaste::with_endpoint(84).await;
    let limits = ListenerLimits {
        handshake_timeout: Duration::from_millis(50),
        connections_max: 1,
        ..ListenerLimits::default()
    };
    let secure = Secure::start(&posthaste, limits).await;
    let mut silent = secure.listener.connect().await;
    let answer = tokio::time::timeout(Duration::from_secs(20), secure.ask(&[])).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The other one had to go first.
    assert!(matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_client_inside_tls_that_asks_and_never_reads_is_let_go() {
    let (posthaste, _) = Posthaste::with_endpoint(85).await;
    let limits = ListenerLimits { write_timeout: Duration::from_millis(50), ..ListenerLimits::default() };
    let secure = Secure::start(&posthaste, limits).await;
    let mut greedy = secure.connect(&[]).await.unwrap();
    let asks = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let asking = async { while greedy.write_all(&asks).await.is_ok() {} };
    let let_go = tokio::time::timeout(Duration::from_secs(20), asking).await;
    assert!(let_go.is_ok(), "its connection is still held");
}

#[tokio::test]
async fn a_listener_inside_tls_that_stops_finishes_what_is_under_way() {
    let (posthaste, _) = Posthaste::with_endpoint(86).await;
    let secure = Secure::start(&posthaste, ListenerLimits::default()).await;
    let mut stream = secure.connect(&[]).await.unwrap();
    let (head, rest) = ASKS.split_at(9);
    stream.write_all(head).await.unwrap();
    assert!(secure.ask(&[]).await.starts_with("HTTP/1.1 200 "));
    secure.listener.stop.send(()).unwrap();
    stream.write_all(rest).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let served = tokio::time::timeout(Duration::from_secs(5), secure.listener.served).await;
    assert!(served.is_ok(), "it waits for a connection that has ended");
}
