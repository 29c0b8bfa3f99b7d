//! A tenant with one of everything, each with its mark on it.

use axum::body::Body;
use axum::http::Request;
use posthaste_core::time::Clock as _;
use posthaste_store::{Access as _, Directory as _};
use serde_json::{Value, json};

use crate::world::World;

pub(crate) struct Tenant {
    pub(crate) token: String,
    pub(crate) app: String,
    endpoint: String,
    message: String,
    attempt: String,
    source: String,
    link: String,
    letters: String,
    job: String,
    bin: String,
    request: String,
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

impl Tenant {
    pub(crate) async fn settle(world: &World, environment: &str, mark: &str) -> Self {
        let token = world.token(environment).await;
        let post = async |path: &str, body: Value| world.api("POST", path, &token, body).await;
        let app = id(&post("/api/v1/app", json!({ "name": mark })).await);
        let target = json!({ "url": format!("https://example.com/{mark}"), "description": mark });
        let endpoint = id(&post(&format!("/api/v1/app/{app}/endpoint"), target).await);
        let event_type = format!("{mark}.happened");
        post("/api/v1/event-type", json!({ "name": event_type, "description": mark })).await;
        world.api("PUT", "/api/v1/event-type/known.to.all", &token, json!({ "description": mark })).await;
        let message = json!({ "eventType": event_type, "payload": { "mark": mark }, "tags": [mark] });
        let message = id(&post(&format!("/api/v1/app/{app}/msg"), message).await);
        let attempt = world.attempted(&endpoint, mark).await;
        let made = post("/ingest/api/v1/source", json!({ "name": mark, "type": "generic-webhook" })).await;
        let door = made["ingestUrl"].as_str().unwrap();
        let door = &door[door.find("/in/").unwrap()..];
        world.ask(Request::post(door).body(Body::from(mark.to_owned())).unwrap()).await;
        let since = json!({ "since": "2026-09-20T00:00:00Z" });
        let job = id(&post(&format!("/api/v1/app/{app}/endpoint/{endpoint}/recover"), since).await);
        let bin = post("/ingest/api/v1/source", json!({ "name": mark, "type": "bin" })).await;
        let door = bin["ingestUrl"].as_str().unwrap();
        let door = &door[door.find("/in/").unwrap()..];
        let came = world.ask(Request::post(door).body(Body::from(mark.to_owned())).unwrap()).await;
        let request = came.headers()["posthaste-message"].to_str().unwrap().to_owned();
        let logo =
            json!({ "name": mark, "logo": "data:image/png;base64,iVBORw0KGgo=", "publicCatalogue": true });
        let published = world.api("PATCH", "/api/posthaste/v1/portal", &token, logo).await;
        let address = published["catalogueUrl"].as_str().unwrap();
        let letters = address.rsplit('/').next().unwrap().to_owned();
        world.link(&token, &app, false).await;
        let link = world.link_of(environment, &app).await;
        Self {
            token,
            app,
            endpoint,
            message,
            attempt,
            source: id(&made),
            link,
            letters,
            job,
            bin: id(&bin),
            request,
        }
    }

    pub(crate) fn fill(&self, text: &str, session: &str) -> String {
        text.replace("{app}", &self.app)
            .replace("{endpoint}", &self.endpoint)
            .replace("{message}", &self.message)
            .replace("{attempt}", &self.attempt)
            .replace("{source}", &self.source)
            .replace("{token}", &self.link)
            .replace("{session}", session)
            .replace("{letters}", &self.letters)
            .replace("{job}", &self.job)
            .replace("{bin}", &self.bin)
            .replace("{request}", &self.request)
            .replace("{operation}", "v1.application.list")
            .replace("{look}", "-")
            .replace("{file}", "0-page.css")
    }

    /// What of it a form could have changed.
    pub(crate) async fn state(&self, world: &World) -> String {
        let mut all = Vec::new();
        let (app, endpoint) = (&self.app, &self.endpoint);
        for path in [
            format!("/api/v1/app/{app}/endpoint"),
            format!("/api/v1/app/{app}/endpoint/{endpoint}/secret"),
            format!("/api/v1/app/{app}/msg"),
            format!("/api/v1/app/{app}/attempt/endpoint/{endpoint}"),
            format!("/api/v1/app/{app}/msg/{}/endpoint", self.message),
            "/api/v1/background-task".to_owned(),
            "/ingest/api/v1/source".to_owned(),
            "/api/posthaste/v1/portal".to_owned(),
        ] {
            all.push(world.api("GET", &path, &self.token, Value::Null).await.to_string());
        }
        all.push(format!("{:?}", world.tokens_of(app).await));
        all.join("\n")
    }
}

impl World {
    /// The id of the newest token of an app, as the pages name it.
    async fn link_of(&self, environment: &str, app: &str) -> String {
        let environment =
            self.store.environment(environment, posthaste_core::time::Timestamp::EPOCH).await.unwrap().id;
        let app = posthaste_core::id::AppId::parse(app).unwrap();
        self.store.tokens_of_app(environment, app, self.clock.now(), 1).await.unwrap()[0].id.to_string()
    }

    /// The tokens of an app that are no sessions: which there are, and which of them were ended.
    async fn tokens_of(&self, app: &str) -> Vec<String> {
        let all = self.store.tokens(None).await.unwrap();
        let of_app =
            all.iter().filter(|token| format!("{:?}", token.scope).contains(app) && !token.is_session);
        of_app.map(|token| format!("{} {:?} {:?}", token.id, token.expires_at, token.revoked_at)).collect()
    }
}
