//! What happened: messages, deliveries, attempts and counts.

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::attempt::{Attempt, Trigger};
use posthaste_core::delivery::DeliveryState;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::rollup::{Bar, Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::named::{Named, Place};
use crate::page::{Page, PageRequest};

/// Where a delivery stands, in the four words that Svix's API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Delivered.
    Success,
    /// Waiting for a retry.
    Pending,
    /// Ended undelivered; of an attempt: it failed.
    Fail,
    /// On its way.
    Sending,
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of these event types.
    pub event_types: Option<Vec<EventTypeName>>,
    /// On this channel.
    pub channel: Option<Channel>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// Accepted before then …
    pub before: Option<Timestamp>,
    /// … and after then.
    pub after: Option<Timestamp>,
}

/// Which attempts to list.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Of messages like these; `before` and `after` are about the attempt.
    pub message: MessageFilter,
    /// That ended like this; `Pending` and `Sending` match the attempts of deliveries in that state.
    pub status: Option<Status>,
    /// Whose status code begins like this, 200 for 2xx; 0 for no answer.
    pub status_class: Option<u16>,
    /// To this endpoint.
    pub endpoint: Option<Reference>,
}

/// An attempt without its body, and what it was about.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// The attempt. Its answer's body is empty when it was not asked for or was expunged.
    pub attempt: Attempt,
    /// Success, or failed; an attempt is never pending.
    pub status: Status,
    /// The message, when it was asked for.
    pub message: Option<Message>,
}

/// A delivery of one message.
#[derive(Debug, Clone)]
pub struct Destination {
    /// To whom.
    pub endpoint: Endpoint,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts made since it was accepted or last put back by hand.
    pub attempts_made: u32,
    /// Why it was last put into the queue.
    pub trigger: Trigger,
}

/// A delivery to one endpoint.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// What.
    pub message: Message,
    /// Where it stands.
    pub state: DeliveryState,
}

/// How many deliveries stand how: of an endpoint, or of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Delivered.
    pub success: u64,
    /// Waiting.
    pub pending: u64,
    /// On their way.
    pub sending: u64,
    /// Ended undelivered.
    pub fail: u64,
}

/// An endpoint whose last attempts failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwell {
    /// Whose it is.
    pub app: AppId,
    /// What that is called.
    pub app_name: String,
    /// The app is the environment's own, of operational webhooks, which is in no list.
    pub operational: bool,
    /// Which one.
    pub endpoint: EndpointId,
    /// Where it is.
    pub url: String,
    /// Since when it has failed without a success in between.
    pub failing_since: Timestamp,
    /// Nothing goes out to it any more, since it failed for too long or since somebody said so.
    pub disabled: bool,
}

impl EndpointStats {
    /// Of all four kinds.
    pub fn total(&self) -> u64 {
        self.success + self.pending + self.sending + self.fail
    }

    /// Of one kind.
    pub fn of(&self, status: Status) -> u64 {
        match status {
            Status::Success => self.success,
            Status::Pending => self.pending,
            Status::Sending => self.sending,
            Status::Fail => self.fail,
        }
    }

    /// Adds deliveries in a state, as the store writes it.
    pub(crate) fn add(&mut self, state: i64, count: u64) {
        *match state {
            0 => &mut self.pending,
            1 => &mut self.sending,
            2 => &mut self.success,
            _ => &mut self.fail,
        } += count;
    }
}

impl From<DeliveryState> for Status {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Waiting { .. } => Self::Pending,
            DeliveryState::InFlight { .. } => Self::Sending,
            DeliveryState::Delivered => Self::Success,
            DeliveryState::DeadLettered { .. } => Self::Fail,
        }
    }
}

/// Shows what happened. A foreign tenant's object is not found.
#[async_trait]
pub trait History: Send + Sync {
    /// One message, by our id or the caller's event id. Without `with_body` its body is left out.
    async fn message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        with_body: bool,
    ) -> Result<Message, ChangeError>;

    /// An app's messages.
    async fn messages(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
        with_body: bool,
    ) -> Result<Page<Message>, ChangeError>;

    /// A message's attempts.
    async fn attempts_of_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError>;

    /// An endpoint's attempts; `message` is filled in when `with_message`.
    async fn attempts_of_endpoint(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError>;

    /// One attempt of a message.
    async fn attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<AttemptRow, ChangeError>;

    /// A message's deliveries, in the order of their endpoints' ids.
    async fn destinations(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Destination>, ChangeError>;

    /// An endpoint's deliveries.
    async fn attempted(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Attempted>, ChangeError>;

    /// How an endpoint's deliveries of messages accepted in `since..until` stand.
    async fn endpoint_stats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<EndpointStats, ChangeError>;

    /// What was counted of an app, an endpoint or all of the environment, in stretches that begin in `since..until`: in the
    /// order of time, as fine as they are kept. A stretch in which nothing happened has no bar; whoever wants coarser ones adds
    /// them together. Of another environment's things there are none.
    ///
    /// Promise: what was accepted or recorded is counted in the same transaction, once. What was recorded without the lease
    /// is not counted, though the attempt is kept.
    async fn counted(
        &self,
        environment: EnvironmentId,
        scope: Scope,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Bar>, StoreError> {
        Ok(self.counted_each(environment, &[scope], since, until).await?.pop().unwrap_or_default())
    }

    /// The same of several things at once, such as a page of endpoints: in the order of `scopes`.
    async fn counted_each(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Vec<Bar>>, StoreError>;

    /// The same, each added up.
    async fn counted_by(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Counts>, StoreError>;

    /// Endpoints that fail, disabled or not, those that have failed longest first. It looks at
    /// [`UNWELL_ROWS_MAX`](posthaste_core::limits::UNWELL_ROWS_MAX) of all environments together.
    async fn unwell(&self, environment: EnvironmentId, limit: u32) -> Result<Vec<Unwell>, StoreError>;

    /// How the deliveries of some of an app's messages stand, to one endpoint or to all: a row for each message that has
    /// any, in no order.
    async fn standings(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        messages: &[MessageId],
        endpoint: Option<&Reference>,
    ) -> Result<Vec<(MessageId, EndpointStats)>, ChangeError>;

    /// Where something is, by its id alone; `None` if it is not there, or is another tenant's.
    async fn find(&self, environment: EnvironmentId, named: Named) -> Result<Option<Place>, StoreError>;

    /// Removes a message's body for good.
    async fn expunge_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<(), ChangeError>;

    /// Removes the body of an attempt's answer for good.
    async fn expunge_attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<(), ChangeError>;

    /// Answers if the store can be read and, as far as is known, written: for readiness.
    async fn ping(&self) -> Result<(), StoreError>;
}
