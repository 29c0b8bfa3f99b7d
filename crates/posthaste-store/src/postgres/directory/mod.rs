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

use super::PostgresStore;
use super::work::change;
use crate::directory::{Directory, Made, NewToken, Owner, Reservation, RotateSecret};
use crate::error::{ChangeError, StoreError};
use crate::intake::IdempotencyKey;
use crate::page::{Page, PageRequest};

#[async_trait]
impl Directory for PostgresStore {
    async fn environment(&self, name: &str, now: Timestamp) -> Result<Environment, StoreError> {
        let known = tokens::find_environment(&*self.pool.get().await?, name).await?;
        match known {
            Some(environment) => Ok(environment),
            None => change!(self, |work| tokens::environment(work, name, now)),
        }
    }

    async fn environment_of_org(&self, org: OrgId, now: Timestamp) -> Result<EnvironmentId, StoreError> {
        Ok(self.environment(&org.to_string(), now).await?.id)
    }

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<(), StoreError> {
        change!(self, |work| tokens::create(work, &new, now))
    }

    async fn tokens(&self, environment: Option<EnvironmentId>) -> Result<Vec<TokenRecord>, StoreError> {
        tokens::list(&*self.pool.get().await?, environment).await
    }

    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), ChangeError> {
        change!(self, |work| tokens::revoke(work, id, now))
    }

    async fn revoke_token_by_hash(&self, hash: TokenHash, now: Timestamp) -> Result<(), StoreError> {
        change!(self, |work| tokens::revoke_by_hash(work, hash, now))
    }

    async fn authenticate(&self, hash: TokenHash, now: Timestamp) -> Result<Option<Principal>, StoreError> {
        self.promptly(self.gate.principal(hash, now)).await
    }

    async fn create_app(
        &self,
        environment: EnvironmentId,
        new: NewApp,
        if_exists: bool,
        now: Timestamp,
    ) -> Result<Made<App>, ChangeError> {
        change!(self, |work| apps::create(work, environment, &new, if_exists, now))
    }

    async fn app(&self, environment: EnvironmentId, app: &Reference) -> Result<App, ChangeError> {
        apps::get(&*self.pool.get().await?, environment, app).await
    }

    async fn apps(
        &self,
        environment: EnvironmentId,
        page: PageRequest<AppId>,
    ) -> Result<Page<App>, StoreError> {
        apps::list(&*self.pool.get().await?, environment, &page).await
    }

    async fn change_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        change: AppChange,
        now: Timestamp,
    ) -> Result<App, ChangeError> {
        change!(self, |work| apps::change(work, environment, app, change.clone(), now))
    }

    async fn delete_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        change!(self, |work| apps::delete(work, environment, app, now))
    }

    async fn create_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        new: NewEndpoint,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError> {
        change!(self, |work| endpoints::create(work, environment, owner, new.clone(), now))
    }

    async fn endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
    ) -> Result<Endpoint, ChangeError> {
        endpoints::get(&*self.pool.get().await?, &self.shared.vault, environment, owner, endpoint).await
    }

    async fn endpoints(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, ChangeError> {
        endpoints::list(&*self.pool.get().await?, &self.shared.vault, environment, owner, &page).await
    }

    async fn change_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        change: EndpointChange,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError> {
        let place = endpoints::Place { environment, owner, endpoint };
        change!(self, |work| endpoints::change(work, &place, change.clone(), now))
    }

    async fn delete_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let place = endpoints::Place { environment, owner, endpoint };
        change!(self, |work| endpoints::delete(work, &place, now))
    }

    async fn rotate_secret(&self, rotate: RotateSecret, now: Timestamp) -> Result<Endpoint, ChangeError> {
        change!(self, |work| endpoints::rotate(work, rotate.clone(), now))
    }

    async fn create_event_type(
        &self,
        environment: EnvironmentId,
        name: EventTypeName,
        facts: EventTypeFacts,
        now: Timestamp,
    ) -> Result<EventType, ChangeError> {
        change!(self, |work| event_types::create(work, environment, &name, facts.clone(), now))
    }

    async fn event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
    ) -> Result<EventType, ChangeError> {
        event_types::get(&*self.pool.get().await?, environment, name).await
    }

    async fn event_types(
        &self,
        environment: EnvironmentId,
        include_archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventType>, StoreError> {
        event_types::list(&*self.pool.get().await?, environment, include_archived, &page).await
    }

    async fn change_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        change: EventTypeChange,
        now: Timestamp,
    ) -> Result<EventType, ChangeError> {
        change!(self, |work| event_types::change(work, environment, name, change.clone(), now))
    }

    async fn delete_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        expunge: bool,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        change!(self, |work| event_types::delete(work, environment, name, expunge, now))
    }

    async fn reserve_key(&self, key: IdempotencyKey, now: Timestamp) -> Result<Reservation, ChangeError> {
        change!(self, |work| keys::reserve(work, &key, now))
    }

    async fn settle_key(
        &self,
        key: IdempotencyKey,
        answer: Option<(u16, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        change!(self, |work| keys::settle(work, &key, answer.as_ref()))
    }
}
