//! Who looks. A session is a token like those of the API, made at login and good for some hours: it is kept as a hash,
//! known to all nodes, and ends when it is revoked.

use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use posthaste_core::app::Reference;
use posthaste_core::id::TokenId;
use posthaste_core::looks::Looks;
use posthaste_core::tenant::{EnvironmentId, Principal, Scope};
use posthaste_core::token::{Token, TokenHash};
use posthaste_store::directory::NewToken;

use crate::Shared;
use crate::error::{Answer, UiError};
use crate::headers::Pictures;
use crate::look::Look;
use crate::stranger::Stranger;

/// How long a login lasts.
pub(crate) const SESSION_LIFE: Duration = Duration::from_hours(12);
/// The cookie that holds it.
pub(crate) const COOKIE_NAME: &str = "posthaste_session";

/// Whoever looks at a page.
#[derive(Clone)]
pub(crate) struct Visitor {
    principal: Principal,
    /// With what links to pages of an app begin.
    pub(crate) base: String,
    session: String,
    /// As their link asks.
    pub(crate) look: Look,
    /// As the environment looks; operators see us as we are.
    pub(crate) looks: Looks,
}

impl Visitor {
    pub(crate) fn is_operator(&self) -> bool {
        self.principal.scope == Scope::Environment
    }

    /// Whether they came by a portal link.
    pub(crate) fn is_by_link(&self) -> bool {
        self.base.starts_with("/portal/")
    }

    pub(crate) fn may_write(&self) -> bool {
        !matches!(self.principal.scope, Scope::App { read_only: true, .. })
    }

    /// Their token, in the clear.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The environment, for what everybody in it may see.
    pub(crate) fn tenant(&self) -> EnvironmentId {
        self.principal.environment
    }

    /// The environment, for whoever may see all of it.
    pub(crate) fn environment(&self) -> Answer<EnvironmentId> {
        if self.is_operator() { Ok(self.principal.environment) } else { Err(UiError::NotFound("page")) }
    }

    /// The environment and the app, for whoever may see it. A customer sees their own app and no other.
    pub(crate) async fn reads(&self, state: &Shared, app: &str) -> Answer<(EnvironmentId, Reference)> {
        let asked = Reference::new(app);
        let Scope::App { app: own, .. } = self.principal.scope else {
            return Ok((self.principal.environment, asked));
        };
        let is_own = match asked.id() {
            Some(id) => id == own,
            None => state.directory.app(self.principal.environment, &asked).await?.id == own,
        };
        if is_own {
            Ok((self.principal.environment, Reference::from(own)))
        } else {
            Err(UiError::NotFound("application"))
        }
    }

    /// Where they begin.
    pub(crate) fn home(&self) -> String {
        match self.principal.scope {
            Scope::Environment => "/ui".to_owned(),
            Scope::App { app, .. } => format!("{}/apps/{app}", self.base),
        }
    }
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Answer<Self> {
        let in_path = RawPathParams::from_request_parts(parts, state).await.ok();
        let named = |wanted: &str| {
            let found = in_path.iter().flatten().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.to_owned())
        };
        let (in_path, look) = (named("session"), Look::read(&named("look").unwrap_or_default()));
        let by_cookie = in_path.is_none();
        let (session, base) = match in_path {
            Some(session) => {
                let base = format!("/portal/s/{session}/{}", look.as_segment());
                (session, base)
            }
            None => (cookie(&parts.headers).ok_or(UiError::NoSession)?.to_owned(), "/ui".to_owned()),
        };
        if by_cookie && parts.method != Method::GET && !is_of_our_pages(&parts.headers) {
            return Err(UiError::Foreign);
        }
        let found = Stranger::of(parts, state).shows(state, &session).await?;
        let principal = found.ok_or(if by_cookie { UiError::NoSession } else { UiError::Ended })?;
        let looks =
            if by_cookie { Looks::default() } else { state.access.looks(principal.environment).await? };
        if let Some(pictures) = parts.extensions.get::<Pictures>() {
            pictures.allow(&looks);
        }
        Ok(Self { principal, base, session, look, looks })
    }
}

/// The session in a cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value).next()
}

/// Whether a form was sent from a page of ours. Browsers say where a request comes from, and pages cannot make them lie:
/// <https://web.dev/articles/fetch-metadata>, and `Origin` where that is not said.
pub(crate) fn is_of_our_pages(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let host = text(HOST.as_str());
    match text(ORIGIN.as_str()) {
        Some(origin) => origin.split_once("://").map(|(_, rest)| rest) == host,
        // No browser: nobody's cookies are abused.
        None => true,
    }
}

/// Makes a session with the rights of a token, which ends with it; `None` if that is none.
pub(crate) async fn begin(
    state: &Shared,
    stranger: &Stranger,
    token: &str,
) -> Answer<Option<(Token, Principal)>> {
    let token = token.trim();
    let Some(principal) = stranger.shows(state, token).await? else { return Ok(None) };
    let session = session_of(state, principal, Some(TokenHash::of(token))).await?;
    Ok(Some((session, principal)))
}

/// Makes a session; without a token, one that stands for itself.
pub(crate) async fn session_of(state: &Shared, principal: Principal, of: Option<TokenHash>) -> Answer<Token> {
    let now = state.clock.now();
    let session = Token::fresh(&*state.dice);
    let new = NewToken {
        id: TokenId::fresh(now, &*state.dice),
        environment: principal.environment,
        scope: principal.scope,
        hash: session.hash(),
        hint: session.hint().to_owned(),
        expires_at: Some(now.later(SESSION_LIFE)),
    };
    state.access.create_session(new, of, now).await?;
    Ok(session)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn said(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_of_another_site_is_told_from_one_of_ours() {
        assert!(is_of_our_pages(&said(&[("sec-fetch-site", "same-origin")])));
        assert!(!is_of_our_pages(&said(&[("sec-fetch-site", "cross-site")])));
        assert!(!is_of_our_pages(&said(&[("sec-fetch-site", "same-site")])));
        assert!(is_of_our_pages(&said(&[("host", "a:1"), ("origin", "http://a:1")])));
        assert!(!is_of_our_pages(&said(&[("host", "a:1"), ("origin", "http://b:1")])));
        assert!(!is_of_our_pages(&said(&[("host", "a:1"), ("origin", "null")])));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(cookie(&said(&[("cookie", "a=b; posthaste_session=phk_1; c=d")])), Some("phk_1"));
        assert_eq!(cookie(&said(&[("cookie", "xposthaste_session=phk_1")])), None);
    }
}
