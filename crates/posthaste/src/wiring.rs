//! What `serve` and `dev` have in common: open the store, start the engine, answer HTTP, stop in order.

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Method};
use posthaste_core::attempt::Outcome;
use posthaste_core::dice::roll;
use posthaste_core::role::Role;
use posthaste_core::target::TargetPolicy;
use posthaste_engine::client::{Client, ClientSettings, Outbound, Resolver, SystemResolver};
use posthaste_engine::metrics::EngineMetrics;
use posthaste_engine::{Engine, EngineSettings, LaneLimits, Observer, Parts};
use posthaste_http::Routed;
use posthaste_http::metrics::HttpMetrics;
use posthaste_http::serve::ListenerLimits;
use posthaste_http::state::{ApiSettings, ApiState, Fetch, Lookup};
use posthaste_store::Store;
use posthaste_store::postgres::{PostgresOptions, PostgresStore};
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_tunnel::listeners::Listeners;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::config::{ConfigError, Settings};
use crate::pages::{self, Shown};
use crate::system::{SystemDice, SystemTimer};
use crate::tls::{self, Secured};

/// How long a drain may take before the process leaves anyway: a request timeout, and a little for the commits.
const DRAIN_SLACK: Duration = Duration::from_secs(5);

/// How long it may take to tell other nodes that this one leaves; they find out by themselves too.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the data directory, for its owner only.
pub(crate) fn prepare_data_dir(path: &Path) -> Result<(), ConfigError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    // Named after this process: two that start at once must not remove each other's.
    let probe = path.join(format!(".writable-{}", std::process::id()));
    made.and_then(|()| std::fs::write(&probe, b"")).and_then(|()| std::fs::remove_file(&probe)).map_err(
        |error| {
            ConfigError::Machine(format!(
                "data-dir {} is not writable ({error}): choose another with --data-dir",
                path.display()
            ))
        },
    )
}

/// Opens the store. `serving`: as a process that delivers from it; of the embedded one there is one.
pub(crate) async fn open_store(settings: &Settings, serving: bool) -> anyhow::Result<Arc<dyn Store>> {
    match (&settings.database_url, &settings.main_secret) {
        (Some(url), Some(main_secret)) => {
            let (url, main_secret) = (url.clone(), main_secret.clone());
            let listen_url = settings.database_listen_url.clone();
            let (dice, clock) = (Arc::new(SystemDice), Some(Arc::new(SystemTimer) as _));
            let options = PostgresOptions { url, listen_url, main_secret, dice, clock, serving };
            Ok(PostgresStore::open(options).await.context("cannot open the database")?)
        }
        _ => Ok(open_embedded(settings, serving)?),
    }
}

fn open_embedded(settings: &Settings, serving: bool) -> anyhow::Result<Arc<SqliteStore>> {
    prepare_data_dir(&settings.data_dir)?;
    let main_secret = match &settings.main_secret {
        Some(secret) => secret.clone(),
        None => generated_secret(&main_secret_file(settings))?,
    };
    let path = database(settings);
    let shown = path.display().to_string();
    let options = SqliteOptions { path, main_secret, dice: Arc::new(SystemDice), serving };
    SqliteStore::open(options).with_context(|| format!("cannot open {shown}"))
}

/// The file of the embedded store.
pub(crate) fn database(settings: &Settings) -> PathBuf {
    settings.data_dir.join("posthaste.db")
}

/// Where the main secret lies if it is no setting.
pub(crate) fn main_secret_file(settings: &Settings) -> PathBuf {
    settings.data_dir.join("main-secret")
}

/// The main secret that a server would use, if there is one; makes none.
pub(crate) fn known_secret(settings: &Settings) -> Option<Zeroizing<String>> {
    let written = || std::fs::read_to_string(main_secret_file(settings)).map(Zeroizing::new).ok();
    settings.main_secret.clone().or_else(|| written().map(|text| Zeroizing::new(text.trim().to_owned())))
}

/// Reads a secret from `path`, which is written with fresh random bytes if it is not there.
fn generated_secret(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(Zeroizing::new(text.trim().to_owned()));
    }
    let hex: String = roll::<32>(&SystemDice).iter().map(|byte| format!("{byte:02x}")).collect();
    match write_private(path, &hex) {
        // Another process was quicker: its secret counts.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path)?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        written => {
            written.with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Zeroizing::new(hex))
        }
    }
}

/// Writes a new file that only its owner can read; fails if it is there already.
pub(crate) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    // Written beside and then linked: another process that starts now finds all of it or nothing.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&beside, path));
    std::fs::remove_file(&beside)?;
    linked
}

/// Listens, or says in one sentence why not.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => "is taken by another program".to_owned(),
            std::io::ErrorKind::PermissionDenied => "may not be used by this user".to_owned(),
            _ => format!("cannot be used ({error})"),
        };
        ConfigError::Machine(format!("listen {address} {why}: choose another with --listen"))
    })
}

/// What a server that listens on `address` may call.
pub(crate) fn target_policy(settings: &Settings, address: SocketAddr) -> TargetPolicy {
    let public_host = settings.public_url.iter().filter_map(|url| host_of(url));
    TargetPolicy {
        https_only: settings.https_only,
        allow: settings.allow_targets.clone(),
        self_hosts: public_host.chain(settings.domains().iter().cloned()).collect(),
        self_addresses: vec![address],
    }
}

fn host_of(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Names at which endpoints are looked up once when they are made; the engine looks again before each attempt.
struct AdvisoryLookup(Arc<dyn Resolver>);

#[async_trait::async_trait]
impl Lookup for AdvisoryLookup {
    async fn lookup(&self, host: &str) -> Vec<std::net::IpAddr> {
        let looked_up = tokio::time::timeout(Duration::from_secs(2), self.0.resolve(host)).await;
        looked_up.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// Fetches what providers publish, with the same client and address rule as deliveries.
struct PublicFetch(Client);

/// How long a provider's key may take: its webhook waits meanwhile.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

#[async_trait::async_trait]
impl Fetch for PublicFetch {
    async fn fetch(&self, url: &str) -> Result<String, String> {
        let request = Outbound {
            method: Method::GET,
            url: url.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: FETCH_TIMEOUT,
        };
        match self.0.send(request).await.outcome {
            Outcome::Replied(reply) if reply.status != 200 => Err(format!("it answered {}", reply.status)),
            Outcome::Replied(reply) if reply.truncated => Err("its answer is too long".to_owned()),
            Outcome::Replied(reply) => {
                String::from_utf8(reply.body.to_vec()).map_err(|_| "its answer is no text".to_owned())
            }
            Outcome::Failed(failure) => Err(failure.detail),
        }
    }
}

/// A server about to run.
pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: TargetPolicy,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Secured>,
}

impl Server {
    /// Runs until `stop` resolves, then drains: accepts nothing more, finishes what is under way.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let resolver: Arc<dyn Resolver> = Arc::new(SystemResolver::new());
        let mut registry = Registry::with_prefix("posthaste");
        let store = self.store.clone();
        let listeners = Listeners::new();
        let metrics = EngineMetrics::register(&mut registry, store.clone(), Arc::clone(&listeners));
        // Without an engine new deliveries are written unleased: whoever delivers finds them.
        let engine = if self.settings.roles.has(Role::Deliver) {
            Some(Engine::start(self.engine_settings(), self.engine_parts(&resolver, metrics, &listeners)?))
        } else {
            None
        };
        let patience = self.settings.request_timeout + DRAIN_SLACK;
        let ready = Arc::new(AtomicBool::new(true));
        let (draining, notice) = (Arc::clone(&ready), self.settings.leave_notice);
        let leaving = Arc::clone(&listeners);
        let stop = async move {
            stop.await;
            // Load balancers look at readiness: it goes off before the listener does, and they need a moment to see it.
            draining.store(false, Ordering::Relaxed);
            tokio::time::sleep(notice).await;
            tracing::info!("draining: a second signal aborts");
            if tokio::time::timeout(LEAVE_PATIENCE, leaving.leave()).await.is_err() {
                tracing::warn!("some listeners did not hear that this server stops");
            }
        };
        let tls = self.tls.take().map(|tls| tls.start(&mut registry)).transpose()?;
        let has_pages = self.settings.roles.has(Role::Api);
        let shown = Shown {
            policy: self.policy.clone(),
            configured: std::mem::take(&mut self.settings.configured),
            frame_ancestors: std::mem::take(&mut self.settings.portal_frame_origins),
            retry_schedule: self.settings.retry_schedule.clone(),
            ready: Arc::clone(&ready),
            listeners: Arc::clone(&listeners),
        };
        let (listener, state) = self.api(resolver, registry, ready, listeners)?;
        let public_url = state.settings.public_url.clone();
        let Routed { mut router, strangers, .. } = posthaste_http::routed(state);
        if has_pages {
            let pages = pages::router(&store, router.clone(), public_url, strangers, shown);
            router = posthaste_http::with_pages(router, pages);
        }
        posthaste_http::serve::serve(listener, router, ListenerLimits::default(), tls, stop).await;
        if let Some(engine) = engine
            && tokio::time::timeout(patience, engine.drain()).await.is_err()
        {
            tracing::warn!("some attempts were still under way: they will be repeated after the next start");
        }
        if !matches!(tokio::time::timeout(LEAVE_PATIENCE, store.leave()).await, Ok(Ok(()))) {
            tracing::warn!("other nodes could not be told: they take over in a few seconds");
        }
        Ok(())
    }

    fn engine_settings(&self) -> EngineSettings {
        EngineSettings {
            retry_schedule: self.settings.retry_schedule.clone(),
            request_timeout: self.settings.request_timeout,
            retention: self.settings.retention,
            lanes: LaneLimits::default(),
        }
    }

    fn engine_parts(
        &self,
        resolver: &Arc<dyn Resolver>,
        metrics: EngineMetrics,
        listeners: &Arc<Listeners>,
    ) -> Result<Parts, ConfigError> {
        let extra_roots = tls::roots("target-root-file", self.settings.target_root_file.as_deref())?;
        let settings =
            ClientSettings { policy: self.policy.clone(), extra_roots, ..ClientSettings::default() };
        Ok(Parts {
            queue: self.store.clone(),
            sources: self.store.clone(),
            transport: Arc::new(Client::new(settings, Arc::clone(resolver))),
            clock: Arc::new(SystemTimer),
            dice: Arc::new(SystemDice),
            metrics,
            observer: Arc::clone(&self.observer),
            listeners: Arc::clone(listeners),
        })
    }

    fn api(
        self,
        resolver: Arc<dyn Resolver>,
        mut registry: Registry,
        ready: Arc<AtomicBool>,
        listeners: Arc<Listeners>,
    ) -> anyhow::Result<(TcpListener, ApiState)> {
        let Self { settings, store, policy, listener, .. } = self;
        let public_url = settings.url_at(listener.local_addr()?);
        let metrics = HttpMetrics::register(&mut registry, settings.roles);
        // Never what an operator allowed by name: a provider's keys are at public addresses.
        let fetching = ClientSettings { idle_connections_max: 4, ..ClientSettings::default() };
        let state = ApiState {
            intake: store.clone(),
            queue: store.clone(),
            directory: store.clone(),
            access: store.clone(),
            history: store.clone(),
            sources: store,
            fetcher: Arc::new(PublicFetch(Client::new(fetching, Arc::clone(&resolver)))),
            clock: Arc::new(SystemTimer),
            dice: Arc::new(SystemDice),
            settings: ApiSettings {
                max_payload: settings.max_payload,
                target_policy: policy,
                resolver: Arc::new(AdvisoryLookup(resolver)),
                jwt_secret: settings.jwt_secret,
                default_signature: settings.default_signature,
                retention: settings.retention,
                public_url,
                trusted_proxies: settings.trusted_proxies,
                request_timeout: settings.request_timeout,
                token_rate: settings.token_rate,
            },
            registry: Arc::new(registry),
            metrics,
            roles: settings.roles,
            ready,
            listeners,
        };
        Ok((listener, state))
    }
}

/// A runtime with one worker a core.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Lets this process open as many sockets as the machine allows: the usual soft limit is 1024.
pub(crate) fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
