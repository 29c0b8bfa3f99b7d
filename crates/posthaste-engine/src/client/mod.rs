//! Stand-in until the client lands.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::attempt::{Outcome, Timing};
use posthaste_core::target::TargetPolicy;

/// Out.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// U.
    pub url: String,
    /// H.
    pub headers: http::HeaderMap,
    /// B.
    pub body: Bytes,
    /// T.
    pub timeout: Duration,
}
/// Back.
#[derive(Debug, Clone)]
pub struct Sent {
    /// O.
    pub outcome: Outcome,
    /// T.
    pub timing: Timing,
    /// R.
    pub remote: Option<SocketAddr>,
}
/// R.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// R.
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}
/// S.
#[derive(Debug, Default)]
pub struct SystemResolver;
impl SystemResolver {
    /// N.
    pub fn new() -> Self {
        Self
    }
}
#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![])
    }
}
/// S.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// P.
    pub policy: TargetPolicy,
}
/// C.
#[derive(Debug, Clone)]
pub struct Client;
impl Client {
    /// N.
    pub fn new(_: ClientSettings, _: Arc<dyn Resolver>) -> Self {
        Self
    }
    /// S.
    pub async fn send(&self, _: Outbound) -> Sent {
        std::future::pending().await
    }
}
