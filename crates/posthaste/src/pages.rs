//! The pages, and what they are given: what they may not know themselves comes from here.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::http::{Extensions, HeaderMap};
use posthaste_core::retry::RetrySchedule;
use posthaste_core::target::TargetPolicy;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;
use posthaste_http::Strangers;
use posthaste_store::Store;
use posthaste_tunnel::listeners::Listeners;
use posthaste_ui::{Configured, Limits, UiState};

use crate::system::{SystemDice, SystemTimer};

/// What pages show of how the server was started.
pub(crate) struct Shown {
    pub(crate) policy: TargetPolicy,
    pub(crate) configured: Vec<[String; 3]>,
    pub(crate) frame_ancestors: Vec<String>,
    pub(crate) retry_schedule: RetrySchedule,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) listeners: Arc<Listeners>,
}

pub(crate) fn router(
    store: &Arc<dyn Store>,
    api: Router,
    public_url: String,
    strangers: Strangers,
    shown: Shown,
) -> Router {
    let configured = shown.configured.into_iter();
    posthaste_ui::router(UiState {
        directory: store.clone(),
        access: store.clone(),
        limits: Arc::new(SharedLimits(strangers)),
        history: store.clone(),
        queue: store.clone(),
        sources: store.clone(),
        settings_of: posthaste_http::settings_of,
        openapi: posthaste_http::openapi,
        listeners: shown.listeners,
        retry_schedule: shown.retry_schedule,
        policy: shown.policy,
        configured: configured.map(|[name, value, origin]| Configured { name, value, origin }).collect(),
        api,
        clock: Arc::new(SystemTimer),
        dice: Arc::new(SystemDice),
        public_url,
        ready: shown.ready,
        frame_ancestors: shown.frame_ancestors,
    })
}

/// What is guessed at the pages counts with what is guessed at the API.
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
