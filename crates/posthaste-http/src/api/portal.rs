//! Portal access: a token for one app, and a link that carries it.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, TokenId};
use posthaste_core::limits::{EXPIRE_ALL_MAX, PORTAL_TOKEN_LIFE_MAX};
use posthaste_core::name::Label;
use posthaste_core::tenant::{EnvironmentId, Scope};
use posthaste_core::token::{Token, TokenHash};
use posthaste_store::ChangeError;
use posthaste_store::directory::{Made, NewToken};
use serde_json::json;

use super::app;
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::{Caller, bearer};
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, boolean, integer, names, uid_in_path};
use crate::extract::path::Path;
use crate::state::ApiState;

pub(crate) async fn access(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let mut fields = fields_of(&body)?;
    let asked = Asked::of(&mut fields);
    // Feature flags and capabilities shape the portal's pages; they are checked, and come with those pages.
    fields.get("featureFlags", names(Label::parse, 25, true));
    let described = fields.nested("application", |fields| app::read(fields, &state)).flatten();
    fields.done()?;
    let now = state.clock.now();
    let found = match (state.directory.app(environment, &Reference::new(app.as_str())).await, described) {
        (Err(ChangeError::NotFound(_)), Some(mut new)) => {
            let in_path = uid_in_path("app_", &app).ok_or_else(|| ApiError::not_found("application"))?;
            new.uid = new.uid.or(Some(in_path));
            let (Made::Created(app) | Made::Existed(app)) =
                state.directory.create_app(environment, new, true, now).await?;
            app
        }
        (found, _) => found?,
    };
    link_to(&state, environment, found.id, asked).await
}

fn fields_of(body: &JsonBody) -> Answer<Fields> {
    if body.0.is_empty() { Ok(Fields::over(serde_json::Map::new())) } else { Fields::of(body) }
}

/// What a link should be good for.
pub(crate) struct Asked {
    read_only: bool,
    life: Duration,
}

impl Asked {
    pub(crate) fn read(body: &JsonBody) -> Answer<Self> {
        let mut fields = fields_of(body)?;
        let asked = Self::of(&mut fields);
        fields.done()?;
        Ok(asked)
    }

    fn of(fields: &mut Fields) -> Self {
        let read_only = fields.get("readOnly", boolean).value().unwrap_or(false);
        let longest = i64::try_from(PORTAL_TOKEN_LIFE_MAX.as_secs()).unwrap_or(i64::MAX);
        let life = fields.get("expiry", integer(3_600..=longest)).value().unwrap_or(longest);
        Self { read_only, life: Duration::from_secs(life.unsigned_abs()) }
    }
}

/// A fresh token for one app, and a link that carries it.
pub(crate) async fn link_to(
    state: &ApiState,
    environment: EnvironmentId,
    app: AppId,
    asked: Asked,
) -> Answer<Response> {
    let now = state.clock.now();
    let token = Token::fresh(&*state.dice);
    let new = NewToken {
        id: TokenId::fresh(now, &*state.dice),
        environment,
        scope: Scope::App { app, read_only: asked.read_only },
        hash: token.hash(),
        hint: token.hint().to_owned(),
        expires_at: Some(now.later(asked.life)),
    };
    state.directory.create_token(new, now).await?;
    let key = json!({ "appId": app.to_string(), "token": token.expose() }).to_string();
    // Behind the hash, so that it is sent to no server and stands in no log.
    let url =
        format!("{}/portal/login#key={}", state.settings.public_url, BASE64_URL_SAFE_NO_PAD.encode(key));
    Ok(json_of(StatusCode::OK, &json!({ "token": token.expose(), "url": url })))
}

/// Ends all tokens and sessions of an app: at once, or so many seconds from now.
pub(crate) async fn expire_all(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    let mut fields = fields_of(&body)?;
    let longest = i64::try_from(EXPIRE_ALL_MAX.as_secs()).unwrap_or(i64::MAX);
    let after = fields.get("expiry", integer(0..=longest)).value().unwrap_or(0);
    if fields.get("sessionIds", Ok).value().is_some_and(|ids| ids != json!([])) {
        fields.wrong("sessionIds", "is not known here: leave it out to end all of them");
    }
    fields.done()?;
    let now = state.clock.now();
    let found = state.directory.app(environment, &Reference::new(app)).await?;
    let at = now.later(Duration::from_secs(after.unsigned_abs()));
    state.access.end_tokens_of_app(environment, found.id, at, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the token that asks.
pub(crate) async fn logout(State(state): State<Shared>, _: Caller, headers: HeaderMap) -> Answer<StatusCode> {
    let hash = TokenHash::of(bearer(&headers)?);
    state.directory.revoke_token_by_hash(hash, state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
