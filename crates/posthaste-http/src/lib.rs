//! The HTTP side of Posthaste: the Svix API, probes and metrics.
//!
//! Wire names and wire shapes live here and nowhere else. It knows the store's ports and never the engine: what it
//! accepts is handed over by the store.

mod api;
mod browsers;
mod cors;
mod crowd;
mod error;
mod extract;
mod idempotency;
mod inbound;
mod listen;
pub mod metrics;
mod openapi;
mod probes;
pub mod serve;
mod slow;
mod stall;
pub mod state;
mod strangers;
mod throttle;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, get, post};
use posthaste_core::role::{Role, Roles};

use crate::api::owned::{OfSource, Operational};
use crate::api::{
    app, attempt, endpoint, event_type, find, headers, ingest, looks, message, not_supported, owned, portal,
    recovery, replay, secret, task,
};
use crate::error::ApiError;
pub use crate::openapi::document as openapi;
use crate::state::ApiState;

pub use crate::inbound::Peer;
pub use crate::inbound::config::settings_of;
pub use crate::strangers::Strangers;

type Shared = Arc<Served>;

/// What handlers share: what they were given, and what they remember between requests.
struct Served {
    api: ApiState,
    doors: inbound::Doors,
    bench: inbound::Bench,
    callers: Arc<extract::callers::Callers>,
}

impl std::ops::Deref for Served {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.api
    }
}

/// Every route, grouped by who calls it.
pub fn router(state: ApiState) -> Router {
    routed(state).router
}

/// The API with pages beside it, whose panics are answered as the API's are.
pub fn with_pages(api: Router, pages: Router) -> Router {
    api.merge(pages.layer(from_fn(probes::catch_panic)))
}

/// A router, and what it routes.
pub struct Routed {
    /// It serves.
    pub router: Router,
    /// The pattern of every path, for tests that must not miss one.
    pub paths: Vec<String>,
    /// How often whoever is nobody may try, for the pages beside it.
    pub strangers: Strangers,
}

/// The same router, with the list of its paths.
pub fn routed(state: ApiState) -> Routed {
    let state = Arc::new(Served {
        api: state,
        doors: inbound::Doors::default(),
        bench: inbound::Bench::default(),
        callers: Arc::default(),
    });
    let strangers = Strangers::new(&state);
    let mut router = Routes { router: Router::new(), paths: Vec::new(), elsewhere: None };

    // Whoever runs us.
    router.add("/livez", get(probes::live));
    router.add("/readyz", get(probes::ready));
    router.add("/metrics", get(probes::metrics));
    router.add("/openapi.json", get(probes::openapi));
    router.add("/api/v1/health", get(probes::health));
    router.add("/api/v1/health/ping", get(probes::health));

    router.are_of(Role::Inbound, state.roles);
    router.add("/in/{door}", any(inbound::knock));
    router.add_all_behind("/in/{door}", any(inbound::knock));

    router.are_of(Role::Deliver, state.roles);
    listeners(&mut router);

    router.are_of(Role::Api, state.roles);
    senders(&mut router, &state);
    customers(&mut router, &state);
    operators(&mut router, &state);
    receivers(&mut router, &state);
    // What Svix's API has and we lack says so.
    not_supported::routes(&mut router);
    let Routes { router, paths, .. } = router;
    let router = router
        .fallback(probes::not_found)
        .method_not_allowed_fallback(probes::method_not_allowed)
        .layer(from_fn(cors::allow))
        .layer(from_fn_with_state(Arc::clone(&state), metrics::observe))
        .layer(from_fn(probes::catch_panic))
        .layer(from_fn(browsers::advise))
        .with_state(state);
    Routed { router, paths, strangers }
}

/// The sender's own services: apps, event types, messages.
fn senders(router: &mut Routes, state: &Shared) {
    router.add("/api/v1/app", get(app::list).merge(once(state, app::create)));
    router.add("/api/v1/app/{app}", get(app::get).put(app::put).patch(app::patch).delete(app::delete));
    router.add("/api/v1/event-type", get(event_type::list).merge(once(state, event_type::create)));
    router.add(
        "/api/v1/event-type/{name}",
        get(event_type::get).put(event_type::put).patch(event_type::patch).delete(event_type::delete),
    );
    router.add("/api/v1/app/{app}/msg", get(message::list).post(message::create));
    router.add("/api/v1/app/{app}/msg/{msg}", get(message::get));
    router.add("/api/v1/app/{app}/msg/{msg}/content", axum::routing::delete(message::expunge));
}

/// Customers too, through a portal token: endpoints, attempts, replay. Each handler checks whose app it is.
fn customers(router: &mut Routes, state: &Shared) {
    let one = "/api/v1/app/{app}/endpoint/{endpoint}";
    let at = |rest: &str| format!("{one}{rest}");
    router.add("/api/v1/app/{app}/endpoint", get(endpoint::list).merge(once(state, endpoint::create)));
    router.add(one, get(endpoint::get).put(endpoint::put).patch(endpoint::patch).delete(endpoint::delete));
    router.add(&at("/headers"), get(headers::get).put(headers::put).patch(headers::patch));
    router.add(&at("/secret"), get(secret::get));
    router.add(&at("/secret/rotate"), once(state, secret::rotate));
    router.add(&at("/stats"), get(endpoint::stats));
    router.add(&at("/send-example"), once(state, message::send_example));
    router.add(&at("/recover"), once(state, recovery::recover));
    router.add(&at("/bulk-replay"), once(state, replay::bulk));
    router.add(&at("/replay-missing"), once(state, replay::missing));
    router.add("/api/posthaste/v1/app/{app}/replay", once(state, replay::of_app));
    router.add(&at("/msg"), get(attempt::attempted_messages));
    router.add("/api/v1/app/{app}/attempt/endpoint/{endpoint}", get(attempt::by_endpoint));
    router.add("/api/v1/app/{app}/attempt/msg/{msg}", get(attempt::by_message));
    let one = "/api/v1/app/{app}/msg/{msg}";
    let at = |rest: &str| format!("{one}{rest}");
    router.add(&at("/endpoint"), get(attempt::destinations));
    router.add(&at("/endpoint/{endpoint}/resend"), once(state, recovery::resend));
    router.add(&at("/attempt/{attempt}"), get(attempt::get));
    router.add(&at("/attempt/{attempt}/content"), axum::routing::delete(attempt::expunge));
    router.add("/api/v1/auth/logout", post(portal::logout));
}

/// The team behind the sender: portal links, operational webhooks, jobs.
fn operators(router: &mut Routes, state: &Shared) {
    router.add("/api/v1/auth/app-portal-access/{app}", once(state, portal::access));
    router.add("/api/v1/auth/app/{app}/expire-all", once(state, portal::expire_all));
    router.add("/api/posthaste/v1/portal", get(looks::get).patch(looks::patch));
    router.add("/api/v1/background-task", get(task::list));
    router.add("/api/v1/background-task/{task}", get(task::get));
    router.add("/api/posthaste/v1/background-task/{task}/cancel", once(state, task::cancel));
    router.add("/api/posthaste/v1/find/{id}", get(find::find));
    let one = "/api/v1/operational-webhook/endpoint/{endpoint}";
    let at = |rest: &str| format!("{one}{rest}");
    router.add(
        "/api/v1/operational-webhook/endpoint",
        get(owned::list::<Operational>).merge(once(state, owned::create::<Operational>)),
    );
    router.add(
        one,
        get(owned::get::<Operational>).put(owned::put::<Operational>).delete(owned::delete::<Operational>),
    );
    router.add(&at("/headers"), get(owned::headers::<Operational>).put(owned::put_headers::<Operational>));
    router.add(&at("/secret"), get(owned::secret::<Operational>));
    router.add(&at("/secret/rotate"), once(state, owned::rotate::<Operational>));
}

/// Whoever receives from providers: the sources. Their doors are a role of their own.
fn receivers(router: &mut Routes, state: &Shared) {
    let one = "/ingest/api/v1/source/{source}";
    let at = |rest: &str| format!("{one}{rest}");
    router.add("/ingest/api/v1/source", get(ingest::source::list).merge(once(state, ingest::source::create)));
    router.add(
        one,
        get(ingest::source::get)
            .put(ingest::source::put)
            .patch(ingest::source::patch)
            .delete(ingest::source::delete),
    );
    router.add(&at("/token/rotate"), once(state, ingest::source::rotate_token));
    router.add(&at("/log"), get(ingest::log::list));
    router.add(&at("/request"), get(ingest::request::list).delete(ingest::request::clear));
    router.add(&at("/request/{request}"), get(ingest::request::get));
    router.add("/api/posthaste/v1/source/{source}/replay", once(state, replay::of_source));
    router.add(&at("/dashboard"), once(state, ingest::source::dashboard));
    router.add(&at("/endpoint"), get(owned::list::<OfSource>).merge(once(state, owned::create::<OfSource>)));
    let one = "/ingest/api/v1/source/{source}/endpoint/{endpoint}";
    let at = |rest: &str| format!("{one}{rest}");
    router
        .add(one, get(owned::get::<OfSource>).put(owned::put::<OfSource>).delete(owned::delete::<OfSource>));
    router.add(&at("/headers"), get(owned::headers::<OfSource>).put(owned::put_headers::<OfSource>));
    router.add(&at("/secret"), get(owned::secret::<OfSource>));
    router.add(&at("/secret/rotate"), once(state, owned::rotate::<OfSource>));
}

/// Developers' machines, which come and ask for what is owed to a listener. Only where deliveries are sent.
fn listeners(router: &mut Routes) {
    let at = |whose: &str| format!("/api/posthaste/v1/{whose}/endpoint/{{endpoint}}/listen");
    router.add(&at("app/{app}"), get(listen::of_app));
    router.add(&at("source/{source}"), get(listen::of_owned::<OfSource>));
    router.add(&at("operational-webhook"), get(listen::of_owned::<Operational>));
}

/// A POST whose repetition with the same idempotency key is answered from the first answer.
fn once<H, T>(state: &Shared, handler: H) -> MethodRouter<Shared>
where
    H: Handler<T, Shared>,
    T: 'static,
{
    post(handler).layer(from_fn_with_state(Arc::clone(state), idempotency::once))
}

/// A router on which every path also works with a slash at its end, as Svix's does. It knows all its paths.
struct Routes {
    router: Router<Shared>,
    paths: Vec<String>,
    /// The role that what is added now belongs to, if this node does not have it.
    elsewhere: Option<Role>,
}

impl Routes {
    /// What is added from now on is for nodes of this role.
    fn are_of(&mut self, role: Role, roles: Roles) {
        self.elsewhere = (!roles.has(role)).then_some(role);
    }

    fn served_here(&self, methods: MethodRouter<Shared>) -> MethodRouter<Shared> {
        match self.elsewhere {
            Some(role) => any(async move || ApiError::misdirected(role)),
            None => methods,
        }
    }

    /// Whatever stands behind `path`.
    fn add_all_behind(&mut self, path: &str, methods: MethodRouter<Shared>) {
        let methods = self.served_here(methods);
        let path = format!("{path}/{{*rest}}");
        self.router = std::mem::take(&mut self.router).route(&path, methods);
        self.paths.push(path);
    }

    fn add(&mut self, path: &str, methods: MethodRouter<Shared>) {
        let methods = self.served_here(methods);
        let router = std::mem::take(&mut self.router);
        self.router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
        self.paths.push(path.to_owned());
    }
}
