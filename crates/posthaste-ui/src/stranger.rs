//! Whoever is nobody yet: from where they come, and how often they may try.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use posthaste_core::tenant::Principal;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;

use crate::Shared;
use crate::error::{Answer, UiError};

/// How often may be tried what is none. Its owner counts what is tried at the API too.
pub trait Limits: Send + Sync {
    /// From where a request comes, as far as that is known.
    fn from(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr>;

    /// Whether to look a token up.
    ///
    /// # Errors
    /// How long to wait, if too many of this client's were none.
    fn may_try(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration>;

    /// The token was none.
    fn failed(&self, token: TokenHash, from: Option<IpAddr>, now: Timestamp);

    /// Whether to look at a password.
    ///
    /// # Errors
    /// How long to wait, if too many of this client's were wrong.
    fn may_guess(&self, from: Option<IpAddr>, now: Timestamp) -> Result<(), Duration>;

    /// The password was wrong.
    fn guessed_wrong(&self, from: Option<IpAddr>, now: Timestamp);
}

/// Somebody who may show who they are.
pub(crate) struct Stranger {
    pub(crate) from: Option<IpAddr>,
}

impl Stranger {
    pub(crate) fn of(parts: &Parts, state: &Shared) -> Self {
        Self { from: state.limits.from(&parts.extensions, &parts.headers) }
    }

    /// Who stands behind a token; what is none counts against where it came from.
    pub(crate) async fn shows(&self, state: &Shared, token: &str) -> Answer<Option<Principal>> {
        let (hash, now) = (TokenHash::of(token), state.clock.now());
        state.limits.may_try(hash, self.from, now).map_err(UiError::TooMany)?;
        let found = state.directory.authenticate(hash, now).await?;
        if found.is_none() {
            state.limits.failed(hash, self.from, now);
        }
        Ok(found)
    }
}

impl FromRequestParts<Shared> for Stranger {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}
