//! The directory: this file is the port, its siblings do the work, one a table.

pub(super) mod apps;
mod endpoints;
mod event_types;
mod keys;
pub(super) mod tokens;

use async_trait::async_trait;
use posthaste_core::app::{App, AppChange, NewApp, Reference};
use posthaste_core::endpoint::{Endpoint, EndpointChange, NewEndpoint};
use posthaste_core::event_type::{EventType, EventTypeChange, EventTypeFacts};
use posthaste_core::id::{AppId, EndpointId, OrgId, TokenId};
use posthaste_core::name::EventTypeName;
use posthaste_core::tenant::{Environment, EnvironmentId, Principal};
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};

use super::SqliteStore;
use crate::directory::{Directory, Made, NewToken, Owner, Reservation, RotateSecret};
use crate::error::{ChangeError, StoreError};
use crate::intake::IdempotencyKey;
use crate::page::{Page, PageRequest};

#[async_trait]
impl Directory for SqliteStore {
    async fn environment(&self, name: &str, now: Timestamp) -> Result<Environment, StoreError> {
        let name = name.to_owned();
        let known = self.reader.point(|conn| tokens::find_environment(conn, &name))?;
        match known {
            Some(environment) => Ok(environment),
            None => self.writer.run(move |work| tokens::environment(work, &name, now)).await,
        }
    }

    async fn environment_of_org(&self, org: OrgId, now: Timestamp) -> Result<EnvironmentId, StoreError> {
        Ok(self.environment(&org.to_string(), now).await?.id)
    }

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |work| tokens::create(work, &new, now)).await
    }

    async fn tokens(&self, environment: Option<EnvironmentId>) -> Result<Vec<TokenRecord>, StoreError> {
        self.reader.list(move |conn| tokens::list(conn, environment)).await
    }

    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), ChangeError> {
        self.writer.run(move |work| tokens::revoke(work, id, now)).await
    }

    async fn revoke_token_by_hash(&self, hash: TokenHash, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |work| tokens::revoke_by_hash(work, hash, now)).await
    }

    async fn authenticate(&self, hash: TokenHash, now: Timestamp) -> Result<Option<Principal>, StoreError> {
        self.reader.point(|conn| tokens::authenticate(conn, hash, now))
    }

    async fn create_app(
        &self,
        environment: EnvironmentId,
        new: NewApp,
        if_exists: bool,
        now: Timestamp,
    ) -> Result<Made<App>, ChangeError> {
        self.writer.run(move |work| apps::create(work, environment, &new, if_exists, now)).await
    }

    async fn app(&self, environment: EnvironmentId, app: &Reference) -> Result<App, ChangeError> {
        self.reader.point(|conn| apps::get(conn, environment, app))
    }

    async fn apps(
        &self,
        environment: EnvironmentId,
        page: PageRequest<AppId>,
    ) -> Result<Page<App>, StoreError> {
        self.reader.list(move |conn| apps::list(conn, environment, &page)).await
    }

    async fn change_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        change: AppChange,
        now: Timestamp,
    ) -> Result<App, ChangeError> {
        let app = app.clone();
        self.writer.run(move |work| apps::change(work, environment, &app, change.clone(), now)).await
    }

    async fn delete_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let app = app.clone();
        self.writer.run(move |work| apps::delete(work, environment, &app, now)).await
    }

    async fn create_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        new: NewEndpoint,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError> {
        let owner = owner.clone();
        self.writer.run(move |work| endpoints::create(work, environment, &owner, new.clone(), now)).await
    }

    async fn endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
    ) -> Result<Endpoint, ChangeError> {
        self.reader.point(|conn| endpoints::get(conn, &self.vault, environment, owner, endpoint))
    }

    async fn endpoints(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, ChangeError> {
        let (owner, vault) = (owner.clone(), self.vault.clone());
        self.reader.list(move |conn| endpoints::list(conn, &vault, environment, &owner, &page)).await
    }

    async fn change_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        change: EndpointChange,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError> {
        let (owner, endpoint) = (owner.clone(), endpoint.clone());
        self.writer
            .run(move |work| {
                let place = endpoints::Place { environment, owner: &owner, endpoint: &endpoint };
                endpoints::change(work, &place, change.clone(), now)
            })
            .await
    }

    async fn delete_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let (owner, endpoint) = (owner.clone(), endpoint.clone());
        self.writer
            .run(move |work| {
                let place = endpoints::Place { environment, owner: &owner, endpoint: &endpoint };
                endpoints::delete(work, &place, now)
            })
            .await
    }

    async fn rotate_secret(&self, rotate: RotateSecret, now: Timestamp) -> Result<Endpoint, ChangeError> {
        self.writer.run(move |work| endpoints::rotate(work, rotate.clone(), now)).await
    }

    async fn create_event_type(
        &self,
        environment: EnvironmentId,
        name: EventTypeName,
        facts: EventTypeFacts,
        now: Timestamp,
    ) -> Result<EventType, ChangeError> {
        self.writer.run(move |work| event_types::create(work, environment, &name, facts.clone(), now)).await
    }

    async fn event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
    ) -> Result<EventType, ChangeError> {
        self.reader.point(|conn| event_types::get(conn, environment, name))
    }

    async fn event_types(
        &self,
        environment: EnvironmentId,
        include_archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventType>, StoreError> {
        self.reader.list(move |conn| event_types::list(conn, environment, include_archived, &page)).await
    }

    async fn change_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        change: EventTypeChange,
        now: Timestamp,
    ) -> Result<EventType, ChangeError> {
        let name = name.clone();
        self.writer.run(move |work| event_types::change(work, environment, &name, change.clone(), now)).await
    }

    async fn delete_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        expunge: bool,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let name = name.clone();
        self.writer.run(move |work| event_types::delete(work, environment, &name, expunge, now)).await
    }

    async fn reserve_key(&self, key: IdempotencyKey, now: Timestamp) -> Result<Reservation, ChangeError> {
        self.writer.run(move |work| keys::reserve(work, &key, now)).await
    }

    async fn settle_key(
        &self,
        key: IdempotencyKey,
        answer: Option<(u16, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        self.writer.run(move |work| keys::settle(work, &key, answer.as_ref())).await
    }
}
