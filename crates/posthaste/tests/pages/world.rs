//! The pages over a real store and the real API, on a clock that stands still; and who may be asking.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use posthaste_core::attempt::{Attempt, Outcome, Reply, Timing, Trigger};
use posthaste_core::delivery::Verdict;
use posthaste_core::dice::{TestDice, roll};
use posthaste_core::id::{AttemptId, EndpointId, TokenId};
use posthaste_core::retry::RetrySchedule;
use posthaste_core::role::Roles;
use posthaste_core::target::TargetPolicy;
use posthaste_core::tenant::Scope;
use posthaste_core::time::{Clock as _, TestClock, Timestamp};
use posthaste_core::token::{Token, TokenHash};
use posthaste_http::metrics::HttpMetrics;
use posthaste_http::state::{ApiSettings, ApiState, Fetch, Lookup, SignatureKind};
use posthaste_http::{Peer, Routed, Strangers};
use posthaste_store::directory::NewToken;
use posthaste_store::queue::Record;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{Directory as _, Queue as _};
use posthaste_tunnel::listeners::Listeners;
use posthaste_ui::{Limits, UiState};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// No name resolves, and nobody publishes anything.
struct Nowhere;

#[async_trait::async_trait]
impl Lookup for Nowhere {
    async fn lookup(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

#[async_trait::async_trait]
impl Fetch for Nowhere {
    async fn fetch(&self, _: &str) -> Result<String, String> {
        Err("nobody is there".to_owned())
    }
}

struct SharedLimits(Strangers);

impl Limits for SharedLimits {
    fn from(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        self.0.from(extensions, headers)
    }

    fn may_try(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        self.0.may_try(token, from, now)
    }

    fn failed(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) {
        self.0.failed(token, from, now);
    }

    fn may_guess(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        self.0.may_guess(from, now)
    }

    fn guessed_wrong(&self, from: Option<IpAddr>, now: Timestamp) {
        self.0.guessed_wrong(from, now);
    }
}

pub(crate) struct World {
    router: Router,
    /// The pages alone, for the list of their routes.
    pub(crate) pages: Router,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<TestClock>,
    dice: Arc<TestDice>,
    dir: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World {
    pub(crate) fn start(seed: u64) -> Self {
        Self::at("http://posthaste.example", seed)
    }

    pub(crate) fn at(public_url: &str, seed: u64) -> Self {
        let dice = Arc::new(TestDice::seeded(seed));
        let unique: [u8; 4] = roll(&*dice);
        let dir = std::env::temp_dir().join(format!("posthaste-pages-{}-{unique:02x?}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let clock = Arc::new(TestClock::at(Timestamp::from_secs(1_790_000_000)));
        let main_secret = "main".to_owned().into();
        let path = dir.join("posthaste.db");
        let options = SqliteOptions { path, main_secret, dice: dice.clone(), serving: true };
        let store = SqliteStore::open(options).unwrap();
        let state = api_state(&store, &clock, &dice, public_url);
        let Routed { router: api, strangers, .. } = posthaste_http::routed(state);
        let pages = posthaste_ui::router(UiState {
            directory: store.clone(),
            access: store.clone(),
            limits: Arc::new(SharedLimits(strangers)),
            history: store.clone(),
            queue: store.clone(),
            listeners: Listeners::new(),
            sources: store.clone(),
            settings_of: posthaste_http::settings_of,
            openapi: posthaste_http::openapi,
            retry_schedule: RetrySchedule::default(),
            policy: TargetPolicy::default(),
            configured: Vec::new(),
            api: api.clone(),
            clock: clock.clone(),
            dice: dice.clone(),
            public_url: public_url.to_owned(),
            ready: Arc::new(AtomicBool::new(true)),
            frame_ancestors: vec!["https://shop.example".to_owned()],
        });
        let router = posthaste_http::with_pages(api, pages.clone());
        Self { router, pages, store, clock, dice, dir }
    }

    /// Sends a request; of a stream only the head is read.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<String> {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let is_stream = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { Vec::new() } else { body.collect().await.unwrap().to_bytes().to_vec() };
        Response::from_parts(parts, String::from_utf8_lossy(&body).into_owned())
    }

    /// The same from an address.
    pub(crate) async fn ask_from(&self, address: &str, mut request: Request<Body>) -> Response<String> {
        request.extensions_mut().insert(Peer(address.parse().unwrap()));
        self.ask(request).await
    }

    pub(crate) async fn api(&self, method: &str, path: &str, token: &str, body: Value) -> Value {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = self.ask(request.header("content-type", "application/json").body(body).unwrap()).await;
        assert!(answer.status().is_success(), "{method} {path}: {} {}", answer.status(), answer.body());
        serde_json::from_str(answer.body()).unwrap_or_default()
    }

    pub(crate) async fn token(&self, environment: &str) -> String {
        let now = self.clock.now();
        let environment = self.store.environment(environment, now).await.unwrap().id;
        let token = Token::fresh(&*self.dice);
        let new = NewToken {
            id: TokenId::fresh(now, &*self.dice),
            environment,
            scope: Scope::Environment,
            hash: token.hash(),
            hint: token.hint().to_owned(),
            expires_at: None,
        };
        self.store.create_token(new, now).await.unwrap();
        token.expose().to_owned()
    }

    /// A session of the pages for operators.
    pub(crate) async fn log_in(&self, token: &str) -> String {
        let answer = self.ask(form("/ui/login", "", &format!("token={token}"))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        cookie_of(&answer).expect("a session").to_owned()
    }

    /// A session by a portal link: the token of a link, and where the pages are that it leads to.
    pub(crate) async fn open_link(&self, token: &str) -> String {
        let answer = self.ask(form("/portal/session", "", &format!("token={token}&look=-"))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.body());
        let home = answer.headers()["location"].to_str().unwrap();
        home[..home.find("/apps/").unwrap()].to_owned()
    }

    pub(crate) async fn link(&self, token: &str, app: &str, read_only: bool) -> String {
        let path = format!("/api/v1/auth/app-portal-access/{app}");
        let made = self.api("POST", &path, token, json!({ "readOnly": read_only })).await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// The endpoint's receiver answered with the mark, and all was well.
    pub(crate) async fn attempted(&self, endpoint: &str, mark: &str) -> String {
        let now = self.clock.now();
        let endpoint = EndpointId::parse(endpoint).unwrap();
        let claimed = self.store.claim(endpoint, 1, Duration::from_secs(60), now).await.unwrap().remove(0);
        let body = mark.to_owned().into_bytes().into();
        let reply = Reply { status: 200, headers: Vec::new(), body, truncated: false };
        let attempt = Attempt {
            id: AttemptId::fresh(now, &*self.dice),
            message: claimed.message.id,
            endpoint,
            url: claimed.endpoint.url.clone(),
            started_at: now,
            timing: Timing::default(),
            remote: None,
            trigger: Trigger::Scheduled,
            outcome: Outcome::Replied(reply),
        };
        let id = attempt.id.to_string();
        let (key, lease) = (claimed.key(), claimed.lease);
        let record = Record { key, lease, attempt: Some(attempt), verdict: Verdict::Delivered };
        self.store.record(record, now).await.unwrap();
        id
    }
}

fn api_state(
    store: &Arc<SqliteStore>,
    clock: &Arc<TestClock>,
    dice: &Arc<TestDice>,
    public_url: &str,
) -> ApiState {
    let mut registry = Registry::default();
    let metrics = HttpMetrics::register(&mut registry, Roles::ALL);
    ApiState {
        intake: store.clone(),
        queue: store.clone(),
        directory: store.clone(),
        access: store.clone(),
        history: store.clone(),
        sources: store.clone(),
        fetcher: Arc::new(Nowhere),
        clock: clock.clone(),
        dice: dice.clone(),
        settings: ApiSettings {
            max_payload: 350 * 1024,
            target_policy: TargetPolicy::default(),
            resolver: Arc::new(Nowhere),
            jwt_secret: None,
            default_signature: SignatureKind::Hmac,
            retention: Duration::from_hours(90 * 24),
            public_url: public_url.to_owned(),
            trusted_proxies: Vec::new(),
            request_timeout: Duration::from_secs(15),
            token_rate: None,
        },
        registry: Arc::new(registry),
        metrics,
        roles: Roles::ALL,
        ready: Arc::new(AtomicBool::new(true)),
        listeners: Listeners::new(),
    }
}

/// A GET, with a session in the cookie if there is one.
pub(crate) fn get(path: &str, session: &str) -> Request<Body> {
    with_session(Request::get(path), session).body(Body::empty()).unwrap()
}

/// A form, sent from a page of ours.
pub(crate) fn form(path: &str, session: &str, fields: &str) -> Request<Body> {
    form_from("same-origin", path, session, fields)
}

pub(crate) fn form_from(site: &str, path: &str, session: &str, fields: &str) -> Request<Body> {
    let request = with_session(Request::post(path), session);
    let request =
        request.header("content-type", "application/x-www-form-urlencoded").header("sec-fetch-site", site);
    request.body(Body::from(fields.to_owned())).unwrap()
}

fn with_session(request: http::request::Builder, session: &str) -> http::request::Builder {
    if session.is_empty() {
        request
    } else {
        request.header("cookie", format!("posthaste_session={session}"))
    }
}

/// The session that an answer sets.
pub(crate) fn cookie_of(answer: &Response<String>) -> Option<&str> {
    let set = answer.headers().get("set-cookie")?.to_str().unwrap();
    let value = set.strip_prefix("posthaste_session=")?.split(';').next()?;
    Some(value).filter(|value| !value.is_empty())
}
