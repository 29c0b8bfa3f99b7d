//! The outbound HTTP client: one request, one deadline, to exactly the address that was judged.
//!
//! No redirects, no proxies from the environment, no body that is read without end. Connections are kept alive and
//! pooled with a cap over all hosts, which the pools of HTTP libraries do not have. A connection never outlives the
//! attempt or the place in the pool that holds it: a receiver cannot make us keep sockets open.

mod connect;
mod exchange;
mod pool;
mod progress;
mod resolve;
mod route;
mod tls;
mod wire;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use posthaste_core::attempt::{Failure, FailureKind, Outcome, Timing};
use posthaste_core::target::{TargetPolicy, judge_addresses};
use posthaste_fault::{Bug, planted, point};
use rustls::pki_types::CertificateDer;

use connect::Dialler;
use exchange::{Answered, Broken};
use pool::Pool;
use progress::{Phase, Progress};
pub use resolve::{Resolver, SystemResolver};
use route::{Route, Routes};

/// How long a name may take: a resolver that hangs must not use up the time for everything after it.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same sentence for every target that is refused: it tells nobody what the network looks like.
const BLOCKED: &str = "the target is not a public address, and is not allowed by name";

/// A request about to leave.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The method.
    pub method: Method,
    /// Where to. Judged anew each time.
    pub url: String,
    /// What comes behind the URL's own query, as it is; empty: nothing. Apart from the URL, which is judged and
    /// remembered without it.
    pub query: String,
    /// All headers but `Host` and those that frame the body, which are ours: they are replaced.
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
    policy: TargetPolicy,
    resolver: Arc<dyn Resolver>,
    routes: Routes,
    dialler: Dialler,
    pool: Arc<Pool>,
}

fn failure(kind: FailureKind, detail: impl Into<String>) -> Failure {
    Failure { kind, detail: detail.into() }
}

impl Client {
    /// A client with its own pool.
    pub fn new(settings: ClientSettings, resolver: Arc<dyn Resolver>) -> Self {
        let dialler = Dialler::new(&settings.extra_roots);
        let pool = Arc::new(Pool::new(settings.idle_connections_max, settings.idle_timeout));
        Self(Arc::new(Shared { policy: settings.policy, resolver, routes: Routes::default(), dialler, pool }))
    }

    /// Idle connections that are kept now.
    pub fn idle_connections(&self) -> usize {
        self.0.pool.len()
    }

    /// Connections that are open now, in use or idle.
    pub fn open_connections(&self) -> usize {
        self.0.dialler.open_connections()
    }

    /// Sends a request and reads the answer, all within its deadline.
    pub async fn send(&self, request: Outbound) -> Sent {
        let mut progress = Progress::begin(request.timeout);
        let timeout = if planted(Bug::TimeoutWithoutBody) { Duration::MAX } else { request.timeout };
        let exchanged = tokio::time::timeout(timeout, self.0.exchange(request, &mut progress)).await;
        let mut timing = progress.finish();
        let outcome = match exchanged {
            Ok(Ok(Answered { reply, connection })) => {
                // After the deadline's reach: an answer that was read counts, whatever becomes of its connection.
                if let Some(connection) = connection {
                    self.0.pool.keep(connection).await;
                }
                Outcome::Replied(reply)
            }
            Ok(Err(failure)) => {
                if failure.kind == FailureKind::BlockedTarget {
                    // How long a lookup took would tell a name that is known inside from one that is not.
                    timing = Timing::default();
                }
                Outcome::Failed(failure)
            }
            Err(_) => Outcome::Failed(failure(FailureKind::Timeout, progress.out_of_time())),
        };
        Sent { outcome, timing, remote: progress.remote }
    }
}

impl Shared {
    async fn exchange(&self, outbound: Outbound, progress: &mut Progress) -> Result<Answered, Failure> {
        let route = self.routes.find(&outbound.url, &self.policy)?;
        let addresses = self.addresses(&route, progress).await?;
        point!("send.resolved");
        let mut request = exchange::prepare(&route, outbound)?;
        // A kept connection may have been closed by the other side just now. If it was, and nothing of the request
        // left, the request goes out once more, on a new one.
        if let Some(connection) = self.pool.take(&route, &addresses) {
            progress.remote = Some(connection.remote());
            connection.look();
            match exchange::run(connection, request, progress).await {
                Ok(answered) => return Ok(answered),
                Err(Broken::Unsent(unsent, _)) => request = *unsent,
                Err(Broken::Failed(failure)) => return Err(failure),
            }
        }
        let connection = self.dialler.connect(&route, &addresses, progress).await?;
        point!("send.connected");
        exchange::run(connection, request, progress).await.map_err(|broken| match broken {
            Broken::Unsent(_, failure) | Broken::Failed(failure) => failure,
        })
    }

    /// Looks up the name, unless it is an address, and judges every answer.
    async fn addresses(&self, route: &Route, progress: &mut Progress) -> Result<Vec<SocketAddr>, Failure> {
        let answers = match route.target.literal() {
            Some(_) => Vec::new(),
            None => self.look_up(&route.host, progress).await?,
        };
        let addresses = judge_addresses(&route.target, &answers, &self.policy)
            .map_err(|_| failure(FailureKind::BlockedTarget, BLOCKED))?;
        if addresses.is_empty() {
            return Err(failure(FailureKind::Dns, "its name has no address"));
        }
        Ok(addresses)
    }

    async fn look_up(&self, host: &str, progress: &mut Progress) -> Result<Vec<IpAddr>, Failure> {
        progress.enter(Phase::Resolving);
        let looked_up = tokio::time::timeout(RESOLVE_TIMEOUT, self.resolver.resolve(host)).await;
        progress.enter(Phase::Preparing);
        match looked_up {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
                Err(failure(FailureKind::Dns, format!("its name has no address: {error}")))
            }
            Ok(Err(error)) => {
                Err(failure(FailureKind::Resolver, format!("its name could not be looked up: {error}")))
            }
            Err(_) => Err(failure(FailureKind::Resolver, "its name was not found within 5 s")),
        }
    }
}
