//! What a page says instead of itself.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Redirect, Response};
use posthaste_store::{ChangeError, StoreError};

/// A page, or why not.
pub(crate) type Answer<T> = Result<T, UiError>;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum UiError {
    /// Nobody is logged in.
    NoSession,
    /// A portal link's session is over.
    Ended,
    /// A form of another site.
    Foreign,
    /// Too many tokens that were none: how long to wait.
    TooMany(Duration),
    /// They may look and not touch.
    Forbidden,
    /// It is not there, or another tenant's.
    NotFound(&'static str),
    /// What was asked for makes no sense; in a sentence.
    Rejected(String),
    /// The store cannot answer now.
    Unavailable,
    /// We failed.
    Failed,
}

impl From<StoreError> for UiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Busy(_) | StoreError::Unwell(_) => Self::Unavailable,
            error => {
                tracing::error!(%error, "a page could not be made");
                Self::Failed
            }
        }
    }
}

impl From<ChangeError> for UiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound(what) => Self::NotFound(what),
            ChangeError::Store(error) => error.into(),
            other => Self::Rejected(format!("{other}.")),
        }
    }
}

/// Whole seconds, none too few.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl UiError {
    fn said(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NoSession | Self::Ended => (
                StatusCode::UNAUTHORIZED,
                "This session is over",
                "Open the link again, or ask whoever gave it to you for a new one.".to_owned(),
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "This form is not one of ours",
                "It was sent by another site. Nothing was changed.".to_owned(),
            ),
            Self::TooMany(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many tries",
                format!(
                    "Too many wrong tokens or passwords came from your address: try again in {} s.",
                    seconds(*wait)
                ),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "This link is for looking only",
                "Nothing was changed. Ask for a link that may change things.".to_owned(),
            ),
            Self::NotFound(what) => (
                StatusCode::NOT_FOUND,
                "Not found",
                format!("There is no such {what} here: it was deleted, is past retention, or never was."),
            ),
            Self::Rejected(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be done", why.clone()),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store does not answer",
                "Nothing is lost. Try again in a moment.".to_owned(),
            ),
            Self::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong here",
                "The server's log says what.".to_owned(),
            ),
        }
    }
}

/// Carried to [`headers::advise`](crate::headers::advise), which knows the templates.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

impl IntoResponse for UiError {
    fn into_response(self) -> Response {
        if matches!(self, Self::NoSession) {
            return Redirect::to("/ui/login").into_response();
        }
        let (status, title, detail) = self.said();
        let mut response = status.into_response();
        let wait = match &self {
            Self::Unavailable => Some(2),
            Self::TooMany(wait) => Some(seconds(*wait)),
            _ => None,
        };
        if let Some(wait) = wait {
            response.headers_mut().insert(RETRY_AFTER, wait.into());
        }
        response.extensions_mut().insert(Said { title, detail });
        response
    }
}
