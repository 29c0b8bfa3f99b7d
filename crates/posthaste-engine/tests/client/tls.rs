//! TLS: a certificate counts only for the name in the URL, in time, and from somebody who is trusted.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::attempt::FailureKind;
use posthaste_engine::client::{Client, ClientSettings, Sent};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::receiver::{OK, Receiver, ToldResolver, hasty, post, read_request, settings};
use crate::{failed, reply};

const NAME: &str = "hook.example";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "A test's authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The server's certificate and key.
struct Identity(CertificateDer<'static>, KeyPair);

fn issued(issuer: &Issuer, name: &str, not_after: i32) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
    let key = KeyPair::generate().unwrap();
    Identity(params.signed_by(&key, issuer).unwrap().into(), key)
}

fn self_signed() -> Identity {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    Identity(made.cert.into(), made.signing_key)
}

/// Serves TLS with `identity`; its port.
async fn serving(identity: Identity, versions: &[&'static SupportedProtocolVersion]) -> u16 {
    let key = PrivatePkcs8KeyDer::from(identity.1.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.0], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            assert_eq!(stream.get_ref().1.server_name(), Some(NAME));
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            tokio::spawn(async move {
                while read_request(&mut stream).await.is_ok() {
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

fn client_trusting(issuer: &Issuer) -> Client {
    let settings = ClientSettings { extra_roots: vec![issuer.der().clone()], ..settings() };
    Client::new(settings, ToldResolver::answers(&["127.0.0.1"]))
}

async fn send(client: &Client, port: u16) -> Sent {
    client.send(post(format!("https://{NAME}:{port}/"))).await
}

#[tokio::test]
async fn a_request_goes_out_over_tls_and_the_connection_is_used_again() {
    let issuer = authority();
    let client = client_trusting(&issuer);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let port = serving(issued(&issuer, NAME, 2100), &[version]).await;
        let first = send(&client, port).await;
        assert!(!first.timing.tls.is_zero());
        assert_eq!(reply(first).status, 200);
        let second = send(&client, port).await;
        assert!(second.timing.tls.is_zero() && second.timing.connect.is_zero());
        assert_eq!(reply(second).status, 200);
    }
    assert_eq!(client.open_connections(), 2);
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_in_time_and_from_a_trusted_issuer() {
    let issuer = authority();
    let client = client_trusting(&issuer);
    for (identity, said) in [
        (issued(&issuer, "other.example", 2100), "not valid for name"),
        (issued(&issuer, "127.0.0.1", 2100), "not valid for name"),
        (issued(&issuer, NAME, 2001), "expired"),
        // An issuer that only has the name of the trusted one.
        (issued(&authority(), NAME, 2100), "BadSignature"),
        (self_signed(), "UnknownIssuer"),
    ] {
        let port = serving(identity, rustls::ALL_VERSIONS).await;
        let failure = failed(send(&client, port).await);
        assert_eq!(failure.kind, FailureKind::Tls);
        assert!(failure.detail.contains(said), "{said}: {}", failure.detail);
    }
    assert_eq!(client.open_connections(), 0);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_or_only_an_old_one_fails_the_handshake() {
    let plain = Receiver::running(vec![vec![crate::Step::write("HTTP/1.1 400 Bad Request\r\n\r\n")]]).await;
    let client = client_trusting(&authority());
    assert_eq!(failed(send(&client, plain.address.port()).await).kind, FailureKind::Tls);
    // What a server that knows TLS 1.0 and nothing newer answers: the alert `protocol_version`.
    let alert = crate::Step::Write(vec![0x15, 3, 1, 0, 2, 2, 70]);
    let old = Receiver::running(vec![vec![alert]]).await;
    let failure = failed(send(&client, old.address.port()).await);
    assert_eq!(failure.kind, FailureKind::Tls);
    assert!(failure.detail.contains("ProtocolVersion"), "{}", failure.detail);
    // What one says that takes our hello for one of its own version: a ServerHello of TLS 1.0 or 1.1.
    for minor in [1, 2] {
        let random = [7; 32];
        let hello = [&[2, 0, 0, 38, 3, minor][..], &random, &[0, 0, 0x2F, 0]].concat();
        let record = [&[0x16, 3, minor, 0, 42][..], &hello].concat();
        let mut old = Receiver::running(vec![vec![crate::Step::Write(record)]]).await;
        let failure = failed(send(&client, old.address.port()).await);
        assert_eq!(failure.kind, FailureKind::Tls, "{}", failure.detail);
        old.connection_is_over().await;
    }
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_meets_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = client_trusting(&authority());
    let sent = client.send(hasty(format!("https://{NAME}:{port}/"))).await;
    assert!(sent.timing.tls > Duration::from_millis(10));
    let failure = failed(sent);
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.detail.ends_with("during the TLS handshake"), "{}", failure.detail);
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = Vec::new();
    // It ends: the client has closed.
    let _ = stream.read_to_end(&mut hello).await;
    assert!(!hello.windows(7).any(|bytes| bytes == b"{\"a\":1}"));
}
