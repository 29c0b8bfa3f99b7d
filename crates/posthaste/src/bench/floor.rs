//! The floor: the same load through accept, sign and forward, with nothing kept. The ratio to it is the price of
//! durability, retries and a record of every attempt.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use posthaste_core::Secret;
use posthaste_core::id::MessageId;
use posthaste_core::target::TargetPolicy;
use posthaste_core::time::Clock as _;
use posthaste_engine::client::{Client, ClientSettings, Outbound, SystemResolver};

use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::tell;
use crate::wiring;

struct Floor {
    client: Client,
    secret: Secret,
}

/// Serves until the process is killed.
pub(crate) async fn serve() -> anyhow::Result<ExitCode> {
    wiring::raise_open_files();
    let allow = ["127.0.0.0/8"].iter().filter_map(|entry| entry.parse().ok()).collect();
    let policy = TargetPolicy { allow, ..TargetPolicy::default() };
    let client =
        Client::new(ClientSettings { policy, ..ClientSettings::default() }, Arc::new(SystemResolver::new()));
    let floor = Arc::new(Floor { client, secret: Secret::hmac(&[7; 24])? });
    let router = Router::new().route("/forward", post(forward)).with_state(floor);
    let listener = wiring::listen(([127, 0, 0, 1], 0).into()).await?;
    tell(&format!("floor listening on http://{}", listener.local_addr()?));
    let limits = posthaste_http::serve::ListenerLimits::default();
    posthaste_http::serve::serve(listener, router, limits, None, std::future::pending()).await;
    Ok(ExitCode::SUCCESS)
}

async fn forward(State(floor): State<Arc<Floor>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some(url) = headers.get("x-forward-to").and_then(|v| v.to_str().ok()).map(str::to_owned) else {
        return StatusCode::BAD_REQUEST;
    };
    tokio::spawn(async move {
        let now = SystemTimer.now();
        let id = MessageId::fresh(now, &SystemDice).to_string();
        let signature = floor.secret.sign(&id, now.as_secs(), &body);
        let mut headers = HeaderMap::new();
        for (name, value) in [("webhook-id", id), ("webhook-signature", signature)] {
            if let Ok(value) = value.try_into() {
                headers.insert(name, value);
            }
        }
        headers.insert("webhook-timestamp", now.as_secs().into());
        let (method, query, timeout) = (Method::POST, String::new(), Duration::from_secs(15));
        let outbound = Outbound { method, url, query, headers, body, timeout };
        floor.client.send(outbound).await;
    });
    StatusCode::ACCEPTED
}
