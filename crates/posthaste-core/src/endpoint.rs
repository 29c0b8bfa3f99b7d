//! An endpoint: where an app's messages go, what it wants, and how it is signed for.

use std::num::NonZeroU16;
use std::time::Duration;

use posthaste_signature::Secret;

use crate::app::Metadata;
use crate::id::{AppId, EndpointId};
use crate::limits::LIVE_SECRETS_MAX;
use crate::listener;
use crate::name::{Channel, EventTypeName, Uid};
use crate::time::Timestamp;

/// Which messages an endpoint wants; `None` means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Event types, by exact name.
    pub event_types: Option<Vec<EventTypeName>>,
    /// Channels, of which a message must name at least one.
    pub channels: Option<Vec<Channel>>,
}

/// A secret, and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSecret {
    /// The secret.
    pub secret: Secret,
    /// `None` for the newest; the others retire.
    pub retires_at: Option<Timestamp>,
}

/// All secrets of an endpoint, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets(Vec<LiveSecret>);

impl Secrets {
    /// The first secret of a new endpoint.
    pub fn first(secret: Secret) -> Self {
        Self(vec![LiveSecret { secret, retires_at: None }])
    }

    /// From the store: newest first, never empty.
    pub fn stored(secrets: Vec<LiveSecret>) -> Option<Self> {
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// All of them, newest first.
    pub fn all(&self) -> &[LiveSecret] {
        &self.0
    }

    /// The secret to show to the receiver.
    pub fn newest(&self) -> &Secret {
        &self.0[0].secret
    }

    /// The secrets that sign at `now`, newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.0.iter().filter(move |s| s.retires_at.is_none_or(|at| now < at)).map(|s| &s.secret)
    }

    /// Puts `secret` first; the one before it signs on for `grace`. What has retired is forgotten, and at most
    /// [`LIVE_SECRETS_MAX`] are kept.
    #[must_use]
    pub fn rotated(self, secret: Secret, grace: Duration, now: Timestamp) -> Self {
        let retiring = now.later(grace);
        let mut secrets = vec![LiveSecret { secret, retires_at: None }];
        secrets.extend(self.0.into_iter().filter_map(|old| {
            let retires_at = old.retires_at.unwrap_or(retiring).min(retiring);
            (now < retires_at).then_some(LiveSecret { secret: old.secret, retires_at: Some(retires_at) })
        }));
        secrets.truncate(LIVE_SECRETS_MAX);
        Self(secrets)
    }
}

/// A custom header of an endpoint.
pub type Header = (String, String);

/// Where an app's messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Our id.
    pub id: EndpointId,
    /// Whose it is.
    pub app: AppId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// Where to send.
    pub url: String,
    /// For people.
    pub description: String,
    /// Messages per second.
    pub rate_per_second: Option<NonZeroU16>,
    /// The app's own limit, shared by all its endpoints.
    pub app_rate_per_second: Option<NonZeroU16>,
    /// Nothing is sent while it is disabled.
    pub disabled: bool,
    /// What it wants.
    pub filter: Filter,
    /// Sent with every attempt. May carry credentials: never logged.
    pub headers: Vec<Header>,
    /// The caller's own.
    pub metadata: Metadata,
    /// What signs.
    pub secrets: Secrets,
    /// Since when it has failed without a success in between.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// Whether its deliveries wait for whoever listens, and no address is dialled.
    pub fn is_listener(&self) -> bool {
        listener::is_listener(&self.url)
    }
}

/// An endpoint about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Our id, made by the caller.
    pub id: EndpointId,
    /// The caller's id.
    pub uid: Option<Uid>,
    /// Where to send; already judged.
    pub url: String,
    /// For people.
    pub description: String,
    /// Messages per second.
    pub rate_per_second: Option<NonZeroU16>,
    /// Made, but nothing is sent yet.
    pub disabled: bool,
    /// What it wants.
    pub filter: Filter,
    /// Sent with every attempt.
    pub headers: Vec<Header>,
    /// The caller's own.
    pub metadata: Metadata,
    /// What signs.
    pub secret: Secret,
}

/// What to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// `Some(None)` takes the uid away.
    pub uid: Option<Option<Uid>>,
    /// A new target; already judged.
    pub url: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// `Some(None)` lifts the limit.
    pub rate_per_second: Option<Option<NonZeroU16>>,
    /// Disable, or enable again; enabling forgets how long it has failed.
    pub disabled: Option<bool>,
    /// `Some(None)` means all event types.
    pub event_types: Option<Option<Vec<EventTypeName>>>,
    /// `Some(None)` means all channels.
    pub channels: Option<Option<Vec<Channel>>>,
    /// Replaces all of it.
    pub metadata: Option<Metadata>,
    /// Replaces all of them.
    pub headers: Option<Vec<Header>>,
    /// Sets (`Some`) or removes (`None`) single headers, by name without regard to case.
    pub header_patch: Vec<(String, Option<String>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(n: u8) -> Secret {
        Secret::hmac(&[n; 24]).unwrap()
    }

    fn live(secrets: &Secrets, now: i64) -> Vec<Secret> {
        secrets.live(Timestamp::from_secs(now)).cloned().collect()
    }

    #[test]
    fn after_a_rotation_the_old_secret_signs_on_for_the_grace() {
        let secrets =
            Secrets::first(secret(1)).rotated(secret(2), Duration::from_secs(10), Timestamp::from_secs(100));
        assert_eq!(secrets.newest(), &secret(2));
        assert_eq!(live(&secrets, 109), [secret(2), secret(1)]);
        assert_eq!(live(&secrets, 110), [secret(2)]);
    }

    #[test]
    fn a_second_rotation_never_lengthens_the_life_of_a_secret() {
        let secrets = Secrets::first(secret(1))
            .rotated(secret(2), Duration::from_secs(10), Timestamp::from_secs(100))
            .rotated(secret(3), Duration::from_secs(60), Timestamp::from_secs(105));
        assert_eq!(live(&secrets, 109), [secret(3), secret(2), secret(1)]);
        assert_eq!(live(&secrets, 111), [secret(3), secret(2)]);
    }

    #[test]
    fn a_leaked_secret_rotated_with_no_grace_stops_signing_at_once() {
        let secrets = Secrets::first(secret(1)).rotated(secret(2), Duration::ZERO, Timestamp::from_secs(100));
        assert_eq!(secrets.all().len(), 1);
    }
}
