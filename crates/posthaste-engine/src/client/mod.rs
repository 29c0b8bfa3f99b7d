//! The outbound HTTP client: one request, one deadline, to exactly the address that was judged.
//!
//! No redirects, no proxies from the environment, no body that is read without end. Connections are kept alive and
//! pooled with a cap over all hosts, which the pools of HTTP libraries do not have.

mod connect;
mod exchange;
mod pool;
mod resolve;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Timing};
use posthaste_core::target::{Target, TargetPolicy, judge_addresses};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use pool::Pool;
pub use resolve::{Resolver, SystemResolver};

/// A request about to leave.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Where to. Judged anew each time.
    pub url: String,
    /// All headers but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// From the name lookup to the last byte of the answer.
    pub timeout: Duration,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// An answer, or why there was none.
    pub outcome: Outcome,
    /// How long each part took.
    pub timing: Timing,
    /// The address that was dialled.
    pub remote: Option<SocketAddr>,
}

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// What may be dialled.
    pub policy: TargetPolicy,
    /// Idle connections kept, over all hosts; the one unused for longest is closed first.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept. Shorter than the 60 s after which many servers close theirs.
    pub idle_timeout: Duration,
    /// Certificate authorities trusted besides the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            policy: TargetPolicy::default(),
            idle_connections_max: 1_024,
            idle_timeout: Duration::from_secs(45),
            extra_roots: Vec::new(),
        }
    }
}

/// A client; clones share its connections.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    settings: ClientSettings,
    resolver: Arc<dyn Resolver>,
    tls: tls::Connector,
    pool: Arc<Pool>,
}

/// What one attempt has used so far, kept outside so that a deadline can still tell.
#[derive(Default)]
struct Progress {
    timing: Timing,
    remote: Option<SocketAddr>,
    phase: Phase,
}

/// What an attempt was doing when its deadline passed.
#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    #[default]
    Resolving,
    Connecting,
    Handshaking,
    Waiting,
    Reading,
}

impl Phase {
    const fn words(self) -> &'static str {
        match self {
            Self::Resolving => "while its name was looked up",
            Self::Connecting => "while connecting",
            Self::Handshaking => "during the TLS handshake",
            Self::Waiting => "while waiting for the answer",
            Self::Reading => "while reading the answer",
        }
    }
}

fn failure(kind: FailureKind, detail: impl Into<String>) -> Failure {
    Failure { kind, detail: detail.into() }
}

impl Client {
    /// A client with its own pool.
    pub fn new(settings: ClientSettings, resolver: Arc<dyn Resolver>) -> Self {
        let tls = tls::Connector::new(&settings.extra_roots);
        let pool = Arc::new(Pool::new(settings.idle_connections_max, settings.idle_timeout));
        Self(Arc::new(Shared { settings, resolver, tls, pool }))
    }

    /// Idle connections that are kept now.
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }

    /// Sends a request and reads the answer, all within its deadline.
    pub async fn send(&self, request: Outbound) -> Sent {
        let began = Instant::now();
        let mut progress = Progress::default();
        let timeout = request.timeout;
        let outcome = match tokio::time::timeout(timeout, self.exchange(request, &mut progress)).await {
            Ok(Ok(reply)) => Outcome::Replied(reply),
            Ok(Err(failure)) => Outcome::Failed(failure),
            Err(_) => {
                let detail = format!(
                    "no answer within {} ms: time was up {}",
                    timeout.as_millis(),
                    progress.phase.words()
                );
                Outcome::Failed(failure(FailureKind::Timeout, detail))
            }
        };
        progress.timing.total = began.elapsed();
        Sent { outcome, timing: progress.timing, remote: progress.remote }
    }

    async fn exchange(
        &self,
        request: Outbound,
        progress: &mut Progress,
    ) -> Result<posthaste_core::attempt::Reply, Failure> {
        let shared = &*self.0;
        let target = Target::parse(&request.url, &shared.settings.policy)
            .map_err(|_| failure(FailureKind::BlockedTarget, BLOCKED))?;
        let addresses = self.addresses(&target, progress).await?;
        let prepared = exchange::prepare(&target, request)?;
        // A kept connection may have been closed by the other side just now. If it was, and nothing of the request
        // can have been read, the request goes out once more on a new one.
        if let Some(connection) = shared.pool.take(&target, &addresses) {
            progress.remote = Some(connection.remote());
            match exchange::run(connection, prepared.clone(), progress, &shared.pool).await {
                Err(exchange::Broken::Unsent) => {}
                Err(exchange::Broken::Failed(failure)) => return Err(failure),
                Ok(reply) => return Ok(reply),
            }
        }
        let connection = connect::connect(&target, &addresses, &shared.tls, progress).await?;
        exchange::run(connection, prepared, progress, &shared.pool).await.map_err(|broken| match broken {
            exchange::Broken::Unsent => {
                failure(FailureKind::Broken, "the connection closed before the request was sent")
            }
            exchange::Broken::Failed(failure) => failure,
        })
    }

    /// Looks up the name, unless it is an address, and judges every answer.
    async fn addresses(&self, target: &Target, progress: &mut Progress) -> Result<Vec<SocketAddr>, Failure> {
        let began = Instant::now();
        let answers: Vec<IpAddr> = match target.literal() {
            Some(_) => Vec::new(),
            None => {
                let host = target.host();
                let looked_up = self.0.resolver.resolve(host.trim_end_matches('.')).await;
                progress.timing.dns = began.elapsed();
                looked_up.map_err(|error| {
                    failure(FailureKind::Dns, format!("its name could not be looked up: {error}"))
                })?
            }
        };
        let addresses = judge_addresses(target, &answers, &self.0.settings.policy)
            .map_err(|_| failure(FailureKind::BlockedTarget, BLOCKED))?;
        if addresses.is_empty() {
            return Err(failure(FailureKind::Dns, "its name has no address"));
        }
        Ok(addresses)
    }
}

/// The same sentence for every target that is refused: it tells nobody what the network looks like.
const BLOCKED: &str = "the target is not a public address, and is not allowed by name";
