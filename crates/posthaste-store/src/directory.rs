//! Environments, tokens, apps, endpoints and event types.

use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::Secret;
use posthaste_core::app::{App, AppChange, NewApp, Reference};
use posthaste_core::endpoint::{Endpoint, EndpointChange, NewEndpoint};
use posthaste_core::event_type::{EventType, EventTypeChange, EventTypeFacts};
use posthaste_core::id::{AppId, EndpointId, OrgId, TokenId};
use posthaste_core::name::EventTypeName;
use posthaste_core::tenant::{Environment, EnvironmentId, Principal, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};

use crate::error::{ChangeError, StoreError};
use crate::intake::IdempotencyKey;
use crate::page::{Page, PageRequest};

/// Something that was asked to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made<T> {
    /// It was made.
    Created(T),
    /// It was there already.
    Existed(T),
}

/// A token about to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Our id, made by the caller.
    pub id: TokenId,
    /// Its environment.
    pub environment: EnvironmentId,
    /// What it may touch.
    pub scope: Scope,
    /// What the store keeps of it.
    pub hash: TokenHash,
    /// Its first letters.
    pub hint: String,
    /// When it stops working, if ever.
    pub expires_at: Option<Timestamp>,
}

/// What is known of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// It is new, and now reserved: do the work, then say what was answered.
    Fresh,
    /// The work was done: answer this again.
    Answered {
        /// The status code.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
}

/// Whose apps and endpoints: an app in a path, a source's, or the environment's own operational webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// An app.
    App(Reference),
    /// The app of a source, by the source's id or uid.
    Source(Reference),
    /// The operational app, made when first used and never listed.
    Operational,
}

/// Knows who is there. Writes tell operational webhooks in the same transaction.
///
/// An object of another environment is [`ChangeError::NotFound`]; a deleted one likewise.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The environment of this name, made if absent.
    async fn environment(&self, name: &str, now: Timestamp) -> Result<Environment, StoreError>;

    /// The environment of this org, made if absent; `name` is the org's id.
    async fn environment_of_org(&self, org: OrgId, now: Timestamp) -> Result<EnvironmentId, StoreError>;

    /// Keeps a token.
    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<(), StoreError>;

    /// All tokens of one environment, or of all.
    async fn tokens(&self, environment: Option<EnvironmentId>) -> Result<Vec<TokenRecord>, StoreError>;

    /// Ends a token; in force for the next request, whichever process asks.
    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), ChangeError>;

    /// Ends the token that has this hash; nothing happens when there is none.
    async fn revoke_token_by_hash(&self, hash: TokenHash, now: Timestamp) -> Result<(), StoreError>;

    /// Who stands behind a token, unless it is unknown, expired or revoked. Never from a cache.
    async fn authenticate(&self, hash: TokenHash, now: Timestamp) -> Result<Option<Principal>, StoreError>;

    /// Makes an app. `if_exists`: one with this uid is returned instead of [`ChangeError::Taken`].
    async fn create_app(
        &self,
        environment: EnvironmentId,
        new: NewApp,
        if_exists: bool,
        now: Timestamp,
    ) -> Result<Made<App>, ChangeError>;

    /// One app.
    async fn app(&self, environment: EnvironmentId, app: &Reference) -> Result<App, ChangeError>;

    /// All apps.
    async fn apps(
        &self,
        environment: EnvironmentId,
        page: PageRequest<AppId>,
    ) -> Result<Page<App>, StoreError>;

    /// Changes an app.
    async fn change_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        change: AppChange,
        now: Timestamp,
    ) -> Result<App, ChangeError>;

    /// Deletes an app and its endpoints; what it was still owed is dead-lettered.
    async fn delete_app(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Makes an endpoint.
    async fn create_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        new: NewEndpoint,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError>;

    /// One endpoint, with its secrets.
    async fn endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
    ) -> Result<Endpoint, ChangeError>;

    /// All endpoints of an app.
    async fn endpoints(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, ChangeError>;

    /// Changes an endpoint.
    async fn change_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        change: EndpointChange,
        now: Timestamp,
    ) -> Result<Endpoint, ChangeError>;

    /// Deletes an endpoint; what it was still owed is dead-lettered.
    async fn delete_endpoint(
        &self,
        environment: EnvironmentId,
        owner: &Owner,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Signs with `secret` from now on, and with the old ones for `grace`.
    async fn rotate_secret(&self, rotate: RotateSecret, now: Timestamp) -> Result<Endpoint, ChangeError>;

    /// Makes an event type.
    async fn create_event_type(
        &self,
        environment: EnvironmentId,
        name: EventTypeName,
        facts: EventTypeFacts,
        now: Timestamp,
    ) -> Result<EventType, ChangeError>;

    /// One event type, archived or not.
    async fn event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
    ) -> Result<EventType, ChangeError>;

    /// The catalogue, by name.
    async fn event_types(
        &self,
        environment: EnvironmentId,
        include_archived: bool,
        page: PageRequest<EventTypeName>,
    ) -> Result<Page<EventType>, StoreError>;

    /// Changes an event type.
    async fn change_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        change: EventTypeChange,
        now: Timestamp,
    ) -> Result<EventType, ChangeError>;

    /// Archives an event type, or with `expunge` removes it.
    async fn delete_event_type(
        &self,
        environment: EnvironmentId,
        name: &EventTypeName,
        expunge: bool,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Reserves an idempotency key for a request that is not a message.
    async fn reserve_key(&self, key: IdempotencyKey, now: Timestamp) -> Result<Reservation, ChangeError>;

    /// Keeps what was answered to a reserved key; `None` frees it, since the work was not done.
    async fn settle_key(&self, key: IdempotencyKey, answer: Option<(u16, Vec<u8>)>)
    -> Result<(), StoreError>;
}

/// A rotation about to be made.
#[derive(Debug, Clone)]
pub struct RotateSecret {
    /// Whose environment.
    pub environment: EnvironmentId,
    /// Whose endpoint.
    pub owner: Owner,
    /// Which endpoint.
    pub endpoint: Reference,
    /// The new secret.
    pub secret: Secret,
    /// How long the old one signs on.
    pub grace: Duration,
}
