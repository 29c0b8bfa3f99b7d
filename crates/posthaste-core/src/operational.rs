//! Operational webhooks: what happens to endpoints and attempts, told to the sender's own team.
//!
//! They are ordinary messages of an environment's operational app, written in the transaction that caused them.
//! Names and bodies follow Svix's, since receivers of those exist.

use serde_json::{Value, json};

use crate::id::{AppId, AttemptId, EndpointId, MessageId};
use crate::name::Uid;
use crate::time::Timestamp;

/// An endpoint, as operational webhooks name it.
#[derive(Debug, Clone)]
pub struct EndpointNames {
    /// Its app.
    pub app: AppId,
    /// Its app's uid.
    pub app_uid: Option<Uid>,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its uid.
    pub endpoint_uid: Option<Uid>,
}

/// A delivery's latest attempt, as operational webhooks name it.
#[derive(Debug, Clone)]
pub struct AttemptNames {
    /// Its app.
    pub app: AppId,
    /// Its app's uid.
    pub app_uid: Option<Uid>,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The message.
    pub message: MessageId,
    /// The message's event id.
    pub event_id: Option<Uid>,
    /// The attempt.
    pub attempt: AttemptId,
    /// When it was made.
    pub at: Timestamp,
    /// What was answered; zero for nothing.
    pub status: u16,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Operational {
    /// An endpoint was made.
    EndpointCreated(EndpointNames),
    /// An endpoint was changed.
    EndpointUpdated(EndpointNames),
    /// An endpoint was deleted.
    EndpointDeleted(EndpointNames),
    /// An endpoint was disabled, by its failures or by hand.
    EndpointDisabled(EndpointNames, Option<Timestamp>),
    /// An endpoint was enabled again.
    EndpointEnabled(EndpointNames),
    /// A delivery ran out of attempts.
    AttemptExhausted(AttemptNames),
    /// A delivery failed several times, and will be tried again.
    AttemptFailing(AttemptNames),
    /// A delivery that was failing arrived.
    AttemptRecovered(AttemptNames),
}

impl Operational {
    /// The event type.
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::EndpointCreated(_) => "endpoint.created",
            Self::EndpointUpdated(_) => "endpoint.updated",
            Self::EndpointDeleted(_) => "endpoint.deleted",
            Self::EndpointDisabled(..) => "endpoint.disabled",
            Self::EndpointEnabled(_) => "endpoint.enabled",
            Self::AttemptExhausted(_) => "message.attempt.exhausted",
            Self::AttemptFailing(_) => "message.attempt.failing",
            Self::AttemptRecovered(_) => "message.attempt.recovered",
        }
    }

    /// The body, as JSON.
    pub fn body(&self) -> String {
        let data = match self {
            Self::EndpointCreated(names)
            | Self::EndpointUpdated(names)
            | Self::EndpointDeleted(names)
            | Self::EndpointEnabled(names) => endpoint_data(names),
            Self::EndpointDisabled(names, fail_since) => {
                let mut data = endpoint_data(names);
                data["failSince"] = json!(fail_since.map(|at| at.to_string()));
                data["trigger"] = json!(if fail_since.is_some() { "automatic" } else { "manual" });
                data
            }
            Self::AttemptExhausted(names) | Self::AttemptFailing(names) | Self::AttemptRecovered(names) => {
                attempt_data(names)
            }
        };
        json!({ "type": self.event_type(), "data": data }).to_string()
    }
}

fn endpoint_data(names: &EndpointNames) -> Value {
    json!({
        "appId": names.app.to_string(),
        "appUid": names.app_uid.as_ref().map(Uid::as_str),
        "endpointId": names.endpoint.to_string(),
        "endpointUid": names.endpoint_uid.as_ref().map(Uid::as_str),
    })
}

fn attempt_data(names: &AttemptNames) -> Value {
    json!({
        "appId": names.app.to_string(),
        "appUid": names.app_uid.as_ref().map(Uid::as_str),
        "endpointId": names.endpoint.to_string(),
        "msgId": names.message.to_string(),
        "msgEventId": names.event_id.as_ref().map(Uid::as_str),
        "lastAttempt": {
            "id": names.attempt.to_string(),
            "timestamp": names.at.to_string(),
            "responseStatusCode": names.status,
        },
    })
}
