//! A Posthaste without an engine, with an app, an endpoint, an event type and sources.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use posthaste_core::dice::TestDice;
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
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// Nobody has an address, and nobody publishes a key.
struct Nowhere;

#[async_trait::async_trait]
impl Lookup for Nowhere {
    async fn lookup(&self, _: &str) -> Vec<IpAddr> {
        vec![]
    }
}

#[async_trait::async_trait]
impl Fetch for Nowhere {
    async fn fetch(&self, _: &str) -> Result<String, String> {
        Err("it answered 404".to_owned())
    }
}

/// The server, and what it is asked with.
pub(super) struct World {
    pub(super) runtime: Runtime,
    router: Router,
    pub(super) token: String,
    pub(super) doors: Vec<String>,
    /// A door that lets few addresses in.
    pub(super) watched_door: String,
}

impl World {
    pub(super) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let dice = Arc::new(TestDice::seeded(4));
        let clock = Arc::new(TestClock::at(Timestamp::from_secs(1_760_000_000)));
        let store = open(&dice);
        let token = Token::fresh(&*dice);
        let state = state(&store, &clock, &dice);
        let router = runtime.block_on(async { posthaste_http::router(state) });
        let mut world = Self {
            runtime,
            router,
            token: token.expose().to_owned(),
            doors: vec![],
            watched_door: String::new(),
        };
        let new = |environment| NewToken {
            id: TokenId::fresh(clock.now(), &*dice),
            environment,
            scope: Scope::Environment,
            hash: token.hash(),
            hint: token.hint().to_owned(),
            expires_at: None,
        };
        world.runtime.block_on(async {
            let environment = store.environment("default", clock.now()).await.expect("an environment");
            store.create_token(new(environment.id), clock.now()).await.expect("a token");
        });
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        self.made("/api/v1/app", &json!({ "name": "A", "uid": "a" }));
        self.made("/api/v1/app/a/endpoint", &json!({ "url": "https://example.com/", "uid": "e" }));
        self.made("/api/v1/event-type", &json!({ "name": "a.b", "description": "" }));
        self.made("/api/v1/app/a/msg", &json!({ "eventType": "a.b", "payload": {}, "eventId": "m" }));
        let watched =
            json!({ "type": "generic-webhook", "allowedNetworks": ["10.0.0.0/8", "2001:db8::/32"] });
        self.watched_door = self.door(watched);
        let schema =
            json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "^a+$" } } });
        self.doors = [
            json!({ "type": "standard-webhooks", "config": { "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } }),
            json!({ "type": "github", "uid": "s", "config": { "secret": "it's a secret" } }),
            json!({ "type": "generic-webhook", "schema": schema, "dedupe": { "by": "json:a.b.0" } }),
            json!({ "type": "twilio", "config": { "secret": "12345" } }),
            json!({ "type": "slack", "config": { "secret": "8f742231b10e8888abcd99yyyzzz85a5" } }),
            json!({ "type": "dropbox-sign", "config": { "secret": "an-api-key" } }),
            json!({ "type": "aws-sns" }),
            json!({ "type": "meta", "config": { "secret": "x", "verify_token": "t" } }),
        ]
        .into_iter()
        .filter_map(|source| self.try_door(source))
        .collect();
    }

    fn door(&self, source: Value) -> String {
        self.try_door(source).expect("a source")
    }

    /// A source, if its settings are enough.
    fn try_door(&self, mut source: Value) -> Option<String> {
        source["name"] = json!("S");
        let made = self.post("/ingest/api/v1/source", &source);
        Some(made["ingestUrl"].as_str()?.trim_start_matches("http://posthaste.example").to_owned())
    }

    fn made(&self, path: &str, body: &Value) {
        let made = self.post(path, body);
        assert!(made["detail"].is_null(), "{path}: {made}");
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(path).header("authorization", format!("Bearer {}", self.token));
        let request = request.body(Body::from(body.to_string())).expect("a request");
        self.runtime.block_on(async {
            let body = self.ask(request).await.into_body().collect().await.expect("an answer").to_bytes();
            serde_json::from_slice(&body).unwrap_or_default()
        })
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

/// A store in a folder that is named after this process: nothing ends a world, so the next one clears what ended ones left.
fn open(dice: &Arc<TestDice>) -> Arc<SqliteStore> {
    let worlds = std::env::temp_dir().join("posthaste-fuzz");
    for world in std::fs::read_dir(&worlds).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(world.file_name()).exists() {
            let _ = std::fs::remove_dir_all(world.path());
        }
    }
    let dir = worlds.join(std::process::id().to_string());
    std::fs::create_dir_all(&dir).expect("a folder");
    let main_secret = "main".to_owned().into();
    let options =
        SqliteOptions { path: dir.join("posthaste.db"), main_secret, dice: dice.clone(), serving: true };
    SqliteStore::open(options).expect("a store")
}

fn state(store: &Arc<SqliteStore>, clock: &Arc<TestClock>, dice: &Arc<TestDice>) -> ApiState {
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
            jwt_secret: Some("a secret of svix-server".to_owned().into()),
            default_signature: SignatureKind::Hmac,
            retention: Duration::from_secs(90 * 24 * 3_600),
            public_url: "http://posthaste.example".to_owned(),
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
            request_timeout: Duration::from_secs(15),
            token_rate: None,
        },
        registry: Arc::new(registry),
        metrics,
        roles: Roles::ALL,
        ready: Arc::new(AtomicBool::new(true)),
        listeners: posthaste_tunnel::listeners::Listeners::new(),
    }
}
