//! Who is there in a trial: apps, a source, and their endpoints, all at one receiver.

use std::net::SocketAddr;

use anyhow::Context as _;
use posthaste_core::dice::{TestDice, roll};
use posthaste_signature::Secret;
use posthaste_signature::standard::Verifier;
use serde_json::{Value, json};

use crate::client::Api;
use crate::clock;
use crate::judge::EndpointFact;
use crate::store::Store;

/// What happens in a trial.
pub(crate) const EVENT_TYPES: [&str; 3] = ["order.paid", "order.sent", "user.new"];

/// How many of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) apps: usize,
    pub(crate) endpoints_per_app: usize,
}

/// What was made.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) token: String,
    /// Ids of the apps; the source's own comes last.
    pub(crate) apps: Vec<String>,
    /// In the order of the receiver's paths: `/0` is the first.
    pub(crate) endpoints: Vec<EndpointFact>,
    /// The path of the source's door, and its secret.
    pub(crate) door: String,
    pub(crate) door_secret: String,
    secrets: Vec<String>,
}

impl Scene {
    /// What each endpoint verifies with.
    pub(crate) fn verifiers(&self) -> anyhow::Result<Vec<Vec<Verifier>>> {
        let verifier = |secret: &String| verifier(secret).map(|one| vec![one]);
        self.secrets.iter().map(verifier).collect()
    }
}

/// What a receiver with this secret verifies with.
pub(crate) fn verifier(secret: &str) -> anyhow::Result<Verifier> {
    Ok(Verifier::parse(&Secret::parse(secret)?.shared())?)
}

/// A new signing secret.
pub(crate) fn fresh_secret(dice: &TestDice) -> anyhow::Result<String> {
    Ok(Secret::hmac(&roll::<24>(dice))?.expose())
}

/// Makes it all over the API.
pub(crate) async fn set(
    api: &Api,
    receiver: SocketAddr,
    shape: Shape,
    dice: &TestDice,
) -> anyhow::Result<Scene> {
    let text = |value: &Value, name: &str| {
        value[name].as_str().map(str::to_owned).with_context(|| format!("an answer without {name}: {value}"))
    };
    let mut scene = Scene {
        token: api.token.clone(),
        apps: Vec::new(),
        endpoints: Vec::new(),
        door: String::new(),
        door_secret: roll::<16>(dice).iter().map(|byte| format!("{byte:02x}")).collect(),
        secrets: Vec::new(),
    };
    for app in 0..shape.apps {
        let made = api.call("POST", "/api/v1/app", &json!({ "name": format!("app {app}") })).await?;
        let app_id = text(&made, "id")?;
        for endpoint in 0..shape.endpoints_per_app {
            let wanted: Option<&[&str]> = match endpoint % 3 {
                0 => None,
                1 => Some(&EVENT_TYPES[..1]),
                _ => Some(&EVENT_TYPES[1..]),
            };
            let path = format!("/api/v1/app/{app_id}/endpoint");
            let made = make_endpoint(api, &path, receiver, &mut scene, (wanted, dice)).await?;
            scene.endpoints.push(fact(text(&made, "id")?, app_id.clone(), wanted));
        }
        scene.apps.push(app_id);
    }
    let source = json!({ "name": "source", "type": "github", "config": { "secret": scene.door_secret } });
    let source = api.call("POST", "/ingest/api/v1/source", &source).await?;
    let url = text(&source, "ingestUrl")?;
    scene.door = url.find("/in/").map(|at| url[at..].to_owned()).context("the door's address has no /in/")?;
    let path = format!("/ingest/api/v1/source/{}/endpoint", text(&source, "id")?);
    let made = make_endpoint(api, &path, receiver, &mut scene, (None, dice)).await?;
    scene.endpoints.push(fact(text(&made, "id")?, String::new(), None));
    Ok(scene)
}

async fn make_endpoint(
    api: &Api,
    path: &str,
    receiver: SocketAddr,
    scene: &mut Scene,
    (wanted, dice): (Option<&[&str]>, &TestDice),
) -> anyhow::Result<Value> {
    let (number, secret) = (scene.endpoints.len(), fresh_secret(dice)?);
    let url = format!("http://{receiver}/{number}");
    let body = json!({ "url": url, "secret": secret, "eventTypes": wanted });
    scene.secrets.push(secret);
    api.call("POST", path, &body).await
}

fn fact(id: String, app: String, wanted: Option<&[&str]>) -> EndpointFact {
    let event_types = wanted.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    EndpointFact { id, app, event_types, alive_from: clock::now(), alive_until: None }
}

/// The API does not name the app that a source owns: the store does.
pub(crate) async fn name_the_sources_app(scene: &mut Scene, store: &Store) -> anyhow::Result<()> {
    let app_of = store.apps_of_endpoints().await?;
    for endpoint in &mut scene.endpoints {
        endpoint.app = app_of.get(&endpoint.id).cloned().context("an endpoint is not in the store")?;
    }
    let own = scene.endpoints.last().map(|endpoint| endpoint.app.clone()).unwrap_or_default();
    scene.apps.push(own);
    Ok(())
}
