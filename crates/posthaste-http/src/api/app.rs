//! Apps.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use posthaste_core::app::{App, AppChange, NewApp, Reference};
use posthaste_core::id::AppId;
use posthaste_core::limits::APP_NAME_LENGTH_MAX;
use posthaste_core::name::Uid;
use posthaste_store::ChangeError;
use posthaste_store::directory::Made;
use posthaste_store::page::Order;
use serde_json::{Value, json};

use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::fields::{Fields, metadata, named, rate, title, uid, uid_in_path};
use crate::extract::path::Path;
use crate::extract::query::{ListOut, Query};
use crate::state::ApiState;

/// An app on the wire.
pub(crate) fn out(app: App) -> Value {
    json!({
        "id": app.id.to_string(),
        "uid": app.uid.as_ref().map(Uid::as_str),
        "name": app.name,
        "throttleRate": app.rate_per_second,
        "rateLimit": app.rate_per_second,
        "metadata": app.metadata,
        "createdAt": app.created_at.to_string(),
        "updatedAt": app.updated_at.to_string(),
    })
}

/// Reads `ApplicationIn`.
pub(crate) fn read(fields: &mut Fields, state: &ApiState) -> Option<NewApp> {
    let name = fields.required("name", title(APP_NAME_LENGTH_MAX));
    let uid = fields.get("uid", uid("app_", Uid::parse)).value();
    let rate_per_second = fields.either(["throttleRate", "rateLimit"], rate).value();
    let metadata = fields.not_null("metadata", metadata).unwrap_or_default();
    let id = AppId::fresh(state.clock.now(), &*state.dice);
    Some(NewApp { id, uid, name: name?, rate_per_second, metadata })
}

pub(crate) async fn list(State(state): State<Shared>, caller: Caller, query: Query) -> Answer<Response> {
    let environment = caller.environment()?;
    let page = query.page_of_ids(Order::Ascending, state.clock.now())?;
    let page = state.directory.apps(environment, page).await?;
    Ok(json_of(StatusCode::OK, &ListOut::of(page, |app| app.id.to_string(), out)))
}

pub(crate) async fn create(
    State(state): State<Shared>,
    caller: Caller,
    query: Query,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let if_exists = query.flag("get_if_exists", false)?;
    let mut fields = Fields::of(&body)?;
    let new = read(&mut fields, &state);
    fields.done()?;
    let Some(new) = new else { return Err(ApiError::bad_request("the body is incomplete")) };
    let made = state.directory.create_app(environment, new, if_exists, state.clock.now()).await?;
    Ok(match made {
        Made::Created(app) => json_of(StatusCode::CREATED, &out(app)),
        Made::Existed(app) => json_of(StatusCode::OK, &out(app)),
    })
}

pub(crate) async fn get(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
) -> Answer<Response> {
    let (environment, app) = caller.reads(&state, app).await?;
    let app = state.directory.app(environment, &app).await?;
    Ok(json_of(StatusCode::OK, &out(app)))
}

/// Replaces an app, or makes it under the uid of the body.
pub(crate) async fn put(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let app = Reference::new(app);
    let mut fields = Fields::of(&body)?;
    let new = read(&mut fields, &state);
    fields.done()?;
    let Some(mut new) = new else {
        return Err(ApiError::bad_request("the body is incomplete"));
    };
    let change = AppChange {
        uid: Some(new.uid.clone()),
        name: Some(new.name.clone()),
        rate_per_second: Some(new.rate_per_second),
        metadata: Some(new.metadata.clone()),
    };
    let now = state.clock.now();
    match state.directory.change_app(environment, &app, change, now).await {
        Ok(app) => Ok(json_of(StatusCode::OK, &out(app))),
        Err(ChangeError::NotFound(_)) => {
            // The path's uid names what is made, unless the body says otherwise.
            let in_path =
                uid_in_path("app_", app.as_str()).ok_or_else(|| ApiError::not_found("application"))?;
            new.uid = new.uid.or(Some(in_path));
            let made = state.directory.create_app(environment, new, false, now).await?;
            let (Made::Created(app) | Made::Existed(app)) = made;
            Ok(json_of(StatusCode::CREATED, &out(app)))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn patch(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
    body: JsonBody,
) -> Answer<Response> {
    let environment = caller.environment()?;
    let mut fields = Fields::of(&body)?;
    let change = AppChange {
        uid: fields.get("uid", uid("app_", Uid::parse)).change(),
        name: fields.not_null("name", title(APP_NAME_LENGTH_MAX)),
        rate_per_second: fields.either(["throttleRate", "rateLimit"], rate).change(),
        metadata: fields.not_null("metadata", metadata),
    };
    fields.done()?;
    let app =
        state.directory.change_app(environment, &Reference::new(app), change, state.clock.now()).await?;
    Ok(json_of(StatusCode::OK, &out(app)))
}

pub(crate) async fn delete(
    State(state): State<Shared>,
    caller: Caller,
    Path(app): Path<String>,
) -> Answer<StatusCode> {
    let environment = caller.environment()?;
    state.directory.delete_app(environment, &Reference::new(app), state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the uid of an app named in another object, for messages that make their app.
pub(crate) fn reference_of(new: &NewApp) -> Reference {
    new.uid.as_ref().map_or_else(|| Reference::from(new.id), |uid| Reference::new(uid.as_str()))
}

/// Names of feature flags and groups.
pub(crate) fn label(value: Value) -> Result<posthaste_core::name::Label, String> {
    named(posthaste_core::name::Label::parse)(value)
}
