//! Who asks: a token of ours, or one that svix-server made, in `Authorization: Bearer`.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use posthaste_core::app::Reference;
use posthaste_core::id::AppId;
use posthaste_core::tenant::{EnvironmentId, Principal, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;

use super::jwt;
use crate::Shared;
use crate::error::{Answer, ApiError};
use crate::inbound::{Peer, client};
use crate::state::ApiState;

/// Longer than any token of ours or of svix-server's.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Whoever stands behind a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller(Principal);

impl Caller {
    /// The environment, for callers that may touch all of it.
    pub(crate) fn environment(self) -> Answer<EnvironmentId> {
        match self.0.scope {
            Scope::Environment => Ok(self.0.environment),
            Scope::App { .. } => Err(ApiError::forbidden()),
        }
    }

    /// Whoever stands behind a token now, which was good when its request began; nobody, if it is not any more.
    pub(crate) async fn again(state: &ApiState, token: &str) -> Answer<Option<Self>> {
        let found = principal(state, token, TokenHash::of(token), state.clock.now()).await?;
        Ok(found.map(Self))
    }

    /// The environment, and the one app of it that the caller may touch, if there is such a limit.
    pub(crate) fn environment_and_app(self) -> (EnvironmentId, Option<AppId>) {
        match self.0.scope {
            Scope::Environment => (self.0.environment, None),
            Scope::App { app, .. } => (self.0.environment, Some(app)),
        }
    }

    /// What tells one caller's idempotency keys from another's: what they may touch, and not their token, which may
    /// be renewed between two tries.
    pub(crate) fn as_scope(self) -> String {
        let environment = self.0.environment.0;
        match self.0.scope {
            Scope::Environment => environment.to_string(),
            Scope::App { app, read_only } => format!("{environment}/{app}/{read_only}"),
        }
    }

    /// The environment and the app, for callers that may read it. A customer's token sees its own app and no other: by
    /// its id from here on, so that a uid which moves meanwhile leads nowhere else.
    pub(crate) async fn reads(self, state: &ApiState, app: String) -> Answer<(EnvironmentId, Reference)> {
        let asked = Reference::new(app);
        let Scope::App { app: own, .. } = self.0.scope else { return Ok((self.0.environment, asked)) };
        let is_own = match asked.id() {
            Some(id) => id == own,
            None => state.directory.app(self.0.environment, &asked).await?.id == own,
        };
        if !is_own {
            return Err(ApiError::not_found("application"));
        }
        Ok((self.0.environment, Reference::from(own)))
    }

    /// The environment and the app, for callers that may change things of it.
    pub(crate) async fn writes(self, state: &ApiState, app: String) -> Answer<(EnvironmentId, Reference)> {
        let found = self.reads(state, app).await?;
        match self.0.scope {
            Scope::App { read_only: true, .. } => Err(ApiError::forbidden()),
            _ => Ok(found),
        }
    }
}

/// The token in the request's one `Authorization` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Answer<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| {
        ApiError::unauthorized("the authorization header is missing: send \"Authorization: Bearer TOKEN\"")
    })?;
    if values.next().is_some() {
        return Err(ApiError::unauthorized("there is more than one authorization header"));
    }
    let value =
        value.to_str().map_err(|_| ApiError::unauthorized("the token has characters that no token has"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthorized("the authorization header must be \"Bearer TOKEN\""));
    }
    let token = token.trim();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(ApiError::unauthorized("the token is empty or far too long"));
    }
    Ok(token)
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Answer<Self> {
        // Once a request, though both an idempotency key and its handler ask: it counts once.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(*caller);
        }
        let token = bearer(&parts.headers)?;
        let (hash, now) = (TokenHash::of(token), state.clock.now());
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let from = client(peer, &parts.headers, &state.settings.trusted_proxies);
        state.callers.may_try(hash, from, now).map_err(|wait| {
            let detail = "too many tokens from this address were none: try again later";
            ApiError::TooMany { detail, wait }
        })?;
        let Some(principal) = principal(state, token, hash, now).await? else {
            state.callers.failed(hash, from, now);
            return Err(ApiError::unauthorized("the token is unknown, expired or revoked"));
        };
        state.callers.asks(hash, state.settings.token_rate, now).map_err(|wait| {
            let detail = "this token makes more requests a second than it may: try again later";
            ApiError::TooMany { detail, wait }
        })?;
        parts.extensions.insert(Self(principal));
        Ok(Self(principal))
    }
}

/// Who stands behind a token, from the store each time: one that was revoked ends at once.
async fn principal(
    state: &ApiState,
    token: &str,
    hash: TokenHash,
    now: Timestamp,
) -> Answer<Option<Principal>> {
    if let Some(principal) = state.directory.authenticate(hash, now).await? {
        return Ok(Some(principal));
    }
    let secret = state.settings.jwt_secret.as_ref();
    let Some(org) = secret.and_then(|secret| jwt::verify(token, secret, now)) else { return Ok(None) };
    let environment = state.directory.environment_of_org(org, now).await?;
    Ok(Some(Principal { environment, scope: Scope::Environment }))
}
