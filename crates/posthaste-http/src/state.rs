//! What handlers work with.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::dice::Dice;
use posthaste_core::role::Roles;
use posthaste_core::source::IpNet;
use posthaste_core::target::TargetPolicy;
use posthaste_core::time::Clock;
use posthaste_store::{Access, Directory, History, Intake, Queue, Sources};
use posthaste_tunnel::listeners::Listeners;
use prometheus_client::registry::Registry;
use zeroize::Zeroizing;

use crate::metrics::HttpMetrics;

/// Which kind of secret a new endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureKind {
    /// HMAC-SHA256, `whsec_…`.
    Hmac,
    /// Ed25519, `whsk_…`.
    Ed25519,
}

/// Looks a name up once when an endpoint is made. Advisory: no answer passes, the engine looks again.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The addresses of a name; none when it cannot be looked up.
    async fn lookup(&self, host: &str) -> Vec<IpAddr>;
}

/// Fetches what a provider publishes: keys, certificates, confirmations.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The text at an `https` address; only public addresses are dialled. The error is a sentence without secrets.
    async fn fetch(&self, url: &str) -> Result<String, String>;
}

/// How the API behaves.
pub struct ApiSettings {
    /// Bytes in a message's payload.
    pub max_payload: usize,
    /// What endpoints may point at.
    pub target_policy: TargetPolicy,
    /// Looks names up for it.
    pub resolver: Arc<dyn Lookup>,
    /// Accepts svix-server's own tokens, if set.
    pub jwt_secret: Option<Zeroizing<String>>,
    /// Which kind of secret a new endpoint gets.
    pub default_signature: SignatureKind,
    /// How long messages are kept.
    pub retention: Duration,
    /// How customers reach us, without a slash at the end.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a receiver, or a listener's local program, may take to answer.
    pub request_timeout: Duration,
    /// Requests a second that one token may make, and as many at once.
    pub token_rate: Option<NonZeroU32>,
}

/// All of it.
pub struct ApiState {
    /// Takes messages in.
    pub intake: Arc<dyn Intake>,
    /// Resends, recoveries, jobs.
    pub queue: Arc<dyn Queue>,
    /// Environments, apps, endpoints, event types, tokens.
    pub directory: Arc<dyn Directory>,
    /// Sessions, and what operators chose.
    pub access: Arc<dyn Access>,
    /// What happened.
    pub history: Arc<dyn History>,
    /// The inbound doors.
    pub sources: Arc<dyn Sources>,
    /// Fetches providers' keys.
    pub fetcher: Arc<dyn Fetch>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub dice: Arc<dyn Dice>,
    /// How the API behaves.
    pub settings: ApiSettings,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// What this crate counts.
    pub metrics: HttpMetrics,
    /// What this node does; what it does not do, it says.
    pub roles: Roles,
    /// Off while draining.
    pub ready: Arc<AtomicBool>,
    /// Who listens on this node.
    pub listeners: Arc<Listeners>,
}
