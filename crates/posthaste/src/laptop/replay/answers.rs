//! What receivers answer to what a job put back.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::watch;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::{Server, part};
use crate::telemetry::tell;

/// How often attempts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long answers are waited for without a new one.
const QUIET_MAX: Duration = Duration::from_secs(90);

/// Waits until each delivery that the job put back was tried once; says whether all were taken then.
pub(crate) async fn all_well(server: &Server, job: &Value, since: &str) -> Result<bool, Complaint> {
    let id = job["id"].as_str().unwrap_or_default();
    let job = watch::look(server, id).await?;
    let wanted = job["data"]["deliveriesPutBack"].as_u64().unwrap_or_default();
    let app = job["data"]["appId"].as_str().unwrap_or_default();
    let (mut seen_before, mut quiet) = (0, Duration::ZERO);
    loop {
        let mut tried = HashMap::new();
        for endpoint in endpoints(server, app, &job).await? {
            collect(server, app, &endpoint, since, &mut tried).await?;
        }
        let seen = tried.len() as u64;
        if seen >= wanted {
            let refused = tried.values().filter(|taken| !**taken).count();
            tell(&format!("{seen} answered, {refused} of them with anything but 2xx"));
            return Ok(refused == 0);
        }
        quiet = if seen > seen_before { Duration::ZERO } else { quiet + LOOK_EVERY };
        if quiet >= QUIET_MAX {
            return Err(Complaint::failure(
                format!("{seen} of {wanted} deliveries were tried"),
                format!("nothing more was sent for {} s", QUIET_MAX.as_secs()),
                "is the endpoint paused, or does it have a low rate limit? look: posthaste replay --job ID",
            ));
        }
        seen_before = seen;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn endpoints(server: &Server, app: &str, job: &Value) -> Result<Vec<String>, Complaint> {
    if let Some(endpoint) = job["data"]["endpointId"].as_str() {
        return Ok(vec![endpoint.to_owned()]);
    }
    let (mut all, mut iterator) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/app/{app}/endpoint?limit=250{iterator}")).await?;
        let rows = page["data"].as_array().into_iter().flatten();
        all.extend(rows.filter_map(|row| row["id"].as_str()).map(str::to_owned));
        match page["iterator"].as_str().filter(|_| page["done"] != true) {
            Some(next) => iterator = format!("&iterator={}", part(next)),
            None => return Ok(all),
        }
    }
}

/// The deliveries that were tried by hand since then, and whether one of their attempts was taken.
async fn collect(
    server: &Server,
    app: &str,
    endpoint: &str,
    since: &str,
    tried: &mut HashMap<(String, String), bool>,
) -> Result<(), Complaint> {
    let path = format!("/api/v1/app/{app}/attempt/endpoint/{endpoint}?limit=250&after={}", part(since));
    let mut iterator = String::new();
    loop {
        let page = server.get(&format!("{path}{iterator}")).await?;
        for attempt in
            page["data"].as_array().into_iter().flatten().filter(|attempt| attempt["triggerType"] == 1)
        {
            let message = attempt["msgId"].as_str().unwrap_or_default().to_owned();
            let taken = tried.entry((endpoint.to_owned(), message)).or_default();
            *taken |= attempt["status"] == 0;
        }
        match page["iterator"].as_str().filter(|_| page["done"] != true) {
            Some(next) => iterator = format!("&iterator={}", part(next)),
            None => return Ok(()),
        }
    }
}
