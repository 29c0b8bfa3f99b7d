//! One error type, one shape, mapped in one place: `{code, detail}`, or 422 with every field that is wrong.

use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use posthaste_core::role::Role;
use posthaste_store::{ChangeError, StoreError};
use posthaste_tunnel::listeners::Full;
use serde::Serialize;
use serde_json::json;

use crate::slow::TooSlow;

/// A field that is wrong.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// Where it stands: `["body", "url"]`.
    pub(crate) loc: Vec<String>,
    /// What is wrong, and how it should be.
    pub(crate) msg: String,
    /// `value_error` or `value_error.missing`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// A status with a code and a sentence.
    Plain { status: StatusCode, code: &'static str, detail: String },
    /// Fields that are wrong, all of them.
    Invalid(Vec<Invalid>),
    /// Asked too often: what of, and how long to wait.
    TooMany { detail: &'static str, wait: Duration },
    /// The body did not arrive in time: whatever still comes of it is no request, so the connection ends.
    TooSlow,
    /// We failed. The cause was logged and is not told.
    Unavailable,
}

pub(crate) type Answer<T> = Result<T, ApiError>;

impl ApiError {
    fn plain(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Plain { status, code, detail: detail.into() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNAUTHORIZED, "authentication_failed", detail)
    }

    pub(crate) fn forbidden() -> Self {
        let detail = "this token does not have permission for that";
        Self::plain(StatusCode::FORBIDDEN, "insufficient_permission", detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::plain(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::CONFLICT, "conflict", detail)
    }

    /// Another node's work. Not 404, by which a caller would learn that what it asks for is not there.
    pub(crate) fn misdirected(role: Role) -> Self {
        let what = match role {
            Role::Api => "the API",
            Role::Inbound => "the addresses of sources",
            Role::Deliver => "deliveries",
        };
        let detail = format!("this node does not serve {what} (role {role}): ask one that does");
        Self::plain(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
    }

    pub(crate) fn unsupported_media(detail: impl Into<String>) -> Self {
        Self::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("the size of the request is over the limit of {limit} bytes");
        Self::plain(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    pub(crate) fn not_supported(what: &str) -> Self {
        let detail = format!("{what} is part of Svix's API that this server does not support yet");
        Self::plain(StatusCode::NOT_IMPLEMENTED, "not_supported", detail)
    }

    pub(crate) fn upgrade_required() -> Self {
        let detail = "this is for listeners, who come by WebSocket: try posthaste listen";
        Self::plain(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
    }

    pub(crate) fn not_a_listener() -> Self {
        let detail = "this endpoint has an address of its own: to listen to it, set its url to listener:NAME";
        Self::plain(StatusCode::UNPROCESSABLE_ENTITY, "not_a_listener", detail)
    }

    /// One field of the body, the query or the path.
    pub(crate) fn invalid(place: &'static str, field: &str, msg: impl Into<String>) -> Self {
        Self::Invalid(vec![Invalid::new(place, field, msg)])
    }
}

impl Invalid {
    pub(crate) fn new(place: &'static str, field: &str, msg: impl Into<String>) -> Self {
        let path = field.split('.').filter(|part| !part.is_empty()).map(str::to_owned);
        let loc = std::iter::once(place.to_owned()).chain(path).collect();
        Self { loc, msg: shortened(msg.into()), kind: "value_error" }
    }

    pub(crate) fn missing(place: &'static str, field: &str) -> Self {
        Self { kind: "value_error.missing", ..Self::new(place, field, format!("{field} is required")) }
    }
}

/// Characters of one message: any sentence of ours, and not the whole of what a library repeats of its input.
const MESSAGE_LENGTH_MAX: usize = 400;

fn shortened(msg: String) -> String {
    match msg.char_indices().nth(MESSAGE_LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &msg[..end]),
        None => msg,
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            // Told once, where it was found out: a full disk should not be filled with lines about it.
            StoreError::Unwell(why) => tracing::debug!(why, "a request could not be done"),
            // Told once and counted, where it was refused.
            StoreError::Busy(why) => tracing::debug!(why, "a request could not be done"),
            error => tracing::error!(%error, "a request could not be done"),
        }
        Self::Unavailable
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let status = match full {
            Full::Environment => StatusCode::TOO_MANY_REQUESTS,
            Full::Process | Full::Leaving => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::plain(status, "too_many_listeners", full.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound(what) => Self::not_found(what),
            ChangeError::Taken(_) | ChangeError::Outdated(_) | ChangeError::TooMany(_) => {
                Self::conflict(error.to_string())
            }
            ChangeError::KeyReused => Self::invalid("header", "idempotency-key", error.to_string()),
            ChangeError::KeyInUse => Self::conflict(format!("idempotency-key: {error}")),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Plain { status, code, detail } => (status, json!({ "code": code, "detail": detail })),
            Self::TooMany { detail, wait } => {
                let body = json!({ "code": "rate_limited", "detail": detail });
                let mut response = json_response(StatusCode::TOO_MANY_REQUESTS, body.to_string());
                response.headers_mut().insert(RETRY_AFTER, retry_after(wait));
                return response;
            }
            Self::Invalid(fields) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "detail": fields })),
            Self::TooSlow => {
                let body = json!({ "code": "timeout", "detail": TooSlow.to_string() });
                let mut response = json_response(StatusCode::REQUEST_TIMEOUT, body.to_string());
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                return response;
            }
            Self::Unavailable => {
                let detail =
                    "the store is not available now: try again, with an idempotency key if it matters";
                let body = json!({ "code": "unavailable", "detail": detail });
                let mut response = json_response(StatusCode::SERVICE_UNAVAILABLE, body.to_string());
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                return response;
            }
        };
        json_response(status, body.to_string())
    }
}

/// A wait in whole seconds, and never none.
pub(crate) fn retry_after(wait: Duration) -> HeaderValue {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HeaderValue::from(secs.max(1))
}

const JSON: (HeaderName, HeaderValue) = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
/// Payloads and receivers' answers stand in our JSON as they came: no browser may look for a page in them.
const AS_IT_SAYS: (HeaderName, HeaderValue) = (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    (status, [JSON, AS_IT_SAYS], body.into()).into_response()
}

/// A value as a JSON answer.
pub(crate) fn json_of(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_response(status, body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            ApiError::Unavailable.into_response()
        }
    }
}
