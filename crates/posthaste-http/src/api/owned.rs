//! Endpoints that no app of the caller's owns: those of a source, and those of the environment's operational webhooks.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use posthaste_core::app::Reference;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::directory::Owner;
use serde::de::DeserializeOwned;

use super::{endpoint, headers as custom_headers, secret as secrets};
use crate::Shared;
use crate::error::{Answer, ApiError, json_of};
use crate::extract::auth::Caller;
use crate::extract::body::JsonBody;
use crate::extract::path::Path;
use crate::extract::query::Query;

/// Whose endpoints a route is about, as its path says.
pub(crate) trait Owned: Send + Sync + 'static {
    /// The parameters of a path that ends in `/endpoint`.
    type All: DeserializeOwned + Send;
    /// Those of a path that names one endpoint.
    type One: DeserializeOwned + Send;

    fn all(path: Self::All) -> Owner;

    fn one(path: Self::One) -> (Owner, Reference);
}

/// The environment's own.
pub(crate) struct Operational;

impl Owned for Operational {
    type All = ();
    type One = String;

    fn all((): ()) -> Owner {
        Owner::Operational
    }

    fn one(endpoint: String) -> (Owner, Reference) {
        (Owner::Operational, Reference::new(endpoint))
    }
}

/// A source's.
pub(crate) struct OfSource;

impl Owned for OfSource {
    type All = String;
    type One = (String, String);

    fn all(source: String) -> Owner {
        Owner::Source(Reference::new(source))
    }

    fn one((source, endpoint): (String, String)) -> (Owner, Reference) {
        (Self::all(source), Reference::new(endpoint))
    }
}

/// All endpoints of an owner, for a caller that may touch the whole environment.
pub(crate) struct All<O> {
    state: Shared,
    environment: EnvironmentId,
    owner: Owner,
    of: PhantomData<O>,
}

/// One of them.
pub(crate) struct One<O> {
    state: Shared,
    environment: EnvironmentId,
    owner: Owner,
    endpoint: Reference,
    of: PhantomData<O>,
}

async fn read<P>(parts: &mut Parts, state: &Shared) -> Answer<(EnvironmentId, P)>
where
    P: DeserializeOwned + Send,
{
    let environment = Caller::from_request_parts(parts, state).await?.environment()?;
    let Path(path) = Path::from_request_parts(parts, state).await?;
    Ok((environment, path))
}

impl<O> One<O> {
    /// Which it is.
    pub(crate) fn into_place(self) -> (Shared, (EnvironmentId, Owner, Reference)) {
        (self.state, (self.environment, self.owner, self.endpoint))
    }
}

impl<O: Owned> FromRequestParts<Shared> for All<O> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Answer<Self> {
        let (environment, path) = read(parts, state).await?;
        Ok(Self { state: Shared::clone(state), environment, owner: O::all(path), of: PhantomData })
    }
}

impl<O: Owned> FromRequestParts<Shared> for One<O> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Answer<Self> {
        let (environment, path) = read(parts, state).await?;
        let (owner, endpoint) = O::one(path);
        Ok(Self { state: Shared::clone(state), environment, owner, endpoint, of: PhantomData })
    }
}

pub(crate) async fn list<O: Owned>(all: All<O>, query: Query) -> Answer<Response> {
    endpoint::list_of(&all.state, all.environment, &all.owner, &query).await
}

pub(crate) async fn create<O: Owned>(all: All<O>, body: JsonBody) -> Answer<Response> {
    endpoint::create_of(&all.state, all.environment, &all.owner, &body).await
}

pub(crate) async fn get<O: Owned>(one: One<O>) -> Answer<Response> {
    let endpoint = one.state.directory.endpoint(one.environment, &one.owner, &one.endpoint).await?;
    Ok(json_of(StatusCode::OK, &endpoint::out(&endpoint)))
}

pub(crate) async fn put<O: Owned>(one: One<O>, body: JsonBody) -> Answer<Response> {
    endpoint::put_of(&one.state, one.environment, &one.owner, (&one.endpoint, &body)).await
}

pub(crate) async fn delete<O: Owned>(one: One<O>) -> Answer<StatusCode> {
    let now = one.state.clock.now();
    one.state.directory.delete_endpoint(one.environment, &one.owner, &one.endpoint, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn headers<O: Owned>(one: One<O>) -> Answer<Response> {
    let endpoint = one.state.directory.endpoint(one.environment, &one.owner, &one.endpoint).await?;
    Ok(json_of(StatusCode::OK, &custom_headers::out(&endpoint.headers)))
}

pub(crate) async fn put_headers<O: Owned>(one: One<O>, body: JsonBody) -> Answer<StatusCode> {
    let change = custom_headers::replacement(&body)?;
    let now = one.state.clock.now();
    one.state.directory.change_endpoint(one.environment, &one.owner, &one.endpoint, change, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn secret<O: Owned>(one: One<O>) -> Answer<Response> {
    secrets::get_of(&one.state, one.environment, &one.owner, &one.endpoint).await
}

pub(crate) async fn rotate<O: Owned>(one: One<O>, body: JsonBody) -> Answer<Response> {
    secrets::rotate_of(&one.state, one.environment, one.owner, (one.endpoint, body)).await
}
