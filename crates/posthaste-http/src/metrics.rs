//! What the HTTP side counts.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use posthaste_core::role::Roles;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::Shared;

/// Upper bounds in seconds: from a point lookup to a request that waits for a slow disk.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// A request, by the route's pattern: never by its path, which callers choose.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: &'static str,
}

/// A request that a door did not take.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefusedLabels {
    code: &'static str,
}

/// Counts and durations of requests.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Histogram,
    pub(crate) accepted: Counter,
    refused: Family<RefusedLabels, Counter>,
}

impl HttpMetrics {
    /// Adds them to `registry`, and what this node is.
    pub fn register(registry: &mut Registry, roles: Roles) -> Self {
        let build =
            Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("roles", roles.to_string())]);
        registry.register("build", "What runs here, and what it does", build);
        let metrics = Self {
            requests: Family::default(),
            seconds: Histogram::new(SECONDS),
            accepted: Counter::default(),
            refused: Family::default(),
        };
        registry.register(
            "messages_accepted",
            "Messages answered 2xx, repetitions apart",
            metrics.accepted.clone(),
        );
        registry.register(
            "inbound_refused",
            "Requests that the doors of sources did not take, by reason",
            metrics.refused.clone(),
        );
        registry.register("http_requests", "Requests, by route and status class", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the request's head to the answer's",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        metrics
    }

    /// A door did not take a request.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&RefusedLabels { code }).inc();
    }
}

pub(crate) async fn observe(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let route = route.strip_suffix('/').unwrap_or(route).to_owned();
    let response = next.run(request).await;
    let status = match response.status().as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    state.metrics.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    state.metrics.seconds.observe(began.elapsed().as_secs_f64());
    response
}
