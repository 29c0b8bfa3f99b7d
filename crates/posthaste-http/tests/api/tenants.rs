//! Every route, and every kind of caller that it is not for: refused alike, shown nothing, and nothing is written.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use posthaste_core::attempt::{Attempt, Outcome, Reply, Timing, Trigger};
use posthaste_core::delivery::Verdict;
use posthaste_core::id::{AppId, AttemptId, EndpointId, JobId, MessageId, SourceId};
use posthaste_core::time::Clock as _;
use posthaste_core::token::TokenHash;
use posthaste_store::queue::Record;
use posthaste_store::{Directory as _, Queue as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::world::{JWT_SECRET, Posthaste};

/// Who a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Anybody: there is nothing of a tenant's to see.
    All,
    /// Whoever holds a token, about that token only.
    Holder,
    /// The environment's own tokens.
    Environment,
    /// A customer's portal token of that app, too.
    Customer,
    /// The same, unless it may only read.
    Writer,
}

use For::{All, Customer, Environment, Holder, Writer};

/// The matrix: every method of every path. A route that is added gets a line here, or a test fails.
const ROUTES: &[(&str, &str, For)] = &[
    ("GET", "/livez", All),
    ("GET", "/readyz", All),
    ("GET", "/metrics", All),
    ("GET", "/openapi.json", All),
    ("GET", "/api/v1/health", All),
    ("GET", "/api/v1/health/ping", All),
    ("any", "/in/{door}", All),
    ("any", "/in/{door}/{*rest}", All),
    // Whoever listens gets requests and answers for their receiver: as much as changing the endpoint's URL.
    ("GET", "/api/posthaste/v1/app/{app}/endpoint/{endpoint}/listen", Writer),
    ("GET", "/api/posthaste/v1/source/{source}/endpoint/{endpoint}/listen", Environment),
    ("GET", "/api/posthaste/v1/operational-webhook/endpoint/{endpoint}/listen", Environment),
    ("POST", "/api/v1/auth/logout", Holder),
    ("GET", "/api/v1/app", Environment),
    ("POST", "/api/v1/app", Environment),
    ("GET", "/api/v1/app/{app}", Customer),
    ("PUT", "/api/v1/app/{app}", Environment),
    ("PATCH", "/api/v1/app/{app}", Environment),
    ("DELETE", "/api/v1/app/{app}", Environment),
    ("GET", "/api/v1/event-type", Environment),
    ("POST", "/api/v1/event-type", Environment),
    ("GET", "/api/v1/event-type/{name}", Environment),
    ("PUT", "/api/v1/event-type/{name}", Environment),
    ("PATCH", "/api/v1/event-type/{name}", Environment),
    ("DELETE", "/api/v1/event-type/{name}", Environment),
    ("GET", "/api/v1/app/{app}/msg", Customer),
    ("POST", "/api/v1/app/{app}/msg", Environment),
    ("GET", "/api/v1/app/{app}/msg/{msg}", Customer),
    ("DELETE", "/api/v1/app/{app}/msg/{msg}/content", Environment),
    ("GET", "/api/v1/app/{app}/endpoint", Customer),
    ("POST", "/api/v1/app/{app}/endpoint", Writer),
    ("GET", "/api/v1/app/{app}/endpoint/{endpoint}", Customer),
    ("PUT", "/api/v1/app/{app}/endpoint/{endpoint}", Writer),
    ("PATCH", "/api/v1/app/{app}/endpoint/{endpoint}", Writer),
    ("DELETE", "/api/v1/app/{app}/endpoint/{endpoint}", Writer),
    ("GET", "/api/v1/app/{app}/endpoint/{endpoint}/headers", Customer),
    ("PUT", "/api/v1/app/{app}/endpoint/{endpoint}/headers", Writer),
    ("PATCH", "/api/v1/app/{app}/endpoint/{endpoint}/headers", Writer),
    // A secret signs: who may only read the app's data may not have it.
    ("GET", "/api/v1/app/{app}/endpoint/{endpoint}/secret", Writer),
    ("POST", "/api/v1/app/{app}/endpoint/{endpoint}/secret/rotate", Writer),
    ("GET", "/api/v1/app/{app}/endpoint/{endpoint}/stats", Customer),
    ("POST", "/api/v1/app/{app}/endpoint/{endpoint}/send-example", Writer),
    ("POST", "/api/v1/app/{app}/endpoint/{endpoint}/recover", Writer),
    ("POST", "/api/v1/app/{app}/endpoint/{endpoint}/bulk-replay", Writer),
    ("POST", "/api/v1/app/{app}/endpoint/{endpoint}/replay-missing", Writer),
    ("POST", "/api/posthaste/v1/app/{app}/replay", Writer),
    ("GET", "/api/v1/app/{app}/endpoint/{endpoint}/msg", Customer),
    ("GET", "/api/v1/app/{app}/attempt/endpoint/{endpoint}", Customer),
    ("GET", "/api/v1/app/{app}/attempt/msg/{msg}", Customer),
    ("GET", "/api/v1/app/{app}/msg/{msg}/endpoint", Customer),
    ("POST", "/api/v1/app/{app}/msg/{msg}/endpoint/{endpoint}/resend", Writer),
    ("GET", "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}", Customer),
    ("DELETE", "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/content", Environment),
    ("POST", "/api/v1/auth/app-portal-access/{app}", Environment),
    ("POST", "/api/v1/auth/app/{app}/expire-all", Environment),
    ("GET", "/api/posthaste/v1/portal", Environment),
    ("PATCH", "/api/posthaste/v1/portal", Environment),
    ("GET", "/api/v1/background-task", Environment),
    ("GET", "/api/v1/background-task/{task}", Environment),
    ("GET", "/api/posthaste/v1/find/{id}", Environment),
    ("POST", "/api/posthaste/v1/background-task/{task}/cancel", Environment),
    ("GET", "/api/v1/operational-webhook/endpoint", Environment),
    ("POST", "/api/v1/operational-webhook/endpoint", Environment),
    ("GET", "/api/v1/operational-webhook/endpoint/{endpoint}", Environment),
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint}", Environment),
    ("DELETE", "/api/v1/operational-webhook/endpoint/{endpoint}", Environment),
    ("GET", "/api/v1/operational-webhook/endpoint/{endpoint}/headers", Environment),
    ("PUT", "/api/v1/operational-webhook/endpoint/{endpoint}/headers", Environment),
    ("GET", "/api/v1/operational-webhook/endpoint/{endpoint}/secret", Environment),
    ("POST", "/api/v1/operational-webhook/endpoint/{endpoint}/secret/rotate", Environment),
    ("GET", "/ingest/api/v1/source", Environment),
    ("POST", "/ingest/api/v1/source", Environment),
    ("GET", "/ingest/api/v1/source/{source}", Environment),
    ("PUT", "/ingest/api/v1/source/{source}", Environment),
    ("PATCH", "/ingest/api/v1/source/{source}", Environment),
    ("DELETE", "/ingest/api/v1/source/{source}", Environment),
    ("POST", "/ingest/api/v1/source/{source}/token/rotate", Environment),
    ("GET", "/ingest/api/v1/source/{source}/log", Environment),
    // A portal token of the source's own app may look, too: bins.rs has that.
    ("GET", "/ingest/api/v1/source/{source}/request", Environment),
    ("DELETE", "/ingest/api/v1/source/{source}/request", Environment),
    ("GET", "/ingest/api/v1/source/{source}/request/{request}", Environment),
    ("POST", "/api/posthaste/v1/source/{source}/replay", Environment),
    ("POST", "/ingest/api/v1/source/{source}/dashboard", Environment),
    ("GET", "/ingest/api/v1/source/{source}/endpoint", Environment),
    ("POST", "/ingest/api/v1/source/{source}/endpoint", Environment),
    ("GET", "/ingest/api/v1/source/{source}/endpoint/{endpoint}", Environment),
    ("PUT", "/ingest/api/v1/source/{source}/endpoint/{endpoint}", Environment),
    ("DELETE", "/ingest/api/v1/source/{source}/endpoint/{endpoint}", Environment),
    ("GET", "/ingest/api/v1/source/{source}/endpoint/{endpoint}/headers", Environment),
    ("PUT", "/ingest/api/v1/source/{source}/endpoint/{endpoint}/headers", Environment),
    ("GET", "/ingest/api/v1/source/{source}/endpoint/{endpoint}/secret", Environment),
    ("POST", "/ingest/api/v1/source/{source}/endpoint/{endpoint}/secret/rotate", Environment),
];

/// What is not built: refused before anybody is asked who they are.
const LACKING: &str = include_str!("../../src/api/not_supported.txt");

#[tokio::test]
async fn every_route_has_its_line_in_the_matrix() {
    let posthaste = Posthaste::start(700);
    let mut served = BTreeSet::new();
    for path in &posthaste.paths {
        let concrete = path.replace(['{', '}'], "");
        let request = Request::builder().method("PROBE").uri(concrete).body(Body::empty()).unwrap();
        let answer = posthaste.ask(request).await;
        match answer.headers().get("allow") {
            Some(methods) if answer.status() == StatusCode::METHOD_NOT_ALLOWED => {
                for method in methods.to_str().unwrap().split(',').filter(|method| *method != "HEAD") {
                    served.insert(format!("{method} {path}"));
                }
            }
            _ => drop(served.insert(format!("any {path}"))),
        }
    }
    let mut known: BTreeSet<String> =
        ROUTES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(known.len(), ROUTES.len(), "a line is there twice");
    for line in LACKING.lines() {
        let (path, methods) = line.split_once(' ').unwrap();
        known.extend(methods.split(' ').map(|method| format!("{method} {path}")));
    }
    let missing: Vec<_> = served.difference(&known).collect();
    assert!(missing.is_empty(), "routes without a line: {missing:?}");
    let gone: Vec<_> = known.difference(&served).collect();
    assert!(gone.is_empty(), "lines without a route: {gone:?}");
}

/// An event type that every environment has.
const KNOWN_TO_ALL: &str = "known.to.all";

/// The names that a path may need. Those of endpoints differ by whose endpoints they are.
#[derive(Clone)]
struct Names {
    app: String,
    endpoint: String,
    msg: String,
    attempt: String,
    task: String,
    source: String,
    request: String,
    source_endpoint: String,
    operational_endpoint: String,
    event_type: String,
}

impl Names {
    /// Like those of things that are there, and of nothing.
    fn of_nothing(posthaste: &Posthaste) -> Self {
        let (now, dice) = (posthaste.clock.now(), &*posthaste.dice);
        let endpoint = || EndpointId::fresh(now, dice).to_string();
        Self {
            app: AppId::fresh(now, dice).to_string(),
            endpoint: endpoint(),
            msg: MessageId::fresh(now, dice).to_string(),
            attempt: AttemptId::fresh(now, dice).to_string(),
            task: JobId::fresh(now, dice).to_string(),
            source: SourceId::fresh(now, dice).to_string(),
            request: MessageId::fresh(now, dice).to_string(),
            source_endpoint: endpoint(),
            operational_endpoint: endpoint(),
            event_type: "nothing.known".to_owned(),
        }
    }

    fn of_endpoint(&self, path: &str) -> &str {
        match path {
            path if path.starts_with("/ingest") || path.contains("/source/") => &self.source_endpoint,
            path if path.contains("/v1/operational") => &self.operational_endpoint,
            _ => &self.endpoint,
        }
    }

    fn fill(&self, path: &str) -> String {
        path.replace("{app}", &self.app)
            .replace("{endpoint}", self.of_endpoint(path))
            .replace("{msg}", &self.msg)
            .replace("{attempt}", &self.attempt)
            .replace("{task}", &self.task)
            .replace("{id}", &self.attempt)
            .replace("{source}", &self.source)
            .replace("{request}", &self.request)
            .replace("{name}", &self.event_type)
    }

    /// An answer with these names taken out.
    fn strip(&self, text: &str) -> String {
        let names = [
            &self.app,
            &self.endpoint,
            &self.msg,
            &self.attempt,
            &self.task,
            &self.source,
            &self.request,
            &self.source_endpoint,
            &self.operational_endpoint,
            &self.event_type,
        ];
        names.into_iter().fold(text.to_owned(), |text, name| text.replace(name, "NAME"))
    }
}

/// A tenant with one of everything, each with its mark on it.
struct Tenant {
    token: String,
    mark: &'static str,
    names: Names,
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

impl Tenant {
    /// An app with all that belongs to it, made with a token that may.
    async fn settle(posthaste: &Posthaste, token: String, mark: &'static str) -> Self {
        let post = async |path: &str, body: Value| posthaste.call("POST", path, &token, Some(body)).await.1;
        let app = id(&post("/api/v1/app", json!({ "name": mark, "metadata": { "mark": mark } })).await);
        let target = json!({ "url": format!("https://example.com/{mark}"), "headers": { "x-mark": mark } });
        let endpoint = id(&post(&format!("/api/v1/app/{app}/endpoint"), target.clone()).await);
        let event_type = format!("{mark}.happened");
        for name in [&event_type, KNOWN_TO_ALL] {
            post("/api/v1/event-type", json!({ "name": name, "description": mark })).await;
        }
        let message = json!({ "eventType": event_type, "payload": { "mark": mark } });
        let msg = id(&post(&format!("/api/v1/app/{app}/msg"), message).await);
        let attempt = attempted(posthaste, &endpoint, mark).await;
        let since = json!({ "since": posthaste.clock.now().to_string() });
        let task = id(&post(&format!("/api/v1/app/{app}/endpoint/{endpoint}/recover"), since).await);
        let body = json!({ "name": mark, "type": "generic-webhook" });
        let made = post("/ingest/api/v1/source", body).await;
        let (source, request) = (id(&made), knocked(posthaste, &made, mark).await);
        let source_endpoint =
            id(&post(&format!("/ingest/api/v1/source/{source}/endpoint"), target.clone()).await);
        let operational_endpoint = id(&post("/api/v1/operational-webhook/endpoint", target).await);
        let names = Names {
            app,
            endpoint,
            msg,
            attempt,
            task,
            source,
            request,
            source_endpoint,
            operational_endpoint,
            event_type,
        };
        Self { token, mark, names }
    }

    async fn portal(&self, posthaste: &Posthaste, read_only: bool) -> String {
        let path = format!("/api/v1/auth/app-portal-access/{}", self.names.app);
        let body = json!({ "readOnly": read_only, "expiry": 3_600 });
        posthaste.call("POST", &path, &self.token, Some(body)).await.1["token"].as_str().unwrap().to_owned()
    }

    /// All that it can read of its own, as one text.
    async fn sees(&self, posthaste: &Posthaste) -> String {
        let mut all = Vec::new();
        for ((_, path), _) in kept().filter(|(route, _)| route.0 == "GET" && !route.1.ends_with("/listen")) {
            let path = self.names.fill(path);
            let (status, answer) = posthaste.call("GET", &path, &self.token, None).await;
            assert_eq!(status, StatusCode::OK, "{path}: {answer}");
            all.push(format!("{path} {answer}"));
        }
        all.join("\n")
    }
}

/// A request came by the source's door, with the mark.
async fn knocked(posthaste: &Posthaste, source: &Value, mark: &'static str) -> String {
    let door = source["ingestUrl"].as_str().unwrap().strip_prefix("http://posthaste.example").unwrap();
    let answer = posthaste.ask(Request::post(door).body(Body::from(mark)).unwrap()).await;
    answer.headers()["posthaste-message"].to_str().unwrap().to_owned()
}

/// The endpoint's receiver answered with the mark, and all was well.
async fn attempted(posthaste: &Posthaste, endpoint: &str, mark: &'static str) -> String {
    let now = posthaste.clock.now();
    let endpoint = EndpointId::parse(endpoint).unwrap();
    let claimed = posthaste.store.claim(endpoint, 1, Duration::from_secs(60), now).await.unwrap().remove(0);
    let reply = Reply { status: 200, headers: Vec::new(), body: mark.into(), truncated: false };
    let attempt = Attempt {
        id: AttemptId::fresh(now, &*posthaste.dice),
        message: claimed.message.id,
        endpoint,
        url: claimed.endpoint.url.clone(),
        trigger: Trigger::Scheduled,
        started_at: now,
        timing: Timing::default(),
        remote: None,
        outcome: Outcome::Replied(reply),
    };
    let id = attempt.id.to_string();
    let record = Record {
        key: claimed.key(),
        lease: claimed.lease,
        attempt: Some(attempt),
        verdict: Verdict::Delivered,
    };
    assert!(posthaste.store.record(record, now).await.unwrap().fenced);
    id
}

/// A body that would do, if the caller might.
fn body_for(method: &str, path: &str, posthaste: &Posthaste) -> Option<Value> {
    if matches!(method, "GET" | "DELETE") {
        return None;
    }
    let path = path.strip_suffix("/{endpoint}").unwrap_or(path);
    let last = path.rsplit('/').find(|step| !step.starts_with('{')).unwrap();
    let is_event_type = path.ends_with("/event-type");
    Some(match last {
        "headers" => json!({ "headers": { "x-a": "b" } }),
        "recover" | "bulk-replay" | "replay-missing" => json!({ "since": posthaste.clock.now().to_string() }),
        "send-example" => json!({ "eventType": KNOWN_TO_ALL }),
        "msg" => json!({ "eventType": "a.b", "payload": {} }),
        "endpoint" => json!({ "url": "https://example.com/stranger" }),
        "event-type" if is_event_type => json!({ "name": "stranger.made", "description": "stranger" }),
        "event-type" => json!({ "description": "stranger" }),
        "app" => json!({ "name": "stranger" }),
        "source" => json!({ "name": "stranger", "type": "generic-webhook" }),
        _ => json!({}),
    })
}

/// An answer: its status, headers and body.
type Whole = (StatusCode, String, String);

async fn ask(posthaste: &Posthaste, (method, path): (&str, &str), names: &Names, token: &str) -> Whole {
    let mut request = Request::builder().method(method).uri(names.fill(path));
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body =
        body_for(method, path, posthaste).map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let answer = posthaste.ask(request.body(body).unwrap()).await;
    let headers = format!("{:?}", answer.headers());
    (answer.status(), headers, String::from_utf8(answer.body().clone()).unwrap())
}

/// The store's files, byte for byte: whatever is written shows in the log of writes.
fn files(posthaste: &Posthaste) -> Vec<Vec<u8>> {
    ["posthaste.db", "posthaste.db-wal"].map(|name| std::fs::read(posthaste.dir.join(name)).unwrap()).into()
}

fn jwt(org: &str, secret: &str, expires_at: i64) -> String {
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    let claims = json!({ "sub": org, "exp": expires_at }).to_string();
    let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";

/// Everybody who may ask, and what each may not.
struct World {
    posthaste: Posthaste,
    victim: Tenant,
    /// Another app of the victim's environment.
    neighbour: Tenant,
    /// Another environment.
    stranger: Tenant,
    nothing: Names,
}

impl World {
    async fn start(seed: u64) -> Self {
        let posthaste = Posthaste::start(seed);
        let token = posthaste.token("victims").await;
        let victim = Tenant::settle(&posthaste, token.clone(), "victim").await;
        let neighbour = Tenant::settle(&posthaste, token, "neighbour").await;
        let strangers = posthaste.token("strangers").await;
        let stranger = Tenant::settle(&posthaste, strangers, "stranger").await;
        let nothing = Names::of_nothing(&posthaste);
        Self { posthaste, victim, neighbour, stranger, nothing }
    }

    /// Asks for the victim's and for what is not there: answered alike, with this status, and nothing is written.
    async fn refuses(&self, who: &str, token: &str, route: (&str, &str), own: Option<&Names>, status: u16) {
        let mut theirs = self.victim.names.clone();
        let mut nobodys = self.nothing.clone();
        // One's own app, and in it what is of another's.
        if let Some(own) = own {
            (theirs.app, nobodys.app) = (own.app.clone(), own.app.clone());
            (theirs.source, nobodys.source) = (own.source.clone(), own.source.clone());
        }
        let before = files(&self.posthaste);
        let asked = ask(&self.posthaste, route, &theirs, token).await;
        let expected = ask(&self.posthaste, route, &nobodys, token).await;
        assert_eq!(asked.0.as_u16(), status, "{who}: {route:?}: {}", asked.2);
        assert_eq!((asked.0, &asked.1), (expected.0, &expected.1), "{who} can tell: {route:?}");
        assert_eq!(theirs.strip(&asked.2), nobodys.strip(&expected.2), "{who} can tell: {route:?}");
        assert!(!asked.2.contains(self.victim.mark), "{who} is shown: {route:?}: {}", asked.2);
        assert!(before == files(&self.posthaste), "{who} makes us write: {route:?}");
    }
}

/// Routes that are for somebody.
fn kept() -> impl Iterator<Item = ((&'static str, &'static str), For)> {
    ROUTES.iter().filter(|(_, _, of)| *of != All).map(|(method, path, of)| ((*method, *path), *of))
}

fn names_within(path: &str) -> bool {
    let within = path.split_once("}/").is_some_and(|(_, rest)| rest.contains('{'));
    within && !path.contains("/v1/operational")
}

#[tokio::test]
async fn whoever_holds_no_valid_token_gets_401_everywhere() {
    let world = World::start(701).await;
    let posthaste = &world.posthaste;
    let now = posthaste.clock.now();
    let expired = world.victim.portal(posthaste, false).await;
    posthaste.clock.advance(Duration::from_secs(3_600));
    let revoked = posthaste.token("victims").await;
    posthaste.store.revoke_token_by_hash(TokenHash::of(&revoked), now).await.unwrap();
    let later = posthaste.clock.now().as_secs() + 60;
    let callers = [
        ("nobody", String::new()),
        ("a guess", format!("phk_{}", "0".repeat(64))),
        ("a beginning", world.victim.token[..12].to_owned()),
        ("a revoked token", revoked),
        ("an expired portal token", expired),
        ("an expired JWT", jwt(ORG, JWT_SECRET, now.as_secs())),
        ("a forged JWT", jwt(ORG, "another secret", later)),
        ("a JWT of nobody's", jwt("user_1", JWT_SECRET, later)),
    ];
    for (who, token) in &callers {
        for (route, _) in kept() {
            world.refuses(who, token, route, None, 401).await;
        }
    }
}

#[tokio::test]
async fn another_environment_cannot_tell_what_is_there_from_what_is_not() {
    let world = World::start(702).await;
    let posthaste = &world.posthaste;
    let seen = world.victim.sees(posthaste).await;
    let jwt = jwt(ORG, JWT_SECRET, posthaste.clock.now().as_secs() + 60);
    // Its environment is made when it first asks.
    let known = json!({ "name": KNOWN_TO_ALL, "description": "" });
    posthaste.call("POST", "/api/v1/event-type", &jwt, Some(known)).await;
    for (who, token) in [("another environment", &world.stranger.token), ("another org", &jwt)] {
        for (route, _) in kept().filter(|(route, _)| route.1.contains('{')) {
            // Event types are named by their callers: to make one's own of the same name is nobody else's business.
            if route != ("PUT", "/api/v1/event-type/{name}") {
                world.refuses(who, token, route, None, 404).await;
            }
        }
    }
    let own = Some(&world.stranger.names);
    for (route, _) in kept().filter(|(route, _)| names_within(route.1)) {
        world.refuses("another environment", &world.stranger.token, route, own, 404).await;
    }
    // What names nothing is about one's own.
    for (route, of) in kept().filter(|(route, _)| !route.1.contains('{') || route.0 == "PUT") {
        if of != Holder {
            let (status, _, body) = ask(posthaste, route, &world.nothing, &world.stranger.token).await;
            assert!(!body.contains(world.victim.mark), "{route:?}: {status} {body}");
        }
    }
    assert_eq!(world.victim.sees(posthaste).await, seen);
}

#[tokio::test]
async fn a_portal_token_of_another_app_is_shown_and_changes_nothing() {
    let world = World::start(703).await;
    let seen = world.victim.sees(&world.posthaste).await;
    for read_only in [false, true] {
        let token = world.neighbour.portal(&world.posthaste, read_only).await;
        for (route, of) in kept() {
            let status = match of {
                Environment => 403,
                Customer | Writer => 404,
                All | Holder => continue,
            };
            world.refuses("a portal of another app", &token, route, None, status).await;
            // In the path of its own app.
            if status == 404 && names_within(route.1) {
                let status = if of == Writer && read_only { 403 } else { 404 };
                let own = Some(&world.neighbour.names);
                world.refuses("a portal of another app", &token, route, own, status).await;
            }
        }
    }
    assert_eq!(world.victim.sees(&world.posthaste).await, seen);
}

#[tokio::test]
async fn a_portal_token_of_the_same_app_may_do_what_customers_may_and_no_more() {
    let world = World::start(704).await;
    let seen = world.victim.sees(&world.posthaste).await;
    for read_only in [false, true] {
        let token = world.victim.portal(&world.posthaste, read_only).await;
        for (route, of) in kept() {
            if of == Environment {
                world.refuses("a customer", &token, route, None, 403).await;
            } else if of == Writer && read_only {
                let before = files(&world.posthaste);
                let (status, _, body) = ask(&world.posthaste, route, &world.victim.names, &token).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{route:?}: {body}");
                assert!(!body.contains("whsec_") && before == files(&world.posthaste), "{route:?}");
            } else if of == Customer {
                let (status, _, body) = ask(&world.posthaste, route, &world.victim.names, &token).await;
                assert_eq!(status, StatusCode::OK, "{route:?}: {body}");
                assert!(!body.contains("neighbour"), "{route:?}: {body}");
            }
        }
    }
    assert_eq!(world.victim.sees(&world.posthaste).await, seen);
}

#[tokio::test]
async fn a_filter_or_an_iterator_that_names_what_is_anothers_shows_nothing_of_it() {
    let world = World::start(705).await;
    let posthaste = &world.posthaste;
    let portal = world.neighbour.portal(posthaste, false).await;
    let (own, theirs, nobodys) = (&world.neighbour.names, &world.victim.names, &world.nothing);
    let attempts = format!("/api/v1/app/{}/attempt", own.app);
    for (path, their, no) in [
        (format!("{attempts}/msg/{}?endpoint_id=", own.msg), &theirs.endpoint, &nobodys.endpoint),
        (format!("{attempts}/msg/{}?iterator=", own.msg), &theirs.attempt, &nobodys.attempt),
        (format!("{attempts}/endpoint/{}?iterator=-", own.endpoint), &theirs.attempt, &nobodys.attempt),
        (format!("/api/v1/app/{}/msg?iterator=-", own.app), &theirs.msg, &nobodys.msg),
        (format!("/api/v1/app/{}/endpoint?iterator=", own.app), &theirs.endpoint, &nobodys.endpoint),
    ] {
        let asked = posthaste.call("GET", &format!("{path}{their}"), &portal, None).await;
        let expected = posthaste.call("GET", &format!("{path}{no}"), &portal, None).await;
        assert_eq!(asked.0, expected.0, "{path}");
        assert!(!asked.1.to_string().contains("victim"), "{path}: {}", asked.1);
    }
}

#[tokio::test]
async fn an_idempotency_key_of_another_tenant_answers_nothing_of_theirs() {
    let world = World::start(706).await;
    let app = format!("/api/v1/app/{}", world.victim.names.app);
    let keyed = async |token: &str, path: &str, body: Value| {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", "the same")
            .body(Body::from(body.to_string()));
        world.posthaste.ask(request.unwrap()).await
    };
    let routes = [
        ("/api/v1/app".to_owned(), json!({ "name": "keyed" })),
        (format!("{app}/endpoint"), json!({ "url": "https://example.com/keyed" })),
        (format!("{app}/msg"), json!({ "eventType": "a.b", "payload": { "keyed": 1 } })),
        (format!("{app}/endpoint/{}/secret/rotate", world.victim.names.endpoint), json!({})),
    ];
    let portal = world.neighbour.portal(&world.posthaste, false).await;
    for (path, body) in routes {
        let first = keyed(&world.victim.token, &path, body.clone()).await;
        assert!(first.status().is_success(), "{path}: {}", first.status());
        for token in [&world.stranger.token, &portal] {
            let other = keyed(token, &path, body.clone()).await;
            assert!(!other.headers().contains_key("idempotency-replayed"), "{path}");
            assert!(first.body().is_empty() || first.body() != other.body(), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_built_tells_and_writes_nothing_for_anybody() {
    let world = World::start(707).await;
    let before = files(&world.posthaste);
    for line in LACKING.lines() {
        let (path, methods) = line.split_once(' ').unwrap();
        let path = path.replace("{app_id}", &world.victim.names.app);
        let path = path.replace("{endpoint_id}", &world.victim.names.endpoint).replace(['{', '}'], "");
        for method in methods.split(' ') {
            let (status, answer) = world.posthaste.call(method, &path, "", Some(json!({}))).await;
            assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{method} {path}");
            assert!(!answer.to_string().contains("victim"));
        }
    }
    assert!(before == files(&world.posthaste));
}
