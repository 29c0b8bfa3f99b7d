//! The way in for listeners: a request that becomes a WebSocket, for whoever may manage the endpoint.

mod right;
mod socket;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, UPGRADE};
use axum::response::{IntoResponse as _, Response};
use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::listener;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::directory::Owner;
use posthaste_tunnel::frame::{FROM_CLIENT_BYTES_MAX, PING_INTERVAL, Ready};
use zeroize::Zeroizing;

use crate::Shared;
use crate::api::owned::{One, Owned};
use crate::error::{Answer, ApiError};
use crate::extract::auth::{Caller, bearer};
use crate::extract::path::Path;
use right::Right;

/// A request that asks to become a WebSocket, if it does.
type Asked = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// To an endpoint of an app.
pub(crate) async fn of_app(
    State(state): State<Shared>,
    caller: Caller,
    Path((app, endpoint)): Path<(String, String)>,
    headers: HeaderMap,
    asked: Asked,
) -> Answer<Response> {
    let (environment, app) = caller.writes(&state, app).await?;
    listen(state, (environment, Owner::App(app), Reference::new(endpoint)), &headers, asked).await
}

/// To one of a source, or of the environment's operational webhooks.
pub(crate) async fn of_owned<O: Owned>(one: One<O>, headers: HeaderMap, asked: Asked) -> Answer<Response> {
    let (state, place) = one.into_place();
    listen(state, place, &headers, asked).await
}

async fn listen(
    state: Shared,
    (environment, owner, endpoint): (EnvironmentId, Owner, Reference),
    headers: &HeaderMap,
    asked: Asked,
) -> Answer<Response> {
    let endpoint = state.directory.endpoint(environment, &owner, &endpoint).await?;
    let Some(Ok(name)) = listener::name_of(&endpoint.url) else {
        return Err(ApiError::not_a_listener());
    };
    if endpoint.disabled {
        return Err(ApiError::conflict("this endpoint is disabled: enable it, then listen"));
    }
    let Ok(asked) = asked else { return Ok(no_upgrade()) };
    let session = state.listeners.admit(environment, endpoint.id).map_err(ApiError::from)?;
    let ready = Ready {
        name: name.to_owned(),
        waiting: waiting(&state, environment, &endpoint).await,
        heartbeat_ms: millis(PING_INTERVAL),
        timeout_ms: millis(state.settings.request_timeout),
    };
    let right = Right::new(Zeroizing::new(bearer(headers)?.to_owned()), environment, owner, &endpoint);
    // The bytes of a message that nobody has asked for are not taken in.
    let asked = asked.max_message_size(FROM_CLIENT_BYTES_MAX).max_frame_size(FROM_CLIENT_BYTES_MAX);
    Ok(asked.on_upgrade(move |socket| socket::hold(socket, session, ready, right, state)))
}

/// How many requests wait. For people: what cannot be counted now is none.
async fn waiting(state: &Shared, environment: EnvironmentId, endpoint: &Endpoint) -> u32 {
    let now = state.clock.now();
    let (app, id) = (Reference::from(endpoint.app), Reference::new(endpoint.id.to_string()));
    let since = now.earlier(state.settings.retention);
    let counts = state.history.endpoint_stats(environment, &app, &id, since, now).await;
    counts.map_or(0, |counts| u32::try_from(counts.pending + counts.sending).unwrap_or(u32::MAX))
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn no_upgrade() -> Response {
    let mut response = ApiError::upgrade_required().into_response();
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}
