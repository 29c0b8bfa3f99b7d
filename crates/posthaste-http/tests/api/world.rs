//! A Posthaste without an engine, over a real store, on a clock that stands still.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use posthaste_core::dice::{TestDice, roll};
use posthaste_core::id::TokenId;
use posthaste_core::role::Roles;
use posthaste_core::target::TargetPolicy;
use posthaste_core::tenant::Scope;
use posthaste_core::time::{Clock as _, TestClock, Timestamp};
use posthaste_core::token::Token;
use posthaste_http::metrics::HttpMetrics;
use posthaste_http::state::{ApiSettings, ApiState, Fetch, Lookup, SignatureKind};
use posthaste_store::Directory as _;
use posthaste_store::directory::NewToken;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_tunnel::listeners::Listeners;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// What svix-server's own tokens are signed with.
pub(crate) const JWT_SECRET: &str = "a secret that only svix-server and we know";

/// Names that resolve as the test says; all others do not.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Vec<IpAddr>>>);

impl Names {
    pub(crate) fn resolve(&self, name: &str, answers: Vec<IpAddr>) {
        self.0.lock().unwrap().insert(name.to_owned(), answers);
    }
}

#[async_trait::async_trait]
impl Lookup for Names {
    async fn lookup(&self, host: &str) -> Vec<IpAddr> {
        self.0.lock().unwrap().get(host).cloned().unwrap_or_default()
    }
}

/// What providers publish, as the test says.
#[derive(Default)]
pub(crate) struct Published(Mutex<HashMap<String, String>>, Mutex<Vec<String>>);

impl Published {
    pub(crate) fn at(&self, url: &str, text: &str) {
        self.0.lock().unwrap().insert(url.to_owned(), text.to_owned());
    }

    pub(crate) fn gone(&self, url: &str) {
        self.0.lock().unwrap().remove(url);
    }

    /// What was asked for.
    pub(crate) fn fetched(&self) -> Vec<String> {
        self.1.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Fetch for Published {
    async fn fetch(&self, url: &str) -> Result<String, String> {
        self.1.lock().unwrap().push(url.to_owned());
        self.0.lock().unwrap().get(url).cloned().ok_or_else(|| "it answered 404".to_owned())
    }
}

/// A Posthaste without an engine, on a clock that stands still.
pub(crate) struct Posthaste {
    pub(crate) router: Router,
    /// The pattern of every path that it routes.
    pub(crate) paths: Vec<String>,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) dice: Arc<TestDice>,
    pub(crate) names: Arc<Names>,
    pub(crate) published: Arc<Published>,
    pub(crate) dir: PathBuf,
}

impl Drop for Posthaste {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Posthaste {
    pub(crate) fn start(seed: u64) -> Self {
        Self::start_with_rate(seed, None)
    }

    /// One whose tokens may ask so many times a second.
    pub(crate) fn start_with_rate(seed: u64, token_rate: Option<NonZeroU32>) -> Self {
        Self::start_as(seed, token_rate, Roles::ALL)
    }

    /// One of several nodes, which do different things.
    pub(crate) fn start_with_roles(seed: u64, roles: Roles) -> Self {
        Self::start_as(seed, None, roles)
    }

    fn start_as(seed: u64, token_rate: Option<NonZeroU32>, roles: Roles) -> Self {
        let dice = Arc::new(TestDice::seeded(seed));
        let unique: [u8; 4] = roll(&*dice);
        let dir = std::env::temp_dir().join(format!("posthaste-api-{}-{unique:02x?}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let clock = Arc::new(TestClock::at(Timestamp::from_secs(1_790_000_000)));
        Self::on(dir, (clock, dice), (token_rate, roles), true)
    }

    /// Another process on the same store, at the same time: nobody tells it what this one changes.
    pub(crate) fn beside(&self) -> Self {
        let (clock, dice) = (Arc::clone(&self.clock), Arc::clone(&self.dice));
        Self::on(self.dir.clone(), (clock, dice), (None, Roles::ALL), false)
    }

    fn on(
        dir: PathBuf,
        (clock, dice): (Arc<TestClock>, Arc<TestDice>),
        (token_rate, roles): (Option<NonZeroU32>, Roles),
        serving: bool,
    ) -> Self {
        let options = SqliteOptions {
            path: dir.join("posthaste.db"),
            main_secret: "main".to_owned().into(),
            dice: dice.clone(),
            serving,
        };
        let store = SqliteStore::open(options).unwrap();
        let names = Arc::new(Names::default());
        let published = Arc::new(Published::default());
        let mut registry = Registry::default();
        let listeners = Listeners::new();
        let metrics = HttpMetrics::register(&mut registry, roles);
        let state = ApiState {
            intake: store.clone(),
            queue: store.clone(),
            directory: store.clone(),
            access: store.clone(),
            history: store.clone(),
            sources: store.clone(),
            fetcher: published.clone(),
            clock: clock.clone(),
            dice: dice.clone(),
            settings: ApiSettings {
                max_payload: 350 * 1024,
                target_policy: TargetPolicy::default(),
                resolver: names.clone(),
                jwt_secret: Some(JWT_SECRET.to_owned().into()),
                default_signature: SignatureKind::Hmac,
                retention: Duration::from_hours(90 * 24),
                public_url: "http://posthaste.example".to_owned(),
                trusted_proxies: vec!["192.0.2.0/24".parse().unwrap()],
                request_timeout: Duration::from_secs(15),
                token_rate,
            },
            registry: Arc::new(registry),
            metrics,
            roles,
            ready: Arc::new(AtomicBool::new(true)),
            listeners: Arc::clone(&listeners),
        };
        let posthaste_http::Routed { router, paths, .. } = posthaste_http::routed(state);
        Self { router, paths, listeners, store, clock, dice, names, published, dir }
    }

    pub(crate) async fn token(&self, environment: &str) -> String {
        let now = self.clock.now();
        let environment = self.store.environment(environment, now).await.unwrap();
        let token = Token::fresh(&*self.dice);
        let new = NewToken {
            id: TokenId::fresh(now, &*self.dice),
            environment: environment.id,
            scope: Scope::Environment,
            hash: token.hash(),
            hint: token.hint().to_owned(),
            expires_at: None,
        };
        self.store.create_token(new, now).await.unwrap();
        token.expose().to_owned()
    }

    /// An app `a` with an endpoint `e`, and a token for them.
    pub(crate) async fn with_endpoint(seed: u64) -> (Self, String) {
        let posthaste = Self::start(seed);
        let token = posthaste.token("default").await;
        posthaste.call("POST", "/api/v1/app", &token, Some(json!({ "name": "A", "uid": "a" }))).await;
        let body = json!({ "url": "https://example.com/", "uid": "e" });
        let (status, _) = posthaste.call("POST", "/api/v1/app/a/endpoint", &token, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED);
        (posthaste, token)
    }

    /// A customer's token for the app `a`.
    pub(crate) async fn portal_token(&self, token: &str, read_only: bool) -> String {
        let body = json!({ "readOnly": read_only });
        let path = "/api/v1/auth/app-portal-access/a";
        let (_, link) = self.call("POST", path, token, Some(body)).await;
        link["token"].as_str().unwrap().to_owned()
    }

    /// Sends a request as it is, and reads the answer to its end.
    pub(crate) async fn ask(&self, request: Request<Body>) -> http::Response<Vec<u8>> {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes().to_vec())
    }

    /// What a GET without a token answers, as text.
    pub(crate) async fn text(&self, path: &str) -> String {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        String::from_utf8(self.ask(request).await.into_body()).unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = self.ask(request.body(body).unwrap()).await;
        (answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
    }
}
