//! The one planted bug that the simulated network cannot show: it is in the real client. One test alone in its process,
//! for what is planted stays.
#![cfg(feature = "faults")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use posthaste_core::target::TargetPolicy;
use posthaste_engine::client::{Client, ClientSettings, Outbound, SystemResolver};
use posthaste_fault::{Bug, plant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The deadline of an attempt.
const TIMEOUT: Duration = Duration::from_millis(60);
/// By then it has surely passed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends the head of an answer, and never its body.
async fn head_and_no_body() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
            open.push(stream);
        }
    });
    url
}

async fn ends_in_time(url: &str) -> bool {
    let policy = TargetPolicy { allow: vec!["127.0.0.1".parse().unwrap()], ..TargetPolicy::default() };
    let settings = ClientSettings { policy, ..ClientSettings::default() };
    let client = Client::new(settings, Arc::new(SystemResolver::new()));
    let request = Outbound {
        method: Method::POST,
        url: url.to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: TIMEOUT,
    };
    tokio::time::timeout(PATIENCE, client.send(request)).await.is_ok()
}

#[tokio::test]
async fn a_deadline_that_ends_with_the_head_is_found() {
    let url = head_and_no_body().await;
    assert!(ends_in_time(&url).await, "an answer without a body held up its attempt");
    plant(Bug::TimeoutWithoutBody);
    assert!(!ends_in_time(&url).await, "the planted bug was not found");
}
