//! The pages: what operators look at, and what a customer sees by a portal link.
//!
//! Rendered here, whole, and of use without any script. They read by the store's ports and change things by the API, so that
//! no rule has two homes; sessions and tokens apart, which the API does not have. Whoever looks is a [`Principal`](posthaste_core::tenant::Principal) as in the API, and sees
//! what that may see.

mod api;
mod assets;
mod body_views;
mod chart;
mod doing;
mod error;
mod fold;
mod headers;
mod look;
mod page;
mod pages;
mod payload;
mod reference;
mod refused;
mod schema_tree;
mod session;
mod simulator;
mod snippets;
mod stats;
mod stranger;
mod timing;
mod words;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use posthaste_core::dice::Dice;
use posthaste_core::retry::RetrySchedule;
use posthaste_core::source::Source;
use posthaste_core::target::TargetPolicy;
use posthaste_core::time::Clock;
use posthaste_signature::provider::Settings;
use posthaste_store::{Access, Directory, History, Queue, Sources};
use posthaste_tunnel::listeners::Listeners;
use tokio::sync::Semaphore;

use crate::page::Templates;
pub use crate::pages::settings_server::Configured;
use crate::pages::{
    access, app, apps, attempt, bin, bin_settings, bins, catalogue, edit, endpoint, endpoint_recover,
    endpoint_trial, endpoints, event_types, find, jobs, live, login, login_password, message, messages,
    overview, portal, portal_logo, resend, settings, settings_network, settings_server, setup, source,
    source_new, source_settings, sources, tokens,
};
use crate::reference::Operation;
pub use crate::stranger::Limits;

/// What the pages work with.
pub struct UiState {
    /// Who is there.
    pub directory: Arc<dyn Directory>,
    /// Sessions, and what operators chose.
    pub access: Arc<dyn Access>,
    /// How often whoever is nobody may try.
    pub limits: Arc<dyn Limits>,
    /// What happened.
    pub history: Arc<dyn History>,
    /// Jobs.
    pub queue: Arc<dyn Queue>,
    /// The API: what a page changes, it changes by that, with the visitor's own rights.
    pub api: Router,
    /// The inbound doors.
    pub sources: Arc<dyn Sources>,
    /// What a source verifies by, secrets included: read from how it is kept.
    pub settings_of: fn(&Source) -> Settings,
    /// Who listens on this node.
    pub listeners: Arc<Listeners>,
    /// The OpenAPI document, as JSON.
    pub openapi: fn() -> String,
    /// When a delivery that fails is tried again.
    pub retry_schedule: RetrySchedule,
    /// What may be called.
    pub policy: TargetPolicy,
    /// What this server was started with, without its secrets.
    pub configured: Vec<Configured>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Sessions and ids.
    pub dice: Arc<dyn Dice>,
    /// How the world reaches us, without a slash at the end.
    pub public_url: String,
    /// Off while the server leaves: what streams ends.
    pub ready: Arc<AtomicBool>,
    /// Origins whose pages may show the customer portal in a frame, beside our own.
    pub frame_ancestors: Vec<String>,
}

type Shared = Arc<Served>;

struct Served {
    state: UiState,
    templates: Templates,
    operations: OnceLock<Vec<Operation>>,
    /// Places for passwords that are looked at.
    passwords: Arc<Semaphore>,
}

impl Served {
    /// The API's operations, read when somebody first asks for them.
    fn operations(&self) -> &[Operation] {
        self.operations.get_or_init(|| reference::read(&(self.state.openapi)(), &self.state.public_url))
    }
}

impl std::ops::Deref for Served {
    type Target = UiState;

    fn deref(&self) -> &UiState {
        &self.state
    }
}

/// Every page. Paths begin with `/ui`, `/portal`, `/events` or `/assets`; `/` leads to the first.
pub fn router(state: UiState) -> Router {
    let passwords = Arc::new(Semaphore::new(login_password::AT_ONCE));
    let shared =
        Arc::new(Served { state, templates: Templates::new(), operations: OnceLock::new(), passwords });
    Router::new()
        .route("/", get(login::front))
        .route("/assets/{file}", get(assets::serve))
        .route("/ui/login", get(login::page).post(login::enter))
        .route("/ui/setup", get(setup::page).post(setup::enter))
        .route("/ui/logout", post(login::leave))
        .route("/ui/apps", get(apps::page))
        .route("/ui/tokens", get(tokens::page))
        .route("/ui/tokens/{token}/revoke", post(tokens::revoke))
        .route("/portal/login", get(portal::page))
        .route("/portal/look/{look}", get(look::serve))
        .route("/portal/session", post(portal::enter))
        .merge(edit::routes())
        .merge(find::routes())
        .merge(jobs::routes())
        .merge(pages::listeners::routes())
        .merge(pages::reference::routes())
        .merge(pages::simulator::routes())
        .merge(bins::routes())
        .merge(bin_settings::routes())
        .merge(sources::routes())
        .merge(source_new::routes())
        .merge(source::routes())
        .merge(source_settings::routes())
        .merge(endpoints::routes())
        .merge(overview::routes())
        .merge(login_password::routes())
        .merge(access::routes())
        .merge(catalogue::routes())
        .merge(settings::routes())
        .merge(settings_network::routes())
        .merge(settings_server::routes())
        .nest("/ui", of_an_app())
        // A frame on another site has no cookies: there the session is a part of the path.
        .nest("/portal/s/{session}/{look}", of_an_app())
        .layer(from_fn_with_state(Arc::clone(&shared), headers::advise))
        .layer(from_fn(timing::tell))
        .with_state(shared)
}

/// Pages about one app: its customer sees them too.
fn of_an_app() -> Router<Shared> {
    Router::new()
        .merge(attempt::routes())
        .merge(endpoint::routes())
        .merge(endpoint_recover::routes())
        .merge(endpoint_trial::routes())
        .merge(message::routes())
        .merge(resend::routes())
        .merge(bin::of_an_app())
        .merge(portal_logo::routes())
        .route("/event-types", get(event_types::page))
        .route("/apps/{app}", get(app::page))
        .route("/apps/{app}/endpoints", post(app::create_endpoint))
        .route("/apps/{app}/messages/send", post(app::send))
        .route("/apps/{app}/messages", get(messages::page))
        .route("/apps/{app}/live", get(live::watch))
}
